//! Limits on what a key file may ask for, before anything is computed.
//!
//! A file of a kilobyte can demand terabytes of memory or years of work: as the cost of the
//! function that derives a key from the passphrase, or as a number with a million digits.

use pkcs1::UintRef;
use pkcs8::{
    PrivateKeyInfoRef,
    pkcs5::pbes2::{Kdf, Parameters},
    spki::SubjectPublicKeyInfoRef,
};

use super::rsa_key::RsaKeyError;

/// The sizes of a modulus that are supported, in bits.
pub(super) const BITS: std::ops::RangeInclusive<usize> = 1024..=8192;

/// The most memory that scrypt may use, in bytes. OpenSSL's default is 16 MiB, its limit 32 MiB.
const MAX_SCRYPT_MEMORY: u64 = if cfg!(fuzzing) { 256 << 10 } else { 256 << 20 };
/// The most times that scrypt may go through that memory.
const MAX_SCRYPT_PASSES: u16 = 16;
/// The most iterations of PBKDF2. OWASP recommends 600 000 for SHA-256.
const MAX_PBKDF2_ITERATIONS: u32 = if cfg!(fuzzing) { 1000 } else { 10_000_000 };

/// Checks the cost of deriving a key from the passphrase.
///
/// # Errors
/// [`RsaKeyError::TooCostly`].
pub(super) fn check_derivation(parameters: &Parameters) -> Result<(), RsaKeyError> {
    let affordable = match &parameters.kdf {
        Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count <= MAX_PBKDF2_ITERATIONS,
        Kdf::Scrypt(scrypt) => {
            let memory =
                scrypt.cost_parameter.checked_mul(u64::from(scrypt.block_size).saturating_mul(128));
            memory.is_some_and(|bytes| bytes <= MAX_SCRYPT_MEMORY)
                && scrypt.parallelization <= MAX_SCRYPT_PASSES
        }
        _ => false,
    };
    if affordable { Ok(()) } else { Err(RsaKeyError::TooCostly) }
}

/// Checks the sizes of the numbers in a key of any form: that of the modulus must be supported, and
/// no other number may be longer than the modulus.
///
/// # Errors
/// [`RsaKeyError::Size`] or [`RsaKeyError::Malformed`].
pub(super) fn check_numbers(der: &[u8]) -> Result<(), RsaKeyError> {
    if let Ok(info) = PrivateKeyInfoRef::try_from(der) {
        return check_private(info.private_key.as_bytes());
    }
    if let Ok(info) = SubjectPublicKeyInfoRef::try_from(der) {
        let key = info.subject_public_key.as_bytes().ok_or(RsaKeyError::Malformed)?;
        return check_public(key);
    }
    check_private(der).or_else(|error| match error {
        RsaKeyError::Malformed => check_public(der),
        error => Err(error),
    })
}

fn check_private(der: &[u8]) -> Result<(), RsaKeyError> {
    let key = pkcs1::RsaPrivateKeyRef::try_from(der).map_err(|_| RsaKeyError::Malformed)?;
    let others = [
        key.public_exponent,
        key.private_exponent,
        key.prime1,
        key.prime2,
        key.exponent1,
        key.exponent2,
        key.coefficient,
    ];
    check(key.modulus, &others)
}

fn check_public(der: &[u8]) -> Result<(), RsaKeyError> {
    let key = pkcs1::RsaPublicKeyRef::try_from(der).map_err(|_| RsaKeyError::Malformed)?;
    check(key.modulus, &[key.public_exponent])
}

fn check(modulus: UintRef<'_>, others: &[UintRef<'_>]) -> Result<(), RsaKeyError> {
    let bits = bits(modulus);
    if !BITS.contains(&bits) {
        return Err(RsaKeyError::Size(bits));
    }
    let len = modulus.as_bytes().len();
    if others.iter().any(|number| number.as_bytes().len() > len) {
        return Err(RsaKeyError::Malformed);
    }
    Ok(())
}

fn bits(number: UintRef<'_>) -> usize {
    let bytes = number.as_bytes();
    let zeros = bytes.first().map_or(0, |byte| byte.leading_zeros() as usize);
    bytes.len().saturating_mul(8).saturating_sub(zeros)
}

#[cfg(test)]
mod tests {
    use pkcs8::{
        EncryptedPrivateKeyInfoRef,
        der::{Encode as _, asn1::OctetStringRef},
        pkcs5::{
            EncryptionScheme,
            pbes2::{Pbkdf2Params, Pbkdf2Prf, Salt, ScryptParams},
        },
    };

    use super::*;
    use crate::RsaKeyWrapper;

    /// A file that demands this work, as DER.
    fn file(kdf: Kdf) -> Vec<u8> {
        let encryption = pkcs8::pkcs5::pbes2::EncryptionScheme::Aes256Cbc { iv: [7; 16] };
        let scheme = EncryptionScheme::Pbes2(Parameters { kdf, encryption });
        let encrypted_data = OctetStringRef::new(&[5; 48]).unwrap();
        let info = EncryptedPrivateKeyInfoRef { encryption_algorithm: scheme, encrypted_data };
        info.to_der().unwrap()
    }

    fn read(kdf: Kdf) -> Result<(), RsaKeyError> {
        RsaKeyWrapper::read(&file(kdf), Some(b"a passphrase")).map(|_| ())
    }

