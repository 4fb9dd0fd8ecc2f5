//! Customer keys (SSE-C), with which the store encrypts and which are sent in every request.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::SseError;

/// A 256-bit key that the store uses but does not keep. It is wiped on drop and has no `Debug`.
#[expect(missing_debug_implementations, reason = "secrets must not be printed")]
pub struct CustomerKey(Zeroizing<[u8; 32]>);

impl CustomerKey {
    /// Creates a key from its bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// Reads a key from the contents of a file: the base64 text of its 32 bytes, with any
    /// whitespace around it, or the 32 bytes themselves, perhaps with a line ending. COS documents
    /// keys of 32 letters and digits.
    ///
    /// # Errors
    /// Returns [`SseError::CustomerKey`] for anything else.
    pub fn read(text: &[u8]) -> Result<Self, SseError> {
        let mut bytes = Zeroizing::new([0; 36]);
        let decoded = STANDARD.decode_slice(text.trim_ascii(), &mut bytes[..]);
        if let Ok(32) = decoded
            && let Some(bytes) = bytes.first_chunk()
        {
            return Ok(Self::new(bytes));
        }
        let line = text.strip_suffix(b"\n").filter(|_| text.len() > 32).unwrap_or(text);
        let line = line.strip_suffix(b"\r").filter(|_| line.len() > 32).unwrap_or(line);
        line.try_into().map(Self::new).map_err(|_| SseError::CustomerKey(line.len()))
    }

    pub(super) fn base64(&self) -> String {
        STANDARD.encode(*self.0)
    }

    /// Returns the MD5 of the 32 bytes (not of their base64 text) in base64. The store includes it
    /// in its responses.
    #[must_use]
    pub fn md5_base64(&self) -> String {
        STANDARD.encode(Md5::digest(*self.0))
    }
}
