//! Encryption: generating a content key, wrapping it, and building its cipher.

use meta_codec::{
    ContentAlgorithm, Dialect, EmitError, Envelope, IvForm, LayoutError, PartLayout, WrapAlgorithm,
};

use crate::{
    ContentCipher, ContentKey, GcmCipher, KeyWrapper, NoRandomness, PartPlan, WrapError,
    cipher::NotCtr, key_check::key_check,
};

/// An encryptor that generates a fresh content key for each object, wraps it, and returns its
/// envelope and cipher.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Decryptor, Encryptor, Keyring};
/// use meta_codec::Dialect;
///
/// let wrapper = AesKeyWrapper::generate()?;
/// let (envelope, cipher) = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt()?;
/// let headers = envelope.emit(Dialect::COS_V2)?; // send these with the object
/// let mut body = b"a file".to_vec();
/// cipher.at(0).apply(&mut body);
///
/// let envelope = meta_codec::parse(headers)?.expect("the headers are there");
/// let keyring = Keyring::new().with(wrapper);
/// let cipher = Decryptor::new(&keyring).decrypt(&envelope)?;
/// cipher.at(0).apply(&mut body);
/// assert_eq!(body, b"a file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "borrows a secret, which is not printed")]
pub struct Encryptor<'a> {
    wrapper: &'a dyn KeyWrapper,
    dialect: Dialect,
    wrap: Option<WrapAlgorithm>,
    sizes: Sizes,
    key_check: bool,
    allow_weak_wrap: bool,
}

/// The facts about the plaintext that metadata can state.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sizes {
    pub(crate) layout: Option<PartLayout>,
    pub(crate) len: Option<u64>,
    pub(crate) md5: Option<[u8; 16]>,
}

impl<'a> Encryptor<'a> {
    /// Creates an encryptor that wraps with `wrapper` and writes `dialect`.
    #[must_use]
    pub fn new(wrapper: &'a dyn KeyWrapper, dialect: Dialect) -> Self {
        Self {
            wrapper,
            dialect,
            wrap: None,
            sizes: Sizes::default(),
            key_check: false,
            allow_weak_wrap: false,
        }
    }

    /// Sets the wrap algorithm, instead of the dialect's default for the kind of key.
    #[must_use]
    pub const fn wrap_with(mut self, algorithm: WrapAlgorithm) -> Self {
        self.wrap = Some(algorithm);
        self
    }

    /// Records the part layout of a multipart upload in the metadata, if the dialect supports it.
    #[must_use]
    pub const fn parts(mut self, plan: PartPlan) -> Self {
        self.sizes.layout = Some(plan.layout());
        self
    }

    /// Records the length of the plaintext, in bytes, in the metadata, if the dialect supports it.
    /// A reader can then detect a truncated object. A part layout, if given, is recorded instead.
    #[must_use]
    pub const fn plain_len(mut self, len: u64) -> Self {
        self.sizes.len = Some(len);
        self
    }

    /// Records the MD5 of the plaintext in the metadata, in the clear. Anyone who can read the
    /// metadata can then confirm a guess of the content (CVE-2022-2582).
    #[must_use]
    pub const fn plain_md5(mut self, digest: [u8; 16]) -> Self {
        self.sizes.md5 = Some(digest);
        self
    }

    /// Adds the key check, a header of our own that lets our readers detect a wrong key and altered
    /// metadata before any plaintext is released. Other readers ignore it.
    #[must_use]
    pub const fn key_check(mut self) -> Self {
        self.key_check = true;
        self
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
    pub fn encrypt(&self) -> Result<(Envelope, ContentCipher), EncryptError> {
        let (envelope, key) = self.fresh(ContentAlgorithm::Aes256Ctr)?;
        Ok((envelope, ContentCipher::new(&key)?))
    }

    /// Encrypts one object with AES-GCM, if the dialect supports it (`cos-v2`).
    ///
    /// # Errors
    /// See [`encrypt`](Self::encrypt).
    pub fn encrypt_gcm(&self) -> Result<(Envelope, GcmCipher), EncryptError> {
        let content = ContentAlgorithm::Aes256Gcm;
        let (envelope, key) = self.fresh(content)?;
        let cipher = GcmCipher::new(&key).ok_or(EmitError::ContentAlgorithm("gcm", content))?;
        Ok((envelope, cipher))
    }

    /// Returns the dialect that the encryptor writes.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn fresh(&self, content: ContentAlgorithm) -> Result<(Envelope, ContentKey), EncryptError> {
        if !self.dialect.is_writable() {
            return Err(EncryptError::NoWrap { dialect: self.dialect });
        }
        if !self.dialect.content_algorithms().any(|each| each == content) {
            return Err(EmitError::ContentAlgorithm(self.dialect.id(), content).into());
        }
        // A plan made for the other vendor may have parts that this one rejects.
        if let Some(layout) = self.sizes.layout
            && let Some(size) = layout.data_size()
        {
            self.dialect.layout(size, layout.part_size())?;
        }
        let key = ContentKey::generate(content)?;
        let envelope = self.envelope(&key, self.sizes)?;
        Ok((envelope, key))
    }

    /// Wraps a content key into an envelope, and rejects an envelope that could not be emitted.
    pub(crate) fn envelope(
        &self,
        key: &ContentKey,
        sizes: Sizes,
    ) -> Result<Envelope, EncryptError> {
        let (dialect, content) = (self.dialect, key.algorithm());
        let algorithm = self.algorithm(content)?;
        let wrapped = self.wrapper.wrap(key, algorithm, dialect.iv_form())?;

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
        // Refused before a byte is encrypted, not when the upload fails.
        envelope.emit(dialect)?;
        Ok(envelope)
    }

    fn algorithm(&self, content: ContentAlgorithm) -> Result<WrapAlgorithm, EncryptError> {
        let dialect = self.dialect;
        let algorithm = dialect
            .wrap_algorithms()
            .filter(|algorithm| self.wrap.is_none_or(|wanted| wanted == *algorithm))
            .find(|algorithm| self.wrapper.wraps(*algorithm))
            .filter(|_| dialect.iv_form() != IvForm::Clear)
            .ok_or(EncryptError::NoWrap { dialect })?;
        if !algorithm.takes_iv_of(content) {
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
