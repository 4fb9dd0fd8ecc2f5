//! Headers that request server-side encryption from a store, and those in its responses.
//!
//! This is the *store's* encryption, which protects nothing from the store. It is included because
//! the same users need it, and because its headers have pitfalls of their own. Requests that a
//! service would reject cannot be constructed: the modes are mutually exclusive, only KMS takes a
//! key ID, and a customer key is sent over HTTPS only.
//!
//! Sources: cos-python-sdk-v5 `cos_comm.py:54-63`, cos-java-sdk-v5 `Headers.java:134-175`, oss2
//! 2.19.1 `headers.py:64-86`, alibabacloud-oss-go-sdk-v2 `api_op_object.go:49-65`.
//!
//! ```
//! use meta_codec::sse::{CosSse, Request, Scheme};
//!
//! let sse = CosSse::kms(Some("cmk-1"), [("team", "billing")])?;
//! let headers = sse.headers(Request::Put, Scheme::Https)?;
//! let names: Vec<&str> = headers.iter().map(|(name, _)| name).collect();
//! assert_eq!(names, [
//!     "x-cos-server-side-encryption",
//!     "x-cos-server-side-encryption-cos-kms-key-id",
//!     "x-cos-server-side-encryption-context",
//! ]);
//! // The store knows how it encrypted the object, so reading it needs no headers.
//! assert!(sse.headers(Request::Get, Scheme::Https)?.is_empty());
//! # Ok::<(), meta_codec::sse::SseError>(())
//! ```

mod cos;
mod customer_key;
mod oss;

pub use cos::{CosSse, CosSseStatus};
pub use customer_key::CustomerKey;
pub use oss::{OssSse, OssSseStatus};
use zeroize::Zeroizing;

/// The kind of request, which determines the headers to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Request {
    /// Appends to an object (OSS).
    Append,
    /// Copies an object or a part of one. The headers apply to the *target*.
    Copy,
    /// Reads an object.
    Get,
    /// Reads an object's metadata.
    Head,
    /// Creates a multipart upload.
    InitiateMultipart,
    /// Writes an object.
    Put,
    /// Restores an archived object.
    Restore,
    /// Uploads one part of a multipart upload.
    UploadPart,
}

impl Request {
    /// Returns `true` if the request creates an object, and so must state how to encrypt it.
    const fn creates(self) -> bool {
        matches!(self, Self::Append | Self::Copy | Self::InitiateMultipart | Self::Put)
    }
}

/// The transport of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are no others")]
pub enum Scheme {
    /// Plain HTTP, in the clear.
    Http,
    /// HTTP over TLS.
    Https,
}

/// The cipher that the store encrypts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreCipher {
    /// AES-256. The documentation of one COS SDK says `AES-256`, which the service rejects.
    #[default]
    Aes256,
    /// SM4 (GB/T 32907).
    Sm4,
}

impl StoreCipher {
    const fn name(self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
            Self::Sm4 => "SM4",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Aes256, Self::Sm4].into_iter().find(|cipher| cipher.name() == text)
    }
}

/// Headers to send. They may contain a customer key, so they are wiped on drop and have no `Debug`.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "secrets must not be printed")]
pub struct SseHeaders(Vec<(&'static str, Zeroizing<String>)>);

impl SseHeaders {
    /// Returns the lower-case names and the values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Returns `true` if there are no headers to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, Zeroizing::new(value.into())));
    }
}

/// An error for settings that a service would reject, or for an unrecognized response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// The encryption context is invalid.
    #[error("invalid encryption context: {0}")]
    Context(crate::DescriptionError),
    /// The customer key is neither 32 bytes long nor the base64 text of 32 bytes.
    #[error("a customer key has 32 bytes, or is their base64 text; this one has {0} characters")]
    CustomerKey(usize),
    /// The key ID is empty, too long, or contains characters that no header can hold.
    #[error("a key ID must be 1 to 256 printable ASCII characters without spaces")]
    KeyId,
    /// A secret would be sent in the clear.
    #[error("a customer key must not be sent over plain HTTP")]
    PlainHttp,
    /// A response header is missing or has an unrecognized value.
    #[error("{0}: missing or unrecognized")]
    Response(&'static str),
}

fn key_id(id: Option<&str>) -> Result<Option<String>, SseError> {
    match id {
        // OSS rejects an empty header (0005-00000205); omitting it selects the default key.
        None => Ok(None),
        Some(id)
            if matches!(id.len(), 1..=256) && id.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(Some(id.to_owned()))
        }
        Some(_) => Err(SseError::KeyId),
    }
}

/// Returns the value of the first response header with this name, ignoring case.
fn value<'a, N: AsRef<str>, V: AsRef<str>>(headers: &'a [(N, V)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(each, _)| each.as_ref().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_list_is_empty() {
        let mut headers = SseHeaders::default();
        assert!(headers.is_empty());
        headers.push("name", "value");
        assert!(!headers.is_empty());
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("name", "value")]);
    }

    #[test]
    fn a_key_id_has_up_to_256_characters() {
        for id in ["k", "a/b:c~!", &"x".repeat(256)] {
            assert_eq!(key_id(Some(id)), Ok(Some(id.to_owned())));
        }
        for id in ["", "a b", "a\u{7f}", &"x".repeat(257)] {
            assert_eq!(key_id(Some(id)), Err(SseError::KeyId), "{id:?}");
        }
        assert_eq!(key_id(None), Ok(None));
    }

    #[test]
    fn the_names_of_ciphers_are_exact() {
        assert_eq!(StoreCipher::parse("AES256"), Some(StoreCipher::Aes256));
        assert_eq!(StoreCipher::parse("SM4"), Some(StoreCipher::Sm4));
        for other in ["", "AES-256", "aes256", "SM4 "] {
            assert_eq!(StoreCipher::parse(other), None, "{other:?}");
        }
    }
}
