//! The origin key: what tells objects of one's own from those that anybody could have written.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::{NoRandomness, key::random};

/// A secret of 32 bytes that those who write objects share with those who read them.
///
/// Anyone who has a *public* RSA key can wrap a content key of their own, and so write a whole new
/// object with a seal of their own. A seal that was made with an origin key proves that its writer
/// had that key, too. Clones share the secret, which is wiped with the last of them.
///
/// ```
/// use envelope_core::{
///     Decryptor, Dialect, Encryptor, Keyring, OriginKey, Policy, RsaKeyWrapper, SealOptions,
/// };
///
/// let (key, origin) = (RsaKeyWrapper::generate(2048)?, OriginKey::generate()?);
/// let options = SealOptions::new().with_origin_key(origin.clone());
/// let ours = Encryptor::new(&key, Dialect::COS_V2).with_seal(options).encrypt()?;
/// let theirs = Encryptor::new(&key, Dialect::COS_V2).with_seal(SealOptions::new()).encrypt()?;
///
/// let decryptor = Decryptor::new(&Keyring::new().with(key))
///     .with_origin_key(origin)
///     .with_policy(Policy::default().require_origin());
/// assert!(decryptor.decrypt(ours.envelope()).is_ok());
/// assert!(decryptor.decrypt(theirs.envelope()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct OriginKey(Arc<Zeroizing<[u8; 32]>>);

impl OriginKey {
    /// Creates an origin key from its bytes.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(Arc::new(bytes))
    }

    /// Generates an origin key.
    ///
    /// # Errors
    /// If the operating system provides no randomness.
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self::new(random()?))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
