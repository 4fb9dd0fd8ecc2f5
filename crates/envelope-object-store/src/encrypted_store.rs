//! The store that encrypts.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use envelope_core::{Decryptor, Encryptor, Envelope, SealOptions, Vendor};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    CopyMode, CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, RenameOptions, RenameTargetMode, Result,
    list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore},
    path::Path,
};

use crate::{
    Error, attributes,
    encrypted_upload::{self, EncryptedUpload},
    error::replaced,
    written_object::WrittenObject,
};

/// As many objects as S3, OSS and COS delete with one request.
const DELETED_TOGETHER: usize = 1000;

/// An [`ObjectStore`] that encrypts what is written to another one, and decrypts what is read.
/// Clones share it.
///
/// * **Reading** takes the request that it takes without encryption: the envelope comes with the
///   first answer. (Objects without an envelope take more in a store of COS, where it may be in an
///   instruction file, and so do ranges at the end of AES-GCM objects.) What may be read is decided
///   by the [policy](envelope_core::Policy) of the decryptor; by default it refuses objects that
///   are not encrypted. A whole object is checked as it is read, with everything that there is to
///   check; **what comes before the end of the stream is unverified**. The extensions of a
///   [`GetResult`] have the [`Envelope`].
/// * **Writing** looks at the object afterwards, unless told
///   [not to](Self::without_checked_writes). Nothing is written that the policy would not allow to
///   be read. Parts of a multipart upload may be sent in any order and have any length; their
///   places are those of the calls of [`put_part`](MultipartUpload::put_part).
/// * **Copies** are made by the store underneath, and looked at, too. An object that is renamed is
///   deleted only if the copy has its envelope and its length, and only if it is still the object
///   that was copied, by a look just before. Whoever replaces it after that look loses what they
///   wrote: stores cannot delete on a condition.
/// * **Sizes** are those of the plaintext. In listings, which have no metadata, they are those of
///   the bodies: 16 bytes more than the plaintext of an AES-GCM object, which other programs wrote.
/// * **Entity tags** are those of the body, and change when an object is written again, even with
///   the same contents.
/// * **Instruction files** (COS Java) are read. They are neither replaced nor deleted as long as
///   their object needs them. An object that is deleted leaves its own behind, as in COS Java;
///   delete both, or what is stored under the name without encryption later is decrypted with it.
///
/// `MultipartStore` is not implemented: its parts have numbers but no places, without which AES-CTR
/// cannot encrypt them. Neither is `Signer`: whoever fetches the URL has no key.
pub struct EncryptedStore<S> {
    inner: Arc<S>,
    encryptor: Option<Encryptor>,
    pub(crate) decryptor: Decryptor,
    pub(crate) vendor: Vendor,
    seal: Option<SealOptions>,
    pub(crate) checks_writes: bool,
}

impl<S> EncryptedStore<S> {
    /// Creates a store over `inner`. It reads the dialects of the vendor whose dialect the
    /// encryptor writes.
    ///
    /// The encryptor must not state the [length](Encryptor::with_plain_len), the
    /// [parts](Encryptor::with_parts) or the [MD5](Encryptor::with_plain_md5) of one object:
    /// writing would fail. [Names](Decryptor::with_name) that the decryptor was given are replaced
    /// by paths.
    pub fn new(inner: S, encryptor: Encryptor, decryptor: Decryptor) -> Self {
        let vendor = encryptor.dialect().vendor();
        Self { encryptor: Some(encryptor), ..Self::read_only(inner, vendor, decryptor) }
    }

    /// Creates a store over `inner` that writes, copies and deletes nothing. It reads the dialects
    /// of `vendor`.
    pub fn read_only(inner: S, vendor: Vendor, decryptor: Decryptor) -> Self {
        Self {
            inner: Arc::new(inner),
            encryptor: None,
            decryptor,
            vendor,
            seal: None,
            checks_writes: true,
        }
    }

    /// Seals every object, and binds the seal to its path. Altered metadata, and objects that were
    /// swapped or renamed by others, are then noticed as soon as they are read, and altered
    /// contents at the end of a whole object; nothing vouches for the contents of a range. The
    /// seals of multipart uploads cover the metadata only, because it is sent before the contents
    /// are known.
    ///
    /// Whoever can write to the bucket can also remove a seal. Only the policy of the reader
    /// notices that: [`require_seal`](envelope_core::Policy::require_seal), and with it
    /// [`allow_unauthenticated_ranges`](envelope_core::Policy::allow_unauthenticated_ranges) where
    /// ranges are read.
    ///
    /// The path is the one that this store is given. If there is a `PrefixStore`, put it around
    /// this one and not inside, so that other programs know the same object by the same name. Such
    /// objects cannot be copied or renamed, because the service would copy the seal as it is.
    /// [`Encryptor::with_seal`] makes seals that are bound to no name.
    #[must_use]
    pub fn with_seal(mut self, options: SealOptions) -> Self {
        self.seal = Some(options);
        self
    }

    /// Does not look at objects after they were uploaded or copied. That saves a request for each,
    /// and the right to read objects and, where the store tells versions, versions. A store that
    /// drops metadata, or loses it on its way, then loses objects without a word. Objects that are
    /// renamed are still looked at, because the source is deleted.
    #[must_use]
    pub const fn without_checked_writes(mut self) -> Self {
        self.checks_writes = false;
        self
    }

    /// Returns the store underneath, whose objects are encrypted.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Returns the encryptor for the object at this path.
    fn encryptor(&self, location: &Path) -> Result<Encryptor, Error> {
        let encryptor = self.encryptor.clone().ok_or(Error::ReadOnly)?;
        Ok(match &self.seal {
            Some(options) => encryptor.with_seal(options.clone().with_name(location.as_ref())),
            None => encryptor,
        })
    }

