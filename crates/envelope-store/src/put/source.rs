//! The source file of an upload.

use std::{
    fs::{File, Metadata},
    io,
    path::Path,
    sync::Arc,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use envelope_core::{Crc64, CtrCipher, io::PositionedFile as _};
use zeroize::Zeroizing;

use crate::TransferError;

/// Number of bytes read at a time for the digest.
const CHUNK: u64 = 1 << 20;

/// An open file, with its length and modification time when it was opened.
#[derive(Clone)]
pub(super) struct Source {
    file: Arc<File>,
    len: u64,
    modified: u64,
    /// The cipher that a temporary file is encrypted with.
    cover: Option<Arc<CtrCipher>>,
}

impl Source {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    pub(super) fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            let words = "not a regular file; use `-` for a stream";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        let (len, modified) = (metadata.len(), nanoseconds(&metadata));
        Ok(Self { file: Arc::new(file), len, modified, cover: None })
    }

    /// Decrypts the file with `cover` as it is read.
    pub(super) fn covered(self, cover: CtrCipher) -> Self {
        Self { cover: Some(Arc::new(cover)), ..self }
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Reads bytes on a thread that may block.
    pub(super) async fn read(&self, start: u64, len: u64) -> Result<Vec<u8>, TransferError> {
        let own = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            own.read_into(&mut bytes, start, len).map(|()| bytes)
        });
        done.await.map_err(io::Error::other)?
    }

    /// Reads bytes on this thread, replacing the contents of the buffer.
    pub(super) fn read_into(
        &self,
        bytes: &mut Vec<u8>,
        start: u64,
        len: u64,
    ) -> Result<(), TransferError> {
        read_at(&self.file, bytes, start, len)?;
        if let Some(cover) = &self.cover {
            cover.at(start).apply(bytes);
        }
        Ok(())
    }

    /// Detects most changes since the file was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), TransferError> {
        let now = self.file.metadata()?;
        if (now.len(), nanoseconds(&now)) == (self.len, self.modified) {
            Ok(())
        } else {
            Err(TransferError::SourceChanged)
        }
    }

    /// Returns the CRC-64 of the file as it is now, in parts of this size.
    pub(super) async fn digest(&self, part_size: u64) -> Result<FileDigest, TransferError> {
        let (file, len) = (Arc::clone(&self.file), self.len);
        let done = tokio::task::spawn_blocking(move || digest(&file, len, part_size)).await;
        done.map_err(io::Error::other)?
    }
}

/// What a file was when its upload began. Its fingerprint is no secret to whoever could choose
/// bytes to fool it, because they have the plaintext.
#[derive(Clone, Debug)]
pub(super) struct FileDigest {
    /// The CRC-64 of the whole file.
    pub(super) whole: u64,
    /// The CRC-64 of each part, which is compared before the part is encrypted: the keystream of a
    /// part must never meet other bytes.
    pub(super) parts: Arc<[u64]>,
}

fn nanoseconds(metadata: &Metadata) -> u64 {
    let time = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn read_at(file: &File, bytes: &mut Vec<u8>, start: u64, len: u64) -> Result<(), TransferError> {
    bytes.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
    file.read_fully_at(bytes, start).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => TransferError::SourceChanged,
        _ => error.into(),
    })
}

fn digest(file: &File, len: u64, part_size: u64) -> Result<FileDigest, TransferError> {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let count = len.div_ceil(part_size.max(1));
    let share = count.div_ceil(threads).max(1);
    let sum = |number: u64| -> Result<Crc64, TransferError> {
        let mut at = number.saturating_mul(part_size);
        let end = at.saturating_add(part_size).min(len);
        let (mut sum, mut bytes) = (Crc64::new(), Zeroizing::new(Vec::new()));
        while at < end {
            read_at(file, &mut bytes, at, CHUNK.min(end.saturating_sub(at)))?;
            sum.update(&bytes);
            at = at.saturating_add(bytes.len() as u64);
        }
        Ok(sum)
    };
    thread::scope(|scope| {
        let starts = (0..threads).map(|n| n.saturating_mul(share)).take_while(|it| *it < count);
        let running: Vec<_> = starts
            .map(|start| {
                let numbers = start..start.saturating_add(share).min(count);
                scope.spawn(move || numbers.map(sum).collect::<Result<Vec<Crc64>, _>>())
            })
            .collect();
        let (mut whole, mut parts) = (Crc64::new(), Vec::new());
        for thread in running {
            let sums =
                thread.join().map_err(|_| io::Error::other("a checksum thread panicked"))??;
            for sum in sums {
                whole.append(&sum);
                parts.push(sum.value());
            }
        }
        Ok(FileDigest { whole: whole.value(), parts: parts.into() })
    })
}
