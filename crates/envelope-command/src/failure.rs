//! Failures of the command: an exit status, one line of cause and one line of advice.

use std::{
    borrow::Cow,
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

use crate::{
    log,
    progress::{is_json, say},
};

mod code;
mod transfer;

pub(crate) use self::code::Code;

/// A reason for the command to stop.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    cause: String,
    advice: String,
}

impl Failure {
    pub(crate) fn new(code: Code, cause: impl Display, advice: impl Into<String>) -> Self {
        Self { code, cause: cause.to_string(), advice: advice.into() }
    }

    pub(crate) fn usage(cause: impl Display, advice: impl Into<String>) -> Self {
        Self::new(Code::Usage, cause, advice)
    }

    /// An error with all its causes.
    pub(crate) fn error(code: Code, error: &dyn Error, advice: impl Into<String>) -> Self {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            cause.push_str(": ");
            cause.push_str(&error.to_string());
            source = error.source();
        }
        Self::new(code, cause, advice)
    }

    /// Names the object that it is about.
    pub(crate) fn about(mut self, object: &impl Display) -> Self {
        self.cause = format!("{object}: {}", self.cause);
        self
    }

    /// A file that cannot be read or written.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::local(error).about(&path.display())
    }

    /// An error of the operating system. What helps depends on its kind.
    pub(crate) fn local(error: &io::Error) -> Self {
        use io::ErrorKind::{
            BrokenPipe, IsADirectory, NotADirectory, NotFound, PermissionDenied, QuotaExceeded,
            StorageFull,
        };
        let (code, advice) = match error.kind() {
            NotFound | NotADirectory => {
                (Code::NoSuchFile, "check the path; a folder is made with `mkdir -p`")
            }
            IsADirectory => (Code::IsFolder, "name a file in the folder"),
            PermissionDenied => (Code::PermissionDenied, "check who owns it, and its permissions"),
            StorageFull | QuotaExceeded => {
                (Code::DiskFull, "free some space, then run the same command again")
            }
            BrokenPipe => (Code::BrokenPipe, "nobody reads the output any more"),
            _ => (Code::Io, "check the path and the device"),
        };
        Self::new(code, error, advice)
    }

    /// An input file that changed while it was being read.
    pub(crate) fn changed() -> Self {
        Self::new(
            Code::Io,
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
        let (code, advice) = match error {
            KmsError::Denied(_) | KmsError::NotAsked(_) => (
                Code::Key,
                "check the access key in the environment, its permissions, and the state of the \
                 master key",
            ),
            KmsError::Refused(_) => (
                Code::Key,
                "check the vendor and the region; an object written by oss2 may need \
                 --kms-passphrase-file",
            ),
            KmsError::Unavailable(_) => {
                (Code::Unreachable, "check --kms-endpoint and the network, then retry")
            }
            _ => (Code::Io, "check --kms-endpoint and what is between you and the KMS"),
        };
        Self::new(code, error, advice)
    }

    pub(crate) const fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn cause(&self) -> &str {
        &self.cause
    }

    pub(crate) fn advice(&self) -> &str {
        &self.advice
    }

    /// Prints the failure on standard error, for people or for programs, and returns the exit
    /// status.
    pub(crate) fn report(&self) -> ExitCode {
        let status = self.code.status();
        log::said(&format!("error: {}", self.cause));
        let mut stderr = io::stderr().lock();
        // Other tools end silently, too, if what they write to has closed.
        let _ = match self.code {
            Code::BrokenPipe => Ok(()),
            _ if is_json() => {
                let line = json!({ "error": self.cause, "advice": self.advice,
                    "code": self.code.word(), "status": status });
                writeln!(stderr, "{}", json_lines(&line.to_string()))
            }
            _ => {
                let (cause, advice) = (one_line(&self.cause), one_line(&self.advice));
                writeln!(stderr, "error: {cause}\nadvice: {advice}")
            }
        };
        ExitCode::from(status)
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
        return ExitCode::from(if error.use_stderr() { Code::Usage.status() } else { 0 });
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
    // The similar names are those of commands and options, and no secrets.
    let tip = text.split("\n\n").find_map(|paragraph| paragraph.trim().strip_prefix("tip: "));
    let tip = tip.map(|tip| tip.split_whitespace().collect::<Vec<_>>().join(" "));
    let advice =
        tip.unwrap_or_else(|| "see `envelope help` and `envelope help COMMAND`".to_owned());
    Failure::usage(cause, advice).report()
}

/// Escapes control and bidirectional formatting characters, which a file name or a description may
/// contain, so that they do not reach a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let shown = |character: char| match character {
        _ if is_format(character) => character.escape_unicode().to_string(),
        _ if character.is_control() => character.escape_default().to_string(),
        _ => character.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Escapes the same characters in lines of JSON, where those below U+0020 are escaped already. The
/// values stay the same.
pub(crate) fn json_lines(text: &str) -> Cow<'_, str> {
    let is_shown =
        |character: char| character == '\n' || !(character.is_control() || is_format(character));
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let shown = |character: char| match character {
        _ if is_shown(character) => character.to_string(),
        _ => format!("\\u{:04x}", u32::from(character)),
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Returns whether a character is not seen, but changes how others are.
const fn is_format(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
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
        Self::error(Code::Metadata, &error, advice)
    }
}

/// Advice on what a policy refuses, in one place.
const fn policy_advice(error: PolicyError) -> (Code, &'static str) {
    match error {
        PolicyError::NotEncrypted => (
            Code::NotEncrypted,
            "fetch the metadata of the object itself; if it is meant to be plaintext, use \
             --allow-plaintext; if its keys are in a COS instruction file, pass that with \
             --instruction",
        ),
        PolicyError::UnauthenticatedRange(_) => {
            (Code::Usage, "decrypt the whole object, or use --unauthenticated-range")
        }
        PolicyError::Unauthenticated(_)
        | PolicyError::NoKeyCheck
        | PolicyError::NoOrigin
        | PolicyError::NoSeal => (
            Code::Metadata,
            "the object may have been relabelled; if it was written without this protection, omit \
             --require",
        ),
        _ => (Code::Metadata, "objects of this kind are not allowed"),
    }
}

impl From<DecryptError> for Failure {
    fn from(error: DecryptError) -> Self {
        match &error {
            DecryptError::Policy(policy) => {
                let (code, advice) = policy_advice(*policy);
                Self::new(code, error, advice)
            }
            DecryptError::Seal(SealError::NoName) => {
                Self::usage(error, "supply the key under which it was stored with --name")
            }
            DecryptError::Seal(SealError::NoOriginKey) => {
                Self::new(Code::Key, error, "supply it with --origin-key")
            }
            DecryptError::Seal(_) => Self::new(
                Code::Integrity,
                error,
                "do not trust the object; if it was renamed or copied, supply its former key with \
                 --name",
            ),
            DecryptError::Deviates(error) => error.clone().into(),
            DecryptError::NotCtr(_) => Self::usage(error, "decrypt the whole object"),
            DecryptError::Keyring(KeyringError::Unwrap(UnwrapError::Kms(kms))) => Self::kms(kms),
            DecryptError::Keyring(KeyringError::Unwrap(UnwrapError::NotUsed(_))) => {
                Self::new(Code::Io, error, "retry")
            }
            DecryptError::Keyring(KeyringError::Ambiguous | KeyringError::Unidentified) => {
                Self::new(Code::Key, error, "supply only the key that wrapped this object")
            }
            DecryptError::Keyring(KeyringError::NoKey { .. }) => Self::new(
                Code::Key,
                error,
                "supply the master key that wrapped this object: an RSA *private* key of the same \
                 size or the AES key with --key, or the KMS with --kms",
            ),
            _ => Self::new(
                Code::Key,
                error,
                "supply the master key that wrapped this object with --key, which may be repeated",
            ),
        }
    }
}

impl From<EncryptError> for Failure {
    fn from(error: EncryptError) -> Self {
        let (code, advice) = match &error {
            EncryptError::NoWrap { .. } => {
                return Self::usage(error, format!("choose another --dialect: {}", supported()));
            }
            EncryptError::Unreadable(UnwrapError::NotUsed(_)) => (Code::Io, "retry"),
            EncryptError::Unreadable(_) => {
                let advice =
                    "check the permissions of the key, or use another; nothing was written";
                return Self::error(Code::Key, &error, advice);
            }
            EncryptError::WeakWrap => (
                Code::Usage,
                "use an RSA key or --dialect cos-v2; if COS Python must read the object with an \
                 AES key, use --allow-weak-wrap",
            ),
            EncryptError::WrapOfIv { .. } => {
                (Code::Usage, "use an RSA key for AES-GCM, or AES-CTR for this key")
            }
            EncryptError::Emit(_) => {
                (Code::Usage, "use a shorter description, a smaller key, or --no-seal")
            }
            EncryptError::ShortContentKey => {
                (Code::Metadata, "get the object, and put it again with --force")
            }
            EncryptError::Integrity(integrity) => return (*integrity).into(),
            EncryptError::Wrap(WrapError::Kms(kms)) => return Self::kms(kms),
            EncryptError::Wrap(WrapError::NotUsed(_)) => (Code::Io, "retry"),
            EncryptError::Wrap(_) => (Code::Usage, "generate a new key with `envelope keygen`"),
            _ => (Code::Io, "retry"),
        };
        Self::new(code, error, advice)
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
            other => Self::new(Code::Key, other, "check both keys"),
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
        Self::new(Code::Integrity, error, advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_a_terminal_is_seen() {
        let key = "a\u{9b}31m\u{202e}\u{feff}\u{7f}\u{e9}\n";
        assert_eq!(one_line(key), "a\\u{9b}31m\\u{202e}\\u{feff}\\u{7f}\u{e9}\\n");
        let line = json!({ "key": key }).to_string();
        let shown = json_lines(&line);
        assert!(!shown.chars().any(|it| it.is_control() || is_format(it)), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["key"], key);
        let lines = "{\"a\":1}\n{\"b\":2}\n";
        assert!(matches!(json_lines(lines), Cow::Borrowed(same) if same == lines));
    }
}
