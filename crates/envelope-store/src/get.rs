//! Downloads.

mod file;
mod plain;

use std::{io::Write as _, ops::Range};

use bytes::Bytes;
use envelope_core::{BodyCipher, ByteRange, Crc64, Decryptor, PlainCheck, io::DecryptWriter};
use futures_util::{
    StreamExt as _, TryStreamExt as _, future,
    stream::{self, BoxStream},
};
use meta_codec::{ContentAlgorithm, Envelope};

use crate::{
    Body, Event, Head, Object, Retry, Store, StoreError, TransferError,
    transfer::{Listener, Tap, envelope_of},
};

/// A download of one object.
#[derive(Clone, Debug)]
pub struct Get<'a> {
    store: &'a dyn Store,
    key: String,
    allow_plaintext: bool,
    allow_unauthenticated_range: bool,
    part_size: u64,
    in_flight: usize,
    listener: Listener,
    retry: Retry,
}

/// An object whose bytes are being received.
#[expect(missing_debug_implementations, reason = "streams have no useful debug output")]
pub struct Opened<'a> {
    /// Metadata of the object, as reported by the store.
    pub head: Head,
    /// The object's envelope; `None` for plaintext, if that is allowed.
    pub envelope: Option<Envelope>,
    /// The range of the plaintext being received, if known in advance.
    pub bytes: Option<Range<u64>>,
    body: PlainBody<'a>,
}

/// A stream of bytes that may fail verification at its end.
type PlainBody<'a> = BoxStream<'a, Result<Bytes, TransferError>>;

impl<'a> Get<'a> {
    /// Creates a download of `key`.
    #[must_use]
    pub fn new(store: &'a dyn Store, key: impl Into<String>) -> Self {
        Self {
            store,
            key: key.into(),
            allow_plaintext: false,
            allow_unauthenticated_range: false,
            part_size: 8 << 20,
            in_flight: 4,
            listener: Listener::default(),
            retry: Retry::default(),
        }
    }

    /// Accepts an object without encryption metadata as plaintext. Anyone who can strip the
    /// metadata can then substitute arbitrary content.
    #[must_use]
    pub const fn allow_plaintext(mut self) -> Self {
        self.allow_plaintext = true;
        self
    }

    /// Allows a range of an AES-GCM object, whose authentication tag is then not verified.
    #[must_use]
    pub const fn allow_unauthenticated_range(mut self) -> Self {
        self.allow_unauthenticated_range = true;
        self
    }

    /// Sets the size of the ranges in which a large object is downloaded to a file, 8 MiB by
    /// default.
    #[must_use]
    pub const fn part_size(mut self, bytes: u64) -> Self {
        self.part_size = if bytes < 16 { 16 } else { bytes & !15 };
        self
    }

    /// Sets the number of ranges held in memory and downloaded concurrently, 4 by default.
    #[must_use]
    pub const fn in_flight(mut self, ranges: usize) -> Self {
        self.in_flight = if ranges == 0 { 1 } else { ranges };
        self
    }

    /// Sets the retry policy for resuming an interrupted body. The store retries all other
    /// requests.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets a callback for progress events.
    #[must_use]
    pub fn on_event(mut self, tell: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(tell);
        self
    }

    /// Opens the whole object. Headers and bytes come from a single response. The end of the stream
    /// verifies everything available: the length, the store's checksum, the GCM authentication tag,
    /// the CBC padding, and the MD5 in the metadata. **Until then, the plaintext is unverified.**
    ///
    /// # Errors
    /// Any [`TransferError`].
    pub async fn open(&self, decryptor: &Decryptor<'_>) -> Result<Opened<'a>, TransferError> {
        let Object { head, bytes, body } = self.store.get(&self.key, None, None).await?;
        let body = self.steady(&head, bytes.clone(), body);
        let envelope = self.envelope(&head).await?;
        let body = summed(body, head.crc64);
        let Some(envelope) = envelope else {
            let body = self.counted(body);
            return Ok(Opened { head, envelope: None, bytes: Some(bytes), body });
        };
        check_len(&envelope, head.len)?;
        let cipher = decryptor.open(&envelope)?;
        let plain_len = match envelope.content_algorithm() {
            ContentAlgorithm::Aes256Ctr => Some(head.len),
            _ => envelope.plain_len(),
        };
        let body = self.counted(decrypted(body, cipher, PlainCheck::new(&envelope)));
        Ok(Opened { head, envelope: Some(envelope), bytes: plain_len.map(|len| 0..len), body })
    }

    /// Opens a range of the plaintext. The only verification possible is that the bytes are that
    /// range of the same version of the object.
    ///
    /// # Errors
    /// Any [`TransferError`], including if the object's algorithm does not support ranges.
    pub async fn open_range(
        &self,
        decryptor: &Decryptor<'_>,
        range: ByteRange,
    ) -> Result<Opened<'a>, TransferError> {
        let head = self.store.head(&self.key).await?;
        let Some(envelope) = self.envelope(&head).await? else {
            let wanted = range.resolve(head.len)?;
            let body = self.range(&head, wanted.clone()).await?;
            let body = self.counted(body);
            return Ok(Opened { head, envelope: None, bytes: Some(wanted), body });
        };
        check_len(&envelope, head.len)?;
        let gcm = envelope.content_algorithm() == ContentAlgorithm::Aes256Gcm;
        let (cipher, len) = match decryptor.open(&envelope)? {
            BodyCipher::Ctr(cipher) => (cipher, head.len),
            BodyCipher::Gcm(cipher) if gcm && self.allow_unauthenticated_range => {
                let tag = envelope_core::GcmCipher::TAG_LEN as u64;
                (cipher.into_unauthenticated(), head.len.saturating_sub(tag))
            }
            _ => {
                let not_ctr = envelope_core::NotCtr(envelope.content_algorithm());
                return Err(envelope_core::DecryptError::from(not_ctr).into());
            }
        };
        let wanted = range.resolve(len)?;
        let mut keystream = cipher.at(wanted.start);
        let body = self.range(&head, wanted.clone()).await?.map_ok(move |chunk| {
            let mut chunk = Vec::from(chunk);
            keystream.apply(&mut chunk);
            Bytes::from(chunk)
        });
        let body = self.counted(body.boxed());
        Ok(Opened { head, envelope: Some(envelope), bytes: Some(wanted), body })
    }

