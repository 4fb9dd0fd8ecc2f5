//! An in-memory loopback server for OSS and COS: the operations that SDKs use, over HTTP on
//! 127.0.0.1. It also speaks S3, as far as both services do, with the conditions that S3 has.
//!
//! Signatures are always checked (OSS V1, OSS V4, COS, S3 V4), OSS's rules for encrypted objects
//! are enforced (`oss-dialects`, error codes 0005-000004xx), and any request can be made to fail.
//! `cargo xtask test` runs the official SDKs against it, which validates the server itself.

mod answer;
mod customer_key;
mod objects;
mod route;
mod rules;
mod signature;
mod tls;

use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use self::{
    answer::{Answer, document, elsewhere, refusal},
    objects::State,
    route::Call,
    signature::Account,
};

/// The access key of the only account.
pub const ACCESS_KEY: &str = "LTAIloop";
/// The secret of [`ACCESS_KEY`].
pub const SECRET: &str = "SKloop";

/// A handle to a running server, which stops when the process exits.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a handle")]
pub struct LoopbackBucket {
    url: String,
    /// The certificate that a server over TLS shows.
    certificate: Option<String>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    faults: Mutex<Faults>,
    setup: Mutex<Setup>,
    released: Notify,
    hung: Condvar,
}

/// A failure of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Status 500; the request is not performed.
    Error,
    /// Status 500, after the request is performed.
    ErrorAfter,
    /// The connection closes; the request is not performed.
    Cut,
    /// The connection closes without a response, after the request is performed.
    CutAfter,
    /// The response ends after half of its body.
    CutBody,
    /// The request is performed after a delay in milliseconds.
    Slow(u64),
    /// The request hangs before it is performed, so that a test can kill the client, until it is
    /// [released](LoopbackBucket::release).
    Hang,
    /// The request hangs after it is performed.
    HangAfter,
    /// The response has the checksum of other bytes.
    WrongChecksum,
    /// The response to a range request is the whole object.
    IgnoreRange,
    /// The object's metadata is lost in transit.
    LoseMetadata,
    /// The store forgets that it was asked to encrypt the object.
    NoServerSide,
    /// A part or an object is stored with a changed byte.
    ChangeByte,
    /// A byte of the request's body changes on its way.
    ChangeOnWire,
    /// Status 404; the request is not performed.
    NotFound,
    /// Status 404, after the request is performed.
    NotFoundAfter,
    /// Status 403; the request is not performed.
    Denied,
    /// Status 403, as if the time of the signature were too far from the server's; the request is
    /// not performed.
    Skewed,
    /// Status 412, as if another writer had changed the object; the request is not performed.
    Changed,
    /// Status 200 with a page in HTML, as the portal of a hotel answers; the request is not
    /// performed.
    Portal,
    /// Status 200 with a page in HTML, after the request is performed.
    PortalAfter,
    /// Status 503, with the header `Retry-After` in seconds; the request is not performed.
    Busy(u64),
    /// The response has the entity tag of another object.
    OtherTag,
    /// A listing says that it goes on, with the marker that was asked for.
    SameMarker,
    /// A listing says that it goes on, without a marker, and has no entries.
    NoMarker,
    /// A listing does not say whether it goes on.
    NotSaid,
    /// Status 404 with a page in HTML, as another server answers; the request is not performed.
    LostPage,
    /// The same, with a page that is not UTF-8.
    LostText,
    /// The same, with a page that breaks off.
    LostCut,
}

impl Fault {
    /// The faults of the line, of the service, and of what lies between, that any request may meet.
    pub const ANYWHERE: [Self; 23] = [
        Self::Error,
        Self::ErrorAfter,
        Self::Cut,
        Self::CutAfter,
        Self::CutBody,
        Self::Slow(30),
        Self::WrongChecksum,
        Self::LoseMetadata,
        Self::ChangeByte,
        Self::ChangeOnWire,
        Self::NotFound,
        Self::NotFoundAfter,
        Self::Denied,
        Self::Portal,
        Self::PortalAfter,
        Self::Busy(0),
        Self::OtherTag,
        Self::SameMarker,
        Self::NoMarker,
        Self::NotSaid,
        Self::LostPage,
        Self::LostText,
        Self::LostCut,
    ];
}

