//! Aliyun KMS, API version 2016-01-20.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use envelope_cloud::{
    Environment, KeyNames,
    sign::{hex, hmac_sha1, hmac_sha256, percent, query, sha256_hex},
};
use envelope_core::kms::KmsError;
use jiff::Timestamp;
use meta_codec::WrapAlgorithm;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    Answer, Call, Credentials, Endpoint, EndpointError, HttpRequest, HttpResponse, Service,
    call::{details, fields, json, need_key},
};

/// The environment variables of the service's access key.
pub(super) const ENVIRONMENT: Environment =
    Environment::new(&[KeyNames::ALIBABA_CLOUD], &["ALIBABA_CLOUD_REGION_ID"], &[]);

const VERSION: &str = "2016-01-20";

/// The protocol of Aliyun KMS, over the shared gateway.
///
/// ```
/// use envelope_kms::{Aliyun, AliyunSignature};
///
/// let service = Aliyun::new("cn-hangzhou")?
///     .with_key_id("key-1")
///     .with_signature(AliyunSignature::Rpc);
/// # Ok::<(), envelope_kms::EndpointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Aliyun {
    endpoint: Endpoint,
    region: String,
    key_id: Option<String>,
    signature: AliyunSignature,
}

/// The signature scheme for requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AliyunSignature {
    /// `ACS3-HMAC-SHA256`, as used by `alibabacloud_kms20160120`.
    #[default]
    Acs3,
    /// The older RPC signature with HMAC-SHA1, as used by `aliyun-python-sdk-kms`.
    Rpc,
}

impl Aliyun {
    /// Creates the service for a region such as `cn-hangzhou`, at
    /// `https://kms.REGION.aliyuncs.com`.
    ///
    /// # Errors
    /// Returns [`EndpointError::Region`] if `region` is not a valid region name. The name is
    /// checked because it becomes part of a host name.
    pub fn new(region: &str) -> Result<Self, EndpointError> {
        let endpoint = Endpoint::in_region("kms.", region, ".aliyuncs.com")?;
        let (region, signature) = (region.to_owned(), AliyunSignature::default());
        Ok(Self { endpoint, region, key_id: None, signature })
    }

    /// Sets the master key for encryption. Decryption does not need one.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Sets the endpoint; inside a VPC, use `https://kms-vpc.REGION.aliyuncs.com`.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Sets the signature scheme.
    #[must_use]
    pub const fn with_signature(mut self, signature: AliyunSignature) -> Self {
        self.signature = signature;
        self
    }

    /// Builds a request with the parameters in the query, as the official SDKs send them.
    fn acs3(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
        date: &str,
        nonce: &str,
    ) -> HttpRequest {
        let query = query(&mut call.parameters(self.key_id.as_deref()));
        let empty = sha256_hex(b"");
        let mut headers = vec![
            ("host", self.endpoint.host()),
            ("x-acs-action", call.action()),
            ("x-acs-content-sha256", &empty),
            ("x-acs-date", date),
            ("x-acs-signature-nonce", nonce),
            ("x-acs-version", VERSION),
        ];
        if let Some(token) = credentials.token() {
            headers.push(("x-acs-security-token", token));
        }
        headers.sort_unstable();
        let signed: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let signed = signed.join(";");
        let mut canonical = Zeroizing::new(String::with_capacity(query.len() + 4096));
        canonical.push_str("POST\n/\n");
        canonical.push_str(&query);
        canonical.push('\n');
        for (name, value) in &headers {
            for piece in [name, ":", value, "\n"] {
                canonical.push_str(piece);
            }
        }
        for piece in ["\n", &signed, "\n", &empty] {
            canonical.push_str(piece);
        }
        let to_sign = format!("ACS3-HMAC-SHA256\n{}", sha256_hex(canonical.as_bytes()));
        let signature = hex(&*hmac_sha256(credentials.secret().as_bytes(), to_sign.as_bytes()));
        let authorization = format!(
            "ACS3-HMAC-SHA256 Credential={},SignedHeaders={signed},Signature={signature}",
            credentials.id()
        );
        let mut headers: Vec<(&'static str, Zeroizing<String>)> = headers
            .into_iter()
            .filter(|(name, _)| *name != "host")
            .map(|(name, value)| (name, Zeroizing::new(value.to_owned())))
            .collect();
        headers.push(("authorization", Zeroizing::new(authorization)));
        headers.push(("accept", Zeroizing::new("application/json".to_owned())));
        HttpRequest {
            url: Zeroizing::new(self.endpoint.url(&query)),
            headers,
            body: Zeroizing::default(),
        }
    }

    fn rpc(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
        date: &str,
        nonce: &str,
    ) -> HttpRequest {
        let mut parameters = call.parameters(self.key_id.as_deref());
        parameters.extend([
            ("AccessKeyId", credentials.id()),
            ("Action", call.action()),
            ("Format", "JSON"),
            ("RegionId", &self.region),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", nonce),
            ("SignatureVersion", "1.0"),
            ("Timestamp", date),
            ("Version", VERSION),
        ]);
        if let Some(token) = credentials.token() {
            parameters.push(("SecurityToken", token));
        }
        let query = query(&mut parameters);
        let mut to_sign = Zeroizing::new(String::with_capacity(query.len() * 3 + 16));
        to_sign.push_str("POST&%2F&");
        percent(&query, &mut to_sign);
        let key = Zeroizing::new(format!("{}&", credentials.secret()));
        let signature = STANDARD.encode(hmac_sha1(key.as_bytes(), to_sign.as_bytes()));
        let mut signed = Zeroizing::new(String::with_capacity(query.len() + 128));
        signed.push_str(&query);
        signed.push_str("&Signature=");
        percent(&signature, &mut signed);
        HttpRequest {
            url: Zeroizing::new(self.endpoint.url(&signed)),
            headers: vec![("accept", Zeroizing::new("application/json".to_owned()))],
            body: Zeroizing::default(),
        }
    }
}

impl Service for Aliyun {
    fn algorithm(&self) -> WrapAlgorithm {
        WrapAlgorithm::KmsAliyun
    }

    fn request(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
        now: i64,
        nonce: &str,
    ) -> Result<HttpRequest, KmsError> {
        need_key(call, self.key_id.as_deref())?;
        let date = Timestamp::from_second(now).unwrap_or_default().to_string();
        Ok(match self.signature {
            AliyunSignature::Acs3 => self.acs3(call, credentials, &date, nonce),
            AliyunSignature::Rpc => self.rpc(call, credentials, &date, nonce),
        })
    }

    fn answer(&self, call: &Call<'_>, response: &HttpResponse) -> Result<Answer, KmsError> {
        let mut object = json(response)?;
        if response.status == 200 {
            return fields(call, &mut object);
        }
        let code = object.get("Code").and_then(Value::as_str).unwrap_or_default();
        let details = details(&object, code);
        let unavailable = response.status == 429
            || response.status >= 500
            || code.contains("Throttling")
            || code.starts_with("ServiceUnavailable")
            || code == "InternalFailure";
        let denied = response.status == 401
            || response.status == 403
            || ["Forbidden", "InvalidAccessKeyId", "InvalidSecurityToken", "InvalidTimeStamp"]
                .iter()
                .chain(&["Missing", "Rejected", "Signature", "IncompleteSignature", "NoPermission"])
                .any(|prefix| code.starts_with(prefix));
        Err(if unavailable {
            KmsError::Unavailable(details)
        } else if denied {
            KmsError::Denied(details)
        } else {
            KmsError::Refused(details)
        })
    }
}
