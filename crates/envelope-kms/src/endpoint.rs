//! Endpoints of a service.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// The scheme and host of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    host: String,
}

impl Endpoint {
    /// Returns `https://BEFORE.REGION.AFTER`, provided that the region is a valid region name.
    pub(crate) fn of_region(
        before: &str,
        region: &str,
        after: &str,
    ) -> Result<Self, EndpointError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || !region.bytes().all(plain) {
            return Err(EndpointError::Region);
        }
        format!("https://{before}.{region}.{after}").parse()
    }

    /// Returns the value of the `Host` header: the host, with the port unless it is the default.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn url(&self, query: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{scheme}://{}/{mark}{query}", self.host)
    }
}

/// Parses `https://HOST[:PORT]`, or `http://HOST[:PORT]` if the host is the local machine.
impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(url: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = url.split_once("://").ok_or(EndpointError::Syntax)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
        let (name, port) = split_port(&rest).ok_or(EndpointError::Syntax)?;
        let (secure, default_port) = match scheme {
            "https" => (true, 443),
            "http" if is_loopback(name) => (false, 80),
            "http" => return Err(EndpointError::PlainHttp),
            _ => return Err(EndpointError::Syntax),
        };
        let host = match port {
            Some(port) if port != default_port => format!("{name}:{port}"),
            _ => name.to_owned(),
        };
        Ok(Self { secure, host })
    }
}

/// Splits a name or a bracketed IPv6 address from the port; `None` if anything else follows.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let end = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            rest.get(..end)?.parse::<Ipv6Addr>().ok()?;
            end.checked_add(2)?
        }
        None => text.find(':').unwrap_or(text.len()),
    };
    let (name, rest) = text.split_at_checked(end)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if name.is_empty() || !(name.starts_with('[') || name.bytes().all(plain)) {
        return None;
    }
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Some((name, None)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((name, Some(port.parse().ok()?)))
        }
        _ => None,
    }
}

fn is_loopback(name: &str) -> bool {
    name == "localhost"
        || name == "[::1]"
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// An invalid endpoint or region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Plain `http` to another machine, which would send content keys in the clear.
    #[error("plain http is allowed only for the local machine: requests contain content keys")]
    PlainHttp,
    /// A region that is not lowercase letters, digits and hyphens.
    #[error("a region must consist of lowercase letters, digits and hyphens")]
    Region,
    /// A URL that is not just a scheme and a host.
    #[error("an endpoint must be https://HOST or https://HOST:PORT")]
    Syntax,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_in_the_clear() {
        for (url, host) in [
            ("https://kms.cn-hangzhou.aliyuncs.com", "kms.cn-hangzhou.aliyuncs.com"),
            ("https://KMS.example:443/", "kms.example"),
            ("https://kms.example:8443", "kms.example:8443"),
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
        for url in
            ["", "kms.example", "ftp://x", "https://", "https://a/b", "https://u@h", "https://h?x"]
        {
            assert_eq!(url.parse::<Endpoint>(), Err(EndpointError::Syntax), "{url}");
        }
        for region in ["", "CN-hangzhou", "x@evil.com/", "a.b", "a:1"] {
            let endpoint = Endpoint::of_region("kms", region, "aliyuncs.com");
            assert_eq!(endpoint, Err(EndpointError::Region), "{region}");
        }
    }
}
