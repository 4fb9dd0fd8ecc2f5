//! Uploads.

mod multipart;
mod part_buffer;
mod part_proof;
mod single;
mod source;
mod stored_object;
mod stream;
mod upload_journal;
mod verify;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use envelope_core::{Crc64, CtrCipher, Decryptor, EncryptedObject, Encryptor, PartPlan};
use meta_codec::{ContentAlgorithm, Dialect, Envelope, PartLayout, Reach, Reader, Vendor};
use tokio::io::AsyncRead;

use self::{
    multipart::Multipart,
    part_proof::PartProof,
    source::Source,
    stored_object::PartSource,
    upload_journal::{Earlier, UploadJournal},
};
pub(crate) use self::{stored_object::StoredObject, verify::Sent};
use crate::{
    Event, Headers, ObjectMeta, PutOptions, RetryPolicy, StopSignal, Store, StoreError,
    TransferError, Upload,
    budget::memory_for,
    object_envelope::{check_budget, envelope_in, is_of_envelope},
    object_name::named,
    progress::ProgressListener,
};

/// Longest object that is uploaded in one request, by default.
const THRESHOLD: u64 = 16 << 20;
/// Default part size for files. Larger parts are used if more than ten thousand would be needed.
const PART_SIZE: u64 = 8 << 20;
/// Default part size for streams, which may turn out long.
const STREAM_PART_SIZE: u64 = 16 << 20;
/// The most bytes of parts that are in flight where the size of the parts is not our choice.
const MAX_IN_FLIGHT: u64 = 64 << 20;
/// How often an upload that is to be sealed starts again because its source changed.
const MAX_SOURCE_CHANGES: u32 = 2;
/// Maximum number of attempts for what arrives corrupted.
const MAX_CORRUPT_ATTEMPTS: u32 = 3;

/// An upload of one object.
///
/// The object appears complete, with its envelope, or not at all: the checksums of the object and
/// of each part are compared with those of the store, and a final HEAD request verifies the
/// metadata. What is seen to be wrong is looked at again. If it stays wrong, an object that was
/// sent in one request is sent again, and otherwise the upload fails with
/// [`TransferError::Damaged`]. Nothing is deleted but the version that this upload wrote.
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
    expected: Option<ObjectMeta>,
    is_copy: bool,
    journal: Option<PathBuf>,
    spool: bool,
    listener: ProgressListener,
    stop: StopSignal,
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
    /// The SDKs that read the object, and how much of it. Empty if it is not encrypted.
    pub readers: Vec<(Reader, Reach)>,
}

