//! One budget of requests and memory for many transfers.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use meta_codec::Vendor;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Body, CopyOptions, CopySource, GetOptions, Headers, Object, ObjectMeta, Page, PresignedMethod,
    PutOptions, PutResult, RateLimit, Restore, Store, StoreError, Upload, UploadedPart,
    VersionMarker, VersionPage,
};

/// The unit in which memory is counted, in bytes.
const UNIT: u64 = 64 << 10;
/// The unit in which speed is counted, in bytes.
const LINE_UNIT: u64 = 1 << 10;

/// How many requests may be in flight, and how much memory parts may take, in all transfers that
/// share it: large objects and small ones, and the parts of each. Clones share the budget.
///
/// A request takes its place in the order in which it asks for it, so a large object does not wait
/// for many small ones, nor they for it.
///
/// ```
/// use std::sync::Arc;
///
/// use envelope_store::{Budget, Get, MemoryStore};
///
/// let budget = Budget::new(16, 128 << 20);
/// let store = budget.store(Arc::new(MemoryStore::new()));
/// let (first, second) = (Get::new(store.clone(), "a"), Get::new(store, "b"));
/// ```
#[derive(Clone)]
pub struct Budget {
    requests: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    /// All the memory there is, in units.
    all_memory: u32,
    line: Option<RateLimit>,
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Budget")
    }
}

/// Memory that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Memory(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

impl Budget {
    /// Creates a budget of this many requests in flight, and this many bytes of memory.
    ///
    /// The memory is for the parts, ranges and small objects that are being encrypted, sent or
    /// received, each of which is in memory as a whole. One that is larger than the budget has to
    /// itself all of it.
    #[must_use]
    pub fn new(requests: usize, memory: u64) -> Self {
        let all_memory = u32::try_from(memory.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        let most = Semaphore::MAX_PERMITS;
        let memory = usize::try_from(all_memory).unwrap_or(most).min(most);
        Self {
            requests: Arc::new(Semaphore::new(requests.clamp(1, most))),
            memory: Arc::new(Semaphore::new(memory)),
            all_memory,
            line: None,
        }
    }

    /// Sets the most that bodies may move in both directions together, in units of 1024 bytes a
    /// second.
    #[must_use]
    pub fn with_line(mut self, limit: RateLimit) -> Self {
        self.line = Some(limit);
        self
    }

    /// Returns a store whose requests, and whose transfers, are within this budget.
    #[must_use]
    pub fn store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        // A request that took two places could wait for itself.
        if store.budget().is_some_and(|own| Arc::ptr_eq(&own.requests, &self.requests)) {
            return store;
        }
        Arc::new(BudgetedStore { store, budget: self.clone() })
    }

    /// Waits for memory. Whoever holds memory may wait for a request, but not the other way round.
    async fn memory(&self, bytes: u64) -> Memory {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.all_memory);
        // The semaphore is never closed.
        Memory(Arc::clone(&self.memory).acquire_many_owned(units).await.ok())
    }

    async fn request(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.requests).acquire_owned().await.ok()
    }

    /// Waits until this many bytes may move.
    async fn move_bytes(&self, bytes: usize) {
        if let Some(line) = &self.line {
            line.take((bytes as u64).div_ceil(LINE_UNIT)).await;
        }
    }
}

/// Waits for memory in which a part of an object has room, if the store has a budget.
pub(crate) async fn memory_for(store: &dyn Store, bytes: u64) -> Option<Memory> {
    match store.budget() {
        Some(budget) => Some(budget.memory(bytes).await),
        None => None,
    }
}

/// Waits until a body of this many bytes may be sent, if the store has a budget. Whoever sends
/// [only once](PutOptions::only_once) waits here first, because the store does not.
pub(crate) async fn line_for(store: &dyn Store, bytes: usize) {
    if let Some(budget) = store.budget() {
        budget.move_bytes(bytes).await;
    }
}

/// A store whose requests are within a budget.
#[derive(Debug)]
struct BudgetedStore {
    store: Arc<dyn Store>,
    budget: Budget,
}

