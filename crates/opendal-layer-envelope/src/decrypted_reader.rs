//! Reading.

use std::ops::Range;

use envelope_core::{BodyDecryptor, CtrCipher, Envelope, PlainCheck};
use opendal_core::{
    Buffer, BytesRange, ErrorKind, Metadata, OperationContext, Result, options,
    raw::{OpRead, OpReader, OpStat, RpRead, Service as _, Servicer, oio, oio::ReadStream as _},
};
use tokio::sync::OnceCell;

use crate::{
    EnvelopeLayer, Error,
    user_metadata::{find, pairs, plain, plain_len},
};

/// A reader that decrypts. It looks at the object before its first range, because most services do
/// not show metadata with the contents.
pub(crate) struct DecryptedReader {
    inner: Servicer,
    ctx: OperationContext,
    layer: EnvelopeLayer,
    path: String,
    name: String,
    args: OpRead,
    opened: OnceCell<Opened>,
}

struct Opened {
    reader: oio::Reader,
    metadata: Metadata,
    envelope: Option<Envelope>,
    /// The length of the plaintext.
    len: u64,
    /// The cipher for ranges.
    cipher: OnceCell<CtrCipher>,
    /// Whether the service was told which version to read.
    is_pinned: bool,
}

impl DecryptedReader {
    pub(crate) fn new(
        inner: Servicer,
        ctx: OperationContext,
        layer: EnvelopeLayer,
        path: &str,
        name: String,
        args: OpRead,
    ) -> Self {
        let (path, opened) = (path.to_owned(), OnceCell::new());
        Self { inner, ctx, layer, path, name, args, opened }
    }

    async fn opened(&self) -> Result<&Opened> {
        self.opened.get_or_try_init(|| self.look()).await
    }

    async fn look(&self) -> Result<Opened> {
        let text = |value: Option<&str>| value.map(str::to_owned);
        let args = &self.args;
        let version = text(args.version());
        let look =
            OpStat::from(options::StatOptions { version: version.clone(), ..Default::default() });
        let metadata = self.inner.stat(&self.ctx, &self.path, look).await?.into_metadata();
        let keys = &self.layer.0;
        let envelope = find(&metadata, keys.vendor)?;
        keys.decryptor.policy().admit(envelope.as_ref()).map_err(Error::from)?;
        let stored = metadata.content_length();
        let len = match &envelope {
            Some(envelope) => plain_len(envelope, stored)?,
            None => stored,
        };
        // What is read must be of the version that was looked at.
        let capability = self.inner.capability();
        let tag = metadata.etag().filter(|tag| {
            capability.read_with_if_match && version.is_none() && !tag.starts_with("W/")
        });
        let is_pinned = tag.is_some() || version.is_some();
        // What the caller wants is another version than the one that is there.
        if let (Some(wanted), Some(tag)) = (args.if_match(), tag)
            && wanted != "*"
            && wanted != tag
        {
            let words = "the entity tag of the object is another one";
            return Err(opendal_core::Error::new(ErrorKind::ConditionNotMatch, words));
        }
        let options = options::ReaderOptions {
            version,
            if_match: text(tag.or(args.if_match())),
            if_none_match: text(args.if_none_match()),
            if_version_match: text(args.if_version_match()),
            if_version_not_match: text(args.if_version_not_match()),
            if_modified_since: args.if_modified_since(),
            if_unmodified_since: args.if_unmodified_since(),
            ..Default::default()
        };
        let (args, _): (OpRead, OpReader) = options.into();
        let reader = self.inner.read(&self.ctx, &self.path, args)?;
        Ok(Opened { reader, metadata, envelope, len, cipher: OnceCell::new(), is_pinned })
    }

    async fn open_range(&self, range: BytesRange) -> Result<(RpRead, PlainStream)> {
        let opened = self.opened().await?;
        let stored = opened.metadata.content_length();
        let metadata = plain(&opened.metadata, opened.len);
        let (start, end) = absolute(range, opened.len)?;
        let (reply, decryptor) = (RpRead::new(metadata), self.layer.0.decryptor.clone());
        let decryptor = decryptor.with_name(self.name.as_str());
        let second_look = (!opened.is_pinned).then(|| SecondLook {
            inner: self.inner.clone(),
            ctx: self.ctx.clone(),
            path: self.path.clone(),
            seen: opened.metadata.clone(),
        });
        let (bytes, cipher) = match opened.envelope.clone() {
            None => (start..end, None),
            Some(envelope) if (start, end) == (0, opened.len) => {
                let check = PlainCheck::new(&envelope);
                let cipher = decryptor.decrypt_async(&envelope).await.map_err(Error::from)?;
                (0..stored, Some(BodyDecryptor::from(cipher).with_check(check)))
            }
            Some(envelope) => {
                let range = || decryptor.decrypt_range_async(&envelope);
                let cipher = opened.cipher.get_or_try_init(range).await.map_err(Error::from)?;
                (start..end, Some(cipher.at(start).into()))
            }
        };
        let left = bytes.end - bytes.start;
        let stream = self.stored(bytes).await?;
        Ok((reply, PlainStream { stream, left, cipher, second_look, is_ended: false }))
    }

