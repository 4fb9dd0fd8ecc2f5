//! Parallel and resumable downloads to a file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use envelope_core::{BodyCipher, ContentCipher, Crc64, Decryptor, PlainCheck};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::{Get, check_len, tag_of};
use crate::{
    Event, Head, TransferError,
    private::{create_private, open_private},
};

/// Maximum object size of either vendor: ten thousand parts of 5 GiB.
const LONGEST: u64 = 10_000 * (5 << 30);

/// The first line of a journal, which identifies the download.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct First {
    envelope_download: u32,
    key: String,
    etag: String,
    len: u64,
    range: u64,
}

/// The ranges downloaded so far, as lines of JSON. A line torn by a crash is ignored.
struct Journal {
    file: Mutex<File>,
    done: BTreeMap<u64, u64>,
}

impl Get<'_> {
    /// Downloads an object to a file that only its owner can read. A large AES-CTR object is
    /// fetched in several concurrent ranges; with a journal, a later run fetches only the missing
    /// ones. Everything available is verified: if this returns `Ok`, the file is complete and
    /// correct; otherwise its contents must not be used.
    ///
    /// # Errors
    /// Any [`TransferError`].
    pub async fn to_file(
        &self,
        decryptor: &Decryptor<'_>,
        path: &Path,
        journal: Option<&Path>,
    ) -> Result<Head, TransferError> {
        let head = self.store.head(&self.key).await?;
        let envelope = self.envelope(&head).await?;
        if let (Some(envelope), true, true) =
            (&envelope, head.len > self.part_size, tag_of(&head).is_some())
        {
            check_len(envelope, head.len)?;
            if let BodyCipher::Ctr(cipher) = decryptor.open(envelope)? {
                let md5 = envelope.plain_md5().map(|_| PlainCheck::new(envelope));
                return self.ranges(head, cipher, md5, path, journal).await;
            }
        }
        let mut file = tokio::fs::File::from_std(create_private(path)?);
        // The journal describes an earlier download in ranges, whose data was just truncated.
        if let Some(journal) = journal.filter(|journal| journal.exists()) {
            std::fs::remove_file(journal)?;
        }
        let opened = self.open(decryptor).await?;
        let head = opened.head.clone();
        let mut body = opened.body;
        while let Some(chunk) = body.try_next().await? {
            tokio::io::AsyncWriteExt::write_all(&mut file, &chunk).await?;
        }
        tokio::io::AsyncWriteExt::flush(&mut file).await?;
        Ok(head)
    }

    async fn ranges(
        &self,
        head: Head,
        cipher: ContentCipher,
        md5: Option<PlainCheck>,
        path: &Path,
        journal: Option<&Path>,
    ) -> Result<Head, TransferError> {
        let first = First {
            envelope_download: 1,
            key: self.key.clone(),
            etag: head.etag.clone(),
            len: head.len,
            range: self.part_size,
        };
        let journal_path = journal.map(Path::to_owned);
        if head.len > LONGEST {
            let words = format!("{} bytes is beyond the longest possible object", head.len);
            return Err(TransferError::Corrupt(words));
        }
        let file = open_private(path)?;
        // A missing or shorter file does not hold the ranges that its journal lists.
        let whole = file.metadata()?.len() == head.len;
        let journal = journal.map(|path| Journal::open(path, &first, whole)).transpose()?;
        let nothing = BTreeMap::new();
        let done = journal.as_ref().map_or(&nothing, |journal| &journal.done);
        if done.is_empty() {
            file.set_len(0)?;
        }
        file.set_len(head.len)?;
        let all: Vec<Range<u64>> = (0..head.len)
            .step_by(usize::try_from(self.part_size).map_err(io::Error::other)?)
            .map(|start| start..start.saturating_add(self.part_size).min(head.len))
            .collect();
        let resumed: u64 = all
            .iter()
            .filter(|range| done.contains_key(&range.start))
            .map(|range| range.end.saturating_sub(range.start))
            .sum();
        if resumed > 0 {
            self.listener.tell(Event::Resumed(resumed));
        }
        let (file, cipher) = (Arc::new(file), Arc::new(cipher));
        let mut sums = done.clone();
        let missing: Vec<_> =
            all.iter().filter(|range| !done.contains_key(&range.start)).cloned().collect();
        let mut coming = stream::iter(missing)
            .map(|range| {
                let (file, cipher, head) = (Arc::clone(&file), Arc::clone(&cipher), &head);
                async move {
                    let mut body = self.range(head, range.clone()).await?;
                    let len = usize::try_from(range.end.saturating_sub(range.start));
                    let mut bytes = Vec::with_capacity(len.map_err(io::Error::other)?);
                    while let Some(chunk) = body.try_next().await? {
                        bytes.extend_from_slice(&chunk);
                    }
                    let start = range.start;
                    let crc64 = tokio::task::spawn_blocking(move || {
                        let mut sum = Crc64::new();
                        cipher.at(start).decrypt_summed(&mut bytes, &mut sum);
                        file.write_all_at(&bytes, start).map(|()| sum.value())
                    })
                    .await
                    .map_err(io::Error::other)??;
                    Ok::<_, TransferError>((range, crc64))
                }
            })
            .buffer_unordered(self.in_flight);
        let came = async {
            while let Some((range, crc64)) = coming.try_next().await? {
                if let Some(journal) = &journal {
                    file.sync_data()?;
                    journal.note(range.start, crc64)?;
                }
                sums.insert(range.start, crc64);
                self.listener.tell(Event::Moved(range.end.saturating_sub(range.start)));
            }
            Ok::<_, TransferError>(())
        }
        .await;
        drop(coming);
        // Pending writes must finish before the lock is released and another run may start.
        while Arc::strong_count(&file) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        came?;
        let outcome = verify(&head, &all, &sums, md5, &file);
        // Complete or corrupt, the download cannot be resumed.
        if let Some(path) = journal_path {
            std::fs::remove_file(path)?;
        }
        outcome.map(|()| head)
    }
}

