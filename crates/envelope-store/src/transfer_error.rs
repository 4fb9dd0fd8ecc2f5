//! Errors of uploads, downloads and rewraps.

use std::{io, path::PathBuf};

use envelope_core::{
    DecryptError, EncryptError, IntegrityError, NoPlan, PartLengthError, PolicyError, RangeError,
    RewrapError,
};
use meta_codec::{Dialect, EmitError, LayoutError, ParseError, Vendor};

use crate::{OutputError, StoreError};

/// An error that ended an upload, a download or a rewrap.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The data received differs from the data sent or stored.
    #[error("{0}")]
    Corrupt(String),
    /// An upload is over, but what is in the store now is not what was sent. A second look has seen
    /// the same.
    #[error("the stored object is not what was sent: {what}{}", fate(*.removed))]
    Damaged {
        /// The difference.
        what: &'static str,
        /// Whether the version that this upload wrote was deleted, so that the one before it is the
        /// current one again. That takes a bucket that keeps versions; without them nothing is
        /// deleted, because it could be somebody else's object by then.
        removed: bool,
    },
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
    /// A rewrap failed, and the object may be damaged. What it was before is in a local file.
    #[error("{source}; what the object was before is kept in {}", path.display())]
    Kept {
        /// The ciphertext, with its headers beside it in `.headers.json`; or the headers alone, if
        /// the ciphertext was not touched.
        path: PathBuf,
        /// Why the rewrap failed.
        source: Box<Self>,
    },
    /// Another process holds the lock on this transfer.
    #[error("this transfer is in use by another process")]
    Locked,
    /// The envelope of an older version is in an instruction file of COS Java, and nobody knows in
    /// which version of it.
    #[error("the envelope of this version is in an instruction file, which may belong to another")]
    OldInstruction,
    /// The object and its copy may be the same object under two names, so that nothing is deleted.
    #[error("the object and its copy may be the same; nothing was deleted")]
    SameObject,
    /// An object cannot be copied without its master key, for this reason.
    #[error("the copy needs the master key of the object: {0}")]
    NeedsKey(&'static str),
    /// A part that is not in the plan of the upload.
    #[error(transparent)]
    NoPlan(#[from] NoPlan),
    /// The output file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The metadata is invalid or was rejected.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The metadata of an object states parts that are too large to be held in memory.
    #[error("the object states parts of {0} bytes, which are too large to pass through memory")]
    PartSize(u64),
    /// A part's length differs from the plan.
    #[error(transparent)]
    PartLength(#[from] PartLengthError),
    /// The range contains no byte of the object.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The content key cannot be rewrapped.
    #[error(transparent)]
    Rewrap(#[from] RewrapError),
    /// The object is in the store, encrypted by this machine, but the store did not encrypt it on
    /// its side as it was asked to.
    #[error("the object was uploaded, but not encrypted by the store as asked: {name} is {got}")]
    ServerSide {
        /// The header that was sent.
        name: String,
        /// What the store shows.
        got: String,
    },
    /// The source file changed during the upload. Going on would encrypt different bytes with the
    /// same keystream.
    #[error("the file changed while it was being uploaded")]
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
    /// The object was uploaded, but the store did not show it afterwards. It may be there.
    #[error("the object was uploaded, but could not be verified: {0}")]
    Unverified(#[source] StoreError),
    /// The dialect belongs to another vendor.
    #[error("{dialect} is not a dialect of {}", vendor.id())]
    Vendor {
        /// The requested dialect.
        dialect: Dialect,
        /// The vendor of the bucket.
        vendor: Vendor,
    },
}

/// Returns what became of a damaged object.
const fn fate(removed: bool) -> &'static str {
    if removed {
        "; this version was deleted, and the one before it is current again"
    } else {
        "; nothing was deleted, and it must be uploaded again"
    }
}

impl From<PolicyError> for TransferError {
    fn from(error: PolicyError) -> Self {
        Self::Decrypt(error.into())
    }
}

impl TransferError {
    /// Returns whether a later run with the same journal can go on where this one ended. That is so
    /// unless the upload is known to be over: what failed may well be an expired access key, or a
    /// proxy that answers instead of the store.
    #[must_use]
    pub const fn is_resumable(&self) -> bool {
        !matches!(
            self,
            Self::Damaged { .. }
                | Self::Layout(_)
                | Self::Locked
                | Self::NoPlan(_)
                | Self::PartLength(_)
                | Self::ServerSide { .. }
                | Self::SourceChanged
                | Self::Store(
                    StoreError::Changed
                        | StoreError::Exists
                        | StoreError::Key(_)
                        | StoreError::NoUpload
                )
                | Self::StreamLength { .. }
                | Self::TooLong
        )
    }

    /// Returns whether the object has no encryption metadata, and the policy requires it.
    #[must_use]
    pub const fn is_not_encrypted(&self) -> bool {
        matches!(self, Self::Decrypt(DecryptError::Policy(PolicyError::NotEncrypted)))
    }
}