    /// Returns the decryptor for the object at this path.
    pub(crate) fn decryptor(&self, location: &Path) -> Decryptor {
        self.decryptor.clone().with_name(location.as_ref())
    }

    fn check_writable(&self) -> Result<(), Error> {
        if self.encryptor.is_some() { Ok(()) } else { Err(Error::ReadOnly) }
    }

    /// Refuses to write what could not be read again, before anything is sent. The length is known
    /// for objects that are uploaded in one request.
    fn check_readable(&self, envelope: &Envelope, len: Option<u64>) -> Result<(), Error> {
        let states_another = envelope.layout().is_some()
            || envelope.plain_md5().is_some()
            || envelope.plain_len().is_some_and(|stated| Some(stated) != len);
        if states_another {
            return Err(Error::OneObject);
        }
        Ok(self.decryptor.policy().admit(Some(envelope))?)
    }
}

// Not derived, because `S` need not be `Clone`.
impl<S> Clone for EncryptedStore<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            encryptor: self.encryptor.clone(),
            decryptor: self.decryptor.clone(),
            vendor: self.vendor,
            seal: self.seal.clone(),
            checks_writes: self.checks_writes,
        }
    }
}

impl<S: fmt::Display> fmt::Display for EncryptedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptedStore({})", self.inner)
    }
}

impl<S: fmt::Debug> fmt::Debug for EncryptedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedStore")
            .field("inner", &self.inner)
            .field("dialect", &self.encryptor.as_ref().map(Encryptor::dialect))
            .field("policy", self.decryptor.policy())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for EncryptedStore<S> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut opts: PutOptions,
    ) -> Result<PutResult> {
        let len = payload.content_length() as u64;
        let encryptor = self.encryptor(location)?.with_plain_len(len);
        self.check_replaceable(location).await?;
        let mut object = encryptor.encrypt_async().await.map_err(Error::from)?;
        let mut hasher = object.body_hasher().map(|hasher| hasher.whole());
        let mut keystream = object.cipher().at(0);
        let body = encrypted_upload::encrypt(payload, &mut keystream, hasher.as_mut())?;
        if let Some(hasher) = hasher {
            object.seal_body(hasher.finish()).map_err(Error::from)?;
        }
        self.check_readable(object.envelope(), Some(len))?;
        opts.attributes = attributes::with_envelope(opts.attributes, object.headers())?;
        let (path, attributes) = (location.clone(), opts.attributes.clone());
        let result = self.inner.put_opts(location, body, opts).await?;
        self.check_upload(&WrittenObject { path, attributes, len }, &result).await?;
        Ok(result)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        mut opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let encryptor = self.encryptor(location)?;
        self.check_replaceable(location).await?;
        let object = encryptor.encrypt_async().await.map_err(Error::from)?;
        self.check_readable(object.envelope(), None)?;
        opts.attributes = attributes::with_envelope(opts.attributes, object.headers())?;
        let (path, attributes) = (location.clone(), opts.attributes.clone());
        let written = WrittenObject { path, attributes, len: 0 };
        let upload = self.inner.put_multipart_opts(location, opts).await?;
        let keystream = object.cipher().at(0);
        Ok(Box::new(EncryptedUpload::new(self.clone(), upload, keystream, written)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        if self.encryptor.is_none() {
            return locations.map(|location| location.and(Err(Error::ReadOnly.into()))).boxed();
        }
        if !self.vendor.has_instruction_files() {
            return self.inner.delete_stream(locations);
        }
        // The store must not wait for our requests while it deletes: it may allow one at a time.
        let store = self.clone();
        let deleted = locations.chunks(DELETED_TOGETHER).then(move |chunk| {
            let store = store.clone();
            async move { stream::iter(store.delete_in_order(chunk).await) }
        });
        deleted.flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.check_writable()?;
        self.check_replaceable(to).await?;
        let (_, written) = self.check_copyable(from, to).await?;
        self.inner.copy_opts(from, to, options).await?;
        if self.checks_writes { self.check_copy(&written).await } else { Ok(()) }
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.check_writable()?;
        let RenameOptions { target_mode, extensions } = options;
        let (meta, written) = self.check_copyable(from, to).await?;
        if from == to {
            // To copy it onto itself and to delete it would lose it.
            return match target_mode {
                RenameTargetMode::Overwrite => Ok(()),
                RenameTargetMode::Create => Err(StoreError::AlreadyExists {
                    path: to.to_string(),
                    source: "it is the object itself".into(),
                }),
            };
        }
        for path in [from, to] {
            self.check_replaceable(path).await?;
        }
        let mode = match target_mode {
            RenameTargetMode::Overwrite => CopyMode::Overwrite,
            RenameTargetMode::Create => CopyMode::Create,
        };
        let mut copy = CopyOptions::new().with_mode(mode);
        copy.extensions = extensions;
        self.inner.copy_opts(from, to, copy).await?;
        self.check_copy(&written).await?;
        // Somebody may have written another object in the meantime, which was not copied.
        let (still, again) = self.check_copyable(from, to).await?;
        if still != meta || again.attributes != written.attributes {
            return Err(replaced(from));
        }
        self.inner.delete(from).await
    }
}

#[async_trait]
impl<S: PaginatedListStore> PaginatedListStore for EncryptedStore<S> {
    async fn list_paginated(
        &self,
        prefix: Option<&str>,
        opts: PaginatedListOptions,
    ) -> Result<PaginatedListResult> {
        self.inner.list_paginated(prefix, opts).await
    }
}
