//! Service endpoints.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// The scheme and host of a service, without the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    /// Includes the port if it is not the default of the scheme.
    host: String,
    path_style: bool,
}

impl Endpoint {
    /// Returns the public endpoint of OSS in a region such as `cn-hangzhou`.
    ///
    /// # Errors
    /// [`EndpointError::Region`] if the name of the region is invalid.
    pub fn oss(region: &str) -> Result<Self, EndpointError> {
        Self::public(&format!("oss-{}.aliyuncs.com", region_name(region)?))
    }

    /// Returns the public endpoint of COS in a region such as `ap-guangzhou`.
    ///
    /// # Errors
    /// [`EndpointError::Region`] if the name of the region is invalid.
    pub fn cos(region: &str) -> Result<Self, EndpointError> {
        Self::public(&format!("cos.{}.myqcloud.com", region_name(region)?))
    }

    fn public(host: &str) -> Result<Self, EndpointError> {
        format!("https://{host}").parse()
    }

    /// Returns the `Host` header for a bucket.
    pub(crate) fn host_of(&self, bucket: &str) -> String {
        if self.path_style { self.host.clone() } else { format!("{bucket}.{}", self.host) }
    }

    /// Returns whether the bucket is part of the path, as with a bare IP address, which has no
    /// subdomains.
    pub(crate) const fn is_path_style(&self) -> bool {
        self.path_style
    }

    pub(crate) fn url(&self, bucket: &str, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let host = self.host_of(bucket);
        let before = if self.path_style { format!("/{bucket}") } else { String::new() };
        format!("{scheme}://{host}{before}/{path}")
    }
}

fn region_name(region: &str) -> Result<&str, EndpointError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if region.is_empty() || !region.bytes().all(plain) {
        return Err(EndpointError::Region);
    }
    Ok(region)
}

/// Parses `https://HOST[:PORT]`, or `http://` if the host is this machine. The scheme defaults to
/// https.
impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let uri: http::Uri = format!("{scheme}://{}", rest.strip_suffix('/').unwrap_or(rest))
            .parse()
            .map_err(|_| EndpointError::Syntax)?;
        let authority = uri.authority().ok_or(EndpointError::Syntax)?;
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(EndpointError::Syntax);
        }
        let name = authority.host().to_ascii_lowercase();
        let bare = name.trim_matches(['[', ']']);
        let v4 = bare.parse::<Ipv4Addr>().ok();
        let v6 = bare.parse::<Ipv6Addr>().ok();
        let here = name == "localhost"
            || v4.is_some_and(|address| address.is_loopback())
            || v6.is_some_and(|address| address.is_loopback());
        let (secure, own_port) = match scheme {
            "https" => (true, 443),
            "http" if here => (false, 80),
            "http" => return Err(EndpointError::PlainHttp),
            _ => return Err(EndpointError::Syntax),
        };
        let host = match authority.port_u16() {
            Some(port) if port != own_port => format!("{name}:{port}"),
            _ => name.clone(),
        };
        let path_style = name == "localhost" || v4.is_some() || v6.is_some();
        Ok(Self { secure, host, path_style })
    }
}

/// An error from parsing an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Requests and metadata would be sent unencrypted.
    #[error("plain http is allowed only for this machine")]
    PlainHttp,
    /// The region has characters other than lower-case letters, digits and hyphens.
    #[error("a region consists of lower-case letters, digits and hyphens")]
    Region,
    /// The endpoint is not a URL of a scheme and a host.
    #[error("an endpoint has the form https://HOST or https://HOST:PORT")]
    Syntax,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = |endpoint: &str| endpoint.parse::<Endpoint>().map(|it| it.url("b", "k"));
        assert_eq!(
            Endpoint::oss("cn-x").unwrap().url("b", "k"),
            "https://b.oss-cn-x.aliyuncs.com/k"
        );
        assert_eq!(
            Endpoint::cos("ap-x").unwrap().url("b", "k"),
            "https://b.cos.ap-x.myqcloud.com/k"
        );
        assert_eq!(url("http://127.0.0.1:9"), Ok("http://127.0.0.1:9/b/k".to_owned()));
        assert_eq!(url("http://[::1]:9/"), Ok("http://[::1]:9/b/k".to_owned()));
        assert_eq!(url("oss.example"), Ok("https://b.oss.example/k".to_owned()));
        assert_eq!(url("http://oss.example"), Err(EndpointError::PlainHttp));
        for bad in ["", "ftp://x", "https://", "https://a/b", "https://u@h", "https://h?x", "a b"] {
            assert_eq!(url(bad), Err(EndpointError::Syntax), "{bad}");
        }
        assert_eq!(Endpoint::oss("x.evil.com/"), Err(EndpointError::Region));
    }
}
