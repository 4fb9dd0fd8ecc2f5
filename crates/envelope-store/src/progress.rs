//! Progress of a transfer, as it is reported to the caller.

use std::{fmt, sync::Arc};

/// A step of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// This many more bytes were transferred.
    Transferred(u64),
    /// An earlier transfer was resumed; this many bytes need not be transferred again.
    Resumed(u64),
    /// An earlier upload cannot be resumed, for this reason. It starts again, with a fresh content
    /// key.
    Restarted(&'static str),
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
