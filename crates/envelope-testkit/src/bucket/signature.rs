//! Verification of the signatures of OSS (V1, V4), COS and S3 (V4), by recomputing them.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::{
    ACCESS_KEY,
    route::{Call, decode, encode},
};

/// The query parameters that V1 signs (oss2 2.19.1, `auth.py`; ali-oss 6.23.0).
const SUBRESOURCES: [&str; 24] = [
    "acl",
    "append",
    "continuation-token",
    "cors",
    "delete",
    "encryption",
    "lifecycle",
    "location",
    "objectMeta",
    "partNumber",
    "policy",
    "position",
    "response-content-type",
    "restore",
    "security-token",
    "stat",
    "symlink",
    "tagging",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "x-oss-process",
];
/// Maximum clock skew, in seconds.
const SKEW: i64 = 900;

/// What a signature is verified with.
pub(super) struct Account<'a> {
    pub(super) secret: &'a str,
    /// The time of the server.
    pub(super) now: Timestamp,
}

pub(super) fn is_right(call: &Call, account: &Account<'_>) -> bool {
    let authorization = call.header("authorization");
    if let Some(fields) = authorization.strip_prefix("OSS4-HMAC-SHA256") {
        v4(call, account, fields).unwrap_or(false)
    } else if let Some(signed) = authorization.strip_prefix("OSS ") {
        v1(call, account, signed)
    } else if let Some(fields) = authorization.strip_prefix("AWS4-HMAC-SHA256") {
        s3(call, account, fields).unwrap_or(false)
    } else if authorization.starts_with("q-sign-algorithm") {
        cos(call, account, authorization).unwrap_or(false)
    } else {
        presigned(call, account).unwrap_or(false)
    }
}

/// Verifies a signature that is in the URL.
fn presigned(call: &Call, account: &Account<'_>) -> Option<bool> {
    let value = |name: &str| call.query.get(name).cloned();
    let now = account.now.as_second();
    let plain = |names: &[&str]| {
        let query = call.query.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        let query = query.map(|(name, value)| (name.clone(), value.clone())).collect();
        Call { query, ..call.clone() }
    };
    if let Some(signature) = value("x-oss-signature") {
        let (date, expires) = (value("x-oss-date")?, value("x-oss-expires")?);
        let fields = format!(
            "Credential={},AdditionalHeaders={},Signature={signature}",
            value("x-oss-credential")?,
            value("x-oss-additional-headers").unwrap_or_default(),
        );
        let mut signed = plain(&["x-oss-signature"]);
        signed.headers.insert("x-oss-date".to_owned(), date.clone());
        signed.headers.insert("x-oss-content-sha256".to_owned(), "UNSIGNED-PAYLOAD".to_owned());
        let until = seconds(&date)?.checked_add(expires.parse().ok()?)?;
        return Some(now <= until && v4_query(&signed, account, &fields)?);
    }
    if let Some(signature) = value("Signature") {
        let (id, expires) = (value("OSSAccessKeyId")?, value("Expires")?);
        let mut signed = plain(&["OSSAccessKeyId", "Expires", "Signature"]);
        signed.headers.insert("date".to_owned(), expires.clone());
        signed.headers.remove("x-oss-date");
        let is_right = v1(&signed, account, &format!("{id}:{signature}"));
        return Some(now <= expires.parse::<i64>().ok()? && is_right);
    }
    let names = [
        "q-sign-algorithm",
        "q-ak",
        "q-sign-time",
        "q-key-time",
        "q-header-list",
        "q-url-param-list",
        "q-signature",
        "x-cos-security-token",
    ];
    let fields: Vec<String> =
        names.iter().filter_map(|name| Some(format!("{name}={}", value(name)?))).collect();
    value("q-signature")?;
    cos(&plain(&names), account, &fields.join("&"))
}

