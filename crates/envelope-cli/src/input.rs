//! What the command reads.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

use crate::failure::Failure;

/// A file, or standard input.
pub(crate) enum Input {
    File(File),
    Stdin(io::Stdin),
}

impl Input {
    /// Opens a path; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if is_dash(path) {
            return Ok(Self::Stdin(io::stdin()));
        }
        let file = File::open(path).map_err(|error| Failure::io(path, &error))?;
        let metadata = file.metadata().map_err(|error| Failure::io(path, &error))?;
        if metadata.is_dir() {
            return Err(Failure::io(path, &io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self::File(file))
    }

    /// How many bytes there are, where that can be known.
    pub(crate) fn len(&self) -> Option<u64> {
        match self {
            Self::File(file) => {
                file.metadata().ok().filter(std::fs::Metadata::is_file).map(|m| m.len())
            }
            Self::Stdin(_) => None,
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Stdin(stdin) => stdin.read(buffer),
        }
    }
}

/// Whether a path stands for standard input or output.
pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// All of a small file. It is wiped, because it may be a key.
pub(crate) fn read_small(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    const MOST: usize = 1 << 20;
    let mut input = Input::open(path)?;
    // Not grown, because growing leaves a copy behind.
    let mut bytes = Zeroizing::new(vec![0; MOST]);
    let mut len = 0;
    loop {
        let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) else {
            return Err(Failure::usage(
                format_args!("{}: larger than 1 MiB", path.display()),
                "key files, header files and passphrases are small; is it the right file?",
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
