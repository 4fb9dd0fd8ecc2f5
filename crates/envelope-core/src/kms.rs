//! Key management services: master keys that never leave a vendor's machines.

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
/// Plaintexts are the *texts* that the service takes and gives: base64 of the bytes, but for the IV of
/// `oss-v1`, which is the decimal text itself. Blobs are opaque text too: Tencent's are not base64.
pub trait Kms: Send + Sync {
    /// Whose service it is: [`WrapAlgorithm::KmsAliyun`] or [`WrapAlgorithm::KmsTencent`].
    fn algorithm(&self) -> WrapAlgorithm;

    /// Makes a 256-bit data key under the master key (`GenerateDataKey`, `KeySpec=AES_256`).
    ///
    /// # Errors
    /// [`KmsError`].
    fn generate_data_key(&self, context: Option<&str>) -> Result<DataKey, KmsError>;

    /// Encrypts a short plaintext under the master key and gives the blob.
    ///
    /// # Errors
    /// [`KmsError`].
    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError>;

    /// Decrypts a blob. The service finds the master key in the blob.
    ///
    /// # Errors
    /// [`KmsError::Refused`] if the blob or its context is not what the service made, else another.
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

/// A data key from a KMS: base64 of 32 bytes, and the blob that it decrypts from.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
#[non_exhaustive]
pub struct DataKey {
    /// Base64 of the 32 bytes.
    pub plaintext: Zeroizing<String>,
    /// What the service decrypts them from.
    pub blob: String,
}

impl DataKey {
    /// A data key.
    #[must_use]
    pub const fn new(plaintext: Zeroizing<String>, blob: String) -> Self {
        Self { plaintext, blob }
    }
}

/// Why a KMS gave no answer that can be used. The details are the vendor's code and request id; they
/// never hold a blob or a plaintext.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KmsError {
    /// The caller may not use the master key, or the key is disabled.
    #[error("the KMS cannot be used: {0}")]
    Denied(String),
    /// An answer that does not follow the service's protocol.
    #[error("the KMS gave an answer that makes no sense: {0}")]
    Malformed(String),
    /// The service does not take the blob, or not with this context.
    #[error("the KMS refuses the wrapped key or its encryption context: {0}")]
    Refused(String),
    /// No answer in time, or the service is overloaded.
    #[error("the KMS cannot be reached: {0}")]
    Unavailable(String),
}
