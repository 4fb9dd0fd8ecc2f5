//! RSA key files in every form that the SDKs and OpenSSL write.
//!
//! | form | label | written by |
//! |---|---|---|
//! | PKCS#1 PEM or DER | `RSA PRIVATE KEY`, `RSA PUBLIC KEY` | pycryptodome, Go, OpenSSL 1 |
//! | PKCS#8 PEM or DER | `PRIVATE KEY` | Java, OpenSSL 3 |
//! | SPKI PEM or DER | `PUBLIC KEY` | everyone |
//! | encrypted PKCS#8 PEM or DER | `ENCRYPTED PRIVATE KEY` | OpenSSL 3, `exportKey(pkcs=8)` |
//! | encrypted PKCS#1 PEM | `RSA PRIVATE KEY` | OpenSSL 1, `exportKey(passphrase=…)` |
//!
//! Encrypted PKCS#8 is PBES2: PBKDF2 or scrypt, with AES-CBC or DES-EDE3-CBC. Encrypted PKCS#1 has
//! the header `Proc-Type: 4,ENCRYPTED` and uses DES-EDE3-CBC or AES-CBC.

use aes::{Aes128, Aes192, Aes256};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cbc::Decryptor;
use cipher::{
    BlockCipherDecrypt, BlockModeDecrypt as _, KeyInit, KeyIvInit as _, block_padding::Pkcs7,
    typenum::Unsigned as _,
};
use des::TdesEde3;
use md5::{Digest as _, Md5};
use pkcs1::{DecodeRsaPrivateKey as _, DecodeRsaPublicKey as _};
use pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncryptedPrivateKeyInfoRef};
use rsa::{PrivateKey, PublicKey, traits::PublicKeyParts as _};
use zeroize::Zeroizing;

use super::rsa_limits::{check_derivation, check_numbers};

/// An RSA key from a key file: a key pair, or the public half alone.
pub(crate) enum RsaKey {
    Private(Box<PrivateKey>),
    Public(PublicKey),
}

/// An error from reading a key file. It never quotes the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RsaKeyError {
    /// The file is encrypted with a cipher other than DES-EDE3-CBC and AES-CBC.
    #[error("the key file is encrypted with an unsupported cipher")]
    Cipher,
    /// The PEM or DER is damaged, or its numbers are not a valid RSA key.
    #[error("the key file is damaged or does not hold a valid two-prime RSA key")]
    Malformed,
    /// The operating system provided no randomness.
    #[error("the operating system provided no randomness")]
    NoRandomness,
    /// Neither PEM nor DER.
    #[error("not an RSA key file: neither PEM nor DER")]
    NotAKey,
    /// The file is encrypted, but no passphrase was given.
    #[error("the key file is encrypted; provide its passphrase")]
    PassphraseMissing,
    /// The passphrase does not decrypt the file.
    #[error("the passphrase does not open the key file")]
    PassphraseWrong,
    /// Decrypting the file would take more than 256 MiB of memory (scrypt) or ten million
    /// iterations (PBKDF2).
    #[error("the key file demands too much memory or time to be decrypted")]
    TooCostly,
    /// The key size is outside the supported range.
    #[error("RSA keys must have 1024 to 8192 bits, not {0}")]
    Size(usize),
}

impl RsaKey {
    /// Reads the key in a key file of any form.
    pub(crate) fn read(file: &[u8], passphrase: Option<&[u8]>) -> Result<Self, RsaKeyError> {
        match std::str::from_utf8(file) {
            Ok(text) if text.contains("-----BEGIN ") => Self::read_pem(text, passphrase),
            // 0x30 opens a SEQUENCE, which every DER form is.
            _ if file.first() == Some(&0x30) => Self::read_der(file, passphrase),
            _ => Err(RsaKeyError::NotAKey),
        }
    }

    /// Reads the first private key of a PEM file, or else the first public key. Other blocks, such
    /// as certificates, and surrounding text are skipped.
    fn read_pem(text: &str, passphrase: Option<&[u8]>) -> Result<Self, RsaKeyError> {
        let mut outcome = Err(RsaKeyError::NotAKey);
        for block in text.split("-----BEGIN ").skip(1) {
            let Some((label, _)) = block.split_once("-----") else { continue };
            let private = label.ends_with("PRIVATE KEY");
            if !private && !label.ends_with("PUBLIC KEY") {
                continue;
            }
            let key = Self::read_block(label, block, passphrase);
            if private {
                return key;
            }
            outcome = match outcome {
                Ok(first) => Ok(first),
                Err(_) => key,
            };
        }
        outcome
    }

