//! Key files and their passphrases.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use envelope_core::{
    AesKeyError, AesKeyWrapper, KeyWrapper, Keyring, KmsKeyWrapper, OriginKey, RsaKeyError,
    RsaKeyWrapper,
};
use envelope_kms::KmsAddress;
use meta_codec::{Dialect, MaterialDescription};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    args::{KmsStyle, Passphrase},
    failure::{Code, Failure, one_line, warn},
    input::{Secret, drop_line_end, is_dash, read_secret, read_small, warn_if_exposed},
    kms::{AnyKms, KmsKey},
};

/// A master key, from a file or in a KMS.
#[derive(Clone)]
pub(crate) enum MasterKey {
    Aes(AesKeyWrapper),
    Kms(KmsKeyWrapper<AnyKms>),
    Rsa(RsaKeyWrapper),
}

/// What a master key is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Objects will be lost if it is not the key that its owner means. That holds for the old key
    /// of a rewrap, too: the wrap of COS Python opens with any.
    Wrap,
    /// At worst, what is read is garbage.
    Unwrap,
    /// The same, with all keys that a profile names, some of which may only encrypt.
    Profile,
}

impl MasterKey {
    /// Reads a key file of any kind.
    pub(crate) fn read(
        path: &Path,
        passphrase: Option<&[u8]>,
        purpose: Purpose,
    ) -> Result<Self, Failure> {
        let file = read_secret(path, Secret::Key)?;
        let aes = match (AesKeyWrapper::read(&file), purpose) {
            (Err(error @ AesKeyError::Ambiguous), Purpose::Wrap) => {
                let cause = format_args!("{}: {error}", path.display());
                let advice = "if it is base64, append a line break to the file; if these are the \
                              bytes of the key, encode them: base64 KEY > NEW";
                return Err(Failure::new(Code::Key, cause, advice));
            }
            (Err(error @ AesKeyError::Ambiguous), _) => {
                warn(format_args!(
                    "{}: {error}; it is read as base64. If these are the bytes of the key, encode \
                     them: base64 KEY > NEW",
                    path.display()
                ));
                AesKeyWrapper::read_text(&file)
            }
            (outcome, _) => outcome,
        };
        if let Ok(aes) = aes {
            warn_if_exposed(path);
            return Ok(Self::Aes(aes));
        }
        let mut rsa = RsaKeyWrapper::read(&file, passphrase);
        // A person can be asked.
        if matches!(rsa, Err(RsaKeyError::PassphraseMissing))
            && let Some(asked) = ask_passphrase(path)
        {
            rsa = RsaKeyWrapper::read(&file, Some(asked.as_bytes()));
        }
        match rsa {
            Ok(rsa) => {
                if rsa.is_private() {
                    warn_if_exposed(path);
                }
                Ok(Self::Rsa(rsa))
            }
            Err(error) => {
                let (code, advice) = match error {
                    RsaKeyError::PassphraseMissing | RsaKeyError::PassphraseWrong => (
                        Code::Passphrase,
                        "supply the passphrase with --passphrase-file, --passphrase-fd or \
                         --passphrase-env",
                    ),
                    RsaKeyError::TooCostly => (
                        Code::Key,
                        "check where the file comes from; OpenSSL uses far less by default",
                    ),
                    RsaKeyError::Cipher => (
                        Code::Key,
                        "convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW",
                    ),
                    _ => (
                        Code::Key,
                        "a key file holds an RSA key as PEM or DER, or 16, 24 or 32 bytes in \
                         base64",
                    ),
                };
                Err(Failure::new(code, error, advice).about(&path.display()))
            }
        }
    }

