//! Retry policies.

use std::time::Duration;

/// A retry policy with exponential backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Total number of attempts for a request.
    pub tries: u32,
    /// Backoff after the first failure; it doubles with each further failure.
    pub first_pause: Duration,
}

impl Default for Retry {
    /// Returns a policy of five attempts with a backoff of 200 milliseconds at first, and of about
    /// three seconds in total.
    fn default() -> Self {
        Self { tries: 5, first_pause: Duration::from_millis(200) }
    }
}

impl Retry {
    /// Waits before the next attempt; returns `false` if none is left. The backoff is scaled by a
    /// random factor from one half to three halves, so that many clients do not retry in step.
    pub(crate) async fn pause(&self, failed: u32) -> bool {
        if failed >= self.tries {
            return false;
        }
        let doubled = self.first_pause * 2_u32.saturating_pow(failed.saturating_sub(1).min(8));
        let mut byte = [128];
        // If there is no randomness, the backoff goes without jitter.
        let _ = rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut byte);
        tokio::time::sleep(doubled.mul_f64(0.5 + f64::from(byte[0]) / 256.0)).await;
        true
    }
}
