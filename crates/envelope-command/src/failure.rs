//! Failures of the command: an exit status, one line of cause and one line of advice.

use std::{
    error::Error,
    fmt::Display,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use envelope_core::{
    DecryptError, EncryptError, IntegrityError, KeyringError, PolicyError, RewrapError, SealError,
    UnwrapError, WrapError, io::FilePassError, kms::KmsError,
};
use meta_codec::{Dialect, ParseError, Reason};
use serde_json::json;

use crate::{log, progress::say};

/// Exit statuses, on which scripts may rely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// A file cannot be read or written.
    Io = 1,
    /// The arguments are invalid.
    Usage = 2,
    /// The metadata is rejected, or the object is not encrypted.
    Metadata = 3,
    /// No key fits, or the content key cannot be unwrapped.
    Key = 4,
    /// The decrypted data does not match the metadata.
    Integrity = 5,
    /// A signal ended the work before its end. As a shell says it of SIGINT.
    Interrupted = 130,
}

/// A reason for the command to stop.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    cause: String,
    advice: String,
}

impl Failure {
    pub(crate) fn new(status: Status, cause: impl Display, advice: impl Into<String>) -> Self {
        Self { status, cause: cause.to_string(), advice: advice.into() }
    }

    pub(crate) fn usage(cause: impl Display, advice: impl Into<String>) -> Self {
        Self::new(Status::Usage, cause, advice)
    }

    /// An error with all its causes.
    pub(crate) fn error(status: Status, error: &dyn Error, advice: impl Into<String>) -> Self {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            cause.push_str(": ");
            cause.push_str(&error.to_string());
            source = error.source();
        }
        Self::new(status, cause, advice)
    }

    /// Names the object that it is about.
    pub(crate) fn about(mut self, object: &impl Display) -> Self {
        self.cause = format!("{object}: {}", self.cause);
        self
    }

    /// A file that cannot be read or written.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::new(
            Status::Io,
            format_args!("{}: {error}", path.display()),
            "check the path, the permissions and the free disk space",
        )
    }

    /// An input file that changed while it was being read.
    pub(crate) fn changed() -> Self {
        Self::new(
            Status::Io,
            "the file changed while it was being read, or is too long",
            "retry when nothing is writing to it; discard any output already sent to a pipe",
        )
    }

    /// A pass from file to file that failed.
    pub(crate) fn pass(error: FilePassError, from: &Path, to: &Path) -> Self {
        match error {
            FilePassError::Read(error) => Self::io(from, &error),
            FilePassError::Write(error) => Self::io(to, &error),
            FilePassError::Integrity(error) => error.into(),
            _ => Self::changed(),
        }
    }

    /// A stream that failed midway. The I/O error may carry an integrity error.
    pub(crate) fn stream(path: &Path, error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<IntegrityError>()) {
            Some(error) => (*error).into(),
            None => Self::io(path, error),
        }
    }

    /// A KMS that gave no usable answer.
    fn kms(error: &KmsError) -> Self {
        let (status, advice) = match error {
            KmsError::Denied(_) | KmsError::NotAsked(_) => (
                Status::Key,
                "check the access key in the environment, its permissions, and the state of the \
                 master key",
            ),
            KmsError::Refused(_) => (
                Status::Key,
                "check the vendor and the region; an object written by oss2 may need \
                 --kms-passphrase-file",
            ),
            _ => (Status::Io, "check --kms-endpoint and the network, then retry"),
        };
        Self::new(status, error, advice)
    }

    pub(crate) const fn status(&self) -> Status {
        self.status
    }

    pub(crate) fn cause(&self) -> &str {
        &self.cause
    }

    pub(crate) fn advice(&self) -> &str {
        &self.advice
    }

    /// Prints the failure on standard error and returns the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        log::said(&format!("error: {}", self.cause));
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "error: {}", one_line(&self.cause));
        let _ = writeln!(stderr, "advice: {}", one_line(&self.advice));
        ExitCode::from(self.status as u8)
    }
}

/// Prints a warning on standard error.
pub(crate) fn warn(words: impl Display) {
    let words = words.to_string();
    log::said(&format!("warning: {words}"));
    say(&json!({ "warning": words }), &format!("warning: {words}"));
}

/// Reports invalid arguments, or prints the help that was requested.
pub(crate) fn arguments(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { Status::Usage as u8 } else { 0 });
    }
    // What nobody expected may be a secret that was meant for another option.
    let unexpected = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) if error.kind() == ErrorKind::UnknownArgument => {
            Some(text)
        }
        _ => None,
    };
    let is_option = |text: &str| {
        let name = text.trim_start_matches('-');
        name.len() < text.len()
            && name.len() < 30
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    if unexpected.is_some_and(|text| !is_option(text)) {
        let words = "an unexpected argument was found; it may be a secret, and is not shown";
        return Failure::usage(words, "see `envelope help COMMAND`").report();
    }
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let cause = words.join(" ");
    let cause = cause.strip_prefix("error: ").unwrap_or(&cause);
    Failure::usage(cause, "see `envelope help` and `envelope help COMMAND`").report()
}

