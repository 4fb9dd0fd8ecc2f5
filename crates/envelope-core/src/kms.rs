//! Key management services: master keys that never leave the vendor's machines.

use std::sync::Arc;

use meta_codec::WrapAlgorithm;
use zeroize::Zeroizing;

mod context;
mod memory;

pub use context::ContextStyle;
pub(crate) use context::candidates;
pub use memory::MemoryKms;

/// A key management service with one master key to wrap with. Implement it for a service of your
/// own, and use it through [`KmsKeyWrapper`](crate::KmsKeyWrapper).
///
/// Plaintexts are the *texts* that the service accepts and returns: base64 of the bytes, except for
/// the IV of `oss-v1`, which is the decimal text itself. Blobs are opaque text as well: printable
/// ASCII, 17 bytes to 6 KiB. They need not be base64.
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
///
/// use envelope_core::{Decryptor, Dialect, Encryptor, Keyring, KmsKeyWrapper};
/// use envelope_core::kms::{Kms, KmsError};
/// use zeroize::Zeroizing;
///
/// /// Stands in for a client of a service such as Vault's transit engine.
/// #[derive(Default)]
/// struct Vault(Mutex<HashMap<String, String>>);
///
/// impl Kms for Vault {
///     fn encrypt(&self, plaintext: &str, _context: Option<&str>) -> Result<String, KmsError> {
///         let mut table = self.0.lock().unwrap();
///         let blob = format!("vault:v1:{:020}", table.len());
///         table.insert(blob.clone(), plaintext.to_owned());
///         Ok(blob)
///     }
///     fn decrypt(
///         &self,
///         blob: &str,
///         _context: Option<&str>,
///     ) -> Result<Zeroizing<String>, KmsError> {
///         let table = self.0.lock().unwrap();
///         let plaintext = table.get(blob).ok_or(KmsError::Refused("no such blob".into()))?;
///         Ok(Zeroizing::new(plaintext.clone()))
///     }
/// }
///
/// let key = KmsKeyWrapper::new(Vault::default());
/// let object = Encryptor::new(&key, Dialect::OSS_V2).encrypt()?;
/// Decryptor::new(&Keyring::new().with(key)).decrypt(object.envelope())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Kms: Send + Sync {
    /// Returns the wrap algorithm that metadata names. By default it is
    /// [`WrapAlgorithm::KmsCustom`], which claims to be no vendor's service.
    fn algorithm(&self) -> WrapAlgorithm {
        WrapAlgorithm::KmsCustom
    }

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

    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        (**self).encrypt(plaintext, context)
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        (**self).decrypt(blob, context)
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
    /// The service was not asked, for a reason on this side: no access key, no key id, TLS.
    #[error("the KMS cannot be asked: {0}")]
    NotAsked(String),
    /// The service does not accept the blob, or not with this context.
    #[error("the KMS rejected the wrapped key or its encryption context: {0}")]
    Refused(String),
    /// The service did not respond in time, or is overloaded.
    #[error("the KMS is unavailable: {0}")]
    Unavailable(String),
}
