//! An object that is written, and looked at afterwards.

use envelope_core::Envelope;
use opendal_core::{
    Metadata, OperationContext, Result, options,
    raw::{OpStat, Service as _, Servicer},
};

use crate::{
    Error,
    envelope_layer::Keys,
    user_metadata::{Pairs, difference, find, pairs},
};

/// The metadata and the length that an object must have after it was written or copied.
#[derive(Clone)]
pub(crate) struct WrittenObject {
    pub(crate) envelope: Option<Envelope>,
    /// All of its user metadata.
    pub(crate) metadata: Pairs,
    /// The length of its body.
    pub(crate) len: u64,
}

impl Keys {
    /// Refuses to write what could not be read again, before anything is sent.
    pub(crate) fn check_readable(&self, envelope: &Envelope) -> Result<(), Error> {
        let states_one = envelope.layout().is_some()
            || envelope.plain_md5().is_some()
            || envelope.plain_len().is_some();
        if states_one {
            return Err(Error::OneObject);
        }
        if envelope.is_bound_to_name() {
            return Err(Error::NameBound);
        }
        Ok(self.decryptor.policy().admit(Some(envelope))?)
    }

    /// Refuses to copy or rename what could not be read, or not under another name.
    pub(crate) fn check_copyable(&self, source: &Metadata) -> Result<WrittenObject, Error> {
        let envelope = find(source, self.vendor)?;
        self.decryptor.policy().admit(envelope.as_ref())?;
        if envelope.as_ref().is_some_and(Envelope::is_bound_to_name) {
            return Err(Error::NameBound);
        }
        let (metadata, len) = (pairs(source), source.content_length());
        Ok(WrittenObject { envelope, metadata, len })
    }

    /// Looks at an object after it was copied or renamed.
    ///
    /// # Errors
    /// If the service did not keep the envelope, or all of the body, or does not say.
    pub(crate) async fn check_copy(
        &self,
        service: &Servicer,
        ctx: &OperationContext,
        path: &str,
        written: &WrittenObject,
    ) -> Result<()> {
        let seen = look(service, ctx, path, None).await?;
        Ok(written.compare(path, &seen)?)
    }

    /// Looks at an object after it was written.
    ///
    /// # Errors
    /// If the service did not keep the envelope, or all of the body, or does not say.
    pub(crate) async fn check_upload(
        &self,
        service: &Servicer,
        ctx: &OperationContext,
        path: &str,
        written: &WrittenObject,
        said: &Metadata,
    ) -> Result<()> {
        let seen = look(service, ctx, path, said.version()).await?;
        let Err(error) = written.compare(path, &seen) else { return Ok(()) };
        // Somebody may have written another object since. This one was there.
        let other = find(&seen, self.vendor).ok().flatten();
        let own = written.envelope.as_ref().map(Envelope::wrapped_key);
        let is_other = other.is_some_and(|other| Some(other.wrapped_key()) != own);
        let tags = (said.etag(), seen.etag());
        let are_other_tags = matches!(tags, (Some(sent), Some(seen)) if sent != seen);
        if is_other && are_other_tags { Ok(()) } else { Err(error.into()) }
    }
}

impl WrittenObject {
    fn compare(&self, path: &str, seen: &Metadata) -> Result<(), Error> {
        if let Some(name) = difference(&self.metadata, &pairs(seen)) {
            return Err(Error::EnvelopeLost { path: path.to_owned(), name });
        }
        let (want, got) = (self.len, seen.content_length());
        if want == got { Ok(()) } else { Err(Error::OtherLength { want, got }) }
    }
}

async fn look(
    service: &Servicer,
    ctx: &OperationContext,
    path: &str,
    version: Option<&str>,
) -> Result<Metadata> {
    let version = version.filter(|_| service.capability().stat_with_version);
    let version = version.map(str::to_owned);
    let options = options::StatOptions { version, ..Default::default() };
    match service.stat(ctx, path, OpStat::from(options)).await {
        Ok(reply) => Ok(reply.into_metadata()),
        Err(error) => {
            let (path, source) = (path.to_owned(), Box::new(error));
            Err(Error::NotChecked { path, source }.into())
        }
    }
}
