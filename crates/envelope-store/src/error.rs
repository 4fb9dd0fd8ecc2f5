//! Errors of object stores.

use std::{io, time::Duration};

/// An error from a store, or from the connection to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The name of a bucket has characters other than lower-case letters, digits and hyphens.
    #[error("a bucket name consists of lower-case letters, digits and hyphens")]
    BucketName,
    /// The service asks for a pause (`Retry-After`), and did so until there was no attempt left.
    #[error("the store is busy: {reason}")]
    Busy {
        /// What the service said.
        reason: String,
        /// The time after which it wants to be asked again.
        retry_after: Duration,
    },
    /// The object is not the version that is meant (`If-Match`).
    #[error("another writer changed the object")]
    Changed,
    /// The service's clock and this machine's differ by more than it accepts, even after the clock
    /// of the service was taken for the signature.
    #[error("the clock of this machine is wrong: {0}")]
    ClockSkew(String),
    /// The way to the service cannot be set up as it was asked for.
    #[error("{0}")]
    Connection(&'static str),
    /// A customer key (SSE-C) that cannot be used, or that the store does not show to have used.
    #[error("the customer key: {0}")]
    CustomerKey(&'static str),
    /// Invalid access key, or insufficient permissions.
    #[error("access denied: {0}")]
    Denied(String),
    /// The object already exists, and must not be replaced.
    #[error("the object already exists")]
    Exists,
    /// Local I/O error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The key cannot be sent as it is: a URL with it means another object, or even an object in
    /// another bucket.
    #[error("the key {0:?} cannot be sent: a URL with it means another object")]
    Key(String),
    /// An invalid response, such as one that is truncated, has the wrong length, or contains a
    /// different range.
    #[error("the store's response is invalid: {0}")]
    Malformed(String),
    /// The object does not exist.
    #[error("no such object")]
    NotFound,
    /// The bucket does not exist.
    #[error("no such bucket: {0}")]
    NoBucket(ErrorResponse),
    /// The multipart upload does not exist: it was completed or aborted, or it expired.
    #[error("no such upload; it was completed or aborted, or it expired")]
    NoUpload,
    /// The service refused the request.
    #[error("the store refused the request: {0}")]
    Refused(ErrorResponse),
    /// The service is failing, even after several attempts.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// There is no host of this name.
    #[error("the host {0} is unknown")]
    UnknownHost(String),
    /// No connection could be made, or it broke before there was an answer, even after several
    /// attempts.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// The host that was tried, with its port unless it is the scheme's default.
        host: String,
        /// What the operating system or the TLS library said.
        reason: String,
    },
    /// The store does not support the operation.
    #[error("the store does not support {0}")]
    Unsupported(&'static str),
    /// Another server answered: a portal, or whatever is at a wrong endpoint.
    #[error("another server than that of the store answered: {0}")]
    OtherServer(String),
    /// The bucket is in another region than that of the endpoint.
    #[error("the bucket is in another region: {reason}")]
    WrongEndpoint {
        /// The endpoint where the bucket is, such as `oss-cn-shanghai.aliyuncs.com`; empty if the
        /// service does not name it.
        endpoint: String,
        /// What the service said.
        reason: String,
    },
}

/// Details of a refusal, as reported by the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: u16,
    /// The error code, such as `InvalidEncryptionRequest`.
    pub code: String,
    /// Human-readable description.
    pub message: String,
    /// OSS's code for the exact cause (EC), such as `0005-00000421`.
    pub cause: String,
    /// Request ID to quote to the vendor's support.
    pub request_id: String,
}

impl std::fmt::Display for ErrorResponse {
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
    /// Returns whether the error is transient, so that the same request may succeed later.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unreachable { .. } | Self::Busy { .. })
    }

    /// Returns the time after which the service wants to be asked again.
    pub(crate) const fn retry_after(&self) -> Duration {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => Duration::ZERO,
        }
    }

    /// Returns whether OSS refused to change the metadata of an encrypted object by copying it
    /// (EC 0005-00000421).
    #[must_use]
    pub fn forbids_new_metadata(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == "InvalidEncryptionRequest")
    }

    /// Returns whether a look at an object was refused because it is encrypted with another
    /// customer key, or with none, or because it is and no key was sent. COS, the only service with
    /// such keys, answers 400 then, and says no more. Neither does a server that is in the way.
    #[must_use]
    pub fn is_of_other_key(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 400 && refusal.code.is_empty())
    }

    /// Returns whether the object is archived and must be restored before it is read, or, as the
    /// answer to [restoring](crate::Store::restore) it, whether it is not archived.
    #[must_use]
    pub fn is_of_archive(&self) -> bool {
        matches!(self, Self::Refused(refusal)
            if matches!(refusal.code.as_str(), "InvalidObjectState" | "OperationNotSupported"))
    }
}
