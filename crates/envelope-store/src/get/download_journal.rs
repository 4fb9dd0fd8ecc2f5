//! The journal of a download in ranges.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    TransferError,
    journal::{Journal, lines},
};

/// The object that a journal is about, in its first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct First {
    pub(super) envelope_download: u32,
    pub(super) key: String,
    pub(super) etag: String,
    pub(super) len: u64,
    pub(super) range: u64,
    /// Identifies the content key, because an AES wrap of `cos-v1` opens with any master key.
    pub(super) content_key: String,
}

/// The open journal of a download.
pub(super) struct DownloadJournal {
    journal: Journal,
    /// The ranges that an earlier run has finished: start and CRC-64 of the ciphertext.
    pub(super) done: BTreeMap<u64, u64>,
}

impl DownloadJournal {
    /// Opens or creates a journal. Its contents count only if they describe this version of the
    /// object and this content key, and if `resume` is set.
    pub(super) async fn open(
        path: &Path,
        first: &First,
        resume: bool,
    ) -> Result<Self, TransferError> {
        let (journal, text) = Journal::open(path)?;
        let done = if resume { finished(&text, first) } else { BTreeMap::new() };
        if done.is_empty() {
            journal.restart(first).await?;
        }
        Ok(Self { journal, done })
    }

    /// Records a range that is on the disk.
    pub(super) async fn note(&self, start: u64, crc64: u64) -> Result<(), TransferError> {
        Ok(self.journal.append(&(start, crc64)).await?)
    }
}

/// Returns the ranges that a journal says are finished, if it is about this object.
fn finished(text: &str, first: &First) -> BTreeMap<u64, u64> {
    let mut lines = lines(text);
    let earlier: Option<First> = lines.next().and_then(|line| serde_json::from_str(line).ok());
    if earlier.as_ref() != Some(first) {
        return BTreeMap::new();
    }
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Reads a journal. Only one of this very object counts.
#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    let own = |etag: &str| First {
        envelope_download: 1,
        key: "key".to_owned(),
        etag: etag.to_owned(),
        len: 1000,
        range: 16,
        content_key: "77".to_owned(),
    };
    let done = finished(text, &own("etag"));
    assert!(done.is_empty() || finished(text, &own("another")).is_empty());
}