    fn read_block(
        label: &str,
        block: &str,
        passphrase: Option<&[u8]>,
    ) -> Result<Self, RsaKeyError> {
        if block.contains("DEK-Info:") {
            let pem = pem::parse(format!("-----BEGIN {block}"));
            let pem = pem.map_err(|_| RsaKeyError::Malformed)?;
            let info = pem.headers().get("DEK-Info").ok_or(RsaKeyError::Malformed)?;
            let passphrase = passphrase.ok_or(RsaKeyError::PassphraseMissing)?;
            let der = decrypt_traditional(info, pem.contents(), passphrase)?;
            // Valid padding may be a coincidence and does not prove the passphrase; valid DER does.
            return Self::read_der(&der, None).map_err(|error| match error {
                RsaKeyError::Size(bits) => RsaKeyError::Size(bits),
                _ => RsaKeyError::PassphraseWrong,
            });
        }
        let body = block
            .strip_prefix(label)
            .and_then(|rest| rest.strip_prefix("-----"))
            .and_then(|rest| rest.split_once("-----END "))
            .map(|(body, _)| body)
            .ok_or(RsaKeyError::Malformed)?;
        // Accepts lines of any length. Done by hand because PEM libraries that do so let buffers
        // grow or leave them unwiped.
        let mut text = Zeroizing::new(String::with_capacity(body.len()));
        text.extend(body.chars().filter(|character| !character.is_ascii_whitespace()));
        let mut der = Zeroizing::new(vec![0; text.len()]);
        let len =
            STANDARD.decode_slice(text.as_bytes(), &mut der).map_err(|_| RsaKeyError::Malformed)?;
        der.truncate(len);
        let encrypted = label == "ENCRYPTED PRIVATE KEY";
        if encrypted && EncryptedPrivateKeyInfoRef::try_from(&der[..]).is_err() {
            return Err(RsaKeyError::Cipher);
        }
        // The first private key ends the search, so that no file, whatever its other blocks hold,
        // makes more than one derivation of a key from the passphrase.
        Self::read_der(&der, passphrase.filter(|_| encrypted))
    }

    fn read_der(der: &[u8], passphrase: Option<&[u8]>) -> Result<Self, RsaKeyError> {
        if let Ok(encrypted) = EncryptedPrivateKeyInfoRef::try_from(der) {
            let passphrase = passphrase.ok_or(RsaKeyError::PassphraseMissing)?;
            let parameters = encrypted.encryption_algorithm.pbes2();
            check_derivation(parameters.ok_or(RsaKeyError::Cipher)?)?;
            let document =
                encrypted.decrypt(passphrase).map_err(|_| RsaKeyError::PassphraseWrong)?;
            return Self::read_der(document.as_bytes(), None);
        }
        check_numbers(der)?;
        let private = PrivateKey::from_pkcs8_der(der)
            .or_else(|_| PrivateKey::from_pkcs1_der(der).map_err(|_| RsaKeyError::Malformed));
        let key = match private {
            Ok(private) => Self::Private(Box::new(private)),
            Err(_) => PublicKey::from_public_key_der(der)
                .or_else(|_| PublicKey::from_pkcs1_der(der))
                .map(Self::Public)
                .map_err(|_| RsaKeyError::Malformed)?,
        };
        Ok(key)
    }

    pub(crate) fn public(&self) -> PublicKey {
        match self {
            Self::Private(private) => private.to_public_key(),
            Self::Public(public) => public.clone(),
        }
    }
}

/// The modulus length of a key, in bits.
pub(crate) trait ModulusBits {
    fn n_bits(&self) -> usize;
}

impl ModulusBits for PublicKey {
    fn n_bits(&self) -> usize {
        self.n().as_ref().bit_width() as usize
    }
}

/// Decrypts a PEM body with `Proc-Type: 4,ENCRYPTED` (RFC 1421, as implemented by OpenSSL).
///
/// `DEK-Info` holds the cipher's name and the IV in hexadecimal. The key is derived with OpenSSL's
/// `EVP_BytesToKey`: MD5, one iteration, with the first 8 bytes of the IV as salt.
fn decrypt_traditional(
    info: &str,
    body: &[u8],
    passphrase: &[u8],
) -> Result<Zeroizing<Vec<u8>>, RsaKeyError> {
    let (name, iv) = info.split_once(',').ok_or(RsaKeyError::Malformed)?;
    let iv = hex(iv.trim()).ok_or(RsaKeyError::Malformed)?;
    match name.trim() {
        "DES-EDE3-CBC" => decrypt_cbc::<TdesEde3>(body, passphrase, &iv),
        "AES-128-CBC" => decrypt_cbc::<Aes128>(body, passphrase, &iv),
        "AES-192-CBC" => decrypt_cbc::<Aes192>(body, passphrase, &iv),
        "AES-256-CBC" => decrypt_cbc::<Aes256>(body, passphrase, &iv),
        _ => Err(RsaKeyError::Cipher),
    }
}

fn decrypt_cbc<C: BlockCipherDecrypt + KeyInit>(
    body: &[u8],
    passphrase: &[u8],
    iv: &[u8],
) -> Result<Zeroizing<Vec<u8>>, RsaKeyError> {
    let salt = iv.get(..8).ok_or(RsaKeyError::Malformed)?;
    let mut key = Zeroizing::new(Vec::with_capacity(48));
    let mut digest = Zeroizing::new([0; 16]);
    while key.len() < C::KeySize::USIZE {
        let mut md5 = Md5::new();
        if !key.is_empty() {
            md5.update(&digest[..]);
        }
        md5.update(passphrase);
        md5.update(salt);
        *digest = md5.finalize().into();
        key.extend_from_slice(&digest[..]);
    }
    key.truncate(C::KeySize::USIZE);
    let cipher = Decryptor::<C>::new_from_slices(&key, iv).map_err(|_| RsaKeyError::Malformed)?;
    let mut body = Zeroizing::new(body.to_vec());
    let len =
        cipher.decrypt_padded::<Pkcs7>(&mut body).map_err(|_| RsaKeyError::PassphraseWrong)?.len();
    body.truncate(len);
    Ok(body)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at.checked_add(2)?)?, 16).ok())
        .collect()
}
