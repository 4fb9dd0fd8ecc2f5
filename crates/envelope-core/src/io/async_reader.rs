//! `tokio::io::AsyncRead` adapters.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroizing;

use super::{CHUNK, ROOM, invalid, poisoned};
use crate::{BodyDecryptor, BodyEncryptor, PlainCheck, body::Transform};

/// An async reader that encrypts the data as it is read. It holds 128 KiB.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct AsyncEncryptReader<R>(CipherReader<R, BodyEncryptor>);

/// An async reader that decrypts the data as it is read. It holds 128 KiB. **Its output is
/// unverified until the end of file.**
///
/// ```
/// use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
/// use envelope_core::io::{AsyncDecryptReader, AsyncEncryptReader};
/// use tokio::io::AsyncReadExt as _;
///
/// # futures_util::FutureExt::now_or_never(async {
/// let key = AesKeyWrapper::generate()?;
/// let (envelope, cipher) = Encryptor::new(&key, Dialect::COS_V2).encrypt()?.into_inner();
/// let body = AsyncEncryptReader::new(&b"a file"[..], cipher);
///
/// let cipher = Decryptor::new(&Keyring::new().with(key)).decrypt(&envelope)?;
/// let mut plain = Vec::new();
/// AsyncDecryptReader::new(body, cipher).read_to_end(&mut plain).await?;
/// assert_eq!(plain, b"a file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct AsyncDecryptReader<R>(CipherReader<R, BodyDecryptor>);

impl<R> AsyncEncryptReader<R> {
    /// Encrypts what `inner` yields, with a cipher (from its start) or a keystream at a position.
    pub fn new(inner: R, cipher: impl Into<BodyEncryptor>) -> Self {
        Self(CipherReader::new(inner, cipher.into()))
    }
}

impl<R> AsyncDecryptReader<R> {
    /// Decrypts what `inner` yields, with a cipher (from its start) or a keystream at a position.
    pub fn new(inner: R, cipher: impl Into<BodyDecryptor>) -> Self {
        Self(CipherReader::new(inner, cipher.into()))
    }

    /// Checks the plaintext as it passes. At the end, an [`IntegrityError`](crate::IntegrityError)
    /// is returned as an [`io::Error`] of kind `InvalidData`, before the last bytes are.
    #[must_use]
    pub fn with_check(mut self, check: PlainCheck) -> Self {
        self.0.transform = self.0.transform.map(|transform| transform.with_check(check));
        self
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for AsyncEncryptReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(context, buffer)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for AsyncDecryptReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(context, buffer)
    }
}

struct CipherReader<R, T> {
    inner: R,
    /// Consumed by the end of the body.
    transform: Option<T>,
    input: Zeroizing<Vec<u8>>,
    /// The output that is ready, the first `gone` bytes of which have been read.
    ready: Zeroizing<Vec<u8>>,
    gone: usize,
    poisoned: bool,
}

// Nothing here is pinned but the inner reader, which can move.
impl<R: Unpin, T> Unpin for CipherReader<R, T> {}

impl<R, T> CipherReader<R, T> {
    fn new(inner: R, transform: T) -> Self {
        Self {
            inner,
            transform: Some(transform),
            input: Zeroizing::new(vec![0; CHUNK]),
            ready: Zeroizing::new(Vec::with_capacity(CHUNK + ROOM)),
            gone: 0,
            poisoned: false,
        }
    }
}

impl<R: AsyncRead + Unpin, T: Transform> CipherReader<R, T> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let waiting = self.ready.get(self.gone..).unwrap_or_default();
            if !waiting.is_empty() || buffer.remaining() == 0 {
                let len = waiting.len().min(buffer.remaining());
                buffer.put_slice(waiting.get(..len).unwrap_or_default());
                self.gone = self.gone.saturating_add(len);
                return Poll::Ready(Ok(()));
            }
            if self.poisoned {
                return Poll::Ready(Err(poisoned()));
            }
            if self.transform.is_none() {
                return Poll::Ready(Ok(()));
            }
            if let Err(error) = ready!(self.poll_fill(context)) {
                self.ready.clear();
                self.poisoned = true;
                return Poll::Ready(Err(error));
            }
        }
    }

    /// Reads once, into `self.ready`.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut input = ReadBuf::new(&mut self.input);
        ready!(Pin::new(&mut self.inner).poll_read(context, &mut input))?;
        let data = input.filled();
        self.gone = 0;
        if data.is_empty() {
            if let Some(transform) = self.transform.take() {
                self.ready = transform.finish().map_err(invalid)?;
            }
        } else if let Some(transform) = &mut self.transform {
            self.ready.clear();
            self.ready.extend_from_slice(data);
            transform.update(&mut self.ready).map_err(invalid)?;
        }
        Poll::Ready(Ok(()))
    }
}
