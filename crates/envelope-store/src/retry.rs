//! Retrying requests to stores. When and how often is decided by [`RetryPolicy`]; what is worth it,
//! by [`StoreError::is_transient`].

use envelope_cloud::{Backoff, RetryPolicy, jitter};

use crate::StoreError;

/// Makes attempts until one succeeds, fails for good, or was the last.
pub(crate) async fn retry<T, F: Future<Output = Result<T, StoreError>> + Send>(
    policy: RetryPolicy,
    attempt: impl Fn() -> F + Send,
) -> Result<T, StoreError> {
    let mut backoff = policy.start();
    loop {
        match attempt().await {
            Err(error) => again(&mut backoff, error).await?,
            outcome => return outcome,
        }
    }
}

/// Counts a failed attempt and waits before the next.
///
/// # Errors
/// The error itself if no other attempt is worth it, or none is left.
pub(crate) async fn again(backoff: &mut Backoff, error: StoreError) -> Result<(), StoreError> {
    tracing::debug!(%error, "attempt failed");
    if !error.is_transient() {
        return Err(error);
    }
    match backoff.next_delay(jitter()) {
        Some(delay) => tokio::time::sleep(delay).await,
        None => return Err(error),
    }
    Ok(())
}
