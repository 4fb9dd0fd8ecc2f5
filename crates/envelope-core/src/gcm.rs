//! AES-256-GCM over one object, as COS Java and hadoop-cos write it: a 12-byte IV, no associated
//! data, and the 16-byte authentication tag at the end of the body.

#[cfg(feature = "aws-lc")]
mod aws_lc;

use ctr_kernel::Aes256Ctr;
use ghash::{GHash, universal_hash::UniversalHash as _};
use meta_codec::ContentAlgorithm;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{ContentCipher, ContentKey, IntegrityError, Keystream};

/// AES-256-GCM for one object: the only content algorithm here that detects tampering.
///
/// It is not key-committing: someone who knows two keys can make a body that decrypts with both.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct GcmCipher {
    keystream: ContentCipher,
    ghash: GHash,
    tag_mask: Zeroizing<[u8; 16]>,
    /// Used for whole messages only, because AWS-LC's interface does not support streaming.
    #[cfg(feature = "aws-lc")]
    whole: aws_lc::WholeMessage,
}

impl GcmCipher {
    /// The maximum length of a plaintext, in bytes: 2^36 - 32, where the 32-bit counter ends.
    pub const MAX_LEN: u64 = (1 << 36) - 32;
    /// The length of the authentication tag, in bytes.
    pub const TAG_LEN: usize = 16;

    pub(crate) fn new(key: &ContentKey) -> Option<Self> {
        let iv: [u8; 12] = key.iv().try_into().ok()?;
        if key.algorithm() != ContentAlgorithm::Aes256Gcm {
            return None;
        }
        let aes = Aes256Ctr::new(key.cek());
        let block = |counter: u128| {
            let mut block = Zeroizing::new(counter.to_be_bytes());
            aes.encrypt_block(&mut block);
            block
        };
        // J0 = IV ‖ 00000001 (NIST SP 800-38D, 7.1).
        let j0 = iv.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte)) << 32 | 1;
        Some(Self {
            #[cfg(feature = "aws-lc")]
            whole: aws_lc::WholeMessage::new(key.cek(), iv)?,
            ghash: GHash::new((&*block(0)).into()),
            tag_mask: block(j0),
            // Fewer than 2^32 blocks follow, so the 128-bit counter never carries out of the 32
            // bits.
            keystream: ContentCipher::with_counter(aes, j0.wrapping_add(1)),
        })
    }

    /// Encrypts a whole plaintext in memory and appends the authentication tag.
    ///
    /// # Errors
    /// [`IntegrityError::TooLong`] if the plaintext is longer than [`MAX_LEN`](Self::MAX_LEN).
    pub fn seal(self, mut plain: Vec<u8>) -> Result<Vec<u8>, IntegrityError> {
        check_len(plain.len() as u64)?;
        let tag = self.seal_whole(&mut plain)?;
        plain.extend_from_slice(&tag);
        Ok(plain)
    }

    /// Decrypts a whole body in memory. No plaintext is released before the authentication tag has
    /// been verified.
    ///
    /// # Errors
    /// [`IntegrityError::Tag`] if the body was modified or truncated, or the key is wrong.
    pub fn open(self, mut body: Vec<u8>) -> Result<Vec<u8>, IntegrityError> {
        let len = body.len().checked_sub(Self::TAG_LEN).ok_or(IntegrityError::Tag)?;
        check_len(len as u64)?;
        self.open_whole(&mut body)?;
        body.truncate(len);
        Ok(body)
    }

    #[cfg(feature = "aws-lc")]
    fn seal_whole(self, plain: &mut [u8]) -> Result<[u8; 16], IntegrityError> {
        // AWS-LC can only reject the length.
        self.whole.seal(plain).ok_or(IntegrityError::TooLong)
    }

    #[cfg(feature = "aws-lc")]
    fn open_whole(self, body: &mut [u8]) -> Result<(), IntegrityError> {
        if self.whole.open(body) { Ok(()) } else { Err(IntegrityError::Tag) }
    }

    #[cfg(not(feature = "aws-lc"))]
    fn seal_whole(self, plain: &mut [u8]) -> Result<[u8; 16], IntegrityError> {
        let mut sealer = GcmSealer::new(self);
        sealer.update(plain)?;
        Ok(sealer.finish())
    }

    #[cfg(not(feature = "aws-lc"))]
    fn open_whole(mut self, body: &mut [u8]) -> Result<(), IntegrityError> {
        let (cipher, tag) = body.split_last_chunk_mut::<16>().ok_or(IntegrityError::Tag)?;
        self.ghash.update_padded(cipher);
        check_tag(self.ghash, &self.tag_mask, cipher.len() as u64, tag.as_slice())?;
        self.keystream.at(0).apply(cipher);
        Ok(())
    }

    /// Returns the keystream alone, to decrypt a range. **Unauthenticated**: the authentication tag
    /// covers the whole body, so anyone who can change the stored bytes can flip any bit of the
    /// range undetected. Resolve ranges against the length of the *plaintext*: the last 16 bytes of
    /// the body are the authentication tag.
    #[must_use]
    pub fn into_unauthenticated(self) -> ContentCipher {
        self.keystream
    }
}

