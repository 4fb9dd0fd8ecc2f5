//! The supported vendors and their differences. Each protocol is in a file of its own.

mod aliyun;
mod tencent;

use std::{fmt, str::FromStr};

use envelope_cloud::{Endpoint, EndpointError, Environment};

pub use self::{
    aliyun::{Aliyun, AliyunSignature},
    tencent::Tencent,
};
use crate::Service;
#[cfg(feature = "blocking")]
use crate::{Client, UreqTransport};

/// A vendor of a key management service. The enum is deliberately exhaustive: code that depends on
/// the vendor does not compile for a third one until it handles it.
///
/// ```
/// use envelope_kms::KmsVendor;
///
/// assert_eq!(KmsVendor::Tencent.id(), "tencent");
/// assert_eq!(KmsVendor::Tencent.environment().key_name(), "TENCENTCLOUD_SECRET_ID");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a new vendor must be handled everywhere")]
pub enum KmsVendor {
    /// Aliyun.
    Aliyun,
    /// Tencent Cloud.
    Tencent,
}

impl KmsVendor {
    /// Every vendor.
    pub const ALL: [Self; 2] = [Self::Aliyun, Self::Tencent];

    /// Returns the vendor's name in a [`KmsAddress`].
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Aliyun => "aliyun",
            Self::Tencent => "tencent",
        }
    }

    /// Returns the environment variables that hold access keys for the service.
    #[must_use]
    pub const fn environment(self) -> Environment {
        match self {
            Self::Aliyun => aliyun::ENVIRONMENT,
            Self::Tencent => tencent::ENVIRONMENT,
        }
    }
}

/// A key management service, and perhaps a master key in it: `VENDOR:REGION` or
/// `VENDOR:REGION:KEY_ID`.
///
/// ```
/// use envelope_kms::{KmsAddress, KmsVendor};
///
/// let address: KmsAddress = "aliyun:cn-hangzhou:key-1".parse()?;
/// assert_eq!((address.vendor, address.key_id.as_deref()), (KmsVendor::Aliyun, Some("key-1")));
/// let service = address.service(None)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KmsAddress {
    /// The vendor.
    pub vendor: KmsVendor,
    /// The region, such as `cn-hangzhou`.
    pub region: String,
    /// The master key to encrypt with. Decryption needs none.
    pub key_id: Option<String>,
}

impl KmsAddress {
    /// Creates an address.
    #[must_use]
    pub fn new(vendor: KmsVendor, region: impl Into<String>, key_id: Option<String>) -> Self {
        Self { vendor, region: region.into(), key_id }
    }

    /// Returns the protocol of the service, at its public endpoint or another.
    ///
    /// # Errors
    /// [`EndpointError::Region`].
    pub fn service(&self, endpoint: Option<&Endpoint>) -> Result<Box<dyn Service>, EndpointError> {
        Ok(match self.vendor {
            KmsVendor::Aliyun => {
                let mut service = Aliyun::new(&self.region)?;
                if let Some(key_id) = &self.key_id {
                    service = service.with_key_id(key_id.as_str());
                }
                if let Some(endpoint) = endpoint {
                    service = service.with_endpoint(endpoint.clone());
                }
                Box::new(service)
            }
            KmsVendor::Tencent => {
                let mut service = Tencent::new(&self.region)?;
                if let Some(key_id) = &self.key_id {
                    service = service.with_key_id(key_id.as_str());
                }
                if let Some(endpoint) = endpoint {
                    service = service.with_endpoint(endpoint.clone());
                }
                Box::new(service)
            }
        })
    }

    /// Returns a client of the service, with access keys from the environment.
    ///
    /// # Errors
    /// [`EndpointError::Region`].
    #[cfg(feature = "blocking")]
    pub fn client(
        &self,
        endpoint: Option<&Endpoint>,
    ) -> Result<Client<Box<dyn Service>, UreqTransport>, EndpointError> {
        Ok(Client::new(self.service(endpoint)?, self.vendor.environment()))
    }
}

impl FromStr for KmsAddress {
    type Err = KmsAddressError;

    fn from_str(text: &str) -> Result<Self, KmsAddressError> {
        let mut pieces = text.splitn(3, ':');
        let id = pieces.next().unwrap_or_default();
        let vendor = KmsVendor::ALL.into_iter().find(|vendor| vendor.id() == id);
        let region = pieces.next().filter(|region| !region.is_empty());
        let (Some(vendor), Some(region)) = (vendor, region) else { return Err(KmsAddressError) };
        let key_id = pieces.next().map(str::to_owned);
        if key_id.as_ref().is_some_and(String::is_empty) {
            return Err(KmsAddressError);
        }
        Ok(Self::new(vendor, region, key_id))
    }
}

/// The error returned for a text that is not a [`KmsAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KmsAddressError;

impl fmt::Display for KmsAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it must be VENDOR:REGION or VENDOR:REGION:KEY_ID, where the vendor is ")?;
        for (index, vendor) in KmsVendor::ALL.into_iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { " or " }, vendor.id())?;
        }
        Ok(())
    }
}

impl std::error::Error for KmsAddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_listed() {
        for (index, vendor) in KmsVendor::ALL.into_iter().enumerate() {
            // A third vendor does not compile here, until it is listed.
            let at = match vendor {
                KmsVendor::Aliyun => 0,
                KmsVendor::Tencent => 1,
            };
            assert_eq!(at, index);
        }
    }

    #[test]
    fn addresses() {
        let parse = |text: &str| text.parse::<KmsAddress>();
        let address = parse("tencent:ap-guangzhou:a:b").unwrap();
        assert_eq!(address.key_id.as_deref(), Some("a:b"));
        assert_eq!(parse("aliyun:cn-x").unwrap().key_id, None);
        for bad in ["", "aliyun", "aliyun:", "vault:x", "aliyun:cn-x:", ":cn-x", "Aliyun:cn-x"] {
            assert_eq!(parse(bad), Err(KmsAddressError), "{bad}");
        }
        assert!(KmsAddressError.to_string().ends_with("aliyun or tencent"));
        assert!(parse("aliyun:a.evil.com/").unwrap().service(None).is_err());
    }
}
