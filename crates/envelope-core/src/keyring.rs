//! The keyring: several master keys, and the choice among them.

use meta_codec::{Envelope, WrapAlgorithm};

use crate::{ContentKey, KeyWrapper, UnwrapError, key_check::passes};

/// Master keys to unwrap with.
///
/// A key is tried on an envelope if it [accepts](KeyWrapper::accepts) it. A key whose description is
/// the envelope's goes first, then the keys without a description; a key with another description is
/// never tried. Descriptions are compared as maps, because SDKs spell the same map differently.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "holds secrets, which are not printed")]
pub struct Keyring {
    keys: Vec<Box<dyn KeyWrapper>>,
}

impl Keyring {
    /// A keyring without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a master key. Among equals, the one that was added first is tried first.
    #[must_use]
    pub fn with(mut self, key: impl KeyWrapper + 'static) -> Self {
        self.push(Box::new(key));
        self
    }

    /// Adds a master key.
    pub fn push(&mut self, key: Box<dyn KeyWrapper>) {
        self.keys.push(key);
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Unwraps an envelope's content key with the first key that can, and verifies the key check if
    /// the envelope has one.
    ///
    /// # Errors
    /// No key fits by what is public, or every key that fits has failed.
    pub fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, KeyringError> {
        let fitting = || self.keys.iter().filter(|key| key.accepts(envelope));
        let described = fitting().filter(|key| {
            !key.description().is_empty() && key.description() == envelope.description()
        });
        let undescribed = fitting().filter(|key| key.description().is_empty());

        let mut outcome = Err(KeyringError::NoKey {
            wrap: envelope.wrap_algorithm(),
            description: envelope.description().text().to_owned(),
        });
        for key in described.chain(undescribed) {
            match key.unwrap(envelope) {
                Ok(content_key) if passes(&content_key, envelope) => return Ok(content_key),
                Ok(_) => outcome = Err(UnwrapError::Failed.into()),
                Err(error) => outcome = Err(error.into()),
            }
        }
        outcome
    }
}

/// Why a keyring does not open an envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// No key of the right kind and size, or none with the right description.
    #[error("no key fits: the content key is wrapped with {wrap}{}", described(.description))]
    NoKey {
        /// How the content key is wrapped.
        wrap: WrapAlgorithm,
        /// The text of the envelope's description; empty where it has none.
        description: String,
    },
    /// Every key that fits has failed.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
}

fn described(description: &str) -> String {
    if description.is_empty() {
        return String::new();
    }
    format!(", described as {}", description.escape_debug())
}