/// What the server does with every request.
#[derive(Clone, Debug)]
struct Setup {
    /// The difference of the server's clock, in seconds.
    skew: i64,
    secret: String,
    /// The most entries on a page of a listing.
    page: usize,
    /// The speed at which bodies are received and sent, in bytes a second.
    rate: Option<u64>,
    /// The time that passes before every answer.
    latency: Duration,
    /// Where buckets are that are not here: their endpoints, or empty ones if they do not exist.
    elsewhere: BTreeMap<String, String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            skew: 0,
            secret: SECRET.to_owned(),
            page: 1000,
            rate: None,
            latency: Duration::ZERO,
            elsewhere: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Default)]
struct Faults {
    /// Faults by request number, counted from 0.
    at: BTreeMap<usize, Fault>,
    log: Vec<String>,
    /// The last value of each header of a vendor.
    headers: BTreeMap<String, String>,
    hung: usize,
}

impl LoopbackBucket {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// Panics if no port is available.
    #[must_use]
    pub fn start() -> Self {
        let listener = listener();
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared::default());
        let app = app(&shared);
        run(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let _ = axum::serve(listener, app).await;
        });
        Self { url, certificate: None, shared }
    }

    /// Starts a server that speaks TLS on a free port, with a [certificate](Self::certificate) that
    /// is made for it.
    ///
    /// # Panics
    /// Panics if no port is available.
    #[must_use]
    pub fn start_tls() -> Self {
        let listener = listener();
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let (certificate, config) = tls::server();
        let shared = Arc::new(Shared::default());
        let app = app(&shared).layer(axum::Extension(OverTls));
        run(async move {
            let server = axum_server::from_tcp_rustls(listener, config).expect("a listener");
            let _ = server.serve(app.into_make_service()).await;
        });
        Self { url, certificate: Some(certificate), shared }
    }

    /// Returns the URL of the server, `http://127.0.0.1:PORT`, or `https` over TLS.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Returns the certificate of a server over TLS in PEM. Clients have to be told to trust it.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Makes the `n`th request from now fail, counted from 0.
    pub fn fail(&self, n: usize, fault: Fault) {
        let mut faults = lock(&self.shared.faults);
        let at = faults.log.len() + n;
        faults.at.insert(at, fault);
    }

    /// Keeps the versions of objects from now on.
    pub fn keep_versions(&self) {
        lock(&self.shared.state).keep_versions();
    }

    /// Sets the difference between the server's clock and that of this machine.
    pub fn set_skew(&self, seconds: i64) {
        lock(&self.shared.setup).skew = seconds;
    }

    /// Replaces the secret of the account.
    pub fn set_secret(&self, secret: &str) {
        secret.clone_into(&mut lock(&self.shared.setup).secret);
    }

    /// Sets the most entries on a page of a listing.
    pub fn set_page(&self, entries: usize) {
        lock(&self.shared.setup).page = entries;
    }

    /// Sets the speed at which each body is received and sent, in bytes a second.
    pub fn set_rate(&self, rate: Option<u64>) {
        lock(&self.shared.setup).rate = rate;
    }

    /// Sets the time that passes before every answer.
    pub fn set_latency(&self, latency: Duration) {
        lock(&self.shared.setup).latency = latency;
    }

    /// Pretends that a bucket does not exist. Without this, every bucket does.
    pub fn set_no_bucket(&self, bucket: &str) {
        self.set_elsewhere(bucket, "");
    }

    /// Pretends that a bucket is at another endpoint, as a service answers from a wrong region.
    pub fn set_elsewhere(&self, bucket: &str, endpoint: &str) {
        let elsewhere = &mut lock(&self.shared.setup).elsewhere;
        elsewhere.insert(bucket.to_owned(), endpoint.to_owned());
    }

    /// Pretends that there are `count` objects in every bucket whose keys begin with `made/`, each
    /// of them a copy of the object `made/template`, which is not one of them.
    pub fn make(&self, count: u64) {
        lock(&self.shared.state).make(count);
    }

    /// Sets the length of the longest object that one request copies, in bytes: 1 GiB by default.
    pub fn set_longest_copy(&self, bytes: usize) {
        lock(&self.shared.state).set_longest_copy(bytes);
    }

    /// Returns the number of versions of an object that are there, including the current one.
    #[must_use]
    pub fn versions(&self, bucket: &str, key: &str) -> usize {
        lock(&self.shared.state).versions(bucket, key)
    }

    /// Lets the requests that hang go on.
    pub fn release(&self) {
        self.shared.released.notify_waiters();
    }

    /// Clears all pending faults, and returns how many there were.
    #[expect(clippy::must_use_candidate, reason = "what matters is that they are gone")]
    pub fn heal(&self) -> usize {
        std::mem::take(&mut lock(&self.shared.faults).at).len()
    }

    /// Returns the method, path and query of every request received.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.faults).log.clone()
    }

    /// Returns the value of a header in the last request that had it.
    #[must_use]
    pub fn last_header(&self, name: &str) -> Option<String> {
        lock(&self.shared.faults).headers.get(name).cloned()
    }

    /// Waits at most `most` until a request hangs; returns `false` if none does.
    #[must_use]
    pub fn wait_hung(&self, most: Duration) -> bool {
        let faults = lock(&self.shared.faults);
        let waited = self.shared.hung.wait_timeout_while(faults, most, |faults| faults.hung == 0);
        let (mut faults, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
        faults.hung = 0;
        !outcome.timed_out()
    }

    /// Returns the bytes and headers of an object.
    #[must_use]
    pub fn object(&self, bucket: &str, key: &str) -> Option<(Bytes, Vec<(String, String)>)> {
        lock(&self.shared.state).object(bucket, key)
    }

    /// Stores an object without metadata, as another client may have written it.
    pub fn store(&self, bucket: &str, key: &str, bytes: &[u8]) {
        self.store_with(bucket, key, bytes, Vec::new());
    }

    /// Stores an object with these headers, such as a recorded one.
    pub fn store_with(
        &self,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        headers: Vec<(String, String)>,
    ) {
        lock(&self.shared.state).insert(bucket, key, bytes, headers);
    }

    /// Returns the part numbers received for all open multipart uploads.
    #[must_use]
    pub fn arrived(&self) -> Vec<u64> {
        lock(&self.shared.state).arrived()
    }

    /// Returns the number of open multipart uploads.
    #[must_use]
    pub fn open_uploads(&self) -> usize {
        lock(&self.shared.state).open_uploads()
    }
}