fn v1(call: &Call, account: &Account<'_>, signed: &str) -> bool {
    let own: String = call
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-oss-"))
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let sub: Vec<String> = call
        .query
        .iter()
        .filter(|(name, _)| SUBRESOURCES.contains(&name.as_str()))
        .map(
            |(name, value)| {
                if value.is_empty() { name.clone() } else { format!("{name}={value}") }
            },
        )
        .collect();
    let sub = if sub.is_empty() { String::new() } else { format!("?{}", sub.join("&")) };
    let date = Some(call.header("x-oss-date")).filter(|date| !date.is_empty());
    let date = date.unwrap_or_else(|| call.header("date"));
    let time = jiff::fmt::rfc2822::parse(date).map(|time| time.timestamp().as_second());
    if time.is_ok_and(|time| (time - account.now.as_second()).abs() >= SKEW) {
        return false;
    }
    let head = [call.method.as_str(), call.header("content-md5"), call.header("content-type")];
    resources(call).any(|resource| {
        let text = format!("{}\n{}\n{own}{resource}{sub}", head.join("\n"), date);
        let mut mac =
            Hmac::<Sha1>::new_from_slice(account.secret.as_bytes()).expect("HMAC takes any key");
        mac.update(text.as_bytes());
        signed == format!("{ACCESS_KEY}:{}", STANDARD.encode(mac.finalize().into_bytes()))
    })
}

/// Returns the resource with the bucket, and the path as received, which is what requests on the
/// bucket itself sign.
fn resources(call: &Call) -> impl Iterator<Item = String> {
    [format!("/{}/{}", call.bucket, call.key), call.path.clone()].into_iter()
}

fn v4(call: &Call, account: &Account<'_>, fields: &str) -> Option<bool> {
    let fields: BTreeMap<&str, &str> =
        fields.split(',').filter_map(|field| field.trim().split_once('=')).collect();
    if !is_near(call.header("x-oss-date"), account.now) {
        return None;
    }
    v4_fields(call, account, &fields, |name| name.starts_with("x-oss-"))
}

/// Verifies the signature in a URL, whose date is not a header.
fn v4_query(call: &Call, account: &Account<'_>, fields: &str) -> Option<bool> {
    let fields: BTreeMap<&str, &str> =
        fields.split(',').filter_map(|field| field.split_once('=')).collect();
    let own = ["x-oss-date", "x-oss-content-sha256"];
    v4_fields(call, account, &fields, |name| name.starts_with("x-oss-") && !own.contains(&name))
}

fn v4_fields(
    call: &Call,
    account: &Account<'_>,
    fields: &BTreeMap<&str, &str>,
    is_signed: impl Fn(&str) -> bool,
) -> Option<bool> {
    let (id, scope) = fields.get("Credential")?.split_once('/')?;
    let date = call.header("x-oss-date");
    let added = fields.get("AdditionalHeaders").map(|it| it.to_lowercase()).unwrap_or_default();
    let listed: Vec<&str> = added.split(';').collect();
    if id != ACCESS_KEY || !scope.starts_with(date.get(..8)?) {
        return None;
    }
    let headers: String = call
        .headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            is_signed(name)
                || ["content-type", "content-md5"].contains(&name)
                || listed.contains(&name)
        })
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let query: Vec<String> = call
        .query
        .iter()
        .map(|(name, value)| match value.as_str() {
            "" => encode(name, ""),
            value => format!("{}={}", encode(name, ""), encode(value, "")),
        })
        .collect();
    let mut query = query;
    query.sort_unstable();
    let mut key = format!("aliyun_v4{}", account.secret).into_bytes();
    for part in scope.split('/') {
        key = sha256_mac(&key, part);
    }
    let content = call.header("x-oss-content-sha256");
    Some(resources(call).any(|resource| {
        let canonical = format!(
            "{}\n{}\n{}\n{headers}\n{added}\n{content}",
            call.method,
            encode(&resource, "/"),
            query.join("&")
        );
        let digest = hex(&Sha256::digest(canonical.as_bytes()));
        let text = format!("OSS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
        fields.get("Signature") == Some(&hex(&sha256_mac(&key, &text)).as_str())
    }))
}

