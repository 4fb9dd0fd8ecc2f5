//! AES-CTR over one object, starting at any byte.

mod block_key;

use ctr_kernel::Aes256Ctr;
use meta_codec::ContentAlgorithm;
use zeroize::Zeroizing;

use self::block_key::BlockKey;
use crate::{
    BodyDigest, BodyHasher, ContentKey, Crc64, IntegrityError, Stretch, seal::SealedContent,
};

/// The error returned for a content algorithm without a seekable keystream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no seekable keystream")]
pub struct NotCtr(pub ContentAlgorithm);

/// AES-CTR for one object: AES-256, unless the content key is [short](ContentKey::is_short).
/// Encryption and decryption are the same operation and can start at any byte. Clones share the
/// key, which is wiped with the last of them.
///
/// The counter block is 128 bits, big-endian, and wraps around. Byte `n` of the object belongs to
/// block `IV + n / 16`, as every SDK computes it for the IVs that it writes.
///
/// **CTR is not authenticated.** Anyone who can change the stored bytes can flip any bit of the
/// plaintext undetected.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, Dialect, Encryptor};
/// # let wrapper = AesKeyWrapper::generate()?;
/// let object = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt()?;
/// let cipher = object.cipher();
/// let mut body = *b"twenty-one byte text.";
/// cipher.at(0).apply(&mut body);
/// cipher.at(5).apply(&mut body[5..]); // the keystream of byte 5 on, again
/// assert_eq!(&body[5..], b"y-one byte text.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct CtrCipher {
    aes: BlockKey,
    iv: u128,
    /// The byte of the object at which the keystream ends.
    end: u64,
    /// The body that a verified seal vouches for, to compare with the whole of what is read.
    seal: Option<SealedContent>,
}

impl CtrCipher {
    pub(crate) fn new(key: &ContentKey) -> Result<Self, NotCtr> {
        let algorithm = ContentAlgorithm::Aes256Ctr;
        match (<[u8; 16]>::try_from(key.iv()), BlockKey::new(key)) {
            (Ok(iv), Some(aes)) if key.algorithm() == algorithm => {
                let (iv, end) = (u128::from_be_bytes(iv), algorithm.max_plain_len());
                Ok(Self { aes, iv, end, seal: None })
            }
            _ => Err(NotCtr(key.algorithm())),
        }
    }

    pub(crate) const fn with_counter(aes: Aes256Ctr, iv: u128, end: u64) -> Self {
        Self { aes: BlockKey::Aes256(aes), iv, end, seal: None }
    }

    /// Adds the body that a verified seal vouches for.
    pub(crate) fn sealed(self, seal: Option<SealedContent>) -> Self {
        Self { seal, ..self }
    }

    /// Returns the hasher of the body, if the cipher is for reading an object whose seal covers it.
    #[must_use]
    pub fn body_hasher(&self) -> Option<&BodyHasher> {
        self.seal.as_ref().map(SealedContent::hasher)
    }

    /// Compares a body with the seal. All of it was hashed in stretches with the
    /// [hasher](Self::body_hasher), which are given in order. Returns `false`, without having
    /// compared anything, if there is no hasher.
    ///
    /// # Errors
    /// [`IntegrityError::Seal`] if the body is another.
    pub fn check_body(
        &self,
        stretches: impl IntoIterator<Item = Stretch>,
    ) -> Result<bool, IntegrityError> {
        let Some(hasher) = self.body_hasher() else { return Ok(false) };
        self.check_digest(&hasher.join(stretches).ok_or(IntegrityError::Seal)?)
    }

    /// As [`check_body`](Self::check_body), for a body that was hashed in one piece.
    ///
    /// # Errors
    /// [`IntegrityError::Seal`] if the body is another.
    pub fn check_digest(&self, body: &BodyDigest) -> Result<bool, IntegrityError> {
        let Some(seal) = &self.seal else { return Ok(false) };
        seal.matches(body).map(|()| true)
    }

    /// Returns the body that the seal vouches for, if the cipher is for reading a sealed object.
    pub(crate) const fn seal(&self) -> Option<&SealedContent> {
        self.seal.as_ref()
    }

    /// Returns the keystream starting at byte `offset` of the object.
    #[must_use]
    pub fn at(&self, offset: u64) -> Keystream {
        Keystream { aes: self.aes.clone(), iv: self.iv, end: self.end, position: offset }
    }

