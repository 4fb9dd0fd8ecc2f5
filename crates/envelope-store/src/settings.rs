//! Where buckets are reached, and with which access keys: the environment, and profiles in a file.

use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc};

use meta_codec::Vendor;
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    Bucket, Credentials, Endpoint, EndpointError, FolderStore, Place, Retry, Signature, Store,
    StoreError,
};

/// Regions, endpoints and access keys. The environment goes before a profile, as in the tools of both clouds.
///
/// ```toml
/// [profiles.default.oss]
/// region = "cn-hangzhou"
/// access_key_id = "..."
/// access_key_secret = "..."
///
/// [profiles.default.cos]
/// region = "ap-guangzhou"
/// endpoint = "https://cos.internal.example"
/// ```
#[derive(Clone, Debug, Default)]
pub struct Settings {
    profile: Profile,
    region: Option<String>,
    endpoint: Option<Endpoint>,
    signature: Signature,
    retry: Retry,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Profile {
    oss: Account,
    cos: Account,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Account {
    region: Option<String>,
    endpoint: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<SecretString>,
    session_token: Option<SecretString>,
}

/// Environment names, those of the newer tools first.
struct Names {
    id: &'static [&'static str],
    secret: &'static [&'static str],
    token: &'static [&'static str],
    region: &'static [&'static str],
    endpoint: &'static [&'static str],
}

/// ossutil 2 and the SDKs of version 2; then the names of all Alibaba Cloud tools.
const OSS: Names = Names {
    id: &["OSS_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_ID"],
    secret: &["OSS_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    token: &["OSS_SESSION_TOKEN", "ALIBABA_CLOUD_SECURITY_TOKEN"],
    region: &["OSS_REGION", "ALIBABA_CLOUD_REGION_ID"],
    endpoint: &["OSS_ENDPOINT"],
};
/// tccli and the SDKs; then the names of COS's own samples.
const COS: Names = Names {
    id: &["TENCENTCLOUD_SECRET_ID", "COS_SECRET_ID"],
    secret: &["TENCENTCLOUD_SECRET_KEY", "COS_SECRET_KEY"],
    token: &["TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN", "COS_TOKEN"],
    region: &["TENCENTCLOUD_REGION", "COS_REGION"],
    endpoint: &["COS_ENDPOINT"],
};

fn environment(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

impl Settings {
    /// What the environment says.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a profile of a file. A file that holds access keys should be its owner's alone.
    ///
    /// # Errors
    /// The file, or a profile that is not in it.
    pub fn with_profile(mut self, path: &Path, name: &str) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path)?;
        // The parser's own words would quote the line, which may hold a secret.
        let document: Document = toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count();
            SettingsError::Syntax { line: line.saturating_add(1) }
        })?;
        let profile = document.profiles.get(name);
        self.profile = profile.cloned().ok_or_else(|| SettingsError::NoProfile(name.to_owned()))?;
        Ok(self)
    }

    /// This region instead of any other.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// This endpoint instead of any other.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// This signature for OSS.
    #[must_use]
    pub const fn with_signature(mut self, signature: Signature) -> Self {
        self.signature = signature;
        self
    }

    /// Tries so often.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The store of a place.
    ///
    /// # Errors
    /// No access key, no region, or an endpoint that is none.
    pub fn store(&self, place: &Place) -> Result<Arc<dyn Store>, SettingsError> {
        let (vendor, bucket, names, account) = match place {
            Place::Folder(folder) => return Ok(Arc::new(FolderStore::new(folder))),
            Place::Oss(bucket) => (Vendor::Oss, bucket, &OSS, &self.profile.oss),
            Place::Cos(bucket) => (Vendor::Cos, bucket, &COS, &self.profile.cos),
        };
        let missing = |names: &[&'static str], what| SettingsError::Missing {
            what,
            name: names.first().copied().unwrap_or_default(),
        };
        let id = environment(names.id);
        // A key and its secret come from one place.
        let credentials = match id {
            Some(id) => {
                let secret =
                    environment(names.secret).ok_or_else(|| missing(names.secret, "secret"))?;
                let credentials = Credentials::new(id, secret);
                match environment(names.token) {
                    Some(token) => credentials.with_token(token),
                    None => credentials,
                }
            }
            None => {
                let id = account.access_key_id.clone();
                let id = id.ok_or_else(|| missing(names.id, "access key"))?;
                let secret = account.access_key_secret.clone();
                let secret = secret.ok_or_else(|| missing(names.secret, "secret"))?;
                let credentials = Credentials::new(id, secret);
                match &account.session_token {
                    Some(token) => credentials.with_token(token.clone()),
                    None => credentials,
                }
            }
        };
        let region = self.region.clone().or_else(|| environment(names.region));
        let region = region.or_else(|| account.region.clone());
        let named = environment(names.endpoint).or_else(|| account.endpoint.clone());
        let endpoint = match (&self.endpoint, named) {
            (Some(endpoint), _) => Some(endpoint.clone()),
            (None, Some(text)) => Some(text.parse()?),
            (None, None) => None,
        };
        let no_region = || missing(names.region, "region");
        let bucket = if vendor == Vendor::Cos {
            let endpoint = match endpoint {
                Some(endpoint) => endpoint,
                None => Endpoint::cos(&region.ok_or_else(no_region)?)?,
            };
            Bucket::cos(bucket, endpoint, credentials)
        } else {
            // Version 1 of the signature knows no regions.
            let unnamed = endpoint.is_some() && self.signature == Signature::V1;
            let region = region.or_else(|| unnamed.then(String::new)).ok_or_else(no_region)?;
            let endpoint = match endpoint {
                Some(endpoint) => endpoint,
                None => Endpoint::oss(&region)?,
            };
            Bucket::oss(bucket, &region, endpoint, credentials, self.signature)
        };
        Ok(Arc::new(bucket?.with_retry(self.retry)))
    }
}

/// Why a bucket cannot be reached with these settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not an endpoint or a region.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The file of profiles.
    #[error("the profiles cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Something that must be said.
    #[error("no {what}: set {name}, or put it into a profile")]
    Missing {
        /// What.
        what: &'static str,
        /// The environment variable.
        name: &'static str,
    },
    /// No such profile.
    #[error("there is no profile {0:?}")]
    NoProfile(String),
    /// The client.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file that is no TOML, or has entries that nobody knows.
    #[error("line {line} of the profiles is not understood")]
    Syntax {
        /// Counted from 1.
        line: usize,
    },
}
