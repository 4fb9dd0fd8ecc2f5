//! Regions, endpoints and access keys, from the environment and from profiles in a file.

use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc};

use meta_codec::Vendor;
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    Bucket, Credentials, Endpoint, EndpointError, FolderStore, Place, Retry, Signature, Store,
    StoreError,
};

/// Regions, endpoints and access keys.
///
/// The environment takes precedence over a profile, as in the tools of both vendors.
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

/// Names of environment variables, those of newer tools first.
struct Names {
    id: &'static [&'static str],
    secret: &'static [&'static str],
    token: &'static [&'static str],
    region: &'static [&'static str],
    endpoint: &'static [&'static str],
}

/// The names of ossutil 2 and the version 2 SDKs, followed by those of all Alibaba Cloud tools.
const OSS: Names = Names {
    id: &["OSS_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_ID"],
    secret: &["OSS_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    token: &["OSS_SESSION_TOKEN", "ALIBABA_CLOUD_SECURITY_TOKEN"],
    region: &["OSS_REGION", "ALIBABA_CLOUD_REGION_ID"],
    endpoint: &["OSS_ENDPOINT"],
};
/// The names of tccli and the SDKs, followed by those of COS's own samples.
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
    /// Creates settings that use the environment only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a profile from a file. A file that holds access keys should be accessible only to its
    /// owner.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or parsed, or does not contain the profile.
    pub fn with_profile(mut self, path: &Path, name: &str) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path)?;
        // The parser's own message would quote the line, which may hold a secret.
        let document: Document = toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count();
            SettingsError::Syntax { line: line.saturating_add(1) }
        })?;
        let profile = document.profiles.get(name);
        self.profile = profile.cloned().ok_or_else(|| SettingsError::NoProfile(name.to_owned()))?;
        Ok(self)
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
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Creates the store for a place.
    ///
    /// # Errors
    /// Returns an error if there is no access key or region, or if the endpoint is invalid.
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
        // An access key ID and its secret must come from the same source.
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
            // Signature version 1 does not include the region.
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

/// An error in the settings of a bucket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The endpoint or region is invalid.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The profile file cannot be read.
    #[error("the profile file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A required setting is missing.
    #[error("no {what}: set {name}, or add it to a profile")]
    Missing {
        /// The setting.
        what: &'static str,
        /// The environment variable.
        name: &'static str,
    },
    /// The profile does not exist.
    #[error("there is no profile {0:?}")]
    NoProfile(String),
    /// The client cannot be created.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The profile file is not TOML, or has unknown entries.
    #[error("line {line} of the profile file is invalid")]
    Syntax {
        /// Line number, counted from 1.
        line: usize,
    },
}
