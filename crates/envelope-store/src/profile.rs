//! Profiles: what a program, or a person at a shell, would otherwise say each time.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use meta_codec::Vendor;
use secrecy::SecretString;
use serde::Deserialize;
use toml::{Table, Value};

use crate::{Credentials, Environment, SettingsError};

/// The word under which a file from before profiles had names of their own has its profiles.
const NESTED: &str = "profiles";

/// A profile in a file.
///
/// ```toml
/// [default]
/// key = "keys/private_key.pem"         # or several: ["new.pem", "old.pem"]
/// for = ["oss-java", "oss-go"]         # who must be able to read what is written
/// require = ["seal"]                   # what an object must have to be read
///
/// [default.oss]
/// region = "cn-hangzhou"
/// access_key_id = "..."
/// access_key_secret = "..."
///
/// [archive]
/// kms = "tencent:ap-guangzhou:KEY_ID"
///
/// [archive.cos]
/// endpoint = "https://cos.internal.example"
/// credentials = "coscli"               # or "cvm-role", "oidc", ...
/// ```
///
/// Paths are relative to the folder of the file; `~/` is the folder of the user.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// The files of the master keys; the first one encrypts.
    pub keys: Vec<PathBuf>,
    /// The file that holds the passphrase of the master keys.
    pub passphrase_file: Option<PathBuf>,
    /// A master key in a KMS, as `VENDOR:REGION[:KEY_ID]`.
    pub kms: Option<String>,
    /// The dialect in which objects are written.
    pub dialect: Option<String>,
    /// The readers that must be able to read what is written, such as `oss-java`.
    pub readers: Vec<String>,
    /// The protection that an object must have to be read, such as `seal`.
    pub require: Vec<String>,
    /// The key under which seals state their origin.
    pub origin_key: Option<PathBuf>,
    pub(crate) oss: Account,
    pub(crate) cos: Account,
}

/// How the buckets of one vendor are reached.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Account {
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) credentials: Option<String>,
    pub(crate) process: Vec<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<SecretString>,
    session_token: Option<SecretString>,
}

/// A profile as a file has it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    key: OneOrMore,
    passphrase_file: Option<String>,
    kms: Option<String>,
    dialect: Option<String>,
    #[serde(rename = "for")]
    readers: OneOrMore,
    require: OneOrMore,
    origin_key: Option<String>,
    oss: Account,
    cos: Account,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Default for OneOrMore {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

impl OneOrMore {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::More(more) => more,
        }
    }
}

impl Profile {
    /// Reads a profile from a file. A file that holds access keys should be accessible only to its
    /// owner.
    ///
    /// # Errors
    /// [`SettingsError`] if the file cannot be read or parsed, does not contain the profile, or
    /// has a key in it that is not known. No error shows a value.
    pub fn read(path: &Path, name: &str) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path)?;
        // The parser's own message would quote the line, which may hold a secret.
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count();
            SettingsError::Syntax { line: line.saturating_add(1) }
        })?;
        let nested = match table.remove(NESTED) {
            Some(Value::Table(mut profiles)) => profiles.remove(name),
            _ => None,
        };
        let found = table.remove(name).or(nested);
        let Some(found) = found else { return Err(SettingsError::NoProfile(name.to_owned())) };
        let written: Written = found.try_into().map_err(|error: toml::de::Error| {
            // Names of keys are no secrets, but a value in their place could be one.
            let message = error.message();
            let reason = match message.split_once(", expected") {
                Some((unknown, _)) if unknown.starts_with("unknown field") => unknown,
                _ => "a value has the wrong type",
            };
            SettingsError::Profile { name: name.to_owned(), reason: reason.to_owned() }
        })?;
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        Ok(written.resolved(folder))
    }
}

impl Written {
    fn resolved(self, folder: &Path) -> Profile {
        let at = |text: String| match (text.strip_prefix("~/"), env::var_os("HOME")) {
            (Some(rest), Some(home)) => Path::new(&home).join(rest),
            _ => folder.join(text),
        };
        Profile {
            keys: self.key.into_vec().into_iter().map(at).collect(),
            passphrase_file: self.passphrase_file.map(at),
            kms: self.kms,
            dialect: self.dialect,
            readers: self.readers.into_vec(),
            require: self.require.into_vec(),
            origin_key: self.origin_key.map(at),
            oss: self.oss,
            cos: self.cos,
        }
    }
}

impl Profile {
    pub(crate) const fn account(&self, vendor: Vendor) -> &Account {
        match vendor {
            Vendor::Cos => &self.cos,
            Vendor::Oss => &self.oss,
        }
    }

    /// Returns whether the profile holds the secret of an access key.
    #[must_use]
    pub const fn has_secrets(&self) -> bool {
        self.oss.access_key_secret.is_some() || self.cos.access_key_secret.is_some()
    }
}

impl Account {
    /// Returns whether the profile holds an access key, or a part of one.
    pub(crate) const fn has_key(&self) -> bool {
        self.access_key_id.is_some() || self.access_key_secret.is_some()
    }

    /// The access key of a profile; the environment is named in the error only.
    pub(crate) fn credentials(
        &self,
        environment: Environment,
    ) -> Result<Credentials, SettingsError> {
        let missing = |what| SettingsError::Missing { what, name: environment.key_name() };
        let id = self.access_key_id.clone().ok_or_else(|| missing("access key"))?;
        let secret = self.access_key_secret.clone().ok_or_else(|| missing("secret"))?;
        let credentials = Credentials::new(id, secret);
        Ok(match &self.session_token {
            Some(token) => credentials.with_token(token.clone()),
            None => credentials,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, name: &str) -> Result<Profile, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, text).unwrap();
        let mut profile = Profile::read(&path, name)?;
        for key in &mut profile.keys {
            *key = key.strip_prefix(folder.path()).unwrap_or(key).to_owned();
        }
        Ok(profile)
    }

    #[test]
    fn both_shapes() {
        let text = "[default]\nkey = 'a.pem'\nfor = ['oss-java', 'oss-go']\n[default.oss]\n\
                    region = 'cn-x'\n[profiles.old.cos]\nregion = 'ap-y'\naccess_key_id = 'i'\n\
                    access_key_secret = 's'\n";
        let new = read(text, "default").unwrap();
        assert_eq!(new.keys, [Path::new("a.pem")]);
        assert_eq!(new.readers, ["oss-java", "oss-go"]);
        assert_eq!(new.account(Vendor::Oss).region.as_deref(), Some("cn-x"));
        assert!(!new.has_secrets());
        let old = read(text, "old").unwrap();
        assert_eq!(old.account(Vendor::Cos).region.as_deref(), Some("ap-y"));
        assert!(old.has_secrets() && !format!("{old:?}").contains("\"s\""));
        assert!(matches!(read(text, "none"), Err(SettingsError::NoProfile(_))));
        let keys = read("[p]\nkey = ['/a', 'b/c']\n", "p").unwrap().keys;
        assert_eq!(keys, [Path::new("/a"), Path::new("b/c")]);
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        let said = |text| read(text, "default").unwrap_err().to_string();
        assert_eq!(
            said("[default.oss]\nregoin = 'SECRET'\n"),
            "the profile default: unknown field `regoin`"
        );
        assert_eq!(
            said("[default]\nfore = 'SECRET'\n"),
            "the profile default: unknown field `fore`"
        );
        let typed = said("[default.oss]\nregion = ['SECRET']\n");
        assert_eq!(typed, "the profile default: a value has the wrong type");
        assert_eq!(said("[default]\nkey = SECRET\n"), "line 2 of the profile file is invalid");
    }
}
