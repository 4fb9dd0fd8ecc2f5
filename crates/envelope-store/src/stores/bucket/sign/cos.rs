//! The signature of COS: `q-sign-algorithm=sha1`
//! (cloud.tencent.com/document/product/436/7778).

use envelope_cloud::sign::{hex, hmac_sha1, percent};
use http::request::Parts;
use jiff::Timestamp;
use sha1::{Digest as _, Sha1};

use super::super::customer_sse::is_secret;
use crate::Credentials;

/// How long a signature is valid, in seconds.
const LIFETIME: i64 = 3600;

/// Returns the value of `Authorization`. The host is signed, and all headers but a customer key.
pub(super) fn authorization(
    parts: &Parts,
    object: &str,
    key: &Credentials,
    now: Timestamp,
) -> String {
    let from = now.as_second();
    let time = format!("{from};{}", from.saturating_add(LIFETIME));
    let signed = parts.headers.iter().filter(|(name, _)| !is_secret(name.as_str()));
    let headers = signed.map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let host = parts.uri.authority().map(|host| ("host".to_owned(), host.to_string()));
    let host = host.filter(|_| !parts.headers.contains_key("host"));
    let (header_names, headers) = listed(headers.chain(host));
    let query = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let (query_names, query) = listed(query.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
        (name.to_lowercase(), value.into_owned())
    }));
    let method = parts.method.as_str().to_lowercase();
    let request = format!("{method}\n/{object}\n{query}\n{headers}\n");
    let digest = hex(&Sha1::digest(request.as_bytes()));
    let signing_key = hex(&hmac_sha1(key.secret().as_bytes(), time.as_bytes()));
    let text = format!("sha1\n{time}\n{digest}\n");
    let signature = hex(&hmac_sha1(signing_key.as_bytes(), text.as_bytes()));
    format!(
        "q-sign-algorithm=sha1&q-ak={}&q-sign-time={time}&q-key-time={time}\
         &q-header-list={header_names}&q-url-param-list={query_names}&q-signature={signature}",
        key.id()
    )
}

/// Returns the sorted names, and the sorted pairs.
fn listed(pairs: impl Iterator<Item = (String, String)>) -> (String, String) {
    let mut pairs: Vec<(String, String)> = pairs.collect();
    pairs.sort_unstable();
    let encoded = |text: &str| {
        let mut out = String::new();
        percent(text, &mut out);
        out
    };
    let names: Vec<String> = pairs.iter().map(|(name, _)| encoded(name)).collect();
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    (names.join(";"), pairs.join("&"))
}
