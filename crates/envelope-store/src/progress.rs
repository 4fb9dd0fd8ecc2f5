//! Progress of a transfer, as it is reported to the caller.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use crate::retry::WaitListener;

/// A step of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// This many more bytes were transferred.
    Transferred(u64),
    /// An earlier transfer was resumed; this many bytes need not be transferred again.
    Resumed(u64),
    /// An upload starts again with a fresh content key, for this reason: an earlier one cannot be
    /// resumed, or the file changed while it was read.
    Restarted(&'static str),
    /// A copy of the object that is about to be replaced is in this file until its replacement is
    /// verified. Its headers are beside it, so that it can be read as an object in a folder.
    Kept(PathBuf),
    /// A request failed, and is repeated after this time. The store itself tells of its own waits;
    /// see [`Bucket::with_wait_listener`](crate::Bucket::with_wait_listener).
    Waiting {
        /// The time until the next attempt.
        delay: Duration,
        /// Why the last one failed.
        reason: String,
    },
    /// Nothing was at the key when it was looked at, and nothing was to be replaced. But the bucket
    /// keeps versions, or once did, and there the store does not guarantee that.
    NotEnforced,
    /// Something that does not end the transfer, but that its owner should know.
    Warning(String),
}

/// The caller's function for events.
#[derive(Clone)]
pub(crate) struct ProgressListener(Arc<dyn Fn(Event) + Send + Sync>);

impl ProgressListener {
    pub(crate) fn new(notify: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(notify))
    }

    pub(crate) fn notify(&self, event: Event) {
        (self.0)(event);
    }

    /// Returns a listener that reports waits as events.
    pub(crate) fn waits(&self) -> WaitListener {
        let own = self.clone();
        WaitListener::new(move |delay, error| {
            own.notify(Event::Waiting { delay, reason: error.to_string() });
        })
    }
}

impl Default for ProgressListener {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for ProgressListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressListener")
    }
}
