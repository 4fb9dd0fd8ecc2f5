//! RSA master keys: RSAES-PKCS1-v1_5 and RSAES-OAEP (RFC 8017).

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod engine;
mod padding;

use std::sync::Arc;

use meta_codec::{Envelope, IvForm, MaterialDescription, WrapAlgorithm};
use pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rand::rngs::SysRng;
use rsa::{PrivateKey, traits::PublicKeyParts as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use self::{engine::RsaEngine, padding::Padding};
use super::{
    KeyWrapper, UnwrapError, WrapError, WrappedKey,
    rsa_key::{ModulusBits as _, RsaKey, RsaKeyError},
    unwrap_each, wrap_each,
};
use crate::{ContentKey, key::Candidate};

/// An RSA master key: a key pair, or its public half, which can only wrap.
///
/// Unwrapping is blinded, and every failure returns the same error.
///
/// With PKCS#1 v1.5 and the `rsa` crate (implicit rejection), a *wrong* key is detected only by the
/// lengths of the unwrapped values, 32 and 16 bytes: about 20 in a million wrong 2048-bit keys
/// pass, and 70 in a million wrong 1024-bit keys. AWS-LC rejects invalid padding instead, which
/// tells a forger more precisely whether a forged value was well formed. See SECURITY.md before
/// exposing either in a service.
///
/// Clones share the key.
///
/// ```
/// use envelope_core::{Decryptor, Dialect, Encryptor, Keyring, RsaKeyWrapper};
///
/// let pair = RsaKeyWrapper::generate(2048)?;
/// // A machine that only encrypts needs no more than the public half.
/// let public = RsaKeyWrapper::read(pair.public_pem()?.as_bytes(), None)?;
/// let object = Encryptor::new(&public, Dialect::OSS_V2).encrypt()?;
/// Decryptor::new(&Keyring::new().with(pair)).decrypt(object.envelope())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct RsaKeyWrapper {
    engine: Arc<RsaEngine>,
    description: MaterialDescription,
    pkcs1v15_where_unstated: bool,
}

impl RsaKeyWrapper {
    /// The minimum size of a key that wraps, in bits. Keys of 1024 bits and more can unwrap.
    pub const MIN_WRAP_BITS: usize = 2048;

    /// Reads the key in a key file: PEM or DER; PKCS#1, PKCS#8 or SPKI; encrypted or not.
    ///
    /// # Errors
    /// [`RsaKeyError`], for example if the passphrase is missing or wrong.
    pub fn read(file: &[u8], passphrase: Option<&[u8]>) -> Result<Self, RsaKeyError> {
        let key = RsaKey::read(file, passphrase)?;
        let public = key.public();
        let private = match key {
            RsaKey::Private(private) => Some(private),
            RsaKey::Public(_) => None,
        };
        let engine = Arc::new(RsaEngine::new(public, private));
        Ok(Self::from_engine(engine))
    }

    /// Generates a key pair of `bits` bits.
    ///
    /// # Errors
    /// [`RsaKeyError::Size`] below 2048 or above 8192 bits; [`RsaKeyError::NoRandomness`].
    pub fn generate(bits: usize) -> Result<Self, RsaKeyError> {
        if !(Self::MIN_WRAP_BITS..=8192).contains(&bits) {
            return Err(RsaKeyError::Size(bits));
        }
        let private = PrivateKey::new(&mut SysRng, bits).map_err(|_| RsaKeyError::NoRandomness)?;
        let engine = RsaEngine::new(private.to_public_key(), Some(Box::new(private)));
        Ok(Self::from_engine(Arc::new(engine)))
    }

    fn from_engine(engine: Arc<RsaEngine>) -> Self {
        let description = MaterialDescription::default();
        Self { engine, description, pkcs1v15_where_unstated: false }
    }

    /// Sets the description, which is written into metadata and used to find the key again.
    #[must_use]
    pub fn with_description(mut self, description: MaterialDescription) -> Self {
        self.description = description;
        self
    }

    /// Wraps with PKCS#1 v1.5, instead of OAEP, where the dialect does not state the padding: in
    /// `cos-v1`. That is what COS Python reads whose `RSAProvider` was given the key by value
    /// (cos-python-sdk-v5 1.9.44, `get_rsa_key_pair`). Unwrapping accepts both.
    #[must_use]
    pub const fn with_pkcs1v15_where_unstated(mut self) -> Self {
        self.pkcs1v15_where_unstated = true;
        self
    }

    /// Returns whether it wraps with PKCS#1 v1.5 [where the dialect does not state the
    /// padding](Self::with_pkcs1v15_where_unstated).
    #[must_use]
    pub const fn is_pkcs1v15_where_unstated(&self) -> bool {
        self.pkcs1v15_where_unstated
    }

