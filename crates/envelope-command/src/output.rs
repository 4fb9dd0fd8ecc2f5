//! The outputs of the command: files that appear only when everything was right, or standard
//! output.

use std::{
    ffi::OsStr,
    fmt::Display,
    fs,
    io::{self, StdoutLock, Write},
    path::{Path, PathBuf},
};

use envelope_store::{OutputFile, OutputOptions, is_same_file};
use serde_json::Value;

use crate::{
    cleanup,
    failure::{Failure, json_lines},
    input::{is_dash, standard},
    own_files,
};

/// The largest authenticated plaintext that is held back in memory until it is verified, where it
/// goes to an output that cannot be taken back.
pub(crate) const MAX_HELD_BACK: u64 = 64 << 20;

/// Prints a line on standard output.
pub(crate) fn print_line(line: &dyn Display) -> Result<(), Failure> {
    write_line(&mut io::stdout().lock(), line)
}

/// Prints a line of JSON on standard output.
pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    print_line(&json_line(value))
}

/// Returns a line of JSON that may be printed.
pub(crate) fn json_line(value: &Value) -> String {
    json_lines(&value.to_string()).into_owned()
}

/// Prints a line on standard output, which the caller has locked.
pub(crate) fn write_line(stdout: &mut StdoutLock<'_>, line: &dyn Display) -> Result<(), Failure> {
    writeln!(stdout, "{line}").map_err(|error| Failure::io("standard output".as_ref(), &error))
}

/// The readers of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Anyone the user's umask allows: ciphertext, metadata, public keys.
    Public,
    /// Only the user: plaintext, private keys.
    Secret,
}

/// An output, whose temporary file is removed when a signal ends the command.
pub(crate) struct Output {
    file: Option<OutputFile>,
    temporary: Option<PathBuf>,
}

impl Output {
    /// Prepares an output; `-` is standard output.
    pub(crate) fn create(
        path: &Path,
        secrecy: Secrecy,
        force: bool,
        inputs: &[&Path],
    ) -> Result<Self, Failure> {
        if is_standard_output(path) {
            let stdout = standard(io::stdout()).map_err(|error| Failure::io(path, &error))?;
            let file = Some(OutputFile::direct(path, stdout));
            return Ok(Self { file, temporary: None });
        }
        let stdin = Path::new("/dev/stdin");
        let inputs = inputs.iter().map(|input| if is_dash(input) { stdin } else { *input });
        let options = OutputOptions::new()
            .with_replace(force)
            .with_private(secrecy == Secrecy::Secret)
            .with_inputs(inputs.chain(own_files::all()));
        let file = OutputFile::create(path, options)?;
        let temporary = file.working_path().map(Path::to_owned);
        if let Some(temporary) = &temporary {
            cleanup::register(temporary);
        }
        Ok(Self { file: Some(file), temporary })
    }

    /// Returns the path that is written.
    pub(crate) fn path(&self) -> &Path {
        self.file.as_ref().map_or(Path::new("-"), OutputFile::path)
    }

    /// Returns the file, if it is one of our own, which may be written in any order.
    pub(crate) fn file(&self) -> Option<&fs::File> {
        self.file.as_ref().and_then(OutputFile::file)
    }

    /// Returns whether nobody sees what is written before [`commit`](Self::commit).
    pub(crate) fn is_held_back(&self) -> bool {
        self.file.as_ref().is_some_and(OutputFile::is_held_back)
    }

    /// Gives a finished output its name.
    pub(crate) fn commit(mut self) -> Result<(), Failure> {
        match self.file.take() {
            Some(file) => Ok(file.commit()?),
            None => Ok(()),
        }
    }

    /// Gives two finished outputs their names: both, or none.
    pub(crate) fn commit_both(mut self, mut other: Self) -> Result<(), Failure> {
        match (self.file.take(), other.file.take()) {
            (Some(one), Some(other)) => Ok(one.commit_both(other)?),
            _ => Ok(()),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            cleanup::forget(temporary);
        }
    }
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(data),
            None => Err(io::ErrorKind::NotFound.into()),
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
    if real(one) == real(other) || is_same_file(one, other) {
        return Err(Failure::usage(
            "the body and the headers are the same file",
            "use two different files",
        ));
    }
    Ok(())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn is_standard_output(path: &Path) -> bool {
    let names = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    is_dash(path) || names.iter().any(|name| path == Path::new(name))
}
