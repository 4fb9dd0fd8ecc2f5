//! The keyring: a set of master keys, and the choice among them.

use std::{collections::BTreeMap, hint::black_box, sync::Arc};

use meta_codec::{Deviation, Envelope, IvForm, WrapAlgorithm};

use crate::{
    AsyncKeyWrapper, ContentKey, KeyWrapper, UnwrapError, key_check,
    kms::KmsError,
    seal,
    wrap::{Place, SharedWrapper},
};

/// A set of master keys to unwrap with.
///
/// A key is tried on an envelope if it [accepts](KeyWrapper::accepts) it. Keys whose description
/// equals the envelope's are tried first, then keys without a description, and then, if the
/// envelope has no description, all others. If it has one, keys with *another* description are
/// never tried. Descriptions are compared as maps, because SDKs spell the same map differently.
///
/// Clones share the keys.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
/// use envelope_core::MaterialDescription;
///
/// let named = |year| MaterialDescription::new([("key", year)]);
/// let old = AesKeyWrapper::generate()?.with_description(named("2025")?);
/// let new = AesKeyWrapper::generate()?.with_description(named("2026")?);
/// let object = Encryptor::new(&new, Dialect::COS_V2).encrypt()?;
///
/// let keyring = Keyring::new().with(old).with(new);
/// Decryptor::new(&keyring).decrypt(object.envelope())?; // the description says which key
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[expect(missing_debug_implementations, reason = "holds secrets, which are not printed")]
pub struct Keyring {
    keys: Vec<SharedWrapper>,
}

impl Keyring {
    /// Creates an empty keyring.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a master key. Among keys of equal rank, the one added first is tried first.
    #[must_use]
    pub fn with(mut self, key: impl KeyWrapper + 'static) -> Self {
        self.push(Arc::new(key));
        self
    }

    /// Adds a master key with async operations, for the async functions of
    /// [`Decryptor`](crate::Decryptor).
    #[must_use]
    pub fn with_async(mut self, key: impl AsyncKeyWrapper + 'static) -> Self {
        self.keys.push(SharedWrapper::Async(Arc::new(key)));
        self
    }

    /// Adds a master key.
    pub fn push(&mut self, key: Arc<dyn KeyWrapper>) {
        self.keys.push(SharedWrapper::Blocking(key));
    }

    /// Returns whether the keyring has no keys.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns whether an operation with this keyring may block the thread for long.
    pub(crate) fn is_blocking(&self) -> bool {
        self.keys.iter().any(SharedWrapper::may_block)
    }

    /// Returns whether any of its keys is async.
    pub(crate) fn is_async(&self) -> bool {
        self.keys.iter().any(SharedWrapper::is_async)
    }

    /// Unwraps an envelope's content key, which may be short if that is allowed, with the first key
    /// that succeeds, and verifies the key
    /// check, and that the seal confirms the key, if the envelope has them. Asking the policy and
    /// verifying the rest of the seal are the caller's business.
    ///
    /// # Errors
    /// If no key matches the envelope's public data, every matching key fails, or several keys
    /// match a wrap that does not show which one is right.
    pub(crate) async fn unwrap(
        &self,
        envelope: &Envelope,
        allows_short: bool,
        place: Place,
    ) -> Result<Arc<ContentKey>, KeyringError> {
        let unverifiable =
            envelope.wrap_algorithm() == WrapAlgorithm::AesCtrZero && !envelope.is_bound_to_key();
        let candidates = self.candidates(envelope);
        let unidentified = envelope.deviations().contains(&Deviation::DescriptionUnreadable);
        if unidentified && self.keys.len() > 1 {
            return Err(KeyringError::Unidentified);
        }
        if unverifiable && candidates.len() > 1 {
            return Err(KeyringError::Ambiguous);
        }
        let mut outcome = Err(KeyringError::NoKey {
            wrap: envelope.wrap_algorithm(),
            description: envelope.description().text().to_owned(),
        });
        for key in candidates {
            // The checks are computed in any case: their time would tell someone who forges wrapped
            // keys which of them are well formed.
            let unwrapped = key.unwrap(envelope, place).await;
            let stand_in = ContentKey::stand_in(envelope.content_algorithm());
            let tried = unwrapped.as_deref().unwrap_or(&stand_in);
            // Where short keys are not allowed, one is like a key that does not fit: the same
            // error, the same work, and other keys are tried.
            let passes = black_box(key_check::passes(tried, envelope))
                & black_box(seal::confirms(tried, envelope))
                & (allows_short | !tried.is_short());
            let failed = match unwrapped {
                Ok(content_key) if passes => return Ok(content_key),
                Ok(_) => UnwrapError::Failed,
                Err(error) => error,
            };
            // An unavailable KMS may hold the right key, so its error is the most useful to report.
            let unasked = |error: &UnwrapError| {
                use KmsError::{Denied, NotAsked, Unavailable};
                matches!(
                    error,
                    UnwrapError::Kms(Denied(_) | NotAsked(_) | Unavailable(_))
                        | UnwrapError::NotUsed(_)
                )
            };
            match &outcome {
                Err(KeyringError::Unwrap(earlier)) if unasked(earlier) && !unasked(&failed) => {}
                _ => outcome = Err(failed.into()),
            }
        }
        outcome
    }

