//! What an object is besides its bytes and its envelope.

use meta_codec::Vendor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{Headers, object_envelope::is_of_envelope};

/// The most tags of an object, which both services set.
const MAX_TAGS: usize = 10;

/// Attributes that an object gets when it is written: its storage class, tags, metadata, and how
/// browsers and caches treat it. All of them are in the clear.
///
/// ```
/// use envelope_store::{Attributes, envelope_core::Vendor};
///
/// let attributes = Attributes::new()
///     .with_storage_class("IA")
///     .with_metadata("owner", "me")
///     .with_tag("project", "a & b");
/// let headers = attributes.headers(Vendor::Oss)?;
/// assert!(headers.contains(&("x-oss-storage-class".into(), "IA".into())));
/// assert!(headers.contains(&("x-oss-meta-owner".into(), "me".into())));
/// assert!(headers.contains(&("x-oss-tagging".into(), "project=a%20%26%20b".into())));
/// # Ok::<(), envelope_store::AttributeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributes {
    standard: Vec<(&'static str, String)>,
    storage_class: Option<String>,
    access: Option<String>,
    metadata: Vec<(String, String)>,
    tags: Vec<(String, String)>,
}

impl Attributes {
    /// Creates attributes that say nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the header `Content-Type`.
    #[must_use]
    pub fn with_content_type(self, value: impl Into<String>) -> Self {
        self.with_standard("content-type", value.into())
    }

    /// Sets the header `Cache-Control`.
    #[must_use]
    pub fn with_cache_control(self, value: impl Into<String>) -> Self {
        self.with_standard("cache-control", value.into())
    }

    /// Sets the header `Content-Disposition`.
    #[must_use]
    pub fn with_content_disposition(self, value: impl Into<String>) -> Self {
        self.with_standard("content-disposition", value.into())
    }

    /// Sets the storage class, in the words of the vendor: `IA` of OSS, `STANDARD_IA` of COS.
    #[must_use]
    pub fn with_storage_class(mut self, class: impl Into<String>) -> Self {
        self.storage_class = Some(class.into());
        self
    }

    /// Sets who may access the object, in the words of both vendors: `private`, `public-read`, or
    /// `default`, which is that of the bucket.
    #[must_use]
    pub fn with_access(mut self, access: impl Into<String>) -> Self {
        self.access = Some(access.into());
        self
    }

    /// Adds metadata of the user, whose name is without the prefix of the vendor.
    #[must_use]
    pub fn with_metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((name.into(), value.into()));
        self
    }

    /// Adds a tag. An object has ten at most.
    #[must_use]
    pub fn with_tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    fn with_standard(mut self, name: &'static str, value: String) -> Self {
        self.standard.retain(|(known, _)| *known != name);
        self.standard.push((name, value));
        self
    }

    /// Returns the headers for a vendor.
    ///
    /// # Errors
    /// [`AttributeError`] if the service would refuse them, or if they would be taken for a part of
    /// the envelope.
    pub fn headers(&self, vendor: Vendor) -> Result<Headers, AttributeError> {
        let mut headers = Headers::new();
        let mut add = |name: String, value: &str| {
            // What else may be in a header is read differently by every client.
            if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || value.trim() != value {
                return Err(AttributeError::Value(name));
            }
            headers.push((name, value.to_owned()));
            Ok(())
        };
        for (name, value) in &self.standard {
            add((*name).to_owned(), value)?;
        }
        if let Some(class) = &self.storage_class {
            add(format!("{}storage-class", vendor.header_prefix()), class)?;
        }
        if let Some(access) = &self.access {
            add(vendor.access_header().to_owned(), access)?;
        }
        for (name, value) in &self.metadata {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if name.is_empty() || !name.bytes().all(token) {
                return Err(AttributeError::Name(name.clone()));
            }
            let full = format!("{}{}", vendor.metadata_prefix(), name.to_ascii_lowercase());
            if is_of_envelope(&full) {
                return Err(AttributeError::Reserved(name.clone()));
            }
            add(full, value)?;
        }
        if self.tags.len() > MAX_TAGS {
            return Err(AttributeError::Tags);
        }
        if !self.tags.is_empty() {
            let (name, value) = tagging(vendor, &self.tags);
            add(name, &value)?;
        }
        Ok(headers)
    }
}

/// Returns the header of tags.
pub(crate) fn tagging(vendor: Vendor, tags: &[(String, String)]) -> (String, String) {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let tags = tags.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    let tags: Vec<String> = tags.collect();
    (format!("{}tagging", vendor.header_prefix()), tags.join("&"))
}

/// An attribute that an object cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeError {
    /// The name of metadata has other characters than letters, digits, hyphens and underscores.
    #[error("{0:?}: the name of metadata has only letters, digits, hyphens and underscores")]
    Name(String),
    /// The name of metadata is one of those that hold the envelope.
    #[error("{0:?}: metadata of this name holds the wrapped key, or says how to use it")]
    Reserved(String),
    /// There are more than ten tags.
    #[error("an object has at most {MAX_TAGS} tags")]
    Tags,
    /// A value has characters other than printable ASCII, or spaces around it.
    #[error("{0}: a header's value is printable ASCII, without spaces around it")]
    Value(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_each_vendor() {
        let attributes = Attributes::new()
            .with_content_type("text/plain")
            .with_content_type("text/html")
            .with_cache_control("no-cache")
            .with_content_disposition("attachment")
            .with_storage_class("ARCHIVE")
            .with_access("private")
            .with_metadata("Owner_1", "me & you")
            .with_tag("ü", "")
            .with_tag("a b", "c=d");
        let cos = attributes.headers(Vendor::Cos).unwrap();
        let want = [
            ("content-type", "text/html"),
            ("cache-control", "no-cache"),
            ("content-disposition", "attachment"),
            ("x-cos-storage-class", "ARCHIVE"),
            ("x-cos-acl", "private"),
            ("x-cos-meta-owner_1", "me & you"),
            ("x-cos-tagging", "%C3%BC=&a%20b=c%3Dd"),
        ];
        assert_eq!(cos, want.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(Attributes::new().headers(Vendor::Oss).unwrap().is_empty());
    }

    #[test]
    fn what_would_be_another_object_is_refused() {
        let refused = |attributes: Attributes| attributes.headers(Vendor::Oss).unwrap_err();
        for name in ["", "a b", "a:b", "ä", "a\r\nb"] {
            let refused = refused(Attributes::new().with_metadata(name, "x"));
            assert!(matches!(refused, AttributeError::Name(_)), "{name:?}");
        }
        for name in ["client-side-encryption-key", "Client-Side-Encryption-Start", "envelope-seal"]
        {
            let refused = refused(Attributes::new().with_metadata(name, "x"));
            assert!(matches!(refused, AttributeError::Reserved(_)), "{name:?}");
        }
        for value in ["ä", "a\nb", " a", "a ", "\0"] {
            let refused = refused(Attributes::new().with_cache_control(value));
            assert!(matches!(refused, AttributeError::Value(_)), "{value:?}");
        }
        let many = (0..11).fold(Attributes::new(), |it, n| it.with_tag(n.to_string(), ""));
        assert_eq!(refused(many), AttributeError::Tags);
    }
}