/// Marks requests that came over TLS.
#[derive(Clone, Copy)]
struct OverTls;

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    listener.set_nonblocking(true).expect("a non-blocking socket");
    listener
}

fn app(shared: &Arc<Shared>) -> Router {
    let shared = Arc::clone(shared);
    Router::new().fallback(move |request: Request| {
        let shared = Arc::clone(&shared);
        async move { serve(&shared, request).await }
    })
}

/// Runs a server on threads of its own.
fn run(server: impl Future<Output = ()> + Send + 'static) {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(server);
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(shared: &Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let fault = {
        let mut faults = lock(&shared.faults);
        let n = faults.log.len();
        faults.log.push(format!("{} {}", parts.method, parts.uri));
        for (name, value) in &parts.headers {
            if name.as_str().starts_with("x-") {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                faults.headers.insert(name.as_str().to_owned(), value);
            }
        }
        faults.at.remove(&n)
    };
    let setup = lock(&shared.setup).clone();
    let Ok(body) = receive(body, setup.rate).await else {
        return refusal(400, "IncompleteBody", "").into_response(false);
    };
    if !setup.latency.is_zero() {
        tokio::time::sleep(setup.latency).await;
    }
    let body = if fault == Some(Fault::ChangeOnWire) { objects::changed(&body) } else { body };
    let mut call = Call::read(&parts, body);
    call.page = setup.page;
    call.over_tls = parts.extensions.get::<OverTls>().is_some();
    let head = call.method == "HEAD";
    let is_oss = call.header("authorization").starts_with("OSS");
    let send = |mut answer: Answer| {
        if head && is_oss && answer.status >= 400 {
            let document = STANDARD.encode(&answer.body);
            answer.headers.push(("x-oss-err".to_owned(), document));
        }
        let mut response = answer.into_response(head);
        let date = http_date(now(setup.skew)).parse().expect("a header");
        response.headers_mut().insert("date", date);
        match setup.rate {
            Some(rate) => slowed(response, rate),
            None => response,
        }
    };
    match fault {
        Some(Fault::Error) => return send(refusal(500, "InternalError", "")),
        Some(Fault::Cut) => return cut(Answer::default()),
        Some(Fault::NotFound) => return send(refusal(404, not_found(&call), "")),
        Some(Fault::Denied) => return send(refusal(403, "AccessDenied", "")),
        Some(Fault::Skewed) => return send(refusal(403, "RequestTimeTooSkewed", "")),
        Some(Fault::Changed) => return send(refusal(412, "PreconditionFailed", "")),
        Some(Fault::Portal) => return send(portal()),
        Some(Fault::LostPage) => return send(Answer { status: 404, ..portal() }),
        Some(Fault::LostCut) => return cut(Answer { status: 404, ..portal() }),
        Some(Fault::LostText) => {
            // `not found`, as servers in China say it in GBK.
            let body = Bytes::from_static(b"<html>\xce\xb4\xd5\xd2\xb5\xbd</html>");
            return send(Answer { status: 404, body, ..portal() });
        }
        Some(Fault::Busy(seconds)) => {
            let mut answer = refusal(503, "ServiceUnavailable", "");
            answer.headers.push(("retry-after".to_owned(), seconds.to_string()));
            return send(answer);
        }
        Some(Fault::Slow(milliseconds)) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        Some(Fault::Hang) => hang(shared).await,
        _ => {}
    }
    let account = Account { secret: &setup.secret, now: now(setup.skew) };
    let answer = if !signature::is_right(&call, &account) {
        refusal(403, "SignatureDoesNotMatch", "the signature is wrong")
    } else if let Some(endpoint) = setup.elsewhere.get(&call.bucket) {
        elsewhere(endpoint)
    } else if call.key.is_empty() && call.method == "GET" {
        lock(&shared.state).list(&call, fault)
    } else {
        lock(&shared.state).perform(&call, fault).unwrap_or_else(|refusal| refusal)
    };
    match fault {
        Some(Fault::ErrorAfter) => send(refusal(500, "InternalError", "")),
        Some(Fault::NotFoundAfter) => send(refusal(404, not_found(&call), "")),
        Some(Fault::PortalAfter) => send(portal()),
        Some(Fault::CutAfter) => cut(Answer::default()),
        Some(Fault::CutBody) => cut(answer),
        Some(Fault::NotSaid) => send(unsaid(answer)),
        Some(Fault::HangAfter) => {
            hang(shared).await;
            cut(answer)
        }
        _ => send(answer),
    }
}

fn now(skew: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(skew)
}

fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The code of a lie about something that is there.
fn not_found(call: &Call) -> &'static str {
    if call.query.contains_key("uploadId") { "NoSuchUpload" } else { "NoSuchKey" }
}

