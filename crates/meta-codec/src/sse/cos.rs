//! Server-side encryption in Tencent COS.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{CustomerKey, Request, Scheme, SseError, SseHeaders, StoreCipher, key_id, value};
use crate::MaterialDescription;

const MODE: &str = "x-cos-server-side-encryption";
const KMS: &str = "cos/kms";
const KMS_KEY_ID: &str = "x-cos-server-side-encryption-cos-kms-key-id";
/// COS Java also accepts this name in responses.
const QCLOUD_KEY_ID: &str = "x-cos-server-side-encryption-qcloud-kms-key-id";
const CONTEXT: &str = "x-cos-server-side-encryption-context";
const CUSTOMER: [&str; 3] = [
    "x-cos-server-side-encryption-customer-algorithm",
    "x-cos-server-side-encryption-customer-key",
    "x-cos-server-side-encryption-customer-key-md5",
];
const COPY_SOURCE: [&str; 3] = [
    "x-cos-copy-source-server-side-encryption-customer-algorithm",
    "x-cos-copy-source-server-side-encryption-customer-key",
    "x-cos-copy-source-server-side-encryption-customer-key-md5",
];

/// The mode in which COS encrypts an object.
#[expect(missing_debug_implementations, reason = "may hold a secret, which must not be printed")]
pub struct CosSse(Mode);

enum Mode {
    Customer(Arc<CustomerKey>),
    Kms { key_id: Option<String>, context: String },
    Managed(StoreCipher),
}

impl CosSse {
    /// Selects SSE-COS, with a key managed by the store.
    #[must_use]
    pub const fn managed(cipher: StoreCipher) -> Self {
        Self(Mode::Managed(cipher))
    }

