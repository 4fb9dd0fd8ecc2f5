//! A cache of unwrapped keys.

use std::{
    collections::HashMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use envelope_core::kms::{DataKey, Kms, KmsError};
use meta_codec::WrapAlgorithm;
use zeroize::Zeroizing;

/// How much a cache keeps, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "every limit is to be chosen")]
pub struct CacheLimits {
    /// The most answers kept. An object needs two.
    pub entries: usize,
    /// How long an answer is kept.
    pub age: Duration,
    /// How often an answer is given before the service is asked again.
    pub uses: u32,
}

impl Default for CacheLimits {
    /// 1000 answers, five minutes, 1000 uses.
    fn default() -> Self {
        Self { entries: 1000, age: Duration::from_secs(300), uses: 1000 }
    }
}

/// A KMS whose decryptions are remembered for a while. What is forgotten is wiped.
///
/// While one thread asks for a blob, others that want the same one wait for its answer. The blob, its
/// context and the kind of service together name an answer. Whoever may use the cache gets what the
/// service has given, without being asked for permission again: do not share one between callers with
/// different rights. Failures are not remembered.
#[expect(missing_debug_implementations, reason = "holds plaintexts, which are not printed")]
pub struct CachedKms<K> {
    inner: K,
    limits: CacheLimits,
    answers: Mutex<HashMap<Name, Slot>>,
    arrived: Condvar,
}

type Name = (WrapAlgorithm, String, Option<String>);

enum Slot {
    /// Somebody is asking.
    Asked,
    Known {
        plaintext: Zeroizing<String>,
        since: Instant,
        uses: u32,
    },
}

impl<K: Kms> CachedKms<K> {
    /// A cache before `inner`.
    #[must_use]
    pub fn new(inner: K, limits: CacheLimits) -> Self {
        Self { inner, limits, answers: Mutex::default(), arrived: Condvar::new() }
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Name, Slot>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, if it is known and fresh; else the caller has to ask.
    fn look_up(&self, name: &Name) -> Option<Zeroizing<String>> {
        let mut answers = self.answers();
        loop {
            match answers.get_mut(name) {
                Some(Slot::Asked) => {
                    answers = self.arrived.wait(answers).unwrap_or_else(PoisonError::into_inner);
                }
                Some(Slot::Known { plaintext, since, uses })
                    if since.elapsed() < self.limits.age && *uses < self.limits.uses =>
                {
                    *uses = uses.saturating_add(1);
                    return Some(plaintext.clone());
                }
                _ => {
                    answers.insert(name.clone(), Slot::Asked);
                    return None;
                }
            }
        }
    }

    fn remember(&self, name: Name, plaintext: Zeroizing<String>) {
        let mut answers = self.answers();
        let age = self.limits.age;
        answers.retain(|_, slot| match slot {
            Slot::Asked => true,
            Slot::Known { since, .. } => since.elapsed() < age,
        });
        while answers.len() > self.limits.entries {
            let oldest = answers.iter().filter_map(|(name, slot)| match slot {
                Slot::Asked => None,
                Slot::Known { since, .. } => Some((*since, name.clone())),
            });
            let Some((_, oldest)) = oldest.min_by_key(|(since, _)| *since) else { break };
            answers.remove(&oldest);
        }
        if answers.len() <= self.limits.entries {
            answers.insert(name, Slot::Known { plaintext, since: Instant::now(), uses: 1 });
        }
    }
}

/// Takes the mark of an unanswered question away, however the asking ends.
struct Asking<'a, K: Kms> {
    cache: &'a CachedKms<K>,
    name: &'a Name,
}

impl<K: Kms> Drop for Asking<'_, K> {
    fn drop(&mut self) {
        let mut answers = self.cache.answers();
        if matches!(answers.get(self.name), Some(Slot::Asked)) {
            answers.remove(self.name);
        }
        self.cache.arrived.notify_all();
    }
}

impl<K: Kms> Kms for CachedKms<K> {
    fn algorithm(&self) -> WrapAlgorithm {
        self.inner.algorithm()
    }

    fn generate_data_key(&self, context: Option<&str>) -> Result<DataKey, KmsError> {
        self.inner.generate_data_key(context)
    }

    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        self.inner.encrypt(plaintext, context)
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        let name = (self.algorithm(), blob.to_owned(), context.map(str::to_owned));
        if let Some(plaintext) = self.look_up(&name) {
            return Ok(plaintext);
        }
        let asking = Asking { cache: self, name: &name };
        let plaintext = self.inner.decrypt(blob, context)?;
        self.remember(name.clone(), plaintext.clone());
        drop(asking);
        Ok(plaintext)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Counts, and takes its time.
    #[derive(Default)]
    struct Slow {
        calls: AtomicU32,
    }

    impl Kms for Slow {
        fn algorithm(&self) -> WrapAlgorithm {
            WrapAlgorithm::KmsTencent
        }

        fn generate_data_key(&self, _: Option<&str>) -> Result<DataKey, KmsError> {
            unreachable!("not asked for")
        }

        fn encrypt(&self, _: &str, _: Option<&str>) -> Result<String, KmsError> {
            unreachable!("not asked for")
        }

        fn decrypt(&self, blob: &str, _: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
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
        // Another context, another question; failures are asked again.
        cache.decrypt("a", Some("")).unwrap();
        assert!(cache.decrypt("bad", None).is_err() && cache.decrypt("bad", None).is_err());
        assert_eq!(calls(&cache), 4);
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
}
