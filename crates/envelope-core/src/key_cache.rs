//! A cache of unwrapped content keys, for readers that fetch many ranges of few objects.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use meta_codec::Envelope;

use crate::ContentKey;

/// The limits of a cache of content keys.
///
/// ```
/// use std::time::Duration;
///
/// use envelope_core::{AesKeyWrapper, Decryptor, KeyCacheLimits, Keyring};
///
/// let keyring = Keyring::new().with(AesKeyWrapper::generate()?);
/// let limits = KeyCacheLimits::new(100, Duration::from_secs(60));
/// let decryptor = Decryptor::new(&keyring).with_cache(limits);
/// # Ok::<(), envelope_core::NoRandomness>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyCacheLimits {
    /// The number of content keys kept. The one that was not used for the longest time goes first.
    pub entries: usize,
    /// The time for which a content key is kept, however often it is used.
    pub lifetime: Duration,
}

impl KeyCacheLimits {
    /// Creates limits.
    #[must_use]
    pub const fn new(entries: usize, lifetime: Duration) -> Self {
        Self { entries, lifetime }
    }
}

/// Unwrapped content keys, the most recently used last.
pub(crate) struct KeyCache {
    limits: KeyCacheLimits,
    keys: Mutex<VecDeque<Cached>>,
}

struct Cached {
    envelope: Envelope,
    key: Arc<ContentKey>,
    since: Instant,
}

impl Cached {
    /// Returns whether the key was unwrapped from exactly this envelope. The key check covers the
    /// text of the description, so that must be equal too, and not only its contents.
    fn is_of(&self, envelope: &Envelope) -> bool {
        self.envelope == *envelope
            && self.envelope.description().text() == envelope.description().text()
    }
}

impl KeyCache {
    pub(crate) const fn new(limits: KeyCacheLimits) -> Self {
        Self { limits, keys: Mutex::new(VecDeque::new()) }
    }

    /// The content key of exactly this envelope.
    pub(crate) fn find(&self, envelope: &Envelope) -> Option<Arc<ContentKey>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        // Every lookup wipes what is too old, not only the lookup that needs the space.
        keys.retain(|cached| cached.since.elapsed() < self.limits.lifetime);
        let at = keys.iter().position(|cached| cached.is_of(envelope))?;
        let cached = keys.remove(at)?;
        let key = Arc::clone(&cached.key);
        keys.push_back(cached);
        Some(key)
    }

    pub(crate) fn insert(&self, envelope: &Envelope, key: &Arc<ContentKey>) {
        if self.limits.entries == 0 {
            return;
        }
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|cached| !cached.is_of(envelope));
        while keys.len() >= self.limits.entries {
            keys.pop_front();
        }
        let (envelope, key, since) = (envelope.clone(), Arc::clone(key), Instant::now());
        keys.push_back(Cached { envelope, key, since });
    }
}

#[cfg(test)]
mod tests {
    use meta_codec::{ContentAlgorithm, Dialect, MaterialDescription, WrapAlgorithm};

    use super::*;

    fn envelope(n: u8) -> Envelope {
        let (dialect, content) = (Dialect::COS_V2, ContentAlgorithm::Aes256Ctr);
        Envelope::new(dialect, content, WrapAlgorithm::AesKeyWrap, vec![n; 40], vec![n; 24])
    }

    fn key() -> Arc<ContentKey> {
        Arc::new(ContentKey::generate(ContentAlgorithm::Aes256Ctr).unwrap())
    }

    #[test]
    fn bounded_in_number_and_time() {
        let cache = KeyCache::new(KeyCacheLimits::new(2, Duration::from_secs(60)));
        for n in 0..3 {
            cache.insert(&envelope(n), &key());
            // Used again, the first is not the one that goes.
            assert!(n == 2 || cache.find(&envelope(0)).is_some());
        }
        let kept: Vec<bool> = (0..3).map(|n| cache.find(&envelope(n)).is_some()).collect();
        assert_eq!(kept, [true, false, true]);
        assert!(cache.find(&envelope(0).with_plain_len(1)).is_none(), "another envelope");
        let described = |text| {
            let description = MaterialDescription::parse(text).unwrap();
            envelope(0).with_description(description)
        };
        cache.insert(&described(r#"{"a":"b"}"#), &key());
        assert!(cache.find(&described(r#"{"a":"b"}"#)).is_some());
        assert!(cache.find(&described(r#"{"a": "b"}"#)).is_none(), "another text");

        let expired = KeyCache::new(KeyCacheLimits::new(2, Duration::ZERO));
        expired.insert(&envelope(0), &key());
        assert!(expired.find(&envelope(0)).is_none());
        assert_eq!(expired.keys.lock().unwrap().len(), 0);
        let none = KeyCache::new(KeyCacheLimits::new(0, Duration::from_secs(60)));
        none.insert(&envelope(0), &key());
        assert!(none.find(&envelope(0)).is_none());
    }
}
