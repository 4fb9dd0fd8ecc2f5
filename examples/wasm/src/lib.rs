//! Decrypts an object in the browser: `cargo xtask wasm` builds and tests the page beside it.
//!
//! Key, headers and body stay in the page. It decrypts a whole object in memory, so that nothing is
//! shown of an object that fails its checks, as far as its format has any.

use envelope_core::{
    AesKeyWrapper, Decryptor, Keyring, PlainCheck, RsaKeyWrapper, check_body_len,
    meta_codec::read_headers, parse,
};
use wasm_bindgen::prelude::{JsError, wasm_bindgen};

/// Decrypts an object. `headers` is what `envelope inspect` reads: a JSON object, or the lines of
/// an HTTP answer. `key` is an AES key (32 bytes in base64 or in hexadecimal) or an RSA key (PEM or
/// DER, without a passphrase).
///
/// # Errors
/// If the object is not encrypted, the key does not open it, or the body is not the one that was
/// encrypted, as far as its format notices.
#[wasm_bindgen]
pub fn decrypt(headers: &[u8], body: Vec<u8>, key: &[u8]) -> Result<Vec<u8>, JsError> {
    let envelope = parse(read_headers(headers)?)?;
    let envelope = envelope.ok_or_else(|| JsError::new("the object is not encrypted"))?;
    let keyring = match AesKeyWrapper::read_text(key) {
        Ok(aes) => Keyring::new().with(aes),
        Err(_) => Keyring::new().with(RsaKeyWrapper::read(key, None)?),
    };
    check_body_len(&envelope, body.len() as u64)?;
    let plain = Decryptor::new(&keyring).decrypt(&envelope)?.decrypt(body)?;
    let mut check = PlainCheck::new(&envelope);
    check.update(&plain);
    check.finish()?;
    Ok(plain)
}