    /// Returns the name of the instructions that compute the keystream on this machine, such as
    /// `VAES-512`, for display.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        self.aes.backend()
    }

    /// Returns the length of the key in bits: 256, or 128 or 192 if the content key is
    /// [short](ContentKey::is_short).
    #[must_use]
    pub const fn key_bits(&self) -> usize {
        self.aes.bits()
    }

    /// Returns whether every SDK can also read *ranges* of the object: bytes 8 to 11 of the IV are
    /// zero, so that counting never carries out of the bytes that SDKs count with (oss-dialects,
    /// section 3). True for everything that we and the OSS SDKs encrypt. COS Python, Java and
    /// Android generate IVs for which it is false.
    #[must_use]
    pub const fn suits_every_sdk(&self) -> bool {
        (self.iv >> 32) & 0xffff_ffff == 0
    }
}

/// The keystream of one object, at a position.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct Keystream {
    aes: BlockKey,
    iv: u128,
    end: u64,
    position: u64,
}

/// Small enough for the data to stay in the second-level cache between cipher and checksum.
const CHECKSUM_CHUNK: usize = 256 * 1024;

impl Keystream {
    /// XORs the keystream into `data` and advances by its length.
    ///
    /// # Errors
    /// [`KeystreamEnd`] if `data` goes beyond the end of the keystream, which is byte 2^64 - 1 of
    /// an AES-CTR object and byte 2^36 - 32 of an AES-GCM object. `data` is then left unchanged.
    pub fn try_apply(&mut self, data: &mut [u8]) -> Result<(), KeystreamEnd> {
        let after = self.after(data.len())?;
        let counter = self.iv.wrapping_add(u128::from(self.position / 16));
        let within = usize::try_from(self.position % 16).unwrap_or_default();
        self.position = after;
        if within == 0 {
            self.aes.apply(counter, data);
            return Ok(());
        }
        let mut block = Zeroizing::new(counter.to_be_bytes());
        self.aes.encrypt_block(&mut block);
        let rest = block.get(within..).unwrap_or_default();
        let (head, tail) = data.split_at_mut(rest.len().min(data.len()));
        for (byte, key) in head.iter_mut().zip(rest) {
            *byte ^= key;
        }
        self.aes.apply(counter.wrapping_add(1), tail);
        Ok(())
    }

    /// XORs the keystream into `data` and advances by its length.
    ///
    /// # Panics
    /// If `data` goes beyond the end of the keystream, see [`try_apply`](Self::try_apply): to start
    /// again at its beginning would reveal both plaintexts.
    pub fn apply(&mut self, data: &mut [u8]) {
        self.try_apply(data).unwrap_or_else(KeystreamEnd::panic);
    }

    /// XORs the keystream with `from` into `to`, and advances by their length.
    ///
    /// # Errors
    /// As [`try_apply`](Self::try_apply).
    ///
    /// # Panics
    /// If the two differ in length, like [`slice::copy_from_slice`].
    pub fn try_apply_to(&mut self, from: &[u8], to: &mut [u8]) -> Result<(), KeystreamEnd> {
        assert_eq!(from.len(), to.len(), "source and destination differ in length");
        self.after(from.len())?;
        let lead = usize::try_from(self.position.wrapping_neg() % 16).unwrap_or_default();
        let (from_head, from_tail) = from.split_at(lead.min(from.len()));
        let (to_head, to_tail) = to.split_at_mut(lead.min(from.len()));
        to_head.copy_from_slice(from_head);
        self.try_apply(to_head)?;
        let counter = self.iv.wrapping_add(u128::from(self.position / 16));
        let after = self.after(from_tail.len())?;
        self.aes.apply_to(counter, from_tail, to_tail);
        self.position = after;
        Ok(())
    }

    /// XORs the keystream with `from` into `to`, and advances by their length.
    ///
    /// # Panics
    /// If the two differ in length, like [`slice::copy_from_slice`], or if they go beyond the end
    /// of the keystream.
    pub fn apply_to(&mut self, from: &[u8], to: &mut [u8]) {
        self.try_apply_to(from, to).unwrap_or_else(KeystreamEnd::panic);
    }

    /// [Applies](Self::apply) the keystream to plaintext and feeds the resulting ciphertext to
    /// `sum`, in one pass.
    ///
    /// # Panics
    /// As [`apply`](Self::apply).
    pub fn encrypt_summed(&mut self, plain: &mut [u8], sum: &mut Crc64) {
        for chunk in plain.chunks_mut(CHECKSUM_CHUNK) {
            self.apply(chunk);
            sum.update(chunk);
        }
    }

