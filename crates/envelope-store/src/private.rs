//! Files that are their owner's alone.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use crate::TransferError;

/// A link that somebody laid there is not followed.
#[expect(clippy::cast_possible_wrap, reason = "flags")]
const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// Makes a file that only its owner can read, or empties one that is so, and locks it. A link is not followed.
///
/// # Errors
/// [`TransferError::Locked`] if another process has it in hand; the file cannot be made, or is somebody else's.
pub fn create_private(path: &Path) -> Result<File, TransferError> {
    let file = open_private(path)?;
    file.set_len(0)?;
    Ok(file)
}

/// Opens such a file, or makes it, and locks it.
pub(crate) fn open_private(path: &Path) -> Result<File, TransferError> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = own(options.custom_flags(NOFOLLOW).open(path)?)?;
    file.try_lock().map_err(|_| TransferError::Locked)?;
    Ok(file)
}

/// What others could have put there is not gone on with.
fn own(file: File) -> io::Result<File> {
    let metadata = file.metadata()?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if ours && metadata.is_file() && metadata.mode() & 0o077 == 0 {
        return Ok(file);
    }
    let words = "the file of an earlier download is not this user's alone";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
}
