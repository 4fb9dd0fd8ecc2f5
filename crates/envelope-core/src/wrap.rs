//! Key wrapping: content keys encrypted under a user's master key.

use std::sync::Arc;

use meta_codec::{Envelope, IvForm, MaterialDescription, WrapAlgorithm};
use zeroize::Zeroizing;

use crate::{ContentKey, NoRandomness, key::Candidate, kms::KmsError};

pub(crate) mod aes;
mod async_wrapper;
pub(crate) mod kms;
pub(crate) mod rsa;
pub(crate) mod rsa_key;
mod rsa_limits;
mod shared;

pub use async_wrapper::{AsyncKeyWrapper, BoxFuture};
pub(crate) use shared::{Place, SharedWrapper, run_now};

/// A master key that can wrap and unwrap content keys.
///
/// CEK and IV are wrapped together because some dialects wrap them as one stream. Implementations
/// outside this crate build content keys with [`hazmat`](crate::hazmat). A key in a key management
/// service needs only a [`Kms`](crate::kms::Kms). The wrappers of this crate are cheap to clone:
/// clones share the key, which is wiped with the last of them. Put another one into an [`Arc`].
///
/// ```
/// use envelope_core::{
///     ContentKey, Decryptor, Dialect, Encryptor, Envelope, IvForm, KeyWrapper, Keyring,
///     MaterialDescription, UnwrapError, WrapAlgorithm, WrapError, WrappedKey, hazmat,
/// };
///
/// /// "Wraps" with an XOR: an example of the shape, and of nothing else.
/// #[derive(Clone, Default)]
/// struct Masked(MaterialDescription);
///
/// fn mask(bytes: &[u8]) -> Vec<u8> {
///     bytes.iter().chain(&[0; 8]).map(|byte| byte ^ 0x55).collect()
/// }
///
/// impl KeyWrapper for Masked {
///     fn description(&self) -> &MaterialDescription {
///         &self.0
///     }
///     fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
///         algorithm == WrapAlgorithm::AesKeyWrap // 8 bytes longer than the plaintext
///     }
///     fn accepts(&self, envelope: &Envelope) -> bool {
///         self.wraps(envelope.wrap_algorithm())
///     }
///     fn wrap(
///         &self,
///         key: &ContentKey,
///         _: WrapAlgorithm,
///         iv: IvForm,
///     ) -> Result<WrappedKey, WrapError> {
///         Ok(WrappedKey::new(mask(hazmat::cek(key)), mask(&hazmat::iv(key, iv))))
///     }
///     fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
///         let (mut cek, mut iv) = (mask(envelope.wrapped_key()), mask(envelope.iv()));
///         cek.truncate(32);
///         iv.truncate(16);
///         let form = envelope.dialect().iv_form();
///         hazmat::content_key(envelope.content_algorithm(), form, Some(&cek), Some(&iv))
///     }
/// }
///
/// let key = Masked::default();
/// let object = Encryptor::new(&key, Dialect::COS_V2).encrypt()?;
/// Decryptor::new(&Keyring::new().with(key)).decrypt(object.envelope())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait KeyWrapper: Send + Sync {
    /// Returns the description that is written into metadata and used to find this master key
    /// again. A key with an empty description is tried on every object that it
    /// [accepts](Self::accepts).
    fn description(&self) -> &MaterialDescription;

    /// Returns whether this kind of key supports wrapping with the algorithm.
    fn wraps(&self, algorithm: WrapAlgorithm) -> bool;

    /// Returns whether this key *could* have wrapped the envelope's content key, judging by the
    /// algorithm and other public facts, such as the length of an RSA modulus. Takes no secret into
    /// account.
    fn accepts(&self, envelope: &Envelope) -> bool;

    /// Returns whether an operation may take so long that an async program should not wait for it
    /// on a thread that serves other tasks: longer than about 100 microseconds, as the private half
    /// of an RSA key or a call to another machine does. If in doubt, it may, which is the default.
    fn may_block(&self) -> bool {
        true
    }

    /// Wraps a content key.
    ///
    /// # Errors
    /// If the key must not be used for writing, or does not support this wrap.
    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> Result<WrappedKey, WrapError>;

    /// Unwraps an envelope's content key.
    ///
    /// # Errors
    /// [`UnwrapError`], which does not reveal a cause that depends on a secret.
    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError>;
}

