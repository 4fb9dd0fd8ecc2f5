//! The signatures of OSS: version 1 with HMAC-SHA-1, and `OSS4-HMAC-SHA256`
//! (help.aliyun.com, "Include a V1 signature" and "Include a V4 signature").

use base64::{Engine as _, engine::general_purpose::STANDARD};
use envelope_cloud::sign::{hex, hmac_sha1, hmac_sha256, sha256_hex};
use http::{HeaderMap, HeaderName, request::Parts};
use percent_encoding::percent_decode_str;

use super::super::request::url_path;
use crate::Credentials;

/// The header for the checksum of the body, and its value if there is none.
pub(super) const CONTENT: &str = "x-oss-content-sha256";
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// The query parameters of our requests that version 1 signs.
const SUBRESOURCES: [&str; 9] = [
    "acl",
    "delete",
    "partNumber",
    "restore",
    "tagging",
    "uploadId",
    "uploads",
    "versionId",
    "versions",
];

/// Returns the value of `Authorization` for version 1.
pub(super) fn v1(parts: &Parts, bucket: &str, object: &str, key: &Credentials) -> String {
    let header = |name| text(&parts.headers, name);
    let own = canonical_headers(&parts.headers, |name| name.starts_with("x-oss-"));
    let mut sub: Vec<String> = pairs(parts)
        .filter(|(name, _)| SUBRESOURCES.contains(name))
        .map(|(name, value)| match percent_decode_str(value).decode_utf8_lossy() {
            value if value.is_empty() => name.to_owned(),
            value => format!("{name}={value}"),
        })
        .collect();
    sub.sort_unstable();
    let mark = if sub.is_empty() { "" } else { "?" };
    let request = format!(
        "{}\n{}\n{}\n{}\n{own}/{bucket}/{object}{mark}{}",
        parts.method,
        header("content-md5"),
        header("content-type"),
        header("date"),
        sub.join("&"),
    );
    let mac = hmac_sha1(key.secret().as_bytes(), request.as_bytes());
    format!("OSS {}:{}", key.id(), STANDARD.encode(mac))
}

/// Returns the value of `Authorization` for version 4. `date` is the value of `x-oss-date`.
pub(super) fn v4(
    parts: &Parts,
    bucket: &str,
    object: &str,
    key: &Credentials,
    region: &str,
    date: &str,
) -> String {
    let headers = canonical_headers(&parts.headers, |name| {
        name.starts_with("x-oss-") || name == "content-type" || name == "content-md5"
    });
    let mut query: Vec<(&str, &str)> = pairs(parts).collect();
    query.sort_unstable();
    let query: Vec<String> = query
        .into_iter()
        .map(|(name, value)| match value {
            "" => name.to_owned(),
            value => format!("{name}={value}"),
        })
        .collect();
    let request = format!(
        "{}\n/{bucket}/{}\n{}\n{headers}\n\n{UNSIGNED}",
        parts.method,
        url_path(object),
        query.join("&"),
    );
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/oss/aliyun_v4_request");
    let text = format!("OSS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256_hex(request.as_bytes()));
    let first = zeroize::Zeroizing::new(format!("aliyun_v4{}", key.secret()));
    let mut signing_key = hmac_sha256(first.as_bytes(), day.as_bytes());
    for part in [region, "oss", "aliyun_v4_request"] {
        signing_key = hmac_sha256(&signing_key[..], part.as_bytes());
    }
    let signature = hex(&hmac_sha256(&signing_key[..], text.as_bytes())[..]);
    format!("OSS4-HMAC-SHA256 Credential={}/{scope},Signature={signature}", key.id())
}

/// Returns the headers that are signed, in order.
fn canonical_headers(headers: &HeaderMap, is_signed: impl Fn(&str) -> bool) -> String {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.retain(|name| is_signed(name));
    names.sort_unstable();
    names.into_iter().map(|name| format!("{name}:{}\n", text(headers, name).trim())).collect()
}

fn text(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    value.unwrap_or_default().into_owned()
}

/// Returns the names and values in the query, still encoded.
fn pairs(parts: &Parts) -> impl Iterator<Item = (&str, &str)> {
    let query = parts.uri.query().unwrap_or_default();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}
