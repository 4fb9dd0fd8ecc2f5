//! A cache for decrypted keys.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use envelope_core::kms::{Kms, KmsError};
use meta_codec::WrapAlgorithm;
use zeroize::Zeroizing;

/// Limits on the number, age and use of cached plaintexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheLimits {
    /// Maximum number of cached plaintexts. An object needs two.
    pub entries: usize,
    /// Maximum age of a cached plaintext.
    pub age: Duration,
    /// Maximum number of times a plaintext is returned before the service is called again.
    pub uses: u32,
}

impl CacheLimits {
    /// Sets the maximum number of cached plaintexts.
    #[must_use]
    pub const fn with_entries(mut self, entries: usize) -> Self {
        self.entries = entries;
        self
    }

    /// Sets the maximum age of a cached plaintext.
    #[must_use]
    pub const fn with_age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// Sets the maximum number of times a plaintext is returned before the service is called again.
    #[must_use]
    pub const fn with_uses(mut self, uses: u32) -> Self {
        self.uses = uses;
        self
    }
}

impl Default for CacheLimits {
    /// Returns limits of 1000 plaintexts, five minutes and 1000 uses.
    fn default() -> Self {
        Self { entries: 1000, age: Duration::from_secs(300), uses: 1000 }
    }
}

/// A KMS wrapper that caches decrypted plaintexts for a limited time and wipes them on eviction.
///
/// The cache key is the blob, its context and the kind of service. While one thread decrypts a
/// blob, other threads that need the same blob wait and share its result, success or failure.
/// Failures are not cached. Expired plaintexts are wiped at the next lookup.
///
/// A cached plaintext is returned without the service checking permissions again: do not share a
/// cache between callers with different rights.
///
/// ```
/// use envelope_core::{KmsKeyWrapper, WrapAlgorithm, kms::MemoryKms};
/// use envelope_kms::{CacheLimits, CachedKms};
///
/// let kms = MemoryKms::new(WrapAlgorithm::KmsAliyun); // or a `Client`
/// let wrapper = KmsKeyWrapper::new(CachedKms::new(kms, CacheLimits::default()));
/// ```
#[expect(missing_debug_implementations, reason = "holds plaintexts, which are not printed")]
pub struct CachedKms<K> {
    inner: K,
    limits: CacheLimits,
    answers: Mutex<HashMap<Name, Slot>>,
}

type Name = (WrapAlgorithm, String, Option<String>);
type Outcome = Result<Zeroizing<String>, KmsError>;

enum Slot {
    /// A request is in flight.
    Asked(Arc<Flight>),
    Known {
        plaintext: Zeroizing<String>,
        since: Instant,
        uses: u32,
    },
}

/// A request in flight. All waiting threads receive its outcome, success or failure.
#[derive(Default)]
struct Flight {
    outcome: Mutex<Option<Outcome>>,
    landed: Condvar,
}

impl Flight {
    fn land(&self, outcome: Outcome) {
        let mut slot = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert(outcome);
        self.landed.notify_all();
    }

    fn wait(&self) -> Outcome {
        let mut slot = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(outcome) = &*slot {
                return outcome.clone();
            }
            slot = self.landed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The result of a cache lookup.
enum Found {
    Answer(Zeroizing<String>),
    /// Another thread's request is in flight.
    Wait(Arc<Flight>),
    /// The caller must call the service.
    Ask(Arc<Flight>),
}

impl<K: Kms> CachedKms<K> {
    /// Creates a cache in front of `inner`.
    #[must_use]
    pub fn new(inner: K, limits: CacheLimits) -> Self {
        Self { inner, limits, answers: Mutex::default() }
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Name, Slot>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &Name) -> Found {
        let mut answers = self.answers();
        // Expired plaintexts are wiped at every lookup, not only when their slot is needed.
        answers.retain(|_, slot| match slot {
            Slot::Asked(_) => true,
            Slot::Known { since, uses, .. } => {
                since.elapsed() < self.limits.age && *uses < self.limits.uses
            }
        });
        match answers.get_mut(name) {
            Some(Slot::Asked(flight)) => Found::Wait(Arc::clone(flight)),
            Some(Slot::Known { plaintext, uses, .. }) => {
                *uses = uses.saturating_add(1);
                Found::Answer(plaintext.clone())
            }
            None => {
                let flight = Arc::new(Flight::default());
                answers.insert(name.clone(), Slot::Asked(Arc::clone(&flight)));
                Found::Ask(flight)
            }
        }
    }

    fn remember(&self, name: &Name, plaintext: &Zeroizing<String>) {
        let mut answers = self.answers();
        answers.remove(name);
        let since = |slot: &Slot| match slot {
            Slot::Asked(_) => None,
            Slot::Known { since, .. } => Some(*since),
        };
        if answers.values().filter_map(since).count() >= self.limits.entries {
            let known = answers.iter().filter_map(|(name, slot)| Some((since(slot)?, name)));
            let oldest = known.min_by_key(|(since, _)| *since).map(|(_, name)| name.clone());
            oldest.map(|name| answers.remove(&name));
        }
        if self.limits.entries > 0 {
            let (plaintext, since) = (plaintext.clone(), Instant::now());
            answers.insert(name.clone(), Slot::Known { plaintext, since, uses: 1 });
        }
    }
}

/// A guard that releases the waiting threads however the request ends, even by a panic.
struct Asking<'a, K: Kms> {
    cache: &'a CachedKms<K>,
    name: &'a Name,
    flight: Arc<Flight>,
}

impl<K: Kms> Drop for Asking<'_, K> {
    fn drop(&mut self) {
        let mut answers = self.cache.answers();
        if matches!(answers.get(self.name), Some(Slot::Asked(_))) {
            answers.remove(self.name);
        }
        drop(answers);
        self.flight.land(Err(KmsError::Unavailable("the request was abandoned".to_owned())));
    }
}

