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

/// Below this, one request does it.
const THRESHOLD: u64 = 16 << 20;
/// Parts of a file, unless it needs more than ten thousand.
const PART_SIZE: u64 = 8 << 20;
/// Parts of a stream, which may become long.
const STREAM_PART_SIZE: u64 = 16 << 20;
/// How often a part is sent that arrives changed.
const MOST_CHANGED: u32 = 3;

/// One object to be written: where to, and how.
///
/// The object is there whole and with its envelope, or not at all: every part's checksum, and the
/// object's, is compared with that of the store, and at the end a HEAD compares the metadata.
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

/// An object that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOutcome {
    /// Bytes stored.
    pub len: u64,
    /// Its tag, with its quotes.
    pub etag: String,
    /// The CRC-64/XZ of the bytes stored.
    pub crc64: u64,
    /// Into how many parts it was cut; none if it went in one request.
    pub parts: u16,
}

impl<'a> Put<'a> {
    /// An object under `key`.
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

    /// Adds a header of the object, such as `content-type`, or metadata of one's own.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into().to_ascii_lowercase(), value.into()));
        self
    }

    /// Up to so many bytes go in one request, which holds them all in memory.
    #[must_use]
    pub const fn threshold(mut self, bytes: u64) -> Self {
        self.threshold = bytes;
        self
    }

    /// Cuts into parts of so many bytes: a multiple of 16, and no less than the vendor's smallest.
    #[must_use]
    pub const fn part_size(mut self, bytes: u64) -> Self {
        self.part_size = Some(bytes);
        self
    }

    /// So many parts are in memory and under way at once, 4 by default.
    #[must_use]
    pub const fn in_flight(mut self, parts: usize) -> Self {
        self.in_flight = if parts == 0 { 1 } else { parts };
        self
    }

    /// Refuses to overwrite. Only for one request; a multipart upload checks before it begins.
    #[must_use]
    pub const fn only_new(mut self) -> Self {
        self.only_new = true;
        self
    }

    /// Keeps a journal of a multipart upload of a file, with which a later run goes on where this one
    /// ends. It holds the wrapped content key, never a plain one.
    #[must_use]
    pub fn journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal = Some(path.into());
        self
    }

    /// Ends a multipart upload with [`TransferError::Stopped`] when this becomes true: the upload is then
    /// left open if there is a journal, and aborted otherwise.
    #[must_use]
    pub fn stop_when(mut self, stop: watch::Receiver<bool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Begins an upload so often. Everything else is tried again by the store.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Tells of events as they happen.
    #[must_use]
    pub fn on_event(mut self, tell: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(tell);
        self
    }

    /// Encrypts and writes a file. `resume` opens the envelope of a journal; without it, or with a key
    /// that does not open it, an interrupted upload begins anew.
    ///
    /// # Errors
    /// Any [`TransferError`]; after [one that is resumable](TransferError::is_resumable) the upload is left open
    /// if there is a journal, and aborted otherwise.
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
                                self.listener.tell(Event::Restarted("the upload is gone"));
                            }
                            outcome => return outcome,
                        }
                    }
                    Err(why) => {
                        self.listener.tell(Event::Restarted(why));
                        match earlier.upload(&self.key) {
                            Some(upload) => self.store.abort(&upload).await?,
                            // It ended between the request and the line that says its outcome.
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

    /// Writes a file as it is: ciphertext that is complete, with headers that say so. Nothing is encrypted here.
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

    /// Encrypts and writes a stream, whose length may be known. To OSS, which wants to hear the length first,
    /// a long one of unknown length goes by way of a temporary file of ciphertext.
    ///
    /// # Errors
    /// Any [`TransferError`]. No upload is left open.
    pub async fn stream(
        &self,
        plain: impl AsyncRead + Send + Unpin,
        len: Option<u64>,
        encryptor: &Encryptor<'_>,
    ) -> Result<PutOutcome, TransferError> {
        self.check_dialect(encryptor)?;
        stream::put(self, plain, len, encryptor, false).await
    }

    /// As [`stream`](Self::stream), with AES-GCM. Parts are encrypted one after the other.
    ///
    /// # Errors
    /// Any [`TransferError`]. No upload is left open.
    pub async fn stream_gcm(
        &self,
        plain: impl AsyncRead + Send + Unpin,
        len: Option<u64>,
        encryptor: &Encryptor<'_>,
    ) -> Result<PutOutcome, TransferError> {
        self.check_dialect(encryptor)?;
        stream::put(self, plain, len, encryptor, true).await
    }

    /// Encrypts and writes what is long enough for parts.
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

    /// Ready when the caller wants no more.
    async fn stopped(&self) {
        if let Some(mut stop) = self.stop.clone()
            && stop.wait_for(|stop| *stop).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Headers of one vendor are not those of the other.
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
        let emitted = envelope.emit(&dialect).map_err(envelope_core::EncryptError::from)?;
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

    /// What a journal says, if this run can go on with it; or why it cannot.
    fn earlier(
        &self,
        earlier: &journal::Earlier,
        resume: Option<&Decryptor<'_>>,
    ) -> Result<(Envelope, envelope_core::ContentCipher, PartPlan), &'static str> {
        if earlier.key() != self.key {
            return Err("the journal is of another object");
        }
        if earlier.upload(&self.key).is_none() {
            return Err("the upload had hardly begun");
        }
        let found = read(earlier.headers());
        let envelope = found.ok().flatten().ok_or("the journal has no envelope")?;
        let decryptor =
            resume.ok_or("the content key cannot be unwrapped without a private key")?;
        let cipher = decryptor
            .decrypt(&envelope)
            .map_err(|_| "this key does not open the earlier upload")?;
        let plan = PartPlan::new(earlier.size(), earlier.part_size(), envelope.dialect())
            .map_err(|_| "the journal has no part plan")?;
        Ok((envelope, cipher, plan))
    }
}
