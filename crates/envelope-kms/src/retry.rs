//! The retry policy.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use envelope_core::kms::KmsError;

use crate::TransportError;

/// A source of time and jitter, replaceable so that tests need not wait.
pub trait Clock: Send + Sync {
    /// Returns the current time in seconds since 1970.
    fn now(&self) -> i64;
    /// Blocks the current thread for `time`.
    fn pause(&self, time: Duration);
    /// Returns a random number in `0.0..1.0`.
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

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn jitter(&self) -> f64 {
        let mut bytes = [0; 4];
        // On failure the backoff is merely not randomized.
        let _ = rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / 4_294_967_296.0
    }
}

/// The attempts of one call.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    failed: u32,
}

impl Tries {
    /// Maximum number of attempts per call.
    pub(crate) const MOST: u32 = 4;
    const FIRST_PAUSE: Duration = Duration::from_millis(200);

    /// Returns the backoff before the next attempt, or `None` if there are no attempts left. It
    /// grows exponentially and is scaled by a random factor from 0.5 to 1.5, so that many clients
    /// do not retry at the same time.
    pub(crate) fn next_pause(&mut self, jitter: f64) -> Option<Duration> {
        self.failed = self.failed.saturating_add(1);
        if self.failed >= Self::MOST {
            return None;
        }
        let pause = Self::FIRST_PAUSE * 2_u32.saturating_pow(self.failed.saturating_sub(1));
        Some(pause.mul_f64(0.5 + jitter.clamp(0.0, 1.0)))
    }
}

/// Maximum duration of one call: four attempts of ten seconds and the backoff between them.
pub const CALL_BOUND: Duration = Duration::from_secs(43);

/// Maps a transport error to the error of the call.
pub(crate) fn meaning(error: TransportError) -> KmsError {
    match error {
        TransportError::Connection | TransportError::Timeout => {
            KmsError::Unavailable(error.to_string())
        }
        // A retry would fix neither.
        TransportError::Request | TransportError::Tls => KmsError::Denied(error.to_string()),
        TransportError::TooLarge => KmsError::Malformed(error.to_string()),
    }
}
