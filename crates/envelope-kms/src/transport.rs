//! HTTP transports: one request, one response.

#[cfg(feature = "blocking")]
use std::io::{self, Read as _};
use std::time::Duration;

use zeroize::Zeroizing;

/// An HTTP request. It may hold a plaintext and carries a signature, so it is wiped and not
/// printed.
#[expect(missing_debug_implementations, reason = "may hold a plaintext, which is not printed")]
#[non_exhaustive]
pub struct HttpRequest {
    /// The URL to send the POST request to.
    pub url: Zeroizing<String>,
    /// Header names and values, without `Host`, which follows from the URL.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// The body, possibly empty.
    pub body: Zeroizing<String>,
}

impl HttpRequest {
    /// Creates a request.
    #[must_use]
    pub const fn new(
        url: Zeroizing<String>,
        headers: Vec<(&'static str, Zeroizing<String>)>,
        body: Zeroizing<String>,
    ) -> Self {
        Self { url, headers, body }
    }
}

/// An HTTP response. It may hold a plaintext, so it is wiped and not printed.
#[expect(missing_debug_implementations, reason = "may hold a plaintext, which is not printed")]
#[non_exhaustive]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The body, at most 64 KiB.
    pub body: Zeroizing<Vec<u8>>,
}

impl HttpResponse {
    /// Creates a response.
    #[must_use]
    pub const fn new(status: u16, body: Zeroizing<Vec<u8>>) -> Self {
        Self { status, body }
    }
}

/// Maximum length of a response body, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// Timeout of one attempt, from the start of the name lookup to the last byte of the body.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// A blocking HTTP client. It does not follow redirects.
pub trait Transport: Send + Sync {
    /// Sends a POST request and waits at most `timeout` for the response.
    ///
    /// # Errors
    /// Returns [`TransportError`] if there is no response or it is too large.
    fn post(
        &self,
        request: &HttpRequest,
        timeout: Duration,
    ) -> Result<HttpResponse, TransportError>;
}

/// The reason why there is no usable response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The connection failed or broke.
    #[error("the connection failed")]
    Connection,
    /// The request cannot be sent: an access key or token is not a valid header value.
    #[error("an access key or token is not a valid header value")]
    Request,
    /// TLS failed, typically because the certificate is not trusted.
    #[error("no trusted TLS connection could be established")]
    Tls,
    /// No complete response within the timeout.
    #[error("the request timed out")]
    Timeout,
    /// A response above 64 KiB.
    #[error("the response is larger than 64 KiB")]
    TooLarge,
}

/// The blocking transport, over `ureq`. It keeps connections, except in a process that was forked
/// after it was created: two processes that send on one connection would use its keys twice.
#[cfg(feature = "blocking")]
#[derive(Clone, Debug)]
pub struct UreqTransport {
    agent: ureq::Agent,
    process: u32,
}

#[cfg(feature = "blocking")]
impl Default for UreqTransport {
    fn default() -> Self {
        Self { agent: Self::agent(), process: std::process::id() }
    }
}

#[cfg(feature = "blocking")]
impl UreqTransport {
    fn agent() -> ureq::Agent {
        let config = ureq::Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // No proxy: whoever sets the environment could route the requests through theirs.
            .proxy(None)
            .user_agent(concat!("envelope-kms/", env!("CARGO_PKG_VERSION")))
            .build();
        config.into()
    }
}

#[cfg(feature = "blocking")]
impl Transport for UreqTransport {
    fn post(
        &self,
        request: &HttpRequest,
        timeout: Duration,
    ) -> Result<HttpResponse, TransportError> {
        let fresh = (std::process::id() != self.process).then(Self::agent);
        let agent = fresh.as_ref().unwrap_or(&self.agent);
        let mut builder =
            agent.post(request.url.as_str()).config().timeout_global(Some(timeout)).build();
        for (name, value) in &request.headers {
            builder = builder.header(*name, value.as_str());
        }
        let mut response = builder.send(request.body.as_bytes()).map_err(|e| failed(&e))?;
        let status = response.status().as_u16();
        // One buffer of the maximum size, because growing it would leave copies behind.
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
        // The error kind of rustls for an untrusted certificate.
        io::ErrorKind::InvalidData => TransportError::Tls,
        io::ErrorKind::TimedOut => TransportError::Timeout,
        _ => match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
            Some(ureq::Error::Timeout(_)) => TransportError::Timeout,
            _ => TransportError::Connection,
        },
    }
}

#[cfg(all(test, feature = "blocking"))]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_reason() {
        let kind = |kind: io::ErrorKind| ureq::Error::Io(kind.into());
        let timeout = || ureq::Error::Timeout(ureq::Timeout::Global);
        for (error, want) in [
            (timeout(), TransportError::Timeout),
            (kind(io::ErrorKind::TimedOut), TransportError::Timeout),
            // While a body is read, errors of `ureq` come wrapped.
            (ureq::Error::Io(io::Error::other(timeout())), TransportError::Timeout),
            (
                ureq::Error::Io(io::Error::other(ureq::Error::HostNotFound)),
                TransportError::Connection,
            ),
            (kind(io::ErrorKind::InvalidData), TransportError::Tls),
            (ureq::Error::Tls("no certificates"), TransportError::Tls),
            (ureq::Error::BadUri("x".to_owned()), TransportError::Request),
            (kind(io::ErrorKind::ConnectionReset), TransportError::Connection),
            (ureq::Error::HostNotFound, TransportError::Connection),
        ] {
            assert_eq!(failed(&error), want, "{error:?}");
        }
    }
    #[test]
    fn a_forked_process_uses_no_connection_of_its_parent() {
        use std::{
            io::{Read as _, Write as _},
            net::TcpListener,
            sync::{
                Arc,
                atomic::{AtomicU32, Ordering::Relaxed},
            },
            thread,
        };

        let (listener, accepted) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::default());
        let (url, count) = (format!("http://{}/", listener.local_addr().unwrap()), &accepted);
        let counted: Arc<AtomicU32> = Arc::clone(count);
        thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Relaxed);
                // Answers whatever comes on this connection.
                thread::spawn(move || {
                    let (mut stream, mut seen) = (stream.unwrap(), [0; 4096]);
                    while stream.read(&mut seen).is_ok_and(|read| read > 0) {
                        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                });
            }
        });
        let call = |transport: &UreqTransport| {
            let (url, body) = (Zeroizing::new(url.clone()), Zeroizing::new(String::new()));
            let request = HttpRequest::new(url, Vec::new(), body);
            let answer = transport.post(&request, Duration::from_secs(10)).unwrap();
            assert_eq!(answer.status, 200);
        };
        let own = UreqTransport::default();
        (0..3).for_each(|_| call(&own));
        assert_eq!(accepted.load(Relaxed), 1);
        let forked = UreqTransport { process: own.process.wrapping_add(1), ..own };
        (0..3).for_each(|_| call(&forked));
        assert_eq!(accepted.load(Relaxed), 4);
    }
}
