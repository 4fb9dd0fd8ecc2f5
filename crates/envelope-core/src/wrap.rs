//! Key wrapping: content keys encrypted under a user's master key.

use meta_codec::{Envelope, IvForm, MaterialDescription, WrapAlgorithm};
use zeroize::Zeroizing;

use crate::{ContentKey, NoRandomness, key::Candidate, kms::KmsError};

pub(crate) mod aes;
pub(crate) mod kms;
pub(crate) mod rsa;
pub(crate) mod rsa_key;

/// A master key that can wrap and unwrap content keys.
///
/// CEK and IV are wrapped together because some dialects wrap them as one stream. Implementations
/// outside this crate build content keys with [`hazmat`](crate::hazmat).
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
}
