//! An object in a store, as the source of an upload.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;

use super::source::Source;
use crate::{Get, ObjectMeta, RetryPolicy, Store, StoreError, TransferError, body::check_crc64};

/// The largest part of a stored object that is held in memory.
const MAX_PART: u64 = 512 << 20;

/// One version of an object, whose bytes are uploaded as they are stored.
#[derive(Clone)]
pub(crate) struct StoredObject {
    get: Get,
    meta: ObjectMeta,
}

impl StoredObject {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        key: &str,
        meta: ObjectMeta,
        retry: RetryPolicy,
    ) -> Self {
        Self { get: Get::new(store, key).with_retry(retry), meta }
    }

    /// Reads bytes, all of which are in memory when this returns. Whoever held a request for them
    /// while it waits for another could wait for ever.
    async fn read(&self, bytes: Range<u64>) -> Result<Bytes, TransferError> {
        let len = bytes.end.saturating_sub(bytes.start);
        let mut body = self.get.range(&self.meta, bytes).await?;
        let mut all = BytesMut::new();
        while let Some(chunk) = body.try_next().await? {
            all.extend_from_slice(&chunk);
        }
        if all.len() as u64 != len {
            return Err(StoreError::Changed.into());
        }
        Ok(all.freeze())
    }
}

impl StoredObject {
    async fn check_unchanged(&self) -> Result<(), TransferError> {
        let now = self.get.head().await?;
        if now.is_same_version(&self.meta) { Ok(()) } else { Err(StoreError::Changed.into()) }
    }

    /// Returns the size of the parts in which an object passes through memory that states its own.
    ///
    /// # Errors
    /// If they have no room there: whoever wrote the object chose them.
    pub(crate) fn check_part_size(size: u64) -> Result<(), TransferError> {
        if size > MAX_PART { Err(TransferError::PartSize(size)) } else { Ok(()) }
    }
}

/// The source of the bytes of parts.
#[derive(Clone)]
pub(super) enum PartSource {
    File(Source),
    Object(Box<StoredObject>),
}

impl PartSource {
    pub(super) const fn len(&self) -> u64 {
        match self {
            Self::File(source) => source.len(),
            Self::Object(object) => object.meta.len,
        }
    }

    /// Reads bytes as they are.
    pub(super) async fn read(&self, bytes: Range<u64>) -> Result<Bytes, TransferError> {
        match self {
            Self::File(source) => {
                let len = bytes.end.saturating_sub(bytes.start);
                Ok(source.read(bytes.start, len).await?.into())
            }
            Self::Object(object) => object.read(bytes).await,
        }
    }

    /// Detects most changes since the upload began. Every range of an object is of one version, but
    /// a file that somebody put into a folder has no entity tag to tell them apart.
    pub(super) async fn check_unchanged(&self) -> Result<(), TransferError> {
        match self {
            Self::File(source) => source.check_unchanged(),
            Self::Object(object) => object.check_unchanged().await,
        }
    }

    /// Detects that the length is another one.
    pub(super) fn check_len(&self) -> Result<(), TransferError> {
        match self {
            Self::File(source) => source.check_len(),
            Self::Object(_) => Ok(()),
        }
    }

    /// Compares the checksum of all bytes with the one that their store reports.
    pub(super) fn check_sum(&self, crc64: u64) -> Result<(), TransferError> {
        match self {
            Self::File(_) => Ok(()),
            Self::Object(object) => check_crc64(object.meta.crc64, crc64),
        }
    }
}
