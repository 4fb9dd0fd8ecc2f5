//! The interface of an object store.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use meta_codec::Vendor;

use crate::{
    Budget, CopySource, Restore, StoreError,
    body::{Body, exactly},
};

/// Pairs of a lower-case header name and its value.
pub type Headers = Vec<(String, String)>;

/// A flat namespace of objects identified by keys: a bucket, a folder, or memory.
///
/// An object consists of bytes and headers. Implementations may retry any idempotent call, which
/// excludes only [`create_multipart`](Self::create_multipart): retrying it would open a second
/// upload. Every call can be dropped at any time; a write may have taken effect all the same.
///
/// ```
/// use bytes::Bytes;
/// use envelope_store::{GetOptions, MemoryStore, PutOptions, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), envelope_store::StoreError> {
/// let store = MemoryStore::new();
/// let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
/// store.put("a/key", Bytes::from("some bytes"), &headers, PutOptions::default()).await?;
/// assert_eq!(store.head("a/key").await?.header("content-type"), Some("text/plain"));
/// let object = store.get("a/key", GetOptions::default().with_range(5..10)).await?;
/// assert_eq!((object.bytes, object.meta.len), (5..10, 10));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// The vendor whose rules on header names and part sizes apply. `None` if there are no rules.
    fn vendor(&self) -> Option<Vendor>;

    /// The budget that all transfers with this store share. By default, there is none.
    fn budget(&self) -> Option<&Budget> {
        None
    }

    /// Returns the metadata of an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or any transport or service error.
    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError>;

    /// Returns an object, or a range of its bytes. Headers and bytes always belong to the same
    /// version.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if its entity tag is not the one asked for;
    /// [`StoreError::Malformed`] if the response is for a different range.
    async fn get(&self, key: &str, options: GetOptions) -> Result<Object, StoreError>;

    /// Writes an object in one request.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the object already exists and must not.
    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError>;

    /// Creates a multipart upload. `headers` become those of the completed object.
    ///
    /// # Errors
    /// Any transport or service error. After [`StoreError::Unavailable`] an upload may be open; see
    /// [`list_multipart_uploads`](Self::list_multipart_uploads).
    async fn create_multipart(
        &self,
        key: &str,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<Upload, StoreError>;

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
    ) -> Result<PutResult, StoreError>;

    /// Returns the uploaded parts, ordered by number.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`].
    async fn list_parts(&self, upload: &Upload) -> Result<Vec<UploadedPart>, StoreError>;

    /// Combines the parts, given by number and entity tag, into one object. `headers` are those of
    /// the upload, of which OSS wants the access to the object now.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`], including when an earlier attempt succeeded but its response was
    /// lost; [`StoreError::Exists`] if the object already exists and must not.
    async fn complete(
        &self,
        upload: &Upload,
        parts: &[(u16, String)],
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError>;

    /// Aborts an upload and discards its parts. Succeeds if the upload does not exist.
    ///
    /// # Errors
    /// Any transport or service error.
    async fn abort(&self, upload: &Upload) -> Result<(), StoreError>;

    /// Deletes an object. Succeeds if the object does not exist.
    ///
    /// # Errors
    /// Any transport or service error.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;

    /// Deletes an object with a request that is not repeated if it fails for a reason that may
    /// pass: what is there has to be looked at first. By default as [`delete`](Self::delete).
    ///
    /// # Errors
    /// Any transport or service error. The object may have been deleted all the same.
    async fn delete_once(&self, key: &str) -> Result<(), StoreError> {
        self.delete(key).await
    }

    /// Deletes several objects, up to a thousand. Returns what became of each, in the same order.
    /// By default, they are deleted one after the other.
    ///
    /// # Errors
    /// Any transport or service error. Some of the objects may have been deleted all the same.
    async fn delete_many(
        &self,
        keys: &[String],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut outcomes = Vec::with_capacity(keys.len());
        for key in keys {
            outcomes.push(self.delete(key).await);
        }
        Ok(outcomes)
    }

    /// Deletes one version of an object, so that the version before it is the current one again.
    /// Succeeds if the version does not exist. By default, a store keeps no versions.
    ///
    /// # Errors
    /// Any transport or service error; [`StoreError::Unsupported`].
    async fn delete_version(&self, key: &str, version_id: &str) -> Result<(), StoreError> {
        let _ = (key, version_id);
        Err(StoreError::Unsupported("versions"))
    }

    /// Returns this store with another meaning of one key: that version of the object, for all that
    /// reads, copies and deletes it. `None` if the store keeps no versions, which is the default.
    fn at_version(&self, key: &str, version_id: &str) -> Option<Arc<dyn Store>> {
        let _ = (key, version_id);
        None
    }

    /// Returns whether a key means an older version of its object here. By default, none does.
    fn is_pinned(&self, key: &str) -> bool {
        let _ = key;
        false
    }

    /// Returns up to a thousand versions of the objects whose keys start with `prefix`, ordered by
    /// key, the newest of each first, and starting after the version `after` of a key, if given. By
    /// default, a store does not support it.
    ///
    /// # Errors
    /// Any transport or service error; [`StoreError::Unsupported`].
    async fn list_versions(
        &self,
        prefix: &str,
        after: Option<&VersionMarker>,
    ) -> Result<VersionPage, StoreError> {
        let _ = (prefix, after);
        Err(StoreError::Unsupported("listing versions"))
    }

    /// Returns the open uploads for a key. By default, a store knows of none.
    ///
    /// # Errors
    /// Any transport or service error.
    async fn list_multipart_uploads(&self, key: &str) -> Result<Vec<Upload>, StoreError> {
        let _ = key;
        Ok(Vec::new())
    }

    /// Returns up to a thousand open uploads for keys that start with `prefix`, ordered by key and
    /// ID and starting after the upload `after`, if given; and whether there may be more. By
    /// default, a store does not support it.
    ///
    /// # Errors
    /// Any transport or service error; [`StoreError::Unsupported`].
    async fn list_uploads(
        &self,
        prefix: &str,
        after: Option<&Upload>,
    ) -> Result<(Vec<Upload>, bool), StoreError> {
        let _ = (prefix, after);
        Err(StoreError::Unsupported("listing uploads"))
    }

    /// Returns whether an upload was created with these headers, one of which is the wrapped key of
    /// an envelope. `None` if the store cannot tell, which is the default.
    ///
    /// # Errors
    /// Any transport or service error; [`StoreError::NoUpload`].
    async fn is_created_with(
        &self,
        upload: &Upload,
        headers: &Headers,
    ) -> Result<Option<bool>, StoreError> {
        let _ = (upload, headers);
        Ok(None)
    }

    /// Replaces all headers of an object without transferring its bytes, if its entity tag is
    /// `if_match`. By default, a store does not support it.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if the entity tag is another; [`StoreError::Unsupported`].
    async fn copy_replace_metadata(
        &self,
        key: &str,
        if_match: &str,
        headers: &Headers,
    ) -> Result<(), StoreError> {
        let _ = (key, if_match, headers);
        Err(StoreError::Unsupported("replacing metadata"))
    }

    /// Returns an object as the source of copies within its service. `meta` is the version that is
    /// copied. By default, there is no such thing.
    fn copy_source(&self, key: &str, meta: &ObjectMeta) -> Option<CopySource> {
        let _ = (key, meta);
        None
    }

    /// Returns whether the service can copy from there. By default, it cannot.
    fn can_copy(&self, source: &CopySource) -> bool {
        let _ = source;
        false
    }

    /// Makes the service copy an object, which may be in another bucket, and whose bytes are not
    /// transferred. By default, a store does not support it.
    ///
    /// `headers` are those that a copy does not have by itself: the storage class, the encryption
    /// and the access. If the options say so, they are all that the copy has.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if the source is another version by now; [`StoreError::Exists`] if
    /// the object already exists and must not; [`StoreError::Unsupported`].
    async fn copy(
        &self,
        source: &CopySource,
        key: &str,
        headers: &Headers,
        options: CopyOptions,
    ) -> Result<PutResult, StoreError> {
        let _ = (source, key, headers, options);
        Err(StoreError::Unsupported("copies"))
    }

    /// Makes the service copy bytes of an object to a part of an upload. By default, a store does
    /// not support it; OSS does not for encrypted objects (EC 0042-00000309).
    ///
    /// # Errors
    /// [`StoreError::Changed`] if the source is another version by now; [`StoreError::NoUpload`];
    /// [`StoreError::Unsupported`].
    async fn copy_part(
        &self,
        source: &CopySource,
        bytes: Range<u64>,
        upload: &Upload,
        number: u16,
    ) -> Result<PutResult, StoreError> {
        let _ = (source, bytes, upload, number);
        Err(StoreError::Unsupported("copies"))
    }

    /// Returns a URL with which anybody can make one kind of request about one object for some
    /// time, in the name of the access key. `headers` must be sent with it, exactly as they are. By
    /// default, a store has no URLs.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`]; [`StoreError::Denied`] if there is no access key;
    /// [`StoreError::Key`].
    async fn presign(
        &self,
        method: PresignedMethod,
        key: &str,
        headers: &Headers,
        valid: Duration,
    ) -> Result<String, StoreError> {
        let _ = (method, key, headers, valid);
        Err(StoreError::Unsupported("signed URLs"))
    }

    /// Returns the tags of an object, names and values. By default, it has none.
    ///
    /// # Errors
    /// Any transport or service error.
    async fn tags(&self, key: &str) -> Result<Vec<(String, String)>, StoreError> {
        let _ = key;
        Ok(Vec::new())
    }

    /// Returns who may access an object, in the word of its vendor, such as `public-read`. `None`
    /// if that is decided by the bucket, which is the default.
    ///
    /// # Errors
    /// Any transport or service error.
    async fn access(&self, key: &str) -> Result<Option<String>, StoreError> {
        let _ = key;
        Ok(None)
    }

    /// Restores an archived object for some time, so that it can be read. It takes hours until it
    /// can; [`ObjectMeta::restore`] tells. By default, a store has no archive.
    ///
    /// # Errors
    /// Any transport or service error, also if the object is not archived;
    /// [`StoreError::Unsupported`].
    async fn restore(&self, key: &str, restore: &Restore) -> Result<(), StoreError> {
        let _ = (key, restore);
        Err(StoreError::Unsupported("restoring objects"))
    }

    /// Returns up to a thousand objects whose keys start with `prefix`, ordered by key and starting
    /// after the key `after`, if given. By default, a store does not support it.
    ///
    /// # Errors
    /// Any transport or service error; [`StoreError::Unsupported`].
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        let _ = (prefix, after);
        Err(StoreError::Unsupported("listing"))
    }

    /// Returns up to a thousand objects and folders: the keys that start with `prefix` and have no
    /// further slash, and what the others begin with up to theirs. By default, they are taken from
    /// a [listing](Self::list), which is asked to go on behind each folder.
    ///
    /// # Errors
    /// Any transport or service error; [`StoreError::Unsupported`].
    async fn list_folder(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        let page = self.list(prefix, after).await?;
        let (mut level, mut next) = (Page::new(Vec::new(), None), page.next);
        for entry in page.entries {
            let rest = entry.key.get(prefix.len()..).unwrap_or_default();
            let Some((name, _)) = rest.split_once('/') else {
                level.entries.push(entry);
                continue;
            };
            let folder = format!("{prefix}{name}/");
            if level.folders.last() == Some(&folder) {
                continue;
            }
            level.folders.push(folder);
        }
        // The rest of a folder that is known already need not be listed.
        if let (Some(after), Some(folder)) = (&mut next, level.folders.last())
            && after.starts_with(folder.as_str())
        {
            *after = format!("{folder}{}", char::MAX);
        }
        level.next = next;
        Ok(level)
    }
}