    /// Feeds the ciphertext to `sum` and [applies](Self::apply) the keystream to it, in one pass.
    ///
    /// # Panics
    /// As [`apply`](Self::apply).
    pub fn decrypt_summed(&mut self, cipher: &mut [u8], sum: &mut Crc64) {
        for chunk in cipher.chunks_mut(CHECKSUM_CHUNK) {
            sum.update(chunk);
            self.apply(chunk);
        }
    }

    /// Returns the byte of the object at which the next [`apply`](Self::apply) starts.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Moves to byte `offset` of the object.
    pub const fn seek(&mut self, offset: u64) {
        self.position = offset;
    }

    /// Returns whether the keystream is long enough for `len` more bytes.
    pub(crate) const fn covers(&self, len: usize) -> bool {
        self.after(len).is_ok()
    }

    /// The position after `len` more bytes.
    const fn after(&self, len: usize) -> Result<u64, KeystreamEnd> {
        match self.position.checked_add(len as u64) {
            Some(after) if after <= self.end || len == 0 => Ok(after),
            _ => Err(KeystreamEnd),
        }
    }
}

/// The error returned for data beyond the end of a keystream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data goes beyond the end of the keystream")]
pub struct KeystreamEnd;

impl KeystreamEnd {
    #[expect(clippy::panic, reason = "documented; the alternative gives plaintexts away")]
    fn panic(self) {
        panic!("{self}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cipher(cek: &[u8], iv: u128) -> CtrCipher {
        let (content, form) = (ContentAlgorithm::Aes256Ctr, meta_codec::IvForm::Wrapped);
        let key = crate::hazmat::content_key(content, form, Some(cek), Some(&iv.to_be_bytes()));
        CtrCipher::new(&key.unwrap()).unwrap()
    }

    /// One block, as the definition of AES says.
    fn encrypted(cek: &[u8], block: [u8; 16]) -> [u8; 16] {
        use cipher::{BlockCipherEncrypt as _, KeyInit as _};

        let mut block = block.into();
        match cek.len() {
            16 => aes::Aes128Enc::new_from_slice(cek).unwrap().encrypt_block(&mut block),
            24 => aes::Aes192Enc::new_from_slice(cek).unwrap().encrypt_block(&mut block),
            _ => aes::Aes256Enc::new_from_slice(cek).unwrap().encrypt_block(&mut block),
        }
        block.into()
    }

    #[test]
    fn nist_sp_800_38a_f_5_5() {
        let cek = [
            0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d,
            0x77, 0x81, 0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3,
            0x09, 0x14, 0xdf, 0xf4,
        ];
        let cipher = cipher(&cek, 0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_feff);
        let mut data = 0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128.to_be_bytes();
        cipher.at(0).apply(&mut data);
        assert_eq!(u128::from_be_bytes(data), 0x601e_c313_7757_89a5_b7a7_f504_bbf3_d228);
        let mut last = 0xf69f_2445_df4f_9b17_ad2b_417b_e66c_3710_u128.to_be_bytes();
        cipher.at(48).apply(&mut last);
        assert_eq!(u128::from_be_bytes(last), 0xdfc9_c58d_b67a_ada6_13c2_dd08_4579_41a6);
    }

    #[test]
    fn nist_sp_800_38a_f_5_1_and_f_5_3() {
        let short: [(&[u8], u128, u128); 2] = [
            (
                &0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes(),
                0x874d_6191_b620_e326_1bef_6864_990d_b6ce,
                0x1e03_1dda_2fbe_03d1_7921_70a0_f300_9cee,
            ),
            (
                &[
                    0x8e, 0x73, 0xb0, 0xf7, 0xda, 0x0e, 0x64, 0x52, 0xc8, 0x10, 0xf3, 0x2b, 0x80,
                    0x90, 0x79, 0xe5, 0x62, 0xf8, 0xea, 0xd2, 0x52, 0x2c, 0x6b, 0x7b,
                ],
                0x1abc_9324_1752_1ca2_4f2b_0459_fe7e_6e0b,
                0x4f78_a7f6_d298_0958_5a97_daec_58c6_b050,
            ),
        ];
        for (cek, first, last) in short {
            let cipher = cipher(cek, 0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_feff);
            assert_eq!(cipher.key_bits(), cek.len() * 8);
            let mut data = 0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128.to_be_bytes();
            cipher.at(0).apply(&mut data);
            assert_eq!(u128::from_be_bytes(data), first);
            let mut data = 0xf69f_2445_df4f_9b17_ad2b_417b_e66c_3710_u128.to_be_bytes();
            cipher.at(48).apply(&mut data);
            assert_eq!(u128::from_be_bytes(data), last);
        }
    }

    #[test]
    fn the_sdk_test_of_oss_cpp() {
        // aliyun-oss-cpp-sdk 1.10.1, CipherTest.cc:160.
        let cipher =
            cipher(b"12345678901234561234567890123456", u128::from_be_bytes(*b"1234567890123456"));
        let mut data = *b"1234567890123456";
        cipher.at(0).apply(&mut data);
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "c2b9ee5927a75687215f1de6d10cc205");
    }

