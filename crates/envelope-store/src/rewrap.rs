//! Rewrapping: a new master key for an existing object.

use std::sync::Arc;

use envelope_core::{Crc64, Decryptor, Encryptor, PolicyError};
use futures_util::TryStreamExt as _;
use meta_codec::{Dialect, Envelope, Vendor};
use tokio::io::AsyncWriteExt as _;

use crate::{
    GetOptions, Headers, ObjectMeta, Put, Store, StoreError, TransferError, body::check_crc64,
    inspector::Inspector, master_key, object_envelope::envelope_of,
};

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
}

/// Another master key, or another dialect, for an object in a store. Its ciphertext stays as it is.
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
    new: Option<NewKeys>,
    inspector: Inspector,
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
        Self { store, key: key.into(), reupload: false, new: None, inspector: Inspector::default() }
    }

    /// Sets whether the same ciphertext is uploaded again where the store refuses to change
    /// metadata, as OSS does for encrypted objects (EC 0005-00000421).
    #[must_use]
    pub const fn with_reupload(mut self, reupload: bool) -> Self {
        self.reupload = reupload;
        self
    }

    /// Skips an object that these keys already open, so that an interrupted job can be run again.
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
    /// object has either its old headers or its new ones; with a reupload, it may be in any state
    /// that an interrupted upload can leave.
    ///
    /// # Errors
    /// Any [`TransferError`], including [`StoreError::Changed`] if another writer changed the
    /// object in the meantime.
    pub async fn run(
        &self,
        old: &Decryptor,
        encryptor: &Encryptor,
    ) -> Result<Rewrapped, TransferError> {
        let meta = self.store.head(&self.key).await?;
        let envelope = self.envelope(&meta).await?.ok_or(PolicyError::NotEncrypted)?;
        if envelope.dialect() == Dialect::COS_INSTRUCTION {
            return Err(TransferError::Instruction);
        }
        self.inspector.inspect(&envelope);
        let dialect = encryptor.dialect();
        if let Some(vendor) = self.store.vendor().filter(|vendor| *vendor != dialect.vendor()) {
            return Err(TransferError::Vendor { dialect, vendor });
        }
        let rewrapped = match master_key::rewrap(old, &envelope, encryptor).await? {
            Ok(rewrapped) => rewrapped,
            Err(_) if self.opens_already(&envelope).await => return Ok(Rewrapped::Already),
            Err(error) => return Err(error.into()),
        };
        let mut headers = kept(&meta.headers);
        let own = rewrapped.headers().iter();
        headers.extend(own.map(|(name, value)| ((*name).to_owned(), value.clone())));

        let copied = self.store.copy_replace_metadata(&self.key, &meta.etag, &headers).await;
        let outcome = match copied {
            Err(error) if error.forbids_new_metadata() && self.reupload => {
                self.upload_again(&meta, headers).await?;
                return Ok(Rewrapped::Reuploaded);
            }
            // The copy may have happened, and only its response been lost.
            Err(error @ (StoreError::Changed | StoreError::Unavailable(_))) => Err(error),
            Err(error) => return Err(error.into()),
            Ok(()) => Ok(()),
        };
        let there = self.store.head(&self.key).await?;
        let now = self.envelope(&there).await?;
        match (outcome, now.as_ref() == Some(rewrapped.envelope()) && there.len == meta.len) {
            (_, true) => Ok(Rewrapped::InPlace),
            (Err(error), false) => Err(error.into()),
            (Ok(()), false) if now.as_ref() == Some(&envelope) => {
                let words = "the store accepted new metadata but kept the old; nothing changed";
                Err(TransferError::Corrupt(words.to_owned()))
            }
            (Ok(()), false) => Err(StoreError::Changed.into()),
        }
    }

    async fn envelope(&self, meta: &ObjectMeta) -> Result<Option<Envelope>, TransferError> {
        envelope_of(&*self.store, &self.key, meta).await
    }

    async fn opens_already(&self, envelope: &Envelope) -> bool {
        match &self.new {
            Some(NewKeys(new)) => master_key::decrypt(new, envelope).await.is_ok(),
            None => false,
        }
    }

    /// Downloads the ciphertext and uploads it again, with other headers.
    async fn upload_again(&self, meta: &ObjectMeta, headers: Headers) -> Result<(), TransferError> {
        let file = tempfile::NamedTempFile::new()?;
        let options = GetOptions::default().with_if_match(&meta.etag);
        let mut body = self.store.get(&self.key, options).await?.body;
        let (mut sum, mut to) = (Crc64::new(), tokio::fs::File::create(file.path()).await?);
        while let Some(chunk) = body.try_next().await? {
            sum.update(&chunk);
            to.write_all(&chunk).await?;
        }
        to.flush().await?;
        check_crc64(meta.crc64, sum.value())?;
        let mut put = Put::new(Arc::clone(&self.store), &self.key);
        for (name, value) in headers {
            put = put.with_header(name, value);
        }
        put.stored(file.path()).await.map(|_| ())
    }
}

/// Returns the headers that a new version of the object must have again: everything that the user
/// gave, except the envelope.
fn kept(headers: &Headers) -> Headers {
    const STANDARD: [&str; 6] = [
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    ];
    let is_envelope = |name: &str| {
        let dialects = Dialect::ALL.into_iter();
        dialects.flat_map(Dialect::header_names).any(|known| known == name)
    };
    headers
        .iter()
        .filter(|(name, _)| {
            let mut vendors = Vendor::ALL.into_iter();
            let user = vendors.any(|vendor| name.starts_with(vendor.metadata_prefix()));
            (user && !is_envelope(name))
                || Vendor::ALL.iter().any(|it| it.copied_headers().contains(&name.as_str()))
                || STANDARD.contains(&name.as_str())
        })
        .cloned()
        .collect()
}
