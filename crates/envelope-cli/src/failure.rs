//! How the command fails: an exit status, one line of cause, one of advice.

use std::{
    fmt::Display,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::error::ErrorKind;
use envelope_core::{
    DecryptError, EncryptError, IntegrityError, KeyringError, RewrapError, UnwrapError, WrapError,
    kms::KmsError,
};
use meta_codec::{ParseError, Reason};

/// The exit statuses, which scripts may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// A file cannot be read or written.
    Io = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// The metadata is refused, or the object is not encrypted.
    Metadata = 3,
    /// No key fits, or the content key does not come out.
    Key = 4,
    /// What was decrypted is not what the metadata says.
    Integrity = 5,
}

/// Why the command stops.
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

    /// A file that cannot be read or written.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::new(
            Status::Io,
            format_args!("{}: {error}", path.display()),
            "check the path, the permissions and the space on the disk",
        )
    }

    /// A file that somebody else writes to.
    pub(crate) fn changed() -> Self {
        Self::new(
            Status::Io,
            "the file changed while it was read, or is too long",
            "do it again when nobody writes to it; what went to a pipe is worthless",
        )
    }

    /// A stream that failed in the middle; integrity errors travel in here, too.
    pub(crate) fn stream(path: &Path, error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<IntegrityError>()) {
            Some(error) => (*error).into(),
            None => Self::io(path, error),
        }
    }

    /// A KMS that gave no answer that can be used.
    fn kms(error: &KmsError) -> Self {
        let (status, advice) = match error {
            KmsError::Denied(_) => (
                Status::Key,
                "check the access key in the environment, its rights, and the state of the master key",
            ),
            KmsError::Refused(_) => (
                Status::Key,
                "check the vendor and the region; an object of oss2 may need --kms-passphrase-file",
            ),
            _ => (Status::Io, "check --kms-endpoint and the network, and try again"),
        };
        Self::new(status, error, advice)
    }

    pub(crate) const fn status(&self) -> Status {
        self.status
    }

    pub(crate) fn cause(&self) -> &str {
        &self.cause
    }

    /// Says it on standard error, and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "error: {}", one_line(&self.cause));
        let _ = writeln!(stderr, "advice: {}", one_line(&self.advice));
        ExitCode::from(self.status as u8)
    }
}

/// Says a warning on standard error.
pub(crate) fn warn(words: impl Display) {
    let _ = writeln!(io::stderr().lock(), "warning: {}", one_line(&words.to_string()));
}

/// What is wrong with the arguments, or the help that was asked for.
pub(crate) fn arguments(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { Status::Usage as u8 } else { 0 });
    }
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let cause = words.join(" ");
    let cause = cause.strip_prefix("error: ").unwrap_or(&cause);
    Failure::usage(cause, "see `envelope help`, and `envelope help COMMAND`").report()
}

/// Control and direction characters, which a file name or a description may hold, do not reach a
/// terminal.
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
                "fetch the object's instruction file (its key and `.instruction`), and give it with \
                 --instruction"
            }
            Reason::Missing(_) => "give all headers of the object, as HEAD shows them",
            _ => "the metadata was changed, or is of a format that is not known",
        };
        Self::new(Status::Metadata, error, advice)
    }
}

impl From<DecryptError> for Failure {
    fn from(error: DecryptError) -> Self {
        match &error {
            DecryptError::Policy(_) => {
                Self::new(Status::Metadata, error, "the object is not of an allowed kind")
            }
            DecryptError::Keyring(KeyringError::Unwrap(UnwrapError::Kms(kms))) => Self::kms(kms),
            DecryptError::Keyring(KeyringError::Ambiguous) => {
                Self::new(Status::Key, error, "give only the key that wrapped this object")
            }
            DecryptError::Keyring(KeyringError::NoKey { .. }) => Self::new(
                Status::Key,
                error,
                "give the master key that wrapped this object: an RSA *private* key of the same size or \
                 the AES key with --key, or the KMS with --kms",
            ),
            _ => Self::new(
                Status::Key,
                error,
                "give the master key that wrapped this object with --key; several can be given",
            ),
        }
    }
}

impl From<EncryptError> for Failure {
    fn from(error: EncryptError) -> Self {
        let (status, advice) = match &error {
            EncryptError::NoWrap { .. } => (
                Status::Usage,
                "oss-v2 and oss-v1 take RSA keys and Aliyun's KMS, cos-v2 takes RSA and AES keys and \
                 Tencent's KMS, cos-v1 RSA and AES keys; choose with --dialect",
            ),
            EncryptError::WeakWrap => (
                Status::Usage,
                "use an RSA key or --dialect cos-v2; if COS Python must read it with an AES key, say \
                 --allow-weak-wrap",
            ),
            EncryptError::WrapOfIv { .. } => {
                (Status::Usage, "use an RSA key for AES-GCM, or AES-CTR for this key")
            }
            EncryptError::Emit(_) => {
                (Status::Usage, "a shorter description, a smaller key, or another dialect will do")
            }
            EncryptError::Wrap(WrapError::Kms(kms)) => return Self::kms(kms),
            EncryptError::Wrap(_) => (Status::Usage, "make a new key with `envelope keygen`"),
            _ => (Status::Io, "try again"),
        };
        Self::new(status, error, advice)
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
                "fetch the object again; if it is a multipart object of COS Java, --salvage gives back \
                 what is left"
            }
            _ => {
                "fetch the object and its metadata again; no file was written, and what went to a pipe \
                 is worthless"
            }
        };
        Self::new(Status::Integrity, error, advice)
    }
}
