//! AES-256-GCM over one object, as COS Java and hadoop-cos write it: a 12-byte IV, no associated
//! data, and the 16-byte authentication tag at the end of the body.

#[cfg(feature = "aws-lc")]
mod aws_lc;

use ctr_kernel::{Aes256Ctr, Ghash};
use meta_codec::ContentAlgorithm;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{ContentKey, CtrCipher, IntegrityError, Keystream};

const GCM: ContentAlgorithm = ContentAlgorithm::Aes256Gcm;
const TAG_LEN: usize = ContentAlgorithm::GCM_TAG_LEN;
/// Small enough for the data to stay in the second-level cache between cipher and hash, and a
/// multiple of the blocks that both process together.
const CHUNK: usize = 64 * 1024;

/// Encrypts one object with AES-256-GCM, the only content algorithm here that detects tampering.
///
/// It encrypts once, because a second plaintext under the same key and IV would reveal both, and
/// the key of the authentication tag. It is not key-committing: someone who knows two keys can make
/// a body that decrypts with both.
///
/// ```
/// # use envelope_core::{Decryptor, Dialect, Encryptor, Keyring, RsaKeyWrapper};
/// # let wrapper = RsaKeyWrapper::generate(2048)?;
/// let object = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt_gcm()?;
/// let (envelope, sealer) = object.into_inner();
/// let body = sealer.seal(b"a file".to_vec())?;
///
/// let decryptor = Decryptor::new(&Keyring::new().with(wrapper));
/// assert_eq!(decryptor.decrypt(&envelope)?.decrypt(body)?, b"a file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct GcmSealer(GcmKey);

/// Decrypts one object that was encrypted with AES-256-GCM.
///
/// It cannot encrypt, because that would use the object's IV a second time:
///
/// ```compile_fail,E0277
/// use envelope_core::{GcmOpener, io::EncryptWriter};
///
/// fn reuse_the_iv(opener: GcmOpener) -> EncryptWriter<Vec<u8>> {
///     EncryptWriter::new(Vec::new(), opener)
/// }
/// ```
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct GcmOpener(GcmKey);

/// The content key, prepared for either direction.
struct GcmKey {
    keystream: CtrCipher,
    ghash: Ghash,
    tag_mask: Zeroizing<[u8; TAG_LEN]>,
    /// Used for whole messages only, because AWS-LC's interface does not support streaming.
    #[cfg(feature = "aws-lc")]
    whole: aws_lc::WholeMessage,
}

impl GcmKey {
    fn new(key: &ContentKey) -> Option<Self> {
        let iv: [u8; 12] = key.iv().try_into().ok()?;
        if key.algorithm() != GCM {
            return None;
        }
        let cek = key.cek_256()?;
        let aes = Aes256Ctr::new(cek);
        let block = |counter: u128| {
            let mut block = Zeroizing::new(counter.to_be_bytes());
            aes.encrypt_block(&mut block);
            block
        };
        // J0 = IV ‖ 00000001 (NIST SP 800-38D, 7.1).
        let j0 = iv.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte)) << 32 | 1;
        Some(Self {
            #[cfg(feature = "aws-lc")]
            whole: aws_lc::WholeMessage::new(cek, iv)?,
            ghash: Ghash::new(&block(0)),
            tag_mask: block(j0),
            // Fewer than 2^32 blocks follow, so the 128-bit counter never carries out of the 32
            // bits.
            keystream: CtrCipher::with_counter(aes, j0.wrapping_add(1), GCM.max_plain_len()),
        })
    }
}

impl GcmSealer {
    pub(crate) fn new(key: &ContentKey) -> Option<Self> {
        GcmKey::new(key).map(Self)
    }

    /// Encrypts a whole plaintext in memory and appends the authentication tag.
    ///
    /// # Errors
    /// If the plaintext is longer than [`ContentAlgorithm::max_plain_len`].
    pub fn seal(self, mut plain: Vec<u8>) -> Result<Vec<u8>, IntegrityError> {
        check_len(plain.len() as u64)?;
        let tag = self.seal_whole(&mut plain)?;
        plain.extend_from_slice(&tag);
        Ok(plain)
    }

    #[cfg(feature = "aws-lc")]
    fn seal_whole(self, plain: &mut [u8]) -> Result<[u8; TAG_LEN], IntegrityError> {
        // AWS-LC can reject nothing but the length.
        self.0.whole.seal(plain).ok_or(IntegrityError::TooLong)
    }

    #[cfg(not(feature = "aws-lc"))]
    fn seal_whole(self, plain: &mut [u8]) -> Result<[u8; TAG_LEN], IntegrityError> {
        let mut stream = SealStream::new(self);
        stream.update(plain)?;
        Ok(stream.finish())
    }
}

impl GcmOpener {
    pub(crate) fn new(key: &ContentKey) -> Option<Self> {
        GcmKey::new(key).map(Self)
    }

