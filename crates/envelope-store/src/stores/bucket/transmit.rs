//! Sending one request, and noticing when nothing moves any more.
//!
//! A time limit for a whole request would make slow lines useless: a part of 8 MiB takes five
//! minutes on an uplink that leaves it 25 KB/s. What is limited is the time without progress, in
//! either direction.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until, timeout};

use super::document::words;
use crate::StoreError;

/// The number of bytes of a body that are handed to the connection at a time.
const CHUNK: usize = 64 * 1024;
/// The number of bytes that the kernel may hold after they were handed over, by default on Linux
/// (`net.ipv4.tcp_wmem`). Nobody sees them leave.
const KERNEL_BUFFER: u64 = 4 << 20;
/// The slowest connection that is still waited for while the kernel empties its buffer, in bytes a
/// second.
const SLOWEST: u64 = 16 * 1024;

/// Longer than anybody waits, and short enough to be added to the time.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// When something last moved, and how many bytes were handed to the connection.
#[derive(Clone)]
struct Progress(Arc<Mutex<(Instant, u64)>>);

impl Progress {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), 0))))
    }

    fn note(&self, bytes: usize) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (Instant::now(), state.1.saturating_add(bytes as u64));
    }

    /// Returns the time at which the request has stalled if nothing moves before.
    fn deadline(&self, stall: Duration) -> Instant {
        let (last, sent) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hidden = Duration::from_secs(sent.min(KERNEL_BUFFER).div_ceil(SLOWEST));
        last + stall.min(FOREVER).saturating_add(hidden)
    }
}

/// A body that notes how far it was sent.
struct WatchedBody {
    left: Bytes,
    progress: Progress,
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let own = self.get_mut();
        if own.left.is_empty() {
            return Poll::Ready(None);
        }
        let chunk = own.left.split_to(own.left.len().min(CHUNK));
        own.progress.note(chunk.len());
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

/// Sends a request, and returns the response as soon as its headers are here.
///
/// # Errors
/// [`StoreError::Unreachable`] or [`StoreError::UnknownHost`] if the connection fails;
/// [`StoreError::Unavailable`] if nothing moves for the time `stall`.
pub(super) async fn transmit(
    client: &reqwest::Client,
    mut request: reqwest::Request,
    body: Bytes,
    stall: Duration,
) -> Result<reqwest::Response, StoreError> {
    let progress = Progress::new();
    let host = request.url().host_str().unwrap_or_default().to_owned();
    let host = request.url().port().map_or(host.clone(), |port| format!("{host}:{port}"));
    if !body.is_empty() {
        let watched = WatchedBody { left: body, progress: progress.clone() };
        *request.body_mut() = Some(reqwest::Body::wrap(watched));
    }
    let mut response = std::pin::pin!(client.execute(request));
    loop {
        let deadline = progress.deadline(stall);
        tokio::select! {
            // A response that is here counts, however late anybody looks.
            biased;
            response = &mut response => {
                return response.map_err(|error| unreachable(host, words(&error)));
            }
            () = sleep_until(deadline) => {
                if progress.deadline(stall) <= Instant::now() {
                    return Err(stalled(stall));
                }
            }
        }
    }
}

/// Returns the error for a connection that could not be made, or that broke. The libraries do not
/// tell a name that does not exist from a name server that cannot be reached, but the resolver's
/// words do (`EAI_NONAME` and `EAI_NODATA`, of glibc, musl and Apple's libc). Only the latter is
/// worth another attempt.
fn unreachable(host: String, reason: String) -> StoreError {
    let unknown = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided",
    ];
    match unknown.iter().any(|words| reason.contains(words)) {
        true => StoreError::UnknownHost(host),
        false => StoreError::Unreachable { host, reason },
    }
}

/// Waits for the next piece of a response.
///
/// # Errors
/// [`StoreError::Unavailable`] if the connection fails, or nothing comes for the time `stall`.
pub(super) async fn next_chunk(
    response: &mut reqwest::Response,
    stall: Duration,
) -> Result<Option<Bytes>, StoreError> {
    match timeout(stall, response.chunk()).await {
        Ok(chunk) => chunk.map_err(|error| StoreError::Unavailable(words(&error))),
        Err(_) => Err(stalled(stall)),
    }
}

fn stalled(stall: Duration) -> StoreError {
    let seconds = stall.as_secs_f64();
    StoreError::Unavailable(format!("no progress for {seconds} seconds"))
}