fn verify(
    head: &Head,
    all: &[Range<u64>],
    sums: &BTreeMap<u64, u64>,
    md5: Option<PlainCheck>,
    file: &File,
) -> Result<(), TransferError> {
    let mut whole = 0;
    for range in all {
        // Every range is either in the journal or was just downloaded.
        let sum = sums.get(&range.start).copied().unwrap_or_default();
        whole = Crc64::combined(whole, sum, range.end.saturating_sub(range.start));
    }
    if head.crc64.is_some_and(|crc64| crc64 != whole) {
        let words = "the bytes received do not match the store's checksum";
        return Err(TransferError::Corrupt(words.to_owned()));
    }
    let Some(mut check) = md5 else { return Ok(()) };
    let (mut at, mut chunk) = (0, vec![0; 1 << 20]);
    loop {
        let got = file.read_at(&mut chunk, at)?;
        let Some(plain) = chunk.get(..got).filter(|plain| !plain.is_empty()) else { break };
        check.update(plain);
        at = at.saturating_add(got as u64);
    }
    Ok(check.finish()?)
}

impl Journal {
    fn open(path: &Path, first: &First, go_on: bool) -> Result<Self, TransferError> {
        let mut file = open_private(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let earlier: Option<First> = lines.next().and_then(|line| serde_json::from_str(line).ok());
        let mut done = BTreeMap::new();
        if go_on && earlier.as_ref() == Some(first) {
            done.extend(lines.map_while(|line| serde_json::from_str::<(u64, u64)>(line).ok()));
        } else {
            // Ranges of another version of the object are useless.
            file.set_len(0)?;
        }
        let journal = Self { file: Mutex::new(file), done };
        if journal.done.is_empty() {
            journal.restart(first)?;
        } else {
            journal.lock().seek(SeekFrom::End(0))?;
        }
        Ok(journal)
    }

    fn restart(&self, first: &First) -> Result<(), TransferError> {
        let mut file = self.lock();
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        drop(file);
        self.write(first)
    }

    fn note(&self, start: u64, crc64: u64) -> Result<(), TransferError> {
        self.write(&(start, crc64))
    }

    fn write(&self, line: &impl Serialize) -> Result<(), TransferError> {
        let mut text = serde_json::to_string(line).map_err(io::Error::other)?;
        text.push('\n');
        let mut file = self.lock();
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
