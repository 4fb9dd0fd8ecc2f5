//! The retry policy of tests, which repeats a request without waiting for long.

use std::time::Duration;

use envelope_store::RetryPolicy;

pub(crate) const RETRY: RetryPolicy =
    RetryPolicy::ONCE.with_attempts(3).with_initial_backoff(Duration::from_millis(2));
