//! A function of the caller that sees envelopes.

use std::{fmt, sync::Arc};

use meta_codec::Envelope;

type Inspect = dyn Fn(&Envelope) + Send + Sync;

/// A function that sees the envelope of an object before it is used, or none.
#[derive(Clone, Default)]
pub(crate) struct Inspector(Option<Arc<Inspect>>);

impl Inspector {
    pub(crate) fn new(inspect: impl Fn(&Envelope) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(inspect)))
    }

    pub(crate) fn inspect(&self, envelope: &Envelope) {
        if let Some(inspect) = &self.0 {
            inspect(envelope);
        }
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inspector")
    }
}
