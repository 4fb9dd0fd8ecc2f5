//! Streams of byte buffers that are encrypted or decrypted.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use zeroize::Zeroizing;

use crate::{BodyDecryptor, BodyEncryptor, IntegrityError, PlainCheck, body::Transform};

/// A stream whose buffers are encrypted as they pass. It holds one buffer at a time.
///
/// The error type of the inner stream must be able to express an [`IntegrityError`], which reports
/// that the plaintext is longer than the content algorithm allows.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct EncryptStream<S>(CipherStream<S, BodyEncryptor>);

/// A stream whose buffers are decrypted as they pass. It holds one buffer at a time. **What it
/// yields is unverified until it has ended without an error.**
///
/// ```
/// use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, IntegrityError, Keyring};
/// use envelope_core::io::{DecryptStream, EncryptStream};
/// use futures_util::{StreamExt as _, TryStreamExt as _, stream};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let key = AesKeyWrapper::generate()?;
/// let (envelope, cipher) = Encryptor::new(&key, Dialect::COS_V2).encrypt()?.into_inner();
/// let pieces = stream::iter(["a ", "file"]).map(|piece| Ok::<_, IntegrityError>(piece.into()));
/// let body = EncryptStream::new(pieces, cipher);
///
/// let cipher = Decryptor::new(&Keyring::new().with(key)).decrypt(&envelope)?;
/// let plain: Vec<_> = DecryptStream::new(body, cipher).try_collect().await?;
/// assert_eq!(plain.concat(), b"a file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct DecryptStream<S>(CipherStream<S, BodyDecryptor>);

impl<S> EncryptStream<S> {
    /// Encrypts what `inner` yields, with a cipher (from its start) or a keystream at a position.
    pub fn new(inner: S, cipher: impl Into<BodyEncryptor>) -> Self {
        Self(CipherStream { inner, transform: Some(cipher.into()) })
    }
}

impl<S> DecryptStream<S> {
    /// Decrypts what `inner` yields, with a cipher (from its start) or a keystream at a position.
    pub fn new(inner: S, cipher: impl Into<BodyDecryptor>) -> Self {
        Self(CipherStream { inner, transform: Some(cipher.into()) })
    }

    /// Checks the plaintext as it passes. The last bytes are yielded only once the plaintext has
    /// been verified.
    #[must_use]
    pub fn with_check(mut self, check: PlainCheck) -> Self {
        self.0.transform = self.0.transform.map(|transform| transform.with_check(check));
        self
    }
}

impl<S, E> Stream for EncryptStream<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: From<IntegrityError>,
{
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(context)
    }
}

impl<S, E> Stream for DecryptStream<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: From<IntegrityError>,
{
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(context)
    }
}

struct CipherStream<S, T> {
    inner: S,
    /// Gone after the end and after any error, so that nothing is yielded after that.
    transform: Option<T>,
}

// Nothing here is pinned but the inner stream, which can move.
impl<S: Unpin, T> Unpin for CipherStream<S, T> {}

impl<S, E, T> CipherStream<S, T>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: From<IntegrityError>,
    T: Transform,
{
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, E>>> {
        while let Some(transform) = &mut self.transform {
            let step = match ready!(Pin::new(&mut self.inner).poll_next(context)) {
                Some(Ok(chunk)) => {
                    // In place, unless somebody else holds the buffer, too.
                    let mut data = Zeroizing::new(Vec::from(chunk));
                    let ready = transform.update(&mut data);
                    ready.map(|()| Bytes::from(mem::take(&mut *data))).map_err(E::from)
                }
                Some(Err(error)) => Err(error),
                None => match self.transform.take().map(Transform::finish) {
                    Some(Ok(last)) => Ok(Bytes::copy_from_slice(&last)),
                    Some(Err(error)) => Err(error.into()),
                    None => Ok(Bytes::new()),
                },
            };
            match step {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(Ok(data))),
                Err(error) => {
                    self.transform = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }
}