    /// Selects SSE-KMS, with a master key in Tencent's KMS and an encryption context, which may be
    /// empty. If `id` is `None`, the default key is used.
    ///
    /// # Errors
    /// Fails if no header can hold the key ID, or if the context has a duplicate name or exceeds
    /// the limits of [`MaterialDescription`].
    pub fn kms<N: Into<String>, V: Into<String>>(
        id: Option<&str>,
        context: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SseError> {
        let context = MaterialDescription::new(context).map_err(SseError::Context)?;
        Ok(Self(Mode::Kms { key_id: key_id(id)?, context: context.text().to_owned() }))
    }

    /// Selects SSE-C, with a customer key that is sent in every request.
    #[must_use]
    pub fn customer(key: impl Into<Arc<CustomerKey>>) -> Self {
        Self(Mode::Customer(key.into()))
    }

    /// Returns the headers for a request, which are empty if the store needs none.
    ///
    /// # Errors
    /// Returns [`SseError::PlainHttp`] for a customer key over plain HTTP.
    pub fn headers(&self, request: Request, scheme: Scheme) -> Result<SseHeaders, SseError> {
        let mut headers = SseHeaders::default();
        match &self.0 {
            Mode::Customer(key) => return customer(key, CUSTOMER, scheme),
            Mode::Managed(cipher) if request.creates() => headers.push(MODE, cipher.name()),
            Mode::Kms { key_id, context } if request.creates() => {
                headers.push(MODE, KMS);
                if let Some(id) = key_id {
                    headers.push(KMS_KEY_ID, id.as_str());
                }
                if !context.is_empty() {
                    headers.push(CONTEXT, STANDARD.encode(context));
                }
            }
            Mode::Managed(_) | Mode::Kms { .. } => {}
        }
        Ok(headers)
    }

    /// Returns the headers for reading the *source* of a copy that was written with a customer key.
    /// Send them together with the headers for the target.
    ///
    /// # Errors
    /// Returns [`SseError::PlainHttp`] over plain HTTP.
    pub fn copy_source(key: &CustomerKey, scheme: Scheme) -> Result<SseHeaders, SseError> {
        customer(key, COPY_SOURCE, scheme)
    }
}

fn customer(
    key: &CustomerKey,
    [algorithm, bytes, digest]: [&'static str; 3],
    scheme: Scheme,
) -> Result<SseHeaders, SseError> {
    if scheme == Scheme::Http {
        return Err(SseError::PlainHttp);
    }
    let mut headers = SseHeaders::default();
    headers.push(algorithm, "AES256");
    headers.push(bytes, key.base64());
    headers.push(digest, key.md5_base64());
    Ok(headers)
}

/// The server-side encryption of an object, as reported by COS.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CosSseStatus {
    /// Encrypted with a customer key.
    Customer {
        /// Base64 of the MD5 of the key, for comparison with [`CustomerKey::md5_base64`].
        key_md5: String,
    },
    /// Encrypted with a master key in the KMS.
    Kms {
        /// The ID of the master key, if the store reports it.
        key_id: Option<String>,
    },
    /// Encrypted with a key managed by the store.
    Managed(StoreCipher),
}

impl CosSseStatus {
    /// Parses response headers. Returns `None` if the object is not encrypted by the store.
    ///
    /// # Errors
    /// Fails on an unknown mode or customer algorithm, on a mode combined with a customer
    /// algorithm, and on a customer algorithm without the MD5 of its key.
    pub fn parse<N: AsRef<str>, V: AsRef<str>>(
        headers: &[(N, V)],
    ) -> Result<Option<Self>, SseError> {
        let [algorithm, _, digest] = CUSTOMER;
        match (value(headers, MODE), value(headers, algorithm)) {
            (None, None) => Ok(None),
            (None, Some("AES256")) => {
                let key_md5 = value(headers, digest).ok_or(SseError::Response(digest))?.to_owned();
                Ok(Some(Self::Customer { key_md5 }))
            }
            (None, Some(_)) => Err(SseError::Response(algorithm)),
            (Some(_), Some(_)) => Err(SseError::Response(MODE)),
            (Some(KMS), None) => {
                let id = value(headers, KMS_KEY_ID).or_else(|| value(headers, QCLOUD_KEY_ID));
                Ok(Some(Self::Kms { key_id: id.map(str::to_owned) }))
            }
            (Some(cipher), None) => StoreCipher::parse(cipher)
                .map(|cipher| Some(Self::Managed(cipher)))
                .ok_or(SseError::Response(MODE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: [Request; 7] = [
        Request::Copy,
        Request::Get,
        Request::Head,
        Request::InitiateMultipart,
        Request::Put,
        Request::Restore,
        Request::UploadPart,
    ];

    fn sent(sse: &CosSse, request: Request) -> Vec<(String, String)> {
        let headers = sse.headers(request, Scheme::Https).unwrap();
        headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn managed_and_kms_only_where_an_object_is_made() {
        let kms = || CosSse::kms(Some("cmk-1"), [("b", "é"), ("a", "1")]).unwrap();
        for request in EVERY {
            let creates =
                [Request::Put, Request::Copy, Request::InitiateMultipart].contains(&request);
            for sse in [CosSse::managed(StoreCipher::Aes256), kms()] {
                assert_eq!(!sent(&sse, request).is_empty(), creates, "{request:?}");
            }
        }
        let headers = sent(&kms(), Request::Put);
        assert_eq!(headers[0].1, "cos/kms");
        assert_eq!(headers[1].1, "cmk-1");
        assert_eq!(STANDARD.decode(&headers[2].1).unwrap(), br#"{"a":"1","b":"\u00e9"}"#);
        let bare = CosSse::kms(None, [("", ""); 0]).unwrap();
        assert_eq!(sent(&bare, Request::Put).len(), 1);
        let managed = sent(&CosSse::managed(StoreCipher::Sm4), Request::Put);
        assert_eq!(managed, [("x-cos-server-side-encryption".to_owned(), "SM4".to_owned())]);
    }

    #[test]
    fn a_customer_key_goes_with_every_request_over_https() {
        let key = || CustomerKey::new(b"01234567890123456789012345678901");
        for request in EVERY {
            let sse = CosSse::customer(key());
            let headers = sent(&sse, request);
            assert_eq!(headers[0].1, "AES256");
            assert_eq!(headers[1].1, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
            assert_eq!(headers[2].1, "KYvwGXoFFJ42a2u2GDWhwQ==");
            assert!(matches!(sse.headers(request, Scheme::Http), Err(SseError::PlainHttp)));
            assert_eq!(CosSseStatus::parse(&headers[..0]), Ok(None));
            let status = CosSseStatus::parse(&[headers[0].clone(), headers[2].clone()]);
            assert_eq!(status, Ok(Some(CosSseStatus::Customer { key_md5: key().md5_base64() })));
        }
        let source = CosSse::copy_source(&key(), Scheme::Https).unwrap();
        assert!(source.iter().all(|(name, _)| name.starts_with("x-cos-copy-source-server-side")));
        assert!(matches!(CosSse::copy_source(&key(), Scheme::Http), Err(SseError::PlainHttp)));
    }

    #[test]
    fn responses() {
        let parse = |headers: &[(&str, &str)]| CosSseStatus::parse(headers);
        let mode = "X-Cos-Server-Side-Encryption";
        assert_eq!(
            parse(&[(mode, "AES256")]),
            Ok(Some(CosSseStatus::Managed(StoreCipher::Aes256)))
        );
        for name in [KMS_KEY_ID, QCLOUD_KEY_ID] {
            let key_id = Some("k".to_owned());
            assert_eq!(parse(&[(mode, KMS), (name, "k")]), Ok(Some(CosSseStatus::Kms { key_id })));
        }
        assert!(parse(&[(mode, "AES-256")]).is_err());
        assert!(parse(&[(CUSTOMER[0], "AES256")]).is_err());
        assert!(parse(&[(CUSTOMER[0], "DES"), (CUSTOMER[2], "x")]).is_err());
        assert!(parse(&[(mode, "AES256"), (CUSTOMER[0], "AES256")]).is_err());
    }

    #[test]
    fn what_no_header_can_hold() {
        for id in ["", " ", "a\nb", "é", &"x".repeat(257)] {
            assert!(matches!(CosSse::kms(Some(id), [("", ""); 0]), Err(SseError::KeyId)), "{id:?}");
        }
        assert!(CosSse::kms(None, [("a", "1"), ("a", "2")]).is_err());
        for text in ["", "AAAA", "not base64", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"] {
            assert!(CustomerKey::read(text.as_bytes()).is_err());
        }
        let want = CustomerKey::new(b"01234567890123456789012345678901").md5_base64();
        for text in [
            &b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"[..],
            b"01234567890123456789012345678901",
            b"01234567890123456789012345678901\n",
            b"01234567890123456789012345678901\r\n",
        ] {
            assert_eq!(CustomerKey::read(text).unwrap().md5_base64(), want);
        }
        let binary = [b'\n'; 32];
        let want = CustomerKey::new(&binary).md5_base64();
        assert_eq!(CustomerKey::read(&binary).unwrap().md5_base64(), want);
        assert!(CustomerKey::read(&[b'0'; 31]).is_err() && CustomerKey::read(&[b'0'; 33]).is_err());
    }
}
