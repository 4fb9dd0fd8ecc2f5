//! An object as it is stored, on its way to the reader.

use std::{mem, ops::Range};

use bytes::Bytes;
use envelope_core::{Envelope, PlainCheck};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    Attributes, Error as StoreError, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, Result, path::Path,
};

use crate::{
    EncryptedStore, Error,
    attributes::{self, Found},
    error::replaced,
    stored_body::{complete, decrypt},
    written_object::WrittenObject,
};

/// Longer than the headers of any envelope, in bytes.
const MAX_INSTRUCTION: u64 = 64 * 1024;
/// How the names of instruction files end (COS Java).
const INSTRUCTION: &str = ".instruction";

impl<S: ObjectStore> EncryptedStore<S> {
    /// Reads an object, or a range of it, or only what it is.
    pub(crate) async fn read(&self, path: &Path, mut options: GetOptions) -> Result<GetResult> {
        if options.head {
            options.range = None;
        }
        let found = self.inner().get_opts(path, options.clone()).await?;
        let (envelope, found) = self.open(path, &options, found).await?;
        let policy = self.decryptor.policy();
        policy.admit(envelope.as_ref()).map_err(Error::from)?;
        let Some(envelope) = envelope else { return Ok(found) };
        if options.head {
            let len = plain_len(&envelope, found.meta.size)?;
            return Ok(result(found, len, 0..len, envelope, |_| stream::empty().boxed()));
        }
        match options.range.clone() {
            None => self.whole(path, envelope, found).await,
            Some(range) => self.range(path, &options, &range, envelope, found).await,
        }
    }

    /// Returns the envelope of an object whose headers have come, and the object. If its envelope
    /// is in another object, it is asked for again afterwards, because whoever holds one request
    /// and waits for another may wait for ever.
    async fn open(
        &self,
        path: &Path,
        options: &GetOptions,
        found: GetResult,
    ) -> Result<(Option<Envelope>, GetResult)> {
        let error = match attributes::find(&found.attributes, self.vendor)? {
            Found::Envelope(envelope) => return Ok((Some(*envelope), found)),
            Found::Nothing(None) if !self.vendor.has_instruction_files() => {
                return Ok((None, found));
            }
            Found::Nothing(error) => error,
        };
        let GetResult { payload, meta, range, attributes, .. } = found;
        drop(payload);
        let Some(file) = self.instruction_file(path).await? else {
            if let Some(error) = error {
                return Err(Error::from(error).into());
            }
            return Ok((None, self.same(path, options, &meta, &attributes, range).await?));
        };
        if options.version.is_some() {
            return Err(Error::OldInstruction.into());
        }
        let envelope = attributes::instructed(&attributes, self.vendor, &file)?;
        let found = self.same(path, options, &meta, &attributes, range).await?;
        Ok((Some(envelope), found))
    }

