//! What can go wrong, besides what goes wrong in the store underneath.

use std::ops::Range;

use envelope_core::{DecryptError, EncryptError, IntegrityError, ParseError, PolicyError};

/// An error from encrypting or decrypting objects of a store.
///
/// It is the source of an [`object_store::Error`]: of [`NotSupported`] where the object or the
/// policy allows no such operation, and of [`Generic`] otherwise. Errors of the store underneath
/// are passed on as they are.
///
/// [`NotSupported`]: object_store::Error::NotSupported
/// [`Generic`]: object_store::Error::Generic
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An attribute has a value that cannot be sent as a header and read again.
    #[error("the value of {name} has characters that a header cannot carry")]
    AttributeValue {
        /// The name of the attribute.
        name: String,
    },
    /// The envelope is in an instruction file (COS Java), which a copy of the object would lack.
    #[error("the envelope of the object is in an instruction file, which is not copied with it")]
    CopyOfInstruction,
    /// The object cannot be decrypted.
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
    /// The object cannot be encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The store did not keep the envelope, so that nobody can read what was written.
    #[error(
        "nobody can read what is at {path} now, because the store has not kept its metadata \
         {name:?} as it was sent; use a store that keeps metadata"
    )]
    EnvelopeLost {
        /// Where the object was written.
        path: String,
        /// The name of a header that is missing, has another value or was not sent.
        name: String,
    },
    /// The object is the instruction file of another one, which holds its only key.
    #[error("{path} holds the key of the object beside it, and is neither replaced nor deleted")]
    InstructionFile {
        /// Where it is.
        path: String,
    },
    /// The body or the plaintext is not what the envelope says.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
    /// The seal of the object is bound to its name, and a copy has another one.
    #[error(
        "the seal of the object is bound to its name, and the service copies seals as they are; \
         read the object and write it under the new name"
    )]
    NameBound,
    /// The object **was written**, but then the store did not show it. To write it again may be
    /// wrong, for example if it is an entry of a log.
    #[error("the object was written to {path}, but it could not be looked at: {source}")]
    NotChecked {
        /// Where the object was written.
        path: String,
        /// What the store said.
        source: Box<object_store::Error>,
    },
    /// The envelope of an older version is in an instruction file, and nobody knows in which
    /// version of that.
    #[error("the envelope of this older version may be in an instruction file")]
    OldInstruction,
    /// The [encryptor](envelope_core::Encryptor) states the parts, the length or the MD5 of one
    /// object, which would be wrong for all others.
    #[error("the encryptor states the length, the parts or the MD5 of one object, and not of all")]
    OneObject,
    /// The store returned other bytes than those that were asked for, or has others than were sent.
    #[error("bytes {want:?} of the object were wanted, and the store has or returned {got:?}")]
    OtherBytes {
        /// The range that was asked for, or all bytes that were sent.
        want: Range<u64>,
        /// The range that the store returned, or all bytes that it has.
        got: Range<u64>,
    },
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
    /// The store was made [for reading](crate::EncryptedStore::read_only).
    #[error("the store is for reading only")]
    ReadOnly,
    /// An attribute has a name that belongs to envelopes.
    #[error("the attribute {name:?} has a name that belongs to the metadata of encryption")]
    ReservedName {
        /// The name of the attribute.
        name: String,
    },
    /// The plaintext is shorter than the body, and nothing says by how much.
    #[error("the object does not say how long its plaintext is, which {0} does not tell")]
    UnknownLength(envelope_core::ContentAlgorithm),
}

impl From<Error> for object_store::Error {
    fn from(error: Error) -> Self {
        use PolicyError::UnauthenticatedRange;

        match error {
            Error::CopyOfInstruction
            | Error::Decrypt(
                DecryptError::NotCtr(_) | DecryptError::Policy(UnauthenticatedRange(_)),
            )
            | Error::InstructionFile { .. }
            | Error::NameBound
            | Error::Policy(UnauthenticatedRange(_))
            | Error::ReadOnly
            | Error::UnknownLength(_) => Self::NotSupported { source: Box::new(error) },
            error => Self::Generic { store: "EncryptedStore", source: Box::new(error) },
        }
    }
}

/// Returns the error for an object that somebody replaced in the middle of an operation.
pub(crate) fn replaced(path: &object_store::path::Path) -> object_store::Error {
    object_store::Error::Precondition {
        path: path.to_string(),
        source: "somebody replaced the object in the meantime".into(),
    }
}