/// Verifies a signature of S3, and the digest of the body that it covers.
fn s3(call: &Call, account: &Account<'_>, fields: &str) -> Option<bool> {
    let fields: BTreeMap<&str, &str> =
        fields.split(',').filter_map(|field| field.trim().split_once('=')).collect();
    let (id, scope) = fields.get("Credential")?.split_once('/')?;
    let (date, content) = (call.header("x-amz-date"), call.header("x-amz-content-sha256"));
    let is_of_body = content == hex(&Sha256::digest(&call.body)) || content == "UNSIGNED-PAYLOAD";
    if id != ACCESS_KEY
        || !is_near(date, account.now)
        || !scope.starts_with(date.get(..8)?)
        || !scope.ends_with("/s3/aws4_request")
        || !is_of_body
    {
        return None;
    }
    let names = *fields.get("SignedHeaders")?;
    // The host and everything of the vendor's own have to be signed.
    let mut own = call.headers.keys().filter(|name| name.starts_with("x-amz-") || *name == "host");
    if !own.all(|own| names.split(';').any(|name| name == own)) {
        return None;
    }
    // Spaces in a row count as one.
    let value = |name: &str| call.header(name).split_whitespace().collect::<Vec<_>>().join(" ");
    let headers: String =
        names.split(';').map(|name| format!("{name}:{}\n", value(name))).collect();
    let mut query: Vec<String> = call
        .query
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name, ""), encode(value, "")))
        .collect();
    query.sort_unstable();
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{names}\n{content}",
        call.method,
        encode(&call.path, "/"),
        query.join("&")
    );
    let mut key = format!("AWS4{}", account.secret).into_bytes();
    for part in scope.split('/') {
        key = sha256_mac(&key, part);
    }
    let digest = hex(&Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
    Some(*fields.get("Signature")? == hex(&sha256_mac(&key, &text)))
}

fn cos(call: &Call, account: &Account<'_>, authorization: &str) -> Option<bool> {
    let fields: BTreeMap<&str, &str> =
        authorization.split('&').filter_map(|field| field.split_once('=')).collect();
    let time = *fields.get("q-key-time")?;
    let (from, until) = time.split_once(';')?;
    let now = account.now.as_second();
    let (from, until): (i64, i64) = (from.parse().ok()?, until.parse().ok()?);
    if fields.get("q-ak") != Some(&ACCESS_KEY) || now < from - SKEW || now > until + SKEW {
        return None;
    }
    let list = |name: &str, value: &dyn Fn(&str) -> String| -> Option<String> {
        let mut names: Vec<&str> =
            fields.get(name)?.split(';').filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        let pairs: Vec<String> = names
            .into_iter()
            .map(|name| format!("{name}={}", encode(&value(&decode(name, false)), "")))
            .collect();
        Some(pairs.join("&"))
    };
    let headers = list("q-header-list", &|name| call.header(name).to_owned())?;
    let lower: BTreeMap<String, &String> =
        call.query.iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
    let query = list("q-url-param-list", &|name| {
        lower.get(name).map_or(String::new(), |value| (*value).clone())
    })?;
    let key = hex(&sha1_mac(account.secret.as_bytes(), time));
    let method = call.method.to_lowercase();
    Some([format!("/{}", call.key), call.path.clone()].iter().any(|path| {
        let text = format!("{method}\n{path}\n{query}\n{headers}\n");
        let digest = hex(&Sha1::digest(text.as_bytes()));
        let signed = hex(&sha1_mac(key.as_bytes(), &format!("sha1\n{time}\n{digest}\n")));
        fields.get("q-signature") == Some(&signed.as_str())
    }))
}

fn is_near(date: &str, now: Timestamp) -> bool {
    seconds(date).is_some_and(|date| (date - now.as_second()).abs() < SKEW)
}

fn seconds(date: &str) -> Option<i64> {
    let broken = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", date).ok()?;
    let time = broken.to_datetime().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp().as_second())
}

fn sha256_mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn sha1_mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
