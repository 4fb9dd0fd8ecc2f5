//! What can be checked of a plaintext although CTR has no integrity: its length and its MD5.

use md5::{Digest as _, Md5};
use meta_codec::Envelope;
use subtle::ConstantTimeEq as _;

/// Checks a whole plaintext, as it streams by, against what the envelope says of it.
///
/// Neither value is authenticated: whoever can write the metadata can change them along with the body.
/// They find truncation, a wrong key (MD5) and the SDKs' own mishaps.
#[derive(Clone, Debug)]
pub struct PlainCheck {
    len: u64,
    want_len: Option<u64>,
    md5: Option<(Md5, [u8; 16])>,
}

impl PlainCheck {
    /// A check of everything that the envelope says.
    #[must_use]
    pub fn new(envelope: &Envelope) -> Self {
        Self {
            len: 0,
            want_len: envelope.plain_len(),
            md5: envelope.plain_md5().map(|digest| (Md5::new(), digest)),
        }
    }

    /// Takes the next bytes of the plaintext.
    pub fn update(&mut self, plain: &[u8]) {
        self.len = self.len.wrapping_add(plain.len() as u64);
        if let Some((md5, _)) = &mut self.md5 {
            md5.update(plain);
        }
    }

    /// Judges the plaintext as a whole.
    ///
    /// # Errors
    /// A length or an MD5 that is not what the envelope says.
    pub fn finish(self) -> Result<(), IntegrityError> {
        if let Some(want) = self.want_len.filter(|want| *want != self.len) {
            return Err(IntegrityError::Length { want, got: self.len });
        }
        if let Some((md5, want)) = self.md5
            && !bool::from(md5.finalize().ct_eq(&want))
        {
            return Err(IntegrityError::Md5);
        }
        Ok(())
    }
}

/// The MD5 of a plaintext, for [`Encryptor::plain_md5`](crate::Encryptor::plain_md5).
#[derive(Clone, Debug, Default)]
pub struct PlainDigest(Md5);

impl PlainDigest {
    /// The digest of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the plaintext.
    pub fn update(&mut self, plain: &[u8]) {
        self.0.update(plain);
    }

    /// The MD5 of all that was taken.
    #[must_use]
    pub fn finish(self) -> [u8; 16] {
        self.0.finalize().into()
    }
}

/// A plaintext that is not what the metadata says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntegrityError {
    /// Too short or too long.
    #[error("the plaintext has {got} bytes, but the metadata says {want}")]
    Length {
        /// What the metadata says, in bytes.
        want: u64,
        /// What came, in bytes.
        got: u64,
    },
    /// Another MD5.
    #[error("the MD5 of the plaintext is not what the metadata says")]
    Md5,
    /// The last block of an AES-CBC body is cut, or its padding is wrong.
    #[error("the last block of the body is missing or damaged")]
    Padding,
    /// The tag of an AES-GCM body does not match.
    #[error(
        "the authentication tag does not match: the body was changed or cut, or the key is wrong"
    )]
    Tag,
    /// More plaintext than AES-GCM can encrypt under one IV.
    #[error("longer than AES-GCM allows, 2^36 - 32 bytes")]
    TooLong,
}
