//! Downloads to files: in concurrent ranges, and resumable.

use std::{collections::BTreeMap, fs::File, io, ops::Range, path::Path, sync::Arc, time::Duration};

use envelope_core::{
    ContentAlgorithm, Crc64, CtrCipher, Decryptor, Envelope, PlainCheck, check_body_len,
    io::PositionedFile as _,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use zeroize::Zeroizing;

use super::{
    Get,
    download_journal::{DownloadJournal, First},
    tag_of,
};
use crate::{
    Event, ObjectMeta, TransferError,
    body::check_crc64,
    master_key,
    private_file::{create_private, open_private},
};

/// The longest object of either store, in bytes: ten thousand parts of 5 GiB.
const MAX_LEN: u64 = 10_000 * (5 << 30);

/// An AES-CTR object that is downloaded in ranges.
struct Ranges {
    meta: ObjectMeta,
    cipher: Arc<CtrCipher>,
    file: Arc<File>,
    all: Vec<Range<u64>>,
    /// The CRC-64 of the ciphertext of each range that is here, by its start.
    sums: BTreeMap<u64, u64>,
}

impl Get {
    /// Downloads an object to a file that only its owner can read. A large AES-CTR object is
    /// fetched in several concurrent ranges; with a journal, a later run fetches only the missing
    /// ones. Everything available is verified: if this returns `Ok`, the file is complete and
    /// correct. Otherwise, nothing is left of it but what a later run can resume. A file that
    /// another run is writing, or that an earlier run left, is not touched until the object and the
    /// key are known to be right.
    ///
    /// If the future is dropped, a later run with the same journal resumes the download.
    ///
    /// # Errors
    /// Any [`TransferError`].
    pub async fn to_file(
        &self,
        decryptor: &Decryptor,
        path: &Path,
        journal: Option<&Path>,
    ) -> Result<ObjectMeta, TransferError> {
        let meta = self.store.head(&self.key).await?;
        let envelope = self.envelope(&meta).await?;
        decryptor.policy().admit(envelope.as_ref())?;
        if let Some(envelope) = &envelope
            && envelope.content_algorithm() == ContentAlgorithm::Aes256Ctr
            && meta.len > self.part_size
            && tag_of(&meta).is_some()
        {
            self.inspector.inspect(envelope);
            check_body_len(envelope, meta.len)?;
            let cipher = master_key::decrypt_ctr(decryptor, envelope).await?;
            return self.in_ranges(meta, envelope, cipher, path, journal).await;
        }
        self.as_a_whole(decryptor, path, journal).await
    }

    async fn as_a_whole(
        &self,
        decryptor: &Decryptor,
        path: &Path,
        journal: Option<&Path>,
    ) -> Result<ObjectMeta, TransferError> {
        let result = self.decrypt(decryptor).await?;
        let mut file = tokio::fs::File::from_std(create_private(path)?);
        // The journal describes an earlier download in ranges, whose data was just truncated.
        if let Some(journal) = journal.filter(|journal| journal.exists()) {
            std::fs::remove_file(journal)?;
        }
        let meta = result.meta.clone();
        let mut body = result.into_stream();
        let outcome: Result<(), TransferError> = async {
            while let Some(chunk) = body.try_next().await? {
                file.write_all(&chunk).await?;
            }
            Ok(file.flush().await?)
        }
        .await;
        if outcome.is_err() {
            let _ = std::fs::remove_file(path);
        }
        outcome.map(|()| meta)
    }

    async fn in_ranges(
        &self,
        meta: ObjectMeta,
        envelope: &Envelope,
        cipher: CtrCipher,
        path: &Path,
        journal: Option<&Path>,
    ) -> Result<ObjectMeta, TransferError> {
        if meta.len > MAX_LEN {
            let words = format!("no store has objects of {} bytes", meta.len);
            return Err(TransferError::Corrupt(words));
        }
        let file = open_private(path)?;
        // A file that is missing or short does not hold what its journal says.
        let whole = file.metadata()?.len() == meta.len;
        let first = First {
            envelope_download: 1,
            key: self.key.clone(),
            etag: meta.etag.clone(),
            len: meta.len,
            range: self.part_size,
            content_key: fingerprint(&cipher),
        };
        let open = |path| DownloadJournal::open(path, &first, whole);
        let open_journal = journal.map(open).transpose()?;
        let sums = open_journal.as_ref().map(|journal| journal.done.clone()).unwrap_or_default();
        if sums.is_empty() {
            file.set_len(0)?;
        }
        file.set_len(meta.len)?;
        let step = usize::try_from(self.part_size).map_err(io::Error::other)?;
        let all: Vec<Range<u64>> = (0..meta.len)
            .step_by(step)
            .map(|start| start..start.saturating_add(self.part_size).min(meta.len))
            .collect();
        let (cipher, file) = (Arc::new(cipher), Arc::new(file));
        let mut ranges = Ranges { meta, cipher, file, all, sums };
        if let Err(error) = self.fetch(&mut ranges, open_journal.as_ref()).await {
            if journal.is_none() {
                let _ = std::fs::remove_file(path);
            }
            return Err(error);
        }
        let outcome = ranges.verify(envelope);
        // Complete or useless: either way, there is nothing to resume.
        if let Some(journal) = journal {
            std::fs::remove_file(journal)?;
        }
        if outcome.is_err() {
            let _ = std::fs::remove_file(path);
        }
        outcome.map(|()| ranges.meta)
    }

    /// Downloads the ranges that are missing.
    async fn fetch(
        &self,
        ranges: &mut Ranges,
        journal: Option<&DownloadJournal>,
    ) -> Result<(), TransferError> {
        let is_here = |range: &&Range<u64>| ranges.sums.contains_key(&range.start);
        let len = |range: &Range<u64>| range.end.saturating_sub(range.start);
        let resumed: u64 = ranges.all.iter().filter(is_here).map(len).sum();
        if resumed > 0 {
            self.listener.notify(Event::Resumed(resumed));
        }
        let missing: Vec<_> = ranges.all.iter().filter(|it| !is_here(it)).cloned().collect();
        let (meta, file) = (ranges.meta.clone(), Arc::clone(&ranges.file));
        let mut coming = stream::iter(missing)
            .map(|range| {
                let (cipher, file) = (Arc::clone(&ranges.cipher), Arc::clone(&file));
                self.fetch_one(&meta, cipher, file, range)
            })
            .buffer_unordered(self.concurrency);
        let outcome = async {
            while let Some((range, crc64)) = coming.try_next().await? {
                if let Some(journal) = journal {
                    file.sync_data()?;
                    journal.note(range.start, crc64)?;
                }
                ranges.sums.insert(range.start, crc64);
                self.listener.notify(Event::Transferred(len(&range)));
            }
            Ok(())
        }
        .await;
        drop(coming);
        // Whatever still writes must be done before another run may start. Two references remain:
        // this one and that in `ranges`.
        while Arc::strong_count(&file) > 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        outcome
    }

    /// Downloads a range, and writes its plaintext to where it belongs.
    async fn fetch_one(
        &self,
        meta: &ObjectMeta,
        cipher: Arc<CtrCipher>,
        file: Arc<File>,
        range: Range<u64>,
    ) -> Result<(Range<u64>, u64), TransferError> {
        let mut body = self.range(meta, range.clone()).await?;
        let len = usize::try_from(range.end.saturating_sub(range.start));
        let mut bytes = Vec::with_capacity(len.map_err(io::Error::other)?);
        while let Some(chunk) = body.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        let start = range.start;
        let crc64 = tokio::task::spawn_blocking(move || {
            let mut sum = Crc64::new();
            cipher.at(start).decrypt_summed(&mut bytes, &mut sum);
            file.overwrite_at(&bytes, start).map(|()| sum.value())
        })
        .await
        .map_err(io::Error::other)??;
        Ok((range, crc64))
    }
}

impl Ranges {
    /// Verifies the checksum of the whole ciphertext, and the MD5 of the plaintext if the metadata
    /// has one.
    fn verify(&self, envelope: &Envelope) -> Result<(), TransferError> {
        let mut crc64 = 0;
        for range in &self.all {
            // Every range is either in the journal or was downloaded.
            let sum = self.sums.get(&range.start).copied().unwrap_or_default();
            crc64 = Crc64::combined(crc64, sum, range.end.saturating_sub(range.start));
        }
        check_crc64(self.meta.crc64, crc64)?;
        if envelope.plain_md5().is_none() {
            return Ok(());
        }
        let (mut check, mut at, mut chunk) = (PlainCheck::new(envelope), 0, vec![0; 1 << 20]);
        loop {
            let read = self.file.read_some_at(&mut chunk, at)?;
            let Some(plain) = chunk.get(..read).filter(|plain| !plain.is_empty()) else { break };
            check.update(plain);
            at = at.saturating_add(read as u64);
        }
        Ok(check.finish()?)
    }
}

/// Returns a text that differs from one content key to another and reveals nothing of either: a
/// hash of the start of the keystream.
fn fingerprint(cipher: &CtrCipher) -> String {
    let mut keystream = Zeroizing::new([0; 64]);
    cipher.at(0).apply(keystream.as_mut_slice());
    let digest = Sha256::digest(keystream.as_slice());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
