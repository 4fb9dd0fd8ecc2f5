//! Stores and keys that count, and stores that lie.

#![allow(clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![allow(dead_code, reason = "every test uses another part")]

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use envelope_core::{
    AesKeyWrapper, ContentKey, Envelope, IvForm, KeyWrapper, MaterialDescription, UnwrapError,
    WrapAlgorithm, WrapError, WrappedKey,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use object_store::{
    Attribute, Attributes, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, memory::InMemory, path::Path,
};

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// It drops user metadata of single uploads.
    DropOnPut,
    /// It drops user metadata of multipart uploads, as OpenDAL 0.59 does on OSS.
    DropOnMultipart,
    /// It drops user metadata of copies.
    DropOnCopy,
    /// It loses the end of the bodies of copies.
    CutCopy,
    /// It cuts every value after 40 characters.
    CutValues,
    /// It ends bodies early.
    EndEarly,
    /// It appends to bodies.
    EndLate,
    /// It returns the bytes before those that were asked for, and says so.
    OtherRange,
    /// It changes a byte of every body.
    Flip,
    /// It keeps the metadata of an object that is replaced, beside the new one.
    Merge,
    /// It keeps only the metadata of an object that is replaced.
    KeepOld,
    /// It keeps the metadata and the entity tag of an object that is replaced.
    KeepOldTag,
    /// It says that bodies are one byte longer.
    OtherLen,
    /// It answers no HEAD.
    Denied,
    /// It returns names in another case.
    UpperCase,
    /// Somebody writes another object to the source of every copy.
    ReplaceSource,
    /// Somebody writes another object after every GET.
    ReplaceAfterGet,
    /// It ignores conditions, and has no entity tags.
    NoTags,
}

