//! A store in memory, for tests and for programs without a store.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use envelope_core::Crc64;
use futures_util::{StreamExt as _, stream};
use meta_codec::Vendor;

use crate::{
    Entry, GetOptions, Headers, Object, ObjectMeta, Page, PutOptions, PutResult, Store, StoreError,
    Upload, UploadedPart,
};

/// A store in memory that accepts any headers and part sizes.
///
/// ```
/// use envelope_store::{MemoryStore, Store, StoreError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = MemoryStore::new();
/// assert!(matches!(store.head("a/key").await, Err(StoreError::NotFound)));
/// # }
/// ```
#[derive(Default)]
pub struct MemoryStore(Mutex<State>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Kept>,
    uploads: BTreeMap<String, Begun>,
    /// Number of versions and uploads so far, from which unique entity tags and IDs are derived.
    count: u64,
}

struct Kept {
    bytes: Bytes,
    headers: Headers,
    etag: String,
    crc64: u64,
}

struct Begun {
    key: String,
    headers: Headers,
    parts: BTreeMap<u16, Kept>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore")
    }
}

impl MemoryStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn kept(&mut self, bytes: Bytes, headers: Headers) -> Kept {
        self.count = self.count.saturating_add(1);
        let mut sum = Crc64::new();
        sum.update(&bytes);
        Kept { etag: format!("\"{:016X}\"", self.count), crc64: sum.value(), bytes, headers }
    }

    fn object(&self, key: &str) -> Result<&Kept, StoreError> {
        self.objects.get(key).ok_or(StoreError::NotFound)
    }
}

impl Kept {
    fn head(&self) -> ObjectMeta {
        let mut headers = self.headers.clone();
        headers.push(("content-length".to_owned(), self.bytes.len().to_string()));
        ObjectMeta {
            len: self.bytes.len() as u64,
            etag: self.etag.clone(),
            crc64: Some(self.crc64),
            version_id: None,
            modified: None,
            headers,
        }
    }

    fn stored(&self) -> PutResult {
        PutResult::new(self.etag.clone(), Some(self.crc64))
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn vendor(&self) -> Option<Vendor> {
        None
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        Ok(self.state().object(key)?.head())
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object, StoreError> {
        let state = self.state();
        let kept = state.object(key)?;
        if options.if_match.is_some_and(|wanted| wanted != kept.etag) {
            return Err(StoreError::Changed);
        }
        let head = kept.head();
        let wanted = options.range.unwrap_or(0..head.len);
        let wanted = wanted.start..wanted.end.min(head.len);
        let slice = usize::try_from(wanted.start)
            .ok()
            .zip(usize::try_from(wanted.end).ok())
            .filter(|(start, end)| start <= end)
            .map(|(start, end)| kept.bytes.slice(start..end))
            .ok_or_else(|| StoreError::Malformed("the range starts past the end".to_owned()))?;
        Ok(Object::new(head, wanted, stream::iter([Ok(slice)]).boxed()))
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        let mut state = self.state();
        if options.create_only && state.objects.contains_key(key) {
            return Err(StoreError::Exists);
        }
        let kept = state.kept(body, headers.clone());
        let stored = kept.stored();
        state.objects.insert(key.to_owned(), kept);
        Ok(stored)
    }

    async fn create_multipart(
        &self,
        key: &str,
        headers: &Headers,
        _options: PutOptions,
    ) -> Result<Upload, StoreError> {
        let mut state = self.state();
        state.count = state.count.saturating_add(1);
        let id = state.count.to_string();
        let begun = Begun { key: key.to_owned(), headers: headers.clone(), parts: BTreeMap::new() };
        state.uploads.insert(id.clone(), begun);
        Ok(Upload::new(key, id))
    }

    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        _headers: &Headers,
    ) -> Result<PutResult, StoreError> {
        let mut state = self.state();
        let kept = state.kept(body, Headers::new());
        let stored = kept.stored();
        let begun = state.uploads.get_mut(&upload.id).ok_or(StoreError::NoUpload)?;
        begun.parts.insert(number, kept);
        Ok(stored)
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<UploadedPart>, StoreError> {
        let state = self.state();
        let begun = state.uploads.get(&upload.id).ok_or(StoreError::NoUpload)?;
        let arrived = begun.parts.iter().map(|(number, part)| UploadedPart {
            number: *number,
            etag: part.etag.clone(),
            len: part.bytes.len() as u64,
        });
        Ok(arrived.collect())
    }

    async fn complete(
        &self,
        upload: &Upload,
        parts: &[(u16, String)],
        _headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        let mut state = self.state();
        let begun = state.uploads.get(&upload.id).ok_or(StoreError::NoUpload)?;
        if options.create_only && state.objects.contains_key(&begun.key) {
            return Err(StoreError::Exists);
        }
        let mut whole = BytesMut::new();
        for (number, etag) in parts {
            let part = begun.parts.get(number).filter(|part| part.etag == *etag);
            whole.extend_from_slice(&part.ok_or(StoreError::Changed)?.bytes);
        }
        let (key, headers) = (begun.key.clone(), begun.headers.clone());
        state.uploads.remove(&upload.id);
        let kept = state.kept(whole.freeze(), headers);
        let stored = kept.stored();
        state.objects.insert(key, kept);
        Ok(stored)
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        self.state().uploads.remove(&upload.id);
        Ok(())
    }

    async fn list_multipart_uploads(&self, key: &str) -> Result<Vec<Upload>, StoreError> {
        let state = self.state();
        let open = state.uploads.iter().filter(|(_, begun)| begun.key == key);
        Ok(open.map(|(id, _)| Upload::new(key, id)).collect())
    }

    async fn list_uploads(
        &self,
        prefix: &str,
        after: Option<&Upload>,
    ) -> Result<(Vec<Upload>, bool), StoreError> {
        let state = self.state();
        let open = state.uploads.iter().filter(|(_, begun)| begun.key.starts_with(prefix));
        let mut open: Vec<Upload> = open.map(|(id, begun)| Upload::new(&begun.key, id)).collect();
        open.sort_by(|one, other| (&one.key, &one.id).cmp(&(&other.key, &other.id)));
        open.retain(|it| after.is_none_or(|after| (&it.key, &it.id) > (&after.key, &after.id)));
        Ok((open, false))
    }

    async fn copy_replace_metadata(
        &self,
        key: &str,
        if_match: &str,
        headers: &Headers,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let kept = state.object(key)?;
        if kept.etag != if_match {
            return Err(StoreError::Changed);
        }
        let bytes = kept.bytes.clone();
        let kept = state.kept(bytes, headers.clone());
        state.objects.insert(key.to_owned(), kept);
        Ok(())
    }

    async fn is_created_with(
        &self,
        upload: &Upload,
        headers: &Headers,
    ) -> Result<Option<bool>, StoreError> {
        let state = self.state();
        let begun = state.uploads.get(&upload.id).ok_or(StoreError::NoUpload)?;
        Ok(Some(begun.headers == *headers))
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        let state = self.state();
        let found = state.objects.iter().filter(|(key, _)| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        });
        let mut entries: Vec<Entry> = found
            .take(1001)
            .map(|(key, kept)| Entry {
                key: key.clone(),
                len: kept.bytes.len() as u64,
                etag: kept.etag.clone(),
                modified: None,
            })
            .collect();
        let more = entries.len() > 1000;
        entries.truncate(1000);
        let next = entries.last().filter(|_| more).map(|entry| entry.key.clone());
        Ok(Page::new(entries, next))
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.state().objects.remove(key);
        Ok(())
    }
}
