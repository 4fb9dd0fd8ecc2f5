//! What became of one object.

use std::error::Error;

use serde_json::{Map, Value};

/// What became of one of many objects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// One word, by which objects are counted.
    pub status: &'static str,
    /// Number of bytes that the work was about: the length of the plaintext, if it is known.
    pub bytes: u64,
    /// Why the work failed; `None` if it did not.
    pub error: Option<String>,
    /// What else is in the report.
    pub details: Map<String, Value>,
    /// `true` if a later run with the same report works on the object again.
    pub again: bool,
}

impl Outcome {
    /// The status of an object on which the work failed.
    pub const FAILED: &'static str = "failed";

    /// The status of an object on which nothing was to be done, because it is as it should be.
    pub const SAME: &'static str = "same";

    /// The detail that names the bucket of an object, if that is another one than the report is
    /// about. The object of that key in this one is another object.
    pub const BUCKET: &'static str = "bucket";

    /// Creates the outcome of an object on which the work did not fail.
    #[must_use]
    pub fn new(status: &'static str) -> Self {
        Self { status, bytes: 0, error: None, details: Map::new(), again: false }
    }

    /// Creates the outcome of an object on which the work failed.
    #[must_use]
    pub fn failed(error: &dyn Error) -> Self {
        Self { error: Some(describe(error)), ..Self::new(Self::FAILED) }
    }

    /// Creates the outcome of an object that nobody could work on, for a reason in words.
    #[must_use]
    pub fn refused(reason: impl Into<String>) -> Self {
        Self { error: Some(reason.into()), ..Self::new(Self::FAILED) }
    }

    /// The work has a defect.
    pub(super) fn panicked() -> Self {
        Self::refused("the program has a defect here; the other objects are not affected")
    }

    /// Sets the number of bytes that the work was about.
    #[must_use]
    pub const fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Adds something to the line of the report.
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Makes a later run with the same report work on the object again, although nothing failed:
    /// what became of it may be another thing by then.
    #[must_use]
    pub const fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// Returns whether the work failed.
    #[must_use]
    pub const fn is_failed(&self) -> bool {
        self.error.is_some()
    }
}

/// Returns an error and its causes in words, each of them once.
#[must_use]
pub fn describe(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let of_cause = cause.to_string();
        if !words.contains(&of_cause) {
            words.push_str(": ");
            words.push_str(&of_cause);
        }
        source = cause.source();
    }
    words
}
