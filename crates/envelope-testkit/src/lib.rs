//! What the tests of this workspace share: recorded objects, and streams that misbehave.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "tests fail loudly"
)]

#[cfg(feature = "servers")]
pub mod bucket;
mod fault;
mod fixture;
mod hostile;
#[cfg(feature = "servers")]
mod http;
#[cfg(feature = "servers")]
pub mod kms;

pub use fault::{FaultyReader, ShortReader, ShortWriter};
pub use fixture::{Case, KmsAnswer, Outcome, all_cases, cases_below, folder, sdk_vectors};
pub use hostile::{HostileCase, hostile_cases};
