//! Encryption: generating a content key, wrapping it, and building its cipher.

use std::sync::Arc;

use meta_codec::{
    ContentAlgorithm, Dialect, EmitError, Envelope, IvForm, LayoutError, PartLayout, Seal,
    WrapAlgorithm,
};
use subtle::ConstantTimeEq as _;

use crate::{
    AsyncKeyWrapper, BodyEncryptor, ContentKey, CtrCipher, EncryptedObject, GcmSealer,
    IntegrityError, KeyWrapper, NoRandomness, NotCtr, PartPlan, SealOptions, UnwrapError,
    WrapError,
    key_check::key_check,
    kms::KmsError,
    seal::Sealer,
    wrap::{Place, SharedWrapper, run_now},
};

/// An encryptor that generates a fresh content key for each object and wraps it. Clones share the
/// master key.
///
/// Every content key is unwrapped once, right after it was wrapped, if the master key here can
/// unwrap at all: a key that cannot read what it writes is found before anything is uploaded.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring, parse};
///
/// let key = AesKeyWrapper::generate()?;
/// let object = Encryptor::new(&key, Dialect::COS_V2).encrypt()?;
/// let headers = object.headers().to_vec(); // send these with the object
/// let mut body = b"a file".to_vec();
/// object.cipher().at(0).apply(&mut body);
///
/// let envelope = parse(headers)?.expect("the headers are there");
/// let decryptor = Decryptor::new(&Keyring::new().with(key));
/// decryptor.decrypt_ctr(&envelope)?.at(0).apply(&mut body);
/// assert_eq!(body, b"a file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds a secret, which is not printed")]
pub struct Encryptor {
    wrapper: SharedWrapper,
    dialect: Dialect,
    wrap: Option<WrapAlgorithm>,
    sizes: Sizes,
    plan: Option<PartPlan>,
    key_check: bool,
    seal: Sealing,
    /// The name that an object gets which is rewrapped.
    new_name: Option<Arc<str>>,
    allow_weak_wrap: bool,
    place: Place,
}

/// The treatment of seals.
#[derive(Clone)]
enum Sealing {
    /// An object has one if it had one before it was rewrapped.
    Kept,
    Made(SealOptions),
    Never,
}

/// The facts about the plaintext that metadata can state.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sizes {
    pub(crate) layout: Option<PartLayout>,
    pub(crate) len: Option<u64>,
    pub(crate) md5: Option<[u8; 16]>,
}

