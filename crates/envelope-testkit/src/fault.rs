//! Streams that misbehave as the world does.

use std::io::{self, ErrorKind, Read, Write};

/// Reads a few bytes at a time, with an interruption before each.
#[derive(Debug)]
pub struct ShortReader<R> {
    inner: R,
    most: usize,
    interrupt: bool,
}

impl<R> ShortReader<R> {
    /// Reads at most `most` bytes a call.
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

/// Fails once after so many bytes, then goes on as if nothing had been.
#[derive(Debug)]
pub struct FaultyReader<R> {
    inner: R,
    left: Option<usize>,
}

impl<R> FaultyReader<R> {
    /// Fails after `after` bytes.
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

/// Writes a few bytes at a time, with an interruption before each, and fails at a limit.
#[derive(Debug)]
pub struct ShortWriter {
    /// What has been written.
    pub written: Vec<u8>,
    most: usize,
    limit: usize,
    interrupt: bool,
}

impl ShortWriter {
    /// Writes at most `most` bytes a call, and `limit` in all.
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
