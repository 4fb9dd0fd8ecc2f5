//! An object in a store, as the source of an upload.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;

use super::source::Source;
use crate::{Get, ObjectMeta, RetryPolicy, Store, StoreError, TransferError, body::check_crc64};

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
        let mut all = BytesMut::with_capacity(usize::try_from(len).unwrap_or_default());
        while let Some(chunk) = body.try_next().await? {
            all.extend_from_slice(&chunk);
        }
        if all.len() as u64 != len {
            return Err(StoreError::Changed.into());
        }
        Ok(all.freeze())
    }
}

/// Where the bytes of parts come from.
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

    /// Detects most changes since the upload began. Every range of an object is of one version.
    pub(super) fn check_unchanged(&self) -> Result<(), TransferError> {
        match self {
            Self::File(source) => source.check_unchanged(),
            Self::Object(_) => Ok(()),
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
