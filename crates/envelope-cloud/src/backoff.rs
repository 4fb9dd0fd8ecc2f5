//! The retry policy.

use std::time::{Duration, Instant};

/// How long, how often and after which waits a request is repeated.
///
/// The backoff doubles with every failure, up to 30 seconds, and is scaled by a random factor from
/// 0.5 to 1.5, so that many clients do not come back at the same moment. The caller decides which
/// errors are worth another attempt.
///
/// ```
/// use std::time::Duration;
///
/// use envelope_cloud::RetryPolicy;
///
/// let mut backoff = RetryPolicy::default().with_attempts(3).start();
/// let delays: Vec<Duration> = std::iter::from_fn(|| backoff.next_delay(0.5)).collect();
/// assert_eq!(delays, [Duration::from_millis(200), Duration::from_millis(400)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The largest number of attempts in all.
    pub attempts: u32,
    /// The backoff after the first failure.
    pub initial_backoff: Duration,
    /// The longest time from the first failure to the beginning of the last attempt.
    pub budget: Duration,
}

/// The longest backoff, before jitter.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

impl Default for RetryPolicy {
    /// As many attempts as fit into five minutes, the second 200 milliseconds after the first.
    fn default() -> Self {
        Self {
            attempts: u32::MAX,
            initial_backoff: Duration::from_millis(200),
            budget: Duration::from_secs(300),
        }
    }
}

impl RetryPolicy {
    /// A single attempt, for requests that must not be repeated.
    pub const ONCE: Self =
        Self { attempts: 1, initial_backoff: Duration::ZERO, budget: Duration::MAX };

    /// Four attempts, 200 milliseconds after the first failure, for calls that something else waits
    /// for, such as those to a key management service.
    pub const SHORT: Self =
        Self { attempts: 4, initial_backoff: Duration::from_millis(200), budget: Duration::MAX };

    /// Sets the largest number of attempts in all.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the backoff after the first failure.
    #[must_use]
    pub const fn with_initial_backoff(mut self, backoff: Duration) -> Self {
        self.initial_backoff = backoff;
        self
    }

    /// Sets the longest time from the first failure to the beginning of the last attempt.
    #[must_use]
    pub const fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Returns the backoff after so many failures, before jitter.
    const fn delay(self, failed: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failed.saturating_sub(1));
        let delay = self.initial_backoff.saturating_mul(factor);
        if delay.as_nanos() < MAX_BACKOFF.as_nanos() { delay } else { MAX_BACKOFF }
    }

    /// Returns the longest time that a request can take whose attempts take at most `attempt`. The
    /// budget is not taken into account.
    #[must_use]
    pub const fn bound(self, attempt: Duration) -> Duration {
        let mut bound = attempt.saturating_mul(self.attempts);
        let mut failed = 1;
        while failed < self.attempts {
            // The largest factor of the jitter is 3 / 2.
            let delay = match self.delay(failed).saturating_mul(3).checked_div(2) {
                Some(delay) => delay,
                None => Duration::MAX,
            };
            // From the longest backoff on, all are equal.
            let times = if failed < 64 { 1 } else { self.attempts.saturating_sub(failed) };
            bound = bound.saturating_add(delay.saturating_mul(times));
            failed = failed.saturating_add(times);
        }
        bound
    }

    /// Starts to count the attempts of one request, of which none has failed yet.
    #[must_use]
    pub const fn start(self) -> Backoff {
        Backoff { policy: self, failed: 0, since: None }
    }
}

/// The failed attempts of one request.
///
/// ```
/// use envelope_cloud::{RetryPolicy, jitter};
///
/// let mut backoff = RetryPolicy::default().with_attempts(2).start();
/// let first = backoff.next_delay(jitter()).expect("a second attempt");
/// assert!(first.as_millis() >= 100);
/// assert!(backoff.next_delay(jitter()).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: RetryPolicy,
    failed: u32,
    /// When the first attempt failed.
    since: Option<Instant>,
}

impl Backoff {
    /// Counts a failure, and returns the time to wait before the next attempt; `None` if there is
    /// none left. `jitter` is a number from 0 to 1, such as [`jitter`] returns.
    pub fn next_delay(&mut self, jitter: f64) -> Option<Duration> {
        self.next_delay_from(Duration::ZERO, jitter)
    }

