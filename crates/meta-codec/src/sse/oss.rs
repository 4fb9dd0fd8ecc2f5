//! Server-side encryption of Aliyun OSS.

use super::{Request, SseError, SseHeaders, StoreCipher, key_id, value};

const MODE: &str = "x-oss-server-side-encryption";
const KMS: &str = "KMS";
const KEY_ID: &str = "x-oss-server-side-encryption-key-id";
/// Not `…-encryption-data-encryption`.
const DATA_ENCRYPTION: &str = "x-oss-server-side-data-encryption";

/// How OSS is to encrypt an object. One mode, never two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OssSse(Mode);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Kms { key_id: Option<String>, cipher: StoreCipher },
    Managed(StoreCipher),
}

impl OssSse {
    /// SSE-OSS: the store keeps the key.
    #[must_use]
    pub const fn managed(cipher: StoreCipher) -> Self {
        Self(Mode::Managed(cipher))
    }

    /// SSE-KMS: a master key in Aliyun's KMS, the default one if none is named, and the cipher for the
    /// data.
    ///
    /// # Errors
    /// A key id that no header can hold.
    pub fn kms(id: Option<&str>, cipher: StoreCipher) -> Result<Self, SseError> {
        Ok(Self(Mode::Kms { key_id: key_id(id)?, cipher }))
    }

    /// The headers that belong into a request. None for requests in which the store needs none: the
    /// parts of a multipart upload follow its beginning.
    #[must_use]
    pub fn headers(&self, request: Request) -> SseHeaders {
        let mut headers = SseHeaders::default();
        if !request.creates() {
            return headers;
        }
        match &self.0 {
            Mode::Managed(cipher) => headers.push(MODE, cipher.name()),
            Mode::Kms { key_id, cipher } => {
                headers.push(MODE, KMS);
                if let Some(id) = key_id {
                    headers.push(KEY_ID, id.as_str());
                }
                // Absent means AES256.
                if *cipher == StoreCipher::Sm4 {
                    headers.push(DATA_ENCRYPTION, cipher.name());
                }
            }
        }
        headers
    }
}

/// How OSS says that it has encrypted an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OssSseStatus {
    /// With a master key in the KMS.
    Kms {
        /// The master key, if the store says which.
        key_id: Option<String>,
        /// The cipher for the data.
        cipher: StoreCipher,
    },
    /// With a key of the store's own.
    Managed(StoreCipher),
}

impl OssSseStatus {
    /// Reads a response's headers; `None` if the object is not encrypted by the store.
    ///
    /// # Errors
    /// A mode or a cipher that is not known.
    pub fn parse<N: AsRef<str>, V: AsRef<str>>(
        headers: &[(N, V)],
    ) -> Result<Option<Self>, SseError> {
        match value(headers, MODE) {
            None => Ok(None),
            Some(KMS) => {
                let cipher = value(headers, DATA_ENCRYPTION)
                    .map_or(Some(StoreCipher::Aes256), StoreCipher::parse)
                    .ok_or(SseError::Response(DATA_ENCRYPTION))?;
                let key_id = value(headers, KEY_ID).map(str::to_owned);
                Ok(Some(Self::Kms { key_id, cipher }))
            }
            Some(cipher) => StoreCipher::parse(cipher)
                .map(|cipher| Some(Self::Managed(cipher)))
                .ok_or(SseError::Response(MODE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(sse: &OssSse, request: Request) -> Vec<(String, String)> {
        let headers = sse.headers(request);
        headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn what_is_sent_parses_back() {
        let modes = [
            (OssSse::managed(StoreCipher::Aes256), OssSseStatus::Managed(StoreCipher::Aes256)),
            (OssSse::managed(StoreCipher::Sm4), OssSseStatus::Managed(StoreCipher::Sm4)),
            (
                OssSse::kms(None, StoreCipher::Aes256).unwrap(),
                OssSseStatus::Kms { key_id: None, cipher: StoreCipher::Aes256 },
            ),
            (
                OssSse::kms(Some("k"), StoreCipher::Sm4).unwrap(),
                OssSseStatus::Kms { key_id: Some("k".into()), cipher: StoreCipher::Sm4 },
            ),
        ];
        for (sse, status) in modes {
            for request in
                [Request::Put, Request::Append, Request::Copy, Request::InitiateMultipart]
            {
                assert_eq!(OssSseStatus::parse(&sent(&sse, request)), Ok(Some(status.clone())));
            }
            for request in [Request::Get, Request::Head, Request::UploadPart, Request::Restore] {
                assert!(sent(&sse, request).is_empty());
            }
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let parse = |headers: &[(&str, &str)]| OssSseStatus::parse(headers);
        assert!(parse(&[(MODE, "AES-256")]).is_err());
        assert!(parse(&[(MODE, "KMS"), (DATA_ENCRYPTION, "AES")]).is_err());
        assert_eq!(parse(&[("etag", "x")]), Ok(None));
        assert!(OssSse::kms(Some(""), StoreCipher::Aes256).is_err());
    }
}