/// The part of an object to return, and its version.
///
/// ```
/// use envelope_store::GetOptions;
///
/// let options = GetOptions::default().with_range(0..1024).with_if_match("\"an etag\"");
/// assert_eq!(options.range, Some(0..1024));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetOptions {
    /// The bytes to return, all by default. A range that goes beyond the end is cut there.
    pub range: Option<Range<u64>>,
    /// The entity tag that the object must have.
    pub if_match: Option<String>,
}

impl GetOptions {
    /// Asks for these bytes only.
    #[must_use]
    pub const fn with_range(mut self, range: Range<u64>) -> Self {
        self.range = Some(range);
        self
    }

    /// Asks for the version with this entity tag.
    #[must_use]
    pub fn with_if_match(mut self, etag: impl Into<String>) -> Self {
        self.if_match = Some(etag.into());
        self
    }
}

/// Returns the metadata of an object, or `None` if it is gone. That is believed the second time:
/// whoever works on many objects passes over such a one, so that a single wrong answer would hide
/// it.
///
/// # Errors
/// Any transport or service error.
pub async fn head_unless_gone(
    store: &dyn Store,
    key: &str,
) -> Result<Option<ObjectMeta>, StoreError> {
    for _ in 0..2 {
        match store.head(key).await {
            Err(StoreError::NotFound) => {}
            outcome => return outcome.map(Some),
        }
    }
    Ok(None)
}

