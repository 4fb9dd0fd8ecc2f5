//! The cipher of an object that is read, whichever content algorithm its envelope names.

use meta_codec::ContentAlgorithm;

use crate::{
    CbcCipher, ContentKey, CtrCipher, GcmOpener, IntegrityError, NotCtr, seal::SealedContent,
};

/// The cipher of one object, for reading it.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, ContentCipher, Decryptor, Dialect, Encryptor, Keyring};
/// # let wrapper = AesKeyWrapper::generate()?;
/// # let (envelope, cipher) = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt()?.into_inner();
/// # let mut body = b"a file".to_vec();
/// # cipher.at(0).apply(&mut body);
/// let decryptor = Decryptor::new(&Keyring::new().with(wrapper));
/// let plain = match decryptor.decrypt(&envelope)? {
///     // In place, starting anywhere.
///     ContentCipher::Ctr(cipher) => {
///         cipher.at(0).apply(&mut body);
///         body
///     }
///     cipher => cipher.decrypt(body)?,
/// };
/// assert_eq!(plain, b"a file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[expect(missing_debug_implementations, reason = "secrets are not printed")]
pub enum ContentCipher {
    /// AES-256-CBC.
    Cbc(CbcCipher),
    /// AES-CTR.
    Ctr(CtrCipher),
    /// AES-256-GCM.
    Gcm(GcmOpener),
}

impl ContentCipher {
    pub(crate) fn new(key: &ContentKey, seal: Option<SealedContent>) -> Option<Self> {
        CtrCipher::new(key)
            .ok()
            .map(|cipher| Self::Ctr(cipher.sealed(seal)))
            .or_else(|| GcmOpener::new(key).map(Self::Gcm))
            .or_else(|| CbcCipher::new(key).map(Self::Cbc))
    }

    /// Decrypts a whole body in memory. Nothing is returned before everything that the algorithm
    /// can check has been checked.
    ///
    /// # Errors
    /// See [`GcmOpener::open`] and [`CbcCipher::open`].
    pub fn decrypt(self, mut body: Vec<u8>) -> Result<Vec<u8>, IntegrityError> {
        match self {
            Self::Cbc(cbc) => cbc.open(body),
            Self::Gcm(gcm) => gcm.open(body),
            Self::Ctr(ctr) => {
                if let Some(seal) = ctr.seal() {
                    let mut check = seal.check();
                    check.update(&body)?;
                    check.finish()?;
                }
                ctr.at(0).try_apply(&mut body).map_err(|_| IntegrityError::TooLong)?;
                Ok(body)
            }
        }
    }

    /// Returns the content algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> ContentAlgorithm {
        match self {
            Self::Cbc(_) => ContentAlgorithm::Aes256Cbc,
            Self::Ctr(_) => ContentAlgorithm::Aes256Ctr,
            Self::Gcm(_) => ContentAlgorithm::Aes256Gcm,
        }
    }

    /// Returns the length of the content key in bits: 256, or 128 or 192 if it is
    /// [short](ContentKey::is_short).
    #[must_use]
    pub const fn key_bits(&self) -> usize {
        match self {
            Self::Ctr(ctr) => ctr.key_bits(),
            Self::Cbc(_) | Self::Gcm(_) => 256,
        }
    }

    /// Returns the keystream that decrypts ranges. With GCM they are unauthenticated; the caller
    /// has asked the policy.
    pub(crate) fn into_keystream(self) -> Result<CtrCipher, NotCtr> {
        match self {
            Self::Cbc(_) => Err(NotCtr(ContentAlgorithm::Aes256Cbc)),
            Self::Ctr(ctr) => Ok(ctr),
            Self::Gcm(gcm) => Ok(gcm.into_unauthenticated()),
        }
    }
}

impl From<CtrCipher> for ContentCipher {
    fn from(cipher: CtrCipher) -> Self {
        Self::Ctr(cipher)
    }
}