    /// Decrypts a whole body in memory after verifying its authentication tag. No plaintext is
    /// released before that.
    ///
    /// # Errors
    /// [`IntegrityError::Tag`] if the body was changed or truncated, or the key is wrong.
    pub fn open(self, mut body: Vec<u8>) -> Result<Vec<u8>, IntegrityError> {
        let len = body.len().checked_sub(TAG_LEN).ok_or(IntegrityError::Tag)?;
        check_len(len as u64)?;
        self.open_whole(&mut body)?;
        body.truncate(len);
        Ok(body)
    }

    #[cfg(feature = "aws-lc")]
    fn open_whole(self, body: &mut [u8]) -> Result<(), IntegrityError> {
        if self.0.whole.open(body) { Ok(()) } else { Err(IntegrityError::Tag) }
    }

    #[cfg(not(feature = "aws-lc"))]
    fn open_whole(self, body: &mut [u8]) -> Result<(), IntegrityError> {
        let GcmKey { keystream, mut ghash, tag_mask } = self.0;
        let (cipher, tag) = body.split_last_chunk_mut::<TAG_LEN>().ok_or(IntegrityError::Tag)?;
        ghash.update(cipher);
        check_tag(ghash, &tag_mask, cipher.len() as u64, tag.as_slice())?;
        keystream.at(0).try_apply(cipher).map_err(|_| IntegrityError::TooLong)
    }

    /// Returns the keystream alone, to decrypt a range. **Unauthenticated**: whether that is
    /// acceptable is for the reader's policy to decide, and so for the caller to ask it.
    pub(crate) fn into_unauthenticated(self) -> CtrCipher {
        self.0.keystream
    }
}

fn check_len(len: u64) -> Result<(), IntegrityError> {
    if len > GCM.max_plain_len() { Err(IntegrityError::TooLong) } else { Ok(()) }
}

/// Computes the authentication tag of `len` ciphertext bytes that were fed to `ghash`.
fn tag(mut ghash: Ghash, mask: &[u8; TAG_LEN], len: u64) -> [u8; TAG_LEN] {
    // No associated data: 64 zero bits, followed by the ciphertext's length in bits.
    ghash.update(&u128::from(len.wrapping_mul(8)).to_be_bytes());
    (u128::from_be_bytes(ghash.finish()) ^ u128::from_be_bytes(*mask)).to_be_bytes()
}

fn check_tag(
    ghash: Ghash,
    mask: &[u8; TAG_LEN],
    len: u64,
    want: &[u8],
) -> Result<(), IntegrityError> {
    if bool::from(tag(ghash, mask, len).ct_eq(want)) { Ok(()) } else { Err(IntegrityError::Tag) }
}

/// Encrypts piece by piece.
pub(crate) struct SealStream {
    stream: Keystream,
    ghash: Ghash,
    tag_mask: Zeroizing<[u8; TAG_LEN]>,
    /// Ciphertext that does not fill a block yet.
    rest: Vec<u8>,
}

impl SealStream {
    pub(crate) fn new(sealer: GcmSealer) -> Self {
        let key = sealer.0;
        Self {
            stream: key.keystream.at(0),
            ghash: key.ghash,
            tag_mask: key.tag_mask,
            rest: Vec::with_capacity(16),
        }
    }

    /// Encrypts the next bytes in place.
    pub(crate) fn update(&mut self, data: &mut [u8]) -> Result<(), IntegrityError> {
        if !self.stream.covers(data.len()) {
            return Err(IntegrityError::TooLong);
        }
        for chunk in data.chunks_mut(CHUNK) {
            self.stream.try_apply(chunk).map_err(|_| IntegrityError::TooLong)?;
            self.hash(chunk);
        }
        Ok(())
    }

    /// Feeds the next bytes of the ciphertext to the hash, in whole blocks.
    fn hash(&mut self, cipher: &[u8]) {
        let missing = self.rest.len().wrapping_neg() % 16;
        let (head, tail) = cipher.split_at(missing.min(cipher.len()));
        self.rest.extend_from_slice(head);
        if self.rest.len().is_multiple_of(16) {
            self.ghash.update(&self.rest);
            self.rest.clear();
            let (whole, partial) = tail.split_at(tail.len() & !15);
            self.ghash.update(whole);
            self.rest.extend_from_slice(partial);
        }
    }

    /// Returns the authentication tag.
    pub(crate) fn finish(mut self) -> [u8; TAG_LEN] {
        self.ghash.update(&self.rest);
        tag(self.ghash, &self.tag_mask, self.stream.position())
    }
}

/// Decrypts piece by piece, before the authentication tag is known.
pub(crate) struct OpenStream {
    stream: Keystream,
    ghash: Ghash,
    tag_mask: Zeroizing<[u8; TAG_LEN]>,
    /// The last bytes: the tag, perhaps, and at least one byte of ciphertext before it.
    held: Vec<u8>,
}

impl OpenStream {
    pub(crate) fn new(opener: GcmOpener) -> Self {
        let key = opener.0;
        Self {
            stream: key.keystream.at(0),
            ghash: key.ghash,
            tag_mask: key.tag_mask,
            held: Vec::with_capacity(2 * TAG_LEN + 1),
        }
    }

