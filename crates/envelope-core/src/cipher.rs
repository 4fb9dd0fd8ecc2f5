//! The content cipher: AES-256-CTR over one object, from any byte on.

use aes::Aes256Enc;
use cipher::{InnerIvInit as _, KeyInit as _, StreamCipherCoreWrapper};
use ctr::{Ctr128BE, CtrCore, cipher::StreamCipher as _};
use meta_codec::ContentAlgorithm;

use crate::{ContentKey, Part};

/// A content algorithm without a seekable keystream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no seekable keystream")]
pub struct NotCtr(pub ContentAlgorithm);

/// AES-256-CTR for one object. It encrypts and decrypts alike, and starts anywhere.
///
/// The counter block is 128 bits, big-endian, and wraps. Byte `n` of the object belongs to block
/// `IV + n / 16`, which is what every SDK computes for the IVs that it writes.
///
/// **CTR is not authenticated.** Whoever can change the stored bytes can flip any bit of the
/// plaintext, unseen.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, Encryptor};
/// # use meta_codec::Dialect;
/// # let wrapper = AesKeyWrapper::generate()?;
/// let (_envelope, cipher) = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt()?;
/// let mut body = *b"twenty-one byte text.";
/// cipher.at(0).apply(&mut body);
/// cipher.at(5).apply(&mut body[5..]); // the keystream of byte 5 on, again
/// assert_eq!(&body[5..], b"y-one byte text.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct ContentCipher {
    aes: Aes256Enc,
    iv: u128,
}

impl ContentCipher {
    pub(crate) fn new(key: &ContentKey) -> Result<Self, NotCtr> {
        match <[u8; 16]>::try_from(key.iv()) {
            Ok(iv) if key.algorithm() == ContentAlgorithm::Aes256Ctr => {
                Ok(Self::with_counter(Aes256Enc::new(key.cek().into()), u128::from_be_bytes(iv)))
            }
            _ => Err(NotCtr(key.algorithm())),
        }
    }

    pub(crate) const fn with_counter(aes: Aes256Enc, iv: u128) -> Self {
        Self { aes, iv }
    }

    /// The keystream from byte `offset` of the object on.
    #[must_use]
    pub fn at(&self, offset: u64) -> Keystream {
        let mut keystream = Keystream {
            ctr: counter_mode(&self.aes, self.iv, offset),
            aes: self.aes.clone(),
            iv: self.iv,
            position: offset,
        };
        keystream.skip_within_block();
        keystream
    }

    /// Whether every SDK can also read *ranges* of the object: bytes 8 to 11 of the IV are zero, so that
    /// counting never carries out of the bytes that SDKs count with (oss-dialects, section 3). True for
    /// all that we encrypt, and for OSS SDKs; COS Python, Java and Android make IVs without regard.
    #[must_use]
    pub const fn suits_every_sdk(&self) -> bool {
        (self.iv >> 32) & 0xffff_ffff == 0
    }

    /// The keystream of one part of a multipart upload, and no byte more.
    ///
    /// All parts that are encrypted with one cipher **must** come from one plan: parts of two plans
    /// overlap, and what overlaps is encrypted with the same keystream.
    #[must_use]
    pub fn part(&self, part: &Part) -> PartCipher {
        PartCipher { keystream: self.at(part.start()), remaining: part.len() }
    }
}

fn counter_mode(aes: &Aes256Enc, iv: u128, offset: u64) -> Ctr128BE<Aes256Enc> {
    let block = iv.wrapping_add(u128::from(offset / 16));
    let core = CtrCore::inner_iv_init(aes.clone(), &block.to_be_bytes().into());
    StreamCipherCoreWrapper::from_core(core)
}

/// The keystream of one object, at a position.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct Keystream {
    ctr: Ctr128BE<Aes256Enc>,
    aes: Aes256Enc,
    iv: u128,
    position: u64,
}

impl Keystream {
    /// XORs the keystream into `data` and moves on by its length.
    pub fn apply(&mut self, data: &mut [u8]) {
        self.ctr.apply_keystream(data);
        self.position = self.position.wrapping_add(data.len() as u64);
    }

    /// The byte of the object at which the next [`apply`](Self::apply) starts.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Moves to byte `offset` of the object.
    pub fn seek(&mut self, offset: u64) {
        self.ctr = counter_mode(&self.aes, self.iv, offset);
        self.position = offset;
        self.skip_within_block();
    }

