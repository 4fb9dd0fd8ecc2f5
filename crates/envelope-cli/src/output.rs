//! What the command writes: a file appears under its name only when everything was right.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::{failure::Failure, input::is_dash};

/// Who may read an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Whoever the user's umask allows: ciphertext, metadata, public keys.
    Public,
    /// The user alone: plaintext, private keys.
    Secret,
}

/// A file, standard output, or whatever else a path can be.
pub(crate) struct Output {
    path: PathBuf,
    target: Target,
    replace: bool,
}

enum Target {
    /// A device or a pipe, which cannot be renamed onto.
    Special(fs::File),
    Stdout(io::Stdout),
    /// A file beside the target. Removed when dropped.
    Temporary(NamedTempFile),
}

impl Output {
    /// Prepares an output; `-` is standard output. Nothing is there under its name until
    /// [`commit`](Self::commit).
    pub(crate) fn create(
        path: &Path,
        secrecy: Secrecy,
        force: bool,
        inputs: &[&Path],
    ) -> Result<Self, Failure> {
        let target = if is_dash(path) {
            Target::Stdout(io::stdout())
        } else {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => {
                    return Err(Failure::io(path, &io::ErrorKind::IsADirectory.into()));
                }
                Ok(metadata) if !metadata.is_file() => Target::Special(
                    fs::OpenOptions::new()
                        .write(true)
                        .open(path)
                        .map_err(|error| Failure::io(path, &error))?,
                ),
                Ok(_) if inputs.iter().any(|input| is_same(input, path)) => {
                    return Err(Failure::usage(
                        format_args!("{}: is also the input", path.display()),
                        "write to another file",
                    ));
                }
                Ok(_) if !force => return Err(exists(path)),
                _ => Target::Temporary(temporary(path, secrecy)?),
            }
        };
        Ok(Self { path: path.to_owned(), target, replace: force })
    }

    /// The path, as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nobody sees what is written before [`commit`](Self::commit).
    pub(crate) const fn is_held_back(&self) -> bool {
        matches!(self.target, Target::Temporary(_))
    }

    /// Gives a finished output its name.
    pub(crate) fn commit(mut self) -> Result<(), Failure> {
        let fail = |error: &io::Error| Failure::io(&self.path, error);
        self.target.writer().flush().map_err(|error| fail(&error))?;
        let Target::Temporary(file) = self.target else { return Ok(()) };
        // On the disk before it has its name: a crash leaves the old file or the new one.
        file.as_file().sync_all().map_err(|error| fail(&error))?;
        let outcome = if self.replace {
            file.persist(&self.path)
        } else {
            file.persist_noclobber(&self.path)
        };
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(exists(&self.path))
            }
            Err(error) => Err(fail(&error.error)),
        }
    }
}

impl Target {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Special(file) => file,
            Self::Stdout(stdout) => stdout,
            Self::Temporary(file) => file.as_file_mut(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.target.writer().write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.writer().flush()
    }
}

fn temporary(path: &Path, secrecy: Secrecy) -> Result<NamedTempFile, Failure> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".envelope-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = match secrecy {
            Secrecy::Public => 0o666,
            Secrecy::Secret => 0o600,
        };
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(|error| Failure::io(path, &error))
}

fn exists(path: &Path) -> Failure {
    Failure::usage(
        format_args!("{}: exists already", path.display()),
        "say --force to overwrite it, or write to another file",
    )
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(a), Ok(b)) if a == b => true,
        #[cfg(unix)]
        (Ok(a), Ok(b)) => {
            use std::os::unix::fs::MetadataExt as _;
            let id = |path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
            matches!((id(a), id(b)), (Ok(a), Ok(b)) if a == b)
        }
        _ => false,
    }
}

/// What is to be removed again should a later step fail.
pub(crate) fn remove(path: &Path) {
    if !is_dash(path) {
        let _ = fs::remove_file(path);
    }
}
