//! Buckets of Aliyun OSS and Tencent COS.

mod answer;
mod request;
mod sign;

use std::{fmt, ops::Range, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::Method;
use meta_codec::Vendor;
use percent_encoding::percent_decode_str;

pub use self::sign::Signature;
use self::{
    answer::{head_of, object_of, stored, tag},
    request::{Request, url_path},
    sign::RequestSigner,
};
use crate::{
    ArrivedPart, Credentials, Entry, Head, Headers, Object, Page, Retry, Store, StoreError, Stored,
    Upload, endpoint::Endpoint, xml,
};

/// A bucket, accessed over HTTPS.
pub struct Bucket {
    vendor: Vendor,
    name: String,
    endpoint: Endpoint,
    signer: RequestSigner,
    client: reqwest::Client,
    retry: Retry,
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
    /// [`StoreError::Unavailable`] if TLS cannot be initialized on this machine.
    pub fn oss(
        name: &str,
        region: &str,
        endpoint: Endpoint,
        credentials: Credentials,
        signature: Signature,
    ) -> Result<Self, StoreError> {
        let signer = RequestSigner::oss(name, region, signature, &credentials);
        Self::new(Vendor::Oss, name, endpoint, signer)
    }

    /// Creates a client for a Tencent COS bucket, whose name ends with the APPID.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if TLS cannot be initialized on this machine.
    pub fn cos(
        name: &str,
        endpoint: Endpoint,
        credentials: Credentials,
    ) -> Result<Self, StoreError> {
        Self::new(Vendor::Cos, name, endpoint, RequestSigner::cos(&credentials))
    }

    fn new(
        vendor: Vendor,
        name: &str,
        endpoint: Endpoint,
        signer: RequestSigner,
    ) -> Result<Self, StoreError> {
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
            retry: Retry::default(),
        })
    }

    /// Sets the retry policy.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    const fn prefix(&self) -> &'static str {
        match self.vendor {
            Vendor::Cos => "x-cos-",
            _ => "x-oss-",
        }
    }

    fn own_header(&self, name: &str) -> String {
        format!("{}{name}", self.prefix())
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

    async fn head(&self, key: &str) -> Result<Head, StoreError> {
        let response = self.send(&self.request(Method::HEAD, key)).await?;
        head_of(&response, None)
    }

    async fn get(
        &self,
        key: &str,
        bytes: Option<Range<u64>>,
        if_match: Option<&str>,
    ) -> Result<Object, StoreError> {
        let mut request = self.request(Method::GET, key);
        if let Some(bytes) = &bytes {
            let last = bytes.end.saturating_sub(1);
            request = request.header("range", format!("bytes={}-{last}", bytes.start));
            // By default, OSS ignores a range that extends past the end.
            if self.vendor == Vendor::Oss {
                request = request.header("x-oss-range-behavior", "standard");
            }
        }
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        let response = self.send(&request).await?;
        let (head, arriving) = object_of(&response, bytes)?;
        if if_match.is_some_and(|wanted| wanted != head.etag) {
            return Err(StoreError::Changed);
        }
        let mut left = arriving.end.saturating_sub(arriving.start);
        let body = response
            .bytes_stream()
            .map_err(|error| StoreError::Unavailable(request::words(&error)))
            .chain(futures_util::stream::iter([Ok(Bytes::new())]))
            .map(move |chunk: Result<Bytes, StoreError>| {
                // The empty chunk at the end detects a truncated response.
                let chunk = chunk?;
                let len = chunk.len() as u64;
                if len > left || (len == 0 && left > 0) {
                    return Err(StoreError::Unavailable("the body was truncated".to_owned()));
                }
                left = left.saturating_sub(len);
                Ok(chunk)
            })
            .boxed();
        Ok(Object { head, bytes: arriving, body })
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        only_new: bool,
    ) -> Result<Stored, StoreError> {
        let mut request = self.request(Method::PUT, key).headers(headers).body(body);
        if only_new {
            request = request.header(&self.own_header("forbid-overwrite"), "true");
        }
        stored(&self.send(&request).await?)
    }

    async fn initiate(&self, key: &str, headers: &Headers) -> Result<Upload, StoreError> {
        let request =
            self.request(Method::POST, key).headers(headers).query("uploads", "").only_once();
        let text = self.text(&request).await?;
        let done: xml::Done = xml::read(&text, "InitiateMultipartUploadResult")?;
        if done.upload_id.is_empty() {
            return Err(StoreError::Malformed("the response has no upload ID".to_owned()));
        }
        Ok(Upload { key: key.to_owned(), id: done.upload_id, begun: None })
    }

    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        headers: &Headers,
    ) -> Result<Stored, StoreError> {
        let mut request = self
            .request(Method::PUT, &upload.key)
            .query("partNumber", &number.to_string())
            .query("uploadId", &upload.id)
            .body(body);
        if self.vendor == Vendor::Oss {
            let meta: Headers = headers
                .iter()
                .filter(|(name, _)| name.contains("-meta-client-side-encryption-"))
                .cloned()
                .collect();
            request = request.headers(&meta);
        }
        stored(&self.send(&request).await?)
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<ArrivedPart>, StoreError> {
        let mut parts: Vec<ArrivedPart> = Vec::new();
        let mut marker = String::new();
        loop {
            let mut request = self.request(Method::GET, &upload.key).query("uploadId", &upload.id);
            if !marker.is_empty() {
                request = request.query("part-number-marker", &marker);
            }
            let page: xml::Parts = xml::read(&self.text(&request).await?, "ListPartsResult")?;
            let before = parts.len();
            parts.extend(page.part.into_iter().map(|part| ArrivedPart {
                number: part.part_number,
                etag: tag(&part.etag),
                len: part.size,
            }));
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
    ) -> Result<Stored, StoreError> {
        let request = self
            .request(Method::POST, &upload.key)
            .query("uploadId", &upload.id)
            .header("content-type", "application/xml")
            .body(xml::completion(parts).into());
        let (text, crc64) = self.text_and_crc(&request).await?;
        let done: xml::Done = xml::read(&text, "CompleteMultipartUploadResult")?;
        Ok(Stored { etag: tag(&done.etag), crc64 })
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        let request = self.request(Method::DELETE, &upload.key).query("uploadId", &upload.id);
        match self.send(&request).await {
            Ok(_) | Err(StoreError::NoUpload | StoreError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn uploads(&self, key: &str) -> Result<Vec<Upload>, StoreError> {
        let request = self
            .request(Method::GET, "")
            .query("uploads", "")
            .query("prefix", key)
            .query("encoding-type", "url");
        let page: xml::Uploads =
            xml::read(&self.text(&request).await?, "ListMultipartUploadsResult")?;
        let encoded = page.encoding_type == "url";
        let uploads = page.upload.into_iter().map(|upload| Upload {
            key: plain_key(&upload.key, encoded),
            id: upload.upload_id,
            begun: answer::seconds(&upload.initiated),
        });
        // Some servers encode keys without saying so.
        Ok(uploads
            .filter(|upload| upload.key == key || plain_key(&upload.key, true) == key)
            .map(|upload| Upload { key: key.to_owned(), ..upload })
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
                let host = self.endpoint.host_of(&self.name);
                let host = if self.endpoint.is_path_style() { self.name.clone() } else { host };
                (format!("{host}/{path}"), "Replaced")
            }
            _ => (format!("/{}/{path}", self.name), "REPLACE"),
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
            .map(|each| Entry {
                key: plain_key(&each.key, encoded),
                len: each.size,
                etag: tag(&each.etag),
                modified: each.last_modified,
            })
            .collect();
        let last = entries.last().map(|entry| entry.key.clone());
        let marker = Some(plain_key(&page.next_marker, encoded)).filter(|next| !next.is_empty());
        let next = marker.or(last).filter(|next| page.is_truncated && Some(next.as_str()) != after);
        Ok(Page { entries, next })
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
