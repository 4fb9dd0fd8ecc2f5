//! Server-side encryption: the headers that ask a store to encrypt, and those that it answers with.
//!
//! This is the *store's* encryption, and protects nothing from the store; it is here because the same
//! people need it, and because its headers have traps of their own. What a service would refuse cannot
//! be built: the modes exclude each other, a key id goes with KMS only, a customer key goes over HTTPS
//! only.
//!
//! Sources: cos-python-sdk-v5 `cos_comm.py:54-63`, cos-java-sdk-v5 `Headers.java:134-175`, oss2 2.19.1
//! `headers.py:64-86`, alibabacloud-oss-go-sdk-v2 `api_op_object.go:49-65`.
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
//! // The store knows what it did: nothing is sent to get the object back.
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

/// What is asked of the store. It decides which headers belong into the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Request {
    /// Append to an object (OSS).
    Append,
    /// Copy an object, or a part of one; the headers are for the *target*.
    Copy,
    /// Read an object.
    Get,
    /// Read an object's metadata.
    Head,
    /// Begin a multipart upload.
    InitiateMultipart,
    /// Write an object.
    Put,
    /// Restore an archived object.
    Restore,
    /// Write one part of a multipart upload.
    UploadPart,
}

impl Request {
    /// Whether the request makes an object, so that the store must be told how to encrypt it.
    const fn creates(self) -> bool {
        matches!(self, Self::Append | Self::Copy | Self::InitiateMultipart | Self::Put)
    }
}

/// How the request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are no others")]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// The cipher with which the store encrypts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreCipher {
    /// AES-256. The documentation of one COS SDK says `AES-256`, which the service refuses.
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

/// Headers to send. They may hold a customer key, so they are wiped when dropped and not printed.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct SseHeaders(Vec<(&'static str, Zeroizing<String>)>);

impl SseHeaders {
    /// Names in lower case, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, Zeroizing::new(value.into())));
    }
}

/// Server-side encryption that a service would refuse, or that it answered with and no one knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// The encryption context cannot be said.
    #[error("the encryption context cannot be written: {0}")]
    Context(crate::DescriptionError),
    /// Not 32 bytes.
    #[error("a customer key has 32 bytes, not {0}")]
    CustomerKey(usize),
    /// Empty, too long, or with characters that no header can hold.
    #[error("a key id is 1 to 256 printable ASCII characters")]
    KeyId,
    /// A secret would travel in the clear.
    #[error("a customer key must not be sent over plain http")]
    PlainHttp,
    /// A response header with a value that is not known, or a missing one.
    #[error("{0}: is missing or not known")]
    Response(&'static str),
}

fn key_id(id: Option<&str>) -> Result<Option<String>, SseError> {
    match id {
        // OSS refuses an empty header (0005-00000205); leaving it out means the default key.
        None => Ok(None),
        Some(id)
            if matches!(id.len(), 1..=256) && id.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(Some(id.to_owned()))
        }
        Some(_) => Err(SseError::KeyId),
    }
}

/// The value of a response header, by its lower-case name. The first one counts.
fn value<'a, N: AsRef<str>, V: AsRef<str>>(headers: &'a [(N, V)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(each, _)| each.as_ref().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_ref())
}
