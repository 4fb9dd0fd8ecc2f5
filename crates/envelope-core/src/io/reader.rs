//! Readers that encrypt or decrypt.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use super::poisoned;
use crate::Keystream;

/// A reader whose bytes are encrypted as they are read.
///
/// It cannot seek: the same keystream over a file that has changed in between would give away both.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct EncryptReader<R>(CipherReader<R>);

/// A reader whose bytes are decrypted as they are read. **Not authenticated.**
///
/// It seeks where the inner reader does.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct DecryptReader<R>(CipherReader<R>);

impl<R> EncryptReader<R> {
    /// Encrypts what `inner` yields, with a cipher (from its start) or a keystream at a position.
    pub fn new(inner: R, keystream: impl Into<Keystream>) -> Self {
        Self(CipherReader::new(inner, keystream.into()))
    }

    /// The inner reader.
    pub fn into_inner(self) -> R {
        self.0.inner
    }
}

impl<R> DecryptReader<R> {
    /// Decrypts what `inner` yields, with a cipher (from its start) or a keystream at a position.
    pub fn new(inner: R, keystream: impl Into<Keystream>) -> Self {
        Self(CipherReader::new(inner, keystream.into()))
    }

    /// The inner reader.
    pub fn into_inner(self) -> R {
        self.0.inner
    }
}

impl<R: Read> Read for EncryptReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Read for DecryptReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read + Seek> Seek for DecryptReader<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

struct CipherReader<R> {
    inner: R,
    keystream: Keystream,
    poisoned: bool,
}

impl<R> CipherReader<R> {
    const fn new(inner: R, keystream: Keystream) -> Self {
        Self { inner, keystream, poisoned: false }
    }
}

impl<R: Read> CipherReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.poisoned {
            return Err(poisoned());
        }
        let read = self.inner.read(buffer).inspect_err(|error| {
            // Only this one promises that nothing was read.
            self.poisoned = error.kind() != ErrorKind::Interrupted;
        })?;
        let data = buffer.get_mut(..read).ok_or_else(|| {
            self.poisoned = true;
            io::Error::other("the inner reader claims more than the buffer holds")
        })?;
        self.keystream.apply(data);
        Ok(read)
    }
}

impl<R: Seek> CipherReader<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if self.poisoned {
            return Err(poisoned());
        }
        // The inner reader may hold only a piece of the object; the distance stays the same.
        let before = self.inner.stream_position()?;
        let lead = self.keystream.position().wrapping_sub(before);
        let after = self.inner.seek(to).inspect_err(|_| self.poisoned = true)?;
        self.keystream.seek(after.wrapping_add(lead));
        Ok(after)
    }
}
