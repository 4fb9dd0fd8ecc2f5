//! A master key that takes its time, or opens nothing.

use std::{thread, time::Duration};

use envelope_core::{
    AesKeyWrapper, ContentKey, Envelope, IvForm, KeyWrapper, MaterialDescription, UnwrapError,
    WrapAlgorithm, WrapError, WrappedKey,
};

/// A key that blocks the thread for a while, as one in a KMS does, and may fail to unwrap.
#[derive(Clone)]
pub(crate) struct OddKey {
    pub(crate) key: AesKeyWrapper,
    pub(crate) delay: Duration,
    pub(crate) error: Option<UnwrapError>,
}

impl KeyWrapper for OddKey {
    fn description(&self) -> &MaterialDescription {
        self.key.description()
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        self.key.wraps(algorithm)
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        self.key.accepts(envelope)
    }

    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        thread::sleep(self.delay);
        self.key.wrap(key, algorithm, iv)
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        thread::sleep(self.delay);
        match &self.error {
            Some(error) => Err(error.clone()),
            None => self.key.unwrap(envelope),
        }
    }
}
