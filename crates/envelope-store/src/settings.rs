//! Regions, endpoints and access keys, from the environment and from profiles in a file.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use meta_codec::{Vendor, sse::CustomerKey};

use crate::{
    Connection, Endpoint, EndpointError, Environment, Profile, RetryPolicy, SharedCredentials,
    Signature, StoreError, credentials, retry::WaitListener, stores::bucket::STALL,
};

/// Regions, endpoints and access keys.
///
/// The environment takes precedence over a [profile](Profile), as in the tools of both vendors.
#[derive(Clone, Debug)]
pub struct Settings {
    profile: Profile,
    region: Option<String>,
    endpoint: Option<Endpoint>,
    signature: Signature,
    retry: RetryPolicy,
    stall: Duration,
    wait_listener: WaitListener,
    connection: Connection,
    customer_key: Option<SharedCustomerKey>,
    version: Option<(String, String)>,
}

/// A customer key, without its value in debug output.
#[derive(Clone)]
struct SharedCustomerKey(Arc<CustomerKey>);

impl fmt::Debug for SharedCustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            region: None,
            endpoint: None,
            signature: Signature::default(),
            retry: RetryPolicy::default(),
            stall: STALL,
            wait_listener: WaitListener::default(),
            connection: Connection::new(),
            customer_key: None,
            version: None,
        }
    }
}

/// Everything that a bucket of one vendor is reached with.
pub(crate) struct BucketAccount {
    pub(crate) credentials: SharedCredentials,
    /// The region, if there is one.
    pub(crate) region: Option<String>,
    /// The endpoint: one that was set, or else that of the region.
    pub(crate) endpoint: Endpoint,
    pub(crate) signature: Signature,
    pub(crate) retry: RetryPolicy,
    pub(crate) stall: Duration,
    pub(crate) wait_listener: WaitListener,
    pub(crate) connection: Connection,
    pub(crate) customer_key: Option<Arc<CustomerKey>>,
    /// The key of an object, and the version of it that is meant.
    pub(crate) version: Option<(String, String)>,
}

impl Settings {
    /// Creates settings that use the environment only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a profile.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Overrides the region.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Overrides the endpoint.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Sets the signature version for OSS.
    #[must_use]
    pub const fn with_signature(mut self, signature: Signature) -> Self {
        self.signature = signature;
        self
    }

    /// Sets the retry policy.
    #[must_use]
    pub const fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the time without progress after which a request is given up; see
    /// [`Bucket::with_stall_timeout`](crate::Bucket::with_stall_timeout).
    #[must_use]
    pub const fn with_stall_timeout(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// Sets a function that is told before each wait between two attempts: how long it is, and why.
    #[must_use]
    pub fn with_wait_listener(
        mut self,
        notify: impl Fn(Duration, &StoreError) + Send + Sync + 'static,
    ) -> Self {
        self.wait_listener = WaitListener::new(notify);
        self
    }

    /// Sets the way to the services.
    #[must_use]
    pub fn with_connection(mut self, connection: Connection) -> Self {
        self.connection = connection;
        self
    }

    /// Sets a key of the customer, with which the store encrypts; see
    /// [`Bucket::with_customer_key`](crate::Bucket::with_customer_key). Stores that have no such
    /// encryption cannot be opened with it.
    #[must_use]
    pub fn with_customer_key(mut self, key: impl Into<Arc<CustomerKey>>) -> Self {
        self.customer_key = Some(SharedCustomerKey(key.into()));
        self
    }

    /// Sets the version of one object that is meant by its key; see
    /// [`Bucket::with_version`](crate::Bucket::with_version). Stores that keep no versions cannot
    /// be opened with it.
    #[must_use]
    pub fn with_version(mut self, key: impl Into<String>, version_id: impl Into<String>) -> Self {
        self.version = Some((key.into(), version_id.into()));
        self
    }

    pub(crate) const fn has_version(&self) -> bool {
        self.version.is_some()
    }

    pub(crate) const fn has_customer_key(&self) -> bool {
        self.customer_key.is_some()
    }

    /// Returns what a bucket of the vendor is reached with.
    ///
    /// # Errors
    /// If an access key or a region is missing, or the endpoint is invalid.
    pub(crate) fn account(&self, vendor: Vendor) -> Result<BucketAccount, SettingsError> {
        let environment = Environment::store(vendor);
        let account = self.profile.account(vendor);
        let credentials = credentials::find(vendor, account)?;
        let region = self.region.clone().or_else(|| environment.region());
        let region = region.or_else(|| account.region.clone());
        let named = match &self.endpoint {
            Some(endpoint) => Some(endpoint.clone()),
            None => environment.endpoint()?,
        };
        let named = match (named, &account.endpoint) {
            (None, Some(text)) => Some(text.parse()?),
            (named, _) => named,
        };
        let endpoint = match (named, &region) {
            (Some(endpoint), _) => endpoint,
            (None, Some(region)) => Endpoint::of_store(vendor, region)?,
            (None, None) => return Err(no_region(vendor)),
        };
        let (signature, retry, stall) = (self.signature, self.retry, self.stall);
        let wait_listener = self.wait_listener.clone();
        Ok(BucketAccount {
            credentials,
            region,
            endpoint,
            signature,
            retry,
            stall,
            wait_listener,
            connection: self.connection.clone(),
            customer_key: self.customer_key.as_ref().map(|SharedCustomerKey(key)| Arc::clone(key)),
            version: self.version.clone(),
        })
    }
}

/// The error for a region that must be known.
pub(crate) fn no_region(vendor: Vendor) -> SettingsError {
    let name = Environment::store(vendor).region_name();
    SettingsError::Missing { what: "region", name }
}

/// An error in the settings of a bucket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The endpoint or region is invalid.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The profile file cannot be read.
    #[error("the profile file cannot be read")]
    Io(#[from] io::Error),
    /// A required setting is missing.
    #[error("no {what}: set {name}, or add it to a profile")]
    Missing {
        /// The setting.
        what: &'static str,
        /// The environment variable.
        name: &'static str,
    },
    /// The file of another tool, from which the access key is to come, is of no use.
    #[error("{}: {reason}", path.display())]
    OtherTool {
        /// The file.
        path: PathBuf,
        /// Why, without what is in the file.
        reason: &'static str,
    },
    /// The profile names a source of access keys that there is not, or not for this store.
    #[error("no access keys come from {name:?}; the sources are {known}")]
    Source {
        /// What the profile says.
        name: String,
        /// What there is.
        known: &'static str,
    },
    /// The profile does not exist.
    #[error("there is no profile {0:?}")]
    NoProfile(String),
    /// The client cannot be created.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The profile has a key that is not known, or a value of the wrong type.
    #[error("the profile {name}: {reason}")]
    Profile {
        /// The name of the profile.
        name: String,
        /// What is wrong, without the value.
        reason: String,
    },
    /// The profile file is not TOML.
    #[error("line {line} of the profile file is invalid")]
    Syntax {
        /// Line number, counted from 1.
        line: usize,
    },
}
