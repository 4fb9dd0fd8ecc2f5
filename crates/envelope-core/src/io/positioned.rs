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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Takes three bytes at a time, and fails before the byte at `fault`, once.
    struct Slow {
        bytes: RefCell<Vec<u8>>,
        fault: Cell<Option<(u64, io::ErrorKind)>>,
    }

    impl Slow {
        fn new(len: u8, fault: Option<(u64, io::ErrorKind)>) -> Self {
            Self { bytes: RefCell::new((0..len).collect()), fault: Cell::new(fault) }
        }

        /// The positions that a call takes.
        fn taken(&self, len: usize, at: u64) -> io::Result<std::ops::Range<usize>> {
            let fault = self.fault.get().filter(|(fault, _)| *fault <= at);
            if let Some((_, kind)) = fault {
                self.fault.set(None);
                return Err(kind.into());
            }
            let start = usize::try_from(at).unwrap().min(self.bytes.borrow().len());
            Ok(start..(start + len.min(3)).min(self.bytes.borrow().len()))
        }
    }

    impl PositionedFile for Slow {
        fn read_some_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
            let taken = self.taken(bytes.len(), at)?;
            bytes[..taken.len()].copy_from_slice(&self.bytes.borrow()[taken.clone()]);
            Ok(taken.len())
        }

        fn write_some_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
            let taken = self.taken(bytes.len(), at)?;
            self.bytes.borrow_mut()[taken.clone()].copy_from_slice(&bytes[..taken.len()]);
            Ok(taken.len())
        }
    }

    #[test]
    fn whatever_is_taken_at_a_time_all_of_it_is() {
        for fault in [None, Some((6, io::ErrorKind::Interrupted))] {
            let mut read = [0; 10];
            Slow::new(20, fault).read_fully_at(&mut read, 5).unwrap();
            assert_eq!(read, [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
            let file = Slow::new(20, fault);
            file.overwrite_at(&[99; 10], 5).unwrap();
            let bytes = file.bytes.into_inner();
            assert_eq!(bytes[..6], [0, 1, 2, 3, 4, 99]);
            assert_eq!(bytes[14..], [99, 15, 16, 17, 18, 19]);
        }
    }

    #[test]
    fn other_errors_and_the_end_are_final() {
        let kind = |outcome: io::Result<()>| outcome.unwrap_err().kind();
        let fault = Some((6, io::ErrorKind::TimedOut));
        let mut read = [0; 10];
        assert_eq!(kind(Slow::new(20, fault).read_fully_at(&mut read, 5)), io::ErrorKind::TimedOut);
        assert_eq!(kind(Slow::new(20, fault).overwrite_at(&read, 5)), io::ErrorKind::TimedOut);
        let short = Slow::new(14, None);
        assert_eq!(kind(short.read_fully_at(&mut read, 5)), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(short.overwrite_at(&read, 5)), io::ErrorKind::WriteZero);
    }
}
