//! What transfers make of a store that does not always show what it has.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod mirror;
mod parts;
mod rewrap;
mod sizes;
#[path = "../support/bucket.rs"]
mod support;
mod upload;

use std::time::Duration;

use envelope_store::RetryPolicy;

const RETRY: RetryPolicy =
    RetryPolicy::ONCE.with_attempts(3).with_initial_backoff(Duration::from_millis(2));
