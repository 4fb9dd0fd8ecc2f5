//! Time and chance.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A source of time and jitter, replaceable so that tests need not wait.
pub trait Clock: Send + Sync {
    /// Returns the current time in seconds since 1970.
    fn now(&self) -> i64;
    /// Blocks the current thread for `time`.
    fn sleep(&self, time: Duration);
    /// Returns a random number from 0 to 1, which spreads the backoff.
    fn jitter(&self) -> f64;
}

/// The clock of the local machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn jitter(&self) -> f64 {
        envelope_cloud::jitter()
    }
}
