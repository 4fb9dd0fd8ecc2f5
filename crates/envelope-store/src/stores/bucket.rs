//! Buckets of Aliyun OSS and Tencent COS.

mod answer;
mod document;
mod request;
mod sign;
mod xml;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::Method;
use meta_codec::Vendor;
use percent_encoding::percent_decode_str;

pub use self::sign::Signature;
use self::{
    answer::{head_of, object_of, stored, tag},
    document::words,
    request::{Request, url_path},
    sign::RequestSigner,
};
use crate::{
    Credentials, Endpoint, Entry, GetOptions, Headers, Object, ObjectMeta, Page, ProvideCredential,
    PutOptions, PutResult, RetryPolicy, SharedCredentials, Store, StoreError, Upload, UploadedPart,
    address::is_bucket_name,
    settings::{BucketAccount, SettingsError, no_region},
};

/// A bucket, accessed over HTTPS.
///
/// ```
/// use envelope_store::{Bucket, Credentials, Endpoint};
/// use envelope_store::envelope_core::Vendor;
///
/// let endpoint = Endpoint::of_store(Vendor::Cos, "ap-guangzhou")?;
/// let bucket = Bucket::cos("photos-1250000000", endpoint, Credentials::new("an id", "a secret"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Bucket {
    vendor: Vendor,
    name: String,
    endpoint: Endpoint,
    signer: RequestSigner,
    client: reqwest::Client,
    retry: RetryPolicy,
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
        let BucketAccount { credentials, region, endpoint, signature, retry } = account;
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
        Ok(bucket?.with_retry(retry))
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
        let client = reqwest::Client::builder()
            // A signature is valid for one host, and the headers must not be sent to another.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            vendor,
            name: name.to_owned(),
            endpoint,
            signer,
            client,
            retry: RetryPolicy::default(),
        })
    }

    /// Sets the retry policy.
    #[must_use]
    pub const fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// The name of a header of the vendor's own.
    fn own_header(&self, name: &str) -> String {
        format!("{}{name}", self.vendor.header_prefix())
    }

    /// Adds the conditions of a write.
    fn conditions(&self, request: Request, options: PutOptions) -> Request {
        if options.create_only {
            request.header(&self.own_header("forbid-overwrite"), "true")
        } else {
            request
        }
    }

    fn request(&self, method: Method, key: &str) -> Request {
        Request::new(method, key)
    }
}

