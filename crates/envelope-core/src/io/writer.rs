//! Writers that encrypt or decrypt.

use std::io::{self, Write};

use zeroize::Zeroizing;

use super::poisoned;
use crate::Keystream;

/// A writer that encrypts what is written to it. You **MUST** call [`finish`](Self::finish): it is
/// what flushes the inner writer and tells of its errors.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct EncryptWriter<W>(CipherWriter<W>);

/// A writer that decrypts what is written to it. **Not authenticated.** You **MUST** call
/// [`finish`](Self::finish): it is what flushes the inner writer and tells of its errors.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct DecryptWriter<W>(CipherWriter<W>);

impl<W: Write> EncryptWriter<W> {
    /// Encrypts into `inner`, with a cipher (from its start) or a keystream at a position.
    pub fn new(inner: W, keystream: impl Into<Keystream>) -> Self {
        Self(CipherWriter::new(inner, keystream.into()))
    }

    /// Flushes, and gives the inner writer back.
    ///
    /// # Errors
    /// Of the inner writer, and if an earlier write has failed.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> DecryptWriter<W> {
    /// Decrypts into `inner`, with a cipher (from its start) or a keystream at a position.
    pub fn new(inner: W, keystream: impl Into<Keystream>) -> Self {
        Self(CipherWriter::new(inner, keystream.into()))
    }

    /// Flushes, and gives the inner writer back.
    ///
    /// # Errors
    /// Of the inner writer, and if an earlier write has failed.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for EncryptWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.inner.flush()
    }
}

impl<W: Write> Write for DecryptWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.inner.flush()
    }
}

struct CipherWriter<W> {
    inner: W,
    keystream: Keystream,
    buffer: Zeroizing<Vec<u8>>,
    poisoned: bool,
}

impl<W: Write> CipherWriter<W> {
    /// Fits the second-level cache beside whatever else is there.
    const CHUNK: usize = 64 * 1024;

    fn new(inner: W, keystream: Keystream) -> Self {
        let buffer = Zeroizing::new(vec![0; Self::CHUNK]);
        Self { inner, keystream, buffer, poisoned: false }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.poisoned {
            return Err(poisoned());
        }
        let (Some(out), Some(data)) = (
            self.buffer.get_mut(..data.len().min(Self::CHUNK)),
            data.get(..data.len().min(Self::CHUNK)),
        ) else {
            return Ok(0);
        };
        out.copy_from_slice(data);
        self.keystream.apply(out);
        // All or nothing: a short write would lose the place in the keystream.
        self.inner.write_all(out).inspect_err(|_| self.poisoned = true)?;
        Ok(data.len())
    }

    fn finish(mut self) -> io::Result<W> {
        if self.poisoned {
            return Err(poisoned());
        }
        self.inner.flush()?;
        Ok(self.inner)
    }
}
