//! The exceptions.

use envelope_core::{
    DecryptError, EncryptError as CoreEncryptError, IntegrityError as CoreIntegrityError,
    KeyringError, PolicyError as CorePolicyError, RewrapError, UnwrapError as CoreUnwrapError,
};
use envelope_store::{StoreError as CoreStoreError, TransferError};
use pyo3::{
    PyErr, create_exception,
    exceptions::{PyException, PyFileNotFoundError, PyPermissionError},
};

create_exception!(
    envelope_cse,
    EnvelopeError,
    PyException,
    "The base of all exceptions of this package."
);
create_exception!(
    envelope_cse,
    MetadataError,
    EnvelopeError,
    "The metadata does not form a valid envelope, or cannot be written in a dialect."
);
create_exception!(
    envelope_cse,
    PolicyError,
    EnvelopeError,
    "The policy does not allow the object."
);
create_exception!(
    envelope_cse,
    NotEncryptedError,
    PolicyError,
    "The object has no encryption metadata, or it was stripped."
);
create_exception!(
    envelope_cse,
    NoKeyError,
    EnvelopeError,
    "No key matches: none is of the right kind and size, or none has the description."
);
create_exception!(
    envelope_cse,
    UnwrapError,
    EnvelopeError,
    "The content key could not be unwrapped: a wrong master key, or altered metadata."
);
create_exception!(
    envelope_cse,
    KmsError,
    EnvelopeError,
    "The key management service was not reached, or refused."
);
create_exception!(
    envelope_cse,
    IntegrityError,
    EnvelopeError,
    "The body is not the one that was encrypted: a tag, seal, length or digest does not match."
);
create_exception!(
    envelope_cse,
    EncryptError,
    EnvelopeError,
    "The object cannot be encrypted like that."
);
create_exception!(
    envelope_cse,
    KeyFileError,
    EnvelopeError,
    "The key file is damaged, encrypted, or no key."
);

create_exception!(
    envelope_cse,
    StoreError,
    EnvelopeError,
    "The bucket or the folder was not reached, or refused; or a transfer failed."
);

/// Converts an error of the library to the exception that Python programs catch.
pub(crate) trait IntoException {
    fn into_exception(self) -> PyErr;
}

impl IntoException for DecryptError {
    fn into_exception(self) -> PyErr {
        let words = words(&self);
        match self {
            Self::Policy(CorePolicyError::NotEncrypted) => NotEncryptedError::new_err(words),
            Self::Policy(_) => PolicyError::new_err(words),
            Self::Keyring(KeyringError::Unwrap(CoreUnwrapError::Kms(_))) => {
                KmsError::new_err(words)
            }
            Self::Keyring(KeyringError::Unwrap(CoreUnwrapError::Failed)) => {
                UnwrapError::new_err(words)
            }
            Self::Keyring(KeyringError::Unwrap(_)) => EnvelopeError::new_err(words),
            Self::Keyring(_) => NoKeyError::new_err(words),
            Self::Seal(_) => IntegrityError::new_err(words),
            _ => EnvelopeError::new_err(words),
        }
    }
}

impl IntoException for CoreEncryptError {
    fn into_exception(self) -> PyErr {
        let words = words(&self);
        match self {
            Self::Emit(_) => MetadataError::new_err(words),
            Self::Integrity(_) => IntegrityError::new_err(words),
            Self::Wrap(envelope_core::WrapError::Kms(_)) => KmsError::new_err(words),
            _ => EncryptError::new_err(words),
        }
    }
}

impl IntoException for RewrapError {
    fn into_exception(self) -> PyErr {
        match self {
            Self::Decrypt(error) => error.into_exception(),
            Self::Encrypt(error) => error.into_exception(),
            error => EnvelopeError::new_err(words(&error)),
        }
    }
}

impl IntoException for CoreIntegrityError {
    fn into_exception(self) -> PyErr {
        IntegrityError::new_err(words(&self))
    }
}

impl IntoException for CoreStoreError {
    fn into_exception(self) -> PyErr {
        let words = words(&self);
        match self {
            Self::NotFound => PyFileNotFoundError::new_err(words),
            Self::Denied(_) => PyPermissionError::new_err(words),
            _ => StoreError::new_err(words),
        }
    }
}

impl IntoException for TransferError {
    fn into_exception(self) -> PyErr {
        match self {
            Self::Decrypt(error) => error.into_exception(),
            Self::Encrypt(error) => error.into_exception(),
            Self::Rewrap(error) => error.into_exception(),
            Self::Integrity(error) => error.into_exception(),
            Self::Store(error) => error.into_exception(),
            Self::Parse(error) => MetadataError::new_err(words(&error)),
            Self::Corrupt(words) => IntegrityError::new_err(words),
            error => StoreError::new_err(words(&error)),
        }
    }
}

/// Returns an error and its causes in one line.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !words.ends_with(&next) {
            words.push_str(": ");
            words.push_str(&next);
        }
        cause = error.source();
    }
    words
}
