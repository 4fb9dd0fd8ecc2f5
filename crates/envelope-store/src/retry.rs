//! When to try again.

use std::time::Duration;

/// How often and how long to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries of one request in all.
    pub tries: u32,
    /// The pause after the first failure; it doubles with each.
    pub first_pause: Duration,
}

impl Default for Retry {
    /// Five tries, from 200 milliseconds on: three seconds of pauses.
    fn default() -> Self {
        Self { tries: 5, first_pause: Duration::from_millis(200) }
    }
}

impl Retry {
    /// Waits before the next try; `false` if there is none. At random from one half to three halves of the
    /// pause, so that many clients do not come back together.
    pub(crate) async fn pause(&self, failed: u32) -> bool {
        if failed >= self.tries {
            return false;
        }
        let doubled = self.first_pause * 2_u32.saturating_pow(failed.saturating_sub(1).min(8));
        let mut byte = [128];
        // Jitter without randomness is still a pause.
        let _ = rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut byte);
        tokio::time::sleep(doubled.mul_f64(0.5 + f64::from(byte[0]) / 256.0)).await;
        true
    }
}
