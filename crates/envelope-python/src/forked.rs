//! RSA keys that survive a fork.

use std::{
    process,
    sync::{Arc, Mutex},
};

use envelope_core::{ContentKey, KeyWrapper, RsaKeyWrapper, UnwrapError, WrapError, WrappedKey};
use meta_codec::{Envelope, IvForm, MaterialDescription, WrapAlgorithm};
use zeroize::Zeroizing;

/// An RSA key that is read again in a forked process. AWS-LC ends a process that uses a key with
/// which another thread worked while the process was forked.
pub(crate) struct ForkedKey {
    process: u32,
    key: RsaKeyWrapper,
    /// The private half, to be read again.
    der: Option<Zeroizing<Vec<u8>>>,
    /// The key of the process with this id.
    again: Mutex<Option<(u32, RsaKeyWrapper)>>,
}

impl ForkedKey {
    pub(crate) fn new(key: RsaKeyWrapper) -> Self {
        let der = key.private_der(None).ok().filter(|_| key.is_private());
        Self { process: process::id(), key, der, again: Mutex::new(None) }
    }

    /// Returns the key of this process.
    fn here(&self) -> RsaKeyWrapper {
        let (id, Some(der)) = (process::id(), &self.der) else { return self.key.clone() };
        if id == self.process {
            return self.key.clone();
        }
        // Another thread may have held the lock when the process was forked: it is not waited for.
        let mut again = self.again.try_lock().ok();
        if let Some((_, key)) = again.as_deref().and_then(Option::as_ref).filter(|it| it.0 == id) {
            return key.clone();
        }
        let Ok(key) = RsaKeyWrapper::read(der, None) else { return self.key.clone() };
        let key = key.with_description(self.key.description().clone());
        let key = match self.key.is_pkcs1v15_where_unstated() {
            true => key.with_pkcs1v15_where_unstated(),
            false => key,
        };
        if let Some(again) = again.as_deref_mut() {
            *again = Some((id, key.clone()));
        }
        key
    }
}

/// The key as the wrapper of this package.
pub(crate) fn shared(key: &RsaKeyWrapper) -> Arc<dyn KeyWrapper> {
    Arc::new(ForkedKey::new(key.clone()))
}

impl KeyWrapper for ForkedKey {
    fn description(&self) -> &MaterialDescription {
        self.key.description()
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        self.key.wraps(algorithm)
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        self.key.accepts(envelope)
    }

    fn may_block(&self) -> bool {
        self.key.may_block()
    }

    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        self.here().wrap(key, algorithm, iv)
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        self.here().unwrap(envelope)
    }
}
