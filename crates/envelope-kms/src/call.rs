//! Calls: what is asked of a service, whatever its protocol.

use envelope_core::kms::KmsError;
use meta_codec::WrapAlgorithm;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{Credentials, HttpRequest, HttpResponse};

/// One of the three calls, with its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a service implements all of them")]
#[expect(missing_debug_implementations, reason = "a plaintext is not printed")]
pub enum Call<'a> {
    /// Decrypt a blob.
    Decrypt {
        /// The blob.
        blob: &'a str,
        /// Its encryption context.
        context: Option<&'a str>,
    },
    /// Encrypt a short text under the master key.
    Encrypt {
        /// The text.
        plaintext: &'a str,
        /// The encryption context that decryption will need.
        context: Option<&'a str>,
    },
    /// Make a 256-bit data key.
    GenerateDataKey {
        /// The encryption context that decryption will need.
        context: Option<&'a str>,
    },
}

impl<'a> Call<'a> {
    /// The name of the call, which both services share.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Decrypt { .. } => "Decrypt",
            Self::Encrypt { .. } => "Encrypt",
            Self::GenerateDataKey { .. } => "GenerateDataKey",
        }
    }

    pub(crate) const fn is_decrypt(&self) -> bool {
        matches!(self, Self::Decrypt { .. })
    }

    /// The parameters, whose names both services share.
    pub(crate) fn parameters(&self, key_id: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
        let mut parameters = Vec::with_capacity(4);
        let context = match *self {
            Self::Decrypt { blob, context } => {
                parameters.push(("CiphertextBlob", blob));
                context
            }
            Self::Encrypt { plaintext, context } => {
                parameters.push(("Plaintext", plaintext));
                context
            }
            Self::GenerateDataKey { context } => {
                parameters.push(("KeySpec", "AES_256"));
                context
            }
        };
        // The blob says which master key decrypts it.
        if let Some(key_id) = key_id.filter(|_| !self.is_decrypt()) {
            parameters.push(("KeyId", key_id));
        }
        if let Some(context) = context {
            parameters.push(("EncryptionContext", context));
        }
        parameters
    }
}

/// What a service answers. Absent fields are empty.
#[expect(missing_debug_implementations, reason = "a plaintext is not printed")]
#[non_exhaustive]
pub struct Answer {
    /// Of `Decrypt` and `GenerateDataKey`.
    pub plaintext: Zeroizing<String>,
    /// Of `Encrypt` and `GenerateDataKey`.
    pub blob: String,
}

/// A service's protocol, without any I/O: requests out of calls, answers out of responses.
pub trait Service: Send + Sync {
    /// Whose service it is.
    fn algorithm(&self) -> WrapAlgorithm;

    /// The signed request for a call. `now` is in seconds since 1970; `nonce` is never used again.
    ///
    /// # Errors
    /// [`KmsError::Denied`] for a call that needs a master key where none is named.
    fn request(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
        now: i64,
        nonce: &str,
    ) -> Result<HttpRequest, KmsError>;

    /// The answer in a response.
    ///
    /// # Errors
    /// [`KmsError::Unavailable`] for what is worth another try, or else another.
    fn answer(&self, call: &Call<'_>, response: &HttpResponse) -> Result<Answer, KmsError>;
}

/// The master key that a call needs.
pub(crate) fn need_key(call: &Call<'_>, key_id: Option<&str>) -> Result<(), KmsError> {
    if call.is_decrypt() || key_id.is_some() {
        return Ok(());
    }
    Err(KmsError::Denied("no master key is named to encrypt with".to_owned()))
}

/// A response's JSON object. Where there is none, the status tells: a gateway before the service
/// answers with a page of its own.
pub(crate) fn json(response: &HttpResponse) -> Result<Value, KmsError> {
    match serde_json::from_slice(&response.body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err(by_status(response, "no JSON")),
    }
}

/// What a status means where nothing else does.
pub(crate) fn by_status(response: &HttpResponse, what: &str) -> KmsError {
    let words = format!("status {}, {what}", response.status);
    match response.status {
        429 | 500.. => KmsError::Unavailable(words),
        401 | 403 => KmsError::Denied(words),
        _ => KmsError::Malformed(words),
    }
}

/// Takes what the call needs out of a successful answer's fields.
pub(crate) fn fields(call: &Call<'_>, object: &mut Value) -> Result<Answer, KmsError> {
    let mut take = |name: &str, needed: bool| match object.get_mut(name).map(Value::take) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Zeroizing::new(text)),
        _ if needed => Err(KmsError::Malformed(format!("an answer without {name}"))),
        _ => Ok(Zeroizing::default()),
    };
    let plaintext = take("Plaintext", !matches!(call, Call::Encrypt { .. }))?;
    let blob = take("CiphertextBlob", !call.is_decrypt())?;
    Ok(Answer { plaintext, blob: blob.to_string() })
}

/// A vendor's error code and request id, as far as they look like such.
pub(crate) fn details(object: &Value, code: &str) -> String {
    let safe = |text: &str| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(64).collect()
    };
    let request = object.get("RequestId").and_then(Value::as_str).unwrap_or_default();
    format!("{} (request {})", safe(code), safe(request))
}