    fn skip_within_block(&mut self) {
        let lead = usize::try_from(self.position % 16).unwrap_or_default();
        if let Some(skipped) = [0; 16].get_mut(..lead) {
            self.ctr.apply_keystream(skipped);
        }
    }
}

/// The keystream of one part. It ends where the part ends, so that a part that is longer than planned
/// cannot run into the keystream of its neighbour.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct PartCipher {
    keystream: Keystream,
    remaining: u64,
}

impl PartCipher {
    /// XORs the keystream into `data` and moves on by its length.
    ///
    /// # Errors
    /// [`PartOverrun`] if `data` goes beyond the end of the part; `data` is then left as it was.
    pub fn apply(&mut self, data: &mut [u8]) -> Result<(), PartOverrun> {
        self.remaining = self.remaining.checked_sub(data.len() as u64).ok_or(PartOverrun)?;
        self.keystream.apply(data);
        Ok(())
    }
}

/// More data for a part than its plan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more data than the part has")]
pub struct PartOverrun;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cipher(cek: [u8; 32], iv: u128) -> ContentCipher {
        let (content, form) = (ContentAlgorithm::Aes256Ctr, meta_codec::IvForm::Wrapped);
        let key = crate::hazmat::content_key(content, form, Some(&cek), Some(&iv.to_be_bytes()));
        ContentCipher::new(&key.unwrap()).unwrap()
    }

    #[test]
    fn nist_sp_800_38a_f_5_5() {
        let cek = [
            0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d,
            0x77, 0x81, 0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3,
            0x09, 0x14, 0xdf, 0xf4,
        ];
        let cipher = cipher(cek, 0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_feff);
        let mut data = 0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128.to_be_bytes();
        cipher.at(0).apply(&mut data);
        assert_eq!(u128::from_be_bytes(data), 0x601e_c313_7757_89a5_b7a7_f504_bbf3_d228);
        let mut last = 0xf69f_2445_df4f_9b17_ad2b_417b_e66c_3710_u128.to_be_bytes();
        cipher.at(48).apply(&mut last);
        assert_eq!(u128::from_be_bytes(last), 0xdfc9_c58d_b67a_ada6_13c2_dd08_4579_41a6);
    }

    #[test]
    fn the_sdk_test_of_oss_cpp() {
        // aliyun-oss-cpp-sdk 1.10.1, CipherTest.cc:160.
        let cipher =
            cipher(*b"12345678901234561234567890123456", u128::from_be_bytes(*b"1234567890123456"));
        let mut data = *b"1234567890123456";
        cipher.at(0).apply(&mut data);
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "c2b9ee5927a75687215f1de6d10cc205");
    }

    #[test]
    fn a_part_ends() {
        let cipher = cipher([7; 32], 1);
        let plan = crate::PartPlan::new(200_005, 102_400, meta_codec::Dialect::OSS_V2).unwrap();
        let last = plan.parts().last().unwrap();
        let mut part = cipher.part(&last);
        let mut data = vec![0; 97_605];
        part.apply(&mut data[..97_000]).unwrap();
        part.apply(&mut data[97_000..]).unwrap();
        assert_eq!(part.apply(&mut [0]), Err(PartOverrun));
        let mut want = vec![0; 97_605];
        cipher.at(102_400).apply(&mut want);
        assert!(data == want);
    }

    proptest! {
        /// Any split, any order, any start, counters near every power where arithmetic goes wrong:
        /// the same as one block at a time, from the definition.
        #[test]
        fn any_split_equals_one_pass(
            cek: [u8; 32],
            power in prop::sample::select(vec![8_u32, 32, 64, 127]),
            below in 0_u128..40,
            top: bool,
            len in 0_usize..700,
            cuts in prop::collection::vec(0_usize..700, 0..6),
            seed: u64,
        ) {
            let base = if top { 0 } else { 1_u128 << power };
            let iv = base.wrapping_sub(below);
            let cipher = cipher(cek, iv);

            let aes = Aes256Enc::new(&cek.into());
            let mut want = vec![0; len];
            for (n, chunk) in want.chunks_mut(16).enumerate() {
                let mut block = iv.wrapping_add(n as u128).to_be_bytes().into();
                cipher::BlockCipherEncrypt::encrypt_block(&aes, &mut block);
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

            let mut sequential = vec![0; len];
            let mut keystream = cipher.at(0);
            for pair in cuts.windows(2) {
                keystream.apply(&mut sequential[pair[0]..pair[1]]);
            }
            prop_assert_eq!(sequential, want);
        }
    }
}
