//! Buckets of Aliyun OSS and Tencent COS.

mod answer;
mod connection;
mod copy;
mod customer_sse;
mod document;
mod presign;
mod request;
mod sign;
mod transmit;
mod versions;
mod xml;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    ops::Range,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Method;
use meta_codec::{
    Vendor,
    sse::{self, CustomerKey},
};
use percent_encoding::percent_decode_str;

use self::{
    answer::{head_of, object_of, stored, tag},
    customer_sse::CustomerSse,
    request::{Request, with_md5},
    sign::RequestSigner,
    transmit::next_chunk,
    versions::Pinned,
};
pub use self::{connection::Connection, sign::Signature};
use crate::{
    CopyOptions, CopySource, Credentials, Endpoint, Entry, ErrorResponse, GetOptions, Headers,
    Object, ObjectMeta, Page, PresignedMethod, ProvideCredential, PutOptions, PutResult, Restore,
    RetryPolicy, SharedCredentials, Store, StoreError, Upload, UploadedPart, VersionMarker,
    VersionPage,
    address::is_bucket_name,
    listing::OUT_OF_ORDER,
    retry::WaitListener,
    settings::{BucketAccount, SettingsError, no_region},
};

/// The time without progress, in either direction, after which a request is given up.
pub(crate) const STALL: Duration = Duration::from_secs(60);
/// The most open uploads of one key that are looked at.
const MAX_UPLOADS: usize = 10_000;

/// A bucket, accessed over HTTPS.
///
/// A request that fails for a passing reason is repeated as the [retry policy](RetryPolicy) says,
/// and not before the service wants to be asked again (`Retry-After`). A request that is denied is
/// signed once more, with the service's clock and with an access key that was asked for anew.
/// Objects and parts are sent with `Content-MD5`, so that damaged bytes are refused.
///
/// Keys that a URL cannot express, such as `a/../b`, are refused with [`StoreError::Key`].
///
/// ```
/// use envelope_store::{Bucket, Credentials, Endpoint};
/// use envelope_store::envelope_core::Vendor;
///
/// let endpoint = Endpoint::of_store(Vendor::Cos, "ap-guangzhou")?;
/// let bucket = Bucket::cos("photos-1250000000", endpoint, Credentials::new("an id", "a secret"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Bucket {
    vendor: Vendor,
    name: String,
    endpoint: Endpoint,
    signer: Arc<RequestSigner>,
    client: reqwest::Client,
    retry: RetryPolicy,
    stall: Duration,
    wait_listener: WaitListener,
    customer: Option<Arc<CustomerSse>>,
    pinned: Option<Pinned>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("vendor", &self.vendor).field("name", &self.name).finish()
    }
}

impl Bucket {
    /// Creates a client for an Aliyun OSS bucket.
    ///
    /// # Errors
    /// [`StoreError::BucketName`] for a name that could change the host;
    /// [`StoreError::Unavailable`] if TLS cannot be initialized on this machine.
    pub fn oss(
        name: &str,
        region: &str,
        endpoint: Endpoint,
        credentials: impl ProvideCredential<Credential = Credentials>,
        signature: Signature,
    ) -> Result<Self, StoreError> {
        let credentials = SharedCredentials::new(credentials);
        let signer = RequestSigner::oss(name, region, signature, credentials);
        Self::new(Vendor::Oss, name, endpoint, signer)
    }

    /// Creates a client for a Tencent COS bucket, whose name ends with the APPID.
    ///
    /// # Errors
    /// [`StoreError::BucketName`] for a name that could change the host;
    /// [`StoreError::Unavailable`] if TLS cannot be initialized on this machine.
    pub fn cos(
        name: &str,
        endpoint: Endpoint,
        credentials: impl ProvideCredential<Credential = Credentials>,
    ) -> Result<Self, StoreError> {
        let signer = RequestSigner::cos(SharedCredentials::new(credentials));
        Self::new(Vendor::Cos, name, endpoint, signer)
    }