fn portal() -> Answer {
    let mut answer = document("<html><body>Please accept our terms.</body></html>");
    answer.headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    answer
}

/// Cuts out of a listing whether it goes on.
fn unsaid(mut answer: Answer) -> Answer {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if let Some((before, rest)) = text.split_once("<IsTruncated>")
        && let Some((_, after)) = rest.split_once("</IsTruncated>")
    {
        answer.body = format!("{before}{after}").into();
    }
    answer
}

/// Receives a body, at most at this speed.
async fn receive(body: Body, rate: Option<u64>) -> Result<Bytes, axum::Error> {
    let Some(rate) = rate else { return axum::body::to_bytes(body, usize::MAX).await };
    let (mut stream, mut all) = (body.into_data_stream(), bytes::BytesMut::new());
    while let Some(chunk) = stream.try_next().await? {
        let pause = Duration::from_secs_f64(chunk.len() as f64 / rate as f64);
        all.extend_from_slice(&chunk);
        tokio::time::sleep(pause).await;
    }
    Ok(all.freeze())
}

/// Sends a body at this speed.
fn slowed(response: Response, rate: u64) -> Response {
    let (parts, body) = response.into_parts();
    let pieces = futures_util::stream::try_unfold(
        (body.into_data_stream(), Bytes::new()),
        move |(mut body, mut left)| async move {
            while left.is_empty() {
                match body.try_next().await? {
                    Some(chunk) => left = chunk,
                    None => return Ok::<_, axum::Error>(None),
                }
            }
            let piece = left.split_to(left.len().min(16 * 1024));
            tokio::time::sleep(Duration::from_secs_f64(piece.len() as f64 / rate as f64)).await;
            Ok(Some((piece, (body, left))))
        },
    );
    Response::from_parts(parts, Body::from_stream(pieces))
}

async fn hang(shared: &Shared) {
    let released = shared.released.notified();
    lock(&shared.faults).hung += 1;
    shared.hung.notify_all();
    released.await;
}

/// Sends half of the response body and then closes the connection.
fn cut(mut answer: Answer) -> Response {
    let len = answer.body.len().max(2);
    answer.headers.push(("content-length".to_owned(), len.to_string()));
    let half = answer.body.slice(..answer.body.len() / 2);
    let broken = std::io::Error::other("cut");
    let chunks = futures_util::stream::iter([Ok(half), Err(broken)]);
    let mut response = answer.into_response(true);
    *response.body_mut() = Body::from_stream(chunks);
    response
}