#[async_trait]
impl Store for Bucket {
    fn vendor(&self) -> Option<Vendor> {
        Some(self.vendor)
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        let response = self.send(&self.request(Method::HEAD, key)).await?;
        head_of(&response, None)
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object, StoreError> {
        let GetOptions { range, if_match } = options;
        let mut request = self.request(Method::GET, key);
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
        if if_match.is_some_and(|wanted| wanted != head.etag) {
            return Err(StoreError::Changed);
        }
        let body =
            response.bytes_stream().map_err(|error| StoreError::Unavailable(words(&error))).boxed();
        Ok(Object::new(head, arriving, body))
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        let request = self.request(Method::PUT, key).headers(headers).body(body);
        stored(&self.send(&self.conditions(request, options)).await?)
    }

    async fn create_multipart(
        &self,
        key: &str,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<Upload, StoreError> {
        let request =
            self.request(Method::POST, key).headers(headers).query("uploads", "").only_once();
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
            .body(body);
        if self.vendor.needs_encryption_headers_on_parts() {
            let meta: Headers = headers
                .iter()
                .filter(|(name, _)| name.contains("-meta-client-side-encryption-"))
                .cloned()
                .collect();
            request = request.headers(&meta);
        }
        stored(&self.send(&request).await?)
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<UploadedPart>, StoreError> {
        let mut parts: Vec<UploadedPart> = Vec::new();
        let mut marker = String::new();
        loop {
            let mut request = self.request(Method::GET, &upload.key).query("uploadId", &upload.id);
            if !marker.is_empty() {
                request = request.query("part-number-marker", &marker);
            }
            let page: xml::Parts = xml::read(&self.text(&request).await?, "ListPartsResult")?;
            let before = parts.len();
            parts.extend(
                page.part
                    .into_iter()
                    .map(|part| UploadedPart::new(part.part_number, tag(&part.etag), part.size)),
            );
            if !page.is_truncated || parts.len() == before {
                return Ok(parts);
            }
            marker = page.next_part_number_marker;
        }
    }

    async fn complete(
        &self,
        upload: &Upload,
        parts: &[(u16, String)],
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        let request = self
            .request(Method::POST, &upload.key)
            .query("uploadId", &upload.id)
            .header("content-type", "application/xml")
            .body(xml::completion(parts).into());
        let (text, crc64) = self.text_and_crc(&self.conditions(request, options)).await?;
        let done: xml::Done = xml::read(&text, "CompleteMultipartUploadResult")?;
        Ok(PutResult::new(tag(&done.etag), crc64))
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        let request = self.request(Method::DELETE, &upload.key).query("uploadId", &upload.id);
        match self.send(&request).await {
            Ok(_) | Err(StoreError::NoUpload | StoreError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn list_multipart_uploads(&self, key: &str) -> Result<Vec<Upload>, StoreError> {
        let request = self
            .request(Method::GET, "")
            .query("uploads", "")
            .query("prefix", key)
            .query("encoding-type", "url");
        let page: xml::Uploads =
            xml::read(&self.text(&request).await?, "ListMultipartUploadsResult")?;
        let encoded = page.encoding_type == "url";
        // Not all servers report that they encoded the keys.
        let is_ours =
            |found: &str| plain_key(found, encoded) == key || plain_key(found, true) == key;
        let ours = page.upload.into_iter().filter(|upload| is_ours(&upload.key));
        Ok(ours
            .map(|it| Upload::new(key, it.upload_id).with_created(answer::seconds(&it.initiated)))
            .collect())
    }

    async fn copy_replace_metadata(
        &self,
        key: &str,
        if_match: &str,
        headers: &Headers,
    ) -> Result<(), StoreError> {
        let path = url_path(key);
        let (source, directive) = match self.vendor {
            Vendor::Cos => {
                let host = self.endpoint.bucket_host(&self.name);
                let host = if self.endpoint.is_path_style() { self.name.clone() } else { host };
                (format!("{host}/{path}"), "Replaced")
            }
            Vendor::Oss => (format!("/{}/{path}", self.name), "REPLACE"),
        };
        let request = self
            .request(Method::PUT, key)
            .headers(headers)
            .header(&self.own_header("copy-source"), source)
            .header(&self.own_header("copy-source-if-match"), if_match)
            .header(&self.own_header("metadata-directive"), directive);
        xml::read::<xml::Done>(&self.text(&request).await?, "CopyObjectResult")?;
        Ok(())
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        let mut request = self
            .request(Method::GET, "")
            .query("prefix", prefix)
            .query("max-keys", "1000")
            .query("encoding-type", "url");
        if let Some(after) = after {
            request = request.query("marker", after);
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
        let last = entries.last().map(|entry| entry.key.clone());
        let marker = Some(plain_key(&page.next_marker, encoded)).filter(|next| !next.is_empty());
        let next = marker.or(last).filter(|next| page.is_truncated && Some(next.as_str()) != after);
        Ok(Page::new(entries, next))
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self.send(&self.request(Method::DELETE, key)).await {
            Ok(_) | Err(StoreError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Decodes a key that is URL-encoded, as in inventories and listings of both vendors.
///
/// Returns `None` if the result is not UTF-8.
#[must_use]
pub fn decode_key(key: &str) -> Option<String> {
    percent_decode_str(key).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn plain_key(key: &str, encoded: bool) -> String {
    if encoded { percent_decode_str(key).decode_utf8_lossy().into_owned() } else { key.to_owned() }
}
