//! Building, signing, sending and retrying requests.

use std::error::Error as _;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Bucket, answer};
use crate::{Headers, StoreError, xml};

/// Percent-encodes everything but the unreserved characters of RFC 3986. A path also keeps slashes.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Maximum length of an XML document, in bytes.
const MAX_TEXT: usize = 8 << 20;

/// A request, not yet signed.
#[derive(Clone, Debug)]
pub(super) struct Request {
    method: Method,
    key: String,
    query: Vec<(&'static str, String)>,
    headers: Headers,
    body: Bytes,
    tries: Option<u32>,
}

impl Request {
    pub(super) fn new(method: Method, key: &str) -> Self {
        Self {
            method,
            key: key.to_owned(),
            query: Vec::new(),
            headers: Headers::new(),
            body: Bytes::new(),
            tries: None,
        }
    }

    pub(super) fn query(mut self, name: &'static str, value: &str) -> Self {
        self.query.push((name, value.to_owned()));
        self
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn headers(mut self, headers: &Headers) -> Self {
        self.headers.extend(headers.iter().cloned());
        self
    }

    pub(super) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// Disables retries of a request that is not idempotent.
    pub(super) const fn only_once(mut self) -> Self {
        self.tries = Some(1);
        self
    }
}

pub(super) fn url_path(key: &str) -> String {
    utf8_percent_encode(key, PATH).to_string()
}

/// Formats the causes of a transport error. The URL holds no secrets, but is omitted because it is
/// long.
pub(super) fn words(error: &reqwest::Error) -> String {
    let mut words = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        if !words.is_empty() {
            words.push_str(": ");
        }
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    if words.is_empty() { "the connection failed".to_owned() } else { words }
}

impl Bucket {
    /// Sends a request, retrying transient errors.
    pub(super) async fn send(&self, request: &Request) -> Result<reqwest::Response, StoreError> {
        let mut failed = 0;
        loop {
            match self.send_once(request).await {
                Err(error) => failed = self.after(request, failed, error).await?,
                outcome => return outcome,
            }
        }
    }

    /// Returns the document in the response.
    pub(super) async fn text(&self, request: &Request) -> Result<String, StoreError> {
        Ok(self.text_and_crc(request).await?.0)
    }

    /// Returns the document in the response, and the checksum in its headers.
    pub(super) async fn text_and_crc(
        &self,
        request: &Request,
    ) -> Result<(String, Option<u64>), StoreError> {
        let mut failed = 0;
        loop {
            match self.text_once(request).await {
                Err(error) => failed = self.after(request, failed, error).await?,
                outcome => return outcome,
            }
        }
    }

    async fn text_once(&self, request: &Request) -> Result<(String, Option<u64>), StoreError> {
        let response = self.send_once(request).await?;
        let crc64 = answer::crc64(response.headers());
        let text = read_text(response).await?;
        // An error document with status 200 is retried, too.
        xml::refuse_error(&text)?;
        Ok((text, crc64))
    }

    /// Counts a failed attempt, and waits before the next one if any is left.
    async fn after(
        &self,
        request: &Request,
        failed: u32,
        error: StoreError,
    ) -> Result<u32, StoreError> {
        let failed = failed.saturating_add(1);
        tracing::debug!(method = %request.method, key = request.key, failed, "{error}");
        let spent = request.tries.is_some_and(|tries| failed >= tries);
        if !error.is_passing() || spent || !self.retry.pause(failed).await {
            return Err(error);
        }
        Ok(failed)
    }

    async fn send_once(&self, request: &Request) -> Result<reqwest::Response, StoreError> {
        let (mut parts, ()) = self.parts(request)?.into_parts();
        self.signer.sign(&mut parts).await?;
        let signed = http::Request::from_parts(parts, request.body.clone());
        let signed = reqwest::Request::try_from(signed)
            .map_err(|error| StoreError::Malformed(words(&error)))?;
        let response = self
            .client
            .execute(signed)
            .await
            .map_err(|error| StoreError::Unavailable(words(&error)))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(answer::failure(response).await)
    }

    fn parts(&self, request: &Request) -> Result<http::Request<()>, StoreError> {
        let malformed = |what: &str| StoreError::Malformed(format!("{what} cannot be sent"));
        let mut url = self.endpoint.url(&self.name, &url_path(&request.key));
        for (n, (name, value)) in request.query.iter().enumerate() {
            url.push(if n == 0 { '?' } else { '&' });
            url.push_str(name);
            if !value.is_empty() {
                url.push('=');
                url.push_str(&utf8_percent_encode(value, QUERY).to_string());
            }
        }
        let uri: Uri = url.parse().map_err(|_| malformed("the key"))?;
        let mut made = http::Request::new(());
        *made.method_mut() = request.method.clone();
        *made.uri_mut() = uri;
        for (name, value) in &request.headers {
            let name: HeaderName = name.parse().map_err(|_| malformed("a header's name"))?;
            let value = HeaderValue::from_str(value).map_err(|_| malformed("a header's value"))?;
            made.headers_mut().insert(name, value);
        }
        let writes = matches!(request.method, Method::PUT | Method::POST);
        if writes && !made.headers().contains_key(header::CONTENT_TYPE) {
            let octets = HeaderValue::from_static("application/octet-stream");
            made.headers_mut().insert(header::CONTENT_TYPE, octets);
        }
        if writes {
            made.headers_mut().insert(header::CONTENT_LENGTH, request.body.len().into());
        }
        Ok(made)
    }
}

/// Reads a document of limited length.
pub(super) async fn read_text(mut response: reqwest::Response) -> Result<String, StoreError> {
    let mut bytes = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| StoreError::Unavailable(words(&error)))?
    {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_TEXT {
            return Err(StoreError::Malformed("the document is too long".to_owned()));
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| StoreError::Malformed("the document is not UTF-8".to_owned()))
}