/// The conditions of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOptions {
    /// Refuses to replace an object.
    pub create_only: bool,
    /// Sends the request once, even if it fails for a reason that may pass. What is there has to be
    /// looked at before it is sent again.
    pub only_once: bool,
}

impl PutOptions {
    /// Sets whether replacing an object is refused.
    #[must_use]
    pub const fn with_create_only(mut self, create_only: bool) -> Self {
        self.create_only = create_only;
        self
    }

    /// Sets whether the request is sent once.
    #[must_use]
    pub const fn with_only_once(mut self, only_once: bool) -> Self {
        self.only_once = only_once;
        self
    }
}

/// The request that a presigned URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "nothing else is left to strangers")]
pub enum PresignedMethod {
    /// To download an object as it is stored.
    Get,
    /// To upload an object as it is to be stored.
    Put,
}

/// The conditions of a copy within a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyOptions {
    /// Gives the copy other headers than the source has.
    pub replace: bool,
    /// Refuses to replace an object.
    pub create_only: bool,
}

impl CopyOptions {
    /// Sets whether the copy has other headers than the source.
    #[must_use]
    pub const fn with_replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Sets whether replacing an object is refused.
    #[must_use]
    pub const fn with_create_only(mut self, create_only: bool) -> Self {
        self.create_only = create_only;
        self
    }
}