    /// Returns the length of the modulus, in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.engine.public().n_bits()
    }

    /// Returns whether the private half is present.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.engine.private().is_some()
    }

    /// Encodes the public half as SPKI PEM.
    ///
    /// # Errors
    /// [`RsaKeyError::Malformed`] if it cannot be encoded.
    pub fn public_pem(&self) -> Result<String, RsaKeyError> {
        self.engine.public().to_public_key_pem(LineEnding::LF).map_err(|_| RsaKeyError::Malformed)
    }

    /// Encodes the public half as SPKI DER.
    ///
    /// # Errors
    /// [`RsaKeyError::Malformed`] if it cannot be encoded.
    pub fn public_der(&self) -> Result<Vec<u8>, RsaKeyError> {
        let spki = self.engine.public().to_public_key_der();
        spki.map(|der| der.as_bytes().to_vec()).map_err(|_| RsaKeyError::Malformed)
    }

    /// Encodes the key pair as PKCS#8 DER, encrypted with the passphrase if one is given, as
    /// [`private_pem`](Self::private_pem) does.
    ///
    /// # Errors
    /// [`RsaKeyError::Malformed`] if only the public half is present, or if it cannot be encoded.
    pub fn private_der(
        &self,
        passphrase: Option<&[u8]>,
    ) -> Result<Zeroizing<Vec<u8>>, RsaKeyError> {
        let private = self.engine.private().ok_or(RsaKeyError::Malformed)?;
        match passphrase {
            None => private.to_pkcs8_der(),
            Some(passphrase) => private.to_pkcs8_encrypted_der(passphrase),
        }
        .map(|der| der.to_bytes())
        .map_err(|_| RsaKeyError::Malformed)
    }

    /// Returns a fingerprint by which people tell keys apart: the SHA-256 of the public half as
    /// SPKI DER, which is the same for both halves. `openssl pkey -pubout -outform DER | sha256sum`
    /// prints it, too.
    ///
    /// # Errors
    /// [`RsaKeyError::Malformed`] if the public half cannot be encoded.
    pub fn fingerprint(&self) -> Result<[u8; 32], RsaKeyError> {
        Ok(Sha256::digest(self.public_der()?).into())
    }

    /// Encodes the key pair as PKCS#8 PEM, encrypted with the passphrase if one is given (PBES2
    /// with scrypt and AES-256-CBC).
    ///
    /// # Errors
    /// [`RsaKeyError::Malformed`] if only the public half is present, or if it cannot be encoded.
    pub fn private_pem(&self, passphrase: Option<&[u8]>) -> Result<Zeroizing<String>, RsaKeyError> {
        let private = self.engine.private().ok_or(RsaKeyError::Malformed)?;
        match passphrase {
            None => private.to_pkcs8_pem(LineEnding::LF),
            Some(passphrase) => private.to_pkcs8_encrypted_pem(passphrase, LineEnding::LF),
        }
        .map_err(|_| RsaKeyError::Malformed)
    }
}

impl KeyWrapper for RsaKeyWrapper {
    fn description(&self) -> &MaterialDescription {
        &self.description
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        algorithm.is_rsa()
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        self.is_private()
            && envelope.wrap_algorithm().is_rsa()
            && envelope.wrapped_key().len() == self.engine.public().size()
    }

    /// The public half takes 30 microseconds, the private one a millisecond (2048 bits).
    fn may_block(&self) -> bool {
        self.is_private() || self.bits() > 4096
    }

    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        form: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        let bits = self.bits();
        if bits < Self::MIN_WRAP_BITS {
            return Err(WrapError::KeyTooSmall { bits });
        }
        let padding = match algorithm {
            WrapAlgorithm::RsaPkcs1v15 => Padding::Pkcs1v15,
            WrapAlgorithm::RsaUnstated if self.pkcs1v15_where_unstated => Padding::Pkcs1v15,
            // Where the metadata does not state the padding, use the better one. COS Python can
            // read it, provided that the key is passed as a file path.
            WrapAlgorithm::RsaOaepSha1 | WrapAlgorithm::RsaUnstated => Padding::OaepSha1,
            // MGF1 with SHA-1 is the default of the JDK's provider, and therefore of COS Java.
            WrapAlgorithm::RsaOaepSha256 => Padding::OaepSha256Mgf1Sha1,
            _ => return Err(WrapError::Algorithm(algorithm)),
        };
        wrap_each(key, form, |plain| self.engine.encrypt(padding, plain))
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        // Both values are always processed in full, to hide which one failed.
        let candidate =
            |padding| unwrap_each(envelope, |wrapped| self.engine.decrypt(padding, wrapped));
        let candidate: Candidate = match envelope.wrap_algorithm() {
            WrapAlgorithm::RsaPkcs1v15 => candidate(Padding::Pkcs1v15),
            WrapAlgorithm::RsaOaepSha1 => candidate(Padding::OaepSha1),
            // OAEP takes precedence because its padding is self-verifying. Both always run.
            WrapAlgorithm::RsaUnstated => {
                candidate(Padding::OaepSha1).or(&candidate(Padding::Pkcs1v15))
            }
            WrapAlgorithm::RsaOaepSha256 => {
                candidate(Padding::OaepSha256Mgf1Sha1).or(&candidate(Padding::OaepSha256))
            }
            _ => return Err(UnwrapError::Failed),
        };
        candidate.decide(envelope.content_algorithm()).ok_or(UnwrapError::Failed)
    }
}
