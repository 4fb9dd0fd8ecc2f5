//! Readers that encrypt or decrypt.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use zeroize::Zeroizing;

use super::{CHUNK, ROOM, invalid, poisoned};
use crate::{BodyDecryptor, BodyEncryptor, PlainCheck, body::Transform};

/// A reader that encrypts the bytes read from an inner reader.
///
/// It cannot seek: applying the same keystream again after the file has changed would reveal both
/// versions.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct EncryptReader<R>(CipherReader<R, BodyEncryptor>);

/// A reader that decrypts the bytes read from an inner reader. **Its output is unverified until the
/// end of file.**
///
/// It can seek if the inner reader can, provided that the cipher is a plain keystream and no
/// [check](Self::with_check) needs to see every byte.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, Dialect, Encryptor, Keyring, io::EncryptReader};
/// use std::io::Read as _;
///
/// use envelope_core::{Decryptor, PlainCheck, io::DecryptReader};
///
/// # let key = AesKeyWrapper::generate()?;
/// # let (envelope, cipher) =
/// #     Encryptor::new(&key, Dialect::COS_V2).with_plain_len(6).encrypt()?.into_inner();
/// # let body = EncryptReader::new(&b"a file"[..], cipher);
/// # let decryptor = Decryptor::new(&Keyring::new().with(key));
/// let mut reader = DecryptReader::new(body, decryptor.decrypt(&envelope)?)
///     .with_check(PlainCheck::new(&envelope)); // or `decryptor.reader(&envelope, body)?`
/// let mut plain = String::new();
/// reader.read_to_string(&mut plain)?;
/// assert_eq!(plain, "a file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct DecryptReader<R>(CipherReader<R, BodyDecryptor>);

impl<R> EncryptReader<R> {
    /// Creates a reader that encrypts the bytes of `inner`, with a cipher (from its start) or a
    /// keystream at a position.
    pub fn new(inner: R, cipher: impl Into<BodyEncryptor>) -> Self {
        Self(CipherReader::new(inner, cipher.into()))
    }

    /// Returns the inner reader. Bytes that were read from it but not returned are lost.
    pub fn into_inner(self) -> R {
        self.0.inner
    }
}

impl<R> DecryptReader<R> {
    /// Creates a reader that decrypts the bytes of `inner`, with a cipher (from its start) or a
    /// keystream at a position.
    pub fn new(inner: R, cipher: impl Into<BodyDecryptor>) -> Self {
        Self(CipherReader::new(inner, cipher.into()))
    }

    /// Checks the plaintext while it is read. At the end, an
    /// [`IntegrityError`](crate::IntegrityError) is returned as an [`io::Error`] of kind
    /// `InvalidData`.
    #[must_use]
    pub fn with_check(mut self, check: PlainCheck) -> Self {
        self.0.transform = self.0.transform.map(|transform| transform.with_check(check));
        self
    }

    /// Returns the inner reader. Bytes that were read from it but not returned are lost.
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

struct CipherReader<R, T> {
    inner: R,
    /// Consumed by the end of a body whose last bytes are held back.
    transform: Option<T>,
    /// The output that is ready, the first `gone` bytes of which have been read. Unused for a plain
    /// keystream.
    ready: Zeroizing<Vec<u8>>,
    gone: usize,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Open,
    Ended,
    Poisoned,
}

impl<R, T> CipherReader<R, T> {
    fn new(inner: R, transform: T) -> Self {
        let ready = Zeroizing::new(Vec::new());
        Self { inner, transform: Some(transform), ready, gone: 0, state: State::Open }
    }
}

impl<R: Read, T: Transform> CipherReader<R, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.state == State::Poisoned {
                return Err(poisoned());
            }
            let waiting = self.ready.get(self.gone..).unwrap_or_default();
            if !waiting.is_empty() {
                let len = waiting.len().min(buffer.len());
                for (to, from) in buffer.iter_mut().zip(waiting) {
                    *to = *from;
                }
                self.gone = self.gone.saturating_add(len);
                return Ok(len);
            }
            if self.state == State::Ended {
                return Ok(0);
            }
            // If the inner reader panics, `ready` holds bytes that were not transformed.
            self.state = State::Poisoned;
            match self.step(buffer) {
                Ok((step, state)) => {
                    self.state = state;
                    if step > 0 {
                        return Ok(step);
                    }
                }
                Err(error) => {
                    self.ready.clear();
                    // No other error kind guarantees that nothing was read.
                    if error.kind() == ErrorKind::Interrupted {
                        self.state = State::Open;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Reads once. Fills part of `buffer` and returns how much, or fills `self.ready`, or ends.
    fn step(&mut self, buffer: &mut [u8]) -> io::Result<(usize, State)> {
        let Some(transform) = &mut self.transform else {
            return Ok((0, State::Ended));
        };
        if let Some(keystream) = transform.keystream() {
            let read = self.inner.read(buffer)?;
            let data = buffer.get_mut(..read).ok_or_else(overstated)?;
            keystream.try_apply(data).map_err(io::Error::other)?;
            return Ok((read, if read == 0 { State::Ended } else { State::Open }));
        }

        self.gone = 0;
        let missing = (CHUNK + ROOM).saturating_sub(self.ready.len());
        self.ready.reserve(missing);
        self.ready.resize(CHUNK, 0);
        let outcome = self.inner.read(&mut self.ready);
        self.ready.truncate(outcome.as_ref().copied().unwrap_or_default());
        let read = outcome?;
        if read > CHUNK {
            return Err(overstated());
        }
        if read > 0 {
            transform.update(&mut self.ready).map_err(invalid)?;
        } else if let Some(transform) = self.transform.take() {
            self.ready = transform.finish().map_err(invalid)?;
        }
        Ok((0, State::Open))
    }
}

fn overstated() -> io::Error {
    io::Error::other("the inner reader reported more bytes than the buffer holds")
}

impl<R: Read + Seek> CipherReader<R, BodyDecryptor> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let keystream = self.transform.as_mut().and_then(Transform::keystream);
        let keystream = match (&self.state, keystream) {
            (State::Poisoned, _) => return Err(poisoned()),
            (_, Some(keystream)) => keystream,
            _ => return Err(ErrorKind::Unsupported.into()),
        };
        // The inner reader may hold only a piece of the object, so its position differs from that
        // of the keystream by a constant.
        let before = self.inner.stream_position()?;
        let lead = keystream.position().wrapping_sub(before);
        let after = self.inner.seek(to).inspect_err(|_| self.state = State::Poisoned)?;
        keystream.seek(after.wrapping_add(lead));
        self.state = State::Open;
        Ok(after)
    }
}