    /// Opens a bucket as settings describe it.
    pub(crate) fn open(
        vendor: Vendor,
        name: &str,
        account: BucketAccount,
    ) -> Result<Self, SettingsError> {
        let BucketAccount { credentials, region, endpoint, signature, retry, .. } = account;
        let (stall, wait_listener) = (account.stall, account.wait_listener);
        let (connection, customer_key) = (account.connection, account.customer_key);
        let version = account.version;
        let bucket = match vendor {
            Vendor::Cos => Self::cos(name, endpoint, credentials),
            Vendor::Oss => {
                // Version 1 of the signature has no regions.
                let region = match (region, signature) {
                    (Some(region), _) => region,
                    (None, Signature::V1) => String::new(),
                    (None, Signature::V4) => return Err(no_region(vendor)),
                };
                Self::oss(name, &region, endpoint, credentials, signature)
            }
        };
        let mut bucket = bucket?.with_retry(retry).with_connection(&connection)?;
        if let Some(key) = customer_key {
            bucket = bucket.with_customer_key(key)?;
        }
        if let Some((key, id)) = version {
            bucket = bucket.with_version(&key, &id);
        }
        Ok(Self { stall, wait_listener, ..bucket })
    }

    fn new(
        vendor: Vendor,
        name: &str,
        endpoint: Endpoint,
        signer: RequestSigner,
    ) -> Result<Self, StoreError> {
        if !is_bucket_name(name) {
            return Err(StoreError::BucketName);
        }
        let client = Connection::new().client(endpoint.is_secure())?;
        Ok(Self {
            vendor,
            name: name.to_owned(),
            endpoint,
            signer: Arc::new(signer),
            client,
            retry: RetryPolicy::default(),
            stall: STALL,
            wait_listener: WaitListener::default(),
            customer: None,
            pinned: None,
        })
    }

    /// Sets the way to the service.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if TLS cannot be initialized on this machine.
    pub fn with_connection(mut self, connection: &Connection) -> Result<Self, StoreError> {
        self.client = connection.client(self.endpoint.is_secure())?;
        Ok(self)
    }

    /// Sets a key of the customer, with which the store encrypts and decrypts every object (SSE-C
    /// of COS). It is sent with every request about an object, and the answers must show its
    /// digest. Objects that were written without it, or with another one, cannot be read with this
    /// bucket.
    ///
    /// # Errors
    /// [`StoreError::CustomerKey`] if the endpoint is plain HTTP; [`StoreError::Unsupported`] on
    /// OSS, which has no such encryption.
    pub fn with_customer_key(
        mut self,
        key: impl Into<Arc<CustomerKey>>,
    ) -> Result<Self, StoreError> {
        let customer = CustomerSse::new(self.vendor, &self.endpoint, key.into())?;
        self.customer = Some(Arc::new(customer));
        Ok(self)
    }

    /// Makes an older version of one object the one that this bucket reads, copies and deletes.
    /// Whoever writes the object writes a new version all the same.
    #[must_use]
    pub fn with_version(mut self, key: &str, version_id: &str) -> Self {
        self.pinned = Some(Pinned::new(key, version_id));
        self
    }

