//! Downloads.

mod download_journal;
mod file;
mod result;

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use envelope_core::{
    ByteRange, Crc64, Decryptor, EncryptError, Envelope, IntegrityError, PlainCheck,
    check_body_len,
    io::{DecryptStream, FirstRead, SecondRead},
    plain_len,
};
use futures_util::{
    StreamExt as _, TryStreamExt as _, future,
    stream::{self, BoxStream},
};

pub use self::result::GetResult;
use crate::{
    Body, Event, GetOptions, Object, ObjectMeta, RetryPolicy, Store, StoreError, TransferError,
    body::check_crc64,
    inspector::Inspector,
    object_envelope::{envelope_of, is_elsewhere},
    object_name::named,
    progress::ProgressListener,
    retry::again,
};

/// A download of one object.
///
/// What may be read is decided by the [policy](envelope_core::Policy) of the decryptor. A seal that
/// is bound to the name of its object is compared with the key, unless the decryptor has another
/// [name](Decryptor::with_name).
///
/// Master keys are used on threads that may block, so that a key in a KMS blocks no task. Every
/// future can be dropped at any time.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, Dialect, Encryptor};
/// # use envelope_store::{MemoryStore, Put};
/// use std::sync::Arc;
///
/// use envelope_core::{ByteRange, Decryptor, Keyring};
/// use envelope_store::{Get, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = AesKeyWrapper::generate()?;
/// let store: Arc<dyn Store> = Arc::new(MemoryStore::new()); // or a `Bucket`, or a `FolderStore`
/// # let encryptor = Encryptor::new(&key, Dialect::COS_V2);
/// # Put::new(store.clone(), "a/key").stream(&b"a file"[..], None, &encryptor).await?;
/// let decryptor = Decryptor::new(&Keyring::new().with(key));
/// let get = Get::new(store, "a/key");
/// assert_eq!(get.decrypt(&decryptor).await?.read_to_end().await?, b"a file");
///
/// let range = ByteRange::suffix(4);
/// assert_eq!(get.decrypt_range(&decryptor, range).await?.read_to_end().await?, b"file");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Get {
    store: Arc<dyn Store>,
    key: String,
    part_size: u64,
    concurrency: usize,
    listener: ProgressListener,
    retry: RetryPolicy,
    inspector: Inspector,
    listed_len: Option<u64>,
}

/// An object whose body is arriving.
struct Opened {
    meta: ObjectMeta,
    envelope: Option<Envelope>,
    bytes: Range<u64>,
    body: PlainBody,
}

/// Plaintext that arrives piece by piece, and may turn out to be invalid at the end.
pub(crate) type PlainBody = BoxStream<'static, Result<Bytes, TransferError>>;

