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

/// One object to be read.
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

/// An object that was found, with its bytes on their way.
#[expect(missing_debug_implementations, reason = "a stream has nothing to show")]
pub struct Opened<'a> {
    /// What the store says of it.
    pub head: Head,
    /// What its metadata says; `None` for plaintext, where that was allowed.
    pub envelope: Option<Envelope>,
    /// Which bytes of the plaintext come, where that is known before.
    pub bytes: Option<Range<u64>>,
    body: PlainBody<'a>,
}

/// Bytes on their way, that may turn out wrong.
type PlainBody<'a> = BoxStream<'a, Result<Bytes, TransferError>>;

impl<'a> Get<'a> {
    /// The object under `key`.
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

    /// Takes an object without encryption metadata as it is. Whoever can strip metadata can then pass
    /// off whatever they like.
    #[must_use]
    pub const fn allow_plaintext(mut self) -> Self {
        self.allow_plaintext = true;
        self
    }

    /// Allows a range of an AES-GCM object, whose tag is then not checked.
    #[must_use]
    pub const fn allow_unauthenticated_range(mut self) -> Self {
        self.allow_unauthenticated_range = true;
        self
    }

    /// Fetches a large object to a file in ranges of so many bytes, 8 MiB by default.
    #[must_use]
    pub const fn part_size(mut self, bytes: u64) -> Self {
        self.part_size = if bytes < 16 { 16 } else { bytes & !15 };
        self
    }

    /// So many ranges are in memory and under way at once, 4 by default.
    #[must_use]
    pub const fn in_flight(mut self, ranges: usize) -> Self {
        self.in_flight = if ranges == 0 { 1 } else { ranges };
        self
    }

    /// Goes on so often where a body breaks off. Everything else is tried again by the store.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Tells of events as they happen.
    #[must_use]
    pub fn on_event(mut self, tell: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(tell);
        self
    }

    /// Opens the whole object. Headers and bytes come with one answer. At the end of the stream everything is checked that
    /// can be: the length, the store's checksum, GCM's tag, CBC's padding, the MD5 that the metadata
    /// says. **Until then nothing is.**
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

    /// Opens some bytes of the plaintext. Nothing can be checked but that they are those bytes of the same version
    /// of the object.
    ///
    /// # Errors
    /// Any [`TransferError`]; an object whose algorithm has no ranges is one of them.
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

    /// Bytes of the version that was seen.
    async fn range(&self, head: &Head, wanted: Range<u64>) -> Result<PlainBody<'a>, TransferError> {
        let object = self.store.get(&self.key, Some(wanted.clone()), tag_of(head)).await?;
        Ok(self.steady(head, wanted, object.body))
    }

    /// Goes on, with the same version, where a stream breaks.
    fn steady(&self, head: &Head, bytes: Range<u64>, body: Body) -> PlainBody<'a> {
        let (store, key, tag) = (self.store, self.key.clone(), tag_of(head).map(str::to_owned));
        let (begin, retry) = ((body, bytes, 0), self.retry);
        stream::try_unfold(begin, move |(mut body, mut left, mut failed)| {
            let (key, tag) = (key.clone(), tag.clone());
            async move {
                loop {
                    let error = match body.try_next().await {
                        Ok(None) if left.start >= left.end => return Ok(None),
                        Ok(None) => StoreError::Unavailable("the body was cut".to_owned()),
                        Ok(Some(chunk)) => {
                            left.start = left.start.saturating_add(chunk.len() as u64);
                            if left.start > left.end {
                                let words = "more bytes than were asked for".to_owned();
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

/// The tag to insist on; a file that somebody copied into a folder has none.
fn tag_of(head: &Head) -> Option<&str> {
    Some(head.etag.as_str()).filter(|tag| *tag != "\"\"")
}

/// Refuses a body of the wrong length before a byte of it is taken.
fn check_len(envelope: &Envelope, len: u64) -> Result<(), TransferError> {
    let want = envelope.plain_len().and_then(|len| envelope.content_algorithm().body_len(len));
    match want {
        Some(want) if want != len => Err(TransferError::Corrupt(format!(
            "the object has {len} bytes, but by its metadata it must have {want}"
        ))),
        _ => Ok(()),
    }
}

/// Compares the bytes as they came with the store's checksum of them.
fn summed(body: PlainBody<'_>, crc64: Option<u64>) -> PlainBody<'_> {
    let Some(crc64) = crc64 else { return body };
    let mut sum = Crc64::new();
    // The empty chunk at the end, and only there, is where the sum is complete.
    let end = stream::iter([Ok(Bytes::new())]);
    body.try_filter(|chunk| future::ready(!chunk.is_empty()))
        .chain(end)
        .and_then(move |chunk| {
            sum.update(&chunk);
            let wrong = chunk.is_empty() && sum.value() != crc64;
            let words = "other bytes came than the store says it has";
            future::ready(if wrong {
                Err(TransferError::Corrupt(words.to_owned()))
            } else {
                Ok(chunk)
            })
        })
        .boxed()
}

/// Decrypts as bytes come, and checks at the end.
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
