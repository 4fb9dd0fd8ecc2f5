//! A store whose responses are not what was asked for.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use envelope_store::{
    GetOptions, Headers, MemoryStore, Object, ObjectMeta, PutOptions, PutResult, Store, StoreError,
    Upload, UploadedPart,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

/// What a [`Liar`] does with a response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lie {
    /// The body of a request for a range has another byte here.
    SecondRead(usize),
    /// Sends so many bytes more than it announces.
    Body(i64),
    /// Sends the bytes of another range.
    Range,
    /// Sends another version of the object, with another entity tag or another length.
    Etag,
    Len,
    /// Fails for every range but the first.
    LaterRanges,
    /// Says another time of modification at every request, of an object with an entity tag or
    /// without one.
    Time,
    TimeAndNoEtag,
    /// Says that the object has so many bytes.
    Long(u64),
    /// Breaks off the first body behind so many bytes. The second one has a tag or none.
    BreaksOff(usize),
    BreaksOffAndNoEtag(usize),
    None,
}

impl Lie {
    /// Whether the object has no entity tag, like a file that somebody copied into a folder.
    pub(crate) const fn hides_etag(self) -> bool {
        matches!(self, Self::TimeAndNoEtag | Self::BreaksOffAndNoEtag(_))
    }
}

/// A store whose responses to `get` are not what was asked for.
#[derive(Debug)]
pub(crate) struct Liar(MemoryStore, Mutex<Lie>, AtomicU64);

impl Liar {
    pub(crate) fn new(lie: Lie) -> Self {
        Self(MemoryStore::new(), Mutex::new(lie), AtomicU64::new(0))
    }

    /// Returns how many requests told of the object so far.
    pub(crate) fn requests(&self) -> u64 {
        self.2.load(Ordering::Relaxed)
    }

    /// Sets the lie from now on.
    pub(crate) fn lie(&self, lie: Lie) {
        *self.1.lock().unwrap() = lie;
    }

    /// Changes what the lie changes in metadata.
    fn told(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let lie = *self.1.lock().unwrap();
        if lie.hides_etag() {
            meta.etag = "\"\"".to_owned();
        }
        let number = self.2.fetch_add(1, Ordering::Relaxed);
        if matches!(lie, Lie::Time | Lie::TimeAndNoEtag) {
            meta.modified = Some(number.to_string());
        }
        if let Lie::Long(len) = lie {
            meta.len = len;
        }
        meta
    }
}

#[async_trait::async_trait]
impl Store for Liar {
    fn vendor(&self) -> Option<meta_codec::Vendor> {
        None
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        Ok(self.told(self.0.head(key).await?))
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object, StoreError> {
        let lie = *self.1.lock().unwrap();
        if lie == Lie::LaterRanges && options.range.as_ref().is_some_and(|range| range.start > 0) {
            return Err(StoreError::NotFound);
        }
        let is_ranged = options.range.is_some();
        let mut object = self.0.get(key, options).await?;
        object.meta = self.told(object.meta);
        match lie {
            Lie::Body(wrong) => {
                object.meta.crc64 = None;
                let len = object.bytes.end - object.bytes.start;
                let len = usize::try_from(len.saturating_add_signed(wrong)).unwrap();
                let body = stream::iter([Ok(Bytes::from(vec![7; len]))]).boxed();
                object = Object::new(object.meta, object.bytes, body);
            }
            // Where the first read had one byte, the second has another.
            Lie::SecondRead(at) if is_ranged => {
                let mut body: Vec<u8> = object
                    .body
                    .try_fold(Vec::new(), |mut all, chunk| async move {
                        all.extend_from_slice(&chunk);
                        Ok(all)
                    })
                    .await?;
                body[at] ^= 1;
                let body = stream::iter([Ok(Bytes::from(body))]).boxed();
                object = Object::new(object.meta, object.bytes, body);
            }
            Lie::Range => object.bytes = object.bytes.start..object.bytes.end - 1,
            Lie::Etag => object.meta.etag = "\"another\"".to_owned(),
            Lie::Len => object.meta.len += 1,
            Lie::BreaksOff(at) | Lie::BreaksOffAndNoEtag(at) => {
                let body = object.body.take(usize::from(at > 0)).map_ok(move |it| it.slice(..at));
                let error = StoreError::Unavailable("the line is down".to_owned());
                let body = body.chain(stream::iter([Err(error)])).boxed();
                object = Object::new(object.meta, object.bytes, body);
                *self.1.lock().unwrap() =
                    if lie.hides_etag() { Lie::TimeAndNoEtag } else { Lie::None };
            }
            Lie::LaterRanges
            | Lie::None
            | Lie::SecondRead(_)
            | Lie::Long(_)
            | Lie::Time
            | Lie::TimeAndNoEtag => {}
        }
        Ok(object)
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        self.0.put(key, body, headers, options).await
    }

    async fn create_multipart(
        &self,
        _: &str,
        _: &Headers,
        _: PutOptions,
    ) -> Result<Upload, StoreError> {
        Err(StoreError::Unsupported("parts"))
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

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.delete(key).await
    }
}
