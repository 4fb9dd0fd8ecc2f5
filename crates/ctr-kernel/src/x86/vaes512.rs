//! Four registers of four blocks.
//!
//! With one `vaesenc` per cycle and a latency of four, four registers saturate the unit and leave
//! room for all fifteen round keys. Eight are no faster, and twelve spill (measured on Zen 4).

use std::arch::{
    asm,
    x86_64::{
        __m512i, _mm_set_epi8, _mm512_add_epi64, _mm512_aesenclast_epi128, _mm512_broadcast_i32x4,
        _mm512_loadu_si512, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8, _mm512_set_epi64,
        _mm512_set4_epi64, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_storeu_si512,
        _mm512_xor_si512,
    },
};

use cipher::inout::InOutBuf;

use super::{ask_ahead, halves};
use crate::RoundKeys;

/// The sizes of a register and of a batch, in bytes.
const LANE: usize = 64;
const BATCH: usize = 4 * LANE;

/// One round on all four registers, in an order that the compiler cannot change. Otherwise it
/// starts one of them late, and the rest of the batch waits for it.
macro_rules! round {
    ($blocks:ident, $key:expr) => {{
        let key: __m512i = $key;
        let [a, b, c, d] = &mut $blocks;
        // SAFETY: register-only instructions, which the enclosing function enables.
        unsafe {
            asm!(
                "vaesenc {a}, {a}, {key}",
                "vaesenc {b}, {b}, {key}",
                "vaesenc {c}, {c}, {key}",
                "vaesenc {d}, {d}, {key}",
                a = inout(zmm_reg) *a, b = inout(zmm_reg) *b,
                c = inout(zmm_reg) *c, d = inout(zmm_reg) *d,
                key = in(zmm_reg) key,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
    }};
}

/// Applies the keystream. The low half of the counter must not wrap within the data.
#[target_feature(enable = "avx512f,avx512bw,vaes")]
pub(super) fn apply(keys: &RoundKeys, counter: u128, data: InOutBuf<'_, '_, u8>) {
    let mut round_keys = [_mm512_setzero_si512(); 15];
    for (wide, key) in round_keys.iter_mut().zip(&keys.0) {
        *wide = _mm512_broadcast_i32x4(*key);
    }
    let [first_key, middle_keys @ .., last_key] = &round_keys;

    // Counters are kept as little-endian numbers; this shuffle reverses the bytes of each block.
    let turn =
        _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    let (low, high) = halves(counter);
    let mut counter = _mm512_set4_epi64(high, low, high, low);
    let aligned = low & 15 == 0;

    // The keystream of a batch, except the last round, whose key is first XORed with the data.
    macro_rules! keystream {
        () => {{
            let mut blocks = [counter; 4];
            if aligned {
                // Only the low four bits of the last byte differ within the batch.
                let first = _mm512_xor_si512(_mm512_shuffle_epi8(counter, turn), *first_key);
                for (n, block) in (0_i64..).zip(&mut blocks) {
                    let [a, b, c, d] = [0, 1, 2, 3].map(|lane| (4 * n + lane) << 56);
                    *block = _mm512_xor_si512(first, _mm512_set_epi64(d, 0, c, 0, b, 0, a, 0));
                }
            } else {
                for (n, block) in (0_i64..).zip(&mut blocks) {
                    let [a, b, c, d] = [0, 1, 2, 3].map(|lane| 4 * n + lane);
                    let number =
                        _mm512_add_epi64(counter, _mm512_set_epi64(0, d, 0, c, 0, b, 0, a));
                    *block = _mm512_xor_si512(_mm512_shuffle_epi8(number, turn), *first_key);
                }
            }
            for key in middle_keys {
                round!(blocks, *key);
            }
            blocks
        }};
    }
    let last_round = |block: __m512i, data: __m512i| {
        _mm512_aesenclast_epi128(block, _mm512_xor_si512(*last_key, data))
    };

    let mut left = data.len();
    let (mut from, mut to) = data.into_raw();
    while left >= BATCH {
        ask_ahead(from, left);
        let blocks = keystream!();
        counter = _mm512_add_epi64(counter, _mm512_set4_epi64(0, 16, 0, 16));
        let mut data = [_mm512_setzero_si512(); 4];
        for (n, data) in data.iter_mut().enumerate() {
            // SAFETY: at least one batch is left to read, and `n` is below 4.
            *data = unsafe { _mm512_loadu_si512(from.wrapping_add(n * LANE).cast()) };
        }
        for (n, (block, data)) in blocks.into_iter().zip(data).enumerate() {
            let out = last_round(block, data);
            // SAFETY: at least one batch is left to write, and `n` is below 4.
            unsafe { _mm512_storeu_si512(to.wrapping_add(n * LANE).cast(), out) };
        }
        (from, to) = (from.wrapping_add(BATCH), to.wrapping_add(BATCH));
        left -= BATCH;
    }
    if left > 0 {
        let blocks = keystream!();
        for (n, block) in blocks.into_iter().enumerate() {
            let at = n * LANE;
            let mask = mask(left.saturating_sub(at));
            // SAFETY: the mask limits the access to what is left; the pointer may be past it.
            let data = unsafe { _mm512_maskz_loadu_epi8(mask, from.wrapping_add(at).cast()) };
            let out = last_round(block, data);
            // SAFETY: as above.
            unsafe { _mm512_mask_storeu_epi8(to.wrapping_add(at).cast(), mask, out) };
        }
    }
}

/// Returns a mask of the first `len` bytes of a register.
pub(super) const fn mask(len: usize) -> u64 {
    if len >= LANE { u64::MAX } else { (1 << len) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs no AVX-512, unlike the rest of this file.
    #[test]
    fn a_mask_has_one_bit_for_each_byte_that_is_left() {
        for len in 0..=LANE {
            let bits = mask(len);
            assert_eq!((bits.count_ones() as usize, bits.trailing_ones() as usize), (len, len));
        }
        for more in [LANE + 1, 2 * LANE, usize::MAX] {
            assert_eq!(mask(more), u64::MAX, "{more}");
        }
    }
}
