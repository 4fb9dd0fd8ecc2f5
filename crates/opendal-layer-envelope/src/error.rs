//! What can go wrong, besides what goes wrong in the service.

use envelope_core::{
    DecryptError, EncryptError, IntegrityError, KeyringError, ParseError, PolicyError, UnwrapError,
    WrapError, kms::KmsError,
};
use opendal_core::ErrorKind;

/// An error from encrypting or decrypting objects.
///
/// It is the source of an [`opendal_core::Error`], of the kind [`Unsupported`] where the service,
/// the object or the policy allows no such operation, and [`Unexpected`] otherwise. Only a key
/// management service or a look that got no answer is worth a retry. Errors of the service are
/// passed on as they are.
///
/// [`Unexpected`]: ErrorKind::Unexpected
/// [`Unsupported`]: ErrorKind::Unsupported
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object cannot be decrypted.
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
    /// The object cannot be encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The service did not keep the envelope, so that nobody can read what was written.
    #[error(
        "what is at {path} is not what was written, or nobody can read it: the service shows other \
         metadata than the {name:?} that was sent"
    )]
    EnvelopeLost {
        /// Where the object was written.
        path: String,
        /// The name of a header that is missing, has another value or was not sent.
        name: String,
    },
    /// A chunk was refused, or has failed and was not repeated, so the object is not completed.
    #[error("the object is not complete: a chunk of it was not accepted")]
    Incomplete,
    /// The body or the plaintext is not what the envelope says.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
    /// The service loses the metadata of what is written this way.
    #[error("the service loses the metadata of {way}, and with it the key")]
    MetadataLost {
        /// How it was written.
        way: &'static str,
    },
    /// The seal of the object is bound to its name, and a copy has another one.
    #[error("the seal of the object is bound to one name, which objects written here do not have")]
    NameBound,
    /// The object was written, but then the service did not show it.
    #[error("the object was written to {path}, but it could not be looked at: {source}")]
    NotChecked {
        /// Where the object was written.
        path: String,
        /// What the service said.
        source: Box<opendal_core::Error>,
    },
    /// An object is there, and the service has nothing to tell one version from another, so that a
    /// reader could take the envelope of one and the contents of another.
    #[error("{path} exists, and this service does not replace objects as a whole: delete it first")]
    NotReplaceable {
        /// Where it is.
        path: String,
    },
    /// The encryptor states the parts, the length or the MD5 of one object, which would be wrong
    /// for all others.
    #[error("the encryptor states the length, the parts or the MD5 of one object, and not of all")]
    OneObject,
    /// The service returned another number of bytes than it has to, or has another number than was
    /// written.
    #[error("{want} bytes were wanted, and there are {got}")]
    OtherLength {
        /// The number that there has to be.
        want: u64,
        /// The number that there is.
        got: u64,
    },
    /// The object was replaced while it was read.
    #[error("the object was replaced while it was read")]
    Replaced,
    /// The object has an envelope in a dialect of the other vendor, which is not read here.
    #[error("the metadata {name:?} belongs to an envelope of the other vendor")]
    OtherVendor {
        /// The name of a header of that envelope.
        name: String,
    },
    /// The envelope cannot be parsed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The policy does not allow the object, or such a range of it.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The layer is [for reading](crate::EnvelopeLayer::read_only).
    #[error("the layer is for reading only")]
    ReadOnly,
    /// The user's own metadata has a name that belongs to envelopes.
    #[error("the metadata {name:?} has a name that belongs to the metadata of encryption")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// What failed was tried again with other bytes, for which its keystream must not be used.
    #[error("a write that failed was repeated with other contents")]
    OtherContents,
    /// The plaintext is shorter than the body, and nothing says by how much.
    #[error("the object does not say how long its plaintext is, which {0} does not tell")]
    UnknownLength(envelope_core::ContentAlgorithm),
    /// The operation would bypass the encryption.
    #[error("{0} would bypass the encryption")]
    Bypass(&'static str),
}

impl From<Error> for opendal_core::Error {
    fn from(error: Error) -> Self {
        use PolicyError::UnauthenticatedRange;

        let kind = match error {
            Error::Bypass(_)
            | Error::Decrypt(
                DecryptError::NotCtr(_) | DecryptError::Policy(UnauthenticatedRange(_)),
            )
            | Error::MetadataLost { .. }
            | Error::NameBound
            | Error::NotReplaceable { .. }
            | Error::Policy(UnauthenticatedRange(_))
            | Error::ReadOnly
            | Error::UnknownLength(_) => ErrorKind::Unsupported,
            _ => ErrorKind::Unexpected,
        };
        let wraps = Self::new(kind, error.to_string());
        let wraps = if error.is_temporary() { wraps.set_temporary() } else { wraps };
        wraps.set_source(error)
    }
}

impl Error {
    fn is_temporary(&self) -> bool {
        if let Self::NotChecked { source, .. } = self {
            // Nothing is written again, but only looked at.
            return source.is_temporary();
        }
        matches!(
            self,
            Self::Decrypt(DecryptError::Keyring(KeyringError::Unwrap(UnwrapError::Kms(
                KmsError::Unavailable(_)
            )))) | Self::Encrypt(
                EncryptError::Wrap(WrapError::Kms(KmsError::Unavailable(_)))
                    | EncryptError::Unreadable(UnwrapError::Kms(KmsError::Unavailable(_)))
            )
        )
    }
}
