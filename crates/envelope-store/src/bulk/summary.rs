//! The sum of the work on many objects.

use std::{collections::BTreeMap, error::Error, fmt, io};

use super::Outcome;

/// The number of objects by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    counts: BTreeMap<&'static str, u64>,
    bytes: u64,
    failed: u64,
    earlier: u64,
    waiting: u64,
    stopped: bool,
}

impl Summary {
    /// Returns the number of objects with this status.
    #[must_use]
    pub fn of(&self, status: &str) -> u64 {
        self.counts.get(status).copied().unwrap_or_default()
    }

    /// Returns the number of objects by their status.
    #[must_use]
    pub const fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// Returns the number of objects that were worked on.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Returns the number of bytes that the work was about.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the number of objects on which the work failed.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the number of objects that an earlier run had finished, according to the report.
    #[must_use]
    pub const fn earlier(&self) -> u64 {
        self.earlier
    }

    /// Returns the number of objects that were found, but not worked on, because the work was
    /// stopped. There may be more that were not found yet.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Returns whether the work was stopped before its end.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Returns the sum of two jobs, the second of which followed the first.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (status, count) in &other.counts {
            let sum = self.counts.entry(status).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.failed = self.failed.saturating_add(other.failed);
        self.earlier = self.earlier.saturating_add(other.earlier);
        self.waiting = self.waiting.saturating_add(other.waiting);
        self.stopped |= other.stopped;
        self
    }

    pub(super) fn count(&mut self, outcome: &Outcome) {
        let count = self.counts.entry(outcome.status).or_default();
        *count = count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(outcome.bytes);
        self.failed = self.failed.saturating_add(outcome.is_failed().into());
    }

    pub(super) const fn count_earlier(&mut self) {
        self.earlier = self.earlier.saturating_add(1);
    }

    pub(super) const fn end(&mut self, stopped: bool, waiting: usize) {
        self.stopped = stopped;
        self.waiting = waiting as u64;
    }
}

/// Formats the counts, such as `2 failed, 100 uploaded, 7 done before`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts.iter().map(|(status, count)| format!("{count} {status}"));
        let earlier = (self.earlier > 0).then(|| format!("{} done before", self.earlier));
        let all: Vec<String> = counts.chain(earlier).collect();
        f.write_str(if all.is_empty() { "no objects" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

/// The work on many objects ended before all of them were found, or without a complete report.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct BulkError {
    words: String,
    /// What became of the objects until then.
    pub summary: Summary,
    /// The cause.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl BulkError {
    pub(super) fn source(source: Box<dyn Error + Send + Sync>) -> Self {
        let words = "the objects to work on could not all be found".to_owned();
        Self { words, summary: Summary::default(), source }
    }

    pub(super) fn report(error: io::Error, key: &str, outcome: &Outcome) -> Self {
        let Outcome { status, error: failure, .. } = outcome;
        let failure = failure.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
        let words = format!("{key} was {status}{failure}; but the report cannot be written");
        Self { words, summary: Summary::default(), source: Box::new(error) }
    }

    pub(super) fn with_summary(mut self, summary: Summary) -> Self {
        self.summary = summary;
        self
    }
}