/// Escapes control and bidirectional formatting characters, which a file name or a description may
/// contain, so that they do not reach a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let shown = |character: char| match character {
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => character.escape_unicode().to_string(),
        _ if character.is_control() => character.escape_default().to_string(),
        _ => character.to_string(),
    };
    text.chars().map(shown).collect()
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        let advice = match error.reason() {
            Reason::PerhapsInstruction => {
                "fetch the object's instruction file (its key followed by `.instruction`) and pass \
                 it with --instruction"
            }
            Reason::Missing(_) => "supply all headers of the object, as returned by HEAD",
            _ => "the metadata was altered, or its format is unknown",
        };
        Self::error(Status::Metadata, &error, advice)
    }
}

/// Advice on what a policy refuses, in one place.
const fn policy_advice(error: PolicyError) -> (Status, &'static str) {
    match error {
        PolicyError::NotEncrypted => (
            Status::Metadata,
            "fetch the metadata of the object itself; if it is meant to be plaintext, use \
             --allow-plaintext; if its keys are in a COS instruction file, pass that with \
             --instruction",
        ),
        PolicyError::UnauthenticatedRange(_) => {
            (Status::Usage, "decrypt the whole object, or use --unauthenticated-range")
        }
        PolicyError::Unauthenticated(_)
        | PolicyError::NoKeyCheck
        | PolicyError::NoOrigin
        | PolicyError::NoSeal => (
            Status::Metadata,
            "the object may have been relabelled; if it was written without this protection, omit \
             --require",
        ),
        _ => (Status::Metadata, "objects of this kind are not allowed"),
    }
}

impl From<DecryptError> for Failure {
    fn from(error: DecryptError) -> Self {
        match &error {
            DecryptError::Policy(policy) => {
                let (status, advice) = policy_advice(*policy);
                Self::new(status, error, advice)
            }
            DecryptError::Seal(SealError::NoName) => {
                Self::usage(error, "supply the key under which it was stored with --name")
            }
            DecryptError::Seal(SealError::NoOriginKey) => {
                Self::new(Status::Key, error, "supply it with --origin-key")
            }
            DecryptError::Seal(_) => Self::new(
                Status::Integrity,
                error,
                "do not trust the object; if it was renamed or copied, supply its former key with \
                 --name",
            ),
            DecryptError::NotCtr(_) => Self::usage(error, "decrypt the whole object"),
            DecryptError::Keyring(KeyringError::Unwrap(UnwrapError::Kms(kms))) => Self::kms(kms),
            DecryptError::Keyring(KeyringError::Ambiguous) => {
                Self::new(Status::Key, error, "supply only the key that wrapped this object")
            }
            DecryptError::Keyring(KeyringError::NoKey { .. }) => Self::new(
                Status::Key,
                error,
                "supply the master key that wrapped this object: an RSA *private* key of the same \
                 size or the AES key with --key, or the KMS with --kms",
            ),
            _ => Self::new(
                Status::Key,
                error,
                "supply the master key that wrapped this object with --key, which accepts several",
            ),
        }
    }
}

impl From<EncryptError> for Failure {
    fn from(error: EncryptError) -> Self {
        let (status, advice) = match &error {
            EncryptError::NoWrap { .. } => {
                return Self::usage(error, format!("choose another --dialect: {}", supported()));
            }
            EncryptError::Unreadable(_) => {
                let advice =
                    "check the permissions of the key, or use another; nothing was written";
                return Self::error(Status::Key, &error, advice);
            }
            EncryptError::WeakWrap => (
                Status::Usage,
                "use an RSA key or --dialect cos-v2; if COS Python must read the object with an \
                 AES key, use --allow-weak-wrap",
            ),
            EncryptError::WrapOfIv { .. } => {
                (Status::Usage, "use an RSA key for AES-GCM, or AES-CTR for this key")
            }
            EncryptError::Emit(_) => {
                (Status::Usage, "use a shorter description, a smaller key, or --no-seal")
            }
            EncryptError::Integrity(integrity) => return (*integrity).into(),
            EncryptError::Wrap(WrapError::Kms(kms)) => return Self::kms(kms),
            EncryptError::Wrap(_) => (Status::Usage, "generate a new key with `envelope keygen`"),
            _ => (Status::Io, "retry"),
        };
        Self::new(status, error, advice)
    }
}

/// Returns which kinds of keys each dialect supports, as its table says.
fn supported() -> String {
    let kinds = |dialect: Dialect| {
        let mut kinds = Vec::new();
        for wrap in dialect.wrap_algorithms() {
            let kind = if wrap.is_rsa() {
                "RSA keys"
            } else if wrap.is_aes() {
                "AES keys"
            } else {
                wrap.id()
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        format!("{dialect} supports {}", kinds.join(", "))
    };
    let writable = Dialect::ALL.into_iter().filter(|dialect| dialect.is_writable());
    writable.map(kinds).collect::<Vec<_>>().join("; ")
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        DecryptError::from(error).into()
    }
}

impl From<RewrapError> for Failure {
    fn from(error: RewrapError) -> Self {
        match error {
            RewrapError::Decrypt(error) => error.into(),
            RewrapError::Encrypt(error) => error.into(),
            other => Self::new(Status::Key, other, "check both keys"),
        }
    }
}

impl From<IntegrityError> for Failure {
    fn from(error: IntegrityError) -> Self {
        let advice = match error {
            IntegrityError::Padding => {
                "fetch the object again; if it is a multipart object written by COS Java, \
                 --salvage recovers what is left"
            }
            _ => {
                "fetch the object and its metadata again; no file was written, and any output \
                 already sent to a pipe must be discarded"
            }
        };
        Self::new(Status::Integrity, error, advice)
    }
}
