//! Server-side encryption with the customer's own key (SSE-C of COS).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};

use super::{
    answer::{Answer, refusal},
    route::Call,
};

const OWN: &str = "x-cos-server-side-encryption-customer";
const SOURCE: &str = "x-cos-copy-source-server-side-encryption-customer";

/// Returns the digest of the customer key that a request brings for its object.
///
/// # Errors
/// If the key is incomplete, is not the one of the digest, or came in the clear.
pub(super) fn of(call: &Call) -> Result<Option<String>, Answer> {
    read(call, OWN)
}

/// Returns the digest of the customer key for the source of a copy.
pub(super) fn of_source(call: &Call) -> Result<Option<String>, Answer> {
    read(call, SOURCE)
}

fn read(call: &Call, prefix: &str) -> Result<Option<String>, Answer> {
    let [algorithm, key, digest] = ["algorithm", "key", "key-md5"]
        .map(|name| call.headers.get(&format!("{prefix}-{name}")).map(String::as_str));
    let (algorithm, key, digest) = match (algorithm, key, digest) {
        (None, None, None) => return Ok(None),
        (Some(algorithm), Some(key), Some(digest)) => (algorithm, key, digest),
        _ => return Err(refusal(400, "InvalidArgument", "the customer key is incomplete")),
    };
    if !call.over_tls {
        return Err(refusal(400, "InvalidRequest", "a customer key is sent over HTTPS only"));
    }
    let bytes = STANDARD.decode(key).ok().filter(|bytes| bytes.len() == 32);
    let right = bytes.is_some_and(|bytes| STANDARD.encode(Md5::digest(bytes)) == digest);
    if algorithm != "AES256" || !right {
        return Err(refusal(400, "InvalidArgument", "the customer key is not the one of its MD5"));
    }
    Ok(Some(digest.to_owned()))
}

/// Compares the key that an object is encrypted with, if it is, with the one of a request.
pub(super) fn check(stored: Option<&str>, given: Option<&str>) -> Result<(), Answer> {
    match (stored, given) {
        (None, None) => Ok(()),
        (Some(stored), Some(given)) if stored == given => Ok(()),
        (Some(_), Some(_)) => Err(refusal(403, "AccessDenied", "another customer key")),
        (Some(_), None) => Err(refusal(400, "InvalidRequest", "the object has a customer key")),
        (None, Some(_)) => Err(refusal(400, "InvalidRequest", "the object has no customer key")),
    }
}

/// Returns the headers of an answer about an object with this key.
pub(super) fn headers(digest: Option<&str>) -> Vec<(String, String)> {
    let Some(digest) = digest else { return Vec::new() };
    vec![
        (format!("{OWN}-algorithm"), "AES256".to_owned()),
        (format!("{OWN}-key-md5"), digest.to_owned()),
    ]
}
