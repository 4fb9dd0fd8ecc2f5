//! The paddings of RSA encryption (RFC 8017).

/// The padding of a message before the RSA operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// RSAES-PKCS1-v1_5.
    Pkcs1v15,
    /// RSAES-OAEP with SHA-1 throughout.
    OaepSha1,
    /// RSAES-OAEP with SHA-256 but MGF1 with SHA-1, as in the JDK's default provider.
    OaepSha256Mgf1Sha1,
    /// RSAES-OAEP with SHA-256 throughout.
    OaepSha256,
}
