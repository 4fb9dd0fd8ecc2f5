//! An in-memory loopback server for OSS and COS: the operations that SDKs use, over HTTP on
//! 127.0.0.1.
//!
//! Signatures are always checked (OSS V1, OSS V4, COS), OSS's rules for encrypted objects are
//! enforced (`oss-dialects`, error codes 0005-000004xx), and any request can be made to fail.
//! `cargo xtask test` runs the official SDKs against it, which validates the server itself.

mod answer;
mod objects;
mod route;
mod rules;
mod signature;

use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use bytes::Bytes;

use self::{
    answer::{Answer, refusal},
    objects::State,
    route::Call,
};

/// The access key of the only account.
pub const ACCESS_KEY: &str = "LTAIloop";
/// The secret of [`ACCESS_KEY`].
pub const SECRET: &str = "SKloop";

/// A handle to a running server, which stops when the process exits.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a handle")]
pub struct LoopbackBucket {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    faults: Mutex<Faults>,
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
    /// No response, and the request is not performed, so that a test can kill the client.
    Hang,
    /// No response, after the request is performed.
    HangAfter,
    /// The response has the checksum of other bytes.
    WrongChecksum,
    /// The response to a range request is the whole object.
    IgnoreRange,
    /// The object's metadata is lost in transit.
    LoseMetadata,
    /// A part or an object is stored with a changed byte.
    ChangeByte,
}

#[derive(Debug, Default)]
struct Faults {
    /// Faults by request number, counted from 0.
    at: BTreeMap<usize, Fault>,
    log: Vec<String>,
    hung: usize,
}

impl LoopbackBucket {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// Panics if no port is available.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("an address").to_string();
        listener.set_nonblocking(true).expect("a non-blocking socket");
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let app = Router::new().fallback(move |request: Request| {
                    let shared = Arc::clone(&served);
                    async move { serve(&shared, request).await }
                });
                let _ = axum::serve(listener, app).await;
            });
        });
        Self { address, shared }
    }

    /// Returns the URL of the server, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes the `n`th request from now fail, counted from 0.
    pub fn fail(&self, n: usize, fault: Fault) {
        let mut faults = lock(&self.shared.faults);
        let at = faults.log.len() + n;
        faults.at.insert(at, fault);
    }

    /// Clears all pending faults.
    pub fn heal(&self) {
        lock(&self.shared.faults).at.clear();
    }

    /// Returns the method, path and query of every request received.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.faults).log.clone()
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(shared: &Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let fault = {
        let mut faults = lock(&shared.faults);
        let n = faults.log.len();
        faults.log.push(format!("{} {}", parts.method, parts.uri));
        faults.at.remove(&n)
    };
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return refusal(400, "IncompleteBody", "").into_response(false);
    };
    let call = Call::read(&parts, body);
    let head = call.method == "HEAD";
    match fault {
        Some(Fault::Error) => return refusal(500, "InternalError", "").into_response(head),
        Some(Fault::Cut) => return cut(Answer::default()),
        Some(Fault::Slow(milliseconds)) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        Some(Fault::Hang) => hang(shared).await,
        _ => {}
    }
    let answer = if !signature::is_right(&call) {
        refusal(403, "SignatureDoesNotMatch", "the signature is wrong")
    } else if call.key.is_empty() && call.method == "GET" {
        lock(&shared.state).list(&call)
    } else {
        lock(&shared.state).perform(&call, fault).unwrap_or_else(|refusal| refusal)
    };
    match fault {
        Some(Fault::ErrorAfter) => refusal(500, "InternalError", "").into_response(head),
        Some(Fault::CutAfter) => cut(Answer::default()),
        Some(Fault::CutBody) => cut(answer),
        Some(Fault::HangAfter) => {
            hang(shared).await;
            cut(answer)
        }
        _ => answer.into_response(head),
    }
}

async fn hang(shared: &Shared) {
    lock(&shared.faults).hung += 1;
    shared.hung.notify_all();
    tokio::time::sleep(Duration::from_secs(3600)).await;
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
