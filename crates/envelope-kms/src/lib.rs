//! The key management services of Aliyun (KMS 2016-01-20) and Tencent (KMS 2019-01-18).
//!
//! [`Client`] implements [`Kms`](envelope_core::kms::Kms), and so opens and writes objects whose content
//! key is wrapped by a service, through [`KmsKeyWrapper`](envelope_core::KmsKeyWrapper):
//!
//! ```no_run
//! # #[cfg(feature = "blocking")]
//! # fn example(envelope: &meta_codec::Envelope) -> Result<(), Box<dyn std::error::Error>> {
//! use envelope_core::{Decryptor, Keyring, KmsKeyWrapper};
//! use envelope_kms::{Aliyun, Client};
//!
//! let kms = Client::new(Aliyun::new("cn-hangzhou")?, envelope_kms::aliyun_environment());
//! let keyring = Keyring::new().with(KmsKeyWrapper::new(kms));
//! let cipher = Decryptor::new(&keyring).decrypt(envelope)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Robustness
//! A try takes at most 10 seconds. Throttling, server errors and broken connections are tried again, at
//! most 4 tries in all, after 200, 400 and 800 milliseconds with jitter; nothing else is. So a call ends
//! within [`CALL_BOUND`], 43 seconds. Answers above 64 KiB and redirects are refused.
//!
//! # Secrets
//! Plaintext content keys travel in requests and answers, over TLS: plain `http` is refused but for the
//! machine itself. What this crate holds is wiped after use; the buffers of the HTTP and TLS libraries are
//! not. Our own spans and errors hold the vendor's code and request id, nothing else.
//!
//! **Do not log at level TRACE in production.** The HTTP libraries then write whole requests and answers,
//! plaintext keys among them, to whatever logger the program has installed.

mod aliyun;
#[cfg(feature = "async")]
mod asynchronous;
mod cache;
mod call;
mod client;
pub mod conformance;
mod credentials;
mod endpoint;
mod retry;
mod sign;
mod tencent;
mod transport;

pub use aliyun::{Aliyun, AliyunSignature};
#[cfg(feature = "async")]
pub use asynchronous::AsyncClient;
pub use cache::{CacheLimits, CachedKms};
pub use call::{Answer, Call, Service};
pub use client::Client;
pub use credentials::{
    Credentials, CredentialsProvider, EnvironmentCredentials, aliyun_environment,
    tencent_environment,
};
pub use endpoint::{Endpoint, EndpointError};
pub use retry::{CALL_BOUND, Clock, SystemClock};
pub use tencent::Tencent;
#[cfg(feature = "blocking")]
pub use transport::UreqTransport;
pub use transport::{HttpRequest, HttpResponse, Transport, TransportError};
