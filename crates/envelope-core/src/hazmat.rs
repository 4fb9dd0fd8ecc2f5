//! Raw content keys, for implementing [`KeyWrapper`](crate::KeyWrapper) outside this crate.
//!
//! **Warning.** Nothing here prevents you from using a content key twice, which reveals the XOR of
//! two plaintexts, or from leaking it. [`Encryptor`](crate::Encryptor) and
//! [`Decryptor`](crate::Decryptor) never need this module.

use meta_codec::{ContentAlgorithm, IvForm};
use zeroize::Zeroizing;

use crate::{ContentKey, CtrCipher, GcmOpener, GcmSealer, NotCtr, UnwrapError, key::Candidate};

/// Returns the CEK of a content key: 32 bytes, or 16 or 24 of an object that another writer
/// encrypted with a short key.
#[must_use]
pub fn cek(key: &ContentKey) -> &[u8] {
    key.cek()
}

/// Returns the IV of a content key in the form in which a dialect wraps it (or, for
/// [`IvForm::Clear`], writes it).
#[must_use]
pub fn iv(key: &ContentKey, form: IvForm) -> Zeroizing<Vec<u8>> {
    key.iv_plain(form)
}

/// Builds a content key from an unwrapped CEK and IV, whose lengths are checked in constant time.
/// For AES-CTR the CEK may also have 16 or 24 bytes; a [`Decryptor`](crate::Decryptor) asks its
/// policy about such a key.
///
/// # Errors
/// [`UnwrapError`] if a value is missing or has the wrong length.
pub fn content_key(
    algorithm: ContentAlgorithm,
    form: IvForm,
    cek: Option<&[u8]>,
    iv: Option<&[u8]>,
) -> Result<ContentKey, UnwrapError> {
    Candidate::new(algorithm, form, cek, iv).decide(algorithm).ok_or(UnwrapError::Failed)
}

/// Returns the AES-CTR cipher of a content key.
///
/// # Errors
/// [`NotCtr`] for a content algorithm without a seekable keystream.
pub fn ctr_cipher(key: &ContentKey) -> Result<CtrCipher, NotCtr> {
    CtrCipher::new(key)
}

/// Returns the cipher that encrypts with AES-GCM, or `None` if the key is for another algorithm.
#[must_use]
pub fn gcm_sealer(key: &ContentKey) -> Option<GcmSealer> {
    GcmSealer::new(key)
}

/// Returns the cipher that decrypts with AES-GCM, or `None` if the key is for another algorithm.
#[must_use]
pub fn gcm_opener(key: &ContentKey) -> Option<GcmOpener> {
    GcmOpener::new(key)
}
