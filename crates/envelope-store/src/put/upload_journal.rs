//! The journal of a multipart upload.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{
    Event, Headers, PutResult, TransferError, Upload,
    journal::{Journal, lines},
    progress::ProgressListener,
};

/// The format version.
const FORMAT: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct First {
    envelope_upload: u32,
    key: String,
    size: u64,
    /// The CRC-64 of the plaintext. It is a fingerprint of content that the user owns; whoever can
    /// choose bytes to fool it already has the plaintext. A sealed object has a better one in its
    /// headers.
    digest: Option<u64>,
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
    /// `None` if it cannot be read.
    first: Option<First>,
    upload: Option<String>,
    parts: BTreeMap<u16, (String, u64)>,
}

/// An earlier upload that this run may continue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Continued<'a> {
    pub(super) headers: &'a Headers,
    pub(super) size: u64,
    pub(super) part_size: u64,
}

impl Earlier {
    /// Returns `None` for an empty journal.
    fn read(text: &str) -> Option<Self> {
        let mut lines = lines(text);
        let first = serde_json::from_str(lines.next()?).ok();
        let first = first.filter(|first: &First| first.envelope_upload == FORMAT);
        let mut earlier = Self { first, upload: None, parts: BTreeMap::new() };
        for line in lines {
            match serde_json::from_str(line) {
                Ok(Line::Upload(id)) => earlier.upload = Some(id),
                Ok(Line::Part(number, etag, crc64)) => {
                    earlier.parts.insert(number, (etag, crc64));
                }
                Err(_) => {}
            }
        }
        Some(earlier)
    }

    /// Returns the upload to continue, or why it cannot be continued: the keystream of its content
    /// key must never meet other bytes. A file with another time but the same bytes is the same.
    pub(super) fn continued(
        &self,
        key: &str,
        (size, digest): (u64, Option<u64>),
    ) -> Result<Continued<'_>, &'static str> {
        let first = self.first.as_ref().ok_or("the journal is damaged")?;
        if first.key != key {
            return Err("the journal belongs to another object");
        }
        if self.upload.is_none() {
            return Err("the upload had hardly begun");
        }
        if (first.size, first.digest) != (size, digest) {
            return Err("the file changed after its upload began");
        }
        let First { headers, size, part_size, .. } = first;
        Ok(Continued { headers, size: *size, part_size: *part_size })
    }

    /// Returns the size of the parts, if the journal says it.
    pub(super) fn part_size(&self) -> Option<u64> {
        self.first.as_ref().map(|first| first.part_size).filter(|size| *size >= 16)
    }

    /// Returns the headers that the upload was created with, if the journal says them.
    pub(super) fn headers(&self) -> Option<&Headers> {
        self.first.as_ref().map(|first| &first.headers)
    }

    /// Returns the key and the headers of an upload whose ID was not recorded any more.
    pub(super) fn lost(&self) -> Option<(&str, &Headers, u64)> {
        let first = self.first.as_ref().filter(|_| self.upload.is_none())?;
        Some((&first.key, &first.headers, first.begun))
    }

    /// Returns the upload. `key` is that of its object if the journal does not say it any more.
    pub(super) fn upload(&self, key: &str) -> Option<Upload> {
        let key = self.first.as_ref().map_or(key, |first| &first.key);
        Some(Upload::new(key, self.upload.clone()?))
    }

    /// Returns the entity tag and the CRC-64 of a part recorded as uploaded.
    pub(super) fn part(&self, number: u16) -> Option<&(String, u64)> {
        self.parts.get(&number)
    }
}

/// The open journal of the upload of one file.
///
/// A journal that cannot be written is no reason to fail. The caller is told, and an upload without
/// one cannot be resumed.
#[derive(Debug)]
pub(super) struct UploadJournal {
    /// `None` once it cannot be written.
    journal: Mutex<Option<Journal>>,
    listener: ProgressListener,
}

impl UploadJournal {
    /// Opens or creates a journal, and returns what an earlier run recorded in it.
    ///
    /// # Errors
    /// [`TransferError::Locked`] if another process uses it.
    pub(super) fn open(
        path: &Path,
        listener: &ProgressListener,
    ) -> Result<(Self, Option<Earlier>), TransferError> {
        let (journal, earlier) = match Journal::open(path) {
            Ok((journal, text)) => (Some(journal), Earlier::read(&text)),
            Err(TransferError::Io(error)) => {
                warn(listener, path, &error);
                (None, None)
            }
            Err(error) => return Err(error),
        };
        let listener = listener.clone();
        Ok((Self { journal: Mutex::new(journal), listener }, earlier))
    }

    fn journal(&self) -> MutexGuard<'_, Option<Journal>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a later run will find the upload.
    pub(super) fn is_kept(&self) -> bool {
        self.journal().is_some()
    }

    /// Records what is about to be uploaded, before the upload is created.
    pub(super) async fn begin(
        &self,
        key: &str,
        (size, digest): (u64, Option<u64>),
        part_size: u64,
        headers: &Headers,
    ) {
        let first = First {
            envelope_upload: FORMAT,
            key: key.to_owned(),
            size,
            digest,
            part_size,
            begun: now(),
            headers: headers.clone(),
        };
        let journal = self.journal().clone();
        if let Some(journal) = journal {
            self.needs(journal.restart(&first).await);
        }
    }

    /// Records the upload that was created.
    pub(super) async fn upload(&self, upload: &Upload) {
        let journal = self.journal().clone();
        if let Some(journal) = journal {
            self.needs(journal.append(&Line::Upload(upload.id.clone())).await);
        }
    }

