//! Inputs of the command.

use std::{
    fs::File,
    io::{self, Read, Seek as _},
    path::Path,
};

use zeroize::Zeroizing;

use crate::{
    args::Passphrase,
    failure::{Code, Failure, warn},
};

/// A file, or standard input.
pub(crate) enum Input {
    File(File),
    Stdin(File),
}

impl Input {
    /// Opens a path; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if is_dash(path) {
            let stdin = standard(io::stdin()).map_err(|error| Failure::io(path, &error))?;
            return Ok(Self::Stdin(stdin));
        }
        let file = File::open(path).map_err(|error| Failure::io(path, &error))?;
        let metadata = file.metadata().map_err(|error| Failure::io(path, &error))?;
        if metadata.is_dir() {
            return Err(Failure::io(path, &io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self::File(file))
    }

    /// Returns the length in bytes, if it can be known.
    pub(crate) fn len(&self) -> Option<u64> {
        let Self::File(file) = self else { return None };
        let len = file.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
        // Files that the kernel generates on reading, such as those in /proc, claim to be empty.
        (len > 0 || is_at_end(file)).then_some(len)
    }

    /// Rewinds to the start, for a second pass.
    pub(crate) fn rewind(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) | Self::Stdin(file) => file.rewind(),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) | Self::Stdin(file) => file.read(buffer),
        }
    }
}

/// Returns `true` if a path stands for standard input or output.
pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Rejects several inputs from standard input, of which each would get only a part, or nothing.
pub(crate) fn check_one_stdin<'a>(
    paths: impl IntoIterator<Item = &'a Path>,
    passphrase: &'a Passphrase,
) -> Result<(), Failure> {
    let is_stdin = |path: &&Path| {
        is_dash(path) || ["/dev/stdin", "/dev/fd/0"].iter().any(|name| *path == Path::new(name))
    };
    let file = passphrase.passphrase_file.as_deref();
    let claims = paths.into_iter().chain(file).filter(is_stdin).count();
    if claims + usize::from(passphrase.passphrase_fd == Some(0)) > 1 {
        return Err(Failure::usage(
            "standard input is used more than once",
            "read all but one from files",
        ));
    }
    Ok(())
}

/// Returns a standard stream as a file. The streams of the standard library treat a closed
/// descriptor as an empty one, and would lose data silently.
#[cfg(unix)]
pub(crate) fn standard(stream: impl std::os::fd::AsFd) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

/// Returns a standard stream as a file.
#[cfg(windows)]
pub(crate) fn standard(stream: impl std::os::windows::io::AsHandle) -> io::Result<File> {
    stream.as_handle().try_clone_to_owned().map(File::from)
}

fn is_at_end(mut file: &File) -> bool {
    let end = matches!(file.read(&mut [0]), Ok(0));
    end || file.rewind().is_err()
}

/// What a file with a secret is given for, and with which option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    /// A master key, or a key for server-side encryption.
    Key,
    Passphrase,
}

/// Reads a small file that holds a secret.
///
/// The name of a file that does not exist may be the secret itself, which somebody has given in
/// place of a file, so it is not shown. Only a key cannot have a dot, and files of keys often do;
/// so do the folders to which a profile relates what it says.
pub(crate) fn read_secret(path: &Path, secret: Secret) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let text = path.to_string_lossy();
    let has_dot = path.file_name().is_some_and(|name| name.to_string_lossy().contains('.'));
    let is_path = secret == Secret::Key && has_dot && !text.contains("-----");
    let exists = match path.metadata() {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    };
    if is_dash(path) || exists || is_path {
        return read_small(path);
    }
    let option = match secret {
        Secret::Key => "a key",
        Secret::Passphrase => "a passphrase",
    };
    Err(Failure::new(
        Code::Io,
        format_args!(
            "the file given for {option} does not exist; its name may be a secret, and is \
                      not shown"
        ),
        "specify the path of a file that holds the secret, not the secret itself; if this was one, \
         it is in the history of your shell",
    ))
}

/// Warns if other users can read a file that holds a secret.
pub(crate) fn warn_if_exposed(path: &Path) {
    if let Some(mode) = mode_of(path).filter(|mode| mode & 0o044 != 0) {
        warn(format_args!(
            "{}: other users can read this file, which holds a secret (mode {mode:04o}); chmod 600",
            path.display()
        ));
    }
}

/// Returns the permissions of a file, if it is one.
#[cfg(unix)]
fn mode_of(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some(metadata.permissions().mode() & 0o7777)
}

/// Returns `None`, because files have no such permissions here.
#[cfg(not(unix))]
fn mode_of(_: &Path) -> Option<u32> {
    None
}

/// Reads a passphrase: a small file without its trailing line break.
pub(crate) fn read_text_line(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = read_secret(path, Secret::Passphrase)?;
    warn_if_exposed(path);
    drop_line_end(&mut bytes);
    Ok(bytes)
}

pub(crate) fn drop_line_end(bytes: &mut Vec<u8>) {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
}

/// Reads a small file into a buffer that is wiped on drop, because it may hold a key.
pub(crate) fn read_small(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    const MOST: usize = 1 << 20;
    let mut input = Input::open(path)?;
    // Allocated at full size, because growing a vector leaves a copy behind.
    let mut bytes = Zeroizing::new(vec![0; MOST]);
    let mut len = 0;
    loop {
        let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) else {
            return Err(Failure::usage(
                format_args!("{}: larger than 1 MiB", path.display()),
                "check that it is the right file: keys, headers and passphrases are small",
            ));
        };
        match input.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::io(path, &error)),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}
