//! AES-256-GCM over a whole message with AWS-LC, which interleaves cipher and hash.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// A key and its only nonce.
pub(super) struct WholeMessage {
    key: Box<LessSafeKey>,
    iv: [u8; 12],
}

impl WholeMessage {
    pub(super) fn new(key: &[u8; 32], iv: [u8; 12]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
        Some(Self { key: Box::new(LessSafeKey::new(key)), iv })
    }

    /// Encrypts in place and returns the authentication tag, or `None` if AWS-LC rejects the input.
    pub(super) fn seal(&self, plain: &mut [u8]) -> Option<[u8; 16]> {
        let nonce = Nonce::assume_unique_for_key(self.iv);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::empty(), plain).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Verifies and decrypts in place a body that ends in its authentication tag. Returns whether
    /// the tag is valid.
    pub(super) fn open(&self, body: &mut [u8]) -> bool {
        let nonce = Nonce::assume_unique_for_key(self.iv);
        self.key.open_in_place(nonce, Aad::empty(), body).is_ok()
    }
}
