//! Listings of many pages, which must be complete.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, future, stream, stream::BoxStream};

use crate::{Entry, Store, StoreError, Upload, Version, VersionMarker, VersionPage};

/// The fault of a listing that would never end, or that would end too early.
pub(crate) const OUT_OF_ORDER: &str = "the pages of the listing do not follow each other";

/// Returns all objects whose keys start with `prefix`, in the order of the store.
///
/// A listing that ends without an error is complete. It neither ends early nor runs in circles: the
/// key with which each page continues must be greater than the one before, and every object must be
/// one that was asked for.
///
/// # Errors
/// [`StoreError::Malformed`] if the pages do not follow each other, or any other error of
/// [`Store::list`].
///
/// ```
/// use std::sync::Arc;
///
/// use envelope_store::{MemoryStore, PutOptions, Store, list_all};
/// use futures_util::TryStreamExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), envelope_store::StoreError> {
/// let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
/// store.put("a/key", "some bytes".into(), &Vec::new(), PutOptions::default()).await?;
/// let entries: Vec<_> = list_all(store, "a/").try_collect().await?;
/// assert_eq!(entries[0].key, "a/key");
/// # Ok(())
/// # }
/// ```
pub fn list_all(
    store: Arc<dyn Store>,
    prefix: impl Into<String>,
) -> impl Stream<Item = Result<Entry, StoreError>> + Send + Unpin + 'static {
    Pages::new(store, prefix.into(), false)
        .stream()
        .try_filter_map(|listed| {
            future::ready(Ok(match listed {
                Listed::Object(entry) => Some(entry),
                Listed::Folder(_) => None,
            }))
        })
        .boxed()
}

/// Returns the objects and folders of one level: the keys that start with `prefix` and have no
/// further slash, and what the other keys begin with, up to theirs. They are in the order of their
/// names.
///
/// A listing that ends without an error is complete, as with [`list_all`].
///
/// # Errors
/// [`StoreError::Malformed`] if the pages do not follow each other, or any other error of
/// [`Store::list_folder`].
pub fn list_folder(
    store: Arc<dyn Store>,
    prefix: impl Into<String>,
) -> impl Stream<Item = Result<Listed, StoreError>> + Send + Unpin + 'static {
    Pages::new(store, prefix.into(), true).stream()
}

/// Returns all open uploads for keys that start with `prefix`.
///
/// # Errors
/// [`StoreError::Malformed`] if the pages do not follow each other, or any other error of
/// [`Store::list_uploads`].
pub fn list_uploads(
    store: Arc<dyn Store>,
    prefix: impl Into<String>,
) -> impl Stream<Item = Result<Upload, StoreError>> + Send + Unpin + 'static {
    let begin = (store, prefix.into(), None::<Upload>, false);
    let pages = stream::try_unfold(begin, |(store, prefix, after, is_ended)| async move {
        if is_ended {
            return Ok(None);
        }
        let (uploads, more) = store.list_uploads(&prefix, after.as_ref()).await?;
        let place = |upload: &Upload| (upload.key.clone(), upload.id.clone());
        let last = uploads.last().cloned();
        let follows = last.as_ref().map(place) > after.as_ref().map(place);
        if more && !follows {
            return Err(StoreError::Malformed(OUT_OF_ORDER.to_owned()));
        }
        let page = stream::iter(uploads.into_iter().map(Ok));
        Ok(Some((page, (store, prefix, last, !more))))
    });
    pages.try_flatten().boxed()
}

/// Returns all versions of the objects whose keys start with `prefix`, ordered by key, the newest
/// of each first.
///
/// # Errors
/// [`StoreError::Malformed`] if the pages do not follow each other, or any other error of
/// [`Store::list_versions`].
pub fn list_versions(
    store: Arc<dyn Store>,
    prefix: impl Into<String>,
) -> impl Stream<Item = Result<Version, StoreError>> + Send + Unpin + 'static {
    let begin = (store, prefix.into(), None::<VersionMarker>, HashSet::<String>::new(), false);
    let pages = stream::try_unfold(begin, |(store, prefix, after, mut seen, ended)| async move {
        if ended {
            return Ok(None);
        }
        let VersionPage { versions, next } = store.list_versions(&prefix, after.as_ref()).await?;
        let last = after.as_ref().map_or("", |(key, _)| key.as_str());
        let keys = || versions.iter().map(|version| version.entry.key.as_str());
        let in_order = keys().all(|key| key.starts_with(&prefix) && key >= last)
            && keys().zip(keys().skip(1)).all(|(one, other)| one <= other)
            && next.as_ref().is_none_or(|(key, _)| Some(key.as_str()) >= keys().next_back());
        // The versions of a key have no order that could be checked, so that each comes once.
        let mut is_new = next.is_none() || next != after;
        let mut key = last.to_owned();
        for version in &versions {
            if version.entry.key != key {
                seen.clear();
                key.clone_from(&version.entry.key);
            }
            is_new &= seen.insert(version.id.clone());
        }
        if !in_order || !is_new || (next.is_some() && versions.is_empty()) {
            return Err(StoreError::Malformed(OUT_OF_ORDER.to_owned()));
        }
        let ended = next.is_none();
        Ok(Some((stream::iter(versions.into_iter().map(Ok)), (store, prefix, next, seen, ended))))
    });
    pages.try_flatten().boxed()
}

/// An object or a folder of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listed {
    /// A folder, which is what keys begin with, up to a slash.
    Folder(String),
    /// An object.
    Object(Entry),
}

impl Listed {
    /// Returns the key, or what keys begin with.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Folder(name) => name,
            Self::Object(entry) => &entry.key,
        }
    }
}

