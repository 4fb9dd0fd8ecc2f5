//! Access keys, regions and endpoints in environment variables, under the names that the clouds'
//! own tools use.

use meta_codec::Vendor;
use reqsign_core::{Context, ProvideCredential};

use crate::{Credentials, Endpoint, EndpointError};

/// The environment variables of one service. It is a [provider](ProvideCredential) of access keys.
///
/// ```
/// use envelope_cloud::Environment;
/// use meta_codec::Vendor;
///
/// let environment = Environment::store(Vendor::Cos);
/// assert_eq!(environment.region_name(), "TENCENTCLOUD_REGION");
/// let region = environment.region().unwrap_or_else(|| "ap-guangzhou".to_owned());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Environment {
    keys: &'static [KeyNames],
    regions: &'static [&'static str],
    endpoints: &'static [&'static str],
}

/// The names of an access key. They belong together: a key and a secret never come from different
/// families of names.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KeyNames {
    /// The name of the key's id.
    pub id: &'static str,
    /// The name of the secret.
    pub secret: &'static str,
    /// The names of the token of a temporary key, the more specific ones first.
    pub tokens: &'static [&'static str],
}

impl KeyNames {
    /// The names of all Alibaba Cloud tools.
    pub const ALIBABA_CLOUD: Self = Self::new(
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        &["ALIBABA_CLOUD_SECURITY_TOKEN"],
    );
    /// The names of tccli and the SDKs of Tencent Cloud.
    pub const TENCENT_CLOUD: Self = Self::new(
        "TENCENTCLOUD_SECRET_ID",
        "TENCENTCLOUD_SECRET_KEY",
        &["TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"],
    );

    /// Creates a family of names.
    #[must_use]
    pub const fn new(
        id: &'static str,
        secret: &'static str,
        tokens: &'static [&'static str],
    ) -> Self {
        Self { id, secret, tokens }
    }
}

/// ossutil 2 and the SDKs of version 2; then the names of all Alibaba Cloud tools.
const OSS: Environment = Environment::new(
    &[
        KeyNames::new("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", &["OSS_SESSION_TOKEN"]),
        KeyNames::ALIBABA_CLOUD,
    ],
    &["OSS_REGION", "ALIBABA_CLOUD_REGION_ID"],
    &["OSS_ENDPOINT"],
);
/// tccli and the SDKs; then the names of COS's own samples.
const COS: Environment = Environment::new(
    &[KeyNames::TENCENT_CLOUD, KeyNames::new("COS_SECRET_ID", "COS_SECRET_KEY", &["COS_TOKEN"])],
    &["TENCENTCLOUD_REGION", "COS_REGION"],
    &["COS_ENDPOINT"],
);

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn first(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| variable(name))
}

impl Environment {
    /// Creates the environment of a service: the names of its variables, the more specific ones
    /// first.
    #[must_use]
    pub const fn new(
        keys: &'static [KeyNames],
        regions: &'static [&'static str],
        endpoints: &'static [&'static str],
    ) -> Self {
        Self { keys, regions, endpoints }
    }

    /// The object store of a vendor: `OSS_…`, then `ALIBABA_CLOUD_…`; or `TENCENTCLOUD_…`,
    /// then `COS_…`.
    #[must_use]
    pub const fn store(vendor: Vendor) -> Self {
        match vendor {
            Vendor::Cos => COS,
            Vendor::Oss => OSS,
        }
    }

    /// Returns the region, if one is set.
    #[must_use]
    pub fn region(self) -> Option<String> {
        first(self.regions)
    }

    /// Returns the endpoint, if one is set.
    ///
    /// # Errors
    /// [`EndpointError`] if its value is not an endpoint.
    pub fn endpoint(self) -> Result<Option<Endpoint>, EndpointError> {
        first(self.endpoints).map(|text| text.parse()).transpose()
    }

    /// Returns the access key, if one is set.
    ///
    /// # Errors
    /// The name of the missing variable, if there is a key without its secret.
    pub fn credentials(self) -> Result<Option<Credentials>, &'static str> {
        let family = self.keys.iter().find_map(|names| Some((names, variable(names.id)?)));
        let Some((names, id)) = family else { return Ok(None) };
        let credentials = Credentials::new(id, variable(names.secret).ok_or(names.secret)?);
        Ok(Some(match first(names.tokens) {
            Some(token) => credentials.with_token(token),
            None => credentials,
        }))
    }

    /// The name of the variable that holds the id of the access key, for messages.
    #[must_use]
    pub fn key_name(self) -> &'static str {
        self.keys.first().map_or("", |names| names.id)
    }

    /// The name of the variable that holds the region, for messages.
    #[must_use]
    pub fn region_name(self) -> &'static str {
        self.regions.first().copied().unwrap_or_default()
    }
}

impl ProvideCredential for Environment {
    type Credential = Credentials;

    async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Credentials>> {
        let unset = |name: &str| {
            let words = format!("the environment variable {name} is not set");
            reqsign_core::Error::config_invalid(words)
        };
        match self.credentials() {
            Ok(Some(credentials)) => Ok(Some(credentials)),
            Ok(None) => Err(unset(self.key_name())),
            Err(name) => Err(unset(name)),
        }
    }
}