    #[test]
    fn the_keystream_ends() {
        let cipher = cipher(&[7; 32], u128::MAX);
        let mut keystream = cipher.at(u64::MAX - 20);
        let (mut data, zeros) = ([0; 21], [0; 21]);
        assert_eq!(keystream.try_apply(&mut data), Err(KeystreamEnd));
        assert_eq!(keystream.try_apply_to(&zeros, &mut data), Err(KeystreamEnd));
        assert_eq!((data, keystream.position()), (zeros, u64::MAX - 20));
        keystream.apply(&mut data[..7]);
        keystream.apply_to(&zeros[..13], &mut data[7..20]);
        assert_eq!(keystream.position(), u64::MAX);
        assert_eq!(keystream.try_apply(&mut data[..1]), Err(KeystreamEnd));
        let panics = std::panic::catch_unwind(move || keystream.apply(&mut [0]));
        assert!(panics.is_err());
    }

    #[test]
    fn checksums_in_the_same_pass() {
        let cipher = cipher(&[7; 32], 1);
        let plain: Vec<u8> = (0_u8..=250).cycle().take(CHECKSUM_CHUNK * 2 + 77).collect();
        let mut body = plain.clone();
        cipher.at(5).apply(&mut body);
        let mut whole = Crc64::new();
        whole.update(&body);

        let (mut data, mut sum) = (plain.clone(), Crc64::new());
        cipher.at(5).encrypt_summed(&mut data, &mut sum);
        assert!(data == body);
        assert_eq!(sum, whole);
        let mut sum = Crc64::new();
        cipher.at(5).decrypt_summed(&mut data, &mut sum);
        assert!(data == plain);
        assert_eq!(sum, whole);
    }

    proptest! {
        /// Any split, order and start, with counters near every power of two at which arithmetic
        /// could go wrong, gives the same bytes as one block at a time, following the definition.
        #[test]
        fn any_split_equals_one_pass(
            cek: [u8; 32],
            cek_len in prop::sample::select(vec![16_usize, 24, 32]),
            power in prop::sample::select(vec![8_u32, 32, 64, 127]),
            below in 0_u128..40,
            top: bool,
            len in 0_usize..700,
            cuts in prop::collection::vec(0_usize..700, 0..6),
            seed: u64,
        ) {
            let base = if top { 0 } else { 1_u128 << power };
            let iv = base.wrapping_sub(below);
            let cek = &cek[..cek_len];
            let cipher = cipher(cek, iv);

            let mut want = vec![0; len];
            for (n, chunk) in want.chunks_mut(16).enumerate() {
                let block = encrypted(cek, iv.wrapping_add(n as u128).to_be_bytes());
                chunk.copy_from_slice(&block[..chunk.len()]);
            }

            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(len)).collect();
            cuts.extend([0, len]);
            cuts.sort_unstable();
            let mut pieces: Vec<(usize, usize)> =
                cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
            if !pieces.is_empty() {
                let at = usize::try_from(seed % pieces.len() as u64).unwrap();
                pieces.rotate_left(at);
            }
            let mut got = vec![0; len];
            let mut keystream = cipher.at(seed);
            for (start, end) in pieces {
                keystream.seek(start as u64);
                keystream.apply(&mut got[start..end]);
                prop_assert_eq!(keystream.position(), end as u64);
            }
            prop_assert_eq!(&got, &want);

            let (zeros, mut sequential, mut copied) = (vec![0; len], vec![0; len], vec![1; len]);
            let (mut in_place, mut between) = (cipher.at(0), cipher.at(0));
            for pair in cuts.windows(2) {
                in_place.apply(&mut sequential[pair[0]..pair[1]]);
                between.apply_to(&zeros[pair[0]..pair[1]], &mut copied[pair[0]..pair[1]]);
                prop_assert_eq!(between.position(), pair[1] as u64);
            }
            prop_assert_eq!(sequential, &want[..]);
            prop_assert_eq!(copied, want);
        }
    }
}