/// Calls a method of the store, within the budget.
macro_rules! within {
    ($self:ident, $call:ident($($argument:expr),*)) => {{
        let _held = $self.budget.request().await;
        $self.store.$call($($argument),*).await
    }};
}

#[async_trait]
impl Store for BudgetedStore {
    fn vendor(&self) -> Option<Vendor> {
        self.store.vendor()
    }

    fn budget(&self) -> Option<&Budget> {
        Some(&self.budget)
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        within!(self, head(key))
    }

    /// The request is in flight until its body has ended or is dropped.
    async fn get(&self, key: &str, options: GetOptions) -> Result<Object, StoreError> {
        let held = self.budget.request().await;
        let Object { meta, bytes, body } = self.store.get(key, options).await?;
        Ok(Object { meta, bytes, body: counted(body, self.budget.clone(), held) })
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        if !options.only_once {
            self.budget.move_bytes(body.len()).await;
        }
        within!(self, put(key, body, headers, options))
    }

    async fn create_multipart(
        &self,
        key: &str,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<Upload, StoreError> {
        within!(self, create_multipart(key, headers, options))
    }

    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        headers: &Headers,
    ) -> Result<PutResult, StoreError> {
        self.budget.move_bytes(body.len()).await;
        within!(self, upload_part(upload, number, body, headers))
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<UploadedPart>, StoreError> {
        within!(self, list_parts(upload))
    }

    async fn complete(
        &self,
        upload: &Upload,
        parts: &[(u16, String)],
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        within!(self, complete(upload, parts, headers, options))
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        within!(self, abort(upload))
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        within!(self, delete(key))
    }

    async fn delete_once(&self, key: &str) -> Result<(), StoreError> {
        within!(self, delete_once(key))
    }

    async fn delete_many(
        &self,
        keys: &[String],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        within!(self, delete_many(keys))
    }

    async fn delete_version(&self, key: &str, version_id: &str) -> Result<(), StoreError> {
        within!(self, delete_version(key, version_id))
    }

    fn at_version(&self, key: &str, version_id: &str) -> Option<Arc<dyn Store>> {
        Some(self.budget.store(self.store.at_version(key, version_id)?))
    }

    fn is_pinned(&self, key: &str) -> bool {
        self.store.is_pinned(key)
    }

    async fn list_versions(
        &self,
        prefix: &str,
        after: Option<&VersionMarker>,
    ) -> Result<VersionPage, StoreError> {
        within!(self, list_versions(prefix, after))
    }

    async fn list_multipart_uploads(&self, key: &str) -> Result<Vec<Upload>, StoreError> {
        within!(self, list_multipart_uploads(key))
    }

    async fn list_uploads(
        &self,
        prefix: &str,
        after: Option<&Upload>,
    ) -> Result<(Vec<Upload>, bool), StoreError> {
        within!(self, list_uploads(prefix, after))
    }

    async fn is_created_with(
        &self,
        upload: &Upload,
        headers: &Headers,
    ) -> Result<Option<bool>, StoreError> {
        within!(self, is_created_with(upload, headers))
    }

    async fn copy_replace_metadata(
        &self,
        key: &str,
        if_match: &str,
        headers: &Headers,
    ) -> Result<(), StoreError> {
        within!(self, copy_replace_metadata(key, if_match, headers))
    }

    fn copy_source(&self, key: &str, meta: &ObjectMeta) -> Option<CopySource> {
        self.store.copy_source(key, meta)
    }

    fn can_copy(&self, source: &CopySource) -> bool {
        self.store.can_copy(source)
    }

    async fn copy(
        &self,
        source: &CopySource,
        key: &str,
        headers: &Headers,
        options: CopyOptions,
    ) -> Result<PutResult, StoreError> {
        within!(self, copy(source, key, headers, options))
    }

    async fn copy_part(
        &self,
        source: &CopySource,
        bytes: Range<u64>,
        upload: &Upload,
        number: u16,
    ) -> Result<PutResult, StoreError> {
        within!(self, copy_part(source, bytes, upload, number))
    }

    async fn presign(
        &self,
        method: PresignedMethod,
        key: &str,
        headers: &Headers,
        valid: Duration,
    ) -> Result<String, StoreError> {
        self.store.presign(method, key, headers, valid).await
    }

    async fn tags(&self, key: &str) -> Result<Vec<(String, String)>, StoreError> {
        within!(self, tags(key))
    }

    async fn access(&self, key: &str) -> Result<Option<String>, StoreError> {
        within!(self, access(key))
    }

    async fn restore(&self, key: &str, restore: &Restore) -> Result<(), StoreError> {
        within!(self, restore(key, restore))
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        within!(self, list(prefix, after))
    }

    async fn list_folder(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        within!(self, list_folder(prefix, after))
    }
}

/// Returns a body that holds the place of its request until it ends. After an error nothing more
/// comes, and whoever goes on needs a new request.
fn counted(body: Body, budget: Budget, held: Option<OwnedSemaphorePermit>) -> Body {
    let begin = Some((body, budget, held));
    let bodies = stream::unfold(begin, |state| async move {
        let (mut body, budget, held) = state?;
        match body.next().await? {
            Ok(chunk) => {
                budget.move_bytes(chunk.len()).await;
                Some((Ok(chunk), Some((body, budget, held))))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    bodies.boxed()
}

#[cfg(test)]
mod tests {
    use std::{
        num::NonZeroU32,
        sync::atomic::{AtomicUsize, Ordering},
        time::{Duration, Instant},
    };

    use futures_util::{TryStreamExt as _, future::join_all};

    use super::*;
    use crate::MemoryStore;

    #[tokio::test]
    async fn a_body_holds_its_request_until_it_ends() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let bytes = Bytes::from(vec![1; 100]);
        store.put("key", bytes, &Vec::new(), PutOptions::default()).await.unwrap();
        let budget = Budget::new(1, 1);
        let store = budget.store(store);
        let free = || budget.requests.available_permits();
        let mut object = store.get("key", GetOptions::default()).await.unwrap();
        assert_eq!(free(), 0);
        while object.body.try_next().await.unwrap().is_some() {}
        assert_eq!(free(), 1, "the end of a body is the end of its request");
        drop(object);
        let object = store.get("key", GetOptions::default()).await.unwrap();
        assert_eq!(free(), 0);
        drop(object);
        assert_eq!(free(), 1);
        let broken: Body = stream::iter([Err(StoreError::NotFound)]).boxed();
        let mut body = counted(broken, budget.clone(), budget.request().await);
        assert_eq!(free(), 0);
        assert!(body.try_next().await.is_err());
        assert_eq!(free(), 1, "who goes on after an error asks for another request");
        assert!(body.try_next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn memory_is_shared_and_the_largest_has_all_of_it() {
        let budget = Budget::new(1, 10 * UNIT);
        let free = || budget.memory.available_permits();
        let small = budget.memory(UNIT + 1).await;
        assert_eq!(free(), 8);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = (0..20).map(|_| async {
            let _held = budget.memory(3 * UNIT).await;
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
            now.fetch_sub(1, Ordering::Relaxed);
        });
        join_all(work).await;
        assert_eq!(most.into_inner(), 2, "two of three units each fit into eight");
        drop(small);
        let _all = budget.memory(u64::MAX).await;
        assert_eq!(free(), 0);
    }

    #[tokio::test]
    async fn the_line_is_shared_by_both_directions() {
        let line = RateLimit::per_second(NonZeroU32::new(100).unwrap());
        let budget = Budget::new(8, 1 << 20).with_line(line);
        let store = budget.store(Arc::new(MemoryStore::new()));
        let begun = Instant::now();
        let body = Bytes::from(vec![1; 100 << 10]);
        store.put("key", body, &Vec::new(), PutOptions::default()).await.unwrap();
        let mut object = store.get("key", GetOptions::default()).await.unwrap();
        while object.body.try_next().await.unwrap().is_some() {}
        assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    }
}
