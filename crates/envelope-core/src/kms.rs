//! Key management services: master keys that never leave the vendor's machines.

use std::sync::Arc;

use meta_codec::WrapAlgorithm;
use zeroize::Zeroizing;

mod context;
mod memory;

pub use context::ContextStyle;
pub(crate) use context::candidates;
pub use memory::MemoryKms;

/// A key management service with one master key to wrap with.
///
/// Plaintexts are the *texts* that the service accepts and returns: base64 of the bytes, except for
/// the IV of `oss-v1`, which is the decimal text itself. Blobs are opaque text as well; Tencent's
/// are not base64.
pub trait Kms: Send + Sync {
    /// Returns the wrap algorithm of the service: [`WrapAlgorithm::KmsAliyun`] or
    /// [`WrapAlgorithm::KmsTencent`].
    fn algorithm(&self) -> WrapAlgorithm;

    /// Generates a 256-bit data key under the master key (`GenerateDataKey`, `KeySpec=AES_256`).
    ///
    /// # Errors
    /// [`KmsError`].
    fn generate_data_key(&self, context: Option<&str>) -> Result<DataKey, KmsError>;

    /// Encrypts a short plaintext under the master key and returns the blob.
    ///
    /// # Errors
    /// [`KmsError`].
    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError>;

    /// Decrypts a blob. The service identifies the master key from the blob.
    ///
    /// # Errors
    /// [`KmsError::Refused`] if the service did not make the blob, or not with this context;
    /// another [`KmsError`] for any other failure.
    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError>;
}

impl<K: Kms + ?Sized> Kms for Arc<K> {
    fn algorithm(&self) -> WrapAlgorithm {
        (**self).algorithm()
    }

    fn generate_data_key(&self, context: Option<&str>) -> Result<DataKey, KmsError> {
        (**self).generate_data_key(context)
    }

    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        (**self).encrypt(plaintext, context)
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        (**self).decrypt(blob, context)
    }
}

/// A data key from a KMS: base64 of 32 bytes, and the blob that decrypts to it.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
#[non_exhaustive]
pub struct DataKey {
    /// Base64 of the 32 bytes.
    pub plaintext: Zeroizing<String>,
    /// The blob that the service decrypts to the plaintext.
    pub blob: String,
}

impl DataKey {
    /// Creates a data key.
    #[must_use]
    pub const fn new(plaintext: Zeroizing<String>, blob: String) -> Self {
        Self { plaintext, blob }
    }
}

/// An error from a KMS. The details are the vendor's error code and request id; they never hold a
/// blob or a plaintext.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KmsError {
    /// The caller may not use the master key, or the key is disabled.
    #[error("the KMS denied the request: {0}")]
    Denied(String),
    /// The response does not follow the service's protocol.
    #[error("the KMS returned an invalid response: {0}")]
    Malformed(String),
    /// The service does not accept the blob, or not with this context.
    #[error("the KMS rejected the wrapped key or its encryption context: {0}")]
    Refused(String),
    /// The service did not respond in time, or is overloaded.
    #[error("the KMS is unavailable: {0}")]
    Unavailable(String),
}
