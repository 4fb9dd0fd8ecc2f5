//! Files that only their owner can access.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use crate::TransferError;

/// How often a file is opened that another process keeps renaming.
const ATTEMPTS: u32 = 100;

/// Creates a file that only its owner can access, or truncates an existing one, and locks it.
/// Symbolic links are not followed. Where there are no Unix permissions, the file has those of its
/// folder.
///
/// # Errors
/// [`TransferError::Locked`] if another process has locked the file; [`TransferError::Io`] if it
/// cannot be created, or if other users own it or have access to it.
pub fn create_private(path: &Path) -> Result<File, TransferError> {
    let file = open_private(path)?;
    file.set_len(0)?;
    Ok(file)
}

/// Opens or creates such a file without truncating it, and locks it.
pub(crate) fn open_private(path: &Path) -> Result<File, TransferError> {
    for _ in 0..ATTEMPTS {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        let file = unix::open(options, path)?;
        #[cfg(not(unix))]
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(TransferError::Locked),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // The process that held the lock a moment ago may have given the file its final name, or
        // removed it. Then this is not the file of that path any more.
        if is_still_at(&file, path) {
            return Ok(file);
        }
    }
    Err(TransferError::Locked)
}

#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().ok().map(id) == path.symlink_metadata().ok().map(id)
}

#[cfg(not(unix))]
fn is_still_at(_: &File, path: &Path) -> bool {
    // An open file keeps its name.
    path.exists()
}

#[cfg(unix)]
mod unix {
    use std::{
        fs::{File, OpenOptions},
        io,
        os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
        path::Path,
    };

    /// Refuses a symbolic link that another user may have planted.
    #[expect(clippy::cast_possible_wrap, reason = "bit flags")]
    const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

    /// Opens the file, and rejects one that another user could have prepared.
    pub(super) fn open(mut options: OpenOptions, path: &Path) -> io::Result<File> {
        let file = options.mode(0o600).custom_flags(NOFOLLOW).open(path)?;
        let metadata = file.metadata()?;
        let ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if ours && metadata.is_file() && metadata.mode() & 0o077 == 0 {
            return Ok(file);
        }
        let words = "the existing file is not private to this user";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
    }
}