impl Encryptor {
    /// Creates an encryptor that wraps with `wrapper` and writes `dialect`.
    #[must_use]
    pub fn new<W: KeyWrapper + Clone + 'static>(wrapper: &W, dialect: Dialect) -> Self {
        Self::with_wrapper(SharedWrapper::Blocking(Arc::new(wrapper.clone())), dialect)
    }

    /// Creates an encryptor that wraps with a key whose operations are async. Only the async
    /// functions can then be used.
    #[must_use]
    pub fn with_async_key<W>(wrapper: &W, dialect: Dialect) -> Self
    where
        W: AsyncKeyWrapper + Clone + 'static,
    {
        Self::with_wrapper(SharedWrapper::Async(Arc::new(wrapper.clone())), dialect)
    }

    fn with_wrapper(wrapper: SharedWrapper, dialect: Dialect) -> Self {
        Self {
            wrapper,
            dialect,
            wrap: None,
            sizes: Sizes::default(),
            plan: None,
            key_check: false,
            seal: Sealing::Kept,
            new_name: None,
            allow_weak_wrap: false,
            place: Place::Pool,
        }
    }

    /// Sets the wrap algorithm, instead of the dialect's default for the kind of key.
    #[must_use]
    pub const fn with_wrap_algorithm(mut self, algorithm: WrapAlgorithm) -> Self {
        self.wrap = Some(algorithm);
        self
    }

    /// Plans the object as a multipart upload: [`EncryptedObject::parts`] then returns the ciphers
    /// of the parts, and the metadata records their sizes, if the dialect supports it.
    #[must_use]
    pub const fn with_parts(mut self, plan: PartPlan) -> Self {
        self.plan = Some(plan);
        self.sizes.layout = Some(plan.layout());
        self
    }

    /// Returns the part layout that the metadata will record.
    pub(crate) const fn layout(&self) -> Option<PartLayout> {
        self.sizes.layout
    }

    /// Records the length of the plaintext, in bytes, in the metadata, if the dialect supports it.
    /// A reader can then detect a truncated object. A part layout, if given, is recorded instead.
    #[must_use]
    pub const fn with_plain_len(mut self, len: u64) -> Self {
        self.sizes.len = Some(len);
        self
    }

    /// Records the MD5 of the plaintext in the metadata, in the clear. Anyone who can read the
    /// metadata can then confirm a guess of the content (CVE-2022-2582).
    #[must_use]
    pub const fn with_plain_md5(mut self, digest: [u8; 16]) -> Self {
        self.sizes.md5 = Some(digest);
        self
    }

    /// Adds the key check, a header of our own that lets our readers detect a wrong key and altered
    /// metadata before any plaintext is released. Other readers ignore it.
    #[must_use]
    pub const fn with_key_check(mut self) -> Self {
        self.key_check = true;
        self
    }

    /// Adds the seal, a header of our own that lets our readers notice every change of the object
    /// and of its metadata. Other readers ignore it.
    ///
    /// An encrypted object has a seal of its metadata at once, and of its body after
    /// [`EncryptedObject::seal_body`]. AES-GCM needs only the former.
    #[must_use]
    pub fn with_seal(mut self, options: SealOptions) -> Self {
        self.seal = Sealing::Made(options);
        self
    }

    /// Writes no seal, even if an object that is [rewrapped](crate::Decryptor::rewrap) has one. By
    /// default, it is kept.
    #[must_use]
    pub fn without_seal(mut self) -> Self {
        self.seal = Sealing::Never;
        self
    }

    /// Sets the name that objects which are [rewrapped](crate::Decryptor::rewrap) have from now on,
    /// because they are copied. A seal that is bound to the name of its object is bound to this one
    /// then; by default, to the one that it had.
    #[must_use]
    pub fn with_new_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.new_name = Some(name.into());
        self
    }

    /// Returns whether it seals objects.
    #[must_use]
    pub const fn seals(&self) -> bool {
        matches!(self.seal, Sealing::Made(_))
    }

    /// Returns whether it [writes no seal](Self::without_seal), even for an object that has one.
    #[must_use]
    pub const fn drops_seals(&self) -> bool {
        matches!(self.seal, Sealing::Never)
    }

    /// Returns whether the body and the metadata of this envelope's object are sealed as this
    /// encryptor would seal them, or not sealed as this one would not, either.
    #[must_use]
    pub fn seals_as(&self, envelope: &Envelope) -> bool {
        match (&self.seal, envelope.seal()) {
            (Sealing::Made(options), seal) => seal.is_some_and(|seal| options.are_of(&seal)),
            (_, seal) => seal.is_none(),
        }
    }

    /// Returns the sealer of an object that has this seal now, which was verified with the name and
    /// the origin key in `known`.
    pub(crate) fn resealer(
        &self,
        key: &ContentKey,
        seal: Option<Seal>,
        known: &SealOptions,
    ) -> Option<Sealer> {
        match (&self.seal, seal) {
            (Sealing::Never, _) | (Sealing::Kept, None) => None,
            (_, Some(seal)) => {
                let known = known.clone();
                let known = match &self.new_name {
                    Some(name) => known.with_name(Arc::clone(name)),
                    None => known,
                };
                Some(Sealer::again(key, &seal, &known))
            }
            (Sealing::Made(options), None) => Some(Sealer::adopting(key, options)),
        }
    }

    /// Allows [`WrapAlgorithm::AesCtrZero`], which reveals all content keys under a master key to
    /// anyone who learns one of them. COS Python reads no other AES wrap.
    #[must_use]
    pub const fn allow_weak_wrap(mut self) -> Self {
        self.allow_weak_wrap = true;
        self
    }

    /// Encrypts one object with AES-CTR, under a fresh CEK and IV each time.
    ///
    /// # Errors
    /// If the key must not or cannot wrap in this dialect, the dialect cannot express the metadata
    /// or the service would not store it, or there is no randomness.
    pub fn encrypt(&self) -> Result<EncryptedObject<CtrCipher>, EncryptError> {
        self.run_now(async |own| own.encrypt_async().await)?
    }

    /// Encrypts one object with AES-GCM, if the dialect has it (`cos-v2`).
    ///
    /// # Errors
    /// As [`encrypt`](Self::encrypt).
    pub fn encrypt_gcm(&self) -> Result<EncryptedObject<GcmSealer>, EncryptError> {
        self.run_now(async |own| own.encrypt_gcm_async().await)?
    }

    /// Encrypts one object with any content algorithm that the dialect writes.
    ///
    /// # Errors
    /// As [`encrypt`](Self::encrypt).
    pub fn encrypt_with(
        &self,
        content: ContentAlgorithm,
    ) -> Result<EncryptedObject<BodyEncryptor>, EncryptError> {
        self.run_now(async |own| own.encrypt_with_async(content).await)?
    }

    /// As [`encrypt`](Self::encrypt), waiting for the master key. Dropping the future has no
    /// effect, except that the key may already have been used.
    ///
    /// # Errors
    /// As [`encrypt`](Self::encrypt).
    pub async fn encrypt_async(&self) -> Result<EncryptedObject<CtrCipher>, EncryptError> {
        self.fresh(ContentAlgorithm::Aes256Ctr, |key| Ok(CtrCipher::new(key)?)).await
    }

    /// As [`encrypt_gcm`](Self::encrypt_gcm), waiting for the master key. Dropping the future has
    /// no effect, except that the key may already have been used.
    ///
    /// # Errors
    /// As [`encrypt`](Self::encrypt).
    pub async fn encrypt_gcm_async(&self) -> Result<EncryptedObject<GcmSealer>, EncryptError> {
        let content = ContentAlgorithm::Aes256Gcm;
        let unsupported = EmitError::ContentAlgorithm(self.dialect.id(), content);
        self.fresh(content, |key| Ok(GcmSealer::new(key).ok_or(unsupported)?)).await
    }

    /// As [`encrypt_with`](Self::encrypt_with), waiting for the master key. Dropping the future has
    /// no effect, except that the key may already have been used.
    ///
    /// # Errors
    /// As [`encrypt`](Self::encrypt).
    pub async fn encrypt_with_async(
        &self,
        content: ContentAlgorithm,
    ) -> Result<EncryptedObject<BodyEncryptor>, EncryptError> {
        self.fresh(content, |key| match GcmSealer::new(key) {
            Some(gcm) => Ok(gcm.into()),
            None => Ok(CtrCipher::new(key)?.into()),
        })
        .await
    }

    /// Returns the dialect that it writes.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns whether an operation may block the thread for [long](crate::KeyWrapper::may_block).
    /// Async programs then call it on a thread that may block. With the feature `tokio-rt`, the
    /// async functions do so themselves.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        self.wrapper.may_block()
    }

    /// Returns whether the key is async.
    pub(crate) const fn is_async(&self) -> bool {
        self.wrapper.is_async()
    }

    /// Runs a future that waits for nothing, because the key is not async. If it is, nothing is
    /// run.
    fn run_now<T>(&self, work: impl AsyncFnOnce(&Self) -> T) -> Result<T, EncryptError> {
        if self.is_async() {
            return Err(EncryptError::AsyncKey);
        }
        run_now(work(&self.on_this_thread())).ok_or(EncryptError::AsyncKey)
    }

    /// Returns an encryptor whose async functions use the key on the thread that polls them.
    pub(crate) fn on_this_thread(&self) -> Self {
        Self { place: Place::Here, ..self.clone() }
    }

    async fn fresh<C>(
        &self,
        content: ContentAlgorithm,
        cipher: impl FnOnce(&ContentKey) -> Result<C, EncryptError>,
    ) -> Result<EncryptedObject<C>, EncryptError> {
        if !self.dialect.is_writable() {
            return Err(EncryptError::NoWrap { dialect: self.dialect });
        }
        if !self.dialect.content_algorithms().any(|each| each == content) {
            return Err(EmitError::ContentAlgorithm(self.dialect.id(), content).into());
        }
        // A plan made for the other vendor may have parts that this one refuses.
        if let Some(layout) = self.sizes.layout
            && let Some(size) = layout.data_size()
        {
            self.dialect.layout(size, layout.part_size())?;
        }
        let key = Arc::new(ContentKey::generate(content)?);
        let mut sealer = match &self.seal {
            Sealing::Made(options) => Some(Sealer::new(&key, options)),
            Sealing::Kept | Sealing::Never => None,
        };
        let len = self.sizes.layout.and_then(|layout| layout.data_size()).or(self.sizes.len);
        if let (Some(sealer), Some(len)) = (&mut sealer, len.and_then(|len| content.body_len(len)))
        {
            sealer.set_len(len);
        }
        self.object(&key, self.sizes, cipher(&key)?, sealer).await
    }

    /// Wraps a content key and builds the metadata. Metadata that cannot be emitted is refused
    /// here, before a byte is encrypted, not when the upload fails.
    pub(crate) async fn object<C>(
        &self,
        key: &Arc<ContentKey>,
        sizes: Sizes,
        cipher: C,
        sealer: Option<Sealer>,
    ) -> Result<EncryptedObject<C>, EncryptError> {
        let (dialect, content) = (self.dialect, key.algorithm());
        let algorithm = self.algorithm(content)?;
        if key.is_short() {
            return Err(EncryptError::ShortContentKey);
        }
        let wrapped = self.wrapper.wrap(key, algorithm, dialect.iv_form(), self.place).await?;

        let mut envelope = Envelope::new(dialect, content, algorithm, wrapped.cek, wrapped.iv)
            .with_description(self.wrapper.description().clone());
        let layout = sizes.layout.filter(|_| dialect.has_layout());
        if let Some(layout) = layout {
            envelope = envelope.with_layout(layout);
        }
        if layout.and_then(|layout| layout.data_size()).is_none()
            && let Some(len) = sizes.len.filter(|_| dialect.has_plain_len())
        {
            envelope = envelope.with_plain_len(len);
        }
        if let Some(digest) = sizes.md5 {
            envelope = envelope.with_plain_md5(digest);
        }
        if self.key_check {
            let check = key_check(key, &envelope);
            envelope = envelope.with_key_check(check);
        }
        if let Some(sealer) = &sealer {
            if content == ContentAlgorithm::Aes256Ctr && sealer.is_of_new_object() {
                // If the seal of the body will not fit, that is better known now.
                envelope.clone().with_seal(sealer.longest()).emit(dialect)?;
            }
            let seal = sealer.seal(&envelope);
            envelope = envelope.with_seal(seal);
        }
        let headers = envelope.emit(dialect)?;
        self.prove_readable(key, &envelope).await?;
        Ok(EncryptedObject::new(envelope, headers, cipher, self.plan, sealer))
    }

    /// Unwraps what was just wrapped, if the master key here can unwrap. A service that denies this
    /// caller the right to decrypt proves nothing either way: such callers only write.
    async fn prove_readable(
        &self,
        key: &ContentKey,
        envelope: &Envelope,
    ) -> Result<(), EncryptError> {
        if !self.wrapper.accepts(envelope) {
            return Ok(());
        }
        match self.wrapper.unwrap(envelope, self.place).await {
            Ok(read) if bool::from(read.cek().ct_eq(key.cek()) & read.iv().ct_eq(key.iv())) => {
                Ok(())
            }
            Ok(_) => Err(EncryptError::Unreadable(UnwrapError::Failed)),
            Err(UnwrapError::Kms(KmsError::Denied(_))) => Ok(()),
            Err(error) => Err(EncryptError::Unreadable(error)),
        }
    }

    fn algorithm(&self, content: ContentAlgorithm) -> Result<WrapAlgorithm, EncryptError> {
        let dialect = self.dialect;
        let algorithm = dialect
            .wrap_algorithms()
            .filter(|algorithm| self.wrap.is_none_or(|wanted| wanted == *algorithm))
            .find(|algorithm| self.wrapper.wraps(*algorithm))
            .ok_or(EncryptError::NoWrap { dialect })?;
        // An IV in the clear is not wrapped at all.
        if dialect.iv_form() != IvForm::Clear && !algorithm.takes_iv_of(content) {
            return Err(EncryptError::WrapOfIv { wrap: algorithm, content });
        }
        if algorithm == WrapAlgorithm::AesCtrZero && !self.allow_weak_wrap {
            return Err(EncryptError::WeakWrap);
        }
        Ok(algorithm)
    }
}

