//! Parsed requests.

use std::collections::BTreeMap;

use axum::http::request::Parts;
use bytes::Bytes;

/// A request, parsed.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) bucket: String,
    pub(super) key: String,
    /// The path as received, percent-decoded.
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    /// Headers by lowercase name.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Bytes,
    /// The most entries on a page of a listing.
    pub(super) page: usize,
    pub(super) over_tls: bool,
}

impl Call {
    pub(super) fn read(parts: &Parts, body: Bytes) -> Self {
        let headers: BTreeMap<String, String> = parts
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        let host = parts.uri.authority().map(|it| it.as_str().to_owned());
        let host = host.or_else(|| headers.get("host").cloned()).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        let path = decode(parts.uri.path(), false);
        let plain = path.strip_prefix('/').unwrap_or(&path);
        let bare = name == "localhost" || name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let in_host = name.split('.').next().unwrap_or_default();
        // ali-oss 6.23.0 with `sldEnable` puts the bucket in the path, but also in `Host`.
        let twice = headers.get("authorization").is_some_and(|it| it.starts_with("OSS4"))
            && plain.strip_prefix(in_host).is_some_and(|rest| rest.starts_with('/'));
        let (bucket, key) = if bare || twice {
            plain.split_once('/').unwrap_or((plain, ""))
        } else {
            (in_host, plain)
        };
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let query = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name, true), decode(value, true)))
            .collect();
        Self {
            method: parts.method.to_string(),
            bucket,
            key,
            path,
            query,
            headers,
            body,
            page: 1000,
            over_tls: false,
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Returns whether the client speaks S3.
    pub(super) fn is_s3(&self) -> bool {
        self.header("authorization").starts_with("AWS4")
    }

    /// Returns a header with the prefix of any vendor.
    pub(super) fn own_header(&self, name: &str) -> Option<&str> {
        ["x-oss-", "x-cos-", "x-amz-"]
            .iter()
            .find_map(|prefix| self.headers.get(&format!("{prefix}{name}")).map(String::as_str))
    }

    pub(super) fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Returns the headers to be stored with the object.
    pub(super) fn metadata(&self) -> Vec<(String, String)> {
        // Tags and access are kept with the headers, as far as tests are concerned.
        const STANDARD: [&str; 6] = [
            "cache-control",
            "content-disposition",
            "content-encoding",
            "content-language",
            "content-type",
            "expires",
        ];
        const SERVER_SIDE: [&str; 5] = [
            "x-cos-server-side-encryption",
            "x-cos-server-side-encryption-cos-kms-key-id",
            "x-oss-server-side-data-encryption",
            "x-oss-server-side-encryption",
            "x-oss-server-side-encryption-key-id",
        ];
        self.headers
            .iter()
            .filter(|(name, _)| {
                STANDARD.contains(&name.as_str())
                    || name.ends_with("-storage-class")
                    || name.ends_with("-tagging")
                    || ["x-oss-object-acl", "x-cos-acl"].contains(&name.as_str())
                    || SERVER_SIDE.contains(&name.as_str())
                    || name.starts_with("x-oss-meta-")
                    || name.starts_with("x-cos-meta-")
                    || name.starts_with("x-amz-meta-")
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// Percent-decodes `text`. If `plus` is set, as for queries, a plus decodes to a space.
pub(super) fn decode(text: &str, plus: bool) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) if plus => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Percent-encodes everything except the unreserved characters and those in `keep`.
pub(super) fn encode(text: &str, keep: &str) -> String {
    text.bytes()
        .map(|byte| {
            let plain = byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
            if plain || keep.as_bytes().contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
