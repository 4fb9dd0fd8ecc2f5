//! Copies by the service, which does not know of envelopes.

use opendal_core::{
    Metadata, OperationContext, Result,
    raw::{OpCopy, OpStat, Service as _, Servicer, oio},
};

use crate::{EnvelopeLayer, Error, written_object::WrittenObject};

/// A copier that looks at the source before, and at the copy after.
pub(crate) struct CheckedCopier {
    inner: Servicer,
    ctx: OperationContext,
    layer: EnvelopeLayer,
    paths: [String; 2],
    args: OpCopy,
    begun: Option<(oio::Copier, WrittenObject)>,
    /// What the service said when it completed the copy.
    closed: Option<Metadata>,
}

impl CheckedCopier {
    pub(crate) fn new(
        inner: Servicer,
        ctx: OperationContext,
        layer: EnvelopeLayer,
        paths: [&str; 2],
        args: OpCopy,
    ) -> Self {
        let paths = paths.map(str::to_owned);
        Self { inner, ctx, layer, paths, args, begun: None, closed: None }
    }

    async fn begin(&mut self) -> Result<&mut (oio::Copier, WrittenObject)> {
        if let Some(begun) = self.begun.take() {
            return Ok(self.begun.insert(begun));
        }
        let [from, to] = &self.paths;
        let seen = self.inner.stat(&self.ctx, from, OpStat::new()).await?.into_metadata();
        let written = self.layer.0.check_copyable(&seen)?;
        // A service copies what is longer in parts, which have no metadata.
        let longest = self.inner.capability().copy_multi_max_size;
        if longest.is_some_and(|longest| written.len > longest as u64) {
            return Err(Error::MetadataLost { way: "copies in parts" }.into());
        }
        let copier = self.inner.copy(&self.ctx, from, to, self.args.clone())?;
        Ok(self.begun.insert((copier, written)))
    }
}

impl oio::Copy for CheckedCopier {
    async fn next(&mut self) -> Result<Option<usize>> {
        self.begin().await?.0.next().await
    }

    async fn close(&mut self) -> Result<Metadata> {
        let metadata = match &self.closed {
            Some(metadata) => metadata.clone(),
            None => {
                let metadata = self.begin().await?.0.close().await?;
                self.closed.insert(metadata).clone()
            }
        };
        let (_, written) = self.begin().await?;
        let written = written.clone();
        let [_, to] = &self.paths;
        self.layer.0.check_copy(&self.inner, &self.ctx, to, &written).await?;
        Ok(metadata)
    }

    async fn abort(&mut self) -> Result<()> {
        match &mut self.begun {
            Some((copier, _)) if self.closed.is_none() => copier.abort().await,
            _ => Ok(()),
        }
    }
}
