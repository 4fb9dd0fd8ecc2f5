//! Streams with the faults of real ones: short reads and writes, interruptions, errors.

use std::io::{self, ErrorKind, Read, Write};

/// A reader that returns a few bytes per call, with an interruption before each.
#[derive(Debug)]
pub struct ShortReader<R> {
    inner: R,
    most: usize,
    interrupt: bool,
}

impl<R> ShortReader<R> {
    /// Creates a reader that returns at most `most` bytes per call.
    pub const fn new(inner: R, most: usize) -> Self {
        Self { inner, most, interrupt: false }
    }
}

impl<R: Read> Read for ShortReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        if self.interrupt {
            return Err(ErrorKind::Interrupted.into());
        }
        let most = self.most.min(buffer.len());
        self.inner.read(buffer.get_mut(..most).unwrap_or_default())
    }
}

/// A reader that fails once after a number of bytes and then continues normally.
#[derive(Debug)]
pub struct FaultyReader<R> {
    inner: R,
    left: Option<usize>,
}

impl<R> FaultyReader<R> {
    /// Creates a reader that fails after `after` bytes.
    pub const fn new(inner: R, after: usize) -> Self {
        Self { inner, left: Some(after) }
    }
}

impl<R: Read> Read for FaultyReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.left else { return self.inner.read(buffer) };
        if left == 0 {
            self.left = None;
            return Err(ErrorKind::ConnectionReset.into());
        }
        let most = left.min(buffer.len());
        let read = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left = Some(left.saturating_sub(read));
        Ok(read)
    }
}

/// A writer that accepts a few bytes per call, with an interruption before each, and fails at a
/// limit.
#[derive(Debug)]
pub struct ShortWriter {
    /// The bytes written so far.
    pub written: Vec<u8>,
    most: usize,
    limit: usize,
    interrupt: bool,
}

impl ShortWriter {
    /// Creates a writer that accepts at most `most` bytes per call and `limit` in total.
    #[must_use]
    pub const fn new(most: usize, limit: usize) -> Self {
        Self { written: Vec::new(), most, limit, interrupt: false }
    }
}

impl Write for ShortWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        if self.interrupt {
            return Err(ErrorKind::Interrupted.into());
        }
        let room = self.limit.saturating_sub(self.written.len());
        if room == 0 && !data.is_empty() {
            return Err(ErrorKind::StorageFull.into());
        }
        let data = data.get(..data.len().min(self.most).min(room)).unwrap_or_default();
        self.written.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
