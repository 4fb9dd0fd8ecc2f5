//! The configuration file of coscli, which is only read.
//!
//! Unless `disableencryption` is set, the values are hidden, though not from anybody who knows how:
//! AES-128-ECB under a constant key, with zeros behind, in base64 (`util/secret.go`).

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use aes::{
    Aes128,
    cipher::{BlockCipherDecrypt as _, KeyInit as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{cached::with_token, home, unusable};
use crate::{Credentials, SettingsError};

/// The key that is the same for everybody.
const HIDING_KEY: [u8; 16] = *b"coscli-secret\0\0\0";

/// What the file says.
pub(super) enum Coscli {
    Key(Credentials),
    /// The machine has this role.
    Role(String),
}

#[derive(Deserialize)]
struct Document {
    cos: Cos,
}

#[derive(Deserialize)]
struct Cos {
    base: Base,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Base {
    secretid: String,
    secretkey: Option<SecretString>,
    sessiontoken: Option<SecretString>,
    mode: String,
    cvmrolename: String,
    disableencryption: String,
}

/// Returns where the file is: `COSCLI_CONFIG_PATH`, or `~/.cos.yaml`.
pub(super) fn path() -> Option<PathBuf> {
    let named = env::var_os("COSCLI_CONFIG_PATH").filter(|path| !path.is_empty());
    named.map(PathBuf::from).or_else(|| Some(home()?.join(".cos.yaml")))
}

/// Reads the access key.
pub(super) fn read(path: &Path) -> Result<Coscli, SettingsError> {
    let text = fs::read_to_string(path).map_err(|_| unusable(path, "it cannot be read"))?;
    parse(&text).map_err(|reason| unusable(path, reason))
}

fn parse(text: &str) -> Result<Coscli, &'static str> {
    let document: Document =
        serde_norway::from_str(text).map_err(|_| "it is no configuration of coscli")?;
    let base = document.cos.base;
    if base.mode.eq_ignore_ascii_case("CvmRole") {
        return Ok(Coscli::Role(base.cvmrolename));
    }
    let shown = |value: &str| match base.disableencryption.eq_ignore_ascii_case("true") {
        true => value.to_owned(),
        // Files from before there was a choice have values in the clear.
        false => unhidden(value).unwrap_or_else(|| value.to_owned()),
    };
    let secret = |value: &Option<SecretString>| {
        shown(value.as_ref().map_or("", |value| value.expose_secret()))
    };
    let (id, key) = (shown(&base.secretid), secret(&base.secretkey));
    if id.is_empty() || key.is_empty() {
        return Err("there is no access key in it");
    }
    Ok(Coscli::Key(with_token(Credentials::new(id, key), Some(secret(&base.sessiontoken)))))
}

/// Returns what a value hides. `None` if it does not.
fn unhidden(value: &str) -> Option<String> {
    let mut bytes = Zeroizing::new(STANDARD.decode(value).ok()?);
    let (blocks, rest) = bytes.as_chunks_mut::<16>();
    if blocks.is_empty() || !rest.is_empty() {
        return None;
    }
    let cipher = Aes128::new(&HIDING_KEY.into());
    for block in blocks {
        cipher.decrypt_block(block.into());
    }
    let end = bytes.iter().rposition(|byte| *byte != 0)?;
    let text = std::str::from_utf8(bytes.get(..=end)?).ok()?;
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use aes::cipher::BlockCipherEncrypt as _;

    use super::*;

    fn hidden(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(text.len() / 16 * 16 + 16, 0);
        let cipher = Aes128::new(&HIDING_KEY.into());
        for block in bytes.as_chunks_mut::<16>().0 {
            cipher.encrypt_block(block.into());
        }
        STANDARD.encode(bytes)
    }

    fn key(text: &str) -> Option<(String, String, Option<String>)> {
        match parse(text).ok()? {
            Coscli::Key(key) => {
                Some((key.id().to_owned(), key.secret().to_owned(), key.token().map(str::to_owned)))
            }
            Coscli::Role(name) => Some((format!("role {name}"), String::new(), None)),
        }
    }

    #[test]
    fn hidden_and_clear_values() {
        let file = |id: &str, secret: &str, token: &str, more: &str| {
            format!(
                "cos:\n  base:\n    secretid: {id}\n    secretkey: {secret}\n    \
                 sessiontoken: \"{token}\"\n    protocol: https\n{more}  buckets:\n  - name: b\n"
            )
        };
        let (id, secret) = ("AKIDexample0123456789", "a-secret-of-32-characters-or-so!");
        let want = |token: Option<&str>| {
            Some((id.to_owned(), secret.to_owned(), token.map(str::to_owned)))
        };
        assert_eq!(key(&file(&hidden(id), &hidden(secret), "", "")), want(None));
        assert_eq!(key(&file(&hidden(id), &hidden(secret), &hidden("t"), "")), want(Some("t")));
        let clear = "    disableencryption: \"true\"\n";
        assert_eq!(key(&file(id, secret, "t", clear)), want(Some("t")));
        assert_eq!(key(&file(id, secret, "", "")), want(None));
        let role = "    mode: CvmRole\n    cvmrolename: a-role\n";
        assert_eq!(key(&file("\"\"", "\"\"", "", role)).unwrap().0, "role a-role");
        for bad in ["", "cos: 7", "cos:\n  base:\n    mode: x\n"] {
            assert_eq!(key(bad), None, "{bad}");
        }
    }
}
