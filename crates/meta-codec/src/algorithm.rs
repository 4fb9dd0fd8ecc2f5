//! Content encryption and key wrap algorithms.

use std::fmt;

use crate::{BlobForm, KmsContext, KmsConvention};

/// The algorithm that encrypts the object's bytes. Every dialect uses an AES-256 content key.
///
/// ```
/// use meta_codec::ContentAlgorithm;
///
/// let gcm = ContentAlgorithm::Aes256Gcm;
/// assert!(gcm.is_authenticated());
/// assert_eq!(gcm.body_len(1000), Some(1016)); // the authentication tag comes last
/// assert_eq!(gcm.plain_len(1016), Some(1000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ContentAlgorithm {
    /// AES-256-CBC with PKCS#7 padding. Unauthenticated and vulnerable to padding oracles.
    Aes256Cbc,
    /// AES-256-CTR with a 128-bit big-endian counter. Unauthenticated; the ciphertext is as long
    /// as the plaintext.
    Aes256Ctr,
    /// AES-256-GCM with a 12-byte IV, no associated data, and the 16-byte authentication tag
    /// appended to the body.
    Aes256Gcm,
}

impl ContentAlgorithm {
    /// Length of the authentication tag of [`Aes256Gcm`](Self::Aes256Gcm), in bytes.
    pub const GCM_TAG_LEN: usize = 16;

    /// Returns the length of the initialization vector, in bytes.
    #[must_use]
    pub const fn iv_len(self) -> usize {
        match self {
            Self::Aes256Cbc | Self::Aes256Ctr => 16,
            Self::Aes256Gcm => 12,
        }
    }

    /// Returns whether a modified body is detected when the whole object is read.
    #[must_use]
    pub const fn is_authenticated(self) -> bool {
        match self {
            Self::Aes256Cbc | Self::Aes256Ctr => false,
            Self::Aes256Gcm => true,
        }
    }

    /// Returns the length of the longest plaintext, in bytes. With GCM it is 2^36 - 32, where the
    /// 32-bit counter ends.
    #[must_use]
    pub const fn max_plain_len(self) -> u64 {
        match self {
            Self::Aes256Cbc => u64::MAX - 16,
            Self::Aes256Ctr => u64::MAX,
            Self::Aes256Gcm => (1 << 36) - 32,
        }
    }

    /// Returns the length of the stored body of a plaintext of `plain` bytes, or `None` if it
    /// exceeds `u64`.
    #[must_use]
    pub const fn body_len(self, plain: u64) -> Option<u64> {
        match self {
            Self::Aes256Ctr => Some(plain),
            Self::Aes256Gcm => plain.checked_add(Self::GCM_TAG_LEN as u64),
            Self::Aes256Cbc => match plain.checked_add(16) {
                Some(sum) => Some(sum & !15),
                None => None,
            },
        }
    }

