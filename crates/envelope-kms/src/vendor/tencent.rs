//! Tencent KMS, API version 2019-01-18.

use envelope_cloud::{
    Environment, KeyNames,
    sign::{hex, hmac_sha256, sha256_hex},
};
use envelope_core::kms::KmsError;
use jiff::Timestamp;
use meta_codec::WrapAlgorithm;
use zeroize::Zeroizing;

use crate::{
    Answer, Call, Credentials, Endpoint, EndpointError, HttpRequest, HttpResponse, Service,
    call::{by_status, details, fields, json, need_key},
};

/// The environment variables of the service's access key.
pub(super) const ENVIRONMENT: Environment =
    Environment::new(&[KeyNames::TENCENT_CLOUD], &["TENCENTCLOUD_REGION"], &[]);

const CONTENT_TYPE: &str = "application/json";

/// The protocol of Tencent KMS, signed with `TC3-HMAC-SHA256`.
///
/// ```
/// use envelope_kms::Tencent;
///
/// let service = Tencent::new("ap-guangzhou")?.with_key_id("key-1");
/// # Ok::<(), envelope_kms::EndpointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tencent {
    endpoint: Endpoint,
    region: String,
    key_id: Option<String>,
}

impl Tencent {
    /// Creates the service for a region such as `ap-guangzhou`, at
    /// `https://kms.tencentcloudapi.com`.
    ///
    /// # Errors
    /// Returns [`EndpointError::Region`] if `region` is not a valid region name.
    pub fn new(region: &str) -> Result<Self, EndpointError> {
        // Only to validate the region: Tencent has one host for all regions.
        Endpoint::in_region("kms.", region, ".tencentcloudapi.com")?;
        let endpoint = "https://kms.tencentcloudapi.com".parse()?;
        Ok(Self { endpoint, region: region.to_owned(), key_id: None })
    }

    /// Sets the master key for encryption. Decryption does not need one.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Sets the endpoint, such as `https://kms.intl.tencentcloudapi.com`.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }
}

impl Service for Tencent {
    fn algorithm(&self) -> WrapAlgorithm {
        WrapAlgorithm::KmsTencent
    }

    fn request(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
        now: i64,
        _nonce: &str,
    ) -> Result<HttpRequest, KmsError> {
        need_key(call, self.key_id.as_deref())?;
        let body = body(&call.parameters(self.key_id.as_deref()));
        let host = self.endpoint.host();
        let timestamp = now.to_string();
        let date = Timestamp::from_second(now).unwrap_or_default().to_string();
        let date = date.split('T').next().unwrap_or_default();

        let canonical = format!(
            "POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\n\ncontent-type;host\n{}",
            sha256_hex(body.as_bytes())
        );
        let scope = format!("{date}/kms/tc3_request");
        let to_sign =
            format!("TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
        let mut key = Zeroizing::new(Vec::with_capacity(credentials.secret().len() + 3));
        key.extend_from_slice(b"TC3");
        key.extend_from_slice(credentials.secret().as_bytes());
        let mut derived = hmac_sha256(&key, date.as_bytes());
        for piece in ["kms", "tc3_request"] {
            derived = hmac_sha256(&derived[..], piece.as_bytes());
        }
        let signature = hex(&hmac_sha256(&derived[..], to_sign.as_bytes())[..]);
        let authorization = format!(
            "TC3-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=content-type;host, \
             Signature={signature}",
            credentials.id()
        );

        let mut headers: Vec<(&'static str, &str)> = vec![
            ("authorization", &authorization),
            ("content-type", CONTENT_TYPE),
            ("x-tc-action", call.action()),
            ("x-tc-region", &self.region),
            ("x-tc-timestamp", &timestamp),
            ("x-tc-version", "2019-01-18"),
        ];
        if let Some(token) = credentials.token() {
            headers.push(("x-tc-token", token));
        }
        Ok(HttpRequest {
            url: Zeroizing::new(self.endpoint.url("")),
            headers: headers
                .into_iter()
                .map(|(name, value)| (name, Zeroizing::new(value.to_owned())))
                .collect(),
            body,
        })
    }

    /// Parses a response. Tencent reports errors with status 200.
    fn answer(&self, call: &Call<'_>, response: &HttpResponse) -> Result<Answer, KmsError> {
        let mut object = json(response)?;
        let missing = || by_status(response, "no usable response");
        let answer = object.get_mut("Response").ok_or_else(missing)?;
        let Some(code) = answer.pointer("/Error/Code") else {
            return if response.status == 200 { fields(call, answer) } else { Err(missing()) };
        };
        let code = code.as_str().unwrap_or_default();
        let details = details(answer, code);
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| code.starts_with(prefix));
        Err(if starts(&["RequestLimitExceeded", "InternalError"]) || response.status >= 500 {
            KmsError::Unavailable(details)
        } else if starts(&["FailedOperation", "InvalidParameter"]) {
            // Another encryption context may be accepted.
            KmsError::Refused(details)
        } else {
            KmsError::Denied(details)
        })
    }
}

/// Serializes the parameters as a flat JSON object. The buffer is wiped because it may hold a
/// plaintext, and allocated at its maximum size because growing it would leave copies behind.
fn body(parameters: &[(&str, &str)]) -> Zeroizing<String> {
    let most = parameters.iter().map(|(name, value)| name.len() + value.len() * 6 + 8).sum();
    let mut body = Zeroizing::new(Vec::with_capacity(most));
    let mut mark = b'{';
    for (name, value) in parameters {
        body.push(mark);
        mark = b',';
        // Writing to a vector cannot fail.
        let _ = serde_json::to_writer(&mut *body, name);
        body.push(b':');
        let _ = serde_json::to_writer(&mut *body, value);
    }
    body.push(b'}');
    Zeroizing::new(String::from_utf8(std::mem::take(&mut *body)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_of_a_body_never_grows() {
        // Every character takes six in JSON.
        let value = "\u{1}".repeat(1000);
        for count in 1..=4 {
            let text = body(&vec![("Plaintext", value.as_str()); count]);
            assert!(text.starts_with(r#"{"Plaintext":"\u0001"#) && text.ends_with(r#"\u0001"}"#));
            // A vector that grows takes twice the space.
            let most = text.len() + 2 * count;
            assert!((text.len()..=most).contains(&text.capacity()), "{}", text.capacity());
        }
    }
}
