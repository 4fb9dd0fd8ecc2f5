//! Rewrapping: a new master key for an existing object.

mod kept;
mod versions;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use envelope_core::{
    BodyHasher, ContentAlgorithm, ContentCipher, Crc64, Decryptor, EncryptedObject, Encryptor,
    PolicyError, RewrapError, check_body_len,
};
use futures_util::TryStreamExt as _;
use meta_codec::{Dialect, Envelope, Vendor};

use self::kept::KeptObject;
use crate::{
    Event, GetOptions, Object, ObjectMeta, Put, RetryPolicy, Store, StoreError, TransferError,
    body::check_crc64,
    inspector::Inspector,
    kept_headers::{self, kept, with_envelope},
    object_envelope::{check_budget, envelope_in, envelope_of},
    object_name::named,
    progress::ProgressListener,
    put::StoredObject,
    store::head_unless_gone,
};

/// Maximum number of attempts to write headers that get lost on their way.
const MAX_ATTEMPTS: u32 = 3;
/// The longest pause before something that looks wrong is looked at again.
const PAUSE: Duration = Duration::from_secs(1);
/// The greatest age of a look at an object whose headers are replaced.
const FRESH: Duration = Duration::from_secs(1);

/// The outcome of [`Rewrap::run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rewrapped {
    /// The new master key already opens the object, which was left unchanged.
    Already,
    /// The headers were replaced.
    InPlace,
    /// The ciphertext was downloaded and uploaded again, with new headers.
    Reuploaded,
    /// This many versions were written again, and deleted as they were.
    Versions(u64),
}

/// Another master key, or another dialect, for an object in a store. Its ciphertext stays as it is.
///
/// Nothing is lost on the way. Where only headers are replaced, they are looked at afterwards, and
/// written again if the store lost them. Where the ciphertext is uploaded again, a local copy stays
/// until the new object is verified, and the version that was read is the only one that is
/// replaced, as far as a look right before can tell; see [`Put::with_expected`].
///
/// Anyone who has the old master key, and either the old headers or an old version of the object,
/// can still decrypt it.
///
/// ```
/// # use envelope_store::Put;
/// use std::sync::Arc;
///
/// use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
/// use envelope_store::{MemoryStore, Rewrap, Rewrapped, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (old, new) = (AesKeyWrapper::generate()?, AesKeyWrapper::generate()?);
/// let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
/// # let encryptor = Encryptor::new(&old, Dialect::COS_V2);
/// # Put::new(store.clone(), "a/key").stream(&b"a file"[..], None, &encryptor).await?;
/// let decryptor = Decryptor::new(&Keyring::new().with(old));
/// let encryptor = Encryptor::new(&new, Dialect::COS_V2);
/// let outcome = Rewrap::new(store, "a/key").run(&decryptor, &encryptor).await?;
/// assert_eq!(outcome, Rewrapped::InPlace);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Rewrap {
    store: Arc<dyn Store>,
    key: String,
    reupload: bool,
    seal_body: bool,
    folder: PathBuf,
    journal: Option<PathBuf>,
    retry: RetryPolicy,
    new: Option<NewKeys>,
    inspector: Inspector,
    listener: ProgressListener,
}

/// Returns the error for an object that was there when the work with it began. That it is not found
/// later is not what callers pass over.
fn changed_if_gone(error: TransferError) -> TransferError {
    match error {
        TransferError::Store(StoreError::NotFound) => StoreError::Changed.into(),
        error => error,
    }
}

/// The keys that open what was rewrapped already.
#[derive(Clone)]
struct NewKeys(Decryptor);

impl std::fmt::Debug for NewKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewKeys")
    }
}

