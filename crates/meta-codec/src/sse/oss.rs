//! Server-side encryption in Aliyun OSS.

use super::{Request, SseError, SseHeaders, StoreCipher, key_id, value};

const MODE: &str = "x-oss-server-side-encryption";
const KMS: &str = "KMS";
const KEY_ID: &str = "x-oss-server-side-encryption-key-id";
/// Unlike the others, this name is not prefixed with [`MODE`].
const DATA_ENCRYPTION: &str = "x-oss-server-side-data-encryption";

/// The mode in which OSS encrypts an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OssSse(Mode);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Kms { key_id: Option<String>, cipher: StoreCipher },
    Managed(StoreCipher),
}

impl OssSse {
    /// Selects SSE-OSS, with a key managed by the store.
    #[must_use]
    pub const fn managed(cipher: StoreCipher) -> Self {
        Self(Mode::Managed(cipher))
    }

    /// Selects SSE-KMS, with a master key in Aliyun's KMS and the cipher for the data. If `id` is
    /// `None`, the default key is used.
    ///
    /// # Errors
    /// Fails if no header can hold the key ID.
    pub fn kms(id: Option<&str>, cipher: StoreCipher) -> Result<Self, SseError> {
        Ok(Self(Mode::Kms { key_id: key_id(id)?, cipher }))
    }

    /// Returns the headers for a request, which are empty if the store needs none. The parts of a
    /// multipart upload need none because they inherit its settings.
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
                // AES256 is the default.
                if *cipher == StoreCipher::Sm4 {
                    headers.push(DATA_ENCRYPTION, cipher.name());
                }
            }
        }
        headers
    }
}

/// The server-side encryption of an object, as reported by OSS.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OssSseStatus {
    /// Encrypted with a master key in the KMS.
    Kms {
        /// The ID of the master key, if the store reports it.
        key_id: Option<String>,
        /// The cipher for the data.
        cipher: StoreCipher,
    },
    /// Encrypted with a key managed by the store.
    Managed(StoreCipher),
}

impl OssSseStatus {
    /// Parses response headers. Returns `None` if the object is not encrypted by the store.
    ///
    /// # Errors
    /// Fails on an unknown mode or cipher.
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
