//! Copies within a service.

use std::ops::Range;

use http::Method;
use meta_codec::{Vendor, sse};

use super::{
    Bucket,
    answer::{self, tag},
    request::{Request, url_path},
    xml,
};
use crate::{
    CopyOptions, CopySource, Endpoint, Headers, ObjectMeta, PutResult, StoreError, Upload,
};

/// The ends of the hosts of all regions of COS.
const COS_HOSTS: [&str; 2] = [".myqcloud.com", ".tencentcos.cn"];

impl Bucket {
    /// Returns the name of an object as the service finds it.
    pub(super) fn source(&self, key: &str, meta: &ObjectMeta) -> CopySource {
        let path = url_path(key);
        let path = match self.vendor {
            Vendor::Cos if !self.endpoint.is_path_style() => {
                format!("{}/{path}", self.endpoint.bucket_host(&self.name))
            }
            Vendor::Cos => format!("{}/{path}", self.name),
            Vendor::Oss => format!("/{}/{path}", self.name),
        };
        let version = meta.version_id.as_ref();
        let path = version.map_or(path.clone(), |id| format!("{path}?versionId={id}"));
        let customer_key = self.customer.as_ref().map(|customer| customer.key().clone());
        CopySource::new(self.vendor, self.endpoint.clone(), path, &meta.etag, customer_key)
    }

    /// Returns whether the service finds an object by its name: OSS within its region, COS in all
    /// regions. What is behind another endpoint may be another service, which is not told a key.
    pub(super) fn finds(&self, source: &CopySource) -> bool {
        let is_of_cos =
            |endpoint: &Endpoint| COS_HOSTS.iter().any(|ending| endpoint.host().ends_with(ending));
        let is_near = match self.vendor {
            _ if *source.endpoint() == self.endpoint => true,
            Vendor::Cos => is_of_cos(source.endpoint()) && is_of_cos(&self.endpoint),
            Vendor::Oss => false,
        };
        source.vendor() == self.vendor && is_near
    }

    fn copying(&self, request: Request, source: &CopySource) -> Result<Request, StoreError> {
        if !self.finds(source) {
            return Err(StoreError::Unsupported("copies from another service or region"));
        }
        let request = request
            .header(&self.own_header("copy-source"), source.path())
            .header(&self.own_header("copy-source-if-match"), source.etag());
        Ok(request.copy_source_key(source.customer_key()).kind(sse::Request::Copy))
    }

    pub(super) async fn copy_object(
        &self,
        source: &CopySource,
        key: &str,
        headers: &Headers,
        options: CopyOptions,
    ) -> Result<PutResult, StoreError> {
        self.check_writable(key)?;
        let request = self.request(Method::PUT, key).headers(headers);
        let mut request = self.copying(request, source)?;
        if options.replace {
            let directive = match self.vendor {
                Vendor::Cos => "Replaced",
                Vendor::Oss => "REPLACE",
            };
            request = request.header(&self.own_header("metadata-directive"), directive);
        }
        let tagging = self.own_header("tagging");
        if headers.iter().any(|(name, _)| *name == tagging) {
            // By default, a copy has the tags of its source.
            let directive = match self.vendor {
                Vendor::Cos => "Replaced",
                Vendor::Oss => "Replace",
            };
            request = request.header(&self.own_header("tagging-directive"), directive);
        }
        if options.create_only {
            request = request.header(&self.own_header("forbid-overwrite"), "true");
        }
        let (text, headers) = self.text_and_headers(&request).await?;
        let done: xml::Done = xml::read(&text, "CopyObjectResult")?;
        let version_id = answer::version_id(&headers);
        Ok(PutResult::new(tag(&done.etag), None).with_version_id(version_id))
    }

    pub(super) async fn copy_bytes(
        &self,
        source: &CopySource,
        bytes: Range<u64>,
        upload: &Upload,
        number: u16,
    ) -> Result<PutResult, StoreError> {
        let last = bytes.end.saturating_sub(1);
        let request = self
            .request(Method::PUT, &upload.key)
            .query("partNumber", &number.to_string())
            .query("uploadId", &upload.id)
            .header(&self.own_header("copy-source-range"), format!("bytes={}-{last}", bytes.start));
        let text = self.text(&self.copying(request, source)?).await?;
        // OSS and COS use the same name as for a whole object, or one of its own.
        let done: xml::Done =
            xml::read(&text, "CopyPartResult").or_else(|_| xml::read(&text, "CopyObjectResult"))?;
        if done.etag.is_empty() {
            return Err(StoreError::Malformed("the response has no entity tag".to_owned()));
        }
        Ok(PutResult::new(tag(&done.etag), None))
    }
}
