//! Why a store did not do what it was asked to.

use std::io;

/// What a store, or the way to it, answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The object is not the one that was asked for (`If-Match`), or it is there already.
    #[error("the object changed, or somebody else wrote it")]
    Changed,
    /// No access key, or one that may not do this.
    #[error("access is denied: {0}")]
    Denied(String),
    /// A file or folder of this machine.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// An answer that cannot be right: cut, of the wrong length, of other bytes than asked for.
    #[error("the store's answer cannot be right: {0}")]
    Malformed(String),
    /// No such object.
    #[error("no such object")]
    NotFound,
    /// No such multipart upload: completed, aborted or expired.
    #[error("no such upload; it was completed, aborted or has expired")]
    NoUpload,
    /// The service refuses, in its own words.
    #[error("the store refuses: {0}")]
    Refused(Refusal),
    /// The service cannot be reached or does not work. It was tried several times.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
}

/// The words of a service that refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The code, such as `InvalidEncryptionRequest`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// OSS's number for the exact cause, such as `0005-00000421`.
    pub cause: String,
    /// What to tell the support.
    pub request_id: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, code, message, cause, request_id } = self;
        write!(f, "{status} {code}")?;
        for (name, value) in [("", message), ("EC ", cause), ("request ", request_id)] {
            if !value.is_empty() {
                write!(f, "; {name}{value}")?;
            }
        }
        Ok(())
    }
}

impl StoreError {
    /// Whether the same request can succeed later.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// OSS: a copy may not change the metadata of an encrypted object (EC 0005-00000421).
    #[must_use]
    pub fn forbids_new_metadata(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == "InvalidEncryptionRequest")
    }
}
