//! The service that encrypts.

use opendal_core::{
    Capability, OperationContext, Result,
    raw::{
        OpCompose, OpCopy, OpCreateDir, OpList, OpPresign, OpRead, OpRename, OpRestore, OpStat,
        OpWrite, RpCreateDir, RpPresign, RpRename, RpRestore, RpStat, Service, ServiceInfo,
        Servicer, oio,
    },
};

use crate::{
    EnvelopeLayer, Error,
    checked_copier::CheckedCopier,
    decrypted_reader::DecryptedReader,
    encrypted_writer::EncryptedWriter,
    user_metadata::{find, plain, plain_len},
};

#[derive(Debug)]
pub(crate) struct EncryptedService {
    inner: Servicer,
    layer: EnvelopeLayer,
}

impl EncryptedService {
    pub(crate) const fn new(inner: Servicer, layer: EnvelopeLayer) -> Self {
        Self { inner, layer }
    }

    fn check_writable(&self) -> Result<(), Error> {
        if self.layer.0.encryptor.is_some() { Ok(()) } else { Err(Error::ReadOnly) }
    }

    /// Returns the name of an object, to which its seal may be bound: the key under which it is
    /// stored.
    fn name(&self, path: &str) -> String {
        match self.inner.info().root().trim_matches('/') {
            "" => path.to_owned(),
            root => format!("{root}/{path}"),
        }
    }
}

impl Service for EncryptedService {
    type Reader = DecryptedReader;
    type Writer = EncryptedWriter;
    type Lister = oio::Lister;
    type Deleter = oio::Deleter;
    type Copier = CheckedCopier;
    type Composer = oio::Composer;

    fn info(&self) -> ServiceInfo {
        self.inner.info()
    }

    fn capability(&self) -> Capability {
        let (mut capability, kept) = (self.inner.capability(), self.layer.0.kept);
        let writes = self.layer.0.encryptor.is_some();
        capability.write &= writes;
        capability.delete &= writes;
        capability.write_can_multi &= kept.multipart;
        capability.copy &= kept.copy;
        capability.rename &= kept.rename;
        capability.write_can_append = false;
        capability.write_can_copy_from = false;
        capability.copy_can_multi = false;
        capability.compose = false;
        capability.restore = false;
        capability.presign = false;
        capability.presign_read = false;
        capability.presign_stat = false;
        capability.presign_write = false;
        capability.presign_delete = false;
        capability
    }

    async fn create_dir(
        &self,
        ctx: &OperationContext,
        path: &str,
        args: OpCreateDir,
    ) -> Result<RpCreateDir> {
        self.check_writable()?;
        self.inner.create_dir(ctx, path, args).await
    }

    async fn stat(&self, ctx: &OperationContext, path: &str, args: OpStat) -> Result<RpStat> {
        let metadata = self.inner.stat(ctx, path, args).await?.into_metadata();
        if metadata.is_dir() {
            return Ok(RpStat::new(metadata));
        }
        let keys = &self.layer.0;
        let envelope = find(&metadata, keys.vendor)?;
        keys.decryptor.policy().admit(envelope.as_ref()).map_err(Error::from)?;
        let Some(envelope) = envelope else { return Ok(RpStat::new(metadata)) };
        let len = plain_len(&envelope, metadata.content_length())?;
        Ok(RpStat::new(plain(&metadata, len)))
    }

    fn read(&self, ctx: &OperationContext, path: &str, args: OpRead) -> Result<Self::Reader> {
        let (inner, layer, name) = (self.inner.clone(), self.layer.clone(), self.name(path));
        Ok(DecryptedReader::new(inner, ctx.clone(), layer, path, name, args))
    }

    fn write(&self, ctx: &OperationContext, path: &str, args: OpWrite) -> Result<Self::Writer> {
        self.check_writable()?;
        if args.append() {
            return Err(Error::Bypass("appending").into());
        }
        let (inner, layer) = (self.inner.clone(), self.layer.clone());
        Ok(EncryptedWriter::new(inner, ctx.clone(), layer, path, args))
    }

    fn delete(&self, ctx: &OperationContext) -> Result<Self::Deleter> {
        self.check_writable()?;
        self.inner.delete(ctx)
    }

    fn list(&self, ctx: &OperationContext, path: &str, args: OpList) -> Result<Self::Lister> {
        self.inner.list(ctx, path, args)
    }

    fn copy(
        &self,
        ctx: &OperationContext,
        from: &str,
        to: &str,
        args: OpCopy,
    ) -> Result<Self::Copier> {
        self.check_writable()?;
        if !self.layer.0.kept.copy {
            return Err(Error::MetadataLost { way: "copies" }.into());
        }
        if args.chunk().is_some() {
            return Err(Error::MetadataLost { way: "copies in parts" }.into());
        }
        let (inner, layer) = (self.inner.clone(), self.layer.clone());
        Ok(CheckedCopier::new(inner, ctx.clone(), layer, [from, to], args))
    }

    fn compose(&self, _: &OperationContext, _: &str, _: OpCompose) -> Result<Self::Composer> {
        Err(Error::Bypass("composing").into())
    }

    async fn rename(
        &self,
        ctx: &OperationContext,
        from: &str,
        to: &str,
        args: OpRename,
    ) -> Result<RpRename> {
        self.check_writable()?;
        if !self.layer.0.kept.rename {
            return Err(Error::MetadataLost { way: "objects that are renamed" }.into());
        }
        let keys = &self.layer.0;
        let seen = self.inner.stat(ctx, from, OpStat::new()).await?.into_metadata();
        let written = keys.check_copyable(&seen)?;
        let reply = self.inner.rename(ctx, from, to, args).await?;
        keys.check_copy(&self.inner, ctx, to, &written).await?;
        Ok(reply)
    }

    // A service restores by a copy, which may be one in parts.
    async fn restore(&self, _: &OperationContext, _: &str, _: OpRestore) -> Result<RpRestore> {
        Err(Error::Bypass("restoring").into())
    }

    async fn presign(&self, _: &OperationContext, _: &str, _: OpPresign) -> Result<RpPresign> {
        Err(Error::Bypass("presigning").into())
    }
}
