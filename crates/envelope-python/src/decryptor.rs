//! Decryption: from metadata to the cipher of an object, or to new metadata.

use std::{process, sync::Arc, time::Duration};

use envelope_core::{Decryptor as CoreDecryptor, KeyCacheLimits, Keyring};
use pyo3::prelude::*;

use crate::{
    cipher::{Cipher, Keystream},
    encryptor::Encryptor,
    envelope::Envelope,
    errors::IntoException as _,
    keys::{MasterKey, OriginKey, with_keys},
    policy::Policy,
};

/// Opens envelopes with master keys, as far as a policy allows. Threads may share it.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct Decryptor {
    inner: CoreDecryptor,
    limits: Option<KeyCacheLimits>,
    process: u32,
}

#[pymethods]
impl Decryptor {
    /// `cached_keys` content keys are kept in memory for up to five minutes, so that many ranges of
    /// one object cost one unwrap.
    #[new]
    #[pyo3(signature = (keys, *, policy=None, origin_key=None, cached_keys=1024))]
    fn new(
        keys: Vec<PyRef<'_, MasterKey>>,
        policy: Option<&Policy>,
        origin_key: Option<&OriginKey>,
        cached_keys: usize,
    ) -> Self {
        let mut keyring = Keyring::new();
        for key in keys {
            keyring.push(Arc::clone(key.wrapper()));
        }
        let mut decryptor = CoreDecryptor::new(&keyring);
        let limits = KeyCacheLimits::new(cached_keys, Duration::from_secs(300));
        let limits = (cached_keys > 0).then_some(limits);
        if let Some(limits) = limits {
            decryptor = decryptor.with_cache(limits);
        }
        if let Some(policy) = policy {
            decryptor = decryptor.with_policy(policy.inner());
        }
        if let Some(key) = origin_key {
            decryptor = decryptor.with_origin_key(key.inner());
        }
        Self { inner: decryptor, limits, process: process::id() }
    }

    /// Returns the cipher of an object. `name` is the key under which it is stored, for seals that
    /// are bound to it.
    #[pyo3(signature = (envelope, *, name=None))]
    fn open(&self, py: Python<'_>, envelope: &Envelope, name: Option<String>) -> PyResult<Cipher> {
        let (decryptor, envelope) = (self.named(name), envelope.inner());
        let cipher = with_keys(py, || decryptor.decrypt(envelope));
        let cipher = cipher.map_err(envelope_core::DecryptError::into_exception)?;
        Ok(Cipher::new(envelope.clone(), cipher))
    }

    /// Returns the keystream that decrypts ranges of an object, which nothing authenticates.
    #[pyo3(signature = (envelope, *, name=None))]
    fn open_range(
        &self,
        py: Python<'_>,
        envelope: &Envelope,
        name: Option<String>,
    ) -> PyResult<Keystream> {
        let (decryptor, envelope) = (self.named(name), envelope.inner());
        let cipher = with_keys(py, || decryptor.decrypt_range(envelope));
        cipher.map(Keystream::new).map_err(envelope_core::DecryptError::into_exception)
    }

    /// Checks whether the policy allows plaintext, for an object without an envelope.
    fn check_plaintext(&self) -> PyResult<()> {
        let admitted = self.inner.policy().admit(None).map_err(envelope_core::DecryptError::from);
        admitted.map_err(envelope_core::DecryptError::into_exception)
    }

    /// Wraps the content key of an object with the key and in the dialect of `encryptor`. The body
    /// stays as it is. Returns the new metadata.
    #[pyo3(signature = (envelope, encryptor, *, name=None))]
    fn rewrap(
        &self,
        py: Python<'_>,
        envelope: &Envelope,
        encryptor: &Encryptor,
        name: Option<String>,
    ) -> PyResult<Envelope> {
        let (decryptor, envelope) = (self.named(name), envelope.inner());
        let object = with_keys(py, || decryptor.rewrap(envelope, encryptor.inner()));
        let object = object.map_err(envelope_core::RewrapError::into_exception)?;
        Ok(Envelope::new(object.envelope().clone()))
    }
}

impl Decryptor {
    fn named(&self, name: Option<String>) -> CoreDecryptor {
        match name {
            Some(name) => self.here().with_name(name),
            None => self.here(),
        }
    }

    /// Returns the decryptor of this process.
    pub(crate) fn here(&self) -> CoreDecryptor {
        let mut decryptor = self.inner.clone();
        if let Some(limits) = self.limits.filter(|_| process::id() != self.process) {
            // Another thread may have held the lock of the cache when the process was forked.
            decryptor = decryptor.with_cache(limits);
        }
        decryptor
    }
}
