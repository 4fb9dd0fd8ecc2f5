//! Access keys, endpoints, the names of environment variables and the retry policy, shared by the
//! clients of stores and of key management services.
//!
//! You meet these types when you connect: [`Credentials`] or a provider of them, [`Endpoint`],
//! [`RetryPolicy`].
//!
//! ```
//! use envelope_cloud::{Endpoint, Environment, RetryPolicy};
//! use meta_codec::Vendor;
//!
//! let credentials = Environment::store(Vendor::Oss); // asked whenever a request is signed
//! let endpoint = Endpoint::of_store(Vendor::Oss, "cn-hangzhou")?;
//! assert_eq!(endpoint.host(), "oss-cn-hangzhou.aliyuncs.com");
//! let retry = RetryPolicy::default().with_attempts(8);
//! # Ok::<(), envelope_cloud::EndpointError>(())
//! ```

mod backoff;
mod credentials;
mod endpoint;
mod environment;
pub mod sign;

pub use backoff::{Backoff, RetryPolicy, jitter};
pub use credentials::{
    Credentials, CredentialsError, ProvideCredential, Renewable, SharedCredentials,
};
pub use endpoint::{Endpoint, EndpointError};
pub use environment::{Environment, KeyNames};

/// The examples in the README, which are compiled as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