    /// Returns the single master key for wrapping, from a file or in a KMS.
    pub(crate) fn one(
        path: Option<&Path>,
        passphrase: Option<&[u8]>,
        kms: Option<KmsKey<'_>>,
        style: KmsStyle,
        dialect: Dialect,
    ) -> Result<Self, Failure> {
        match (path, kms) {
            (None, None) => Err(Failure::usage(
                "no master key is given",
                "name one with --key or --kms, or in a profile: see `envelope init`",
            )),
            (_, Some(kms)) => Ok(Self::Kms(kms.writer(style, dialect)?)),
            _ if style.kms_blob_twice || style.kms_context_go => Err(Failure::usage(
                "--kms-blob-twice and --kms-context-go are only valid with a master key in a KMS",
                "omit them",
            )),
            (Some(path), None) => Self::read(path, passphrase, Purpose::Wrap),
        }
    }

    pub(crate) fn with_description(self, description: MaterialDescription) -> Self {
        match self {
            Self::Aes(aes) => Self::Aes(aes.with_description(description)),
            Self::Kms(kms) => Self::Kms(kms.with_description(description)),
            Self::Rsa(rsa) => Self::Rsa(rsa.with_description(description)),
        }
    }

    /// Returns what kind of key this is, and its fingerprint.
    pub(crate) fn summary(&self) -> Result<String, Failure> {
        let hex =
            |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Ok(match self {
            Self::Aes(aes) => format!("AES key, fingerprint {}", hex(aes.fingerprint())),
            Self::Kms(_) => "a master key in a KMS".to_owned(),
            Self::Rsa(rsa) => {
                let half = if rsa.is_private() { "private" } else { "public" };
                let print = rsa.fingerprint();
                let print = print.map_err(|error| Failure::new(Code::Key, error, "use another"))?;
                format!("RSA {half} key, {} bits, fingerprint {}", rsa.bits(), hex(print))
            }
        })
    }

    /// Returns whether this is only the public half of a key.
    pub(crate) fn is_public(&self) -> bool {
        matches!(self, Self::Rsa(rsa) if !rsa.is_private())
    }

    /// Returns the key as one that can be shared.
    pub(crate) fn wrapper(&self) -> Arc<dyn KeyWrapper> {
        match self.clone() {
            Self::Aes(aes) => Arc::new(aes),
            Self::Kms(kms) => Arc::new(kms),
            Self::Rsa(rsa) => Arc::new(rsa),
        }
    }

    /// Returns a keyring with this key alone.
    pub(crate) fn keyring(&self) -> Keyring {
        let mut keyring = Keyring::new();
        keyring.push(self.wrapper());
        keyring
    }

    /// Warns if the key is too small to be safe.
    fn warn_if_small(&self, path: &Path) {
        if let Self::Rsa(rsa) = self
            && rsa.bits() < RsaKeyWrapper::MIN_WRAP_BITS
        {
            warn(format_args!(
                "{}: an RSA key of {} bits can be broken; encrypt again with a larger one",
                path.display(),
                rsa.bits()
            ));
        }
    }
}

/// Asks for the passphrase of a key file, if this is a terminal.
fn ask_passphrase(path: &Path) -> Option<Zeroizing<String>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    let question = format!("Passphrase for {}: ", one_line(&path.display().to_string()));
    rpassword::prompt_password(question).ok().map(Zeroizing::new)
}

/// Returns what tells one master key from another: a fingerprint of a file, or the name of a KMS.
pub(crate) fn describe(path: Option<&Path>, kms: Option<&KmsAddress>) -> Result<String, Failure> {
    match (path, kms) {
        (Some(path), _) => fingerprint(Some(path)),
        (None, Some(KmsAddress { vendor, region, key_id, .. })) => {
            Ok(format!("{}:{region}:{}", vendor.id(), key_id.as_deref().unwrap_or_default()))
        }
        (None, None) => Ok(String::new()),
    }
}

