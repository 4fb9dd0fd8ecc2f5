//! Uploads.

mod multipart;
mod part_buffer;
mod single;
mod source;
mod stream;
mod upload_journal;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use envelope_core::{CtrCipher, Decryptor, EncryptedObject, Encryptor, PartPlan};
use meta_codec::{ContentAlgorithm, Dialect, Envelope, PartLayout, Vendor};
use tokio::io::AsyncRead;

use self::{
    multipart::Multipart,
    source::Source,
    upload_journal::{Earlier, UploadJournal},
};
use crate::{
    Event, Headers, PutOptions, RetryPolicy, StopSignal, Store, StoreError, TransferError,
    master_key, object_envelope::envelope_in, progress::ProgressListener,
};

/// Longest object that is uploaded in one request, by default.
const THRESHOLD: u64 = 16 << 20;
/// Default part size for files. Larger parts are used if more than ten thousand would be needed.
const PART_SIZE: u64 = 8 << 20;
/// Default part size for streams, which may turn out long.
const STREAM_PART_SIZE: u64 = 16 << 20;
/// Maximum number of attempts for a part that arrives corrupted.
const MAX_CORRUPT_ATTEMPTS: u32 = 3;

/// An upload of one object.
///
/// The object ends up either complete with its envelope or absent: the checksums of the object and
/// of each part are compared with those of the store, and a final HEAD request verifies the
/// metadata.
///
/// Master keys are used on threads that may block, so that a key in a KMS blocks no task.
/// Dropping the future of an upload ends it, and leaves a multipart upload open; give it a
/// [`StopSignal`] to end it in an orderly way.
///
/// ```
/// use std::sync::Arc;
///
/// use envelope_core::{AesKeyWrapper, Dialect, Encryptor};
/// use envelope_store::{MemoryStore, Put};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new()); // or a `Bucket`, or a `FolderStore`
/// let encryptor = Encryptor::new(&AesKeyWrapper::generate()?, Dialect::COS_V2);
/// let result = Put::new(store, "a/key")
///     .with_header("content-type", "text/plain")
///     .stream(&b"a file"[..], None, &encryptor)
///     .await?;
/// assert_eq!(result.len, 6);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Put {
    store: Arc<dyn Store>,
    key: String,
    headers: Headers,
    content: ContentAlgorithm,
    threshold: u64,
    part_size: Option<u64>,
    concurrency: usize,
    create_only: bool,
    journal: Option<PathBuf>,
    listener: ProgressListener,
    stop: Option<StopSignal>,
    retry: RetryPolicy,
}

/// The result of a successful upload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadResult {
    /// Number of bytes stored.
    pub len: u64,
    /// The entity tag, including its quotes.
    pub etag: String,
    /// The CRC-64/XZ of the bytes stored.
    pub crc64: u64,
    /// Number of parts; 0 if the object was uploaded in one request.
    pub parts: u16,
}

