//! Algorithms that a dialect can name.

use std::fmt;

/// How the object's bytes are encrypted. The content key is an AES-256 key in every dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ContentAlgorithm {
    /// AES-256-CBC with PKCS#7 padding. Unauthenticated, and open to padding oracles.
    Aes256Cbc,
    /// AES-256-CTR with a 128-bit big-endian counter. Unauthenticated; as long as the plaintext.
    Aes256Ctr,
    /// AES-256-GCM, 12-byte IV, no associated data, 16-byte tag appended to the body.
    Aes256Gcm,
}

impl ContentAlgorithm {
    /// Length of the initialization vector, in bytes.
    #[must_use]
    pub const fn iv_len(self) -> usize {
        match self {
            Self::Aes256Cbc | Self::Aes256Ctr => 16,
            Self::Aes256Gcm => 12,
        }
    }

    /// Length of the stored body for a plaintext of `plain` bytes; `None` if it exceeds `u64`.
    #[must_use]
    pub const fn body_len(self, plain: u64) -> Option<u64> {
        match self {
            Self::Aes256Ctr => Some(plain),
            Self::Aes256Gcm => plain.checked_add(16),
            Self::Aes256Cbc => match plain.checked_add(16) {
                Some(sum) => Some(sum & !15),
                None => None,
            },
        }
    }
}

impl fmt::Display for ContentAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes256Cbc => "AES-256-CBC",
            Self::Aes256Ctr => "AES-256-CTR",
            Self::Aes256Gcm => "AES-256-GCM",
        })
    }
}

/// How the content key (CEK and IV) is wrapped by the master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WrapAlgorithm {
    /// AES-CTR under the master key with a counter that starts at 0 *for every object* (COS Python
    /// `AESProvider`). A two-time pad: whoever knows one content key of a master key knows them all.
    AesCtrZero,
    /// AES Key Wrap, RFC 3394 (COS `AESWrap`).
    AesKeyWrap,
    /// Aliyun KMS; the wrapped value is the service's opaque `CiphertextBlob`.
    KmsAliyun,
    /// Tencent KMS; the wrapped value is the service's opaque `CiphertextBlob`.
    KmsTencent,
    /// RSAES-OAEP with SHA-1, MGF1-SHA-1 and an empty label.
    RsaOaepSha1,
    /// RSAES-OAEP with SHA-256 and an empty label. The name does not say which MGF1 digest: SHA-1
    /// under SunJCE, SHA-256 under BouncyCastle and Conscrypt.
    RsaOaepSha256,
    /// RSAES-PKCS1-v1_5.
    RsaPkcs1v15,
    /// RSA, and the metadata does not say with which padding (COS Python): OAEP-SHA-1 or PKCS#1 v1.5.
    RsaUnstated,
}

impl WrapAlgorithm {
    /// Every wrap algorithm, in the order of their names.
    pub const ALL: [Self; 8] = [
        Self::AesCtrZero,
        Self::AesKeyWrap,
        Self::KmsAliyun,
        Self::KmsTencent,
        Self::RsaOaepSha1,
        Self::RsaOaepSha256,
        Self::RsaPkcs1v15,
        Self::RsaUnstated,
    ];

    /// Our name of the algorithm, as the command and its JSON output use it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::AesCtrZero => "aes-ctr-zero",
            Self::AesKeyWrap => "aes-kw",
            Self::KmsAliyun => "kms-aliyun",
            Self::KmsTencent => "kms-tencent",
            Self::RsaOaepSha1 => "rsa-oaep-sha1",
            Self::RsaOaepSha256 => "rsa-oaep-sha256",
            Self::RsaPkcs1v15 => "rsa-pkcs1v15",
            Self::RsaUnstated => "rsa-unstated",
        }
    }

    /// Whether an RSA key pair does this wrap.
    #[must_use]
    pub const fn is_rsa(self) -> bool {
        matches!(
            self,
            Self::RsaOaepSha1 | Self::RsaOaepSha256 | Self::RsaPkcs1v15 | Self::RsaUnstated
        )
    }

    /// Whether an AES master key does this wrap.
    #[must_use]
    pub const fn is_aes(self) -> bool {
        matches!(self, Self::AesCtrZero | Self::AesKeyWrap)
    }

    /// Whether a key management service does this wrap.
    #[must_use]
    pub const fn is_kms(self) -> bool {
        matches!(self, Self::KmsAliyun | Self::KmsTencent)
    }

    /// Whether the wrap can take the IV of a content algorithm. AES Key Wrap takes multiples of 8
    /// bytes, and so not the 12-byte IV of GCM.
    #[must_use]
    pub const fn takes_iv_of(self, content: ContentAlgorithm) -> bool {
        self.wrapped_len(content.iv_len()).is_some()
    }

    /// The lengths that a wrapped value of `plain` bytes can have; `None` if it cannot be wrapped.
    pub(crate) const fn wrapped_len(self, plain: usize) -> Option<LengthRule> {
        match self {
            Self::AesCtrZero => Some(LengthRule::Exactly(plain)),
            Self::AesKeyWrap if plain.is_multiple_of(8) => {
                Some(LengthRule::Exactly(plain.saturating_add(8)))
            }
            Self::AesKeyWrap => None,
            Self::KmsAliyun => Some(LengthRule::Between(1, 6 * 1024)),
            // Never 16 bytes: that is how `cos-android` is told from `cos-v2`.
            Self::KmsTencent => Some(LengthRule::Between(17, 6 * 1024)),
            Self::RsaOaepSha1 | Self::RsaOaepSha256 | Self::RsaPkcs1v15 | Self::RsaUnstated => {
                Some(LengthRule::Between(128, 1024))
            }
        }
    }
}

impl fmt::Display for WrapAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// The lengths, in bytes, that a decoded field can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthRule {
    /// From the first to the second, inclusive.
    Between(usize, usize),
    /// This one only.
    Exactly(usize),
}

impl LengthRule {
    pub(crate) const fn allows(self, len: usize) -> bool {
        match self {
            Self::Between(least, most) => least <= len && len <= most,
            Self::Exactly(want) => want == len,
        }
    }
}

impl fmt::Display for LengthRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Between(least, most) => write!(f, "{least} to {most} bytes"),
            Self::Exactly(want) => write!(f, "{want} bytes"),
        }
    }
}