struct Pages {
    store: Arc<dyn Store>,
    prefix: String,
    /// Whether folders are listed instead of what is in them.
    has_folders: bool,
    after: Option<String>,
    /// What is on the current page and was not returned yet.
    ready: VecDeque<Listed>,
    ended: bool,
}

impl Pages {
    const fn new(store: Arc<dyn Store>, prefix: String, has_folders: bool) -> Self {
        Self { store, prefix, has_folders, after: None, ready: VecDeque::new(), ended: false }
    }

    fn stream(self) -> BoxStream<'static, Result<Listed, StoreError>> {
        stream::try_unfold(self, |mut pages| async move {
            Ok(pages.next().await?.map(|listed| (listed, pages)))
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Listed>, StoreError> {
        while self.ready.is_empty() && !self.ended {
            let (prefix, after) = (&self.prefix, self.after.as_deref());
            let page = match self.has_folders {
                true => self.store.list_folder(prefix, after).await?,
                false => self.store.list(prefix, after).await?,
            };
            let mut listed: Vec<Listed> = page.entries.into_iter().map(Listed::Object).collect();
            if self.has_folders {
                listed.extend(page.folders.into_iter().map(Listed::Folder));
                listed.sort_by(|one, other| one.name().cmp(other.name()));
            }
            self.check(listed.iter().map(Listed::name), page.next)?;
            self.ready = listed.into();
        }
        Ok(self.ready.pop_front())
    }

    /// Checks the names on a page, and notes where the next one begins.
    fn check<'a>(
        &mut self,
        mut names: impl Iterator<Item = &'a str>,
        next: Option<String>,
    ) -> Result<(), StoreError> {
        if names.any(|name| !name.starts_with(&self.prefix)) {
            let words = "the listing has objects that were not asked for";
            return Err(StoreError::Malformed(words.to_owned()));
        }
        match next {
            None => self.ended = true,
            next if next > self.after => self.after = next,
            _ => {
                return Err(StoreError::Malformed(OUT_OF_ORDER.to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use bytes::Bytes;
    use futures_util::TryStreamExt as _;

    use super::*;
    use crate::{
        GetOptions, Headers, Object, ObjectMeta, Page, PutOptions, PutResult, Upload, UploadedPart,
    };

    /// A store that answers with these pages, whatever it is asked.
    #[derive(Debug)]
    struct Recorded(Mutex<VecDeque<(Vec<&'static str>, Option<&'static str>)>>);

    #[async_trait]
    impl Store for Recorded {
        fn vendor(&self) -> Option<meta_codec::Vendor> {
            None
        }

        async fn list(&self, _: &str, _: Option<&str>) -> Result<Page, StoreError> {
            let mut pages = self.0.lock().unwrap();
            let (keys, next) = pages.pop_front().unwrap();
            // It could go on for ever.
            pages.push_back((keys.clone(), next));
            let entries = keys.into_iter().map(|key| Entry::new(key, 0, "")).collect();
            Ok(Page::new(entries, next.map(str::to_owned)))
        }

        async fn head(&self, _: &str) -> Result<ObjectMeta, StoreError> {
            Err(StoreError::NotFound)
        }

        async fn get(&self, _: &str, _: GetOptions) -> Result<Object, StoreError> {
            Err(StoreError::NotFound)
        }

        async fn put(
            &self,
            _: &str,
            _: Bytes,
            _: &Headers,
            _: PutOptions,
        ) -> Result<PutResult, StoreError> {
            Err(StoreError::NotFound)
        }

        async fn create_multipart(
            &self,
            _: &str,
            _: &Headers,
            _: PutOptions,
        ) -> Result<Upload, StoreError> {
            Err(StoreError::NotFound)
        }

        async fn upload_part(
            &self,
            _: &Upload,
            _: u16,
            _: Bytes,
            _: &Headers,
        ) -> Result<PutResult, StoreError> {
            Err(StoreError::NoUpload)
        }

        async fn list_parts(&self, _: &Upload) -> Result<Vec<UploadedPart>, StoreError> {
            Err(StoreError::NoUpload)
        }

        async fn complete(
            &self,
            _: &Upload,
            _: &[(u16, String)],
            _: &Headers,
            _: PutOptions,
        ) -> Result<PutResult, StoreError> {
            Err(StoreError::NoUpload)
        }

        async fn abort(&self, _: &Upload) -> Result<(), StoreError> {
            Ok(())
        }

        async fn delete(&self, _: &str) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_listing_is_complete_or_an_error() {
        type Pages = Vec<(Vec<&'static str>, Option<&'static str>)>;
        let all = |pages: Pages| {
            let store: Arc<dyn Store> = Arc::new(Recorded(Mutex::new(pages.into())));
            list_all(store, "a").map_ok(|entry| entry.key).try_collect::<Vec<String>>()
        };
        let good = vec![(vec!["a1", "a2"], Some("a2")), (vec![], Some("a3")), (vec!["a4"], None)];
        assert_eq!(all(good).await.unwrap(), ["a1", "a2", "a4"]);
        for bad in [
            // The same page again; a circle; backwards; objects of somebody else.
            vec![(vec!["a1"], Some("a1"))],
            vec![(vec!["a1"], Some("a1")), (vec!["a2"], Some("a2"))],
            vec![(vec!["a2"], Some("a2")), (vec!["a1"], Some("a1")), (vec![], None)],
            vec![(vec!["a1", "b"], None)],
            vec![(vec![], Some(""))],
        ] {
            let outcome = all(bad.clone()).await;
            assert!(matches!(outcome, Err(StoreError::Malformed(_))), "{bad:?}");
        }
    }
}
