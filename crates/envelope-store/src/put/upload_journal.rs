//! The journal of a multipart upload.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::source::Source;
use crate::{
    Headers, PutResult, TransferError, Upload,
    journal::{Journal, lines},
};

/// The format version.
const FORMAT: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct First {
    envelope_upload: u32,
    key: String,
    size: u64,
    modified: u64,
    digest: u64,
    part_size: u64,
    begun: u64,
    headers: Headers,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Upload(String),
    Part(u16, String, u64),
}

/// The state recorded by an earlier run.
#[derive(Clone, Debug)]
pub(super) struct Earlier {
    first: First,
    upload: Option<String>,
    parts: BTreeMap<u16, (String, u64)>,
}

impl Earlier {
    fn read(text: &str) -> Option<Self> {
        let mut lines = lines(text);
        let first: First = serde_json::from_str(lines.next()?).ok()?;
        if first.envelope_upload != FORMAT {
            return None;
        }
        let mut earlier = Self { first, upload: None, parts: BTreeMap::new() };
        for line in lines {
            match serde_json::from_str(line) {
                Ok(Line::Upload(id)) => earlier.upload = Some(id),
                Ok(Line::Part(number, etag, crc64)) => {
                    earlier.parts.insert(number, (etag, crc64));
                }
                Err(_) => break,
            }
        }
        Some(earlier)
    }

    pub(super) fn key(&self) -> &str {
        &self.first.key
    }

    pub(super) const fn headers(&self) -> &Headers {
        &self.first.headers
    }

    pub(super) const fn size(&self) -> u64 {
        self.first.size
    }

    pub(super) const fn part_size(&self) -> u64 {
        self.first.part_size
    }

    /// Creation time of the upload, in seconds since 1970.
    pub(super) const fn begun(&self) -> u64 {
        self.first.begun
    }

    pub(super) fn upload(&self, key: &str) -> Option<Upload> {
        let id = self.upload.clone()?;
        Some(Upload::new(key, id))
    }

    /// Returns the entity tag and the CRC-64 of a part recorded as uploaded.
    pub(super) fn part(&self, number: u16) -> Option<&(String, u64)> {
        self.parts.get(&number)
    }
}

/// The open journal of the upload of one file.
#[derive(Debug)]
pub(super) struct UploadJournal {
    journal: Journal,
    earlier: Option<Earlier>,
    source: (u64, u64, u64),
}

impl UploadJournal {
    /// Opens or creates a journal.
    ///
    /// # Errors
    /// [`TransferError::SourceChanged`] if the journal describes another source file.
    pub(super) fn open(path: &Path, source: &Source, digest: u64) -> Result<Self, TransferError> {
        let (journal, text) = Journal::open(path)?;
        let earlier = Earlier::read(&text);
        let source = (source.len(), source.modified(), digest);
        if let Some(Earlier { first, .. }) = &earlier
            && (first.size, first.modified, first.digest) != source
        {
            return Err(TransferError::SourceChanged);
        }
        Ok(Self { journal, earlier, source })
    }

    /// Replaces a journal with an empty one.
    pub(super) fn renew(path: &Path, source: &Source, digest: u64) -> Result<Self, TransferError> {
        let _ = std::fs::remove_file(path);
        Self::open(path, source, digest)
    }

    pub(super) const fn earlier(&self) -> Option<&Earlier> {
        self.earlier.as_ref()
    }

    /// Records what is about to be uploaded, before the upload is created.
    pub(super) fn begin(
        &self,
        key: &str,
        part_size: u64,
        headers: &Headers,
    ) -> Result<(), TransferError> {
        let (size, modified, digest) = self.source;
        self.journal.restart(&First {
            envelope_upload: FORMAT,
            key: key.to_owned(),
            size,
            modified,
            digest,
            part_size,
            begun: now(),
            headers: headers.clone(),
        })
    }

    /// Records the upload that was created.
    pub(super) fn upload(&self, upload: &Upload) -> Result<(), TransferError> {
        self.journal.append(&Line::Upload(upload.id.clone()))
    }

    /// Records a part that was uploaded.
    pub(super) fn part(
        &self,
        number: u16,
        result: &PutResult,
        crc64: u64,
    ) -> Result<(), TransferError> {
        self.journal.append(&Line::Part(number, result.etag.clone(), crc64))
    }

    /// Removes the journal of an upload that is over.
    pub(super) fn remove(self) -> Result<(), TransferError> {
        self.journal.remove()
    }
}

/// Returns the current time, in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let (path, data) = (folder.path().join("journal"), folder.path().join("data"));
        std::fs::write(&data, b"data").unwrap();
        let source = Source::open(&data).unwrap();
        let journal = UploadJournal::open(&path, &source, 5).unwrap();
        assert!(journal.earlier().is_none());
        assert!(matches!(UploadJournal::open(&path, &source, 5), Err(TransferError::Locked)));
        journal.begin("k", 16, &vec![("a".into(), "b".into())]).unwrap();
        let upload = Upload::new("k", "U");
        journal.upload(&upload).unwrap();
        journal.part(1, &PutResult::new("\"e\"", None), 7).unwrap();
        journal.part(2, &PutResult::new("\"f\"", None), 8).unwrap();
        drop(journal);
        let text = std::fs::read(&path).unwrap();
        for cut in 0..=text.len() {
            let text = std::str::from_utf8(&text[..cut]).unwrap();
            if let Some(earlier) = Earlier::read(text) {
                assert_eq!(earlier.headers(), &vec![("a".to_owned(), "b".to_owned())]);
                assert!(earlier.part(2).is_none() || cut == text.len());
            }
        }
        let again = UploadJournal::open(&path, &source, 5).unwrap();
        let earlier = again.earlier().unwrap();
        assert_eq!(earlier.upload("k").unwrap().id, "U");
        assert_eq!(earlier.part(2), Some(&("\"f\"".to_owned(), 8)));
        drop(again);
        // Another digest means another file.
        assert!(matches!(
            UploadJournal::open(&path, &source, 6),
            Err(TransferError::SourceChanged)
        ));
    }
}
