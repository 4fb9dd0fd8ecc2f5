//! Writers that encrypt or decrypt.

use std::io::{self, Write};

use zeroize::Zeroizing;

use super::{CHUNK, ROOM, invalid, poisoned};
use crate::{BodyDecryptor, BodyEncryptor, PlainCheck, body::Transform};

/// A writer that encrypts the bytes written to it. You **MUST** call [`finish`](Self::finish): it
/// writes the last bytes, flushes the inner writer and reports its errors.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct EncryptWriter<W>(CipherWriter<W, BodyEncryptor>);

/// A writer that decrypts the bytes written to it. **Its output is unverified until the end**: you
/// **MUST** call [`finish`](Self::finish), which writes the last bytes and reports whether the body
/// was intact.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct DecryptWriter<W>(CipherWriter<W, BodyDecryptor>);

impl<W: Write> EncryptWriter<W> {
    /// Creates a writer that encrypts into `inner`, with a cipher (from its start) or a keystream
    /// at a position.
    pub fn new(inner: W, cipher: impl Into<BodyEncryptor>) -> Self {
        Self(CipherWriter::new(inner, cipher.into()))
    }

    /// Writes the remaining bytes, flushes, and returns the inner writer.
    ///
    /// # Errors
    /// If the inner writer fails, or an earlier write has failed.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> DecryptWriter<W> {
    /// Creates a writer that decrypts into `inner`, with a cipher (from its start) or a keystream
    /// at a position.
    pub fn new(inner: W, cipher: impl Into<BodyDecryptor>) -> Self {
        Self(CipherWriter::new(inner, cipher.into()))
    }

    /// Checks the plaintext while it is written; see [`finish`](Self::finish).
    #[must_use]
    pub fn with_check(mut self, check: PlainCheck) -> Self {
        self.0.transform = self.0.transform.with_check(check);
        self
    }

    /// Writes the remaining bytes, checks, flushes, and returns the inner writer.
    ///
    /// # Errors
    /// If the inner writer fails, or an earlier write has failed. An
    /// [`IntegrityError`](crate::IntegrityError) is returned as an [`io::Error`] of kind
    /// `InvalidData`.
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

struct CipherWriter<W, T> {
    inner: W,
    transform: T,
    buffer: Zeroizing<Vec<u8>>,
    poisoned: bool,
}

impl<W: Write, T: Transform> CipherWriter<W, T> {
    fn new(inner: W, transform: T) -> Self {
        let buffer = Zeroizing::new(Vec::with_capacity(CHUNK + ROOM));
        Self { inner, transform, buffer, poisoned: false }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.poisoned {
            return Err(poisoned());
        }
        let data = data.get(..data.len().min(CHUNK)).unwrap_or_default();
        let mut step = || {
            if let Some(keystream) = self.transform.keystream() {
                // The buffer keeps its length between calls, so that it is not zeroed each time.
                self.buffer.resize(data.len(), 0);
                keystream.try_apply_to(data, &mut self.buffer).map_err(io::Error::other)?;
            } else {
                self.buffer.clear();
                self.buffer.extend_from_slice(data);
                self.transform.update(&mut self.buffer).map_err(invalid)?;
            }
            // All or nothing: a short write would lose the place in the keystream.
            self.inner.write_all(&self.buffer)
        };
        // Set beforehand, so that a panic of the inner writer poisons, too.
        self.poisoned = true;
        step()?;
        self.poisoned = false;
        Ok(data.len())
    }

    fn finish(mut self) -> io::Result<W> {
        if self.poisoned {
            return Err(poisoned());
        }
        let last = self.transform.finish().map_err(invalid)?;
        self.inner.write_all(&last)?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}