    /// Asks for bytes as they are stored.
    async fn stored(&self, bytes: Range<u64>) -> Result<Box<dyn oio::ReadStreamDyn>> {
        if bytes.is_empty() {
            // No range has no bytes.
            return Ok(Box::new(Buffer::new()));
        }
        let opened = self.opened().await?;
        let range = BytesRange::new(bytes.start, Some(bytes.end - bytes.start));
        let (_, stream) = oio::Read::open(&opened.reader, range).await?;
        Ok(stream)
    }
}

impl oio::Read for DecryptedReader {
    async fn open(&self, range: BytesRange) -> Result<(RpRead, Box<dyn oio::ReadStreamDyn>)> {
        let (reply, stream) = self.open_range(range).await?;
        Ok((reply, Box::new(stream)))
    }

    async fn read(&self, range: BytesRange) -> Result<(RpRead, Buffer)> {
        let (reply, mut stream) = self.open_range(range).await?;
        Ok((reply, stream.read_all().await?))
    }
}

/// Looks at an object once more, in a service that has nothing to tell one version from another.
struct SecondLook {
    inner: Servicer,
    ctx: OperationContext,
    path: String,
    seen: Metadata,
}

impl SecondLook {
    async fn compare(&self) -> Result<()> {
        let stat = self.inner.stat(&self.ctx, &self.path, OpStat::new()).await?;
        let (now, seen) = (stat.into_metadata(), &self.seen);
        let is_same = now.content_length() == seen.content_length()
            && now.last_modified() == seen.last_modified()
            && now.etag() == seen.etag()
            && pairs(&now) == pairs(seen);
        if is_same { Ok(()) } else { Err(Error::Replaced.into()) }
    }
}

/// Returns the first byte of a range of the plaintext, and the one after the last.
fn absolute(range: BytesRange, len: u64) -> Result<(u64, u64)> {
    if range.is_suffix() {
        return Ok((len.saturating_sub(range.size().unwrap_or(len)), len));
    }
    let start = range.offset();
    let end = range.size().map_or(len, |size| start.saturating_add(size));
    if start > len || end > len {
        let words = format!("bytes {start}..{end} were asked for, and the object has {len}");
        return Err(opendal_core::Error::new(ErrorKind::RangeNotSatisfied, words));
    }
    Ok((start, end))
}

/// Plaintext that arrives piece by piece, and may turn out to be invalid at the end.
struct PlainStream {
    stream: Box<dyn oio::ReadStreamDyn>,
    /// The bytes of the body that are still to come.
    left: u64,
    /// `None` for what is not encrypted, and after the end.
    cipher: Option<BodyDecryptor>,
    /// What is left to do at the end, where the service pins no version.
    second_look: Option<SecondLook>,
    is_ended: bool,
}

impl oio::ReadStream for PlainStream {
    async fn read(&mut self) -> Result<Buffer> {
        loop {
            if self.is_ended {
                return Ok(Buffer::new());
            }
            let chunk = self.stream.read().await?;
            if chunk.is_empty() {
                self.is_ended = true;
                if self.left > 0 {
                    let (want, got) = (self.left, 0);
                    return Err(Error::OtherLength { want, got }.into());
                }
                if let Some(look) = self.second_look.take() {
                    look.compare().await?;
                }
                let Some(cipher) = self.cipher.take() else { return Ok(Buffer::new()) };
                let last = cipher.finish().map_err(Error::from)?;
                return Ok(Buffer::from(last.to_vec()));
            }
            let got = chunk.len() as u64;
            let Some(left) = self.left.checked_sub(got) else {
                self.is_ended = true;
                return Err(Error::OtherLength { want: self.left, got }.into());
            };
            self.left = left;
            let Some(cipher) = &mut self.cipher else { return Ok(chunk) };
            let mut data = chunk.to_vec();
            if let Err(error) = cipher.update(&mut data) {
                (self.is_ended, self.cipher) = (true, None);
                return Err(Error::from(error).into());
            }
            if !data.is_empty() {
                return Ok(Buffer::from(data));
            }
        }
    }
}