    /// Sets the retry policy.
    #[must_use]
    pub const fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the time without progress, in either direction, after which a request is given up, 60
    /// seconds by default. A slow line is no reason to give up, as long as bytes move.
    #[must_use]
    pub const fn with_stall_timeout(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// Sets a function that is told before each wait between two attempts: how long it is, and why.
    #[must_use]
    pub fn with_wait_listener(
        mut self,
        notify: impl Fn(Duration, &StoreError) + Send + Sync + 'static,
    ) -> Self {
        self.wait_listener = WaitListener::new(notify);
        self
    }

    /// The name of a header of the vendor's own.
    fn own_header(&self, name: &str) -> String {
        format!("{}{name}", self.vendor.header_prefix())
    }

    /// Adds the conditions of a write.
    fn conditions(&self, request: Request, options: PutOptions) -> Request {
        let request = if options.only_once { request.only_once() } else { request };
        if options.create_only {
            request.header(&self.own_header("forbid-overwrite"), "true")
        } else {
            request
        }
    }

    fn request(&self, method: Method, key: &str) -> Request {
        Request::new(method, key)
    }

    /// Returns a page of a listing, in which keys are taken together up to a delimiter.
    async fn listing(
        &self,
        prefix: &str,
        after: Option<&str>,
        delimiter: Option<&str>,
    ) -> Result<Page, StoreError> {
        let mut request = self
            .request(Method::GET, "")
            .query("prefix", prefix)
            .query("max-keys", "1000")
            .query("encoding-type", "url");
        for (name, value) in [("marker", after), ("delimiter", delimiter)] {
            if let Some(value) = value {
                request = request.query(name, value);
            }
        }
        let page: xml::Listing = xml::read(&self.text(&request).await?, "ListBucketResult")?;
        let encoded = page.encoding_type == "url";
        let entries: Vec<Entry> = page
            .contents
            .into_iter()
            .map(|each| {
                let key = plain_key(&each.key, encoded);
                let mut entry = Entry::new(key, each.size, tag(&each.etag));
                entry.modified = each.last_modified;
                entry
            })
            .collect();
        let folders: Vec<String> =
            page.common_prefixes.iter().map(|it| plain_key(&it.prefix, encoded)).collect();
        let last = entries.last().map(|entry| &entry.key).max(folders.last()).cloned();
        let marker = Some(plain_key(&page.next_marker, encoded)).filter(|next| !next.is_empty());
        let next = match xml::is_truncated(page.is_truncated)? {
            true => {
                let next = marker.or(last);
                Some(next.ok_or_else(|| StoreError::Malformed(OUT_OF_ORDER.to_owned()))?)
            }
            false => None,
        };
        Ok(Page::new(entries, next).with_folders(folders))
    }

    /// Returns a page of open uploads for keys that start with `prefix`.
    async fn uploads_page(
        &self,
        prefix: &str,
        after: Option<&(String, String)>,
    ) -> Result<UploadsPage, StoreError> {
        let mut request = self
            .request(Method::GET, "")
            .query("uploads", "")
            .query("prefix", prefix)
            .query("encoding-type", "url");
        if let Some((key, id)) = after {
            request = request.query("key-marker", key).query("upload-id-marker", id);
        }
        let page: xml::Uploads =
            xml::read(&self.text(&request).await?, "ListMultipartUploadsResult")?;
        let encoded = page.encoding_type == "url";
        let key_of = |key: &str| {
            let plain = plain_key(key, encoded);
            // Not all servers report that they encoded the keys.
            if plain.starts_with(prefix) { plain } else { plain_key(key, true) }
        };
        let uploads = page.upload.into_iter().map(|upload| {
            let created = answer::seconds(&upload.initiated);
            Upload::new(key_of(&upload.key), upload.upload_id).with_created(created)
        });
        let next = (plain_key(&page.next_key_marker, encoded), page.next_upload_id_marker);
        let next = xml::is_truncated(page.is_truncated)?.then_some(next);
        Ok(UploadsPage { uploads: uploads.collect(), next, is_encoded: encoded })
    }

    /// Returns up to a thousand parts of an upload whose numbers are greater than `marker`.
    async fn parts_page(&self, upload: &Upload, marker: u16) -> Result<xml::Parts, StoreError> {
        let mut request = self.request(Method::GET, &upload.key).query("uploadId", &upload.id);
        if marker > 0 {
            request = request.query("part-number-marker", &marker.to_string());
        }
        xml::read(&self.text(&request).await?, "ListPartsResult")
    }
}

#[async_trait]
impl Store for Bucket {
    fn vendor(&self) -> Option<Vendor> {
        Some(self.vendor)
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        let request = self.request(Method::HEAD, key).kind(sse::Request::Head);
        let request = self.of_version(request, key)?;
        let response = self.send(&request).await?;
        let meta = head_of(&response, None)?;
        self.check_version(key, &meta)?;
        Ok(meta)
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object, StoreError> {
        let GetOptions { range, if_match } = options;
        let request = self.request(Method::GET, key).kind(sse::Request::Get);
        let mut request = self.of_version(request, key)?;
        if let Some(bytes) = &range {
            let last = bytes.end.saturating_sub(1);
            request = request.header("range", format!("bytes={}-{last}", bytes.start));
            if let Some((name, value)) = self.vendor.range_header() {
                request = request.header(name, value);
            }
        }
        if let Some(tag) = &if_match {
            request = request.header("if-match", tag.as_str());
        }
        let response = self.send(&request).await?;
        let (head, arriving) = object_of(&response, range)?;
        self.check_version(key, &head)?;
        if if_match.is_some_and(|wanted| wanted != head.etag) {
            return Err(StoreError::Changed);
        }
        let stall = self.stall;
        let body = stream::try_unfold(response, move |mut response| async move {
            Ok(next_chunk(&mut response, stall).await?.map(|chunk| (chunk, response)))
        });
        Ok(Object::new(head, arriving, body.boxed()))
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        self.check_writable(key)?;
        let request = self.request(Method::PUT, key).headers(headers).body(body);
        let request = request.kind(sse::Request::Put);
        let response = self.send_checked(self.conditions(request, options)).await?;
        stored(response.headers())
    }

    async fn create_multipart(
        &self,
        key: &str,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<Upload, StoreError> {
        self.check_writable(key)?;
        let request =
            self.request(Method::POST, key).headers(headers).query("uploads", "").only_once();
        let request = request.kind(sse::Request::InitiateMultipart);
        let text = self.text(&self.conditions(request, options)).await?;
        let done: xml::Done = xml::read(&text, "InitiateMultipartUploadResult")?;
        if done.upload_id.is_empty() {
            return Err(StoreError::Malformed("the response has no upload ID".to_owned()));
        }
        Ok(Upload::new(key, done.upload_id))
    }

    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        headers: &Headers,
    ) -> Result<PutResult, StoreError> {
        let mut request = self
            .request(Method::PUT, &upload.key)
            .query("partNumber", &number.to_string())
            .query("uploadId", &upload.id)
            .kind(sse::Request::UploadPart)
            .body(body);
        if self.vendor.needs_encryption_headers_on_parts() {
            let meta: Headers = headers
                .iter()
                .filter(|(name, _)| name.contains("-meta-client-side-encryption-"))
                .cloned()
                .collect();
            request = request.headers(&meta);
        }
        stored(self.send_checked(request).await?.headers())
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<UploadedPart>, StoreError> {
        let (mut parts, mut marker) = (Vec::<UploadedPart>::new(), 0);
        loop {
            let page = self.parts_page(upload, marker).await?;
            for part in page.part {
                // The numbers end, so the pages do, too.
                if parts.last().is_some_and(|last| part.part_number <= last.number) {
                    return Err(StoreError::Malformed(OUT_OF_ORDER.to_owned()));
                }
                parts.push(UploadedPart::new(part.part_number, tag(&part.etag), part.size));
            }
            if !xml::is_truncated(page.is_truncated)? {
                return Ok(parts);
            }
            let next = page.next_part_number_marker.parse().ok().filter(|next| *next > marker);
            marker = next.ok_or_else(|| StoreError::Malformed(OUT_OF_ORDER.to_owned()))?;
        }
    }

    async fn complete(
        &self,
        upload: &Upload,
        parts: &[(u16, String)],
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        let access = headers.iter().filter(|(name, _)| self.vendor.wants_access_at_end(name));
        let request = self
            .request(Method::POST, &upload.key)
            .query("uploadId", &upload.id)
            .headers(&access.cloned().collect())
            .header("content-type", "application/xml")
            .body(xml::completion(parts).into());
        let (text, headers) = self.text_and_headers(&self.conditions(request, options)).await?;
        let done: xml::Done = xml::read(&text, "CompleteMultipartUploadResult")?;
        let version_id = answer::version_id(&headers);
        Ok(PutResult::new(tag(&done.etag), answer::crc64(&headers)).with_version_id(version_id))
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        let request = self.request(Method::DELETE, &upload.key).query("uploadId", &upload.id);
        match self.send_deletion(&request).await {
            Err(StoreError::NoUpload | StoreError::NotFound) => Ok(()),
            outcome => outcome,
        }
    }

    fn at_version(&self, key: &str, version_id: &str) -> Option<Arc<dyn Store>> {
        Some(Arc::new(self.clone().with_version(key, version_id)))
    }

    fn is_pinned(&self, key: &str) -> bool {
        self.pinned(key).is_some()
    }

    async fn list_versions(
        &self,
        prefix: &str,
        after: Option<&VersionMarker>,
    ) -> Result<VersionPage, StoreError> {
        self.versions_page(prefix, after).await
    }

    async fn list_multipart_uploads(&self, key: &str) -> Result<Vec<Upload>, StoreError> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut after: Option<(String, String)> = None;
        loop {
            let page = self.uploads_page(key, after.as_ref()).await?;
            // The key itself comes before all keys that begin with it.
            let others = page.uploads.iter().any(|upload| upload.key != key);
            let before = seen.len();
            for upload in page.uploads.into_iter().filter(|upload| upload.key == key) {
                if seen.insert(upload.id.clone()) {
                    found.push(upload);
                }
            }
            if page.next.is_none() || others {
                return Ok(found);
            }
            if seen.len() == before || seen.len() > MAX_UPLOADS {
                return Err(StoreError::Malformed(OUT_OF_ORDER.to_owned()));
            }
            after = page.next;
        }
    }

    async fn list_uploads(
        &self,
        prefix: &str,
        after: Option<&Upload>,
    ) -> Result<(Vec<Upload>, bool), StoreError> {
        let after = after.map(|upload| (upload.key.clone(), upload.id.clone()));
        let page = self.uploads_page(prefix, after.as_ref()).await?;
        // A key that may be encoded, or not, is that of nobody knows which object.
        let is_wanted = |upload: &Upload| {
            upload.key.starts_with(prefix) && (page.is_encoded || !upload.key.contains('%'))
        };
        if !page.uploads.iter().all(is_wanted) || (page.next.is_some() && page.uploads.is_empty()) {
            return Err(StoreError::Malformed(OUT_OF_ORDER.to_owned()));
        }
        Ok((page.uploads, page.next.is_some()))
    }

    /// OSS lists the parts of an encrypted upload together with its wrapped key (seen in the Go SDK
    /// version 2, `ListPartsResult`). COS does not.
    async fn is_created_with(
        &self,
        upload: &Upload,
        headers: &Headers,
    ) -> Result<Option<bool>, StoreError> {
        let page = self.parts_page(upload, 0).await?;
        let own = headers.iter().find(|(name, _)| name.ends_with("-client-side-encryption-key"));
        let pair = own.map(|(_, own)| own).zip(page.client_encryption_key.as_ref());
        Ok(pair.map(|(own, key)| own == key))
    }

    async fn copy_replace_metadata(
        &self,
        key: &str,
        if_match: &str,
        headers: &Headers,
    ) -> Result<(), StoreError> {
        let meta = ObjectMeta::new(0, if_match, Headers::new());
        let options = CopyOptions::default().with_replace(true);
        self.copy_object(&self.source(key, &meta), key, headers, options).await?;
        Ok(())
    }

    fn copy_source(&self, key: &str, meta: &ObjectMeta) -> Option<CopySource> {
        Some(self.source(key, meta))
    }

    fn can_copy(&self, source: &CopySource) -> bool {
        self.finds(source)
    }

    async fn copy(
        &self,
        source: &CopySource,
        key: &str,
        headers: &Headers,
        options: CopyOptions,
    ) -> Result<PutResult, StoreError> {
        self.copy_object(source, key, headers, options).await
    }

    async fn copy_part(
        &self,
        source: &CopySource,
        bytes: Range<u64>,
        upload: &Upload,
        number: u16,
    ) -> Result<PutResult, StoreError> {
        self.copy_bytes(source, bytes, upload, number).await
    }

    async fn presign(
        &self,
        method: PresignedMethod,
        key: &str,
        headers: &Headers,
        valid: Duration,
    ) -> Result<String, StoreError> {
        self.presigned(method, key, headers, valid).await
    }

    async fn tags(&self, key: &str) -> Result<Vec<(String, String)>, StoreError> {
        let request = self.request(Method::GET, key).query("tagging", "");
        let request = self.of_version(request, key)?;
        let text = match self.text(&request).await {
            Err(StoreError::Refused(refusal)) if refusal.code.starts_with("NoSuchTagSet") => {
                return Ok(Vec::new());
            }
            text => text?,
        };
        let tagging: xml::Tagging = xml::read(&text, "Tagging")?;
        Ok(tagging.tag_set.tag.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    /// OSS answers with a word; COS with grants, and with a header if the object has none of its
    /// own (seen in cos-python-sdk-v5 1.9.44, `get_object_acl`).
    async fn access(&self, key: &str) -> Result<Option<String>, StoreError> {
        let request = self.request(Method::GET, key).query("acl", "");
        let request = self.of_version(request, key)?;
        let (text, headers) = self.text_and_headers(&request).await?;
        let access: xml::Access = xml::read(&text, "AccessControlPolicy")?;
        let word = match self.vendor {
            Vendor::Cos if answer::is_default_access(&headers) => "default",
            Vendor::Cos => access
                .word_for_grants()
                .ok_or(StoreError::Unsupported("an access that is granted to single accounts"))?,
            Vendor::Oss => access.word().unwrap_or("default"),
        };
        Ok(Some(word.to_owned()).filter(|word| word != "default"))
    }

    async fn restore(&self, key: &str, restore: &Restore) -> Result<(), StoreError> {
        let body = xml::restoration(restore, self.vendor);
        let request = self
            .request(Method::POST, key)
            .query("restore", "")
            .header("content-type", "application/xml")
            .kind(sse::Request::Restore)
            .body(body.into());
        let request = self.of_version(request, key)?;
        // COS requires the checksum.
        match self.text(&with_md5(request).await?).await {
            Ok(text) if text.is_empty() || text.starts_with("<?xml") => Ok(()),
            Ok(_) => Err(StoreError::OtherServer("a page in place of an answer".to_owned())),
            // It is being restored already, and the service changes nothing about that.
            Err(StoreError::Refused(ErrorResponse { code, .. }))
                if code == "RestoreAlreadyInProgress" =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        self.listing(prefix, after, None).await
    }

    async fn list_folder(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        self.listing(prefix, after, Some("/")).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let request = self.of_version(self.request(Method::DELETE, key), key)?;
        self.is_gone_after(self.send_deletion(&request).await, key).await
    }

    async fn delete_once(&self, key: &str) -> Result<(), StoreError> {
        let request = self.of_version(self.request(Method::DELETE, key), key)?;
        self.is_gone_after(self.send_deletion(&request.only_once()).await, key).await
    }

    async fn delete_many(
        &self,
        keys: &[String],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut outcomes = HashMap::new();
        let (together, alone): (Vec<&String>, Vec<&String>) =
            keys.iter().partition(|key| is_deleted_with_others(key));
        if !together.is_empty() {
            let body = xml::deletion(together.into_iter().map(String::as_str));
            let request = self
                .request(Method::POST, "")
                .query("delete", "")
                .header("content-type", "application/xml")
                .body(body.into());
            let text = self.text(&with_md5(request).await?).await?;
            let answer: xml::Deletions = xml::read(&text, "DeleteResult")?;
            for deletion in answer.each {
                match deletion {
                    xml::Deletion::Deleted { key } => outcomes.insert(key, Ok(())),
                    xml::Deletion::Error { key, code, message } => {
                        outcomes.insert(key, Err(deletion_error(code, message)))
                    }
                    xml::Deletion::Other => None,
                };
            }
        }
        for key in alone {
            outcomes.insert(key.clone(), self.delete(key).await);
        }
        let unanswered = || Err(StoreError::Malformed("no answer about this object".to_owned()));
        Ok(keys.iter().map(|key| outcomes.remove(key).unwrap_or_else(unanswered)).collect())
    }

    async fn delete_version(&self, key: &str, version_id: &str) -> Result<(), StoreError> {
        let request = self.request(Method::DELETE, key).query("versionId", version_id);
        let deleted = self.send_deletion(&request).await;
        self.clone().with_version(key, version_id).is_gone_after(deleted, key).await
    }
}

/// A page of open uploads, and the key and the ID after which the next one begins.
struct UploadsPage {
    uploads: Vec<Upload>,
    next: Option<(String, String)>,
    /// Whether the store said that the keys were encoded.
    is_encoded: bool,
}

/// Returns whether a key can be one of many in a document. An empty one would be that of the
/// bucket.
fn is_deleted_with_others(key: &str) -> bool {
    !key.is_empty() && xml::is_plain(key)
}

/// Returns why one of many objects was not deleted.
fn deletion_error(code: String, message: String) -> StoreError {
    match code.as_str() {
        "AccessDenied" => StoreError::Denied(message),
        "InternalError" => StoreError::Unavailable(message),
        _ => StoreError::Refused(ErrorResponse { code, message, ..ErrorResponse::default() }),
    }
}

/// Decodes a key that is URL-encoded, as in inventories and listings of both vendors.
///
/// Returns `None` if the result is not UTF-8.
#[must_use]
pub fn decode_key(key: &str) -> Option<String> {
    percent_decode_str(key).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Reads a text as every document that is expected anywhere.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    let _ = xml::read::<xml::Listing>(text, "ListBucketResult");
    let _ = xml::read::<xml::Parts>(text, "ListPartsResult");
    let _ = xml::read::<xml::Uploads>(text, "ListMultipartUploadsResult");
    let _ = xml::read::<xml::Deletions>(text, "DeleteResult");
    let _ = xml::read::<xml::Versions>(text, "ListVersionsResult");
    let _ = xml::read::<xml::Tagging>(text, "Tagging");
    let _ = xml::read::<xml::Access>(text, "AccessControlPolicy");
    for root in ["InitiateMultipartUploadResult", "CompleteMultipartUploadResult"] {
        let _ = xml::read::<xml::Done>(text, root);
    }
    let refusal = xml::refusal(500, text);
    assert!(refusal.message.chars().count() <= 300);
}

fn plain_key(key: &str, encoded: bool) -> String {
    if encoded { percent_decode_str(key).decode_utf8_lossy().into_owned() } else { key.to_owned() }
}
