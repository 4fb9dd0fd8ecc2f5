//! What a place for objects can do.

use std::{fmt, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use meta_codec::Vendor;

use crate::StoreError;

/// Header names, in lower case, and values.
pub type Headers = Vec<(String, String)>;

/// The bytes of an object, as they come. A stream that ends without an error is complete.
pub type Body = BoxStream<'static, Result<Bytes, StoreError>>;

/// A bucket, a folder, or memory: a flat space of objects under keys.
///
/// An object is bytes and headers. Every call may be repeated by the implementation as long as that
/// changes nothing; [`initiate`](Self::initiate), which would open a second upload, is the exception.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Whose rules hold here: names of headers, sizes of parts. `None` where anything goes.
    fn vendor(&self) -> Option<Vendor>;

    /// The headers of an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and what can befall every call.
    async fn head(&self, key: &str) -> Result<Head, StoreError>;

    /// The headers and the bytes of an object, or of these bytes of it: of one version, in any case.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if `if_match` is not its tag; [`StoreError::Malformed`] if the answer
    /// is about other bytes.
    async fn get(
        &self,
        key: &str,
        bytes: Option<Range<u64>>,
        if_match: Option<&str>,
    ) -> Result<Object, StoreError>;

    /// Writes an object in one request.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if it is there, and `only_new`.
    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        only_new: bool,
    ) -> Result<Stored, StoreError>;

    /// Begins a multipart upload. Its headers are those of the object to be.
    ///
    /// # Errors
    /// What can befall every call. After [`StoreError::Unavailable`] an upload may be open; see
    /// [`uploads`](Self::uploads).
    async fn initiate(&self, key: &str, headers: &Headers) -> Result<Upload, StoreError>;

    /// Writes a part. Writing it again replaces it. `headers` are those of the upload, which OSS wants
    /// to see with every part of an encrypted object.
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

    /// The parts that have arrived, in order of their numbers.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`].
    async fn list_parts(&self, upload: &Upload) -> Result<Vec<ArrivedPart>, StoreError>;

    /// Makes the parts, given by number and tag, one object.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`], also if an earlier try got through of which the answer was lost.
    async fn complete(
        &self,
        upload: &Upload,
        parts: &[(u16, String)],
    ) -> Result<Stored, StoreError>;

    /// Gives an upload and its parts up.
    ///
    /// # Errors
    /// What can befall every call; that there is no such upload is none.
    async fn abort(&self, upload: &Upload) -> Result<(), StoreError>;

    /// The open uploads for one key.
    ///
    /// # Errors
    /// What can befall every call.
    async fn uploads(&self, key: &str) -> Result<Vec<Upload>, StoreError>;

    /// Gives an object new headers in place of all its old ones. The bytes stay where they are.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if `if_match` is not its tag.
    async fn copy_replace_metadata(
        &self,
        key: &str,
        if_match: &str,
        headers: &Headers,
    ) -> Result<(), StoreError>;

    /// The objects whose keys begin with `prefix`, in the order of their keys, up to a thousand; those
    /// after `after`, if given.
    ///
    /// # Errors
    /// What can befall every call.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError>;

    /// Deletes an object. There being none is no error.
    ///
    /// # Errors
    /// What can befall every call.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
}

/// What is known of an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes stored.
    pub len: u64,
    /// The entity tag, with its quotes: another for every version.
    pub etag: String,
    /// The CRC-64/XZ of all bytes stored, if the store says it.
    pub crc64: Option<u64>,
    /// When it was written, as the store says it.
    pub modified: Option<String>,
    /// All headers.
    pub headers: Headers,
}

/// An object, or a range of it.
#[expect(missing_debug_implementations, reason = "a stream has nothing to show")]
pub struct Object {
    /// About the whole object.
    pub head: Head,
    /// Which bytes come.
    pub bytes: Range<u64>,
    /// The bytes.
    pub body: Body,
}

/// What a store says of what it has just written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The entity tag, with its quotes.
    pub etag: String,
    /// The CRC-64/XZ of the bytes as they arrived, if the store says it.
    pub crc64: Option<u64>,
}

/// A multipart upload that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The object to be.
    pub key: String,
    /// The store's name for the upload.
    pub id: String,
    /// When it was begun, in seconds since 1970, if the store says it.
    pub begun: Option<u64>,
}

/// A part that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedPart {
    /// Counted from 1.
    pub number: u16,
    /// Its tag, with its quotes.
    pub etag: String,
    /// Its bytes.
    pub len: u64,
}

/// Some objects of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In order of their keys.
    pub entries: Vec<Entry>,
    /// Whence to go on; `None` at the end.
    pub next: Option<String>,
}

/// A line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Bytes stored.
    pub len: u64,
    /// The entity tag, with its quotes.
    pub etag: String,
    /// When it was written, as the store says it.
    pub modified: Option<String>,
}

impl Head {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}
