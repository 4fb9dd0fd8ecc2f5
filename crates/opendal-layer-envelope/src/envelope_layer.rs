//! The layer.

use std::{fmt, sync::Arc};

use envelope_core::{Decryptor, Encryptor, Vendor};
use opendal_core::{
    Operator, Result,
    raw::{Layer, Servicer},
};

use crate::{
    Error, encrypted_service::EncryptedService, self_test::Kept, user_metadata::envelope_pairs,
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
        let object = encryptor.encrypt_async().await.map_err(Error::from)?;
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