    /// Takes the next bytes of the body and leaves the plaintext that is ready, in whole blocks.
    ///
    /// Besides the tag, the last byte of the ciphertext stays here until [`finish`](Self::finish),
    /// so that a caller who reads exactly the length of the plaintext has to wait for the verdict,
    /// too.
    pub(crate) fn update(&mut self, data: &mut Vec<u8>) -> Result<(), IntegrityError> {
        data.splice(..0, self.held.drain(..));
        let ready = data.len().saturating_sub(TAG_LEN + 1) & !15;
        self.held.extend(data.drain(ready..));
        if !self.stream.covers(data.len()) {
            return Err(IntegrityError::TooLong);
        }
        for chunk in data.chunks_mut(CHUNK) {
            self.ghash.update(chunk);
            self.stream.try_apply(chunk).map_err(|_| IntegrityError::TooLong)?;
        }
        Ok(())
    }

    /// Returns the number of plaintext bytes that are certainly among the bytes held back.
    pub(crate) fn waiting(&self) -> u64 {
        self.held.len().saturating_sub(TAG_LEN) as u64
    }

    /// Verifies the authentication tag and returns the last bytes.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, IntegrityError> {
        let rest = self.held.len().checked_sub(TAG_LEN).ok_or(IntegrityError::Tag)?;
        let tag = self.held.split_off(rest);
        let len = self.stream.position().saturating_add(rest as u64);
        check_len(len)?;
        self.ghash.update(&self.held);
        check_tag(self.ghash, &self.tag_mask, len, &tag)?;
        self.stream.try_apply(&mut self.held).map_err(|_| IntegrityError::TooLong)?;
        Ok(self.held)
    }
}

#[cfg(test)]
mod tests {
    use meta_codec::IvForm;
    use proptest::prelude::*;

    use super::*;

    fn key(cek: &[u8; 32], iv: &[u8; 12]) -> ContentKey {
        crate::hazmat::content_key(GCM, IvForm::Wrapped, Some(cek), Some(iv)).unwrap()
    }

    fn sealer(cek: &[u8; 32], iv: &[u8; 12]) -> GcmSealer {
        GcmSealer::new(&key(cek, iv)).unwrap()
    }

    fn opener(cek: &[u8; 32], iv: &[u8; 12]) -> GcmOpener {
        GcmOpener::new(&key(cek, iv)).unwrap()
    }

    #[test]
    fn nist_gcm_test_case_13_and_14() {
        // McGrew and Viega, "The Galois/Counter Mode of Operation", AES-256.
        let empty = sealer(&[0; 32], &[0; 12]).seal(Vec::new()).unwrap();
        assert_eq!(empty, 0x530f_8afb_c745_36b9_a963_b4f1_c4cb_738b_u128.to_be_bytes());
        let block = sealer(&[0; 32], &[0; 12]).seal(vec![0; 16]).unwrap();
        assert_eq!(block[..16], 0xcea7_403d_4d60_6b6e_074e_c5d3_baf3_9d18_u128.to_be_bytes());
        assert_eq!(block[16..], 0xd0d1_c8a7_9999_6bf0_265b_98b5_d48a_b919_u128.to_be_bytes());
    }

    #[test]
    fn every_flip_and_every_cut_is_noticed() {
        let body = sealer(&[1; 32], &[2; 12]).seal(vec![7; 37]).unwrap();
        for at in 0..body.len() * 8 {
            let mut bad = body.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert_eq!(opener(&[1; 32], &[2; 12]).open(bad), Err(IntegrityError::Tag));
        }
        for len in 0..body.len() {
            let cut = body[..len].to_vec();
            assert_eq!(opener(&[1; 32], &[2; 12]).open(cut), Err(IntegrityError::Tag));
        }
    }

    #[test]
    fn the_longest_plaintext() {
        let most = GCM.max_plain_len();
        assert_eq!((check_len(0), check_len(most)), (Ok(()), Ok(())));
        assert_eq!(check_len(most + 1), Err(IntegrityError::TooLong));
    }

    proptest! {
        #[test]
        fn pieces_equal_the_whole(
            plain in prop::collection::vec(any::<u8>(), 0..600),
            piece in 1_usize..70,
        ) {
            let whole = sealer(&[3; 32], &[4; 12]).seal(plain.clone()).unwrap();
            let mut sealing = SealStream::new(sealer(&[3; 32], &[4; 12]));
            let mut sealed = Vec::new();
            for chunk in plain.chunks(piece) {
                let mut chunk = chunk.to_vec();
                sealing.update(&mut chunk).unwrap();
                sealed.extend(chunk);
            }
            sealed.extend(sealing.finish());
            prop_assert_eq!(&sealed, &whole);

            let mut opening = OpenStream::new(opener(&[3; 32], &[4; 12]));
            let mut opened = Vec::new();
            for chunk in whole.chunks(piece) {
                let mut chunk = chunk.to_vec();
                opening.update(&mut chunk).unwrap();
                opened.extend(chunk);
            }
            opened.extend(opening.finish().unwrap());
            prop_assert_eq!(&opened, &plain);
            prop_assert_eq!(opener(&[3; 32], &[4; 12]).open(whole).unwrap(), plain);
        }
    }
}
