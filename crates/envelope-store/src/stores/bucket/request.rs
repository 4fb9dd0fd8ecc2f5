//! Building, signing, sending and retrying requests.

use std::{fmt, io, sync::Arc, time::Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use md5::{Digest as _, Md5};
use meta_codec::sse::{self, CustomerKey};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tracing::Instrument as _;

use super::{
    Bucket, answer, customer_sse,
    document::{read_text, words},
    transmit::transmit,
    xml,
};
use crate::{Credentials, Headers, RetryPolicy, StoreError, head_unless_gone, retry::retry};

/// Percent-encodes everything but the unreserved characters of RFC 3986. A path also keeps slashes.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The longest body that is hashed where the request is made. Another thread would take about as
/// long to wake as this many bytes take.
const SHORT: usize = 16 << 10;

/// A request, not yet signed.
#[derive(Clone, Debug)]
pub(super) struct Request {
    method: Method,
    key: String,
    query: Vec<(&'static str, String)>,
    headers: Headers,
    body: Bytes,
    only_once: bool,
    /// The kind of request, if that matters to encryption by the store.
    kind: Option<sse::Request>,
    /// The customer key of the object that is copied.
    copy_source_key: Option<SourceKey>,
}

/// A customer key, without its value in debug output.
#[derive(Clone)]
struct SourceKey(Arc<CustomerKey>);

impl fmt::Debug for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey")
    }
}