    async fn envelope(&self, head: &Head) -> Result<Option<Envelope>, TransferError> {
        match envelope_of(self.store, &self.key, head).await? {
            None if !self.allow_plaintext => Err(TransferError::NotEncrypted),
            envelope => Ok(envelope),
        }
    }

    /// Requests a range of the version described by `head`.
    async fn range(&self, head: &Head, wanted: Range<u64>) -> Result<PlainBody<'a>, TransferError> {
        let object = self.store.get(&self.key, Some(wanted.clone()), tag_of(head)).await?;
        Ok(self.steady(head, wanted, object.body))
    }

    /// Resumes an interrupted stream from the same version of the object.
    fn steady(&self, head: &Head, bytes: Range<u64>, body: Body) -> PlainBody<'a> {
        let (store, key, tag) = (self.store, self.key.clone(), tag_of(head).map(str::to_owned));
        let (begin, retry) = ((body, bytes, 0), self.retry);
        stream::try_unfold(begin, move |(mut body, mut left, mut failed)| {
            let (key, tag) = (key.clone(), tag.clone());
            async move {
                loop {
                    let error = match body.try_next().await {
                        Ok(None) if left.start >= left.end => return Ok(None),
                        Ok(None) => StoreError::Unavailable("the body was truncated".to_owned()),
                        Ok(Some(chunk)) => {
                            left.start = left.start.saturating_add(chunk.len() as u64);
                            if left.start > left.end {
                                let words = "more bytes than requested".to_owned();
                                return Err(StoreError::Malformed(words).into());
                            }
                            return Ok(Some((chunk, (body, left, 0))));
                        }
                        Err(error) if error.is_passing() && tag.is_some() => error,
                        Err(error) => return Err(error.into()),
                    };
                    failed = u32::saturating_add(failed, 1);
                    if left.start >= left.end {
                        return Ok(None);
                    }
                    if !retry.pause(failed).await {
                        return Err(error.into());
                    }
                    let rest = store.get(&key, Some(left.clone()), tag.as_deref()).await?;
                    body = rest.body;
                }
            }
        })
        .boxed()
    }

    fn counted(&self, body: PlainBody<'a>) -> PlainBody<'a> {
        let listener = self.listener.clone();
        body.inspect_ok(move |chunk| listener.tell(Event::Moved(chunk.len() as u64))).boxed()
    }
}

/// Returns the entity tag to require. A file copied into a folder by hand has none.
fn tag_of(head: &Head) -> Option<&str> {
    Some(head.etag.as_str()).filter(|tag| *tag != "\"\"")
}

/// Rejects a body of the wrong length before any of it is read.
fn check_len(envelope: &Envelope, len: u64) -> Result<(), TransferError> {
    let want = envelope.plain_len().and_then(|len| envelope.content_algorithm().body_len(len));
    match want {
        Some(want) if want != len => Err(TransferError::Corrupt(format!(
            "the object has {len} bytes, but its metadata requires {want}"
        ))),
        _ => Ok(()),
    }
}

/// Verifies the store's checksum of the received bytes.
fn summed(body: PlainBody<'_>, crc64: Option<u64>) -> PlainBody<'_> {
    let Some(crc64) = crc64 else { return body };
    let mut sum = Crc64::new();
    // An empty chunk marks the end, where the checksum is complete; others are filtered out.
    let end = stream::iter([Ok(Bytes::new())]);
    body.try_filter(|chunk| future::ready(!chunk.is_empty()))
        .chain(end)
        .and_then(move |chunk| {
            sum.update(&chunk);
            let wrong = chunk.is_empty() && sum.value() != crc64;
            let words = "the bytes received do not match the store's checksum";
            future::ready(if wrong {
                Err(TransferError::Corrupt(words.to_owned()))
            } else {
                Ok(chunk)
            })
        })
        .boxed()
}

/// Decrypts bytes as they arrive, and verifies them at the end.
fn decrypted<'a>(body: PlainBody<'a>, cipher: BodyCipher, check: PlainCheck) -> PlainBody<'a> {
    let tap = Tap::default();
    let writer = DecryptWriter::new(tap.clone(), cipher).with_check(check);
    stream::try_unfold((body, Some(writer), tap), |(mut body, mut writer, tap)| async move {
        while let Some(mut open) = writer.take() {
            match body.try_next().await? {
                Some(chunk) => {
                    open.write_all(&chunk).map_err(plain::failure)?;
                    writer = Some(open);
                }
                None => drop(open.finish().map_err(plain::failure)?),
            }
            let plain = tap.take();
            if !plain.is_empty() {
                return Ok(Some((Bytes::from(plain), (body, writer, tap))));
            }
        }
        Ok(None)
    })
    .boxed()
}
