//! Retrying requests to stores. When and how often is decided by [`RetryPolicy`]; what is worth it,
//! by [`StoreError::is_transient`].

use std::{fmt, sync::Arc, time::Duration};

use envelope_cloud::{Backoff, RetryPolicy, jitter};

use crate::StoreError;

/// The caller's function that is told of every wait between two attempts.
#[derive(Clone)]
pub(crate) struct WaitListener(Arc<NotifyWait>);

type NotifyWait = dyn Fn(Duration, &StoreError) + Send + Sync;

impl WaitListener {
    pub(crate) fn new(notify: impl Fn(Duration, &StoreError) + Send + Sync + 'static) -> Self {
        Self(Arc::new(notify))
    }
}

impl Default for WaitListener {
    fn default() -> Self {
        Self::new(|_, _| {})
    }
}

impl fmt::Debug for WaitListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitListener")
    }
}

/// Makes attempts until one succeeds, fails for good, or was the last.
pub(crate) async fn retry<T, F: Future<Output = Result<T, StoreError>> + Send>(
    policy: RetryPolicy,
    listener: &WaitListener,
    attempt: impl Fn() -> F + Send,
) -> Result<T, StoreError> {
    let mut backoff = policy.start();
    loop {
        match attempt().await {
            Err(error) => again(&mut backoff, listener, error).await?,
            outcome => return outcome,
        }
    }
}

/// Counts a failed attempt and waits before the next.
///
/// # Errors
/// The error itself if no other attempt is worth it, or none is left.
pub(crate) async fn again(
    backoff: &mut Backoff,
    listener: &WaitListener,
    error: StoreError,
) -> Result<(), StoreError> {
    tracing::debug!(%error, "attempt failed");
    if !error.is_transient() {
        return Err(error);
    }
    match backoff.next_delay_from(error.retry_after(), jitter()) {
        Some(delay) => {
            listener.0(delay, &error);
            tokio::time::sleep(delay).await;
        }
        None => return Err(error),
    }
    Ok(())
}
