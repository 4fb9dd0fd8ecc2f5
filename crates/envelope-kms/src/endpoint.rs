//! Endpoints: where a service is reached.

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
    /// `https://BEFORE.REGION.AFTER`, with a region as the clouds name them.
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

    /// The host, with the port if it is not the default one: the value of the `Host` header.
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

/// `https://HOST[:PORT]`; also `http://` where the host is this machine.
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

/// A name or a bracketed IPv6 address, and a port, with nothing left over.
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

/// Not an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Content keys would travel in the clear.
    #[error("plain http is for this machine only: content keys travel in the requests")]
    PlainHttp,
    /// Not a region of lower-case letters, digits and dashes.
    #[error("a region is lower-case letters, digits and dashes")]
    Region,
    /// Not a URL of scheme and host.
    #[error("an endpoint is https://HOST or https://HOST:PORT")]
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