impl UploadResult {
    fn new(len: u64, etag: String, crc64: u64, parts: u16, envelope: Option<&Envelope>) -> Self {
        let readers = envelope.map(|envelope| envelope.readers().collect()).unwrap_or_default();
        Self { len, etag, crc64, parts, readers }
    }
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
            expected: None,
            is_copy: false,
            journal: None,
            spool: false,
            listener: ProgressListener::default(),
            stop: StopSignal::new(),
            retry: RetryPolicy::default(),
        }
    }

    /// Adds a header of the object, such as `content-type` or custom metadata.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into().to_ascii_lowercase(), value.into()));
        self
    }

    /// Adds headers of the object, such as those of [`Attributes`](crate::Attributes).
    #[must_use]
    pub fn with_headers(mut self, headers: impl IntoIterator<Item = (String, String)>) -> Self {
        for (name, value) in headers {
            self = self.with_header(name, value);
        }
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
    /// did, do not enforce it: there, existence is only checked before the upload, and an
    /// [`Event::Warning`] says so.
    #[must_use]
    pub const fn with_create_only(mut self, create_only: bool) -> Self {
        self.create_only = create_only;
        self
    }

    /// Refuses to replace any other version of the object than this one, with
    /// [`StoreError::Changed`]. Neither vendor has a condition for that on writes: the object is
    /// looked at in the last request before the one that replaces it, and a writer who comes in
    /// between those two is not noticed.
    #[must_use]
    pub fn with_expected(mut self, expected: ObjectMeta) -> Self {
        self.expected = Some(expected);
        self
    }

    /// Sets whether the same bytes with the same envelope may be there already, because they are
    /// copied. An object that looks right is no proof then that this upload wrote it.
    #[must_use]
    pub(crate) const fn with_copy(mut self, is_copy: bool) -> Self {
        self.is_copy = is_copy;
        self
    }

    /// Returns whether an object that looks right must be the one that this upload wrote.
    pub(crate) const fn knows_its_own(&self) -> bool {
        !self.is_copy || self.create_only
    }

    /// Keeps a journal of the multipart upload of a file, from which a later run can resume. It
    /// contains the wrapped content key, never a plain one. A journal that cannot be written is
    /// reported as [`Event::Warning`].
    #[must_use]
    pub fn with_journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal = Some(path.into());
        self
    }

    /// Sets whether a long stream that is to be sealed goes by way of a temporary file, as it does
    /// on OSS in any case. Otherwise its seal covers the metadata only, and an [`Event::Warning`]
    /// says so. AES-GCM objects need no temporary file.
    #[must_use]
    pub const fn with_spool(mut self, spool: bool) -> Self {
        self.spool = spool;
        self
    }

    /// Ends the upload with [`TransferError::Stopped`] when the signal is given. A multipart upload
    /// is then left open if there is a journal, and aborted otherwise.
    #[must_use]
    pub fn with_stop(mut self, stop: StopSignal) -> Self {
        self.stop = stop;
        self
    }

    /// Sets the retry policy for creating a multipart upload, and for what replaces an
    /// [expected](Self::with_expected) object. The store retries everything else.
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

    /// Encrypts and uploads a file. If the encryptor [seals](Encryptor::with_seal), a file that is
    /// uploaded in parts is read twice: first to hash what will be sent, and then to send it. A
    /// part that is different by then is not sent, and the upload starts again with a fresh content
    /// key, twice at most.
    ///
    /// `resume` opens the envelope in a journal; without it, or with a key that does not open it,
    /// an interrupted upload starts again. So does that of a file whose content changed, and one
    /// whose journal is damaged.
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
        let mut changes = 0;
        loop {
            match self.file_once(path, encryptor, resume).await {
                // None of it is in the store: what was sealed is sent, or nothing.
                Err(TransferError::SourceChanged)
                    if encryptor.seals() && changes < MAX_SOURCE_CHANGES =>
                {
                    self.listener.notify(Event::Restarted("the file changed while it was read"));
                    changes = changes.saturating_add(1);
                }
                outcome => return outcome,
            }
        }
    }

    async fn file_once(
        &self,
        path: &Path,
        encryptor: &Encryptor,
        resume: Option<&Decryptor>,
    ) -> Result<UploadResult, TransferError> {
        let source = Source::open(path)?;
        let len = source.len();
        if self.content != ContentAlgorithm::Aes256Ctr {
            // What was read for the next part, and the part that is being sent.
            let part = self.part_size.unwrap_or(STREAM_PART_SIZE).max(self.threshold).min(len);
            let _memory = memory_for(&*self.store, part.saturating_mul(2)).await;
            let file = source.open_again()?;
            // They are encrypted one after the other, and within a budget they are sent so, too.
            let within = self.store.budget().is_some();
            let own = self.clone().with_concurrency(if within { 1 } else { self.concurrency });
            own.check_dialect(encryptor)?;
            return own.put_stream(file, Some(len), encryptor, Some(&source)).await;
        }
        self.check_dialect(encryptor)?;
        if len <= self.threshold {
            let _memory = memory_for(&*self.store, len).await;
            let plain = source.read(0, len).await?;
            source.check_unchanged()?;
            return self.encrypt_single(plain, encryptor).await;
        }
        let (mut journal, mut superseded) = (None, None);
        if let Some(path) = &self.journal {
            let (opened, earlier) = UploadJournal::open(path, &self.listener)?;
            if let Some(earlier) = earlier {
                match self.resumed(&earlier, &source, resume, encryptor).await? {
                    Ok(resumed) => {
                        match resumed
                            .job
                            .resume(&resumed.upload, &earlier, &opened, &resumed.envelope)
                            .await
                        {
                            Err(TransferError::Store(StoreError::NoUpload)) => {
                                self.listener.notify(Event::Restarted("the upload is gone"));
                            }
                            outcome => return outcome,
                        }
                    }
                    Err(reason) => self.listener.notify(Event::Restarted(reason)),
                }
                superseded = Some(earlier);
            }
            journal = Some(opened);
        }
        self.check_new().await?;
        self.source(source, encryptor, journal, superseded).await
    }

    /// Uploads a file as it is: the complete ciphertext of an object whose headers describe it, or
    /// anything else, if they do not. Nothing is encrypted. If the future is dropped, a multipart
    /// upload stays open; a later run with the same [journal](Self::with_journal) aborts it, and
    /// starts anew.
    ///
    /// # Errors
    /// Any [`TransferError`].
    pub async fn stored(&self, path: &Path) -> Result<UploadResult, TransferError> {
        self.as_it_is(PartSource::File(Source::open(path)?)).await
    }

    /// As [`stored`](Self::stored), with the bytes of an object in a store.
    pub(crate) async fn stored_object(
        &self,
        object: StoredObject,
    ) -> Result<UploadResult, TransferError> {
        self.as_it_is(PartSource::Object(Box::new(object))).await
    }

    async fn as_it_is(&self, source: PartSource) -> Result<UploadResult, TransferError> {
        let envelope = envelope_in(&self.headers)?;
        if let Some(envelope) = &envelope {
            check_budget(&self.headers, envelope.dialect().vendor())?;
        }
        let len = source.len();
        if len <= self.threshold {
            let _memory = memory_for(&*self.store, len).await;
            let bytes = source.read(0..len).await?;
            source.check_unchanged().await?;
            source.check_sum(Crc64::of(&bytes))?;
            return self.single(bytes, self.headers.clone(), envelope).await;
        }
        self.check_new().await?;
        let dialect = self.store.vendor().unwrap_or(Vendor::DEFAULT).default_dialect();
        let is_compared =
            self.store.vendor().is_some_and(Vendor::needs_encryption_headers_on_parts);
        let stated = envelope.as_ref().and_then(Envelope::layout).filter(|_| is_compared);
        let plan = match stated {
            // OSS compares the parts with these headers.
            Some(layout) => {
                StoredObject::check_part_size(layout.part_size())?;
                PartPlan::new(len, layout.part_size(), dialect)
            }
            None => PartPlan::new(len, self.part_size_for(len), dialect),
        };
        let plan = plan.or_else(|_| self.plan(len, dialect))?;
        let fitting = MAX_IN_FLIGHT.checked_div(plan.layout().part_size()).unwrap_or_default();
        let fitting = usize::try_from(fitting).unwrap_or(usize::MAX);
        let own = self.clone().with_concurrency(fitting.min(self.concurrency));
        let job = Multipart {
            put: &own,
            plan,
            headers: self.headers.clone(),
            envelope,
            object: None,
            source,
            proof: None,
            buffers: part_buffer::Pool::default(),
        };
        let journal = match &self.journal {
            Some(path) => {
                let (opened, earlier) = UploadJournal::open(path, &self.listener)?;
                // Its bytes may have been others.
                if let Some(earlier) = earlier {
                    self.abort_earlier(&earlier).await;
                }
                Some(opened)
            }
            None => None,
        };
        job.start(journal).await
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
        self.put_stream(plain, len, encryptor, None).await
    }

    /// Encrypts and uploads a source that is long enough for parts. `superseded` is an earlier
    /// upload whose place this one takes.
    async fn source(
        &self,
        source: Source,
        encryptor: &Encryptor,
        journal: Option<UploadJournal>,
        superseded: Option<Earlier>,
    ) -> Result<UploadResult, TransferError> {
        let job = match self.prepared(&source, encryptor, journal.is_some()).await {
            Ok(job) => job,
            Err(error) => {
                // A journal of nothing would tell of an upload that was left open.
                if superseded.is_none() {
                    journal.iter().for_each(UploadJournal::remove);
                }
                return Err(error);
            }
        };
        // Not before the new upload can begin. If the old one is said to be gone, and that is not
        // true, it would stay open.
        if let Some(earlier) = superseded {
            self.abort_earlier(&earlier).await;
        }
        job.start(journal).await
    }

    /// Returns the upload of a source in parts, with everything but its ID.
    async fn prepared(
        &self,
        source: &Source,
        encryptor: &Encryptor,
        is_resumable: bool,
    ) -> Result<Multipart<'_>, TransferError> {
        let (plan, vendor) =
            (self.plan(source.len(), encryptor.dialect())?, encryptor.dialect().vendor());
        let object = encryptor.clone().with_parts(plan).encrypt_async().await?;
        // Before all of the source is read.
        self.all_headers(vendor, &object.longest_headers()?)?;
        let (object, proof) = tokio::select! {
            proven = self.proven(source, object, plan, is_resumable) => proven?,
            () = self.stop.stopped() => return Err(TransferError::Stopped),
        };
        // Whoever stopped it while it was read wants no upload, even if the reading is over.
        if self.stop.is_stopped() {
            return Err(TransferError::Stopped);
        }
        let headers = self.all_headers(vendor, object.headers())?;
        Ok(Multipart { proof, ..self.multipart(plan, object, source, headers) })
    }

    /// Reads all of a source, to seal it, or to be able to resume its upload.
    async fn proven(
        &self,
        source: &Source,
        object: EncryptedObject<CtrCipher>,
        plan: PartPlan,
        is_resumable: bool,
    ) -> Result<(EncryptedObject<CtrCipher>, Option<PartProof>), TransferError> {
        let Some(hasher) = object.body_hasher() else {
            if !is_resumable {
                return Ok((object, None));
            }
            let proof = PartProof::plain(source, plan.layout().part_size()).await?;
            return Ok((object, Some(proof)));
        };
        let shared = Arc::new(object);
        let (proof, body) = PartProof::sealed(source, &shared, hasher, plan).await?;
        // The threads that shared it are done.
        let mut object = Arc::into_inner(shared).ok_or(TransferError::Stopped)?;
        object.seal_body(body)?;
        Ok((object, Some(proof)))
    }

    const fn options(&self) -> PutOptions {
        // Before another attempt, the object that is replaced is looked at again.
        PutOptions { create_only: self.create_only, only_once: self.expected.is_some() }
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

    fn plan(&self, len: u64, dialect: Dialect) -> Result<PartPlan, TransferError> {
        Ok(PartPlan::new(len, self.part_size_for(len), dialect)?)
    }

    fn part_size_for(&self, len: u64) -> u64 {
        const MIB: u64 = 1 << 20;
        let least = len.div_ceil(PartLayout::MAX_PARTS).next_multiple_of(MIB);
        self.part_size.unwrap_or_else(|| PART_SIZE.max(least))
    }

    /// Returns the parts of an upload of [stored](Self::stored) bytes, if its metadata must state
    /// them.
    pub(crate) fn layout_to_state(
        &self,
        len: u64,
        dialect: Dialect,
    ) -> Result<Option<PartPlan>, TransferError> {
        let stated = self.store.vendor().is_some_and(Vendor::needs_encryption_headers_on_parts);
        if len <= self.threshold || !stated || !dialect.has_layout() {
            return Ok(None);
        }
        self.plan(len, dialect).map(Some)
    }

    /// Adds the headers of an envelope to those that the caller gave.
    ///
    /// # Errors
    /// If they are more than the vendor stores. Its limit is for all metadata of the user.
    fn all_headers(
        &self,
        vendor: Vendor,
        of_envelope: &[(&'static str, String)],
    ) -> Result<Headers, TransferError> {
        let mut headers = self.headers.clone();
        for (name, value) in of_envelope {
            headers.retain(|(other, _)| other != name);
            headers.push(((*name).to_owned(), value.clone()));
        }
        check_budget(&headers, vendor)?;
        Ok(headers)
    }

    fn multipart(
        &self,
        plan: PartPlan,
        object: EncryptedObject<CtrCipher>,
        source: &Source,
        headers: Headers,
    ) -> Multipart<'_> {
        Multipart {
            put: self,
            plan,
            headers,
            envelope: Some(object.envelope().clone()),
            object: Some(Arc::new(object)),
            source: PartSource::File(source.clone()),
            proof: None,
            buffers: part_buffer::Pool::default(),
        }
    }

    /// Returns the upload that a journal describes, or why this run cannot continue it.
    ///
    /// # Errors
    /// If it is not known whether it can be continued, because a KMS does not answer.
    async fn resumed<'a>(
        &'a self,
        earlier: &Earlier,
        source: &Source,
        resume: Option<&Decryptor>,
        encryptor: &Encryptor,
    ) -> Result<Result<Resumed<'a>, &'static str>, TransferError> {
        let Some(headers) = earlier.headers() else {
            return Ok(Err("the journal is damaged"));
        };
        let Ok(Some(envelope)) = envelope_in(headers) else {
            return Ok(Err("the journal contains no envelope"));
        };
        // What takes no time comes first.
        if envelope.dialect() != encryptor.dialect()
            || !encryptor.seals_as(&envelope)
            || !self.asks_for(headers)
        {
            return Ok(Err("this run asks for other headers"));
        }
        let Some(decryptor) = resume else {
            return Ok(Err("the content key cannot be unwrapped without a private key"));
        };
        let plain = match earlier.part_size() {
            Some(part_size) if envelope.seal().is_none() => tokio::select! {
                plain = PartProof::plain(source, part_size) => Some(plain?),
                () = self.stop.stopped() => return Err(TransferError::Stopped),
            },
            _ => None,
        };
        let digest = plain.as_ref().and_then(PartProof::whole);
        let continued = match earlier.continued(&self.key, (source.len(), digest)) {
            Ok(continued) => continued,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some(upload) = earlier.upload(&self.key) else {
            return Ok(Err("the upload had hardly begun"));
        };
        let Ok(plan) = PartPlan::new(continued.size, continued.part_size, envelope.dialect())
        else {
            return Ok(Err("the journal contains no valid part plan"));
        };
        let decryptor = named(decryptor, &self.key);
        let object = match decryptor.resume_async(&envelope, plan).await {
            Ok(object) => object,
            Err(error) if error.is_undecided() => return Err(error.into()),
            Err(_) => return Ok(Err("this key does not open the earlier upload")),
        };
        // The journal knows the headers that the upload was created with.
        let mut job = self.multipart(plan, object, source, continued.headers.clone());
        job.proof = match plain {
            Some(plain) => Some(plain),
            None => job.proven_again(&envelope).await?,
        };
        if job.proof.is_none() {
            return Ok(Err("the file changed after its upload began"));
        }
        Ok(Ok(Resumed { job, upload, envelope }))
    }

    /// Returns whether the headers of an earlier upload, apart from its envelope, are those that
    /// this one would have.
    fn asks_for(&self, headers: &Headers) -> bool {
        let others = |headers: &Headers| {
            let mut headers = headers.clone();
            headers.retain(|(name, _)| !is_of_envelope(name));
            headers.sort_unstable();
            headers
        };
        others(headers) == others(&self.headers)
    }

    /// Ends what the journal tells of an earlier run, if nothing is to be uploaded any more.
    ///
    /// # Errors
    /// [`TransferError::Locked`] if another process uses the journal.
    pub(crate) async fn end_earlier(&self) -> Result<(), TransferError> {
        let Some(path) = self.journal.as_ref().filter(|path| path.exists()) else { return Ok(()) };
        let (journal, earlier) = UploadJournal::open(path, &self.listener)?;
        if let Some(earlier) = earlier {
            self.abort_earlier(&earlier).await;
        }
        journal.remove();
        Ok(())
    }

    /// Aborts the upload of an earlier run, whose journal is ours.
    async fn abort_earlier(&self, earlier: &Earlier) {
        if let Some(upload) = earlier.upload(&self.key) {
            self.abort(&upload).await;
        } else if let Some((key, headers, begun)) = earlier.lost() {
            // The earlier run ended after the request, but before it recorded the ID.
            self.abort_lost(key, headers, begun).await;
        }
    }
}

/// Reads the journal of an upload.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    upload_journal::fuzz(text);
}

/// An upload of an earlier run that can be continued.
struct Resumed<'a> {
    job: Multipart<'a>,
    upload: Upload,
    envelope: Envelope,
}
