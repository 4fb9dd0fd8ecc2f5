//! Code shared by uploads and downloads.

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

/// A progress event of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// This many more bytes were transferred.
    Moved(u64),
    /// An earlier transfer was resumed; this many bytes need not be transferred again.
    Resumed(u64),
    /// An earlier upload cannot be resumed, for the given reason. It starts over with a fresh
    /// content key.
    Restarted(&'static str),
}

/// A shared buffer that collects the output of an `EncryptWriter` or a `DecryptWriter`.
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

/// The callback for events.
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

/// An error that ended an upload, a download or a rewrap.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The data received differs from the data sent or stored.
    #[error("{0}")]
    Corrupt(String),
    /// The content key cannot be unwrapped.
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
    /// No content key could be created, or the metadata cannot represent it.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The envelope of this object is in an instruction file of COS Java, which is never modified.
    #[error("the envelope is in an instruction file, which cannot be rewrapped in place")]
    Instruction,
    /// Local I/O error.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The decrypted data contradicts the metadata.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
    /// A part layout that the store does not accept.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Another process holds the lock on this transfer.
    #[error("this transfer is in use by another process")]
    Locked,
    /// The object has no encryption metadata.
    #[error("the object is not encrypted, or its metadata was stripped")]
    NotEncrypted,
    /// A part has more bytes than planned.
    #[error(transparent)]
    PartOverrun(#[from] PartOverrun),
    /// The metadata is invalid or was rejected.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The range contains no byte of the object.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The content key cannot be rewrapped.
    #[error(transparent)]
    Rewrap(#[from] RewrapError),
    /// The source file changed after the upload was created. Resuming would encrypt different bytes
    /// with the same keystream.
    #[error("the file changed after its upload began")]
    SourceChanged,
    /// The caller stopped the transfer.
    #[error("stopped")]
    Stopped,
    /// The store returned an error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dialect belongs to another vendor.
    #[error("{dialect} is not a dialect for {vendor:?}")]
    Vendor {
        /// The requested dialect.
        dialect: Dialect,
        /// The vendor of the bucket.
        vendor: Vendor,
    },
    /// The stream does not fit into ten thousand parts.
    #[error("the stream does not fit into 10000 parts of this size")]
    TooLong,
}

impl TransferError {
    /// Returns whether the same transfer can be resumed later.
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

/// Returns the envelope of an object, read from its headers or, on COS, from its instruction file.
///
/// Returns `Ok(None)` if the object has no envelope.
///
/// # Errors
/// [`TransferError::Parse`] if the envelope is rejected, or [`TransferError::Store`].
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
    /// Longer than any valid instruction file.
    const LONGEST: u64 = 64 * 1024;
    let file = match store.get(&format!("{key}.instruction"), None, None).await {
        Ok(file) if file.head.len <= LONGEST => collect(file.body).await?,
        Ok(_) | Err(StoreError::NotFound | StoreError::Denied(_)) => return Ok(parsed?),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&file);
    Ok(Some(parse_instruction(pairs(&head.headers), &text)?))
}

/// Parses the envelope in headers of any order. They are sorted first because an envelope remembers
/// the order of its headers, which a store does not preserve.
pub(crate) fn read(headers: &Headers) -> Result<Option<Envelope>, ParseError> {
    let mut sorted: Vec<_> = pairs(headers).collect();
    sorted.sort_unstable();
    parse(sorted)
}

fn pairs(headers: &Headers) -> impl Iterator<Item = (&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Reads a stream to its end.
pub(crate) async fn collect(mut body: crate::Body) -> Result<Vec<u8>, StoreError> {
    let mut all = Vec::new();
    while let Some(chunk) = body.try_next().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// Writes a stream to a file unchanged, and verifies the store's checksum.
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
        let words = "the bytes received do not match the store's checksum";
        return Err(TransferError::Corrupt(words.to_owned()));
    }
    Ok(())
}
