//! Endpoints: the address of a service.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use meta_codec::Vendor;

/// The scheme and host of a service. The host of a bucket is below that of its store, except where
/// the store has a bare address.
///
/// ```
/// use envelope_cloud::{Endpoint, EndpointError};
/// use meta_codec::Vendor;
///
/// let endpoint = Endpoint::of_store(Vendor::Cos, "ap-guangzhou")?;
/// assert_eq!(endpoint.bucket_host("b-125"), "b-125.cos.ap-guangzhou.myqcloud.com");
/// let local: Endpoint = "http://127.0.0.1:9000".parse()?;
/// assert!(local.is_path_style());
/// assert_eq!("http://example.com".parse::<Endpoint>(), Err(EndpointError::PlainHttp));
/// # Ok::<(), EndpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    /// With the port, unless it is the scheme's default.
    host: String,
    path_style: bool,
}

impl Endpoint {
    /// Returns the public endpoint of a vendor's object store in a region such as `cn-hangzhou`.
    ///
    /// # Errors
    /// [`EndpointError::Region`], and [`EndpointError::Prefix`] for the host name of a region, such
    /// as `oss-cn-hangzhou`, in place of the region.
    pub fn of_store(vendor: Vendor, region: &str) -> Result<Self, EndpointError> {
        if region.starts_with("oss-") || region.starts_with("cos-") {
            return Err(EndpointError::Prefix);
        }
        match vendor {
            Vendor::Cos => Self::in_region("cos.", region, ".myqcloud.com"),
            Vendor::Oss => Self::in_region("oss-", region, ".aliyuncs.com"),
        }
    }

    /// Returns `https://`, `before`, the region, `after`.
    ///
    /// # Errors
    /// [`EndpointError::Region`] for a region that could change the host.
    pub fn in_region(before: &str, region: &str, after: &str) -> Result<Self, EndpointError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || !region.bytes().all(plain) {
            return Err(EndpointError::Region);
        }
        format!("https://{before}{region}{after}").parse()
    }

    /// Returns the host, with the port unless it is the scheme's default: the `Host` header of a
    /// service without buckets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the URL of a service without buckets.
    #[must_use]
    pub fn url(&self, query: &str) -> String {
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}://{}/{mark}{query}", self.scheme(), self.host)
    }

    /// Returns the `Host` header for a bucket.
    #[must_use]
    pub fn bucket_host(&self, bucket: &str) -> String {
        if self.path_style { self.host.clone() } else { format!("{bucket}.{}", self.host) }
    }

    /// Returns the URL of a path, which is already encoded, in a bucket.
    #[must_use]
    pub fn bucket_url(&self, bucket: &str, path: &str) -> String {
        let host = self.bucket_host(bucket);
        let before = if self.path_style { format!("/{bucket}") } else { String::new() };
        format!("{}://{host}{before}/{path}", self.scheme())
    }

    /// Returns whether the bucket is part of the path, as with a bare IP address, which has no
    /// subdomains.
    #[must_use]
    pub const fn is_path_style(&self) -> bool {
        self.path_style
    }

    /// Returns whether requests are protected by TLS. Only this machine is reached without.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
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
        let (secure, default_port) = match scheme {
            "https" => (true, 443),
            "http" if here => (false, 80),
            "http" => return Err(EndpointError::PlainHttp),
            _ => return Err(EndpointError::Syntax),
        };
        let without_port = authority.as_str().len() == authority.host().len();
        let host = match authority.port_u16() {
            None if !without_port => return Err(EndpointError::Syntax),
            Some(port) if port != default_port => format!("{name}:{port}"),
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
    /// The region begins with the name of the service.
    #[error("a region has no `oss-` or `cos-` before it: it is cn-hangzhou, not oss-cn-hangzhou")]
    Prefix,
    /// Content keys, metadata and signatures would be sent unencrypted.
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
    fn urls_of_buckets() {
        let url = |text: &str| text.parse::<Endpoint>().map(|it| it.bucket_url("b", "k"));
        let store = |vendor, region| Endpoint::of_store(vendor, region).unwrap();
        let of = |endpoint: Endpoint| endpoint.bucket_url("b", "k");
        assert_eq!(of(store(Vendor::Oss, "cn-x")), "https://b.oss-cn-x.aliyuncs.com/k");
        assert_eq!(of(store(Vendor::Cos, "ap-x")), "https://b.cos.ap-x.myqcloud.com/k");
        assert_eq!(url("http://127.0.0.1:9"), Ok("http://127.0.0.1:9/b/k".to_owned()));
        assert_eq!(url("http://[::1]:9/"), Ok("http://[::1]:9/b/k".to_owned()));
        assert_eq!(url("oss.example"), Ok("https://b.oss.example/k".to_owned()));
    }

    #[test]
    fn only_this_machine_in_the_clear() {
        for (url, host) in [
            ("https://kms.cn-hangzhou.aliyuncs.com", "kms.cn-hangzhou.aliyuncs.com"),
            ("https://KMS.example:443/", "kms.example"),
            ("https://kms.example:8443", "kms.example:8443"),
            ("kms.example", "kms.example"),
            ("http://127.0.0.1:9200", "127.0.0.1:9200"),
            ("http://localhost:80/", "localhost"),
            ("http://[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(url.parse::<Endpoint>().unwrap().host(), host);
        }
        for url in
            ["http://kms.example", "http://127.0.0.1.example", "http://[::2]:9", "http://10.0.0.1"]
        {
            assert_eq!(url.parse::<Endpoint>(), Err(EndpointError::PlainHttp), "{url}");
        }
        for url in [
            "",
            "ftp://x",
            "https://",
            "https://a/b",
            "https://u@h",
            "https://h?x",
            "a b",
            "a:x",
            "a:99999",
            "a:",
        ] {
            assert_eq!(url.parse::<Endpoint>(), Err(EndpointError::Syntax), "{url}");
        }
        let prefixed = Endpoint::of_store(Vendor::Oss, "oss-cn-hangzhou");
        assert_eq!(prefixed, Err(EndpointError::Prefix));
        for region in ["", "CN-hangzhou", "x@evil.com/", "a.b", "a:1", "x.evil.com/"] {
            let endpoint = Endpoint::in_region("kms.", region, ".aliyuncs.com");
            assert_eq!(endpoint, Err(EndpointError::Region), "{region}");
        }
    }
}
