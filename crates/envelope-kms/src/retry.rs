//! When to try again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use envelope_core::kms::KmsError;

use crate::TransportError;

/// Time, so that tests need not wait.
pub trait Clock: Send + Sync {
    /// Seconds since 1970.
    fn now(&self) -> i64;
    /// Waits.
    fn pause(&self, time: Duration);
    /// A number from 0 up to, not including, 1, different each time.
    fn jitter(&self) -> f64;
}

/// The time of this machine.
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
        // Jitter without randomness is still a pause.
        let _ = rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / 4_294_967_296.0
    }
}

/// The tries of one call.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    failed: u32,
}

impl Tries {
    /// The most tries of one call.
    pub(crate) const MOST: u32 = 4;
    const FIRST_PAUSE: Duration = Duration::from_millis(200);

    /// How long to wait before the next try; `None` if there is none. Exponential, and at random from
    /// one half to three halves of that, so that many clients do not come back together.
    pub(crate) fn next_pause(&mut self, jitter: f64) -> Option<Duration> {
        self.failed = self.failed.saturating_add(1);
        if self.failed >= Self::MOST {
            return None;
        }
        let pause = Self::FIRST_PAUSE * 2_u32.saturating_pow(self.failed.saturating_sub(1));
        Some(pause.mul_f64(0.5 + jitter.clamp(0.0, 1.0)))
    }
}

/// The longest that one call takes: four tries of ten seconds, and the pauses between them.
pub const CALL_BOUND: Duration = Duration::from_secs(43);

/// What a failed transport means for the call.
pub(crate) fn meaning(error: TransportError) -> KmsError {
    match error {
        TransportError::Connection | TransportError::Timeout => {
            KmsError::Unavailable(error.to_string())
        }
        // Neither gets better by trying again.
        TransportError::Request | TransportError::Tls => KmsError::Denied(error.to_string()),
        TransportError::TooLarge => KmsError::Malformed(error.to_string()),
    }
}