/// The metadata of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectMeta {
    /// Number of bytes stored.
    pub len: u64,
    /// The entity tag, including its quotes. A version with other bytes has another.
    pub etag: String,
    /// The CRC-64/XZ of all bytes stored, if the store reports it.
    pub crc64: Option<u64>,
    /// The ID of the version, if the store keeps versions or once did.
    pub version_id: Option<String>,
    /// Time of the last modification, in the store's own format.
    pub modified: Option<String>,
    /// All headers.
    pub headers: Headers,
}

impl ObjectMeta {
    /// Creates the metadata of an object of `len` bytes.
    #[must_use]
    pub fn new(len: u64, etag: impl Into<String>, headers: Headers) -> Self {
        Self { len, etag: etag.into(), crc64: None, version_id: None, modified: None, headers }
    }

    /// Returns whether both are the same version of an object, as far as a store shows it: its
    /// bytes, the ID of its version, its time and its headers.
    #[must_use]
    pub fn is_same_version(&self, other: &Self) -> bool {
        let of_user = |meta: &Self| -> Vec<(String, String)> {
            let own =
                |name: &str| Vendor::ALL.iter().any(|it| name.starts_with(it.metadata_prefix()));
            let mut headers = meta.headers.clone();
            headers.retain(|(name, _)| own(name));
            headers.sort_unstable();
            headers
        };
        (self.len, &self.etag, &self.version_id, &self.modified)
            == (other.len, &other.etag, &other.version_id, &other.modified)
            && of_user(self) == of_user(other)
    }

    /// Returns the first of `asked`, the headers of an upload, that asks the store to encrypt on
    /// its side, if the store does not show that it did.
    #[must_use]
    pub fn unmet_server_side<'a>(&self, asked: &'a Headers) -> Option<&'a str> {
        let is_shown = |name: &str| {
            // The encryption context is not shown, and the storage class is no matter of safety.
            name.contains("-server-side-")
                && Vendor::ALL.iter().any(|it| it.copied_headers().contains(&name))
        };
        asked
            .iter()
            .find(|(name, want)| is_shown(name) && self.header(name) != Some(want.as_str()))
            .map(|(name, _)| name.as_str())
    }

    /// Returns what the store says about restoring the object from its archive: whether it is going
    /// on, and when the restored copy expires.
    #[must_use]
    pub fn restore(&self) -> Option<&str> {
        Vendor::ALL.iter().find_map(|it| self.header(&format!("{}restore", it.header_prefix())))
    }

    /// Returns the value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// An object, or a range of its bytes.
#[expect(missing_debug_implementations, reason = "streams have no useful debug output")]
#[non_exhaustive]
pub struct Object {
    /// Metadata of the whole object.
    pub meta: ObjectMeta,
    /// The range of bytes in `body`.
    pub bytes: Range<u64>,
    /// The bytes.
    pub body: Body,
}

