//! What uploads and downloads have in common.

use std::{
    fmt,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use envelope_core::{
    Crc64, DecryptError, EncryptError, IntegrityError, PartOverrun, RangeError, RewrapError,
};
use futures_util::TryStreamExt as _;
use meta_codec::{
    Dialect, Envelope, LayoutError, ParseError, Reason, Vendor, parse, parse_instruction,
};
use tokio::io::AsyncWriteExt as _;

use crate::{Head, Headers, Store, StoreError};

/// Something that happened on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// So many more bytes are where they belong.
    Moved(u64),
    /// An earlier transfer goes on; so many bytes need not be moved again.
    Resumed(u64),
    /// An earlier upload cannot go on; all begins anew, with a fresh content key.
    Restarted(&'static str),
}

/// What an `EncryptWriter` or a `DecryptWriter` writes to, until somebody takes it.
#[derive(Clone, Default)]
pub(crate) struct Tap(Arc<Mutex<Vec<u8>>>);

impl Tap {
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Who is told of events.
#[derive(Clone)]
pub(crate) struct Listener(Arc<dyn Fn(Event) + Send + Sync>);

impl Listener {
    pub(crate) fn new(tell: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn tell(&self, event: Event) {
        (self.0)(event);
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

/// Why an object did not go up or come down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// What arrived is not what was sent, or what is stored is not what was stored.
    #[error("{0}")]
    Corrupt(String),
    /// The content key does not come out.
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
    /// There is no content key, or no way to say it in metadata.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The envelope of this object is in a file of COS Java beside it, and stays there.
    #[error("the envelope is in an instruction file, which is not rewrapped in place")]
    Instruction,
    /// A file of this machine.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What was decrypted is not what the metadata says.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
    /// Parts that the store does not take.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Another process has this transfer in hand.
    #[error("another process is at this transfer")]
    Locked,
    /// No encryption metadata.
    #[error("the object is not encrypted, or its metadata was stripped")]
    NotEncrypted,
    /// More bytes in a part than its plan has.
    #[error(transparent)]
    PartOverrun(#[from] PartOverrun),
    /// Metadata that is refused.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// No byte of the object is in the range.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The content key is not wrapped anew.
    #[error(transparent)]
    Rewrap(#[from] RewrapError),
    /// The file that is uploaded is not what it was when the upload began. To go on would encrypt other bytes with
    /// the same keystream.
    #[error("the file changed since its upload began")]
    SourceChanged,
    /// The caller wanted no more.
    #[error("stopped")]
    Stopped,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A dialect of the other vendor.
    #[error("{dialect} is not a dialect for {vendor:?}")]
    Vendor {
        /// The dialect that was asked for.
        dialect: Dialect,
        /// The vendor of the bucket.
        vendor: Vendor,
    },
    /// A stream of more bytes than ten thousand parts hold.
    #[error("the stream is longer than 10000 parts of this size")]
    TooLong,
}

impl TransferError {
    /// Whether the same transfer may go on later from where it is.
    #[must_use]
    pub const fn is_resumable(&self) -> bool {
        matches!(
            self,
            Self::Io(_)
                | Self::Stopped
                | Self::Store(StoreError::Unavailable(_) | StoreError::Io(_))
        )
    }
}

/// The envelope of an object: in its headers, or else, for COS, in the instruction file beside it.
///
/// `Ok(None)` is an object without.
///
/// # Errors
/// [`TransferError::Parse`] if it is refused, [`TransferError::Store`].
pub async fn envelope_of(
    store: &dyn Store,
    key: &str,
    head: &Head,
) -> Result<Option<Envelope>, TransferError> {
    let parsed = read(&head.headers);
    let instructed = match &parsed {
        Ok(None) => store.vendor() == Some(Vendor::Cos),
        Err(error) => *error.reason() == Reason::PerhapsInstruction,
        Ok(Some(_)) => false,
    };
    if !instructed {
        return Ok(parsed?);
    }
    /// More than the headers of any envelope.
    const LONGEST: u64 = 64 * 1024;
    let file = match store.get(&format!("{key}.instruction"), None, None).await {
        Ok(file) if file.head.len <= LONGEST => collect(file.body).await?,
        Ok(_) | Err(StoreError::NotFound | StoreError::Denied(_)) => return Ok(parsed?),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&file);
    Ok(Some(parse_instruction(pairs(&head.headers), &text)?))
}

/// What headers say, in whichever order: an envelope remembers the order that it was found in, and a
/// store does not keep it.
pub(crate) fn read(headers: &Headers) -> Result<Option<Envelope>, ParseError> {
    let mut sorted: Vec<_> = pairs(headers).collect();
    sorted.sort_unstable();
    parse(sorted)
}

fn pairs(headers: &Headers) -> impl Iterator<Item = (&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// All bytes of a stream.
pub(crate) async fn collect(mut body: crate::Body) -> Result<Vec<u8>, StoreError> {
    let mut all = Vec::new();
    while let Some(chunk) = body.try_next().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// Writes a stream to a file, as it is, and compares it with the store's checksum.
pub(crate) async fn collect_to(
    mut body: crate::Body,
    path: &Path,
    crc64: Option<u64>,
) -> Result<(), TransferError> {
    let mut file = tokio::fs::File::create(path).await?;
    let mut sum = Crc64::new();
    while let Some(chunk) = body.try_next().await? {
        sum.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    if crc64.is_some_and(|crc64| crc64 != sum.value()) {
        let words = "other bytes came than the store says it has";
        return Err(TransferError::Corrupt(words.to_owned()));
    }
    Ok(())
}
