//! Interpretation of responses.

use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode};
use meta_codec::Vendor;

use super::{document::read_text, xml};
use crate::{ErrorResponse, Headers, ObjectMeta, PutResult, StoreError};

/// Returns an entity tag in quotes, whether or not the service included them.
pub(super) fn tag(text: &str) -> String {
    format!("\"{}\"", text.trim().trim_matches('"'))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns a header that each vendor spells with its own prefix.
fn own_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut names = Vendor::ALL.into_iter().map(|it| format!("{}{name}", it.header_prefix()));
    names.find_map(|name| text(headers, &name))
}

pub(super) fn crc64(headers: &HeaderMap) -> Option<u64> {
    own_header(headers, "hash-crc64ecma")?.parse().ok()
}

/// Parses an ISO 8601 date in UTC into seconds since 1970.
pub(super) fn seconds(date: &str) -> Option<u64> {
    let date: jiff::Timestamp = date.parse().ok()?;
    u64::try_from(date.as_second()).ok()
}

/// Returns the time of the service.
pub(super) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, "date")?).ok()
}

/// Returns the ID of the version, which a bucket has that keeps versions or once did.
pub(super) fn version_id(headers: &HeaderMap) -> Option<String> {
    own_header(headers, "version-id").map(str::to_owned)
}

/// Returns the ID by which the service's support finds a request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<&str> {
    own_header(headers, "request-id")
}

/// Returns whether COS says that an object has the access of its bucket.
pub(super) fn is_default_access(headers: &HeaderMap) -> bool {
    text(headers, "x-cos-acl") == Some("default")
}

pub(super) fn stored(headers: &HeaderMap) -> Result<PutResult, StoreError> {
    let etag = text(headers, "etag")
        .ok_or_else(|| StoreError::Malformed("the response has no entity tag".to_owned()))?;
    Ok(PutResult::new(tag(etag), crc64(headers)).with_version_id(version_id(headers)))
}

/// Returns the metadata of an object. `whole` is its length if the `Content-Length` is that of a
/// range.
pub(super) fn head_of(
    response: &reqwest::Response,
    whole: Option<u64>,
) -> Result<ObjectMeta, StoreError> {
    let headers = response.headers();
    let malformed = |what: &str| StoreError::Malformed(format!("the response has no {what}"));
    let len = whole
        .or_else(|| text(headers, "content-length")?.parse().ok())
        .ok_or_else(|| malformed("length"))?;
    let etag = text(headers, "etag").ok_or_else(|| malformed("entity tag"))?;
    let all: Headers = headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    Ok(ObjectMeta {
        len,
        etag: tag(etag),
        crc64: crc64(headers),
        version_id: version_id(headers),
        modified: text(headers, "last-modified").map(str::to_owned),
        headers: all,
    })
}

/// Returns the metadata of an object and the range of the response, which must match the requested
/// one.
pub(super) fn object_of(
    response: &reqwest::Response,
    asked: Option<Range<u64>>,
) -> Result<(ObjectMeta, Range<u64>), StoreError> {
    let malformed = |words: &str| StoreError::Malformed(words.to_owned());
    let len = text(response.headers(), "content-length").and_then(|len| len.parse::<u64>().ok());
    match (response.status(), asked) {
        (StatusCode::OK, None) => {
            let head = head_of(response, None)?;
            let all = 0..head.len;
            Ok((head, all))
        }
        (StatusCode::PARTIAL_CONTENT, Some(asked)) => {
            let (got, whole) = text(response.headers(), "content-range")
                .and_then(content_range)
                .ok_or_else(|| malformed("the response for a range has no Content-Range"))?;
            let wanted = asked.start..asked.end.min(whole);
            if got != wanted || len.is_some_and(|len| len != got.end.saturating_sub(got.start)) {
                return Err(malformed("the response is for a different range"));
            }
            Ok((head_of(response, Some(whole))?, got))
        }
        // Also rejected if the range covers the whole object: not worth a special case.
        (StatusCode::OK, Some(_)) => {
            Err(malformed("the response has the whole object, not a range"))
        }
        _ => Err(malformed("the response has a range, not the whole object")),
    }
}

/// Parses `bytes A-B/LEN`.
fn content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let end = last.parse::<u64>().ok()?.checked_add(1)?;
    Some((first.parse().ok()?..end, whole.parse().ok()?))
}