impl Get {
    /// Creates a download of the object under `key`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, key: impl Into<String>) -> Self {
        Self {
            store,
            key: key.into(),
            part_size: 8 << 20,
            concurrency: 4,
            listener: ProgressListener::default(),
            retry: RetryPolicy::default(),
            inspector: Inspector::default(),
            listed_len: None,
        }
    }

    /// Sets the size of the ranges in which a large object is downloaded to a file, 8 MiB by
    /// default. It is rounded down to a multiple of 16.
    #[must_use]
    pub const fn with_part_size(mut self, bytes: u64) -> Self {
        self.part_size = if bytes < 16 { 16 } else { bytes & !15 };
        self
    }

    /// Sets the number of ranges downloaded concurrently and held in memory, 4 by default.
    #[must_use]
    pub const fn with_concurrency(mut self, ranges: usize) -> Self {
        self.concurrency = if ranges == 0 { 1 } else { ranges };
        self
    }

    /// Sets how many bytes are stored, as a listing says. A small object is then
    /// [downloaded to a file](Self::to_file) with one request instead of two.
    #[must_use]
    pub const fn with_listed_len(mut self, len: u64) -> Self {
        self.listed_len = Some(len);
        self
    }

    /// Sets the retry policy for resuming a body that breaks off. The store retries everything
    /// else.
    #[must_use]
    pub const fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the function that is called with every event.
    #[must_use]
    pub fn with_progress(mut self, notify: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.listener = ProgressListener::new(notify);
        self
    }

    /// Sets a function that sees the envelope before anything is decrypted, for example to warn of
    /// its weaknesses.
    #[must_use]
    pub fn with_inspector(mut self, inspect: impl Fn(&Envelope) + Send + Sync + 'static) -> Self {
        self.inspector = Inspector::new(inspect);
        self
    }

    /// Decrypts the whole object. Headers and bytes come with one response. At the end of the
    /// stream everything that can be checked is: the length, the store's checksum, the seal, GCM's
    /// authentication tag, CBC's padding, and the MD5 in the metadata. **Until then the plaintext
    /// is unverified**; its last bytes are held back until then. The future can be dropped at any
    /// time.
    ///
    /// # Errors
    /// Any [`TransferError`].
    pub async fn decrypt(&self, decryptor: &Decryptor) -> Result<GetResult, TransferError> {
        let Opened { meta, envelope, bytes: _, body } = self.open(decryptor).await?;
        self.whole(decryptor, meta, envelope, body).await
    }

    /// As [`decrypt`](Self::decrypt), but reads the object twice: the first time to verify all of
    /// it, and the second time to return what is the same as before. **Nothing unverified is
    /// returned**, however large the object is. The future can be dropped at any time.
    ///
    /// # Errors
    /// Any [`TransferError`]. The stream ends with [`IntegrityError::Changed`] where the body
    /// differs from the one that was verified.
    pub async fn decrypt_verified(
        &self,
        decryptor: &Decryptor,
    ) -> Result<GetResult, TransferError> {
        let Opened { meta, envelope, bytes, body } = self.open(decryptor).await?;
        let read = FirstRead::new().map_err(EncryptError::from)?;
        let read = Arc::new(Mutex::new(read));
        let first = Arc::clone(&read);
        let body = body.inspect_ok(move |chunk| {
            first.lock().unwrap_or_else(PoisonError::into_inner).update(chunk);
        });
        let quiet = Self { listener: ProgressListener::default(), ..self.clone() };
        let result = quiet.whole(decryptor, meta.clone(), envelope.clone(), body.boxed()).await?;
        let mut plain = result.into_stream();
        while plain.try_next().await?.is_some() {}
        drop(plain);
        let read = read.lock().unwrap_or_else(PoisonError::into_inner).clone().finish();
        let body = self.range(&meta, bytes).await?;
        let again = Self { inspector: Inspector::default(), ..self.clone() };
        again.whole(decryptor, meta, envelope, second(body, read)).await
    }

    /// Asks for the whole object, and for its envelope.
    async fn open(&self, decryptor: &Decryptor) -> Result<Opened, TransferError> {
        let Object { meta, bytes, body } = self.store.get(&self.key, GetOptions::default()).await?;
        // Whoever holds one request and waits for another can wait for ever.
        let body = (!is_elsewhere(&*self.store, &meta)).then_some(body);
        let envelope = self.envelope(&meta).await?;
        decryptor.policy().admit(envelope.as_ref())?;
        let body = match body {
            Some(body) => self.steady(&meta, bytes.clone(), body),
            None => self.range(&meta, bytes.clone()).await?,
        };
        Ok(Opened { meta, envelope, bytes, body })
    }

    /// Decrypts a whole body.
    async fn whole(
        &self,
        decryptor: &Decryptor,
        meta: ObjectMeta,
        envelope: Option<Envelope>,
        body: PlainBody,
    ) -> Result<GetResult, TransferError> {
        envelope.iter().for_each(|envelope| self.inspector.inspect(envelope));
        let body = summed(body, meta.crc64);
        let Some(envelope) = envelope else {
            let bytes = 0..meta.len;
            return Ok(GetResult::new(meta, None, Some(bytes), self.counted(body)));
        };
        let plain_len = plain_len(&envelope, meta.len)?;
        let cipher = named(decryptor, &self.key).decrypt_async(&envelope).await?;
        self.warn_of_short_key(cipher.key_bits());
        let body = DecryptStream::new(body, cipher).with_check(PlainCheck::new(&envelope));
        let (body, bytes) = (self.counted(body.boxed()), plain_len.map(|len| 0..len));
        Ok(GetResult::new(meta, Some(envelope), bytes, body))
    }

    /// Decrypts a range of the plaintext. Nothing can be checked except the seal of the metadata,
    /// and that the bytes are those of the range, all of one version of the object.
    /// The future can be dropped at any time.
    ///
    /// # Errors
    /// Any [`TransferError`], also if the content algorithm has no ranges, or the policy does not
    /// allow unauthenticated ones.
    pub async fn decrypt_range(
        &self,
        decryptor: &Decryptor,
        range: ByteRange,
    ) -> Result<GetResult, TransferError> {
        let meta = self.store.head(&self.key).await?;
        let envelope = self.envelope(&meta).await?;
        envelope.iter().for_each(|envelope| self.inspector.inspect(envelope));
        decryptor.policy().admit_range(envelope.as_ref())?;
        let Some(envelope) = envelope else {
            let wanted = range.resolve(meta.len)?;
            let body = self.range(&meta, wanted.clone()).await?;
            return Ok(GetResult::new(meta, None, Some(wanted), self.counted(body)));
        };
        check_body_len(&envelope, meta.len)?;
        let decryptor = named(decryptor, &self.key);
        let cipher = decryptor.decrypt_range_async(&envelope).await?;
        self.warn_of_short_key(cipher.key_bits());
        let len = envelope.content_algorithm().plain_len(meta.len).unwrap_or_default();
        let wanted = range.resolve(len)?;
        let body = self.range(&meta, wanted.clone()).await?;
        let body = DecryptStream::new(body, cipher.at(wanted.start)).boxed();
        Ok(GetResult::new(meta, Some(envelope), Some(wanted), self.counted(body)))
    }

    /// Says that the body is encrypted with less than AES-256, which shows in no metadata.
    fn warn_of_short_key(&self, bits: usize) {
        if bits < 256 {
            let words = format!("the content key has only {bits} bits; encrypt the object again");
            self.listener.notify(Event::Warning(words));
        }
    }

    /// Looks at the object.
    pub(crate) async fn head(&self) -> Result<ObjectMeta, StoreError> {
        self.store.head(&self.key).await
    }

    async fn envelope(&self, meta: &ObjectMeta) -> Result<Option<Envelope>, TransferError> {
        envelope_of(&*self.store, &self.key, meta).await
    }

    /// Returns bytes, as they are stored, of the version that was seen.
    pub(crate) async fn range(
        &self,
        meta: &ObjectMeta,
        wanted: Range<u64>,
    ) -> Result<PlainBody, TransferError> {
        // No range has no bytes.
        if wanted.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let mut options = GetOptions::default().with_range(wanted.clone());
        options.if_match = tag_of(meta).map(str::to_owned);
        let object = self.store.get(&self.key, options).await?;
        check_same(meta, &object, &wanted)?;
        Ok(self.steady(meta, wanted, object.body))
    }

    /// Resumes a stream that breaks off, from the same version of the object.
    fn steady(&self, meta: &ObjectMeta, bytes: Range<u64>, body: Body) -> PlainBody {
        let (store, key) = (Arc::clone(&self.store), self.key.clone());
        let tag = tag_of(meta).map(str::to_owned);
        let begin = (body, bytes, self.retry.start());
        let (meta, waits) = (meta.clone(), self.listener.waits());
        stream::try_unfold(begin, move |(mut body, mut left, mut backoff)| {
            let (store, key, tag) = (Arc::clone(&store), key.clone(), tag.clone());
            let (meta, waits) = (meta.clone(), waits.clone());
            async move {
                loop {
                    let error = match body.try_next().await {
                        Ok(None) => return Ok(None),
                        Ok(Some(chunk)) => {
                            left.start = left.start.saturating_add(chunk.len() as u64);
                            backoff.reset();
                            return Ok(Some((chunk, (body, left, backoff))));
                        }
                        // Everything has arrived, so a later error does not matter.
                        Err(_) if left.is_empty() => return Ok(None),
                        // A version without an entity tag could be another by now.
                        Err(error) if tag.is_none() => return Err(error.into()),
                        Err(error) => error,
                    };
                    again(&mut backoff, &waits, error).await?;
                    let mut options = GetOptions::default().with_range(left.clone());
                    options.if_match = tag.clone();
                    let object = store.get(&key, options).await?;
                    check_same(&meta, &object, &left)?;
                    body = object.body;
                }
            }
        })
        .boxed()
    }

    fn counted(&self, body: PlainBody) -> PlainBody {
        let listener = self.listener.clone();
        body.inspect_ok(move |chunk| listener.notify(Event::Transferred(chunk.len() as u64)))
            .boxed()
    }
}

