//! The keyring: several master keys, and the choice among them.

use std::collections::BTreeMap;

use meta_codec::{Envelope, IvForm, WrapAlgorithm};

use crate::{ContentKey, KeyWrapper, UnwrapError, key_check::passes, kms::KmsError};

/// Master keys to unwrap with.
///
/// A key is tried on an envelope if it [accepts](KeyWrapper::accepts) it. A key whose description is
/// the envelope's goes first, then the keys without a description, and then, if the envelope has none,
/// the others; a key with *another* description is never tried. Descriptions are compared as maps,
/// because SDKs spell the same map differently.
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
        let unverifiable = envelope.wrap_algorithm() == WrapAlgorithm::AesCtrZero
            && envelope.key_check().is_none();
        let candidates = self.candidates(envelope);
        if unverifiable && candidates.len() > 1 {
            return Err(KeyringError::Ambiguous);
        }
        let mut outcome = Err(KeyringError::NoKey {
            wrap: envelope.wrap_algorithm(),
            description: envelope.description().text().to_owned(),
        });
        for key in candidates {
            let failed = match key.unwrap(envelope) {
                Ok(content_key) if passes(&content_key, envelope) => return Ok(content_key),
                Ok(_) => UnwrapError::Failed,
                Err(error) => error,
            };
            // A KMS that could not be asked may have the right key: that is worth more to know.
            let unasked = |error: &UnwrapError| {
                matches!(error, UnwrapError::Kms(KmsError::Denied(_) | KmsError::Unavailable(_)))
            };
            match &outcome {
                Err(KeyringError::Unwrap(earlier)) if unasked(earlier) && !unasked(&failed) => {}
                _ => outcome = Err(failed.into()),
            }
        }
        outcome
    }

    /// The keys to try, in order.
    fn candidates(&self, envelope: &Envelope) -> Vec<&dyn KeyWrapper> {
        let wanted = described(envelope);
        let rank = |key: &dyn KeyWrapper| match key.description() {
            own if own.is_empty() => Some(1),
            own if *own.map() == wanted => Some(0),
            _ if wanted.is_empty() => Some(2),
            _ => None,
        };
        let mut candidates: Vec<(u8, &dyn KeyWrapper)> = self
            .keys
            .iter()
            .filter(|key| key.accepts(envelope))
            .filter_map(|key| Some((rank(&**key)?, &**key)))
            .collect();
        candidates.sort_by_key(|(rank, _)| *rank);
        candidates.into_iter().map(|(_, key)| key).collect()
    }
}

/// Why a keyring does not open an envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// Several keys fit, and this wrap "opens" with any of them: only one can be given.
    #[error("several keys fit, and the AES wrap of cos-v1 does not show which one is right")]
    Ambiguous,
    /// No key of the right kind and size, or none with the right description.
    #[error("no key fits: the content key is wrapped with {wrap}{}", described_as(.description))]
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

/// The description that the user gave: COS Java and Android add the KMS key's id in the clear dialects.
fn described(envelope: &Envelope) -> BTreeMap<String, String> {
    let mut map = envelope.description().map().clone();
    if envelope.wrap_algorithm().is_kms() && envelope.dialect().iv_form() == IvForm::Clear {
        map.remove("kms_cmk_id");
    }
    map
}

fn described_as(description: &str) -> String {
    if description.is_empty() {
        return String::new();
    }
    format!(", described as {}", description.escape_debug())
}
