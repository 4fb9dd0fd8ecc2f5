//! The layer.

use std::{fmt, sync::Arc};

use envelope_core::{Decryptor, Encryptor, Envelope, Vendor};
use opendal_core::{
    Metadata, OperationContext, Operator, Result, options,
    raw::{Layer, OpStat, Service as _, Servicer},
};

use crate::{
    Error,
    encrypted_service::EncryptedService,
    master_key,
    self_test::Kept,
    user_metadata::{Pairs, difference, envelope_pairs, find, pairs},
};

/// A layer that encrypts what is written, and decrypts what is read.
///
/// * **Reading** costs one `stat` for each reader, because most services do not show metadata with
///   the contents, and one operation with the master key. What may be read is decided by the
///   [policy](envelope_core::Policy) of the decryptor; by default it refuses objects that are not
///   encrypted. An object that is read as a whole, with one request, is checked with everything
///   that there is to check; **what comes before the end is unverified**. Ranges are not
///   authenticated, and neither is what OpenDAL reads in chunks, because these are ranges.
/// * **One version**: all of a reader is of the version that was looked at, by its entity tag. In a
///   service without entity tags the object is looked at once more after each range, and the layer
///   writes no object where there is one already, because such services, like folders, replace
///   objects piece by piece: delete it first.
/// * **Writing** looks at the object afterwards, with one `stat`. Chunks of a writer may have any
///   length and are written in order; how many are on their way at once is OpenDAL's decision. A
///   write that failed can be repeated with the same bytes only. What was refused once stays
///   refused until the writer is aborted.
/// * **Copies and renames** are those of the service, if the self-test has seen that they keep
///   metadata, and are looked at, too. Copies in parts are refused: they have no metadata.
/// * **Sizes** are those of the plaintext. In listings they are those of the bodies: 16 bytes more
///   than the plaintext of an AES-GCM object, which other programs wrote.
/// * **Retries** belong below this layer. Above it, `RetryLayer` works, too, but goes on with
///   ranges where a whole object was being read, and nothing authenticates those.
/// * Appending, presigning, composing and restoring bypass the encryption, or lose it, and are
///   refused.
#[derive(Clone)]
pub struct EnvelopeLayer(pub(crate) Arc<Keys>);

/// What the operations of the layer share.
pub(crate) struct Keys {
    pub(crate) encryptor: Option<Encryptor>,
    pub(crate) decryptor: Decryptor,
    pub(crate) vendor: Vendor,
    pub(crate) kept: Kept,
}

impl EnvelopeLayer {
    /// Creates a layer for this operator, after a self-test, which writes up to four small objects
    /// called `envelope-self-test-…` below its root, and deletes them: a few bytes each, and one of
    /// as many bytes as the smallest part of a multipart upload has. If it is interrupted, they
    /// stay. The layer is only for this operator.
    ///
    /// It reads the dialects of the vendor whose dialect the encryptor writes. The encryptor must
    /// not state the length, the parts or the MD5 of one object, nor bind its seals to one name.
    /// Seals cover the metadata, and not the contents, which are not known when it is sent.
    ///
    /// # Errors
    /// If the service keeps no user metadata of objects, or an operation of the test fails. What it
    /// loses otherwise is refused later: uploads in more than one request, copies, or renames.
    pub async fn new(
        operator: &Operator,
        encryptor: Encryptor,
        decryptor: Decryptor,
    ) -> Result<Self> {
        let vendor = encryptor.dialect().vendor();
        let mut keys = Keys { encryptor: None, decryptor, vendor, kept: Kept::default() };
        // An envelope as those of real objects will be.
        let object = master_key::encrypt(encryptor.clone()).await?;
        keys.check_readable(object.envelope())?;
        keys.kept = Kept::test(operator, &envelope_pairs(object.headers())).await?;
        keys.encryptor = Some(encryptor);
        Ok(Self(Arc::new(keys)))
    }

    /// Creates a layer that writes, copies and deletes nothing. It reads the dialects of `vendor`.
    #[must_use]
    pub fn read_only(vendor: Vendor, decryptor: Decryptor) -> Self {
        let kept = Kept::default();
        Self(Arc::new(Keys { encryptor: None, decryptor, vendor, kept }))
    }
}

impl fmt::Debug for EnvelopeLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeLayer")
            .field("dialect", &self.0.encryptor.as_ref().map(Encryptor::dialect))
            .field("policy", self.0.decryptor.policy())
            .field("kept", &self.0.kept)
            .finish_non_exhaustive()
    }
}

impl Layer for EnvelopeLayer {
    fn apply_service(&self, inner: Servicer) -> Servicer {
        Arc::new(EncryptedService::new(inner, self.clone()))
    }
}

/// What an object must be like that was written or copied.
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
        if is_name_bound(envelope) {
            return Err(Error::NameBound);
        }
        Ok(self.decryptor.policy().admit(Some(envelope))?)
    }

    /// Refuses to copy or rename what could not be read, or not under another name.
    pub(crate) fn check_copyable(&self, source: &Metadata) -> Result<WrittenObject, Error> {
        let envelope = find(source, self.vendor)?;
        self.decryptor.policy().admit(envelope.as_ref())?;
        if envelope.as_ref().is_some_and(is_name_bound) {
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

fn is_name_bound(envelope: &Envelope) -> bool {
    envelope.seal().is_some_and(|seal| seal.terms().name_bound)
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
