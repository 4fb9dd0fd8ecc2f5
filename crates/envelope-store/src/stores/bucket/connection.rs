//! The way to a service.

use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, Proxy, redirect::Policy};

use crate::StoreError;

/// The way to a service: the certificates that are trusted besides those of the system, and the
/// proxy.
///
/// ```
/// use envelope_store::Connection;
///
/// let connection = Connection::new().with_proxy("http://proxy.example:3128")?;
/// assert!(Connection::new().with_proxy("proxy").is_err());
/// # Ok::<(), envelope_store::StoreError>(())
/// ```
#[derive(Clone, Default)]
pub struct Connection {
    authorities: Vec<Certificate>,
    proxy: Option<Proxy>,
}

impl std::fmt::Debug for Connection {
    /// Does not show the proxy, whose URL may have a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let proxy = self.proxy.is_some();
        let authorities = self.authorities.len();
        f.debug_struct("Connection")
            .field("authorities", &authorities)
            .field("has_proxy", &proxy)
            .finish()
    }
}

impl Connection {
    /// Creates a connection that trusts the authorities of the system, and takes the proxy of the
    /// environment (`HTTPS_PROXY`), if there is one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the authorities whose certificates are in a text in PEM, too.
    ///
    /// # Errors
    /// [`StoreError::Connection`] if there is none in it, or one that cannot be read.
    pub fn with_authorities(mut self, pem: &[u8]) -> Result<Self, StoreError> {
        let words = "the file of authorities has no certificate in PEM";
        let refused = |_| StoreError::Connection(words);
        let found = Certificate::from_pem_bundle(pem).map_err(refused)?;
        if found.is_empty() {
            return Err(StoreError::Connection(words));
        }
        self.authorities.extend(found);
        Ok(self)
    }

    /// Sends requests through a proxy: `http://HOST:PORT`, or `https://HOST:PORT`. A service is
    /// reached over TLS through it, so that the proxy sees its host alone. Requests over plain
    /// HTTP, which only go to this machine, take no proxy.
    ///
    /// # Errors
    /// [`StoreError::Connection`] for anything but such a URL.
    pub fn with_proxy(mut self, url: &str) -> Result<Self, StoreError> {
        let refused = || StoreError::Connection("the proxy is not an http:// or https:// URL");
        let is_supported = url.starts_with("http://") || url.starts_with("https://");
        let proxy = is_supported.then(|| Proxy::https(url).ok()).flatten().ok_or_else(refused)?;
        self.proxy = Some(proxy);
        Ok(self)
    }

    /// Builds a client. `is_secure` says whether its requests go over TLS.
    pub(super) fn client(&self, is_secure: bool) -> Result<reqwest::Client, StoreError> {
        let mut client = ClientBuilder::new()
            // A signature is valid for one host, and the headers must not be sent to another.
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .tls_certs_merge(self.authorities.iter().cloned());
        #[cfg(target_os = "linux")]
        {
            client = client.tcp_user_timeout(super::STALL);
        }
        if !is_secure {
            // A proxy would see the access key's signature and its token. TLS hides them from it,
            // but there is none on the way to this machine itself.
            client = client.no_proxy();
        } else if let Some(proxy) = &self.proxy {
            client = client.proxy(proxy.clone());
        }
        client.build().map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}