impl<W: KeyWrapper + ?Sized> KeyWrapper for Arc<W> {
    fn description(&self) -> &MaterialDescription {
        (**self).description()
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        (**self).wraps(algorithm)
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        (**self).accepts(envelope)
    }

    fn may_block(&self) -> bool {
        (**self).may_block()
    }

    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        (**self).wrap(key, algorithm, iv)
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        (**self).unwrap(envelope)
    }
}

/// A wrapped content key, as metadata carries it before base64.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrappedKey {
    /// The wrapped CEK.
    pub cek: Vec<u8>,
    /// The IV in the requested form.
    pub iv: Vec<u8>,
}

impl WrappedKey {
    /// Creates a wrapped key from a wrapped CEK and an IV in the requested form.
    #[must_use]
    pub const fn new(cek: Vec<u8>, iv: Vec<u8>) -> Self {
        Self { cek, iv }
    }
}

/// Wraps CEK and IV separately, for the algorithms that treat them alike. A clear IV stays
/// unchanged.
fn wrap_each(
    key: &ContentKey,
    form: IvForm,
    mut wrap: impl FnMut(&[u8]) -> Result<Vec<u8>, WrapError>,
) -> Result<WrappedKey, WrapError> {
    let iv = key.iv_plain(form);
    let iv = if form == IvForm::Clear { iv.to_vec() } else { wrap(&iv)? };
    Ok(WrappedKey { cek: wrap(key.cek())?, iv })
}

/// Unwraps CEK and IV separately, always both, and judges them together.
fn unwrap_each(
    envelope: &Envelope,
    mut unwrap: impl FnMut(&[u8]) -> Option<Zeroizing<Vec<u8>>>,
) -> Candidate {
    let form = envelope.dialect().iv_form();
    let cek = unwrap(envelope.wrapped_key());
    let iv = match form {
        IvForm::Clear => Some(Zeroizing::new(envelope.iv().to_vec())),
        _ => unwrap(envelope.iv()),
    };
    Candidate::new(
        envelope.content_algorithm(),
        form,
        cek.as_ref().map(|cek| &cek[..]),
        iv.as_ref().map(|iv| &iv[..]),
    )
}

/// An error from wrapping a content key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// The KMS returned a blob that is not base64, in which metadata carries its service's blobs.
    #[error("the KMS returned a wrapped key that is not base64")]
    Blob,
    /// The master key does not support this wrap.
    #[error("this kind of key does not support {0}")]
    Algorithm(WrapAlgorithm),
    /// An RSA key of less than 2048 bits, which can only be used to read old objects.
    #[error("a {bits}-bit RSA key is too small for encryption; the minimum is 2048 bits")]
    KeyTooSmall {
        /// The length of its modulus, in bits.
        bits: usize,
    },
    /// The KMS returned no blob.
    #[error(transparent)]
    Kms(KmsError),
    /// No randomness was available for the padding.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The thread on which the master key was to be used ended early.
    #[error("the master key could not be used: {0}")]
    NotUsed(String),
    /// The operation failed.
    #[error("the content key could not be wrapped")]
    Failed,
}

/// An error from unwrapping a content key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// Any failure that depends on a secret. There is deliberately one value for all of them:
    /// anyone who can tell the causes apart can use a reader as a decryption oracle.
    #[error("the content key could not be unwrapped: wrong master key, or altered metadata")]
    Failed,
    /// The KMS returned no plaintext.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// The thread on which the master key was to be used ended early.
    #[error("the master key could not be used: {0}")]
    NotUsed(String),
}