/// An error from encrypting an object or rewrapping a content key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The envelope does not fit the dialect or the service.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The part plan does not follow the rules of the dialect's vendor.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The body is not the one that the seal covers already.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
    /// No randomness was available.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The dialect has no writable wrap algorithm for this kind of key, or not the requested one.
    #[error("{dialect} has no writable wrap algorithm for this kind of key")]
    NoWrap {
        /// The dialect.
        dialect: Dialect,
    },
    /// The key is not a CTR key.
    #[error(transparent)]
    NotCtr(#[from] NotCtr),
    /// The content key that would be wrapped again has fewer than 256 bits.
    #[error(
        "the content key has fewer than 256 bits, so it is not wrapped again: decrypt the object, \
         and encrypt it anew"
    )]
    ShortContentKey,
    /// The master key could not unwrap what it had wrapped.
    #[error("the master key cannot unwrap the content key that it has just wrapped")]
    Unreadable(#[source] UnwrapError),
    /// The master key is async, but the function is blocking.
    #[error("this master key can be used only by async functions")]
    AsyncKey,
    /// The wrap reveals other objects' keys and was not explicitly allowed.
    #[error("the AES wrap of cos-v1 uses one keystream for all objects under a master key")]
    WeakWrap,
    /// The content key could not be wrapped.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// The wrap cannot take the IV of the content algorithm.
    #[error("{wrap} cannot wrap the IV of {content}")]
    WrapOfIv {
        /// The wrap algorithm.
        wrap: WrapAlgorithm,
        /// The content algorithm.
        content: ContentAlgorithm,
    },
}
