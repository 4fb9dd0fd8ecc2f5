//! Versions of objects.

use http::Method;

use super::{Bucket, answer::tag, plain_key, request::Request, xml};
use crate::{Entry, ObjectMeta, StoreError, Version, VersionMarker, VersionPage};

/// The version that a bucket takes for an object, instead of the current one.
#[derive(Clone, Debug)]
pub(super) struct Pinned {
    key: String,
    id: String,
}

impl Pinned {
    pub(super) fn new(key: &str, id: &str) -> Self {
        Self { key: key.to_owned(), id: id.to_owned() }
    }
}

impl Bucket {
    /// Returns the ID of the version that is meant by a key, if it is not the current one.
    pub(super) fn pinned(&self, key: &str) -> Option<&str> {
        self.pinned.as_ref().filter(|pinned| pinned.key == key).map(|pinned| pinned.id.as_str())
    }

    /// Asks for the version that is meant by a key.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] if its ID is empty, which would mean the current one.
    pub(super) fn of_version(&self, request: Request, key: &str) -> Result<Request, StoreError> {
        match self.pinned(key) {
            Some("") => Err(StoreError::Unsupported("an empty ID of a version")),
            Some(id) => Ok(request.query("versionId", id)),
            None => Ok(request),
        }
    }

    /// Checks that an answer is about the version that was asked for.
    pub(super) fn check_version(&self, key: &str, meta: &ObjectMeta) -> Result<(), StoreError> {
        match (self.pinned(key), meta.version_id.as_deref()) {
            (Some(wanted), got) if got.unwrap_or("null") != wanted => Err(StoreError::Changed),
            _ => Ok(()),
        }
    }

    /// Refuses to write an object whose key means an older version.
    pub(super) fn check_writable(&self, key: &str) -> Result<(), StoreError> {
        match self.pinned(key) {
            Some(_) => Err(StoreError::Unsupported("writing an older version")),
            None => Ok(()),
        }
    }

    pub(super) async fn versions_page(
        &self,
        prefix: &str,
        after: Option<&VersionMarker>,
    ) -> Result<VersionPage, StoreError> {
        let mut request = self
            .request(Method::GET, "")
            .query("versions", "")
            .query("prefix", prefix)
            .query("max-keys", "1000")
            .query("encoding-type", "url");
        if let Some((key, id)) = after {
            request = request.query("key-marker", key).query("version-id-marker", id);
        }
        let page: xml::Versions = xml::read(&self.text(&request).await?, "ListVersionsResult")?;
        let (mut encoded, mut more) = (false, None);
        let (mut key, mut id, mut listed) = (String::new(), String::new(), Vec::new());
        for element in page.each {
            match element {
                xml::VersionElement::Version(version) => listed.push((version, false)),
                xml::VersionElement::DeleteMarker(version) => listed.push((version, true)),
                xml::VersionElement::EncodingType(kind) => encoded = kind == "url",
                xml::VersionElement::IsTruncated(is_truncated) => more = Some(is_truncated),
                xml::VersionElement::NextKeyMarker(next) => key = next,
                xml::VersionElement::NextVersionIdMarker(next) => id = next,
                xml::VersionElement::Other => {}
            }
        }
        let versions = listed.into_iter().map(|(version, is_deletion)| {
            let mut entry =
                Entry::new(plain_key(&version.key, encoded), version.size, tag(&version.etag));
            entry.modified = version.last_modified;
            Version::new(entry, version.version_id)
                .with_latest(version.is_latest)
                .with_deletion(is_deletion)
        });
        let next = xml::is_truncated(more)?.then(|| (plain_key(&key, encoded), id));
        Ok(VersionPage::new(versions.collect(), next))
    }
}
