//! A second read of a body, of which nothing is released that the first one did not verify.

use std::io::{self, Read};

use zeroize::Zeroizing;

use super::{invalid, poisoned};
use crate::{IntegrityError, NoRandomness, key::random};

/// The number of bytes that are compared at a time.
const PIECE: usize = 1 << 20;

/// The hashes of the pieces of a body that was read once, to read it again.
///
/// A store can answer differently each time. Whoever has verified a body, and then wants to use it
/// without having kept it, reads it again through [`second`](SecondRead::second): a piece of 1 MiB
/// is released if it is the same as before.
///
/// ```
/// use std::io::Read as _;
///
/// use envelope_core::io::FirstRead;
///
/// let body = vec![7; 3_000_000];
/// let mut first = FirstRead::new()?;
/// body.chunks(4096).for_each(|piece| first.update(piece)); // and verify it
/// let mut again = Vec::new();
/// first.finish().second(&body[..]).read_to_end(&mut again)?;
/// assert!(again == body);
///
/// let mut other = body.clone();
/// other[1_500_000] ^= 1;
/// let mut first = FirstRead::new()?;
/// first.update(&body);
/// let mut released = Vec::new();
/// assert!(first.finish().second(&other[..]).read_to_end(&mut released).is_err());
/// assert_eq!(released.len(), 1 << 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds a secret, which is not printed")]
pub struct FirstRead {
    /// Nobody else can find two pieces with one hash.
    key: Zeroizing<[u8; 32]>,
    hasher: Zeroizing<blake3::Hasher>,
    within: usize,
    pieces: Vec<[u8; 32]>,
}

impl FirstRead {
    /// Starts the first read.
    ///
    /// # Errors
    /// If the operating system provides no randomness.
    pub fn new() -> Result<Self, NoRandomness> {
        let key = random()?;
        let hasher = Zeroizing::new(blake3::Hasher::new_keyed(&key));
        Ok(Self { key, hasher, within: 0, pieces: Vec::new() })
    }

    /// Feeds the next bytes of the body.
    pub fn update(&mut self, mut body: &[u8]) {
        while !body.is_empty() {
            let (bytes, rest) = body.split_at(body.len().min(PIECE.saturating_sub(self.within)));
            self.hasher.update(bytes);
            self.within = self.within.saturating_add(bytes.len());
            body = rest;
            if self.within == PIECE {
                self.end_piece();
            }
        }
    }

    fn end_piece(&mut self) {
        self.pieces.push(self.hasher.finalize().into());
        self.hasher.reset();
        self.within = 0;
    }

    /// Ends the first read.
    #[must_use]
    pub fn finish(mut self) -> SecondRead {
        if self.within > 0 {
            self.end_piece();
        }
        SecondRead { key: self.key, pieces: self.pieces.into_iter() }
    }
}

/// The second read of a body.
#[expect(missing_debug_implementations, reason = "holds a secret, which is not printed")]
pub struct SecondRead {
    key: Zeroizing<[u8; 32]>,
    pieces: std::vec::IntoIter<[u8; 32]>,
}

impl SecondRead {
    /// The length of every piece but the last one, which may be shorter.
    pub const PIECE: usize = PIECE;

    /// Returns whether this is the next piece of the body. At the end of the body, that is an empty
    /// one.
    #[must_use]
    pub fn admits(&mut self, piece: &[u8]) -> bool {
        match self.pieces.next() {
            Some(want) => blake3::keyed_hash(&self.key, piece) == want,
            None => piece.is_empty(),
        }
    }

    /// Returns a reader of the same body.
    pub fn second<R: Read>(self, body: R) -> SecondReader<R> {
        SecondReader { body, check: self, piece: Vec::new(), gone: 0, poisoned: false }
    }
}

/// A reader that releases only what was there before.
#[expect(missing_debug_implementations, reason = "holds a secret, which is not printed")]
pub struct SecondReader<R> {
    body: R,
    check: SecondRead,
    piece: Vec<u8>,
    gone: usize,
    poisoned: bool,
}

impl<R: Read> Read for SecondReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.poisoned {
            return Err(poisoned());
        }
        if self.gone == self.piece.len() && !buffer.is_empty() {
            self.poisoned = true;
            self.piece.clear();
            self.gone = 0;
            (&mut self.body).take(PIECE as u64).read_to_end(&mut self.piece)?;
            if !self.check.admits(&self.piece) {
                return Err(invalid(IntegrityError::Changed));
            }
            self.poisoned = false;
        }
        let waiting = self.piece.get(self.gone..).unwrap_or_default();
        let len = waiting.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(waiting) {
            *to = *from;
        }
        self.gone = self.gone.saturating_add(len);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(first: &[u8], second: &[u8]) -> (io::Result<usize>, Vec<u8>) {
        let mut read = FirstRead::new().unwrap();
        first.chunks(70_001).for_each(|piece| read.update(piece));
        let mut released = Vec::new();
        let outcome = read.finish().second(second).read_to_end(&mut released);
        (outcome, released)
    }

    #[test]
    fn nothing_else_is_released() {
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5] {
            let body: Vec<u8> = (0..=250).cycle().take(len).collect();
            let (outcome, released) = second(&body, &body);
            assert_eq!(outcome.unwrap(), len);
            assert!(released == body, "{len}");
            for at in [0, len / 2, len.saturating_sub(1)].into_iter().filter(|at| *at < len) {
                let mut other = body.clone();
                other[at] ^= 1;
                let (outcome, released) = second(&body, &other);
                assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::InvalidData);
                assert!(released == body[..at / PIECE * PIECE], "{len} {at}");
                assert!(second(&body, &body[..at]).0.is_err(), "{len} {at}");
            }
            let longer = [body.clone(), vec![0]].concat();
            let (outcome, released) = second(&body, &longer);
            assert!(outcome.is_err() && body.starts_with(&released), "{len}");
        }
    }

    /// A piece that failed is not released by asking again.
    #[test]
    fn an_error_is_final() {
        let body = vec![7; 2 * PIECE];
        let mut first = FirstRead::new().unwrap();
        first.update(&body);
        let mut other = body;
        other[5] ^= 1;
        let mut reader = first.finish().second(&other[..]);
        assert!(reader.read(&mut [0; 10]).is_err());
        assert!(reader.read(&mut [0; 10]).is_err(), "the second piece is not the third");
        assert!(reader.read(&mut [0; 10]).is_err());
    }
}
