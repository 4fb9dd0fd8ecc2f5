//! Customer keys (SSE-C): the store encrypts with a key that travels in every request.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::SseError;

/// A 256-bit key that the store uses and forgets. Wiped when dropped, and not printed.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct CustomerKey(Zeroizing<[u8; 32]>);

impl CustomerKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The key in a text: base64 of its 32 bytes. White space around it is passed over.
    ///
    /// # Errors
    /// [`SseError::CustomerKey`] for anything else.
    pub fn read(text: &[u8]) -> Result<Self, SseError> {
        let mut bytes = Zeroizing::new([0; 36]);
        let len = STANDARD
            .decode_slice(text.trim_ascii(), &mut bytes[..])
            .map_err(|_| SseError::CustomerKey(0))?;
        let bytes = bytes.get(..len).unwrap_or_default();
        bytes.try_into().map(Self::new).map_err(|_| SseError::CustomerKey(len))
    }

    pub(super) fn base64(&self) -> String {
        STANDARD.encode(*self.0)
    }

    /// Base64 of the MD5 of the 32 bytes (not of their base64 text). The store answers with it.
    #[must_use]
    pub fn md5_base64(&self) -> String {
        STANDARD.encode(Md5::digest(*self.0))
    }
}
