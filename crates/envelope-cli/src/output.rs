//! Outputs of the command. A file appears under its name only once everything has succeeded.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::{NamedTempFile, TempPath};

use crate::{
    cleanup,
    failure::Failure,
    input::{is_dash, standard},
};

/// The readers of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Anyone the user's umask allows: ciphertext, metadata, public keys.
    Public,
    /// Only the user: plaintext, private keys.
    Secret,
}

/// A file, standard output, or any other target that a path can name.
pub(crate) struct Output {
    path: PathBuf,
    target: Target,
    replace: bool,
}

enum Target {
    /// Standard output, a device or a pipe, which cannot be renamed onto.
    Direct(fs::File),
    /// A file next to the target, removed when dropped.
    Temporary(Option<NamedTempFile>),
}

impl Output {
    /// Prepares an output; `-` is standard output. Nothing appears under its name until
    /// [`commit`](Self::commit).
    pub(crate) fn create(
        path: &Path,
        secrecy: Secrecy,
        force: bool,
        inputs: &[&Path],
    ) -> Result<Self, Failure> {
        let fail = |error: &io::Error| Failure::io(path, error);
        if is_standard_output(path) {
            let stdout = standard(io::stdout()).map_err(|error| fail(&error))?;
            return Ok(Self { path: path.into(), target: Target::Direct(stdout), replace: force });
        }
        // A symbolic link is followed, so that its target is replaced, not the link.
        let real = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => {
                fs::canonicalize(path).map_err(|error| fail(&error))?
            }
            _ => path.to_owned(),
        };
        let target = match fs::metadata(&real) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(fail(&io::ErrorKind::IsADirectory.into()));
            }
            Ok(_) if inputs.iter().any(|input| is_same(input, &real)) => {
                return Err(Failure::usage(
                    format_args!("{}: is also the input", path.display()),
                    "write to another file",
                ));
            }
            Ok(metadata) if is_stream(&metadata) => Target::Direct(
                fs::OpenOptions::new().write(true).open(&real).map_err(|error| fail(&error))?,
            ),
            Ok(_) if !force => return Err(exists(path)),
            Ok(metadata) if !metadata.is_file() => Target::Direct(
                fs::OpenOptions::new().write(true).open(&real).map_err(|error| fail(&error))?,
            ),
            _ => Target::Temporary(Some(temporary(&real, secrecy)?)),
        };
        Ok(Self { path: real, target, replace: force })
    }

    /// Returns the path that is written.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file if it is a temporary one, which may be written in any order.
    pub(crate) fn file(&self) -> Option<&fs::File> {
        match &self.target {
            Target::Temporary(Some(file)) => Some(file.as_file()),
            _ => None,
        }
    }

    /// Returns `true` if the output stays hidden until [`commit`](Self::commit).
    pub(crate) const fn is_held_back(&self) -> bool {
        matches!(self.target, Target::Temporary(_))
    }

    /// Gives a finished output its name.
    pub(crate) fn commit(mut self) -> Result<(), Failure> {
        self.settle()?;
        self.publish()
    }

    /// Gives two finished outputs their names: both or neither.
    pub(crate) fn commit_both(mut self, mut other: Self) -> Result<(), Failure> {
        self.settle()?;
        other.settle()?;
        let held_back = self.is_held_back();
        let path = self.path.clone();
        let old = self.keep_old()?;
        self.publish()?;
        if let Err(failure) = other.publish() {
            match old {
                Some(old) => drop(old.persist(&path)),
                None if held_back => drop(fs::remove_file(&path)),
                None => {}
            }
            return Err(failure);
        }
        Ok(())
    }

    /// Syncs the file to disk before it gets its name, so that a crash leaves the old file or the
    /// new one.
    fn settle(&mut self) -> Result<(), Failure> {
        let outcome = match &mut self.target {
            Target::Direct(file) => file.flush(),
            Target::Temporary(Some(file)) => file.as_file().sync_all(),
            Target::Temporary(None) => Ok(()),
        };
        outcome.map_err(|error| Failure::io(&self.path, &error))
    }

    /// Gives the file that is about to be replaced a second name, from which it can be restored.
    fn keep_old(&self) -> Result<Option<TempPath>, Failure> {
        if !self.is_held_back() || !self.path.is_file() {
            return Ok(None);
        }
        let fail = |error: &io::Error| Failure::io(&self.path, error);
        let old = tempfile::Builder::new()
            .prefix(".envelope-old-")
            .make_in(folder(&self.path), |name| fs::hard_link(&self.path, name))
            .map_err(|error| fail(&error))?;
        Ok(Some(old.into_temp_path()))
    }

    fn publish(&mut self) -> Result<(), Failure> {
        let Target::Temporary(temporary) = &mut self.target else { return Ok(()) };
        let Some(file) = temporary.take() else { return Ok(()) };
        let name = file.path().to_owned();
        let outcome = if self.replace {
            file.persist(&self.path)
        } else {
            file.persist_noclobber(&self.path)
        };
        cleanup::forget(&name);
        match outcome {
            Ok(_) => {
                // Syncs the new name, too. Not every file system supports this, and no data is lost
                // without it.
                let _ = fs::File::open(folder(&self.path)).and_then(|folder| folder.sync_all());
                Ok(())
            }
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(exists(&self.path))
            }
            Err(error) => Err(Failure::io(&self.path, &error.error)),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Target::Temporary(Some(file)) = &self.target {
            cleanup::forget(file.path());
        }
    }
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Direct(file) => file.write(data),
            Target::Temporary(Some(file)) => file.as_file_mut().write(data),
            Target::Temporary(None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Rejects two outputs that are the same file, however their paths are spelled.
pub(crate) fn check_distinct(one: &Path, other: &Path) -> Result<(), Failure> {
    let real = |path: &Path| {
        let folder = fs::canonicalize(folder(path)).unwrap_or_else(|_| folder(path).to_owned());
        folder.join(path.file_name().unwrap_or(OsStr::new("")))
    };
    if is_standard_output(one) && is_standard_output(other) {
        return Err(Failure::usage(
            "the body and the headers cannot both go to standard output",
            "write the headers to a file",
        ));
    }
    if real(one) == real(other) || is_same(one, other) {
        return Err(Failure::usage(
            "the body and the headers are the same file",
            "use two different files",
        ));
    }
    Ok(())
}

fn temporary(path: &Path, secrecy: Secrecy) -> Result<NamedTempFile, Failure> {
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
    let file = builder.tempfile_in(folder(path)).map_err(|error| Failure::io(path, &error))?;
    cleanup::register(file.path());
    Ok(file)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn exists(path: &Path) -> Failure {
    Failure::usage(
        format_args!("{}: already exists", path.display()),
        "use --force to overwrite it, or write to another file",
    )
}

pub(crate) fn is_standard_output(path: &Path) -> bool {
    let names = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    is_dash(path) || names.iter().any(|name| path == Path::new(name))
}

/// Returns `true` for a terminal, a pipe or the like, to which writing destroys nothing.
fn is_stream(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        let kind = metadata.file_type();
        kind.is_char_device() || kind.is_fifo() || kind.is_socket()
    }
    #[cfg(not(unix))]
    {
        !metadata.is_file()
    }
}

/// Returns `true` if two paths are the same file. `-` stands for standard input.
fn is_same(one: &Path, other: &Path) -> bool {
    let one = if is_dash(one) { Path::new("/dev/stdin") } else { one };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let id = |path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
        matches!((id(one), id(other)), (Ok(a), Ok(b)) if a == b)
    }
    #[cfg(not(unix))]
    {
        matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(a), Ok(b)) if a == b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_pair_leaves_the_old_pair() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        for (old, want) in [(Some("old"), Some("old")), (None, None)] {
            if let Some(old) = old {
                fs::write(&one, old).unwrap();
            }
            let create = |path: &Path| {
                let mut output = Output::create(path, Secrecy::Public, true, &[]).unwrap();
                output.write_all(b"new").unwrap();
                output
            };
            let (first, second) = (create(&one), create(&other));
            // A folder takes the second name in the meantime.
            fs::create_dir(&other).unwrap();
            assert!(first.commit_both(second).is_err());
            assert_eq!(fs::read_to_string(&one).ok().as_deref(), want);
            fs::remove_dir(&other).unwrap();
            let _ = fs::remove_file(&one);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no temporary files");
        }
        let (first, second) = (one.clone(), other.clone());
        let create = |path: &Path| Output::create(path, Secrecy::Public, false, &[]).unwrap();
        create(&first).commit_both(create(&second)).unwrap();
        assert!(one.is_file() && other.is_file());
    }
}