impl Object {
    /// Creates an object of which the range `bytes` is in `body`. A body that ends early, or goes
    /// on, then ends with an error.
    #[must_use]
    pub fn new(meta: ObjectMeta, bytes: Range<u64>, body: Body) -> Self {
        let body = exactly(body, &bytes);
        Self { meta, bytes, body }
    }
}

/// A store's confirmation of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutResult {
    /// The entity tag, including its quotes.
    pub etag: String,
    /// The CRC-64/XZ of the bytes as received, if the store reports it.
    pub crc64: Option<u64>,
    /// The ID of the version that was written, if the store keeps versions or once did.
    pub version_id: Option<String>,
}

impl PutResult {
    /// Creates a confirmation.
    #[must_use]
    pub fn new(etag: impl Into<String>, crc64: Option<u64>) -> Self {
        Self { etag: etag.into(), crc64, version_id: None }
    }

    /// Sets the ID of the version that was written.
    #[must_use]
    pub fn with_version_id(mut self, version_id: Option<String>) -> Self {
        self.version_id = version_id;
        self
    }
}

/// An open multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upload {
    /// The key of the object being uploaded.
    pub key: String,
    /// The upload ID assigned by the store.
    pub id: String,
    /// Creation time, in seconds since 1970, if the store reports it.
    pub created: Option<u64>,
}

impl Upload {
    /// Creates the name of an upload.
    #[must_use]
    pub fn new(key: impl Into<String>, id: impl Into<String>) -> Self {
        Self { key: key.into(), id: id.into(), created: None }
    }

    /// Sets the creation time, in seconds since 1970.
    #[must_use]
    pub const fn with_created(mut self, seconds: Option<u64>) -> Self {
        self.created = seconds;
        self
    }
}

/// A part that the store has received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadedPart {
    /// Part number, counted from 1.
    pub number: u16,
    /// The entity tag, including its quotes.
    pub etag: String,
    /// Number of bytes in the part.
    pub len: u64,
}

impl UploadedPart {
    /// Creates a received part.
    #[must_use]
    pub fn new(number: u16, etag: impl Into<String>, len: u64) -> Self {
        Self { number, etag: etag.into(), len }
    }
}

/// A version of an object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// The object as it was. One that was deleted has no length and no entity tag.
    pub entry: Entry,
    /// The ID of the version; `null` for one from before the bucket kept versions.
    pub id: String,
    /// `true` for the current version.
    pub is_latest: bool,
    /// `true` for a mark that only says that the object was deleted.
    pub is_deletion: bool,
}

impl Version {
    /// Creates a version that is not the current one.
    #[must_use]
    pub fn new(entry: Entry, id: impl Into<String>) -> Self {
        Self { entry, id: id.into(), is_latest: false, is_deletion: false }
    }

    /// Sets whether it is the current version.
    #[must_use]
    pub const fn with_latest(mut self, is_latest: bool) -> Self {
        self.is_latest = is_latest;
        self
    }

    /// Sets whether it only says that the object was deleted.
    #[must_use]
    pub const fn with_deletion(mut self, is_deletion: bool) -> Self {
        self.is_deletion = is_deletion;
        self
    }
}

/// A place in a listing of versions: a key, and the ID of one of its versions.
pub type VersionMarker = (String, String);

/// One page of a listing of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionPage {
    /// The versions, ordered by key, and the newest of each first.
    pub versions: Vec<Version>,
    /// The place after which the next page begins; `None` on the last page.
    pub next: Option<VersionMarker>,
}

impl VersionPage {
    /// Creates a page.
    #[must_use]
    pub const fn new(versions: Vec<Version>, next: Option<VersionMarker>) -> Self {
        Self { versions, next }
    }
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Entries, ordered by key.
    pub entries: Vec<Entry>,
    /// Folders, ordered by name, each with a slash at its end; only in a listing that has them.
    pub folders: Vec<String>,
    /// Continuation key; `None` on the last page.
    pub next: Option<String>,
}

impl Page {
    /// Creates a page.
    #[must_use]
    pub const fn new(entries: Vec<Entry>, next: Option<String>) -> Self {
        Self { entries, folders: Vec::new(), next }
    }

    /// Adds folders.
    #[must_use]
    pub fn with_folders(mut self, folders: Vec<String>) -> Self {
        self.folders = folders;
        self
    }
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

impl Entry {
    /// Creates an entry.
    #[must_use]
    pub fn new(key: impl Into<String>, len: u64, etag: impl Into<String>) -> Self {
        Self { key: key.into(), len, etag: etag.into(), modified: None }
    }
}
