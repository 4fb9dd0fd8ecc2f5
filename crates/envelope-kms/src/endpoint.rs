//! Endpoints: where a service is reached.

use std::str::FromStr;

/// The scheme and host of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    host: String,
}

impl Endpoint {
    /// A host that is reached over HTTPS.
    #[must_use]
    pub fn https(host: impl Into<String>) -> Self {
        Self { secure: true, host: host.into() }
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
        let host = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(EndpointError::Syntax);
        }
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        let host = host.strip_suffix(default_port).unwrap_or(&host).to_owned();
        match scheme {
            "https" => Ok(Self { secure: true, host }),
            "http" if is_loopback(&host) => Ok(Self { secure: false, host }),
            "http" => Err(EndpointError::PlainHttp),
            _ => Err(EndpointError::Syntax),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => return rest.starts_with("::1]"),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// Not an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Content keys would travel in the clear.
    #[error("plain http is for this machine only: content keys travel in the requests")]
    PlainHttp,
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
    }
}