impl Rewrap {
    /// Rewraps the object under `key`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, key: impl Into<String>) -> Self {
        Self {
            store,
            key: key.into(),
            reupload: false,
            seal_body: false,
            folder: std::env::temp_dir(),
            journal: None,
            retry: RetryPolicy::default(),
            new: None,
            inspector: Inspector::default(),
            listener: ProgressListener::default(),
        }
    }

    /// Sets whether the same ciphertext is uploaded again where the store refuses to change
    /// metadata, as OSS does for encrypted objects (EC 0005-00000421).
    #[must_use]
    pub const fn with_reupload(mut self, reupload: bool) -> Self {
        self.reupload = reupload;
        self
    }

    /// Sets whether the body of an object whose seal does not cover it is read once, to seal it,
    /// too. Such a seal is marked as adopted: it vouches for what is there now, whoever wrote it.
    /// The encryptor must [seal](Encryptor::with_seal).
    #[must_use]
    pub const fn with_seal_body(mut self, seal_body: bool) -> Self {
        self.seal_body = seal_body;
        self
    }

    /// Sets the folder for copies of what is about to be replaced, by default that for temporary
    /// files. A copy is only left there if the object may be damaged.
    #[must_use]
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Sets a journal that belongs to this object alone. If a run is killed, the next one with the
    /// same journal and folder aborts the upload that was left open, and removes the copy once the
    /// object in the store has the same bytes.
    #[must_use]
    pub fn with_journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal = Some(path.into());
        self
    }

    /// Sets the retry policy for uploading again. The store retries everything else.
    #[must_use]
    pub const fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the function that is called with every event. [`Event::Kept`] names the copy of an
    /// object before its replacement is uploaded.
    #[must_use]
    pub fn with_progress(mut self, notify: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.listener = ProgressListener::new(notify);
        self
    }

    /// Skips an object that these keys already open, so that an interrupted job can be run again.
    /// If its seal was made with an origin key, they must know that, too.
    #[must_use]
    pub fn with_new_keys(mut self, new: &Decryptor) -> Self {
        self.new = Some(NewKeys(new.clone()));
        self
    }

    /// Sets a function that sees the old envelope before anything is changed, for example to warn
    /// of its weaknesses: once rewrapped, the object no longer shows them.
    #[must_use]
    pub fn with_inspector(mut self, inspect: impl Fn(&Envelope) + Send + Sync + 'static) -> Self {
        self.inspector = Inspector::new(inspect);
        self
    }

    /// Rewraps: `old` opens the object now, `encryptor` wraps anew. If the future is dropped, the
    /// object has either its old headers or its new ones.
    ///
    /// # Errors
    /// Any [`TransferError`], including [`StoreError::Changed`] if another writer changed or
    /// deleted the object in the meantime; [`StoreError::NotFound`] means that there was none from
    /// the beginning, and nothing else. After [`TransferError::Kept`] the object may be damaged,
    /// and a copy of what it was is in a local file.
    pub async fn run(
        &self,
        old: &Decryptor,
        encryptor: &Encryptor,
    ) -> Result<Rewrapped, TransferError> {
        let meta = head_unless_gone(&*self.store, &self.key).await?;
        let meta = meta.ok_or(StoreError::NotFound)?;
        let rewrapped = self.rewrap(&meta, old, encryptor).await.map_err(changed_if_gone)?;
        if let Some(journal) = self.journal.as_ref().filter(|_| self.reupload) {
            let listener = self.listener.clone();
            let put = Put::new(Arc::clone(&self.store), &self.key)
                .with_journal(journal)
                .with_progress(move |event| listener.notify(event));
            // Another process may be about to do the same.
            let _ = put.end_earlier().await;
            KeptObject::remove_abandoned(&self.folder, &self.copies(), &meta);
        }
        Ok(rewrapped)
    }

    /// Returns the start of the names of copies.
    fn copies(&self) -> String {
        let of_object = self.journal.as_ref().and_then(|path| path.file_stem());
        of_object.map_or("rewrap-".to_owned(), |stem| format!("{}-", stem.to_string_lossy()))
    }

    /// Rewraps an object that was just looked at.
    async fn rewrap(
        &self,
        meta: &ObjectMeta,
        old: &Decryptor,
        encryptor: &Encryptor,
    ) -> Result<Rewrapped, TransferError> {
        let seen = Instant::now();
        let envelope = self.envelope(meta).await?.ok_or(PolicyError::NotEncrypted)?;
        if envelope.dialect() == Dialect::COS_INSTRUCTION {
            return Err(TransferError::Instruction);
        }
        self.inspector.inspect(&envelope);
        if kept(&meta.headers).iter().any(|(_, value)| value.contains('\u{fffd}')) {
            let words = "a header of the object is not UTF-8, and would be changed";
            return Err(TransferError::Corrupt(words.to_owned()));
        }
        let dialect = encryptor.dialect();
        if let Some(vendor) = self.store.vendor().filter(|vendor| *vendor != dialect.vendor()) {
            return Err(TransferError::Vendor { dialect, vendor });
        }
        let Some((old, mut rewrapped)) = self.rewrapped(old, &envelope, encryptor).await? else {
            return Ok(Rewrapped::Already);
        };
        let seals_body = self.seal_body && !is_covered(&envelope);
        let largest =
            if seals_body { rewrapped.longest_headers()? } else { rewrapped.headers().to_vec() };
        check_budget(&with_envelope(&meta.headers, &largest), dialect.vendor())?;
        // Where metadata cannot be replaced, the body passes by here in any case, or the object is
        // refused below.
        if seals_body && !self.store.vendor().is_some_and(Vendor::forbids_new_metadata) {
            self.read_body(meta, &envelope, &mut rewrapped).await?;
        }
        let mut attempts = MAX_ATTEMPTS;
        let access = kept_headers::access(&*self.store, &self.key, &self.listener).await?;
        if seen.elapsed() > FRESH && !self.store.head(&self.key).await?.is_same_version(meta) {
            return Err(StoreError::Changed.into());
        }
        loop {
            let mut headers = with_envelope(&meta.headers, rewrapped.headers());
            headers.extend(access.clone());
            let copied = self.store.copy_replace_metadata(&self.key, &meta.etag, &headers).await;
            if let Err(error) = &copied
                && error.forbids_new_metadata()
                && self.reupload
            {
                self.upload_again(meta, &envelope, rewrapped, access, (&old, encryptor)).await?;
                return Ok(Rewrapped::Reuploaded);
            }
            match self.look(meta, &envelope, rewrapped.envelope()).await {
                Ok(Look::New) => return Ok(Rewrapped::InPlace),
                Ok(Look::Old) => copied?,
                Ok(Look::Damaged) => {
                    let what = "its bytes changed while the store copied it";
                    return Err(TransferError::Damaged { what, removed: false });
                }
                Ok(Look::Other) => return Err(StoreError::Changed.into()),
                // The bytes are the same, but there is no envelope any more. Writing it again
                // replaces nothing.
                Ok(Look::Lost) if attempts > 1 => {
                    attempts = attempts.saturating_sub(1);
                    continue;
                }
                Ok(Look::Lost) => return Err(self.lost(meta, StoreError::Changed)),
                Err(error) => {
                    copied?;
                    return Err(self.lost(meta, error));
                }
            }
            let words = "the store accepted new metadata but kept the old; nothing changed";
            return Err(TransferError::Corrupt(words.to_owned()));
        }
    }

    /// Returns the new envelope, and the keys that open the present one: the old keys, or the new
    /// ones if it lacks no more than a seal. `None` if there is nothing left to do.
    async fn rewrapped(
        &self,
        old: &Decryptor,
        envelope: &Envelope,
        encryptor: &Encryptor,
    ) -> Result<Option<(Decryptor, EncryptedObject<ContentCipher>)>, TransferError> {
        let old = named(old, &self.key);
        let error = match old.rewrap_async(envelope, encryptor).await {
            Ok(rewrapped) => return Ok(Some((old, rewrapped))),
            Err(error) => error,
        };
        let new = self.new.as_ref().filter(|_| matches!(error, RewrapError::Decrypt(_)));
        let Some(NewKeys(new)) = new else { return Err(error.into()) };
        let new = named(new, &self.key);
        if new.decrypt_async(envelope).await.is_err() {
            return Err(error.into());
        }
        if self.is_as_wanted(envelope, encryptor) {
            return Ok(None);
        }
        let rewrapped = new.rewrap_async(envelope, encryptor).await?;
        Ok(Some((new, rewrapped)))
    }

    /// Reads the body of an object to seal it.
    async fn read_body(
        &self,
        meta: &ObjectMeta,
        envelope: &Envelope,
        rewrapped: &mut EncryptedObject<ContentCipher>,
    ) -> Result<(), TransferError> {
        let Some(hasher) = rewrapped.body_hasher() else { return Ok(()) };
        check_body_len(envelope, meta.len)?;
        let mut object = self.get(meta).await?;
        let (mut sum, mut whole) = (Crc64::new(), hasher.whole());
        while let Some(chunk) = object.body.try_next().await? {
            sum.update(&chunk);
            whole.update(&chunk);
        }
        check_crc64(meta.crc64, sum.value())?;
        if sum.len() != meta.len {
            return Err(StoreError::Changed.into());
        }
        rewrapped.seal_body(whole.finish())?;
        Ok(())
    }

    /// Returns the version of the object that was seen before.
    async fn get(&self, meta: &ObjectMeta) -> Result<Object, StoreError> {
        let options = GetOptions::default().with_if_match(&meta.etag);
        let object = self.store.get(&self.key, options).await?;
        if !object.meta.is_same_version(meta) {
            return Err(StoreError::Changed);
        }
        Ok(object)
    }

    /// Looks at an object whose headers were replaced, and looks again if that failed.
    async fn look(
        &self,
        meta: &ObjectMeta,
        old: &Envelope,
        new: &Envelope,
    ) -> Result<Look, StoreError> {
        let mut look = self.look_once(meta, old, new).await;
        if !matches!(look, Ok(Look::New)) {
            tokio::time::sleep(self.retry.initial_backoff.min(PAUSE)).await;
            look = self.look_once(meta, old, new).await;
        }
        look
    }

    async fn look_once(
        &self,
        meta: &ObjectMeta,
        old: &Envelope,
        new: &Envelope,
    ) -> Result<Look, StoreError> {
        let there = self.store.head(&self.key).await?;
        let found = envelope_in(&there.headers).ok().flatten();
        let same_bytes =
            there.len == meta.len && (there.crc64 == meta.crc64 || there.etag == meta.etag);
        Ok(match found {
            Some(found) if found == *new && same_bytes => Look::New,
            Some(found) if found == *new => Look::Damaged,
            Some(found) if found == *old && same_bytes => Look::Old,
            None if same_bytes => Look::Lost,
            _ => Look::Other,
        })
    }

    /// The error for an object that may have lost its envelope, whose old headers are saved.
    fn lost(&self, meta: &ObjectMeta, error: StoreError) -> TransferError {
        match KeptObject::headers((&self.folder, &self.copies()), &meta.headers) {
            Ok(path) => TransferError::Kept { path, source: Box::new(error.into()) },
            Err(error) => error.into(),
        }
    }

    async fn envelope(&self, meta: &ObjectMeta) -> Result<Option<Envelope>, TransferError> {
        envelope_of(&*self.store, &self.key, meta).await
    }

    /// Returns whether an object that the new keys open has, or lacks, the seal that it should.
    fn is_as_wanted(&self, envelope: &Envelope, encryptor: &Encryptor) -> bool {
        let sealed = !self.seal_body || is_covered(envelope);
        sealed && (!encryptor.drops_seals() || envelope.seal().is_none())
    }

    /// Downloads the ciphertext and uploads it again, with other headers. The copy on this machine
    /// stays until the new object is verified.
    async fn upload_again(
        &self,
        meta: &ObjectMeta,
        envelope: &Envelope,
        mut rewrapped: EncryptedObject<ContentCipher>,
        access: Option<(String, String)>,
        (old, encryptor): (&Decryptor, &Encryptor),
    ) -> Result<(), TransferError> {
        check_body_len(envelope, meta.len)?;
        if let Some(layout) = envelope.layout() {
            StoredObject::check_part_size(layout.part_size())?;
        }
        let listener = self.listener.clone();
        let mut put = Put::new(Arc::clone(&self.store), &self.key)
            .with_expected(meta.clone())
            .with_retry(self.retry)
            .with_progress(move |event| listener.notify(event));
        if envelope.layout().is_none()
            && let Some(plan) = put.layout_to_state(meta.len, encryptor.dialect())?
        {
            // The store wants to know the parts, and the object had none.
            let encryptor = encryptor.clone().with_parts(plan);
            rewrapped = old.rewrap_async(envelope, &encryptor).await?;
        }
        let object = self.get(meta).await?;
        // A seal covers the body from now on, because all of it passes by here.
        let hasher = match rewrapped.cipher() {
            // Even if the new headers will have no seal, the old ones had one.
            ContentCipher::Ctr(ctr) => {
                rewrapped.body_hasher().or_else(|| ctr.body_hasher().cloned())
            }
            _ => None,
        };
        let mut whole = hasher.as_ref().map(BodyHasher::whole);
        let names = (&*self.folder, &*self.copies());
        let mut kept = KeptObject::save(names, meta, object.body, whole.as_mut()).await?;
        if let (Some(whole), ContentCipher::Ctr(ctr)) = (whole, rewrapped.cipher()) {
            let body = whole.finish();
            ctr.check_digest(&body)?;
            rewrapped.seal_body(body)?;
        }
        let tags = kept_headers::tags(&*self.store, &self.key, &self.listener).await?;
        put = put
            .with_headers(with_envelope(&meta.headers, rewrapped.headers()))
            .with_headers(tags.into_iter().chain(access));
        if let Some(journal) = &self.journal {
            put = put.with_journal(journal);
        }
        self.listener.notify(Event::Kept(kept.path().to_owned()));
        kept.keep();
        let Err(error) = put.stored(kept.path()).await else {
            kept.discard();
            return Ok(());
        };
        match self.store.head(&self.key).await {
            // The object is what it was, so the copy is not needed.
            Ok(now) if now.is_same_version(meta) => {
                kept.discard();
                Err(error)
            }
            _ => {
                let path = kept.path().to_owned();
                Err(TransferError::Kept { path, source: Box::new(error) })
            }
        }
    }
}

/// Returns whether every byte of the body is covered, by the seal or by AES-GCM, or cannot be.
fn is_covered(envelope: &Envelope) -> bool {
    envelope.is_authenticated() || envelope.content_algorithm() != ContentAlgorithm::Aes256Ctr
}

/// What an object is after its headers were replaced.
enum Look {
    New,
    Old,
    /// It has the new envelope, but other bytes.
    Damaged,
    /// It has the same bytes, but no envelope.
    Lost,
    Other,
}