    fn salt() -> Salt {
        Salt::new([3; 8]).unwrap()
    }

    fn scrypt(cost_parameter: u64, block_size: u16, parallelization: u16) -> Kdf {
        let salt = salt();
        let key_length = None;
        ScryptParams { salt, cost_parameter, block_size, parallelization, key_length }.into()
    }

    fn pbkdf2(iteration_count: u32) -> Kdf {
        let prf = Pbkdf2Prf::HmacWithSha256;
        Pbkdf2Params { salt: salt(), iteration_count, key_length: None, prf }.into()
    }

    #[test]
    fn work_is_bounded() {
        for kdf in [scrypt(1 << 14, 8, 1), scrypt(1 << 10, 1, 16), pbkdf2(1), pbkdf2(100_000)] {
            assert_eq!(read(kdf), Err(RsaKeyError::PassphraseWrong));
        }
        for kdf in [
            scrypt(1 << 19, 8, 1),
            scrypt(1 << 40, 8, 1),
            scrypt(u64::MAX, u16::MAX, u16::MAX),
            scrypt(1 << 60, 0, 1),
            scrypt(1 << 14, u16::MAX, 1),
            scrypt(2, 8, 17),
            scrypt(2, u16::MAX, u16::MAX),
            pbkdf2(10_000_001),
            pbkdf2(u32::MAX),
        ] {
            let outcome = read(kdf.clone());
            // What makes no sense may also be refused by the decoder.
            let bounded = [RsaKeyError::TooCostly, RsaKeyError::PassphraseWrong];
            assert!(outcome.is_err_and(|error| bounded.contains(&error)), "{kdf:?}");
        }
        assert_eq!(read(scrypt(1 << 19, 8, 1)), Err(RsaKeyError::TooCostly));
        assert_eq!(read(pbkdf2(10_000_001)), Err(RsaKeyError::TooCostly));
        // The limits themselves.
        let parameters = |kdf| Parameters {
            kdf,
            encryption: pkcs8::pkcs5::pbes2::EncryptionScheme::Aes256Cbc { iv: [7; 16] },
        };
        for kdf in [scrypt(1 << 18, 8, 16), pbkdf2(10_000_000)] {
            assert_eq!(check_derivation(&parameters(kdf)), Ok(()));
        }
    }

    /// However many blocks demand it, the work is done at most once.
    #[test]
    fn a_file_makes_one_derivation() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        // About a tenth of a second each, and minutes for all of them.
        let body = STANDARD.encode(file(pbkdf2(100_000)));
        let block =
            |label: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        let begun = std::time::Instant::now();
        for label in ["PUBLIC KEY", "RSA PUBLIC KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            let text = block(label).repeat(2000);
            let outcome = RsaKeyWrapper::read(text.as_bytes(), Some(b"a passphrase")).map(|_| ());
            let want = match label {
                "ENCRYPTED PRIVATE KEY" => RsaKeyError::PassphraseWrong,
                _ => RsaKeyError::PassphraseMissing,
            };
            assert_eq!(outcome, Err(want), "{label}");
        }
        assert!(begun.elapsed().as_secs() < 20);
    }

    /// The numbers of a private key with these lengths in bytes, as PKCS#1.
    fn private(lens: [usize; 8]) -> Vec<u8> {
        let numbers = lens.map(|len| {
            let mut bytes = vec![0xff; len];
            if let Some(last) = bytes.last_mut() {
                *last = 0xfd;
            }
            bytes
        });
        let [n, e, d, p, q, dp, dq, c] = numbers.each_ref().map(|it| UintRef::new(it).unwrap());
        pkcs1::RsaPrivateKeyRef {
            modulus: n,
            public_exponent: e,
            private_exponent: d,
            prime1: p,
            prime2: q,
            exponent1: dp,
            exponent2: dq,
            coefficient: c,
            other_prime_infos: None,
        }
        .to_der()
        .unwrap()
    }

    #[test]
    fn sizes_are_checked_before_anything_is_computed() {
        let begun = std::time::Instant::now();
        let sound = [256, 3, 256, 128, 128, 128, 128, 128];
        assert_eq!(check_numbers(&private(sound)), Ok(()));
        for at in 0..8 {
            let mut lens = sound;
            lens[at] = 100_000;
            let outcome = RsaKeyWrapper::read(&private(lens), None).map(|_| ());
            let want = if at == 0 { RsaKeyError::Size(800_000) } else { RsaKeyError::Malformed };
            assert_eq!(outcome, Err(want), "{at}");
        }
        let mut small = sound;
        small[0] = 64;
        assert_eq!(check_numbers(&private(small)), Err(RsaKeyError::Size(512)));
        let (n, e) = (vec![0xff; 100_000], [1, 0, 1]);
        let public = pkcs1::RsaPublicKeyRef {
            modulus: UintRef::new(&n).unwrap(),
            public_exponent: UintRef::new(&e).unwrap(),
        };
        let outcome = RsaKeyWrapper::read(&public.to_der().unwrap(), None).map(|_| ());
        assert_eq!(outcome, Err(RsaKeyError::Size(800_000)));
        // Each takes hours if it is computed with.
        assert!(begun.elapsed().as_secs() < 20);
    }
}