    /// Returns the keys to try, in order.
    fn candidates(&self, envelope: &Envelope) -> Vec<&SharedWrapper> {
        let wanted = described(envelope);
        let rank = |key: &SharedWrapper| match key.description() {
            own if own.is_empty() => Some(1),
            own if *own.map() == wanted => Some(0),
            _ if wanted.is_empty() => Some(2),
            _ => None,
        };
        let mut candidates: Vec<(u8, &SharedWrapper)> = self
            .keys
            .iter()
            .filter(|key| key.accepts(envelope))
            .filter_map(|key| Some((rank(key)?, key)))
            .collect();
        candidates.sort_by_key(|(rank, _)| *rank);
        candidates.into_iter().map(|(_, key)| key).collect()
    }
}

/// An error from unwrapping with a keyring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// Several keys match, and this wrap "opens" with any of them. Use a keyring with only one.
    #[error("several keys match, and the AES wrap of cos-v1 does not show which one is right")]
    Ambiguous,
    /// There is no key of the right kind and size, or none with the right description.
    #[error("no key matches: the content key is wrapped with {wrap}{}", described_as(.description))]
    NoKey {
        /// The algorithm that the content key is wrapped with.
        wrap: WrapAlgorithm,
        /// The text of the envelope's description, or empty if it has none.
        description: String,
    },
    /// The description is unreadable, so it does not say which of several keys to use. Use a
    /// keyring with only one.
    #[error("several keys are given, and the description does not say which one is right")]
    Unidentified,
    /// Every matching key has failed.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
}

/// Returns the description that the user set. COS Java and Android add the KMS key's id to it in
/// the dialects with a clear IV.
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

#[cfg(test)]
pub(crate) mod tests {
    use meta_codec::Dialect;

    use super::*;
    use crate::{AesKeyWrapper, Decryptor, Encryptor, RsaKeyWrapper};

    /// Asserts that a check is computed once for each object that is opened, whether a key fits or
    /// not. `computed` is how often it was computed on this thread.
    pub(crate) fn is_computed_for_every_key(
        checked: impl Fn(Encryptor) -> Encryptor,
        computed: impl Fn() -> u32,
    ) {
        let (aes, rsa) = (AesKeyWrapper::generate().unwrap(), RsaKeyWrapper::generate(2048));
        let rsa = rsa.unwrap();
        let aes_object = checked(Encryptor::new(&aes, Dialect::COS_V2));
        let rsa_object = checked(Encryptor::new(&rsa, Dialect::COS_V2));
        for object in [aes_object, rsa_object] {
            let envelope = object.encrypt().unwrap().into_inner().0;
            let wrong = RsaKeyWrapper::generate(2048).unwrap();
            for (right, keyring) in [
                (true, Keyring::new().with(aes.clone()).with(rsa.clone())),
                (false, Keyring::new().with(AesKeyWrapper::generate().unwrap()).with(wrong)),
            ] {
                let before = computed();
                assert_eq!(Decryptor::new(&keyring).decrypt(&envelope).is_ok(), right);
                assert_eq!(computed() - before, 1, "{right}");
            }
        }
    }
}
