//! RSA master keys: RSAES-PKCS1-v1_5 and RSAES-OAEP (RFC 8017).

use meta_codec::{Envelope, IvForm, MaterialDescription, WrapAlgorithm};
use pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rand::{rand_core::UnwrapErr, rngs::SysRng};
use rsa::{
    Oaep, Pkcs1v15Encrypt, RsaPrivateKey, RsaPublicKey,
    traits::{PaddingScheme, PublicKeyParts as _},
};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    KeyWrapper, UnwrapError, WrapError, WrappedKey,
    rsa_key::{ModulusBits as _, RsaKey, RsaKeyError},
    unwrap_each, wrap_each,
};
use crate::{ContentKey, key::Candidate};

/// An RSA master key: a pair, or its public half, which can only wrap.
///
/// Unwrapping is blinded, and takes one path for every failure. With PKCS#1 v1.5 a *wrong* key is
/// found by the lengths of what comes out, 32 and 16 bytes: about 3 in a million wrong keys pass.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct RsaKeyWrapper {
    public: RsaPublicKey,
    private: Option<Box<RsaPrivateKey>>,
    description: MaterialDescription,
}

impl RsaKeyWrapper {
    /// The smallest key that wraps, in bits. Keys from 1024 bits on unwrap.
    pub const MIN_WRAP_BITS: usize = 2048;

    /// The key in a key file: PEM or DER; PKCS#1, PKCS#8 or SPKI; encrypted or not.
    ///
    /// # Errors
    /// [`RsaKeyError`], among others for a missing or wrong passphrase.
    pub fn read(file: &[u8], passphrase: Option<&[u8]>) -> Result<Self, RsaKeyError> {
        let key = RsaKey::read(file, passphrase)?;
        let public = key.public();
        let private = match key {
            RsaKey::Private(private) => Some(private),
            RsaKey::Public(_) => None,
        };
        Ok(Self { public, private, description: MaterialDescription::default() })
    }

    /// A fresh key pair of `bits` bits.
    ///
    /// # Errors
    /// [`RsaKeyError::Size`] below 2048 or above 8192 bits.
    ///
    /// # Panics
    /// If the operating system has no randomness.
    pub fn generate(bits: usize) -> Result<Self, RsaKeyError> {
        if !(Self::MIN_WRAP_BITS..=8192).contains(&bits) {
            return Err(RsaKeyError::Size(bits));
        }
        let private =
            RsaPrivateKey::new(&mut UnwrapErr(SysRng), bits).map_err(|_| RsaKeyError::Malformed)?;
        Ok(Self {
            public: private.to_public_key(),
            private: Some(Box::new(private)),
            description: MaterialDescription::default(),
        })
    }

    /// Gives the key a description, which is written into metadata and finds the key again.
    #[must_use]
    pub fn with_description(mut self, description: MaterialDescription) -> Self {
        self.description = description;
        self
    }

    /// The length of the modulus, in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.public.n_bits()
    }

    /// Whether the private half is here.
    #[must_use]
    pub const fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The public half as SPKI PEM.
    ///
    /// # Errors
    /// [`RsaKeyError::Malformed`] if it cannot be encoded.
    pub fn public_pem(&self) -> Result<String, RsaKeyError> {
        self.public.to_public_key_pem(LineEnding::LF).map_err(|_| RsaKeyError::Malformed)
    }

    /// The pair as PKCS#8 PEM, encrypted under the passphrase if one is given (PBES2 with scrypt and
    /// AES-256-CBC).
    ///
    /// # Errors
    /// [`RsaKeyError::Malformed`] if only the public half is here, or if it cannot be encoded.
    pub fn private_pem(&self, passphrase: Option<&[u8]>) -> Result<Zeroizing<String>, RsaKeyError> {
        let private = self.private.as_ref().ok_or(RsaKeyError::Malformed)?;
        match passphrase {
            None => private.to_pkcs8_pem(LineEnding::LF),
            Some(passphrase) => private.to_pkcs8_encrypted_pem(passphrase, LineEnding::LF),
        }
        .map_err(|_| RsaKeyError::Malformed)
    }

    fn encrypt(&self, padding: impl PaddingScheme, plain: &[u8]) -> Result<Vec<u8>, WrapError> {
        self.public.encrypt(&mut UnwrapErr(SysRng), padding, plain).map_err(|_| WrapError::Failed)
    }
}

/// The private operation on an envelope's two values, both always in full.
fn candidate<P: PaddingScheme>(
    private: &RsaPrivateKey,
    envelope: &Envelope,
    padding: impl Fn() -> P,
) -> Candidate {
    unwrap_each(envelope, |wrapped| {
        private.decrypt_blinded(&mut UnwrapErr(SysRng), padding(), wrapped).ok().map(Zeroizing::new)
    })
}

impl KeyWrapper for RsaKeyWrapper {
    fn description(&self) -> &MaterialDescription {
        &self.description
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        algorithm.is_rsa()
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        self.private.is_some()
            && envelope.wrap_algorithm().is_rsa()
            && envelope.wrapped_key().len() == self.public.size()
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
        wrap_each(key, form, |plain| match algorithm {
            WrapAlgorithm::RsaPkcs1v15 => self.encrypt(Pkcs1v15Encrypt, plain),
            // Where the metadata does not say, the better padding. COS Python reads it when it is
            // given the key by path.
            WrapAlgorithm::RsaOaepSha1 | WrapAlgorithm::RsaUnstated => {
                self.encrypt(Oaep::<Sha1>::new(), plain)
            }
            // MGF1 with SHA-1 is what the JDK's default provider takes, and so COS Java.
            WrapAlgorithm::RsaOaepSha256 => {
                self.encrypt(Oaep::<Sha256, Sha1>::new_with_mgf_hash(), plain)
            }
            _ => Err(WrapError::Algorithm(algorithm)),
        })
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        let private = self.private.as_deref().ok_or(UnwrapError::Failed)?;
        let pkcs1 = || candidate(private, envelope, || Pkcs1v15Encrypt);
        let oaep_sha1 = || candidate(private, envelope, Oaep::<Sha1>::new);
        let candidate = match envelope.wrap_algorithm() {
            WrapAlgorithm::RsaPkcs1v15 => pkcs1(),
            WrapAlgorithm::RsaOaepSha1 => oaep_sha1(),
            // OAEP first, because it proves itself. Both always run.
            WrapAlgorithm::RsaUnstated => oaep_sha1().or(&pkcs1()),
            WrapAlgorithm::RsaOaepSha256 => {
                let mgf1_sha1 =
                    candidate(private, envelope, Oaep::<Sha256, Sha1>::new_with_mgf_hash);
                mgf1_sha1.or(&candidate(private, envelope, Oaep::<Sha256>::new))
            }
            _ => return Err(UnwrapError::Failed),
        };
        candidate.decide(envelope.content_algorithm()).ok_or(UnwrapError::Failed)
    }
}
