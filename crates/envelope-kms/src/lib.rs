//! Clients for the key management services of Aliyun (KMS 2016-01-20) and Tencent (KMS 2019-01-18).
//!
//! [`Client`] implements [`Kms`](envelope_core::kms::Kms). Through
//! [`KmsKeyWrapper`](envelope_core::KmsKeyWrapper), it reads and writes objects whose content key
//! is wrapped by a service:
//!
//! ```no_run
//! # #[cfg(feature = "blocking")]
//! # fn example(envelope: &meta_codec::Envelope) -> Result<(), Box<dyn std::error::Error>> {
//! use envelope_core::{Decryptor, Keyring, KmsKeyWrapper};
//! use envelope_kms::{Aliyun, Client, KmsVendor};
//!
//! let kms = Client::new(Aliyun::new("cn-hangzhou")?, KmsVendor::Aliyun.environment());
//! let keyring = Keyring::new().with(KmsKeyWrapper::new(kms));
//! let cipher = Decryptor::new(&keyring).decrypt(envelope)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Robustness
//! An attempt takes at most 10 seconds. Throttling, server errors, timeouts and broken connections
//! are retried as [`RetryPolicy::SHORT`] says; nothing else is retried. A call therefore ends
//! within [`CALL_BOUND`], unless the provider of access keys takes longer. Responses above 64 KiB
//! and redirects are rejected.
//!
//! # Secrets
//! Plaintext content keys travel in requests and responses, over TLS: plain `http` is rejected
//! except for the local machine. Secrets held by this crate are wiped after use; the buffers of the
//! HTTP and TLS libraries are not. Spans and errors of this crate hold the vendor's code and
//! request id, nothing else.
//!
//! **Do not log at level TRACE in production.** At that level the HTTP libraries write whole
//! requests and responses, including plaintext keys, to whatever logger the program has installed.

mod cache;
mod call;
mod client;
mod clock;
pub mod conformance;
mod transport;
mod vendor;

pub use cache::{CacheLimits, CachedKms};
pub use call::{Answer, Call, Service};
pub use client::{CALL_BOUND, Client};
pub use clock::{Clock, SystemClock};
pub use envelope_cloud::{Credentials, Endpoint, EndpointError, Environment, RetryPolicy};
#[cfg(feature = "blocking")]
pub use transport::UreqTransport;
pub use transport::{HttpRequest, HttpResponse, Transport, TransportError};
pub use vendor::*;

/// The examples in the README, which are compiled as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
