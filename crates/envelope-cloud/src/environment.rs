//! Access keys, regions and endpoints in environment variables, under the names that the clouds' own
//! tools use.

use meta_codec::Vendor;
use reqsign_core::{Context, ProvideCredential};

use crate::{Credentials, Endpoint, EndpointError};

/// The environment variables of one service. It is a [provider](ProvideCredential) of access keys.
#[derive(Clone, Copy, Debug)]
pub struct Environment(&'static Names);

/// The names of one service, the more specific ones first.
#[derive(Debug)]
struct Names {
    keys: &'static [KeyNames],
    regions: &'static [&'static str],
    endpoints: &'static [&'static str],
}

/// Names that belong together: a key and a secret never come from different families.
#[derive(Debug)]
struct KeyNames {
    id: &'static str,
    secret: &'static str,
    tokens: &'static [&'static str],
}

const ALIBABA_CLOUD: KeyNames = KeyNames {
    id: "ALIBABA_CLOUD_ACCESS_KEY_ID",
    secret: "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    tokens: &["ALIBABA_CLOUD_SECURITY_TOKEN"],
};
const TENCENT_CLOUD: KeyNames = KeyNames {
    id: "TENCENTCLOUD_SECRET_ID",
    secret: "TENCENTCLOUD_SECRET_KEY",
    tokens: &["TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"],
};

/// ossutil 2 and the SDKs of version 2; then the names of all Alibaba Cloud tools.
const OSS: Names = Names {
    keys: &[
        KeyNames {
            id: "OSS_ACCESS_KEY_ID",
            secret: "OSS_ACCESS_KEY_SECRET",
            tokens: &["OSS_SESSION_TOKEN"],
        },
        ALIBABA_CLOUD,
    ],
    regions: &["OSS_REGION", "ALIBABA_CLOUD_REGION_ID"],
    endpoints: &["OSS_ENDPOINT"],
};
/// tccli and the SDKs; then the names of COS's own samples.
const COS: Names = Names {
    keys: &[
        TENCENT_CLOUD,
        KeyNames { id: "COS_SECRET_ID", secret: "COS_SECRET_KEY", tokens: &["COS_TOKEN"] },
    ],
    regions: &["TENCENTCLOUD_REGION", "COS_REGION"],
    endpoints: &["COS_ENDPOINT"],
};
const ALIYUN: Names =
    Names { keys: &[ALIBABA_CLOUD], regions: &["ALIBABA_CLOUD_REGION_ID"], endpoints: &[] };
const TENCENT: Names =
    Names { keys: &[TENCENT_CLOUD], regions: &["TENCENTCLOUD_REGION"], endpoints: &[] };

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn first(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| variable(name))
}

impl Environment {
    /// The object store of a vendor: `OSS_…`, then `ALIBABA_CLOUD_…`; or `TENCENTCLOUD_…`, then
    /// `COS_…`.
    #[must_use]
    pub const fn store(vendor: Vendor) -> Self {
        match vendor {
            Vendor::Cos => Self(&COS),
            Vendor::Oss => Self(&OSS),
        }
    }

    /// Every other service of Aliyun: `ALIBABA_CLOUD_…`.
    #[must_use]
    pub const fn aliyun() -> Self {
        Self(&ALIYUN)
    }

    /// Every other service of Tencent Cloud: `TENCENTCLOUD_…`.
    #[must_use]
    pub const fn tencent() -> Self {
        Self(&TENCENT)
    }

    /// Returns the region, if one is set.
    #[must_use]
    pub fn region(self) -> Option<String> {
        first(self.0.regions)
    }

    /// Returns the endpoint, if one is set.
    ///
    /// # Errors
    /// [`EndpointError`] if it is none.
    pub fn endpoint(self) -> Result<Option<Endpoint>, EndpointError> {
        first(self.0.endpoints).map(|text| text.parse()).transpose()
    }

    /// Returns the access key, if one is set.
    ///
    /// # Errors
    /// The name of the variable that lacks, if there is a key without its secret.
    pub fn credentials(self) -> Result<Option<Credentials>, &'static str> {
        let family = self.0.keys.iter().find_map(|names| Some((names, variable(names.id)?)));
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
        self.0.keys.first().map_or("", |names| names.id)
    }

    /// The name of the variable that holds the region, for messages.
    #[must_use]
    pub fn region_name(self) -> &'static str {
        self.0.regions.first().copied().unwrap_or_default()
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
