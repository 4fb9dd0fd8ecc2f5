//! The checks of a plaintext that are possible without authentication: its length and its MD5.

use md5::{Digest as _, Md5};
use meta_codec::{ContentAlgorithm, Envelope};
use subtle::ConstantTimeEq as _;

/// Checks a streamed plaintext against the length and MD5 in its envelope.
///
/// Neither value is authenticated: anyone who can write the metadata can change them along with the
/// body. They detect truncation, a wrong key (MD5) and bugs of the SDKs.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, Dialect, Encryptor};
/// use envelope_core::{IntegrityError, PlainCheck};
///
/// # let key = AesKeyWrapper::generate()?;
/// let object = Encryptor::new(&key, Dialect::COS_V2).with_plain_len(6).encrypt()?;
/// let mut check = PlainCheck::new(object.envelope());
/// check.update(b"a fil");
/// assert_eq!(check.finish(), Err(IntegrityError::Length { want: 6, got: 5 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PlainCheck {
    len: u64,
    want_len: Option<u64>,
    md5: Option<(Md5, [u8; 16])>,
}

impl PlainCheck {
    /// Creates a check of every value that the envelope states.
    #[must_use]
    pub fn new(envelope: &Envelope) -> Self {
        Self {
            len: 0,
            want_len: envelope.plain_len(),
            md5: envelope.plain_md5().map(|digest| (Md5::new(), digest)),
        }
    }

    /// Returns whether the envelope states nothing to check.
    #[must_use]
    pub const fn is_vacuous(&self) -> bool {
        self.want_len.is_none() && self.md5.is_none()
    }

    /// Feeds the next bytes of the plaintext.
    pub fn update(&mut self, plain: &[u8]) {
        self.len = self.len.wrapping_add(plain.len() as u64);
        if let Some((md5, _)) = &mut self.md5 {
            md5.update(plain);
        }
    }

    /// Checks that the plaintext is not too long already, `waiting` bytes of which are still to be
    /// fed.
    pub(crate) fn not_longer(&self, waiting: u64) -> Result<(), IntegrityError> {
        let got = self.len.saturating_add(waiting);
        match self.want_len {
            Some(want) if got > want => Err(IntegrityError::Length { want, got }),
            _ => Ok(()),
        }
    }

    /// Checks the plaintext as a whole.
    ///
    /// # Errors
    /// If the length or the MD5 does not match the envelope.
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

/// Checks the length of a stored body, in bytes, against the envelope, before a byte of it is
/// taken.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, Dialect, Encryptor};
/// use envelope_core::{IntegrityError, check_body_len};
///
/// # let key = AesKeyWrapper::generate()?;
/// let object = Encryptor::new(&key, Dialect::COS_V2).with_plain_len(6).encrypt()?;
/// let error = check_body_len(object.envelope(), 7);
/// assert_eq!(error, Err(IntegrityError::BodyLength { want: 6, got: 7 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`IntegrityError::BodyLength`] if the metadata implies another length;
/// [`IntegrityError::Padding`] if the end of an AES-CBC body is missing;
/// [`CbcCipher::salvage`](crate::CbcCipher::salvage) may still read it.
pub fn check_body_len(envelope: &Envelope, got: u64) -> Result<(), IntegrityError> {
    let content = envelope.content_algorithm();
    if let Some(want) = envelope.seal().and_then(|seal| seal.terms().body.stated_len())
        && want != got
    {
        return Err(IntegrityError::BodyLength { want, got });
    }
    match envelope.plain_len().and_then(|len| content.body_len(len)) {
        Some(want) if got < want && content == ContentAlgorithm::Aes256Cbc => {
            Err(IntegrityError::Padding)
        }
        Some(want) if got != want => Err(IntegrityError::BodyLength { want, got }),
        _ => Ok(()),
    }
}

/// Returns the length of the plaintext of a stored body, in bytes, after its own length was
/// [checked](check_body_len). `None` if nothing tells it: AES-CBC pads, and few writers state it.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, Dialect, Encryptor};
/// let key = AesKeyWrapper::generate()?;
/// let object = Encryptor::new(&key, Dialect::COS_V2).encrypt()?;
/// assert_eq!(envelope_core::plain_len(object.envelope(), 7), Ok(Some(7)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`check_body_len`].
pub fn plain_len(envelope: &Envelope, body: u64) -> Result<Option<u64>, IntegrityError> {
    check_body_len(envelope, body)?;
    Ok(envelope.content_algorithm().plain_len(body).or_else(|| envelope.plain_len()))
}

/// The MD5 of a plaintext, for [`Encryptor::with_plain_md5`](crate::Encryptor::with_plain_md5).
///
/// ```
/// # use envelope_core::{AesKeyWrapper, Dialect, Encryptor};
/// use envelope_core::PlainDigest;
///
/// # let key = AesKeyWrapper::generate()?;
/// let mut digest = PlainDigest::new();
/// digest.update(b"a file");
/// let object = Encryptor::new(&key, Dialect::COS_V2);
/// let object = object.with_plain_md5(digest.finish()).encrypt()?;
/// assert!(object.envelope().plain_md5().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PlainDigest(Md5);

impl PlainDigest {
    /// Creates a digest that has been fed no bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds the next bytes of the plaintext.
    pub fn update(&mut self, plain: &[u8]) {
        self.0.update(plain);
    }

    /// Returns the MD5 of all bytes fed.
    #[must_use]
    pub fn finish(self) -> [u8; 16] {
        self.0.finalize().into()
    }
}

/// An error from checking the body or plaintext of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntegrityError {
    /// The body is too short or too long.
    #[error("the body has {got} bytes, but according to its metadata it must have {want}")]
    BodyLength {
        /// The length that the metadata implies, in bytes.
        want: u64,
        /// The actual length, in bytes.
        got: u64,
    },
    /// The body is not the one that was verified when it was read before.
    #[error("the body changed after it was verified")]
    Changed,
    /// The plaintext is too short or too long.
    #[error("the plaintext has {got} bytes, but the metadata says {want}")]
    Length {
        /// The length in the metadata, in bytes.
        want: u64,
        /// The actual length, in bytes.
        got: u64,
    },
    /// The MD5 differs from the one in the metadata.
    #[error("the MD5 of the plaintext does not match the metadata")]
    Md5,
    /// The last block of an AES-CBC body is truncated, or its padding is invalid.
    #[error("the last block of the body is missing or damaged")]
    Padding,
    /// The body is not the one that was sealed.
    #[error("the body does not match the seal: it was altered after it was sealed")]
    Seal,
    /// The authentication tag of an AES-GCM body does not match.
    #[error("the authentication tag does not match: modified or truncated body, or wrong key")]
    Tag,
    /// The plaintext is longer than the content algorithm can encrypt under one IV.
    #[error("the plaintext is longer than the content algorithm allows")]
    TooLong,
}
