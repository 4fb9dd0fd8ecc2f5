//! Encryption: a fresh content key, wrapped, and its cipher.

use meta_codec::{ContentAlgorithm, Dialect, EmitError, Envelope, IvForm, WrapAlgorithm};

use crate::{
    ContentCipher, ContentKey, KeyWrapper, NoRandomness, PartPlan, WrapError, cipher::NotCtr,
};

/// Makes a fresh content key for each object, wraps it, and hands out its envelope and cipher.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Encryptor, Keyring, Decryptor};
/// use meta_codec::Dialect;
///
/// let wrapper = AesKeyWrapper::generate()?;
/// let (envelope, cipher) = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt()?;
/// let headers = envelope.emit(&Dialect::COS_V2)?; // send these with the object
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
#[expect(missing_debug_implementations, reason = "borrows a secret, which is not printed")]
pub struct Encryptor<'a> {
    wrapper: &'a dyn KeyWrapper,
    dialect: Dialect,
    wrap: Option<WrapAlgorithm>,
    plan: Option<PartPlan>,
    plain_len: Option<u64>,
    allow_weak_wrap: bool,
}

impl<'a> Encryptor<'a> {
    /// An encryptor that wraps with `wrapper` and writes in `dialect`.
    #[must_use]
    pub fn new(wrapper: &'a dyn KeyWrapper, dialect: Dialect) -> Self {
        Self { wrapper, dialect, wrap: None, plan: None, plain_len: None, allow_weak_wrap: false }
    }

    /// Wraps with this algorithm instead of the dialect's default for the kind of key.
    #[must_use]
    pub const fn wrap_with(mut self, algorithm: WrapAlgorithm) -> Self {
        self.wrap = Some(algorithm);
        self
    }

    /// Says in the metadata how the multipart upload is cut, where the dialect has a place for it.
    #[must_use]
    pub const fn parts(mut self, plan: PartPlan) -> Self {
        self.plan = Some(plan);
        self
    }

    /// Says in the metadata how many bytes the plaintext has, where the dialect has a place for it.
    /// A reader can then notice a truncated object. Multipart metadata says it anyway.
    #[must_use]
    pub const fn plain_len(mut self, len: u64) -> Self {
        self.plain_len = Some(len);
        self
    }

    /// Allows [`WrapAlgorithm::AesCtrZero`], which gives away all content keys of a master key to
    /// whoever learns one of them. There is no other AES wrap that COS Python reads.
    #[must_use]
    pub const fn allow_weak_wrap(mut self) -> Self {
        self.allow_weak_wrap = true;
        self
    }

    /// Encrypts one object: a fresh CEK and IV each time.
    ///
    /// # Errors
    /// A key that must not or cannot wrap in this dialect, metadata that the dialect cannot say or
    /// the service would not store, or no randomness.
    pub fn encrypt(&self) -> Result<(Envelope, ContentCipher), EncryptError> {
        let algorithm = self.algorithm()?;
        let content = ContentAlgorithm::Aes256Ctr;
        let key = ContentKey::generate(content)?;
        let form = self.dialect.iv_form();
        let wrapped = self.wrapper.wrap(&key, algorithm, form)?;

        let mut envelope = Envelope::new(self.dialect, content, algorithm, wrapped.cek, wrapped.iv)
            .with_description(self.wrapper.description().clone());
        if let Some(plan) = self.plan {
            if self.dialect.has_layout() {
                envelope = envelope.with_layout(plan.layout());
            }
        } else if let Some(len) = self.plain_len
            && self.dialect.has_plain_len()
        {
            envelope = envelope.with_plain_len(len);
        }
        // Refused before a byte is encrypted, not when the upload fails.
        envelope.emit(&self.dialect)?;
        Ok((envelope, ContentCipher::new(&key)?))
    }

    fn algorithm(&self) -> Result<WrapAlgorithm, EncryptError> {
        let mut writable = self.dialect.wrap_algorithms();
        let algorithm = match self.wrap {
            Some(wanted) => writable.find(|algorithm| *algorithm == wanted),
            None => writable.find(|algorithm| self.wrapper.wraps(*algorithm)),
        }
        .ok_or(EncryptError::NoWrap { dialect: self.dialect })?;
        if algorithm == WrapAlgorithm::AesCtrZero && !self.allow_weak_wrap {
            return Err(EncryptError::WeakWrap);
        }
        if self.dialect.iv_form() == IvForm::Clear {
            return Err(EncryptError::NoWrap { dialect: self.dialect });
        }
        Ok(algorithm)
    }
}

/// Why an object is not encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The envelope does not fit the dialect or the service.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The dialect has no wrap, that we write, for this kind of key.
    #[error("{dialect} has no wrap that we write with this kind of key")]
    NoWrap {
        /// The dialect.
        dialect: Dialect,
    },
    /// The content algorithm cannot be streamed.
    #[error(transparent)]
    NotCtr(#[from] NotCtr),
    /// The wrap gives away other objects' keys, and was not asked for by name.
    #[error("the AES wrap of cos-v1 uses one keystream for all objects of a master key")]
    WeakWrap,
    /// The key does not wrap.
    #[error(transparent)]
    Wrap(#[from] WrapError),
}
