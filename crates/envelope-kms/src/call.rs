//! Calls to a service, independent of its protocol.

use envelope_core::kms::KmsError;
use meta_codec::WrapAlgorithm;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{Credentials, HttpRequest, HttpResponse};

/// One of the two calls, with its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every service implements all calls")]
#[expect(missing_debug_implementations, reason = "holds a plaintext, which is not printed")]
pub enum Call<'a> {
    /// Decrypts a blob.
    Decrypt {
        /// The blob.
        blob: &'a str,
        /// Its encryption context.
        context: Option<&'a str>,
    },
    /// Encrypts a short text under the master key.
    Encrypt {
        /// The text.
        plaintext: &'a str,
        /// The encryption context that decryption will need.
        context: Option<&'a str>,
    },
}

impl<'a> Call<'a> {
    /// Returns the action name, which is the same for both services.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Decrypt { .. } => "Decrypt",
            Self::Encrypt { .. } => "Encrypt",
        }
    }

    pub(crate) const fn is_decrypt(&self) -> bool {
        matches!(self, Self::Decrypt { .. })
    }

    /// Returns the parameters, whose names are the same for both services.
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
        };
        // Not for decryption: the blob identifies its master key.
        if let Some(key_id) = key_id.filter(|_| !self.is_decrypt()) {
            parameters.push(("KeyId", key_id));
        }
        if let Some(context) = context {
            parameters.push(("EncryptionContext", context));
        }
        parameters
    }
}

/// The result of a call. Absent fields are empty.
#[expect(missing_debug_implementations, reason = "holds a plaintext, which is not printed")]
#[non_exhaustive]
pub struct Answer {
    /// The plaintext, from `Decrypt`.
    pub plaintext: Zeroizing<String>,
    /// The blob, from `Encrypt`.
    pub blob: String,
}

impl Answer {
    /// Creates an answer to `Encrypt`.
    #[must_use]
    pub fn of_encrypt(blob: String) -> Self {
        Self { plaintext: Zeroizing::default(), blob }
    }

    /// Creates an answer to `Decrypt`.
    #[must_use]
    pub const fn of_decrypt(plaintext: Zeroizing<String>) -> Self {
        Self { plaintext, blob: String::new() }
    }
}

impl<S: Service + ?Sized> Service for Box<S> {
    fn algorithm(&self) -> WrapAlgorithm {
        (**self).algorithm()
    }

    fn request(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
        now: i64,
        nonce: &str,
    ) -> Result<HttpRequest, KmsError> {
        (**self).request(call, credentials, now, nonce)
    }

    fn answer(&self, call: &Call<'_>, response: &HttpResponse) -> Result<Answer, KmsError> {
        (**self).answer(call, response)
    }
}

/// The protocol of a service, without I/O: turns calls into requests and responses into answers.
pub trait Service: Send + Sync {
    /// Returns the wrap algorithm, which identifies the vendor.
    fn algorithm(&self) -> WrapAlgorithm;

    /// Builds the signed request for a call. `now` is in seconds since 1970; each `nonce` is used
    /// once.
    ///
    /// # Errors
    /// Returns [`KmsError::NotAsked`] if the call requires a master key and none is set.
    fn request(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
        now: i64,
        nonce: &str,
    ) -> Result<HttpRequest, KmsError>;

    /// Parses the answer from a response.
    ///
    /// # Errors
    /// Returns [`KmsError::Unavailable`] for failures worth a retry, and another [`KmsError`]
    /// otherwise.
    fn answer(&self, call: &Call<'_>, response: &HttpResponse) -> Result<Answer, KmsError>;
}

/// Checks that a master key is set if the call requires one.
pub(crate) fn need_key(call: &Call<'_>, key_id: Option<&str>) -> Result<(), KmsError> {
    if call.is_decrypt() || key_id.is_some() {
        return Ok(());
    }
    Err(KmsError::NotAsked("no master key is set for encryption".to_owned()))
}

/// Parses a response's JSON object. If there is none, the status decides the error: a gateway in
/// front of the service may respond with a page of its own.
pub(crate) fn json(response: &HttpResponse) -> Result<Value, KmsError> {
    match serde_json::from_slice(&response.body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err(by_status(response, "not a JSON object")),
    }
}

/// Maps a status to an error if the response carries no error code.
pub(crate) fn by_status(response: &HttpResponse, what: &str) -> KmsError {
    let words = format!("status {}, {what}", response.status);
    match response.status {
        429 | 500.. => KmsError::Unavailable(words),
        401 | 403 => KmsError::Denied(words),
        _ => KmsError::Malformed(words),
    }
}

/// Takes the field that the call requires from a successful response.
pub(crate) fn fields(call: &Call<'_>, object: &mut Value) -> Result<Answer, KmsError> {
    let mut take = |name: &str| match object.get_mut(name).map(Value::take) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        _ => Err(KmsError::Malformed(format!("{name} is missing from the response"))),
    };
    match call {
        Call::Decrypt { .. } => Ok(Answer::of_decrypt(Zeroizing::new(take("Plaintext")?))),
        Call::Encrypt { .. } => Ok(Answer::of_encrypt(take("CiphertextBlob")?)),
    }
}

/// Formats a vendor's error code and request id, each reduced to at most 64 harmless characters.
pub(crate) fn details(object: &Value, code: &str) -> String {
    let safe = |text: &str| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(64).collect()
    };
    let request = object.get("RequestId").and_then(Value::as_str).unwrap_or_default();
    format!("{} (request {})", safe(code), safe(request))
}