    /// Records a part that was uploaded.
    pub(super) async fn part(&self, number: u16, result: &PutResult, crc64: u64) {
        let journal = self.journal().clone();
        if let Some(journal) = journal {
            // Without this line, a later run recognizes the part by its entity tag.
            let noted = journal.append(&Line::Part(number, result.etag.clone(), crc64)).await;
            if let Err(error) = noted {
                tracing::warn!(number, %error, "a part cannot be noted in the journal");
            }
        }
    }

    /// Gives the journal up if a line that it needs could not be written.
    fn needs(&self, outcome: io::Result<()>) {
        if let Err(error) = outcome
            && let Some(journal) = self.journal().take()
        {
            warn(&self.listener, &journal.path(), &error);
            let _ = journal.remove();
        }
    }

    /// Removes the journal of an upload that is over.
    pub(super) fn remove(&self) {
        if let Some(journal) = self.journal().take() {
            let path = journal.path();
            if let Err(error) = journal.remove() {
                warn(&self.listener, &path, &error);
            }
        }
    }
}

fn warn(listener: &ProgressListener, path: &Path, error: &io::Error) {
    listener.notify(Event::Warning(format!(
        "the journal {} cannot be written ({error}); this upload cannot be resumed",
        path.display()
    )));
}

/// Reads a journal. Only one of this very file may be continued.
#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    let Some(earlier) = Earlier::read(text) else { return };
    let _ = earlier.lost();
    if let Ok(continued) = earlier.continued("key", (1000, Some(77))) {
        assert_eq!(continued.size, 1000);
        assert!(earlier.upload("key").is_some_and(|upload| upload.key == "key"));
    }
}

/// Returns the current time, in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> ProgressListener {
        ProgressListener::default()
    }

    #[tokio::test]
    async fn a_torn_line_is_not_there_and_a_bad_one_does_not_hide_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/journal");
        let (journal, earlier) = UploadJournal::open(&path, &nobody()).unwrap();
        assert!(earlier.is_none() && journal.is_kept());
        assert!(matches!(UploadJournal::open(&path, &nobody()), Err(TransferError::Locked)));
        journal.begin("k", (9, Some(5)), 16, &vec![("a".into(), "b".into())]).await;
        let lost = std::fs::read_to_string(&path).unwrap();
        assert_eq!(Earlier::read(&lost).unwrap().lost().unwrap().0, "k");
        journal.upload(&Upload::new("k", "U")).await;
        journal.part(1, &PutResult::new("\"e\"", None), 7).await;
        journal.part(2, &PutResult::new("\"f\"", None), 8).await;
        drop(journal);
        let text = std::fs::read_to_string(&path).unwrap();
        for cut in 0..=text.len() {
            let Some(earlier) = Earlier::read(&text[..cut]) else { continue };
            if let Ok(continued) = earlier.continued("k", (9, Some(5))) {
                assert_eq!(continued.headers, &vec![("a".to_owned(), "b".to_owned())]);
                assert_eq!((continued.size, continued.part_size), (9, 16));
            }
            assert!(earlier.part(2).is_none() || cut == text.len());
        }
        let all: Vec<&str> = text.lines().collect();
        let damaged = [all[0], all[1], "x", all[3], ""].join("\n");
        let earlier = Earlier::read(&damaged).unwrap();
        assert_eq!(earlier.part(2), Some(&("\"f\"".to_owned(), 8)));
        assert!(earlier.part(1).is_none() && earlier.continued("k", (9, Some(5))).is_ok());
        for (key, file) in [("other", (9, Some(5))), ("k", (9, Some(6))), ("k", (8, Some(5)))] {
            assert!(earlier.continued(key, file).is_err(), "{key} {file:?}");
        }

        // Whatever the first line is, the upload is found and can be ended. The bytes need not even
        // be text.
        let mut bytes = text.into_bytes();
        bytes[3] = 0xff;
        std::fs::write(&path, &bytes).unwrap();
        let (_, earlier) = UploadJournal::open(&path, &nobody()).unwrap();
        let earlier = earlier.unwrap();
        assert_eq!(earlier.continued("k", (9, Some(5))).unwrap_err(), "the journal is damaged");
        assert_eq!(earlier.upload("k").unwrap().id, "U");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_journal_that_cannot_be_written_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let warnings = std::sync::Arc::new(Mutex::new(Vec::new()));
        let told = std::sync::Arc::clone(&warnings);
        let listener = ProgressListener::new(move |event| told.lock().unwrap().push(event));
        // A folder is where the journal should be, and a file is where its folder should be.
        std::fs::write(folder.path().join("file"), b"").unwrap();
        for path in [folder.path().to_owned(), folder.path().join("file/journal")] {
            let (journal, earlier) = UploadJournal::open(&path, &listener).unwrap();
            assert!(earlier.is_none() && !journal.is_kept());
            journal.begin("k", (9, Some(5)), 16, &Headers::new()).await;
            journal.upload(&Upload::new("k", "U")).await;
            journal.remove();
        }
        assert_eq!(warnings.lock().unwrap().len(), 2);
        // The disk is full.
        let told = std::sync::Arc::clone(&warnings);
        let listener = ProgressListener::new(move |event| told.lock().unwrap().push(event));
        let (journal, text) = Journal::open(&folder.path().join("full")).unwrap();
        assert!(text.is_empty());
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let journal =
            UploadJournal { journal: Mutex::new(Some(journal.with_file(full))), listener };
        journal.begin("k", (9, Some(5)), 16, &Headers::new()).await;
        assert!(!journal.is_kept() && !folder.path().join("full").exists());
        let warnings = warnings.lock().unwrap();
        let names = |event: &Event| match event {
            Event::Warning(words) => words.contains(&*folder.path().join("full").to_string_lossy()),
            _ => false,
        };
        assert_eq!(warnings.iter().filter(|event| names(event)).count(), 1, "{warnings:?}");
    }
}
