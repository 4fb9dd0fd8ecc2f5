//! With the feature `tokio-rt`, master keys that may block do not block the tasks of a runtime.

#![cfg(feature = "tokio-rt")]
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::{
    sync::{Arc, Mutex},
    thread::{self, ThreadId},
};

use envelope_core::{
    AesKeyWrapper, ContentAlgorithm, ContentKey, DecryptError, Decryptor, Dialect, EncryptError,
    Encryptor, Envelope, IvForm, KeyWrapper, Keyring, KeyringError, MaterialDescription,
    UnwrapError, WrapAlgorithm, WrapError, WrappedKey,
};

/// A key that remembers on which threads it was used.
#[derive(Clone)]
struct Traced {
    inner: AesKeyWrapper,
    may_block: bool,
    used_on: Arc<Mutex<Vec<ThreadId>>>,
    panics: bool,
}

impl Traced {
    fn new(may_block: bool) -> Self {
        let inner = AesKeyWrapper::generate().unwrap();
        Self { inner, may_block, used_on: Arc::default(), panics: false }
    }

    fn touch(&self) {
        self.used_on.lock().unwrap().push(thread::current().id());
        assert!(!self.panics, "out of order");
    }

    /// Returns for each use since the last call whether it was on this thread.
    fn uses_here(&self) -> Vec<bool> {
        let used_on = std::mem::take(&mut *self.used_on.lock().unwrap());
        used_on.into_iter().map(|it| it == thread::current().id()).collect()
    }
}

impl KeyWrapper for Traced {
    fn description(&self) -> &MaterialDescription {
        self.inner.description()
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        self.inner.wraps(algorithm)
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        self.inner.accepts(envelope)
    }

    fn may_block(&self) -> bool {
        self.may_block
    }

    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        self.touch();
        self.inner.wrap(key, algorithm, iv)
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        self.touch();
        self.inner.unwrap(envelope)
    }
}

/// Uses a key in every async function, and returns where it was used in each.
async fn all_async(key: &Traced) -> Vec<Vec<bool>> {
    let encryptor = Encryptor::new(key, Dialect::COS_V2);
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    let mut uses = Vec::new();
    // A content key is wrapped, and unwrapped once to prove it.
    let object = encryptor.encrypt_async().await.unwrap();
    uses.push(key.uses_here());
    encryptor.encrypt_with_async(ContentAlgorithm::Aes256Ctr).await.unwrap();
    uses.push(key.uses_here());
    decryptor.decrypt_async(object.envelope()).await.unwrap();
    uses.push(key.uses_here());
    decryptor.decrypt_ctr_async(object.envelope()).await.unwrap();
    uses.push(key.uses_here());
    decryptor.decrypt_range_async(object.envelope()).await.unwrap();
    uses.push(key.uses_here());
    decryptor.rewrap_async(object.envelope(), &encryptor).await.unwrap();
    uses.push(key.uses_here());
    uses
}

fn each(is_here: bool) -> Vec<Vec<bool>> {
    [2, 2, 1, 1, 1, 3].map(|count| vec![is_here; count]).into()
}

#[tokio::test]
async fn tasks_are_not_blocked() {
    assert_eq!(all_async(&Traced::new(true)).await, each(false));
    assert_eq!(all_async(&Traced::new(false)).await, each(true));
}

#[test]
fn without_a_runtime_a_key_is_used_where_it_is_asked_for() {
    assert_eq!(pollster::block_on(all_async(&Traced::new(true))), each(true));
}

#[tokio::test]
async fn blocking_functions_block_within_a_runtime_too() {
    let key = Traced::new(true);
    let encryptor = Encryptor::new(&key, Dialect::COS_V2);
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    let object = encryptor.encrypt().unwrap();
    encryptor.encrypt_with(ContentAlgorithm::Aes256Ctr).unwrap();
    decryptor.decrypt(object.envelope()).unwrap();
    decryptor.decrypt_ctr(object.envelope()).unwrap();
    decryptor.decrypt_range(object.envelope()).unwrap();
    decryptor.rewrap(object.envelope(), &encryptor).unwrap();
    assert_eq!(key.uses_here(), [true; 10]);
}

#[tokio::test]
async fn a_key_that_panics_is_an_error_that_decides_nothing() {
    let mut key = Traced::new(true);
    let object = Encryptor::new(&key, Dialect::COS_V2).encrypt().unwrap();
    key.panics = true;
    let outcome = Encryptor::new(&key, Dialect::COS_V2).encrypt_async().await;
    assert!(matches!(outcome, Err(EncryptError::Wrap(WrapError::NotUsed(_)))));
    // Another key that fails does not hide it.
    let other = AesKeyWrapper::generate().unwrap();
    for keyring in [
        Keyring::new().with(key.clone()),
        Keyring::new().with(key.clone()).with(other.clone()),
        Keyring::new().with(other).with(key),
    ] {
        let error = Decryptor::new(&keyring).decrypt_async(object.envelope()).await.err().unwrap();
        let is_not_used =
            matches!(error, DecryptError::Keyring(KeyringError::Unwrap(UnwrapError::NotUsed(_))));
        assert!(is_not_used, "{error:?}");
        assert!(error.is_undecided());
    }
}