    /// Returns the instruction file of an object (COS Java), if it has one.
    async fn instruction_file(&self, path: &Path) -> Result<Option<Bytes>> {
        let file = Path::parse(format!("{path}{INSTRUCTION}"))?;
        match self.inner().get(&file).await {
            Ok(found) if found.meta.size <= MAX_INSTRUCTION => Ok(Some(found.bytes().await?)),
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Refuses a path at which the only key of another object is (COS Java).
    pub(crate) async fn check_replaceable(&self, path: &Path) -> Result<()> {
        let base = path.as_ref().strip_suffix(INSTRUCTION).filter(|base| !base.is_empty());
        let Some(base) = base.filter(|_| self.vendor.has_instruction_files()) else {
            return Ok(());
        };
        let Ok(base) = Path::parse(base) else { return Ok(()) };
        let head = GetOptions::new().with_head(true);
        let attributes = match self.inner().get_opts(&base, head).await {
            Ok(GetResult { attributes, .. }) => attributes,
            Err(StoreError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        match attributes::find(&attributes, self.vendor) {
            Ok(Found::Nothing(_)) if self.instruction_file(&base).await?.is_some() => {
                Err(Error::InstructionFile { path: path.to_string() }.into())
            }
            _ => Ok(()),
        }
    }

    /// Deletes objects in this order, and returns what became of each. An instruction file is
    /// deleted after all that come before it, one of which may be its object.
    pub(crate) async fn delete_in_order(&self, paths: Vec<Result<Path>>) -> Vec<Result<Path>> {
        let (mut outcomes, mut run) = (Vec::with_capacity(paths.len()), Vec::new());
        for path in paths {
            let is_plain = matches!(&path, Ok(path) if !path.as_ref().ends_with(INSTRUCTION));
            if is_plain {
                run.push(path);
                continue;
            }
            outcomes.extend(self.delete_all(mem::take(&mut run)).await);
            let checked = match path {
                Ok(path) => self.check_replaceable(&path).await.map(|()| path),
                Err(error) => Err(error),
            };
            match checked {
                Ok(path) => outcomes.extend(self.delete_all(vec![Ok(path)]).await),
                Err(error) => outcomes.push(Err(error)),
            }
        }
        outcomes.extend(self.delete_all(run).await);
        outcomes
    }

    async fn delete_all(&self, paths: Vec<Result<Path>>) -> Vec<Result<Path>> {
        if paths.is_empty() {
            return Vec::new();
        }
        self.inner().delete_stream(stream::iter(paths).boxed()).collect().await
    }

    /// Asks for bytes of the object that was seen, and not of another one under the same name.
    async fn same(
        &self,
        path: &Path,
        options: &GetOptions,
        seen: &ObjectMeta,
        attributes: &Attributes,
        bytes: Range<u64>,
    ) -> Result<GetResult> {
        let mut options = options.clone();
        // A weak tag matches nothing. It is compared below.
        let tag = seen.e_tag.clone().filter(|tag| !tag.starts_with("W/"));
        options.if_match = tag.or(options.if_match);
        if options.range.is_some() {
            if bytes.is_empty() {
                // No range has no bytes.
                let payload = GetResultPayload::Stream(stream::empty().boxed());
                let (meta, attributes) = (seen.clone(), attributes.clone());
                let extensions = Default::default();
                return Ok(GetResult { payload, meta, range: bytes, attributes, extensions });
            }
            options.range = Some(GetRange::Bounded(bytes.clone()));
        }
        let found = self.inner().get_opts(path, options).await?;
        if found.attributes != *attributes
            || (&found.meta.e_tag, found.meta.size) != (&seen.e_tag, seen.size)
        {
            return Err(replaced(path));
        }
        if found.range != bytes {
            return Err(Error::OtherBytes { want: bytes, got: found.range }.into());
        }
        Ok(found)
    }

    /// Decrypts a whole object.
    async fn whole(&self, path: &Path, envelope: Envelope, found: GetResult) -> Result<GetResult> {
        let stored = 0..found.meta.size;
        if found.range != stored {
            return Err(Error::OtherBytes { want: stored, got: found.range }.into());
        }
        let len = plain_len(&envelope, found.meta.size)?;
        let cipher = self.decryptor(path).decrypt_async(&envelope).await.map_err(Error::from)?;
        let check = PlainCheck::new(&envelope);
        Ok(result(found, len, 0..len, envelope, |body| {
            decrypt(complete(body, stored), cipher, Some(check))
        }))
    }

    /// Decrypts a range of an object, of which some bytes have come.
    async fn range(
        &self,
        path: &Path,
        options: &GetOptions,
        range: &GetRange,
        envelope: Envelope,
        mut found: GetResult,
    ) -> Result<GetResult> {
        self.decryptor.policy().admit_range(Some(&envelope)).map_err(Error::from)?;
        let len = plain_len(&envelope, found.meta.size)?;
        let wanted = range.as_range(len).map_err(|error| StoreError::Generic {
            store: "EncryptedStore",
            source: Box::new(error),
        })?;
        if found.range != wanted && len == found.meta.size {
            return Err(Error::OtherBytes { want: wanted, got: found.range }.into());
        }
        let cipher =
            self.decryptor(path).decrypt_range_async(&envelope).await.map_err(Error::from)?;
        if found.range != wanted {
            // The end of the body is not that of the plaintext.
            let (meta, attributes) = (found.meta.clone(), found.attributes.clone());
            drop(found);
            found = self.same(path, options, &meta, &attributes, wanted.clone()).await?;
        }
        Ok(result(found, len, wanted.clone(), envelope, |body| {
            let keystream = cipher.at(wanted.start);
            decrypt(complete(body, wanted), keystream, None)
        }))
    }

    /// Checks that an object can be copied by the store, which does not know of envelopes. Returns
    /// what it is, and what the copy must be like.
    pub(crate) async fn check_copyable(
        &self,
        from: &Path,
        to: &Path,
    ) -> Result<(ObjectMeta, WrittenObject)> {
        let head = GetOptions::new().with_head(true);
        let GetResult { payload, meta, attributes, .. } = self.inner().get_opts(from, head).await?;
        drop(payload);
        let envelope = match attributes::find(&attributes, self.vendor)? {
            Found::Envelope(envelope) => Some(envelope),
            Found::Nothing(error) => {
                let may_be_instructed = self.vendor.has_instruction_files() || error.is_some();
                if may_be_instructed && self.instruction_file(from).await?.is_some() {
                    return Err(Error::CopyOfInstruction.into());
                }
                if let Some(error) = error {
                    return Err(Error::from(error).into());
                }
                None
            }
        };
        self.decryptor.policy().admit(envelope.as_deref()).map_err(Error::from)?;
        if envelope.is_some_and(|envelope| envelope.is_bound_to_name()) {
            return Err(Error::NameBound.into());
        }
        let len = meta.size;
        Ok((meta, WrittenObject { path: to.clone(), attributes, len }))
    }
}

/// Returns the length of the plaintext, after the length of the body was compared with the
/// envelope.
fn plain_len(envelope: &Envelope, stored: u64) -> Result<u64, Error> {
    let len = envelope_core::plain_len(envelope, stored)?;
    len.ok_or_else(|| Error::UnknownLength(envelope.content_algorithm()))
}

/// Returns what the caller gets, with a body that `decrypt` makes of the stored one.
fn result(
    found: GetResult,
    len: u64,
    range: Range<u64>,
    envelope: Envelope,
    decrypt: impl FnOnce(BoxStream<'static, Result<Bytes>>) -> BoxStream<'static, Result<Bytes>>,
) -> GetResult {
    let (mut meta, mut extensions) = (found.meta.clone(), found.extensions.clone());
    let attributes = attributes::without_envelope(found.attributes.clone());
    meta.size = len;
    extensions.insert(envelope);
    let payload = GetResultPayload::Stream(decrypt(found.into_stream()));
    GetResult { payload, meta, range, attributes, extensions }
}