    /// As [`next_delay`](Self::next_delay), but not before the service wants to be asked again, as
    /// the header `Retry-After` says. There is no next attempt if that is beyond the budget.
    pub fn next_delay_from(&mut self, retry_after: Duration, jitter: f64) -> Option<Duration> {
        self.failed = self.failed.saturating_add(1);
        let elapsed = self.since.get_or_insert_with(Instant::now).elapsed();
        let left = self.policy.budget.checked_sub(elapsed)?;
        if self.failed >= self.policy.attempts || left.is_zero() || retry_after > left {
            return None;
        }
        let delay = self.policy.delay(self.failed);
        let jitter = if jitter.is_nan() { 0.5 } else { jitter.clamp(0.0, 1.0) };
        Some(delay.mul_f64(0.5 + jitter).min(left).max(retry_after))
    }

    /// Forgets the failures, because there was progress.
    pub const fn reset(&mut self) {
        self.failed = 0;
        self.since = None;
    }
}

/// Returns a random number from 0 to 1.
#[must_use]
pub fn jitter() -> f64 {
    let mut bytes = [0, 0, 0, 128];
    // Without randomness, the backoff is merely not spread.
    let _ = rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_bound_and_ends() {
        let mut backoff = RetryPolicy::default().with_attempts(12).start();
        let delays: Vec<u128> =
            std::iter::from_fn(|| backoff.next_delay(0.5)).map(|delay| delay.as_millis()).collect();
        assert_eq!(delays[..4], [200, 400, 800, 1600]);
        assert_eq!(delays[8..], [30_000; 3]);
        assert_eq!(backoff.next_delay(0.5), None);
        backoff.reset();
        assert_eq!(backoff.next_delay(0.0), Some(Duration::from_millis(100)));
        assert_eq!(RetryPolicy::ONCE.start().next_delay(0.5), None);
        assert_eq!(RetryPolicy::default().with_attempts(0).start().next_delay(0.5), None);
        let mut long = RetryPolicy::default().with_attempts(u32::MAX).start();
        assert!((0..100).all(|_| long.next_delay(1.0).is_some_and(|it| it <= MAX_BACKOFF * 2)));
        assert!((0..100).all(|_| (0.0..=1.0).contains(&jitter())));
    }

    #[test]
    fn no_request_takes_longer_than_its_bound() {
        let attempt = Duration::from_secs(10);
        for attempts in [0, 1, 2, 4, 5, 70] {
            let policy = RetryPolicy::default().with_attempts(attempts);
            let mut backoff = policy.start();
            let delays = std::iter::from_fn(|| backoff.next_delay(1.0)).sum::<Duration>();
            assert_eq!(policy.bound(attempt), attempt * attempts + delays, "{attempts}");
        }
        let forever = RetryPolicy::default().with_attempts(u32::MAX);
        assert!(forever.bound(attempt) > attempt * u32::MAX);
    }

    #[test]
    fn the_budget_ends_and_the_service_is_heard() {
        let second = Duration::from_secs(1);
        let policy = RetryPolicy::default().with_budget(Duration::from_millis(60));
        let mut backoff = policy.with_initial_backoff(second).start();
        // The last attempt begins when the budget ends, not after it.
        let delay = backoff.next_delay(0.5).unwrap();
        assert!(delay <= Duration::from_millis(60), "{delay:?}");
        std::thread::sleep(Duration::from_millis(61));
        assert_eq!(backoff.next_delay(0.5), None);
        backoff.reset();
        assert!(backoff.next_delay(0.5).is_some());

        let mut backoff = RetryPolicy::default().start();
        assert_eq!(backoff.next_delay_from(second * 7, 0.5), Some(second * 7));
        assert_eq!(backoff.next_delay_from(second / 1000, 0.5), Some(second * 2 / 5));
        assert_eq!(backoff.next_delay_from(second * 301, 0.5), None);
        let mut once = RetryPolicy::ONCE.start();
        assert_eq!(once.next_delay_from(second, 0.5), None);
    }

    #[test]
    fn any_number_is_a_jitter() {
        for jitter in [f64::NAN, f64::INFINITY, -1.0, 2.0] {
            let delay = RetryPolicy::SHORT.start().next_delay(jitter).unwrap();
            assert!((100..=300).contains(&delay.as_millis()), "{jitter}: {delay:?}");
        }
    }
}