/// Converts an unsuccessful response into an error. `stall` limits the wait for its document.
pub(super) async fn failure(response: reqwest::Response, stall: Duration) -> StoreError {
    let status = response.status();
    let header = |name: &str| text(response.headers(), name).unwrap_or_default().to_owned();
    let id = request_id(response.headers()).unwrap_or_default().to_owned();
    let cause = header("x-oss-ec");
    // The answer to HEAD has no body. OSS puts the document that would be there into a header.
    let in_header = header("x-oss-err");
    let pause = retry_after(&header("retry-after"), SystemTime::now());
    let document = read_text(response, stall).await;
    if status == StatusCode::NOT_FOUND
        && let Err(error) = document
    {
        // What was cut off, or is no text, may be the page of another server, too.
        return match error.is_transient() {
            true => error,
            false => StoreError::OtherServer(format!("status 404, with a page: {error}")),
        };
    }
    let mut document = document.unwrap_or_default();
    if document.is_empty()
        && let Ok(bytes) = STANDARD.decode(in_header)
    {
        document = String::from_utf8_lossy(&bytes).into_owned();
    }
    let mut refusal = xml::refusal(status.as_u16(), &document);
    if refusal.request_id.is_empty() {
        refusal.request_id = id;
    }
    if refusal.cause.is_empty() {
        refusal.cause = cause;
    }
    if status == StatusCode::NOT_FOUND && refusal.code.is_empty() && !document.is_empty() {
        // Neither service says so of an object: a portal does, or a server of something else.
        return StoreError::OtherServer("status 404, with a page".to_owned());
    }
    match (classify(refusal, xml::endpoint(&document)), pause) {
        (StoreError::Unavailable(reason), Some(retry_after)) => {
            StoreError::Busy { reason, retry_after }
        }
        (error, _) => error,
    }
}

/// Reads `Retry-After`: seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

fn classify(refusal: ErrorResponse, endpoint: String) -> StoreError {
    match (refusal.status, refusal.code.as_str()) {
        (404, "NoSuchUpload") => StoreError::NoUpload,
        (404, "NoSuchBucket") => StoreError::NoBucket(refusal),
        // OSS answers 403 and names the endpoint. COS redirects, and says so in other words.
        (403, _) if !endpoint.is_empty() => {
            StoreError::WrongEndpoint { endpoint, reason: refusal.to_string() }
        }
        (301 | 302 | 307, _) => StoreError::WrongEndpoint { endpoint, reason: refusal.to_string() },
        (403, "RequestTimeTooSkewed") => StoreError::ClockSkew(refusal.to_string()),
        (404, "" | "NoSuchKey" | "NoSuchObject") => StoreError::NotFound,
        (409, "FileAlreadyExists" | "ObjectAlreadyExists") => StoreError::Exists,
        (412, _) => StoreError::Changed,
        // An archived object is no matter of the access key.
        (403, "InvalidObjectState") => StoreError::Refused(refusal),
        // Some gateways answer 400 to a token that has expired.
        (401 | 403, _)
        | (400, "ExpiredToken" | "InvalidSecurityToken" | "SecurityTokenExpired") => {
            StoreError::Denied(refusal.to_string())
        }
        // The body arrived damaged or incomplete, and is sent again.
        (400, "RequestTimeout" | "IncompleteBody" | "InvalidDigest" | "BadDigest")
        | (408 | 429 | 500..=599, _) => StoreError::Unavailable(refusal.to_string()),
        _ => StoreError::Refused(refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 0-0/1"), Some((0..1, 1)));
        assert_eq!(content_range("bytes 5-9/10"), Some((5..10, 10)));
        for bad in ["", "bytes */10", "bytes 5-9/*", "5-9/10", "bytes 5-18446744073709551615/9"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn pauses() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        let later = retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now);
        assert_eq!(later, Some(Duration::from_secs(60)));
        for none in ["", "-1", "soon", "Sun, 06 Nov 1994 08:49:36 GMT"] {
            assert_eq!(retry_after(none, now), None, "{none}");
        }
    }

    #[test]
    fn refusals() {
        let of = |status, code: &str| {
            let code = code.to_owned();
            classify(ErrorResponse { status, code, ..ErrorResponse::default() }, String::new())
        };
        assert!(matches!(of(403, "AccessDenied"), StoreError::Denied(_)));
        assert!(matches!(of(400, "SecurityTokenExpired"), StoreError::Denied(_)));
        assert!(of(403, "InvalidObjectState").is_of_archive());
        assert!(matches!(of(400, "BadDigest"), StoreError::Unavailable(_)));
        assert!(matches!(of(400, "InvalidArgument"), StoreError::Refused(_)));
        assert!(matches!(of(404, "NoSuchBucket"), StoreError::NoBucket(_)));
        assert!(matches!(of(301, "PermanentRedirect"), StoreError::WrongEndpoint { .. }));
        assert!(matches!(of(403, "RequestTimeTooSkewed"), StoreError::ClockSkew(_)));
        let endpoint = "oss-cn-b.aliyuncs.com".to_owned();
        let elsewhere = ErrorResponse { status: 403, ..ErrorResponse::default() };
        assert!(matches!(classify(elsewhere, endpoint), StoreError::WrongEndpoint { .. }));
        assert!(matches!(of(404, "NoSuchUpload"), StoreError::NoUpload));
    }

    #[test]
    fn dates() {
        assert_eq!(seconds("1970-01-01T00:00:10.000Z"), Some(10));
        assert_eq!(seconds("yesterday"), None);
    }
}
