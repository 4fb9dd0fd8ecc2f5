//! Key files in the one form that the protocol has for each kind, made from the fixtures' forms.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rsa::{
    PrivateKey,
    pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPrivateKey as _},
    pkcs8::{DecodePrivateKey as _, EncodePublicKey as _, LineEnding},
};

/// Writes an RSA key as two files, and returns the paths of the private and the public key.
pub(crate) fn rsa_pair(path: &Path, folder: &Path, name: &str) -> Result<[PathBuf; 2], String> {
    let words = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| words(&error))?;
    let key = PrivateKey::from_pkcs1_pem(&text)
        .or_else(|_| PrivateKey::from_pkcs8_pem(&text))
        .map_err(|error| words(&error))?;
    let private = key.to_pkcs1_pem(LineEnding::LF).map_err(|error| words(&error))?;
    let public =
        key.to_public_key().to_public_key_pem(LineEnding::LF).map_err(|error| words(&error))?;
    let paths = ["private", "public"].map(|part| folder.join(format!("{name}-{part}.pem")));
    fs::write(&paths[0], private.as_bytes()).map_err(|error| words(&error))?;
    fs::write(&paths[1], public).map_err(|error| words(&error))?;
    Ok(paths)
}

/// Writes an AES key, which the fixtures have in base64, as raw bytes, and returns the path.
pub(crate) fn aes(path: &Path, folder: &Path, name: &str) -> Result<PathBuf, String> {
    let words = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read(path).map_err(|error| words(&error))?;
    let key = STANDARD.decode(text.trim_ascii()).map_err(|error| words(&error))?;
    let raw = folder.join(format!("{name}.key"));
    fs::write(&raw, key).map_err(|error| words(&error))?;
    Ok(raw)
}
