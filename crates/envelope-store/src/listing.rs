//! Listings of many pages, which must be complete.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{Stream, StreamExt as _, stream};

use crate::{Entry, Store, StoreError};

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
    let pages =
        Pages { store, prefix: prefix.into(), after: None, ready: VecDeque::new(), ended: false };
    stream::try_unfold(pages, |mut pages| async move {
        Ok(pages.next().await?.map(|entry| (entry, pages)))
    })
    .boxed()
}

struct Pages {
    store: Arc<dyn Store>,
    prefix: String,
    after: Option<String>,
    /// The entries of the current page that were not returned yet.
    ready: VecDeque<Entry>,
    ended: bool,
}

impl Pages {
    async fn next(&mut self) -> Result<Option<Entry>, StoreError> {
        while self.ready.is_empty() && !self.ended {
            let page = self.store.list(&self.prefix, self.after.as_deref()).await?;
            if page.entries.iter().any(|entry| !entry.key.starts_with(&self.prefix)) {
                let words = "the listing has objects that were not asked for";
                return Err(StoreError::Malformed(words.to_owned()));
            }
            self.ready = page.entries.into();
            match page.next {
                None => self.ended = true,
                next if next > self.after => self.after = next,
                _ => {
                    let words = "the pages of the listing do not follow each other";
                    return Err(StoreError::Malformed(words.to_owned()));
                }
            }
        }
        Ok(self.ready.pop_front())
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
