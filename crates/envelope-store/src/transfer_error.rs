//! Errors of uploads, downloads and rewraps.

use std::io;

use envelope_core::{
    DecryptError, EncryptError, IntegrityError, NoPlan, PartLengthError, PolicyError, RangeError,
    RewrapError,
};
use meta_codec::{Dialect, EmitError, LayoutError, ParseError, Vendor};

use crate::StoreError;

/// An error that ended an upload, a download or a rewrap.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The data received differs from the data sent or stored.
    #[error("{0}")]
    Corrupt(String),
    /// The reader's policy refuses the object, or its content key cannot be unwrapped.
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
    /// The metadata cannot be written in the dialect.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// No content key could be created, or the metadata cannot represent it.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The envelope of this object is in an instruction file of COS Java, which is never modified.
    #[error("the envelope is in an instruction file, which cannot be rewrapped in place")]
    Instruction,
    /// Local I/O error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The decrypted data contradicts the metadata.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
    /// A part layout that the store does not accept.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Another process holds the lock on this transfer.
    #[error("this transfer is in use by another process")]
    Locked,
    /// A part that is not in the plan of the upload.
    #[error(transparent)]
    NoPlan(#[from] NoPlan),
    /// The metadata is invalid or was rejected.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A part's length differs from the plan.
    #[error(transparent)]
    PartLength(#[from] PartLengthError),
    /// The range contains no byte of the object.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The content key cannot be rewrapped.
    #[error(transparent)]
    Rewrap(#[from] RewrapError),
    /// The source file changed after the upload was created. Resuming would encrypt different bytes
    /// with the same keystream.
    #[error("the file changed after its upload began")]
    SourceChanged,
    /// The caller stopped the transfer.
    #[error("stopped")]
    Stopped,
    /// The store returned an error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream has another length than was announced.
    #[error("the stream has {got} bytes, but {want} were announced")]
    StreamLength {
        /// The length that was announced, in bytes.
        want: u64,
        /// The length at which the difference was noticed, in bytes.
        got: u64,
    },
    /// The stream does not fit into ten thousand parts.
    #[error("the stream does not fit into 10000 parts of this size")]
    TooLong,
    /// The dialect belongs to another vendor.
    #[error("{dialect} is not a dialect of {}", vendor.id())]
    Vendor {
        /// The requested dialect.
        dialect: Dialect,
        /// The vendor of the bucket.
        vendor: Vendor,
    },
}

impl From<PolicyError> for TransferError {
    fn from(error: PolicyError) -> Self {
        Self::Decrypt(error.into())
    }
}

impl TransferError {
    /// Returns whether the same transfer can be resumed later.
    #[must_use]
    pub const fn is_resumable(&self) -> bool {
        matches!(
            self,
            Self::Io(_)
                | Self::Stopped
                | Self::Store(StoreError::Unavailable(_) | StoreError::Io(_))
        )
    }

    /// Returns whether the object has no encryption metadata, and the policy requires it.
    #[must_use]
    pub const fn is_not_encrypted(&self) -> bool {
        matches!(self, Self::Decrypt(DecryptError::Policy(PolicyError::NotEncrypted)))
    }
}
