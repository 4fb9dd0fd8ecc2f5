//! A loopback OSS and COS: the verbs that SDKs use, over HTTP on 127.0.0.1, in memory.
//!
//! Signatures are always checked (OSS V1, OSS V4, COS); OSS's rules for encrypted objects are enforced (`oss-dialects`,
//! error codes 0005-000004xx); and any request can be made to fail. The official SDKs run against it in the test
//! command, which is what proves it.

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
/// Its secret.
pub const SECRET: &str = "SKloop";

/// A running server. It ends with the process.
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

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Status 500, and nothing was done.
    Error,
    /// It is done, and the answer is status 500.
    ErrorAfter,
    /// The connection ends, and nothing was done.
    Cut,
    /// It is done, and the connection ends without an answer.
    CutAfter,
    /// The answer ends after half of its body.
    CutBody,
    /// It is done, after so many milliseconds.
    Slow(u64),
    /// There is never an answer, and nothing is done: for the test to kill the client.
    Hang,
    /// It is done, and there is never an answer.
    HangAfter,
    /// The checksum of other bytes.
    WrongChecksum,
    /// The whole object in answer to a range.
    IgnoreRange,
    /// The object's metadata is lost on the way.
    LoseMetadata,
    /// A part or an object is stored with a changed byte.
    ChangeByte,
}

#[derive(Debug, Default)]
struct Faults {
    /// By the number of the request, counted from 0.
    at: BTreeMap<usize, Fault>,
    log: Vec<String>,
    hung: usize,
}

impl LoopbackBucket {
    /// Starts a server on a port of the system's choice.
    ///
    /// # Panics
    /// No port is to be had.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on the loopback");
        let address = listener.local_addr().expect("an address").to_string();
        listener.set_nonblocking(true).expect("a socket that does not block");
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

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes the `n`th request from now, counted from 0, fail.
    pub fn fail(&self, n: usize, fault: Fault) {
        let mut faults = lock(&self.shared.faults);
        let at = faults.log.len() + n;
        faults.at.insert(at, fault);
    }

    /// Forgets faults that did not come to pass.
    pub fn heal(&self) {
        lock(&self.shared.faults).at.clear();
    }

    /// Method, path and query of every request that has come.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.faults).log.clone()
    }

    /// Waits until a request hangs; `false` if none does.
    #[must_use]
    pub fn wait_hung(&self, most: Duration) -> bool {
        let faults = lock(&self.shared.faults);
        let waited = self.shared.hung.wait_timeout_while(faults, most, |faults| faults.hung == 0);
        let (mut faults, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
        faults.hung = 0;
        !outcome.timed_out()
    }

    /// The bytes and headers of an object.
    #[must_use]
    pub fn object(&self, bucket: &str, key: &str) -> Option<(Bytes, Vec<(String, String)>)> {
        lock(&self.shared.state).object(bucket, key)
    }

    /// The numbers of the parts that have arrived of open uploads.
    #[must_use]
    pub fn arrived(&self) -> Vec<u64> {
        lock(&self.shared.state).arrived()
    }

    /// How many multipart uploads are open.
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

/// Half of an answer's body, and the end of the connection.
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
