//! The native part of the Python package `envelope_cse`: keys, envelopes and ciphers.
//!
//! Everything that reads or writes is Python, in `python/envelope_cse`. The interpreter's lock is
//! released while more than a few kilobytes are encrypted or decrypted, and while a KMS is asked.

mod buffer;
mod cipher;
mod decryptor;
mod encryptor;
mod envelope;
mod errors;
mod forked;
mod keys;
mod policy;
mod runtime;
mod store;
mod turn;

use pyo3::prelude::*;

/// The native part of `envelope_cse`.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::{
        cipher::{BodyDecryptor, BodyEncryptor, Cipher, Crc64, Keystream},
        decryptor::Decryptor,
        encryptor::{EncryptedObject, Encryptor, PartEncryptor},
        envelope::{Envelope, is_envelope_header, parse},
        errors::{
            EncryptError, EnvelopeError, IntegrityError, KeyFileError, KmsError, MetadataError,
            NoKeyError, NotEncryptedError, PolicyError, StoreError, UnwrapError,
        },
        keys::{AesKey, KmsKey, MasterKey, OriginKey, RsaKey},
        policy::Policy,
        store::Store,
    };

    #[pymodule_export]
    const __VERSION__: &str = env!("CARGO_PKG_VERSION");
}
