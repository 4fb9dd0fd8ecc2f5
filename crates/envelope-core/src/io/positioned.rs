//! Reading and writing a file at positions, from several threads at once.

use std::{fs::File, io};

/// Reads and writes at a position, under one name on every platform. The file's cursor may or may
/// not move: do not rely on it.
pub trait PositionedFile {
    /// Reads up to `bytes.len()` bytes from position `at` on. Returns 0 at the end of the file.
    ///
    /// # Errors
    /// Any error of the operating system.
    fn read_some_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes some of `bytes` from position `at` on.
    ///
    /// # Errors
    /// Any error of the operating system.
    fn write_some_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;

    /// Fills `bytes` from position `at` on.
    ///
    /// # Errors
    /// Any error of the operating system, and [`io::ErrorKind::UnexpectedEof`].
    fn read_fully_at(&self, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.read_some_at(bytes, at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    bytes = bytes.get_mut(read..).unwrap_or_default();
                    at = at.saturating_add(read as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes` from position `at` on.
    ///
    /// # Errors
    /// Any error of the operating system.
    fn overwrite_at(&self, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_some_at(bytes, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    at = at.saturating_add(written as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
impl PositionedFile for File {
    fn read_some_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, bytes, at)
    }

    fn write_some_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(self, bytes, at)
    }
}

#[cfg(windows)]
impl PositionedFile for File {
    fn read_some_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, bytes, at)
    }

    fn write_some_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(self, bytes, at)
    }
}
