//! The expanded key of AES-CTR, for every length of the CEK.

use std::sync::Arc;

use aes::{
    Aes128Enc, Aes192Enc,
    cipher::{Array, BlockCipherEncrypt, KeyInit as _, consts::U16},
};
use ctr_kernel::Aes256Ctr;
use zeroize::Zeroizing;

use crate::ContentKey;

/// The expanded key. Clones share it, and it is wiped with the last of them.
#[derive(Clone)]
pub(super) enum BlockKey {
    Aes256(Aes256Ctr),
    /// Only read, and rare: the `aes` crate is fast enough.
    Aes192(Arc<Aes192Enc>),
    Aes128(Arc<Aes128Enc>),
}

impl BlockKey {
    pub(super) fn new(key: &ContentKey) -> Option<Self> {
        match (key.cek_256(), key.cek()) {
            (Some(cek), _) => Some(Self::Aes256(Aes256Ctr::new(cek))),
            (None, cek) if cek.len() == 24 => {
                Some(Self::Aes192(Arc::new(Aes192Enc::new_from_slice(cek).ok()?)))
            }
            (None, cek) => Some(Self::Aes128(Arc::new(Aes128Enc::new_from_slice(cek).ok()?))),
        }
    }

    pub(super) const fn bits(&self) -> usize {
        match self {
            Self::Aes256(_) => 256,
            Self::Aes192(_) => 192,
            Self::Aes128(_) => 128,
        }
    }

    pub(super) fn backend(&self) -> &'static str {
        match self {
            Self::Aes256(aes) => aes.backend().name(),
            Self::Aes192(_) | Self::Aes128(_) => "aes",
        }
    }

    pub(super) fn encrypt_block(&self, block: &mut [u8; 16]) {
        match self {
            Self::Aes256(aes) => aes.encrypt_block(block),
            Self::Aes192(aes) => aes.encrypt_block(block.into()),
            Self::Aes128(aes) => aes.encrypt_block(block.into()),
        }
    }

    /// XORs the keystream into `data`, which starts with the block of `counter`.
    pub(super) fn apply(&self, counter: u128, data: &mut [u8]) {
        match self {
            Self::Aes256(aes) => aes.apply(counter, data),
            Self::Aes192(aes) => apply(&**aes, counter, data),
            Self::Aes128(aes) => apply(&**aes, counter, data),
        }
    }

    /// XORs the keystream with `from` into `to`, which are equally long.
    pub(super) fn apply_to(&self, counter: u128, from: &[u8], to: &mut [u8]) {
        match self {
            Self::Aes256(aes) => aes.apply_to(counter, from, to),
            Self::Aes192(_) | Self::Aes128(_) => {
                to.copy_from_slice(from);
                self.apply(counter, to);
            }
        }
    }
}

fn apply(aes: &impl BlockCipherEncrypt<BlockSize = U16>, mut counter: u128, data: &mut [u8]) {
    /// As many blocks as the crate works on at once.
    const BLOCKS: usize = 8;

    let mut keystream = Zeroizing::new([[0; 16]; BLOCKS]);
    for span in data.chunks_mut(16 * BLOCKS) {
        for block in keystream.iter_mut() {
            *block = counter.to_be_bytes();
            counter = counter.wrapping_add(1);
        }
        aes.encrypt_blocks(Array::cast_slice_from_core_mut(&mut keystream[..]));
        for (byte, key) in span.iter_mut().zip(keystream.as_flattened()) {
            *byte ^= key;
        }
    }
}