fn check_len(len: u64) -> Result<(), IntegrityError> {
    if len > GcmCipher::MAX_LEN { Err(IntegrityError::TooLong) } else { Ok(()) }
}

/// Returns the authentication tag of the `len` ciphertext bytes fed into `ghash`.
fn tag(mut ghash: GHash, mask: &[u8; 16], len: u64) -> [u8; 16] {
    // There is no associated data: 64 zero bits, then the ciphertext's length in bits.
    ghash.update(&[u128::from(len.wrapping_mul(8)).to_be_bytes().into()]);
    (u128::from_be_bytes(ghash.finalize().into()) ^ u128::from_be_bytes(*mask)).to_be_bytes()
}

fn check_tag(ghash: GHash, mask: &[u8; 16], len: u64, want: &[u8]) -> Result<(), IntegrityError> {
    if bool::from(tag(ghash, mask, len).ct_eq(want)) { Ok(()) } else { Err(IntegrityError::Tag) }
}

/// A streaming encryptor.
pub(crate) struct GcmSealer {
    stream: Keystream,
    ghash: GHash,
    tag_mask: Zeroizing<[u8; 16]>,
    /// Ciphertext that does not yet fill a block.
    rest: Vec<u8>,
}

impl GcmSealer {
    pub(crate) fn new(cipher: GcmCipher) -> Self {
        Self {
            stream: cipher.keystream.at(0),
            ghash: cipher.ghash,
            tag_mask: cipher.tag_mask,
            rest: Vec::with_capacity(16),
        }
    }

    /// Encrypts the next bytes in place.
    pub(crate) fn update(&mut self, data: &mut [u8]) -> Result<(), IntegrityError> {
        check_len(self.stream.position().saturating_add(data.len() as u64))?;
        self.stream.apply(data);
        let missing = self.rest.len().wrapping_neg() % 16;
        let (head, tail) = data.split_at(missing.min(data.len()));
        self.rest.extend_from_slice(head);
        if self.rest.len().is_multiple_of(16) {
            self.ghash.update_padded(&self.rest);
            self.rest.clear();
            let (whole, partial) = tail.split_at(tail.len() & !15);
            self.ghash.update_padded(whole);
            self.rest.extend_from_slice(partial);
        }
        Ok(())
    }

    /// Returns the authentication tag.
    pub(crate) fn finish(mut self) -> [u8; 16] {
        self.ghash.update_padded(&self.rest);
        tag(self.ghash, &self.tag_mask, self.stream.position())
    }
}

/// A streaming decryptor, which releases plaintext before the authentication tag is verified.
pub(crate) struct GcmOpener {
    stream: Keystream,
    ghash: GHash,
    tag_mask: Zeroizing<[u8; 16]>,
    /// The last bytes, which may be the authentication tag.
    held: Vec<u8>,
}

impl GcmOpener {
    pub(crate) fn new(cipher: GcmCipher) -> Self {
        Self {
            stream: cipher.keystream.at(0),
            ghash: cipher.ghash,
            tag_mask: cipher.tag_mask,
            held: Vec::with_capacity(32),
        }
    }

