//! Decryption: from an envelope to the cipher of its object.

use meta_codec::Envelope;

use crate::{ContentCipher, Keyring, KeyringError, cipher::NotCtr};

/// Opens envelopes with the keys of a keyring.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "borrows secrets, which are not printed")]
pub struct Decryptor<'a> {
    keyring: &'a Keyring,
}

impl<'a> Decryptor<'a> {
    /// A decryptor with these keys.
    #[must_use]
    pub const fn new(keyring: &'a Keyring) -> Self {
        Self { keyring }
    }

    /// The cipher of an object. What it yields is **not authenticated**; see
    /// [`PlainCheck`](crate::PlainCheck) for what can be checked.
    ///
    /// # Errors
    /// No key fits or opens the envelope, or the content algorithm is not CTR.
    pub fn decrypt(&self, envelope: &Envelope) -> Result<ContentCipher, DecryptError> {
        Ok(ContentCipher::new(&self.keyring.unwrap(envelope)?)?)
    }
}

/// Why an object cannot be decrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// No key fits, or none opens it.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The content algorithm has no seekable keystream.
    #[error(transparent)]
    NotCtr(#[from] NotCtr),
}