impl Request {
    pub(super) fn new(method: Method, key: &str) -> Self {
        Self {
            method,
            key: key.to_owned(),
            query: Vec::new(),
            headers: Headers::new(),
            body: Bytes::new(),
            only_once: false,
            kind: None,
            copy_source_key: None,
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

    /// Sets what it does with an object, which a customer key goes along with.
    pub(super) const fn kind(mut self, kind: sse::Request) -> Self {
        self.kind = Some(kind);
        self
    }

    pub(super) fn copy_source_key(mut self, key: Option<&Arc<CustomerKey>>) -> Self {
        self.copy_source_key = key.map(|key| SourceKey(Arc::clone(key)));
        self
    }

    /// Returns the names of the parameters, and the values of those that say what is meant.
    fn query_names(&self) -> String {
        let told = ["partNumber", "prefix", "marker", "key-marker"];
        let pairs = self.query.iter().map(|(name, value)| match told.contains(name) {
            true => format!("{name}={value}"),
            false => (*name).to_owned(),
        });
        pairs.collect::<Vec<_>>().join("&")
    }

    /// Disables retries of a request that is not idempotent.
    pub(super) const fn only_once(mut self) -> Self {
        self.only_once = true;
        self
    }
}

/// Returns whether clients would take another path from this URL.
pub(super) fn is_normalized(url: &str, path: &str) -> bool {
    reqwest::Url::parse(url).map_or(true, |parsed| parsed.path() != path)
}

pub(super) fn url_path(key: &str) -> String {
    utf8_percent_encode(key, PATH).to_string()
}

/// Returns whether a request was denied although the access key is in order: another one of the
/// same owner would be denied, too. Both services say so with this code, and only with this one.
fn is_of_permission(error: &StoreError) -> bool {
    matches!(error, StoreError::Denied(reason) if reason.starts_with("403 AccessDenied"))
}

/// Adds the header `Content-MD5`, with which the service refuses a body that was damaged on its
/// way.
pub(super) async fn with_md5(request: Request) -> Result<Request, StoreError> {
    let body = request.body.clone();
    let digest = move || STANDARD.encode(Md5::digest(&body));
    let md5 = if request.body.len() <= SHORT {
        digest()
    } else {
        tokio::task::spawn_blocking(digest).await.map_err(io::Error::other)?
    };
    Ok(request.header("content-md5", md5))
}

impl Bucket {
    /// Sends a request, retrying transient errors.
    pub(super) async fn send(&self, request: &Request) -> Result<reqwest::Response, StoreError> {
        self.attempts(request, || self.send_once(request)).await
    }

    /// Sends a request whose body the service compares with a checksum.
    pub(super) async fn send_checked(
        &self,
        request: Request,
    ) -> Result<reqwest::Response, StoreError> {
        self.send(&with_md5(request).await?).await
    }

    /// Sends a request to delete something. Neither service has anything to say in its answer: a
    /// page is that of another server.
    pub(super) async fn send_deletion(&self, request: &Request) -> Result<(), StoreError> {
        match self.text_and_headers(request).await {
            Ok((text, _)) if text.is_empty() => Ok(()),
            Ok(_) => Err(StoreError::Malformed("the answer to a deletion has a body".to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Returns the outcome of a deletion, which succeeds if there is nothing to delete. Neither
    /// service says that there was nothing, so that whoever does is not believed.
    pub(super) async fn is_gone_after(
        &self,
        deletion: Result<(), StoreError>,
        key: &str,
    ) -> Result<(), StoreError> {
        match deletion {
            Err(StoreError::NotFound) => match head_unless_gone(self, key).await? {
                None => Ok(()),
                Some(_) => {
                    let words = "the object was not found, but it is there and not deleted";
                    Err(StoreError::OtherServer(words.to_owned()))
                }
            },
            outcome => outcome,
        }
    }

    /// Returns the document in the response.
    pub(super) async fn text(&self, request: &Request) -> Result<String, StoreError> {
        Ok(self.text_and_headers(request).await?.0)
    }

    /// Returns the document in the response, and the headers.
    pub(super) async fn text_and_headers(
        &self,
        request: &Request,
    ) -> Result<(String, HeaderMap), StoreError> {
        self.attempts(request, || self.text_once(request)).await
    }

    async fn attempts<T, F: Future<Output = Result<T, StoreError>> + Send>(
        &self,
        request: &Request,
        attempt: impl Fn() -> F + Send,
    ) -> Result<T, StoreError> {
        let policy = if request.only_once { RetryPolicy::ONCE } else { self.retry };
        let span = tracing::debug_span!(
            "request",
            vendor = self.vendor.id(),
            bucket = self.name,
            method = %request.method,
            key = request.key,
            query = request.query_names(),
        );
        retry(policy, &self.wait_listener, attempt).instrument(span).await
    }

    async fn text_once(&self, request: &Request) -> Result<(String, HeaderMap), StoreError> {
        let response = self.send_once(request).await?;
        let headers = response.headers().clone();
        let text = read_text(response, self.stall).await?;
        // An error document with status 200 is retried, too.
        xml::refuse_error(&text)?;
        Ok((text, headers))
    }

    /// Makes one attempt. A request that was denied is signed once more if the clock or the access
    /// key was the reason: the service's time is known now, and the key may have been replaced.
    async fn send_once(&self, request: &Request) -> Result<reqwest::Response, StoreError> {
        let (key, skew) = (self.signer.key().await?, self.signer.skew());
        let response = self.transmit(request, &key).await?;
        if response.status().is_success() {
            return self.checked(request, response);
        }
        let date = answer::date(response.headers());
        let error = answer::failure(response, self.stall).await;
        if !matches!(error, StoreError::Denied(_) | StoreError::ClockSkew(_)) {
            return Err(error);
        }
        date.into_iter().for_each(|date| self.signer.correct_clock(date));
        // Another request may have been the one that corrected the clock.
        let corrected = self.signer.skew() != skew;
        if !corrected && !is_of_permission(&error) {
            self.signer.refused(&key);
        }
        let renewed = self.signer.key().await?;
        let same = (renewed.id(), renewed.secret(), renewed.token())
            == (key.id(), key.secret(), key.token());
        if same && !corrected {
            return Err(error);
        }
        let response = self.transmit(request, &renewed).await?;
        if response.status().is_success() {
            return self.checked(request, response);
        }
        Err(answer::failure(response, self.stall).await)
    }

    /// Checks that the store used the customer key, if there is one.
    fn checked(
        &self,
        request: &Request,
        response: reqwest::Response,
    ) -> Result<reqwest::Response, StoreError> {
        if let (Some(customer), Some(kind)) = (&self.customer, request.kind) {
            customer.check(kind, response.headers())?;
        }
        Ok(response)
    }

    /// Signs and sends a request.
    async fn transmit(
        &self,
        request: &Request,
        key: &Credentials,
    ) -> Result<reqwest::Response, StoreError> {
        let (mut parts, ()) = self.parts(request)?.into_parts();
        let path = parts.uri.path().to_owned();
        self.signer.sign(&mut parts, &request.key, key)?;
        let signed = reqwest::Request::try_from(http::Request::from_parts(parts, Bytes::new()))
            .map_err(|error| StoreError::Malformed(words(&error)))?;
        // The client's URLs resolve `.` and `..`, and there is no other way to write these. The
        // request would go to another object, or to another bucket.
        if signed.url().path() != path {
            return Err(StoreError::Key(request.key.clone()));
        }
        let begun = Instant::now();
        let answer = transmit(&self.client, signed, request.body.clone(), self.stall).await;
        let milliseconds = begun.elapsed().as_millis();
        match &answer {
            Ok(answer) => tracing::debug!(
                status = answer.status().as_u16(),
                request_id = answer::request_id(answer.headers()).unwrap_or_default(),
                bytes = request.body.len(),
                milliseconds,
                "answered"
            ),
            Err(error) => tracing::debug!(%error, milliseconds, "not answered"),
        }
        answer
    }

    pub(super) fn parts(&self, request: &Request) -> Result<http::Request<()>, StoreError> {
        // Without a key, a request is about the bucket itself. Only listings are, and deletions of
        // objects that the body names.
        let is_of_bucket = |(name, _): &(&str, String)| matches!(*name, "prefix" | "delete");
        if request.key.is_empty() && !request.query.iter().any(is_of_bucket) {
            return Err(StoreError::Key(String::new()));
        }
        let malformed = |what: &str| StoreError::Malformed(format!("{what} cannot be sent"));
        let mut url = self.endpoint.bucket_url(&self.name, &url_path(&request.key));
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
        if let (Some(customer), Some(kind)) = (&self.customer, request.kind) {
            customer.add(kind, made.headers_mut())?;
        }
        if let Some(SourceKey(key)) = &request.copy_source_key {
            if !self.endpoint.is_secure() {
                return Err(StoreError::CustomerKey("it must not be sent over plain HTTP"));
            }
            customer_sse::add_copy_source(key, made.headers_mut())?;
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