    /// Replaces the next bytes of the body with the plaintext that is ready, in whole blocks.
    pub(crate) fn update(&mut self, data: &mut Vec<u8>) -> Result<(), IntegrityError> {
        data.splice(..0, self.held.drain(..));
        let ready = data.len().saturating_sub(GcmCipher::TAG_LEN) & !15;
        self.held.extend(data.drain(ready..));
        check_len(self.stream.position().saturating_add(ready as u64))?;
        self.ghash.update_padded(data);
        self.stream.apply(data);
        Ok(())
    }

    /// Verifies the authentication tag and returns the last bytes.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, IntegrityError> {
        let rest = self.held.len().checked_sub(GcmCipher::TAG_LEN).ok_or(IntegrityError::Tag)?;
        let tag = self.held.split_off(rest);
        let len = self.stream.position().saturating_add(rest as u64);
        check_len(len)?;
        self.ghash.update_padded(&self.held);
        check_tag(self.ghash, &self.tag_mask, len, &tag)?;
        self.stream.apply(&mut self.held);
        Ok(self.held)
    }
}

#[cfg(test)]
mod tests {
    use meta_codec::IvForm;
    use proptest::prelude::*;

    use super::*;

    fn cipher(cek: &[u8; 32], iv: &[u8; 12]) -> GcmCipher {
        let gcm = ContentAlgorithm::Aes256Gcm;
        let key = crate::hazmat::content_key(gcm, IvForm::Wrapped, Some(cek), Some(iv)).unwrap();
        GcmCipher::new(&key).unwrap()
    }

    #[test]
    fn nist_gcm_test_case_13_and_14() {
        // McGrew and Viega, "The Galois/Counter Mode of Operation", AES-256.
        let empty = cipher(&[0; 32], &[0; 12]).seal(Vec::new()).unwrap();
        assert_eq!(empty, 0x530f_8afb_c745_36b9_a963_b4f1_c4cb_738b_u128.to_be_bytes());
        let block = cipher(&[0; 32], &[0; 12]).seal(vec![0; 16]).unwrap();
        assert_eq!(block[..16], 0xcea7_403d_4d60_6b6e_074e_c5d3_baf3_9d18_u128.to_be_bytes());
        assert_eq!(block[16..], 0xd0d1_c8a7_9999_6bf0_265b_98b5_d48a_b919_u128.to_be_bytes());
    }

    #[test]
    fn every_flip_and_every_cut_is_noticed() {
        let body = cipher(&[1; 32], &[2; 12]).seal(vec![7; 37]).unwrap();
        for at in 0..body.len() * 8 {
            let mut bad = body.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert_eq!(cipher(&[1; 32], &[2; 12]).open(bad), Err(IntegrityError::Tag));
        }
        for len in 0..body.len() {
            let cut = body[..len].to_vec();
            assert_eq!(cipher(&[1; 32], &[2; 12]).open(cut), Err(IntegrityError::Tag));
        }
    }

    proptest! {
        #[test]
        fn pieces_equal_the_whole(
            plain in prop::collection::vec(any::<u8>(), 0..600),
            piece in 1_usize..70,
        ) {
            let whole = cipher(&[3; 32], &[4; 12]).seal(plain.clone()).unwrap();
            let mut sealer = GcmSealer::new(cipher(&[3; 32], &[4; 12]));
            let mut sealed = Vec::new();
            for chunk in plain.chunks(piece) {
                let mut chunk = chunk.to_vec();
                sealer.update(&mut chunk).unwrap();
                sealed.extend(chunk);
            }
            sealed.extend(sealer.finish());
            prop_assert_eq!(&sealed, &whole);

            let mut opener = GcmOpener::new(cipher(&[3; 32], &[4; 12]));
            let mut opened = Vec::new();
            for chunk in whole.chunks(piece) {
                let mut chunk = chunk.to_vec();
                opener.update(&mut chunk).unwrap();
                opened.extend(chunk);
            }
            opened.extend(opener.finish().unwrap());
            prop_assert_eq!(&opened, &plain);
            prop_assert_eq!(cipher(&[3; 32], &[4; 12]).open(whole).unwrap(), plain);
        }
    }
}
