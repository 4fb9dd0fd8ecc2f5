//! Files that only their owner can access.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use crate::TransferError;

/// Refuses a symbolic link that another user may have planted.
#[expect(clippy::cast_possible_wrap, reason = "bit flags")]
const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// Creates a file that only its owner can access, or truncates an existing one, and locks it.
/// Symbolic links are not followed.
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
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = own(options.custom_flags(NOFOLLOW).open(path)?)?;
    file.try_lock().map_err(|_| TransferError::Locked)?;
    Ok(file)
}

/// Rejects a file that another user could have prepared.
fn own(file: File) -> io::Result<File> {
    let metadata = file.metadata()?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if ours && metadata.is_file() && metadata.mode() & 0o077 == 0 {
        return Ok(file);
    }
    let words = "the existing file is not private to this user";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
}