/// Returns a text that differs from one key file to another. A key cannot be guessed, so the text
/// reveals nothing about it.
pub(crate) fn fingerprint(path: Option<&Path>) -> Result<String, Failure> {
    let Some(path) = path else { return Ok(String::new()) };
    // A pipe was read already, and there is nothing left of it.
    if is_dash(path) || !path.is_file() {
        return Err(Failure::usage(
            format_args!("{}: a report must tell one key from another", path.display()),
            "use a key in a regular file, or no --report",
        ));
    }
    let file = read_secret(path, Secret::Key)?;
    let mut hash = Sha256::new();
    hash.update(b"envelope key file\0");
    hash.update(&file[..]);
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// Reads an origin key: 32 bytes, or their base64 as `keygen origin` writes it.
pub(crate) fn origin_key(path: &Path) -> Result<OriginKey, Failure> {
    let file = read_secret(path, Secret::Key)?;
    let mut text = Zeroizing::new(file.to_vec());
    drop_line_end(&mut text);
    let mut bytes = Zeroizing::new([0; 32]);
    let is_text = STANDARD.decode_slice(&text[..], &mut bytes[..]) == Ok(32);
    if !is_text {
        let raw = <&[u8; 32]>::try_from(&file[..]).map_err(|_| {
            let cause = format_args!("{}: not an origin key", path.display());
            Failure::new(Code::Key, cause, "generate one with `envelope keygen origin`")
        })?;
        *bytes = *raw;
    }
    warn_if_exposed(path);
    Ok(OriginKey::new(bytes))
}

/// Reads several key files into a keyring, with a warning for each key that is too small.
pub(crate) fn keyring(
    paths: &[PathBuf],
    passphrase: Option<&[u8]>,
    kms: Option<KmsKey<'_>>,
    purpose: Purpose,
) -> Result<Keyring, Failure> {
    let mut keyring = Keyring::new();
    if let Some(kms) = kms {
        keyring.push(Arc::new(kms.reader()?));
    }
    for path in paths {
        let key = MasterKey::read(path, passphrase, purpose)?;
        if key.is_public() && purpose == Purpose::Profile {
            continue;
        }
        if key.is_public() {
            let words = "this is a public key, which encrypts only";
            let advice = "name the file of the private key that belongs to it";
            return Err(Failure::new(Code::Key, words, advice).about(&path.display()));
        }
        key.warn_if_small(path);
        keyring.push(key.wrapper());
    }
    Ok(keyring)
}

/// Returns whether a file holds an AES key. It is read again later, so that it must be a regular
/// file.
pub(crate) fn is_aes(path: &Path) -> Result<bool, Failure> {
    if is_dash(path) || (path.exists() && !path.is_file()) {
        return Err(Failure::usage(
            format_args!("{}: the kind of this key cannot be known before", path.display()),
            "use a key in a regular file, or --dialect in place of --for",
        ));
    }
    let file = read_secret(path, Secret::Key)?;
    Ok(!matches!(AesKeyWrapper::read(&file), Err(error) if error != AesKeyError::Ambiguous))
}

impl Passphrase {
    /// Returns whether a source is named.
    pub(crate) const fn is_given(&self) -> bool {
        self.passphrase_file.is_some()
            || self.passphrase_fd.is_some()
            || self.passphrase_env.is_some()
    }

    /// Reads the passphrase, if a source is named. One trailing line break is removed.
    pub(crate) fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let mut passphrase = if let Some(path) = &self.passphrase_file {
            warn_if_exposed(path);
            read_secret(path, Secret::Passphrase)?
        } else if self.passphrase_fd == Some(0) {
            read_small(Path::new("-"))?
        } else if let Some(fd) = self.passphrase_fd {
            // Somebody may have given the passphrase itself, so what was given is not shown.
            read_small(&PathBuf::from(format!("/dev/fd/{fd}"))).map_err(|_| {
                Failure::usage(
                    "the descriptor given with --passphrase-fd cannot be read",
                    "open it in the shell, such as with 3< FILE",
                )
            })?
        } else if let Some(name) = &self.passphrase_env {
            let value = std::env::var_os(name).ok_or_else(|| {
                Failure::usage(
                    "the environment variable named with --passphrase-env is not set",
                    "set it, or supply the passphrase with --passphrase-file",
                )
            })?;
            Zeroizing::new(value.into_encoded_bytes())
        } else {
            return Ok(None);
        };
        drop_line_end(&mut passphrase);
        Ok(Some(passphrase))
    }

    /// Returns the file that holds the passphrase, which must not be overwritten.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.passphrase_file.as_deref()
    }
}
