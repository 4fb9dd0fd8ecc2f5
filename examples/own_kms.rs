//! A master key in a key management service of one's own, here one like Vault's transit engine.
//!
//! The service returns wrapped keys as opaque text, such as `vault:v1:…`. Metadata names its
//! algorithm `KMS/CUSTOM`, so that no vendor's SDK takes it for that vendor's service.
//!
//! `cargo run --release --example own_kms`

use std::error::Error;

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead as _, Generate as _, Key, KeyInit as _, Payload},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use envelope_core::{
    Decryptor, Dialect, Encryptor, Keyring, KmsKeyWrapper, WrapAlgorithm,
    kms::{Kms, KmsError},
    parse,
};
use zeroize::Zeroizing;

/// Stands in for the client of the service. A real one sends a request for each call.
struct Vault(Aes256Gcm);

impl Vault {
    const PREFIX: &str = "vault:v1:";
    const NONCE_LEN: usize = 12;
}

impl Kms for Vault {
    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        let aad = context.unwrap_or_default().as_bytes();
        let nonce =
            Nonce::try_generate().map_err(|error| KmsError::Unavailable(error.to_string()))?;
        let sealed = self.0.encrypt(&nonce, Payload { msg: plaintext.as_bytes(), aad });
        let sealed = sealed.map_err(|_| KmsError::Refused("too long".to_owned()))?;
        Ok(format!("{}{}", Self::PREFIX, STANDARD.encode([&nonce[..], &sealed].concat())))
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        let refused = || KmsError::Refused("not a ciphertext of this key".to_owned());
        let text = blob.strip_prefix(Self::PREFIX).ok_or_else(refused)?;
        let bytes = STANDARD.decode(text).map_err(|_| refused())?;
        let (nonce, msg) = bytes.split_at_checked(Self::NONCE_LEN).ok_or_else(refused)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| refused())?;
        let aad = context.unwrap_or_default().as_bytes();
        let plain = self.0.decrypt(&nonce, Payload { msg, aad }).map_err(|_| refused())?;
        String::from_utf8(plain).map(Zeroizing::new).map_err(|_| refused())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let vault = Vault(Aes256Gcm::new(&Key::<Aes256Gcm>::try_generate()?));
    let key = KmsKeyWrapper::new(vault).with_context("tenant-7");
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));

    let carries = |dialect: &Dialect| {
        dialect.wrap_algorithms().any(|algorithm| algorithm == WrapAlgorithm::KmsCustom)
    };
    for dialect in Dialect::ALL.into_iter().filter(carries) {
        let object = Encryptor::new(&key, dialect).encrypt()?;
        let headers = object.headers().to_vec();
        let mut body = b"a file".to_vec();
        object.cipher().at(0).apply(&mut body);

        let named = headers.iter().find(|(_, value)| value == "KMS/CUSTOM");
        let (name, value) = named.ok_or("no header names the service")?;
        println!("{dialect}: {name}: {value}");
        let envelope = parse(headers)?.ok_or("the object is not encrypted")?;
        assert!(envelope.wrapped_key().starts_with(Vault::PREFIX.as_bytes()));
        assert_eq!(decryptor.decrypt(&envelope)?.decrypt(body)?, b"a file");
    }
    Ok(())
}
