//! Uploads.

mod journal;
mod multipart;
mod pool;
mod single;
mod source;
mod stream;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use envelope_core::{Decryptor, Encryptor, PartPlan};
use meta_codec::{Dialect, Envelope, PartLayout, Vendor};
use tokio::{io::AsyncRead, sync::watch};

use self::{
    journal::Journal,
    multipart::{Multipart, abort_lost},
    pool::Pool,
    source::Source,
};
use crate::{
    Event, Headers, Retry, Store, StoreError, TransferError,
    transfer::{Listener, read},
};

/// Longest object that is uploaded in one request, by default.
const THRESHOLD: u64 = 16 << 20;
/// Default part size for files. Larger parts are used if more than ten thousand would be needed.
const PART_SIZE: u64 = 8 << 20;
/// Default part size for streams, which may turn out long.
const STREAM_PART_SIZE: u64 = 16 << 20;
/// Maximum number of attempts for a part that arrives corrupted.
const MOST_CHANGED: u32 = 3;

/// An upload of one object.
///
/// The object ends up either complete with its envelope or absent: the checksums of the object and
/// of each part are compared with those of the store, and a final HEAD request verifies the
/// metadata.
#[derive(Clone, Debug)]
pub struct Put<'a> {
    store: &'a dyn Store,
    key: String,
    headers: Headers,
    threshold: u64,
    part_size: Option<u64>,
    in_flight: usize,
    only_new: bool,
    journal: Option<PathBuf>,
    listener: Listener,
    stop: Option<watch::Receiver<bool>>,
    retry: Retry,
}

/// The result of a successful upload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOutcome {
    /// Number of bytes stored.
    pub len: u64,
    /// The entity tag, including its quotes.
    pub etag: String,
    /// The CRC-64/XZ of the bytes stored.
    pub crc64: u64,
    /// Number of parts; 0 if the object was uploaded in one request.
    pub parts: u16,
}

impl<'a> Put<'a> {
    /// Creates an upload to `key`.
    #[must_use]
    pub fn new(store: &'a dyn Store, key: impl Into<String>) -> Self {
        Self {
            store,
            key: key.into(),
            headers: Headers::new(),
            threshold: THRESHOLD,
            part_size: None,
            in_flight: 4,
            only_new: false,
            journal: None,
            listener: Listener::default(),
            stop: None,
            retry: Retry::default(),
        }
    }

