//! The interface of an object store.

use std::{fmt, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use meta_codec::Vendor;

use crate::StoreError;

/// Pairs of a lower-case header name and its value.
pub type Headers = Vec<(String, String)>;

/// The bytes of an object as a stream. A stream that ends without an error is complete.
pub type Body = BoxStream<'static, Result<Bytes, StoreError>>;

/// A flat namespace of objects identified by keys: a bucket, a folder, or memory.
///
/// An object consists of bytes and headers. Implementations may retry any idempotent call, which
/// excludes only [`initiate`](Self::initiate): retrying it would open a second upload.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// The vendor whose rules on header names and part sizes apply. `None` if there are no rules.
    fn vendor(&self) -> Option<Vendor>;

    /// Returns the metadata of an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or any transport or service error.
    async fn head(&self, key: &str) -> Result<Head, StoreError>;

    /// Returns an object, or the given range of its bytes. Headers and bytes always belong to the
    /// same version.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if `if_match` is not its entity tag; [`StoreError::Malformed`] if
    /// the response is for a different range.
    async fn get(
        &self,
        key: &str,
        bytes: Option<Range<u64>>,
        if_match: Option<&str>,
    ) -> Result<Object, StoreError>;

    /// Writes an object in one request.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if `only_new` is set and the object already exists.
    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        only_new: bool,
    ) -> Result<Stored, StoreError>;

    /// Creates a multipart upload. `headers` become those of the completed object.
    ///
    /// # Errors
    /// Any transport or service error. After [`StoreError::Unavailable`] an upload may be open; see
    /// [`uploads`](Self::uploads).
    async fn initiate(&self, key: &str, headers: &Headers) -> Result<Upload, StoreError>;

    /// Uploads a part, replacing any earlier part with the same number. `headers` are those of the
    /// upload, which OSS requires with every part of an encrypted object.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`].
    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        headers: &Headers,
    ) -> Result<Stored, StoreError>;

    /// Returns the uploaded parts, ordered by number.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`].
    async fn list_parts(&self, upload: &Upload) -> Result<Vec<ArrivedPart>, StoreError>;

    /// Combines the parts, given by number and entity tag, into one object.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`], including when an earlier attempt succeeded but its response was
    /// lost.
    async fn complete(
        &self,
        upload: &Upload,
        parts: &[(u16, String)],
    ) -> Result<Stored, StoreError>;

    /// Aborts an upload and discards its parts. Succeeds if the upload does not exist.
    ///
    /// # Errors
    /// Any transport or service error.
    async fn abort(&self, upload: &Upload) -> Result<(), StoreError>;

    /// Returns the open uploads for a key.
    ///
    /// # Errors
    /// Any transport or service error.
    async fn uploads(&self, key: &str) -> Result<Vec<Upload>, StoreError>;

    /// Replaces all headers of an object without transferring its bytes.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if `if_match` is not its entity tag.
    async fn copy_replace_metadata(
        &self,
        key: &str,
        if_match: &str,
        headers: &Headers,
    ) -> Result<(), StoreError>;

    /// Returns up to a thousand objects whose keys start with `prefix`, ordered by key and starting
    /// after the key `after`, if given.
    ///
    /// # Errors
    /// Any transport or service error.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError>;

    /// Deletes an object. Succeeds if the object does not exist.
    ///
    /// # Errors
    /// Any transport or service error.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
}

/// The metadata of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of bytes stored.
    pub len: u64,
    /// The entity tag, including its quotes. Every version has a different one.
    pub etag: String,
    /// The CRC-64/XZ of all bytes stored, if the store reports it.
    pub crc64: Option<u64>,
    /// Time of the last modification, in the store's own format.
    pub modified: Option<String>,
    /// All headers.
    pub headers: Headers,
}

/// An object, or a range of its bytes.
#[expect(missing_debug_implementations, reason = "streams have no useful debug output")]
pub struct Object {
    /// Metadata of the whole object.
    pub head: Head,
    /// The range of bytes in `body`.
    pub bytes: Range<u64>,
    /// The bytes.
    pub body: Body,
}

/// A store's confirmation of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The entity tag, including its quotes.
    pub etag: String,
    /// The CRC-64/XZ of the bytes as received, if the store reports it.
    pub crc64: Option<u64>,
}

/// An open multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The key of the object being uploaded.
    pub key: String,
    /// The upload ID assigned by the store.
    pub id: String,
    /// Creation time, in seconds since 1970, if the store reports it.
    pub begun: Option<u64>,
}

/// A part that the store has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedPart {
    /// Part number, counted from 1.
    pub number: u16,
    /// The entity tag, including its quotes.
    pub etag: String,
    /// Number of bytes in the part.
    pub len: u64,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Entries, ordered by key.
    pub entries: Vec<Entry>,
    /// Continuation key; `None` on the last page.
    pub next: Option<String>,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Number of bytes stored.
    pub len: u64,
    /// The entity tag, including its quotes.
    pub etag: String,
    /// Time of the last modification, in the store's own format.
    pub modified: Option<String>,
}

impl Head {
    /// Returns the value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}
