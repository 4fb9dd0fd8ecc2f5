//! Shared test support for this workspace: recorded objects, faulty streams and loopback servers.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "tests panic on failure"
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

/// Compiles the example in the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
