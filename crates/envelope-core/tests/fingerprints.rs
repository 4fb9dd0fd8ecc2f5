//! Fingerprints of keys, and RSA keys as DER.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail loudly")]

use envelope_core::{
    AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring, RsaKeyError, RsaKeyWrapper,
};
use sha2::{Digest as _, Sha256};

#[test]
fn both_halves_in_every_form_have_one_fingerprint() {
    let key = RsaKeyWrapper::generate(2048).unwrap();
    let print = key.fingerprint().unwrap();
    // What `openssl pkey -pubout -outform DER | sha256sum` prints.
    assert_eq!(print, <[u8; 32]>::from(Sha256::digest(key.public_der().unwrap())));
    let passphrase = Some(&b"a passphrase"[..]);
    let forms = [
        (key.public_der().unwrap(), None),
        (key.public_pem().unwrap().into_bytes(), None),
        (key.private_der(None).unwrap().to_vec(), None),
        (key.private_der(passphrase).unwrap().to_vec(), passphrase),
        (key.private_pem(passphrase).unwrap().as_bytes().to_vec(), passphrase),
    ];
    for (file, passphrase) in &forms {
        let read = RsaKeyWrapper::read(file, *passphrase).unwrap();
        assert_eq!(read.fingerprint().unwrap(), print);
    }
    let public = RsaKeyWrapper::read(&forms[0].0, None).unwrap();
    assert!(matches!(public.private_der(None), Err(RsaKeyError::Malformed)));
    assert!(matches!(RsaKeyWrapper::read(&forms[3].0, None), Err(RsaKeyError::PassphraseMissing)));
    // What one half encrypts opens with the other.
    let private = RsaKeyWrapper::read(&forms[2].0, None).unwrap();
    let object = Encryptor::new(&public, Dialect::OSS_V2).encrypt().unwrap();
    Decryptor::new(&Keyring::new().with(private)).decrypt(object.envelope()).unwrap();
    let other = RsaKeyWrapper::generate(2048).unwrap();
    assert_ne!(other.fingerprint().unwrap(), print);
}

#[test]
fn aes_keys_of_every_length() {
    let mut seen = Vec::new();
    for bytes in [vec![1; 16], vec![1; 24], vec![1; 32], vec![2; 32]] {
        let print = AesKeyWrapper::new(&bytes).unwrap().fingerprint();
        assert_eq!(print, AesKeyWrapper::new(&bytes).unwrap().fingerprint());
        assert!(!seen.contains(&print));
        // The constant that the key wraps is no other key's.
        seen.push(print);
    }
}
