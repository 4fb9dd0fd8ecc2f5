//! Key wrapping: the content key under a person's master key.

use meta_codec::{Envelope, IvForm, MaterialDescription, WrapAlgorithm};
use zeroize::Zeroizing;

use crate::{ContentKey, NoRandomness, key::Candidate, kms::KmsError};

pub(crate) mod aes;
pub(crate) mod kms;
pub(crate) mod rsa;
pub(crate) mod rsa_key;

/// A master key that can wrap and unwrap content keys.
///
/// CEK and IV go through together, because some dialects wrap them as one stream. Implementors
/// outside this crate build content keys with [`hazmat`](crate::hazmat).
pub trait KeyWrapper: Send + Sync {
    /// The description that this master key writes into metadata, and by which it is found again.
    /// Empty: it has none, and is tried on every object that it [accepts](Self::accepts).
    fn description(&self) -> &MaterialDescription;

    /// Whether this kind of key does the wrap, for writing.
    fn wraps(&self, algorithm: WrapAlgorithm) -> bool;

    /// Whether this key *could* have wrapped the envelope's content key: the algorithm, and whatever
    /// else is public, such as the length of an RSA modulus. Takes no secret into account.
    fn accepts(&self, envelope: &Envelope) -> bool;

    /// Wraps a content key.
    ///
    /// # Errors
    /// A key that must not be used for writing, or that cannot do this wrap.
    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> Result<WrappedKey, WrapError>;

    /// Unwraps an envelope's content key.
    ///
    /// # Errors
    /// [`UnwrapError`], which never says why.
    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError>;
}

/// A wrapped content key, as metadata carries it before base64.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrappedKey {
    /// The wrapped CEK.
    pub cek: Vec<u8>,
    /// The IV in the form that was asked for.
    pub iv: Vec<u8>,
}

impl WrappedKey {
    /// A wrapped CEK and an IV in the form that was asked for.
    #[must_use]
    pub const fn new(cek: Vec<u8>, iv: Vec<u8>) -> Self {
        Self { cek, iv }
    }
}

/// Wraps CEK and IV one by one, for the algorithms that treat them alike. A clear IV stays as it is.
fn wrap_each(
    key: &ContentKey,
    form: IvForm,
    mut wrap: impl FnMut(&[u8]) -> Result<Vec<u8>, WrapError>,
) -> Result<WrappedKey, WrapError> {
    let iv = key.iv_plain(form);
    let iv = if form == IvForm::Clear { iv.to_vec() } else { wrap(&iv)? };
    Ok(WrappedKey { cek: wrap(key.cek())?, iv })
}

/// Unwraps CEK and IV one by one, both always, and judges them together.
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

/// Why a content key cannot be wrapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// The master key does not do this wrap.
    #[error("this kind of key does not do {0}")]
    Algorithm(WrapAlgorithm),
    /// An RSA key below 2048 bits. It is good for reading old objects only.
    #[error("a {bits}-bit RSA key is too small to encrypt with; 2048 bits are the least")]
    KeyTooSmall {
        /// The length of its modulus, in bits.
        bits: usize,
    },
    /// The KMS gave no blob.
    #[error(transparent)]
    Kms(KmsError),
    /// No randomness for the padding.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The operation failed.
    #[error("the content key could not be wrapped")]
    Failed,
}

/// The content key did not come out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// One value for every cause that has to do with a secret, on purpose: whoever can tell causes
    /// apart can use a reader as a decryption oracle.
    #[error("the content key could not be unwrapped: wrong master key, or altered metadata")]
    Failed,
    /// The KMS gave no plaintext.
    #[error(transparent)]
    Kms(#[from] KmsError),
}
