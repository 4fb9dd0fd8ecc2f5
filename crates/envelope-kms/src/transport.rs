//! Transports: one HTTP request, one response.

#[cfg(feature = "blocking")]
use std::io::{self, Read as _};
use std::time::Duration;

use zeroize::Zeroizing;

/// A request. It may hold a plaintext, and signs with a secret: it is wiped, and not printed.
#[expect(missing_debug_implementations, reason = "a plaintext is not printed")]
#[non_exhaustive]
pub struct HttpRequest {
    /// The URL to post to.
    pub url: Zeroizing<String>,
    /// Names and values, without `Host`, which follows from the URL.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// The body; may be empty.
    pub body: Zeroizing<String>,
}

/// A response. It may hold a plaintext: it is wiped, and not printed.
#[expect(missing_debug_implementations, reason = "a plaintext is not printed")]
#[non_exhaustive]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The body, at most 64 KiB.
    pub body: Zeroizing<Vec<u8>>,
}

impl HttpResponse {
    /// A response.
    #[must_use]
    pub const fn new(status: u16, body: Zeroizing<Vec<u8>>) -> Self {
        Self { status, body }
    }
}

/// The longest body of a response that is taken, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// How long one try may take, from the first byte of the name lookup to the last of the body.
pub(crate) const TRY: Duration = Duration::from_secs(10);

/// Sends requests and waits for the responses. Follows no redirects.
pub trait Transport: Send + Sync {
    /// Sends a request as POST and waits for at most `timeout`.
    ///
    /// # Errors
    /// No response, or one that is too large.
    fn post(
        &self,
        request: &HttpRequest,
        timeout: Duration,
    ) -> Result<HttpResponse, TransportError>;
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The connection failed or broke.
    #[error("the connection failed")]
    Connection,
    /// The request cannot be sent as it is: an access key or a token that no header can hold.
    #[error("an access key or a token that no header can hold")]
    Request,
    /// TLS failed: a certificate that is not trusted, above all.
    #[error("no trusted TLS connection")]
    Tls,
    /// Not in time.
    #[error("no answer in time")]
    Timeout,
    /// More than 64 KiB.
    #[error("an answer above 64 KiB")]
    TooLarge,
}

/// The blocking transport.
#[cfg(feature = "blocking")]
#[derive(Clone, Debug)]
pub struct UreqTransport(ureq::Agent);

#[cfg(feature = "blocking")]
impl Default for UreqTransport {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // The services are asked directly: a proxy would be named by whoever sets the environment.
            .proxy(None)
            .user_agent(concat!("envelope-kms/", env!("CARGO_PKG_VERSION")))
            .build();
        Self(config.into())
    }
}

#[cfg(feature = "blocking")]
impl Transport for UreqTransport {
    fn post(
        &self,
        request: &HttpRequest,
        timeout: Duration,
    ) -> Result<HttpResponse, TransportError> {
        let mut builder =
            self.0.post(request.url.as_str()).config().timeout_global(Some(timeout)).build();
        for (name, value) in &request.headers {
            builder = builder.header(*name, value.as_str());
        }
        let mut response = builder.send(request.body.as_bytes()).map_err(|e| failed(&e))?;
        let status = response.status().as_u16();
        // Into one buffer of the largest size, because one that grows leaves copies.
        let mut body = Zeroizing::new(vec![0; MAX_BODY + 1]);
        let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut len = 0;
        while let Some(rest) = body.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match reader.read(rest) {
                Ok(0) => {
                    body.truncate(len);
                    return Ok(HttpResponse::new(status, body));
                }
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error)),
            }
        }
        Err(TransportError::TooLarge)
    }
}

#[cfg(feature = "blocking")]
fn failed(error: &ureq::Error) -> TransportError {
    match error {
        ureq::Error::Timeout(_) => TransportError::Timeout,
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => TransportError::Tls,
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => TransportError::Request,
        ureq::Error::Io(error) => broken(error),
        _ => TransportError::Connection,
    }
}

#[cfg(feature = "blocking")]
fn broken(error: &io::Error) -> TransportError {
    match error.kind() {
        // What rustls says of a certificate that it does not trust.
        io::ErrorKind::InvalidData => TransportError::Tls,
        io::ErrorKind::TimedOut => TransportError::Timeout,
        _ => match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
            Some(ureq::Error::Timeout(_)) => TransportError::Timeout,
            _ => TransportError::Connection,
        },
    }
}