    /// Returns the length of the plaintext of a stored body of `body` bytes. `None` if the body is
    /// too short, or if its length does not determine that of the plaintext (CBC).
    #[must_use]
    pub const fn plain_len(self, body: u64) -> Option<u64> {
        match self {
            Self::Aes256Ctr => Some(body),
            Self::Aes256Gcm => body.checked_sub(Self::GCM_TAG_LEN as u64),
            Self::Aes256Cbc => None,
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

/// The algorithm that wraps the content key (CEK and IV) with the master key.
///
/// ```
/// use meta_codec::{Dialect, WrapAlgorithm};
///
/// // What `cos-v2` can be written with, the preferred ones first.
/// let wraps: Vec<WrapAlgorithm> = Dialect::COS_V2.wrap_algorithms().collect();
/// assert!(wraps.contains(&WrapAlgorithm::AesKeyWrap));
/// assert!(!wraps.contains(&WrapAlgorithm::RsaPkcs1v15));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WrapAlgorithm {
    /// AES-CTR under the master key with a counter that starts at 0 *for every object* (COS Python
    /// `AESProvider`). This is a two-time pad: one known content key reveals every content key
    /// wrapped with the same master key.
    AesCtrZero,
    /// AES Key Wrap, RFC 3394 (COS `AESWrap`).
    AesKeyWrap,
    /// Aliyun KMS. The wrapped value is the service's opaque `CiphertextBlob`.
    KmsAliyun,
    /// A key management service of neither vendor, such as one of your own. The wrapped value is
    /// the text that the service returned. No SDK reads it.
    KmsCustom,
    /// Tencent KMS. The wrapped value is the service's opaque `CiphertextBlob`.
    KmsTencent,
    /// RSAES-OAEP with SHA-1, MGF1-SHA-1 and an empty label.
    RsaOaepSha1,
    /// RSAES-OAEP with SHA-256 and an empty label. The name does not specify the MGF1 digest, which
    /// is SHA-1 under SunJCE and SHA-256 under BouncyCastle and Conscrypt.
    RsaOaepSha256,
    /// RSAES-PKCS1-v1_5.
    RsaPkcs1v15,
    /// RSA with a padding that the metadata does not specify (COS Python): OAEP-SHA-1 or PKCS#1
    /// v1.5.
    RsaUnstated,
}

impl WrapAlgorithm {
    /// Every wrap algorithm, sorted by name.
    pub const ALL: [Self; 9] = [
        Self::AesCtrZero,
        Self::AesKeyWrap,
        Self::KmsAliyun,
        Self::KmsCustom,
        Self::KmsTencent,
        Self::RsaOaepSha1,
        Self::RsaOaepSha256,
        Self::RsaPkcs1v15,
        Self::RsaUnstated,
    ];

    /// Returns the name of the algorithm as used by the command line and its JSON output.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::AesCtrZero => "aes-ctr-zero",
            Self::AesKeyWrap => "aes-kw",
            Self::KmsAliyun => "kms-aliyun",
            Self::KmsCustom => "kms-custom",
            Self::KmsTencent => "kms-tencent",
            Self::RsaOaepSha1 => "rsa-oaep-sha1",
            Self::RsaOaepSha256 => "rsa-oaep-sha256",
            Self::RsaPkcs1v15 => "rsa-pkcs1v15",
            Self::RsaUnstated => "rsa-unstated",
        }
    }

    /// Returns `true` if the master key is an RSA key pair.
    #[must_use]
    pub const fn is_rsa(self) -> bool {
        matches!(
            self,
            Self::RsaOaepSha1 | Self::RsaOaepSha256 | Self::RsaPkcs1v15 | Self::RsaUnstated
        )
    }

    /// Returns `true` if the master key is an AES key.
    #[must_use]
    pub const fn is_aes(self) -> bool {
        matches!(self, Self::AesCtrZero | Self::AesKeyWrap)
    }

    /// Returns `true` if a key management service holds the master key.
    #[must_use]
    pub const fn is_kms(self) -> bool {
        self.kms().is_some()
    }

    /// Returns the conventions of the key management service that holds the master key, if any.
    #[must_use]
    pub const fn kms(self) -> Option<KmsConvention> {
        use KmsContext::{Constant, Description};
        let (blob, context) = match self {
            // The header *is* the blob (oss-dialects, section 1); oss2 encodes it once more.
            Self::KmsAliyun => (BlobForm::Base64, Constant),
            Self::KmsCustom => (BlobForm::Text, Constant),
            Self::KmsTencent => (BlobForm::Text, Description),
            Self::AesCtrZero
            | Self::AesKeyWrap
            | Self::RsaOaepSha1
            | Self::RsaOaepSha256
            | Self::RsaPkcs1v15
            | Self::RsaUnstated => return None,
        };
        Some(KmsConvention { blob, context })
    }

    /// Returns `true` if this algorithm can wrap the IV of `content`. AES Key Wrap accepts only
    /// multiples of 8 bytes, which excludes the 12-byte IV of GCM.
    #[must_use]
    pub const fn takes_iv_of(self, content: ContentAlgorithm) -> bool {
        self.wrapped_len(content.iv_len()).is_some()
    }

    /// Returns the possible lengths of a wrapped value of `plain` bytes, or `None` if it cannot be
    /// wrapped.
    pub(crate) const fn wrapped_len(self, plain: usize) -> Option<LengthRule> {
        match self {
            Self::AesCtrZero => Some(LengthRule::Exactly(plain)),
            Self::AesKeyWrap if plain.is_multiple_of(8) => {
                Some(LengthRule::Exactly(plain.saturating_add(8)))
            }
            Self::AesKeyWrap => None,
            Self::KmsAliyun => Some(LengthRule::Between(1, 6 * 1024)),
            // Never 16 bytes: a 16-byte IV is what distinguishes `cos-android` from `cos-v2`.
            Self::KmsCustom | Self::KmsTencent => Some(LengthRule::Between(17, 6 * 1024)),
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

/// The permitted lengths of a decoded field, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthRule {
    /// Any length in the inclusive range.
    Between(usize, usize),
    /// Exactly this length.
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