/// Memory that counts what is fetched, and lies if told to.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) inner: InMemory,
    pub(crate) lie: Mutex<Option<Lie>>,
    pub(crate) gets: AtomicU64,
    pub(crate) heads: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Memory {
    pub(crate) fn tell(&self, lie: Lie) {
        *self.lie.lock().unwrap() = Some(lie);
    }

    pub(crate) fn is_told(&self, lie: Lie) -> bool {
        *self.lie.lock().unwrap() == Some(lie)
    }

    fn kept(&self, attributes: Attributes, drop: Lie) -> Attributes {
        if self.is_told(drop) {
            return Attributes::new();
        }
        if !self.is_told(Lie::CutValues) {
            return attributes;
        }
        let cut = |value: &str| value.chars().take(40).collect::<String>();
        attributes.iter().map(|(name, value)| (name.clone(), cut(value))).collect()
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

#[async_trait]
impl ObjectStore for Memory {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut opts: PutOptions,
    ) -> Result<PutResult> {
        opts.attributes = self.kept(opts.attributes, Lie::DropOnPut);
        if self.is_told(Lie::KeepOldTag) {
            // The body is replaced, but neither of the two is.
            let old = self.inner.get_opts(location, GetOptions::new()).await?;
            let (e_tag, version, extensions) = (old.meta.e_tag, None, Default::default());
            return Ok(PutResult { e_tag, version, extensions });
        }
        if self.is_told(Lie::Merge) || self.is_told(Lie::KeepOld) {
            let old = self.inner.get_opts(location, GetOptions::new()).await?.attributes;
            if self.is_told(Lie::KeepOld) {
                opts.attributes = old;
            } else {
                for (name, value) in &old {
                    if opts.attributes.get(name).is_none() {
                        opts.attributes.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        mut opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        opts.attributes = self.kept(opts.attributes, Lie::DropOnMultipart);
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, mut options: GetOptions) -> Result<GetResult> {
        if options.head {
            self.heads.fetch_add(1, Relaxed);
            if self.is_told(Lie::Denied) {
                let (path, source) = (location.to_string(), "denied".into());
                return Err(object_store::Error::PermissionDenied { path, source });
            }
            let mut found = self.inner.get_opts(location, options).await?;
            found.meta.size += u64::from(self.is_told(Lie::OtherLen));
            if self.is_told(Lie::UpperCase) {
                let upper = |(name, value): (&Attribute, &object_store::AttributeValue)| {
                    let name = match name {
                        Attribute::Metadata(name) => {
                            Attribute::Metadata(name.to_uppercase().into())
                        }
                        other => other.clone(),
                    };
                    (name, value.to_string())
                };
                found.attributes = found.attributes.iter().map(upper).collect();
            }
            return Ok(found);
        }
        if self.is_told(Lie::NoTags) {
            options.if_match = None;
        }
        self.gets.fetch_add(1, Relaxed);
        if let Some(range) = &mut options.range
            && self.is_told(Lie::OtherRange)
        {
            *range = match range.clone() {
                object_store::GetRange::Bounded(it) => (it.start - 1..it.end - 1).into(),
                object_store::GetRange::Offset(at) => (at - 1..).into(),
                object_store::GetRange::Suffix(len) => object_store::GetRange::Suffix(len + 1),
            };
        }
        let mut found = self.inner.get_opts(location, options).await?;
        found.meta.size += u64::from(self.is_told(Lie::OtherLen));
        if self.is_told(Lie::NoTags) {
            found.meta.e_tag = None;
        }
        self.bytes.fetch_add(found.range.end - found.range.start, Relaxed);
        let (meta, range) = (found.meta.clone(), found.range.clone());
        let (attributes, extensions) = (found.attributes.clone(), found.extensions.clone());
        let body = found.into_stream().try_collect::<Vec<Bytes>>().await?.concat();
        let body = match *self.lie.lock().unwrap() {
            Some(Lie::EndEarly) => body[..body.len() - 1].to_vec(),
            Some(Lie::EndLate) => [body, vec![0]].concat(),
            Some(Lie::Flip) => {
                let mut body = body;
                body[0] ^= 1;
                body
            }
            _ => body,
        };
        if self.is_told(Lie::ReplaceAfterGet) || self.is_told(Lie::NoTags) {
            let other = PutPayload::from(vec![7; meta.size as usize]);
            self.inner.put_opts(location, other, PutOptions::default()).await?;
        }
        // In pieces, as from a network.
        let pieces: Vec<_> = body.chunks(1000).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
        let payload = GetResultPayload::Stream(stream::iter(pieces).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        if self.is_told(Lie::ReplaceSource) {
            self.inner.put_opts(from, "another".into(), PutOptions::default()).await?;
        }
        if self.is_told(Lie::CutCopy) {
            let found = self.inner.get_opts(to, GetOptions::new()).await?;
            let attributes = found.attributes.clone();
            let body = found.bytes().await?;
            let body = body.slice(..body.len() - 1);
            self.inner.put_opts(to, body.into(), attributes.into()).await?;
        }
        if self.is_told(Lie::DropOnCopy) {
            let body = self.inner.get_opts(to, GetOptions::new()).await?.bytes().await?;
            self.inner.put_opts(to, body.into(), PutOptions::default()).await?;
        }
        Ok(())
    }
}

/// A key that counts how often it unwraps.
#[derive(Clone)]
pub(crate) struct CountingKey {
    pub(crate) key: AesKeyWrapper,
    pub(crate) unwraps: Arc<AtomicU64>,
}

impl CountingKey {
    pub(crate) fn generate() -> Self {
        Self { key: AesKeyWrapper::generate().unwrap(), unwraps: Arc::default() }
    }
}

impl KeyWrapper for CountingKey {
    fn description(&self) -> &MaterialDescription {
        self.key.description()
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        self.key.wraps(algorithm)
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        self.key.accepts(envelope)
    }

    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> std::result::Result<WrappedKey, WrapError> {
        self.key.wrap(key, algorithm, iv)
    }

    fn unwrap(&self, envelope: &Envelope) -> std::result::Result<ContentKey, UnwrapError> {
        self.unwraps.fetch_add(1, Relaxed);
        self.key.unwrap(envelope)
    }
}