/// Returns the entity tag to insist on. A file that somebody copied into a folder has none.
fn tag_of(meta: &ObjectMeta) -> Option<&str> {
    Some(meta.etag.as_str()).filter(|tag| *tag != "\"\"")
}

/// Compares the bytes as they came with the checksum that the store reports.
fn summed(body: PlainBody, crc64: Option<u64>) -> PlainBody {
    if crc64.is_none() {
        return body;
    }
    let mut sum = Crc64::new();
    // The empty chunk at the end, and only there, is where the sum is complete.
    let end = stream::iter([Ok(Bytes::new())]);
    body.try_filter(|chunk| future::ready(!chunk.is_empty()))
        .chain(end)
        .and_then(move |chunk| {
            sum.update(&chunk);
            let checked = if chunk.is_empty() { check_crc64(crc64, sum.value()) } else { Ok(()) };
            future::ready(checked.map(|()| chunk))
        })
        .boxed()
}

/// Returns a body that was read before, and ends with an error before anything that is different.
fn second(body: PlainBody, read: SecondRead) -> PlainBody {
    let start = (body.fuse(), read, BytesMut::new());
    stream::try_unfold(start, |(mut body, mut read, mut piece)| async move {
        while piece.len() < SecondRead::PIECE {
            let Some(chunk) = body.try_next().await? else { break };
            piece.extend_from_slice(&chunk);
        }
        let rest = piece.split_off(piece.len().min(SecondRead::PIECE));
        // An empty piece is the end.
        if !read.admits(&piece) {
            return Err(IntegrityError::Changed.into());
        }
        let is_end = piece.is_empty();
        Ok((!is_end).then(|| (piece.freeze(), (body, read, rest))))
    })
    .boxed()
}

/// Checks that a response holds the bytes that were asked for, of the version that was seen before.
fn check_same(meta: &ObjectMeta, object: &Object, asked: &Range<u64>) -> Result<(), StoreError> {
    let same_time = tag_of(meta).is_some() || object.meta.modified == meta.modified;
    if object.meta.etag != meta.etag || object.meta.len != meta.len || !same_time {
        return Err(StoreError::Changed);
    }
    if object.bytes != *asked {
        let words = "the response is for a different range";
        return Err(StoreError::Malformed(words.to_owned()));
    }
    Ok(())
}

/// Reads the journal of a download.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    download_journal::fuzz(text);
}