impl<K: Kms> Kms for CachedKms<K> {
    fn algorithm(&self) -> WrapAlgorithm {
        self.inner.algorithm()
    }

    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        self.inner.encrypt(plaintext, context)
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        let name = (self.algorithm(), blob.to_owned(), context.map(str::to_owned));
        let flight = match self.find(&name) {
            Found::Answer(plaintext) => return Ok(plaintext),
            Found::Wait(flight) => return flight.wait(),
            Found::Ask(flight) => flight,
        };
        let asking = Asking { cache: self, name: &name, flight };
        let outcome = self.inner.decrypt(blob, context);
        if let Ok(plaintext) = &outcome {
            self.remember(&name, plaintext);
        }
        asking.flight.land(outcome.clone());
        drop(asking);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    /// A slow KMS that counts its calls.
    #[derive(Default)]
    struct Slow {
        calls: AtomicU32,
    }

    impl Kms for Slow {
        fn algorithm(&self) -> WrapAlgorithm {
            WrapAlgorithm::KmsTencent
        }

        fn encrypt(&self, _: &str, _: Option<&str>) -> Result<String, KmsError> {
            unreachable!("only decrypt is called")
        }

        fn decrypt(&self, blob: &str, _: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(50));
            match blob {
                "bad" => Err(KmsError::Refused("no".into())),
                _ => Ok(Zeroizing::new(blob.to_uppercase())),
            }
        }
    }

    fn cache(limits: CacheLimits) -> CachedKms<Slow> {
        CachedKms::new(Slow::default(), limits)
    }

    fn calls(cache: &CachedKms<Slow>) -> u32 {
        cache.inner.calls.load(Ordering::SeqCst)
    }

    #[test]
    fn one_question_at_a_time_for_one_blob() {
        let cache = cache(CacheLimits::default());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(cache.decrypt("a", None).unwrap().as_str(), "A"));
            }
        });
        assert_eq!(calls(&cache), 1);
        // Another context is a separate cache entry; failures are not cached.
        cache.decrypt("a", Some("")).unwrap();
        assert!(cache.decrypt("bad", None).is_err() && cache.decrypt("bad", None).is_err());
        assert_eq!(calls(&cache), 4);
    }

    #[test]
    fn those_who_wait_share_a_failure() {
        for (blob, limits) in [
            ("bad", CacheLimits::default()),
            ("a", CacheLimits { entries: 0, ..CacheLimits::default() }),
        ] {
            let cache = cache(limits);
            let start = Barrier::new(10);
            std::thread::scope(|scope| {
                for _ in 0..10 {
                    scope.spawn(|| {
                        start.wait();
                        cache.decrypt(blob, None).is_ok()
                    });
                }
            });
            // If the waiters called the service one after another, there would be ten calls. A
            // thread that starts late may still make one more call.
            assert!(calls(&cache) <= 5, "{} calls", calls(&cache));
        }
    }

    #[test]
    fn limits() {
        let ask = |limits, blobs: &[&str]| {
            let cache = cache(limits);
            for blob in blobs {
                cache.decrypt(blob, None).unwrap();
            }
            let kept = cache.answers().len();
            (calls(&cache), kept)
        };
        let limits = CacheLimits::default();
        assert_eq!(ask(CacheLimits { uses: 2, ..limits }, &["a"; 5]), (3, 1));
        assert_eq!(ask(CacheLimits { age: Duration::ZERO, ..limits }, &["a"; 3]), (3, 1));
        assert_eq!(ask(CacheLimits { entries: 2, ..limits }, &["a", "b", "c", "b", "a"]), (4, 2));
        assert_eq!(ask(CacheLimits { entries: 0, ..limits }, &["a", "a"]), (2, 0));
    }

    #[test]
    fn a_panic_leaves_nobody_waiting() {
        /// Panics when it is told to.
        struct Panics(Barrier);

        impl Kms for Panics {
            fn encrypt(&self, _: &str, _: Option<&str>) -> Result<String, KmsError> {
                unreachable!("only decrypt is called")
            }

            fn decrypt(&self, _: &str, _: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
                self.0.wait();
                panic!("in the middle of a request")
            }
        }

        let cache = CachedKms::new(Panics(Barrier::new(2)), CacheLimits::default());
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| cache.decrypt("a", None).map(|_| ()));
            while cache.answers().is_empty() {
                std::thread::yield_now();
            }
            let Found::Wait(flight) = cache.find(&(cache.algorithm(), "a".to_owned(), None)) else {
                panic!("nobody has asked")
            };
            cache.inner.0.wait();
            assert!(asking.join().is_err());
            let outcome = flight.outcome.lock().unwrap().take();
            assert!(matches!(outcome, Some(Err(KmsError::Unavailable(_)))));
        });
        assert!(cache.answers().is_empty());
    }

    #[test]
    fn limits_are_set_one_by_one() {
        let limits =
            CacheLimits::default().with_entries(1).with_age(Duration::from_secs(2)).with_uses(3);
        assert_eq!(limits, CacheLimits { entries: 1, age: Duration::from_secs(2), uses: 3 });
    }
}
