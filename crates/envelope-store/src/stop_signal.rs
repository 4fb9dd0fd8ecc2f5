//! A signal that ends transfers in an orderly way.

use tokio::sync::watch;

/// A signal that the caller wants no more of a transfer. Clones share it.
///
/// Dropping the future of a transfer ends it, too, but leaves an upload open; a transfer that is
/// stopped aborts its upload first, unless it can be resumed.
///
/// ```
/// use envelope_store::StopSignal;
///
/// let stop = StopSignal::new();
/// let handler = stop.clone(); // given to a signal handler, for example
/// handler.stop();
/// assert!(stop.is_stopped());
/// ```
#[derive(Clone, Debug)]
pub struct StopSignal(watch::Sender<bool>);

impl Default for StopSignal {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl StopSignal {
    /// Creates a signal that is not given yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Returns whether the signal was given.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the signal is given. It can be dropped at any time.
    pub async fn stopped(&self) {
        // The sender is this value, so there is no other way for it to end.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}
