//! Downloads to files: in concurrent ranges, and resumable.

use std::{collections::BTreeMap, fs::File, io, ops::Range, path::Path, sync::Arc, time::Duration};

use envelope_core::{
    ContentAlgorithm, Crc64, CtrCipher, Decryptor, Envelope, PlainCheck, Stretch, StretchHasher,
    check_body_len, io::PositionedFile as _,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::{io::AsyncWriteExt as _, task::spawn_blocking};
use zeroize::Zeroizing;

use super::{
    Get,
    download_journal::{DownloadJournal, First},
    tag_of,
};
use crate::{
    Event, ObjectMeta, OutputError, OutputFile, TransferError, body::check_crc64,
    budget::memory_for, object_name::named,
};

/// The longest object of either store, in bytes: ten thousand parts of 5 GiB.
const MAX_LEN: u64 = 10_000 * (5 << 30);
/// The number of bytes read from a file at a time.
const CHUNK: usize = 1 << 20;
/// The number of bytes that are hashed and decrypted at a time, small enough for the cache.
const PIECE: usize = 256 << 10;

/// An AES-CTR object that is downloaded in ranges.
struct Ranges {
    meta: ObjectMeta,
    cipher: Arc<CtrCipher>,
    file: Arc<File>,
    /// The path of the output, for errors.
    path: Arc<Path>,
    all: Vec<Range<u64>>,
    /// The ranges that are here, by their start.
    here: BTreeMap<u64, Hashed>,
}

/// The checksum and the hash of the ciphertext of a range.
#[derive(Clone)]
struct Hashed {
    crc64: u64,
    /// For the seal, if it covers the body.
    stretch: Option<Stretch>,
}

/// Computes it, piece by piece.
struct RangeHasher {
    sum: Crc64,
    stretch: Option<StretchHasher>,
}

impl RangeHasher {
    fn new(cipher: &CtrCipher, range: &Range<u64>) -> Self {
        let stretch = cipher.body_hasher().map(|hasher| hasher.stretch(range.clone()));
        Self { sum: Crc64::new(), stretch }
    }

    fn update(&mut self, body: &[u8]) {
        self.sum.update(body);
        if let Some(stretch) = &mut self.stretch {
            stretch.update(body);
        }
    }

    fn finish(self) -> Hashed {
        let stretch = self.stretch.and_then(StretchHasher::finish);
        Hashed { crc64: self.sum.value(), stretch }
    }
}

impl Get {
    /// Downloads an object to a file that is not published yet. A large AES-CTR object is fetched
    /// in several concurrent ranges; if the file is
    /// [resumable](crate::OutputOptions::with_resumable), a later run fetches only the missing
    /// ones, after it has compared what is in the file with the checksums in its journal.
    ///
    /// Everything available is verified: if this returns `Ok`, the file is complete and correct,
    /// and [`OutputFile::commit`] gives it its name. Otherwise, nothing is left of it but what a
    /// later run can resume. What an earlier run left is not touched until the object and the key
    /// are known to be right.
    ///
    /// If the future is dropped, a later run resumes the download.
    ///
    /// # Errors
    /// Any [`TransferError`]; [`TransferError::Output`] names the file.
    pub async fn to_file(
        &self,
        decryptor: &Decryptor,
        output: &OutputFile,
    ) -> Result<ObjectMeta, TransferError> {
        if self.listed_len.is_some_and(|len| len <= self.part_size) {
            return self.as_a_whole(decryptor, output).await;
        }
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
            let cipher = named(decryptor, &self.key).decrypt_ctr_async(envelope).await?;
            self.warn_of_short_key(cipher.key_bits());
            return self.in_ranges(meta, envelope, cipher, output).await;
        }
        self.as_a_whole(decryptor, output).await
    }

    async fn as_a_whole(
        &self,
        decryptor: &Decryptor,
        output: &OutputFile,
    ) -> Result<ObjectMeta, TransferError> {
        let result = self.decrypt(decryptor).await?;
        // An earlier run may have left ranges of another version here.
        output.restart()?;
        let fail = |error| output.fail(error);
        let mut file = tokio::fs::File::from_std(own(output)?);
        let meta = result.meta.clone();
        let mut body = result.into_stream();
        while let Some(chunk) = body.try_next().await? {
            file.write_all(&chunk).await.map_err(fail)?;
        }
        file.flush().await.map_err(fail)?;
        Ok(meta)
    }

    async fn in_ranges(
        &self,
        meta: ObjectMeta,
        envelope: &Envelope,
        cipher: CtrCipher,
        output: &OutputFile,
    ) -> Result<ObjectMeta, TransferError> {
        if meta.len > MAX_LEN {
            let words = format!("no store has objects of {} bytes", meta.len);
            return Err(TransferError::Corrupt(words));
        }
        let fail = |error| output.fail(error);
        let file = own(output)?;
        // A file that is missing or short does not hold what its journal says.
        let whole = file.metadata().map_err(fail)?.len() == meta.len;
        let first = First {
            envelope_download: 1,
            key: self.key.clone(),
            etag: meta.etag.clone(),
            len: meta.len,
            range: self.part_size,
            content_key: fingerprint(&cipher),
        };
        let journal = match output.journal_path() {
            Some(path) => Some(DownloadJournal::open(path, &first, whole).await?),
            None => None,
        };
        let noted = journal.as_ref().map(|journal| journal.done.clone()).unwrap_or_default();
        if noted.is_empty() {
            file.set_len(0).map_err(fail)?;
        }
        file.set_len(meta.len).map_err(fail)?;
        let step = usize::try_from(self.part_size).map_err(io::Error::other)?;
        let all: Vec<Range<u64>> = (0..meta.len)
            .step_by(step)
            .map(|start| start..start.saturating_add(self.part_size).min(meta.len))
            .collect();
        let mut ranges = Ranges {
            meta,
            cipher: Arc::new(cipher),
            file: Arc::new(file),
            path: output.path().into(),
            all,
            here: BTreeMap::new(),
        };
        ranges.here = ranges.proven(noted).await?;
        self.fetch(&mut ranges, journal.as_ref()).await?;
        let outcome = ranges.verify(envelope).await;
        // Complete or useless: either way, there is nothing to resume.
        if let Some(journal) = output.journal_path() {
            std::fs::remove_file(journal).map_err(fail)?;
        }
        outcome.map(|()| ranges.meta)
    }

    /// Downloads the ranges that are missing.
    async fn fetch(
        &self,
        ranges: &mut Ranges,
        journal: Option<&DownloadJournal>,
    ) -> Result<(), TransferError> {
        let is_here = |range: &&Range<u64>| ranges.here.contains_key(&range.start);
        let len = |range: &Range<u64>| range.end.saturating_sub(range.start);
        let resumed: u64 = ranges.all.iter().filter(is_here).map(len).sum();
        if resumed > 0 {
            self.listener.notify(Event::Resumed(resumed));
        }
        let missing: Vec<_> = ranges.all.iter().filter(|it| !is_here(it)).cloned().collect();
        let (meta, file) = (ranges.meta.clone(), Arc::clone(&ranges.file));
        let path = Arc::clone(&ranges.path);
        let mut coming = stream::iter(missing)
            .map(|range| {
                let (cipher, file) = (Arc::clone(&ranges.cipher), Arc::clone(&file));
                self.fetch_one(&meta, cipher, file, Arc::clone(&path), range)
            })
            .buffer_unordered(self.concurrency);
        let outcome = async {
            while let Some((range, hashed)) = coming.try_next().await? {
                if let Some(journal) = journal {
                    let file = Arc::clone(&file);
                    let synced = spawn_blocking(move || file.sync_data()).await;
                    synced.map_err(io::Error::other)?.map_err(|error| fail(&path, error))?;
                    journal.note(range.start, hashed.crc64).await?;
                }
                ranges.here.insert(range.start, hashed);
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
        path: Arc<Path>,
        range: Range<u64>,
    ) -> Result<(Range<u64>, Hashed), TransferError> {
        let len = range.end.saturating_sub(range.start);
        let _memory = memory_for(&*self.store, len).await;
        let mut body = self.range(meta, range.clone()).await?;
        let len = usize::try_from(len);
        // Allocated at once: growing it would leave plaintext behind, and so would dropping it.
        let mut bytes = Zeroizing::new(Vec::with_capacity(len.map_err(io::Error::other)?));
        while let Some(chunk) = body.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        let own = range.clone();
        let hashed = spawn_blocking(move || {
            let (mut hasher, mut keystream) =
                (RangeHasher::new(&cipher, &own), cipher.at(own.start));
            // The bytes are still in the cache when they are decrypted.
            for piece in bytes.chunks_mut(PIECE) {
                hasher.update(piece);
                keystream.apply(piece);
            }
            file.overwrite_at(&bytes, own.start).map(|()| hasher.finish())
        })
        .await
        .map_err(io::Error::other)?
        .map_err(|error| fail(&path, error))?;
        Ok((range, hashed))
    }
}

impl Ranges {
    /// Returns those of the noted ranges whose bytes in the file are the ones that were noted. A
    /// journal says what was written, not what is there now.
    async fn proven(
        &self,
        noted: BTreeMap<u64, u64>,
    ) -> Result<BTreeMap<u64, Hashed>, TransferError> {
        let (cipher, file) = (Arc::clone(&self.cipher), Arc::clone(&self.file));
        let mut noted_ranges = Vec::new();
        for range in &self.all {
            noted_ranges.extend(noted.get(&range.start).map(|sum| (range.clone(), *sum)));
        }
        let proven = spawn_blocking(move || {
            let mut proven = BTreeMap::new();
            for (range, sum) in noted_ranges {
                let hashed = hash_ciphertext(&cipher, &file, &range)?;
                if hashed.crc64 == sum {
                    proven.insert(range.start, hashed);
                }
            }
            Ok(proven)
        });
        let proven: io::Result<_> = proven.await.map_err(io::Error::other)?;
        Ok(proven.map_err(|error| fail(&self.path, error))?)
    }

    /// Verifies the checksum of the whole ciphertext, the seal, and the MD5 of the plaintext if the
    /// metadata has one.
    async fn verify(&self, envelope: &Envelope) -> Result<(), TransferError> {
        let mut crc64 = 0;
        for range in &self.all {
            // Every range is either in the journal or was downloaded.
            let sum = self.here.get(&range.start).map_or(0, |hashed| hashed.crc64);
            crc64 = Crc64::combined(crc64, sum, range.end.saturating_sub(range.start));
        }
        check_crc64(self.meta.crc64, crc64)?;
        self.cipher.check_body(self.here.values().filter_map(|it| it.stretch.clone()))?;
        if envelope.plain_md5().is_none() {
            return Ok(());
        }
        let (mut check, file) = (PlainCheck::new(envelope), Arc::clone(&self.file));
        let checked = spawn_blocking(move || {
            let (mut at, mut chunk) = (0, Zeroizing::new(vec![0; CHUNK]));
            loop {
                let read = file.read_some_at(&mut chunk, at)?;
                let Some(plain) = chunk.get(..read).filter(|plain| !plain.is_empty()) else {
                    return Ok(check);
                };
                check.update(plain);
                at = at.saturating_add(read as u64);
            }
        });
        let check: io::Result<_> = checked.await.map_err(io::Error::other)?;
        Ok(check.map_err(|error| fail(&self.path, error))?.finish()?)
    }
}

/// Hashes the ciphertext of which a range of a file is the plaintext.
fn hash_ciphertext(cipher: &CtrCipher, file: &File, range: &Range<u64>) -> io::Result<Hashed> {
    let (mut hasher, mut at) = (RangeHasher::new(cipher, range), range.start);
    let mut chunk = Zeroizing::new(vec![0; CHUNK]);
    while at < range.end {
        let left = usize::try_from(range.end.saturating_sub(at)).unwrap_or(CHUNK);
        let piece = chunk.get_mut(..left.min(CHUNK)).unwrap_or_default();
        file.read_fully_at(piece, at)?;
        cipher.at(at).apply(piece);
        hasher.update(piece);
        at = at.saturating_add(piece.len() as u64);
    }
    Ok(hasher.finish())
}

/// Returns the file of an output, with a cursor of its own.
fn own(output: &OutputFile) -> Result<File, OutputError> {
    let file = output.file().ok_or_else(|| output.fail(io::ErrorKind::Unsupported.into()))?;
    file.try_clone().map_err(|error| output.fail(error))
}

fn fail(path: &Path, source: io::Error) -> OutputError {
    OutputError::Io { path: path.to_owned(), source }
}

/// Returns a text that differs from one content key to another and reveals nothing of either: a
/// hash of the start of the keystream.
fn fingerprint(cipher: &CtrCipher) -> String {
    let mut keystream = Zeroizing::new([0; 64]);
    cipher.at(0).apply(keystream.as_mut_slice());
    let digest = Sha256::digest(keystream.as_slice());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