    /// Adds a header to the object, such as `content-type` or user metadata.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into().to_ascii_lowercase(), value.into()));
        self
    }

    /// Objects up to `bytes` long are uploaded in one request, which holds them in memory entirely.
    #[must_use]
    pub const fn threshold(mut self, bytes: u64) -> Self {
        self.threshold = bytes;
        self
    }

    /// Sets the part size: a multiple of 16, and no less than the vendor's minimum.
    #[must_use]
    pub const fn part_size(mut self, bytes: u64) -> Self {
        self.part_size = Some(bytes);
        self
    }

    /// Sets the number of parts held in memory and uploaded concurrently, 4 by default.
    #[must_use]
    pub const fn in_flight(mut self, parts: usize) -> Self {
        self.in_flight = if parts == 0 { 1 } else { parts };
        self
    }

    /// Fails if the object already exists. The store enforces this only for an upload in one
    /// request; a multipart upload checks once, before it is created.
    #[must_use]
    pub const fn only_new(mut self) -> Self {
        self.only_new = true;
        self
    }

    /// Keeps a journal of the multipart upload of a file, so that a later run can resume it. The
    /// journal holds the wrapped content key, never the plaintext key.
    #[must_use]
    pub fn journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal = Some(path.into());
        self
    }

    /// Ends the upload with [`TransferError::Stopped`] when `stop` becomes true. A multipart upload
    /// is then left open if there is a journal, and aborted otherwise.
    #[must_use]
    pub fn stop_when(mut self, stop: watch::Receiver<bool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Sets the retry policy for creating a multipart upload. The store retries all other requests.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets a callback for progress events.
    #[must_use]
    pub fn on_event(mut self, tell: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(tell);
        self
    }

    /// Encrypts and uploads a file. `resume` unwraps the content key in the journal; without it, or
    /// if it lacks the key, an interrupted upload starts over.
    ///
    /// # Errors
    /// Any [`TransferError`]; after [a resumable one](TransferError::is_resumable), the upload is
    /// left open if there is a journal, and aborted otherwise.
    pub async fn file(
        &self,
        path: &Path,
        encryptor: &Encryptor<'_>,
        resume: Option<&Decryptor<'_>>,
    ) -> Result<PutOutcome, TransferError> {
        let source = Source::open(path)?;
        self.check_dialect(encryptor)?;
        let len = source.len();
        if len <= self.threshold {
            let plain = source.read(0, len).await?;
            source.check_unchanged()?;
            return self.single(plain, encryptor).await;
        }
        self.check_new().await?;
        let plan = PartPlan::new(len, self.part_size_for(len), encryptor.dialect())?;
        let mut journal = None;
        if let Some(path) = &self.journal {
            let digest = source.digest().await?;
            let opened = Journal::open(path, &source, digest)?;
            if let Some(earlier) = opened.earlier() {
                match self.earlier(earlier, resume) {
                    Ok((envelope, cipher, plan)) => {
                        let job = self.job(plan, earlier.headers().clone(), Some(cipher), &source);
                        match job.resume(opened, envelope).await {
                            Err(TransferError::Store(StoreError::NoUpload)) => {
                                self.listener.tell(Event::Restarted("the upload no longer exists"));
                            }
                            outcome => return outcome,
                        }
                    }
                    Err(why) => {
                        self.listener.tell(Event::Restarted(why));
                        match earlier.upload(&self.key) {
                            Some(upload) => self.store.abort(&upload).await?,
                            // The earlier run ended after it created the upload, but before it
                            // recorded the upload ID.
                            None => abort_lost(self, earlier.begun()).await?,
                        }
                    }
                }
                journal = Some(Journal::renew(path, &source, digest)?);
            } else {
                journal = Some(opened);
            }
        }
        let (envelope, cipher) = encryptor.parts(plan).encrypt()?;
        let headers = self.all_headers(&envelope, encryptor.dialect())?;
        let envelope = read(&headers)?;
        self.job(plan, headers, Some(cipher), &source).start(journal, envelope).await
    }

    /// Uploads a file without encrypting it. The file must be complete ciphertext, and the headers
    /// must hold its envelope.
    ///
    /// # Errors
    /// Any [`TransferError`].
    pub async fn stored(&self, path: &Path) -> Result<PutOutcome, TransferError> {
        self.stored_file(Source::open(path)?).await
    }

    async fn stored_file(&self, source: Source) -> Result<PutOutcome, TransferError> {
        let envelope = read(&self.headers)?;
        let len = source.len();
        if len <= self.threshold {
            let bytes = source.read(0, len).await?;
            source.check_unchanged()?;
            return self.write(bytes, self.headers.clone(), envelope).await;
        }
        self.check_new().await?;
        let dialect = match self.store.vendor() {
            Some(Vendor::Cos) => Dialect::COS_V2,
            _ => Dialect::OSS_V2,
        };
        let plan = PartPlan::new(len, self.part_size_for(len), dialect)?;
        self.job(plan, self.headers.clone(), None, &source).start(None, envelope).await
    }

    /// Encrypts and uploads a stream. `len` is its length, if known. OSS requires the length in
    /// advance, so a stream above the threshold is first written to an encrypted temporary file.
    ///
    /// # Errors
    /// Any [`TransferError`]. The upload is aborted.
    pub async fn stream(
        &self,
        plain: impl AsyncRead + Send + Unpin,
        len: Option<u64>,
        encryptor: &Encryptor<'_>,
    ) -> Result<PutOutcome, TransferError> {
        self.check_dialect(encryptor)?;
        stream::put(self, plain, len, encryptor, false).await
    }

    /// Encrypts with AES-GCM; otherwise the same as [`stream`](Self::stream). Parts are encrypted
    /// sequentially.
    ///
    /// # Errors
    /// Any [`TransferError`]. The upload is aborted.
    pub async fn stream_gcm(
        &self,
        plain: impl AsyncRead + Send + Unpin,
        len: Option<u64>,
        encryptor: &Encryptor<'_>,
    ) -> Result<PutOutcome, TransferError> {
        self.check_dialect(encryptor)?;
        stream::put(self, plain, len, encryptor, true).await
    }

    /// Encrypts and uploads a source in parts.
    async fn source(
        &self,
        source: Source,
        encryptor: &Encryptor<'_>,
    ) -> Result<PutOutcome, TransferError> {
        let len = source.len();
        let plan = PartPlan::new(len, self.part_size_for(len), encryptor.dialect())?;
        let (envelope, cipher) = encryptor.parts(plan).encrypt()?;
        let headers = self.all_headers(&envelope, encryptor.dialect())?;
        let envelope = read(&headers)?;
        self.job(plan, headers, Some(cipher), &source).start(None, envelope).await
    }

    /// Completes when the caller stops the upload.
    async fn stopped(&self) {
        if let Some(mut stop) = self.stop.clone()
            && stop.wait_for(|stop| *stop).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Refuses a dialect of another vendor, whose header names differ.
    fn check_dialect(&self, encryptor: &Encryptor<'_>) -> Result<(), TransferError> {
        let dialect = encryptor.dialect();
        match self.store.vendor() {
            Some(vendor) if vendor != dialect.vendor() => {
                Err(TransferError::Vendor { dialect, vendor })
            }
            _ => Ok(()),
        }
    }

    async fn check_new(&self) -> Result<(), TransferError> {
        if !self.only_new {
            return Ok(());
        }
        match self.store.head(&self.key).await {
            Ok(_) => Err(StoreError::Changed.into()),
            Err(StoreError::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn part_size_for(&self, len: u64) -> u64 {
        const MIB: u64 = 1 << 20;
        let least = len.div_ceil(PartLayout::MAX_PARTS).next_multiple_of(MIB);
        self.part_size.unwrap_or_else(|| PART_SIZE.max(least))
    }

    fn all_headers(&self, envelope: &Envelope, dialect: Dialect) -> Result<Headers, TransferError> {
        let emitted = envelope.emit(dialect).map_err(envelope_core::EncryptError::from)?;
        let mut headers = self.headers.clone();
        for (name, value) in emitted {
            headers.retain(|(other, _)| other != name);
            headers.push((name.to_owned(), value));
        }
        Ok(headers)
    }

    fn job(
        &self,
        plan: PartPlan,
        headers: Headers,
        cipher: Option<envelope_core::ContentCipher>,
        source: &Source,
    ) -> Multipart<'_> {
        Multipart {
            put: self,
            plan,
            headers,
            cipher: cipher.map(Arc::new),
            source: source.clone(),
            pool: Pool::default(),
        }
    }

    /// Returns the state recorded in a journal, or the reason this run cannot resume it.
    fn earlier(
        &self,
        earlier: &journal::Earlier,
        resume: Option<&Decryptor<'_>>,
    ) -> Result<(Envelope, envelope_core::ContentCipher, PartPlan), &'static str> {
        if earlier.key() != self.key {
            return Err("the journal belongs to another object");
        }
        if earlier.upload(&self.key).is_none() {
            return Err("the journal names no upload");
        }
        let found = read(earlier.headers());
        let envelope = found.ok().flatten().ok_or("the journal holds no valid envelope")?;
        let decryptor =
            resume.ok_or("the content key cannot be unwrapped without a private key")?;
        let cipher = decryptor
            .decrypt(&envelope)
            .map_err(|_| "this key cannot unwrap the content key of the earlier upload")?;
        let plan = PartPlan::new(earlier.size(), earlier.part_size(), envelope.dialect())
            .map_err(|_| "the journal holds no valid part plan")?;
        Ok((envelope, cipher, plan))
    }
}
