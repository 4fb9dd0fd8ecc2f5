//! Transfers to a store that may show something other than what it holds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod mirror;
mod parts;
#[path = "../support/retry.rs"]
mod retry;
mod rewrap;
mod sizes;
#[path = "../support/bucket.rs"]
mod support;
mod upload;

use self::retry::RETRY;
