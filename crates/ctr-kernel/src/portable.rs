//! The portable backend, built on the `aes` crate.

use aes::Aes256Enc;
use cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt as _, BlockSizeUser,
    KeyInit as _, ParBlocks, array::Array, consts::U16, inout::InOutBuf,
};
use zeroize::Zeroize as _;

pub(crate) struct PortableKeys(Aes256Enc);

impl PortableKeys {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Enc::new(key.into()))
    }

    /// Applies the keystream. The low half of the counter must not wrap within the data.
    pub(crate) fn apply(&self, counter: u128, data: InOutBuf<'_, '_, u8>) {
        self.0.encrypt_with_backend(Apply { counter, data });
    }
}

struct Apply<'inp, 'out> {
    counter: u128,
    data: InOutBuf<'inp, 'out, u8>,
}

impl BlockSizeUser for Apply<'_, '_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Apply<'_, '_> {
    /// Applies the keystream. The backend is a concrete type of known width here, so a batch of
    /// counter blocks stays in registers. The last batch is computed in full even if only part of
    /// it is needed, which is cheaper than going block by block.
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { mut counter, mut data } = self;
        let mut batch = ParBlocks::<B>::default();
        let width = 16_usize.saturating_mul(batch.len());
        while !data.is_empty() {
            let len = width.min(data.len());
            let (mut chunk, rest) = data.split_at(len);
            data = rest;
            if len <= 64 {
                // For so little data, single blocks are cheaper than a batch.
                while !chunk.is_empty() {
                    let len = chunk.len().min(16);
                    let (mut piece, rest) = chunk.split_at(len);
                    let mut block = Block::<Self>::from(counter.to_be_bytes());
                    backend.encrypt_block((&mut block).into());
                    piece.xor_in2out(block.get(..len).unwrap_or_default());
                    block.as_mut_slice().zeroize();
                    counter = counter.wrapping_add(1);
                    chunk = rest;
                }
                continue;
            }
            fill(&mut batch, counter);
            backend.encrypt_par_blocks((&mut batch).into());
            let keystream = Array::slice_as_flattened(&batch);
            chunk.xor_in2out(keystream.get(..len).unwrap_or_default());
            counter = counter.wrapping_add(batch.len() as u128);
        }
        for block in &mut batch {
            block.as_mut_slice().zeroize();
        }
    }
}

/// Fills `blocks` with consecutive counter blocks.
#[inline(always)]
fn fill(blocks: &mut [Block<Aes256Enc>], counter: u128) {
    let bytes = counter.to_be_bytes();
    let [.., last] = bytes;
    if usize::from(last).saturating_add(blocks.len()) <= 256 {
        // Only the last byte changes, so 64-bit additions suffice, and they vectorize.
        let (halves, _) = bytes.as_chunks();
        if let [high, low] = halves {
            let low = u64::from_le_bytes(*low);
            for (n, block) in (0_u64..).zip(blocks) {
                let (front, back) = block.split_at_mut(8);
                front.copy_from_slice(high);
                back.copy_from_slice(&low.wrapping_add(n << 56).to_le_bytes());
            }
        }
    } else {
        for (n, block) in (0_u128..).zip(blocks) {
            *block = counter.wrapping_add(n).to_be_bytes().into();
        }
    }
}
