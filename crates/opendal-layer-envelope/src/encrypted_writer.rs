//! Writing.

use std::collections::HashMap;

use envelope_core::{CtrCipher, IntegrityError};
use opendal_core::{
    Buffer, ErrorKind, Metadata, OperationContext, Result, options,
    raw::{OpStat, OpWrite, Service as _, Servicer, oio},
};

use crate::{EnvelopeLayer, Error, user_metadata::with_envelope, written_object::WrittenObject};

/// A writer that encrypts each chunk with the keystream of its place. The first chunk waits for the
/// master key, because writers are made by a function that cannot.
pub(crate) struct EncryptedWriter {
    inner: Servicer,
    ctx: OperationContext,
    layer: EnvelopeLayer,
    path: String,
    args: OpWrite,
    begun: Option<Begun>,
}

struct Begun {
    writer: oio::Writer,
    cipher: CtrCipher,
    /// What the object must be like once it is complete. Its length is that of the chunks that the
    /// service has accepted.
    written: WrittenObject,
    has_chunk: bool,
    /// A chunk was refused, and without it the object must not be completed.
    is_broken: bool,
    /// A chunk, encrypted, that the service has perhaps taken, but has not accepted.
    failed: Option<Buffer>,
    /// What the service said when it completed the object, which it must not do again.
    closed: Option<Metadata>,
}

impl EncryptedWriter {
    pub(crate) fn new(
        inner: Servicer,
        ctx: OperationContext,
        layer: EnvelopeLayer,
        path: &str,
        args: OpWrite,
    ) -> Self {
        Self { inner, ctx, layer, path: path.to_owned(), args, begun: None }
    }

    async fn begin(&mut self) -> Result<&mut Begun> {
        if let Some(begun) = self.begun.take() {
            return Ok(self.begun.insert(begun));
        }
        let keys = &self.layer.0;
        let encryptor = keys.encryptor.as_ref().ok_or(Error::ReadOnly)?;
        let object = encryptor.encrypt_async().await.map_err(Error::from)?;
        keys.check_readable(object.envelope())?;
        let sent = with_envelope(&self.args, object.headers())?;
        let text = |value: Option<&str>| value.map(str::to_owned);
        let args = &self.args;
        let options = options::WriteOptions {
            append: false,
            cache_control: text(args.cache_control()),
            content_type: text(args.content_type()),
            content_disposition: text(args.content_disposition()),
            content_encoding: text(args.content_encoding()),
            user_metadata: Some(sent.clone().into_iter().collect::<HashMap<_, _>>()),
            if_match: text(args.if_match()),
            if_none_match: text(args.if_none_match()),
            if_version_match: text(args.if_version_match()),
            if_version_not_match: text(args.if_version_not_match()),
            if_not_exists: args.if_not_exists(),
            concurrent: args.concurrent(),
            ..Default::default()
        };
        let (args, _) = OpWrite::from_options(&self.inner.capability(), options)?;
        if !keys.kept.is_pinned {
            match self.inner.stat(&self.ctx, &self.path, OpStat::new()).await {
                Ok(_) => return Err(Error::NotReplaceable { path: self.path.clone() }.into()),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let writer = self.inner.write(&self.ctx, &self.path, args)?;
        let (envelope, cipher) = object.into_inner();
        Ok(self.begun.insert(Begun {
            writer,
            cipher,
            written: WrittenObject { envelope: Some(envelope), metadata: sent, len: 0 },
            has_chunk: false,
            is_broken: false,
            failed: None,
            closed: None,
        }))
    }
}

impl Begun {
    fn encrypt(&mut self, chunk: &Buffer, takes_many: bool) -> Result<Buffer, Error> {
        if self.has_chunk && !takes_many {
            return Err(Error::MetadataLost { way: "uploads in more than one request" });
        }
        let mut body = chunk.to_vec();
        let mut keystream = self.cipher.at(self.written.len);
        keystream.try_apply(&mut body).map_err(|_| IntegrityError::TooLong)?;
        Ok(body.into())
    }
}

impl oio::Write for EncryptedWriter {
    async fn write(&mut self, chunk: Buffer) -> Result<()> {
        let takes_many = self.layer.0.kept.multipart;
        let begun = self.begin().await?;
        if chunk.is_empty() {
            return Ok(());
        }
        let body = begun.encrypt(&chunk, takes_many).inspect_err(|_| begun.is_broken = true)?;
        // A chunk that may have arrived must not be followed by another with the same keystream.
        let is_other = |failed: &Buffer| failed.to_bytes() != body.to_bytes();
        if begun.failed.as_ref().is_some_and(is_other) {
            return Err(Error::OtherContents.into());
        }
        // Before it is handed over: who stops waiting does not know whether it has arrived.
        begun.failed = Some(body.clone());
        begun.writer.write(body).await?;
        begun.failed = None;
        begun.has_chunk = true;
        begun.written.len = begun.written.len.saturating_add(chunk.len() as u64);
        Ok(())
    }

    async fn close(&mut self) -> Result<Metadata> {
        let begun = self.begin().await?;
        if begun.is_broken || begun.failed.is_some() {
            return Err(Error::Incomplete.into());
        }
        let metadata = match &begun.closed {
            Some(metadata) => metadata.clone(),
            None => {
                let metadata = begun.writer.close().await?;
                begun.closed.insert(metadata).clone()
            }
        };
        let written = begun.written.clone();
        let keys = &self.layer.0;
        keys.check_upload(&self.inner, &self.ctx, &self.path, &written, &metadata).await?;
        Ok(metadata)
    }

    async fn abort(&mut self) -> Result<()> {
        match &mut self.begun {
            Some(begun) if begun.closed.is_none() => begun.writer.abort().await,
            _ => Ok(()),
        }
    }
}