impl Put {
    /// Creates an upload to `key`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, key: impl Into<String>) -> Self {
        Self {
            store,
            key: key.into(),
            headers: Headers::new(),
            content: ContentAlgorithm::Aes256Ctr,
            threshold: THRESHOLD,
            part_size: None,
            concurrency: 4,
            create_only: false,
            journal: None,
            listener: ProgressListener::default(),
            stop: None,
            retry: RetryPolicy::default(),
        }
    }

    /// Adds a header of the object, such as `content-type` or custom metadata.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into().to_ascii_lowercase(), value.into()));
        self
    }

    /// Sets the content algorithm, AES-CTR by default. The parts of an AES-GCM object are encrypted
    /// one after the other, and its upload cannot be resumed.
    #[must_use]
    pub const fn with_content(mut self, content: ContentAlgorithm) -> Self {
        self.content = content;
        self
    }

    /// Objects up to `bytes` long are uploaded in one request, which holds them in memory.
    #[must_use]
    pub const fn with_threshold(mut self, bytes: u64) -> Self {
        self.threshold = bytes;
        self
    }

    /// Sets the part size: a multiple of 16, and not less than the vendor's minimum.
    #[must_use]
    pub const fn with_part_size(mut self, bytes: u64) -> Self {
        self.part_size = Some(bytes);
        self
    }

    /// Sets the number of parts uploaded concurrently and held in memory, 4 by default.
    #[must_use]
    pub const fn with_concurrency(mut self, parts: usize) -> Self {
        self.concurrency = if parts == 0 { 1 } else { parts };
        self
    }

    /// Sets whether replacing an existing object is refused. Buckets that keep versions, or once
    /// did, do not enforce it: there, existence is only checked before the upload.
    #[must_use]
    pub const fn with_create_only(mut self, create_only: bool) -> Self {
        self.create_only = create_only;
        self
    }

    /// Keeps a journal of the multipart upload of a file, from which a later run can resume. It
    /// contains the wrapped content key, never a plain one.
    #[must_use]
    pub fn with_journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal = Some(path.into());
        self
    }

    /// Ends the upload with [`TransferError::Stopped`] when the signal is given. A multipart upload
    /// is then left open if there is a journal, and aborted otherwise.
    #[must_use]
    pub fn with_stop(mut self, stop: StopSignal) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Sets the retry policy for creating a multipart upload. The store retries everything else.
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

    /// Encrypts and uploads a file. `resume` opens the envelope in a journal; without it, or with a
    /// key that does not open it, an interrupted upload starts again.
    ///
    /// If the future is dropped, a multipart upload stays open; a later run with the same journal
    /// resumes it.
    ///
    /// # Errors
    /// Any [`TransferError`]; after [one that is resumable](TransferError::is_resumable) the upload
    /// is left open if there is a journal, and aborted otherwise.
    pub async fn file(
        &self,
        path: &Path,
        encryptor: &Encryptor,
        resume: Option<&Decryptor>,
    ) -> Result<UploadResult, TransferError> {
        let source = Source::open(path)?;
        let len = source.len();
        if self.content != ContentAlgorithm::Aes256Ctr {
            let file = tokio::fs::File::open(path).await?;
            return self.stream(file, Some(len), encryptor).await;
        }
        self.check_dialect(encryptor)?;
        if len <= self.threshold {
            let plain = source.read(0, len).await?;
            source.check_unchanged()?;
            return self.encrypt_single(plain, encryptor).await;
        }
        self.check_new().await?;
        let plan = self.plan(len, encryptor.dialect())?;
        let mut journal = None;
        if let Some(path) = &self.journal {
            let digest = source.digest().await?;
            let opened = UploadJournal::open(path, &source, digest)?;
            journal = Some(if let Some(earlier) = opened.earlier().cloned() {
                match self.resumed(&earlier, resume).await {
                    Ok((plan, object)) => {
                        let envelope = object.envelope().clone();
                        let job = self.multipart(plan, object, &source);
                        // The journal knows the headers that the upload was created with.
                        let job = Multipart { headers: earlier.headers().clone(), ..job };
                        match job.resume(opened, envelope).await {
                            Err(TransferError::Store(StoreError::NoUpload)) => {
                                self.listener.notify(Event::Restarted("the upload is gone"));
                            }
                            outcome => return outcome,
                        }
                    }
                    Err(reason) => {
                        self.listener.notify(Event::Restarted(reason));
                        match earlier.upload(&self.key) {
                            Some(upload) => self.store.abort(&upload).await?,
                            // The earlier run ended after the request, but before it recorded the
                            // id of the upload.
                            None => self.abort_lost(earlier.begun()).await?,
                        }
                    }
                }
                UploadJournal::renew(path, &source, digest)?
            } else {
                opened
            });
        }
        let object = master_key::encrypt(&encryptor.clone().with_parts(plan)).await?;
        self.multipart(plan, object, &source).start(journal).await
    }

    /// Uploads a file as it is: the complete ciphertext of an object whose headers describe it.
    /// Nothing is encrypted. If the future is dropped, a multipart upload stays open.
    ///
    /// # Errors
    /// Any [`TransferError`].
    pub async fn stored(&self, path: &Path) -> Result<UploadResult, TransferError> {
        let source = Source::open(path)?;
        let envelope = envelope_in(&self.headers)?;
        let len = source.len();
        if len <= self.threshold {
            let bytes = source.read(0, len).await?;
            source.check_unchanged()?;
            return self.single(bytes, self.headers.clone(), envelope).await;
        }
        self.check_new().await?;
        let dialect = self.store.vendor().unwrap_or(Vendor::DEFAULT).default_dialect();
        let plan = self.plan(len, dialect)?;
        let job = Multipart {
            put: self,
            plan,
            headers: self.headers.clone(),
            envelope,
            object: None,
            source: source.clone(),
            buffers: part_buffer::Pool::default(),
        };
        job.start(None).await
    }

    /// Encrypts and uploads a stream. `len` is its length in bytes, if it is known.
    ///
    /// A store that wants to know the length of a multipart upload beforehand (OSS) gets a long
    /// stream by way of an unnamed temporary file, encrypted under a key that never leaves memory.
    /// If the future is dropped, a multipart upload stays open.
    ///
    /// # Errors
    /// Any [`TransferError`]. A multipart upload is then aborted.
    pub async fn stream(
        &self,
        plain: impl AsyncRead + Send + Unpin,
        len: Option<u64>,
        encryptor: &Encryptor,
    ) -> Result<UploadResult, TransferError> {
        self.check_dialect(encryptor)?;
        self.put_stream(plain, len, encryptor).await
    }

    /// Encrypts and uploads a source that is long enough for parts.
    async fn source(
        &self,
        source: Source,
        encryptor: &Encryptor,
    ) -> Result<UploadResult, TransferError> {
        let plan = self.plan(source.len(), encryptor.dialect())?;
        let object = master_key::encrypt(&encryptor.clone().with_parts(plan)).await?;
        self.multipart(plan, object, &source).start(None).await
    }

    /// Completes when the caller wants no more.
    async fn stopped(&self) {
        match &self.stop {
            Some(stop) => stop.stopped().await,
            None => std::future::pending().await,
        }
    }

    const fn options(&self) -> PutOptions {
        PutOptions { create_only: self.create_only }
    }

    /// Refuses headers that belong to another vendor.
    fn check_dialect(&self, encryptor: &Encryptor) -> Result<(), TransferError> {
        let dialect = encryptor.dialect();
        match self.store.vendor() {
            Some(vendor) if vendor != dialect.vendor() => {
                Err(TransferError::Vendor { dialect, vendor })
            }
            _ => Ok(()),
        }
    }

    async fn check_new(&self) -> Result<(), TransferError> {
        if !self.create_only {
            return Ok(());
        }
        match self.store.head(&self.key).await {
            Ok(_) => Err(StoreError::Changed.into()),
            Err(StoreError::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn plan(&self, len: u64, dialect: Dialect) -> Result<PartPlan, TransferError> {
        const MIB: u64 = 1 << 20;
        let least = len.div_ceil(PartLayout::MAX_PARTS).next_multiple_of(MIB);
        let part_size = self.part_size.unwrap_or_else(|| PART_SIZE.max(least));
        Ok(PartPlan::new(len, part_size, dialect)?)
    }

    /// Adds the headers of an envelope to those that the caller gave.
    fn all_headers(&self, of_envelope: &[(&'static str, String)]) -> Headers {
        let mut headers = self.headers.clone();
        for (name, value) in of_envelope {
            headers.retain(|(other, _)| other != name);
            headers.push(((*name).to_owned(), value.clone()));
        }
        headers
    }

    fn multipart(
        &self,
        plan: PartPlan,
        object: EncryptedObject<CtrCipher>,
        source: &Source,
    ) -> Multipart<'_> {
        Multipart {
            put: self,
            plan,
            headers: self.all_headers(object.headers()),
            envelope: Some(object.envelope().clone()),
            object: Some(Arc::new(object)),
            source: source.clone(),
            buffers: part_buffer::Pool::default(),
        }
    }

    /// Returns the encryption that a journal describes, or why this run cannot continue with it.
    async fn resumed(
        &self,
        earlier: &Earlier,
        resume: Option<&Decryptor>,
    ) -> Result<(PartPlan, EncryptedObject<CtrCipher>), &'static str> {
        if earlier.key() != self.key {
            return Err("the journal belongs to another object");
        }
        if earlier.upload(&self.key).is_none() {
            return Err("the upload had hardly begun");
        }
        let found = envelope_in(earlier.headers());
        let envelope: Envelope = found.ok().flatten().ok_or("the journal contains no envelope")?;
        let decryptor =
            resume.ok_or("the content key cannot be unwrapped without a private key")?;
        let plan = PartPlan::new(earlier.size(), earlier.part_size(), envelope.dialect())
            .map_err(|_| "the journal contains no valid part plan")?;
        let object = master_key::resume(decryptor, &envelope, plan)
            .await
            .map_err(|_| "this key does not open the earlier upload")?;
        Ok((plan, object))
    }
}
