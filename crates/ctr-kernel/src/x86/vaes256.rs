//! Eight registers of two blocks.
//!
//! Each round on all eight registers is one `asm!` block. With intrinsics, the compiler runs out of
//! registers and processes the blocks one register after another, and the out-of-order window then
//! limits the speed: 1.6 instead of 4.2 bytes per cycle (measured on Zen 4).

use std::arch::{
    asm,
    x86_64::{
        __m128i, __m256i, _mm_set_epi8, _mm256_add_epi64, _mm256_aesenc_epi128,
        _mm256_aesenclast_epi128, _mm256_broadcastsi128_si256, _mm256_loadu_si256,
        _mm256_set_epi64x, _mm256_shuffle_epi8, _mm256_storeu_si256, _mm256_xor_si256,
    },
};

use cipher::inout::InOutBuf;
use zeroize::Zeroize as _;

use super::{ask_ahead, halves};
use crate::RoundKeys;

/// The sizes of a register and of a batch, in bytes.
const LANE: usize = 32;
const BATCH: usize = 8 * LANE;

/// One round on all eight registers, which the compiler cannot reorder.
macro_rules! round {
    ($instruction:literal, $blocks:ident, $key:expr) => {{
        let key: __m256i = $key;
        let [a, b, c, d, e, f, g, h] = &mut $blocks;
        // SAFETY: register-only instructions, which the enclosing function enables.
        unsafe {
            asm!(
                concat!($instruction, " {a}, {a}, {key}"),
                concat!($instruction, " {b}, {b}, {key}"),
                concat!($instruction, " {c}, {c}, {key}"),
                concat!($instruction, " {d}, {d}, {key}"),
                concat!($instruction, " {e}, {e}, {key}"),
                concat!($instruction, " {f}, {f}, {key}"),
                concat!($instruction, " {g}, {g}, {key}"),
                concat!($instruction, " {h}, {h}, {key}"),
                a = inout(ymm_reg) *a, b = inout(ymm_reg) *b,
                c = inout(ymm_reg) *c, d = inout(ymm_reg) *d,
                e = inout(ymm_reg) *e, f = inout(ymm_reg) *f,
                g = inout(ymm_reg) *g, h = inout(ymm_reg) *h,
                key = in(ymm_reg) key,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
    }};
}

/// Applies the keystream. The low half of the counter must not wrap within the data.
#[target_feature(enable = "avx2,vaes")]
pub(super) fn apply(keys: &RoundKeys, counter: u128, data: InOutBuf<'_, '_, u8>) {
    let mut left = data.len();
    let (mut from, mut to) = data.into_raw();
    let (low, high) = halves(counter);
    let aligned = low & 15 == 0;
    let mut counter =
        _mm256_add_epi64(_mm256_set_epi64x(high, low, high, low), _mm256_set_epi64x(0, 1, 0, 0));
    while left >= BATCH {
        ask_ahead(from, left);
        // SAFETY: at least one batch is left to read and write.
        unsafe { batch(keys, counter, aligned, from, to) };
        counter = _mm256_add_epi64(counter, _mm256_set_epi64x(0, 16, 0, 16));
        (from, to) = (from.wrapping_add(BATCH), to.wrapping_add(BATCH));
        left -= BATCH;
    }
    // One register at a time. They are independent, so the processor overlaps them.
    while left >= LANE {
        // SAFETY: at least one register is left to read and write.
        unsafe { lane(keys, counter, from, to) };
        counter = _mm256_add_epi64(counter, _mm256_set_epi64x(0, 2, 0, 2));
        (from, to) = (from.wrapping_add(LANE), to.wrapping_add(LANE));
        left -= LANE;
    }
    if left > 0 {
        // The remainder is processed in a register-sized buffer, to stay within the data.
        let mut whole = [0_u128; LANE / 16];
        let bytes = whole.as_mut_ptr().cast::<u8>();
        // SAFETY: less than a register is left to read, and it does not overlap the local buffer.
        unsafe { from.copy_to_nonoverlapping(bytes, left) };
        // SAFETY: the buffer is as large as a register.
        unsafe { lane(keys, counter, bytes, bytes) };
        // SAFETY: less than a register is left to write.
        unsafe { to.copy_from_nonoverlapping(bytes, left) };
        whole.zeroize();
    }
}

/// Applies the keystream to one register of data.
///
/// # Safety
/// `from` must be valid for reads and `to` for writes of [`LANE`] bytes.
#[target_feature(enable = "avx2,vaes")]
#[inline]
unsafe fn lane(keys: &RoundKeys, counter: __m256i, from: *const u8, to: *mut u8) {
    let [first_key, middle_keys @ .., last_key] = &keys.0;
    let mut block = _mm256_xor_si256(_mm256_shuffle_epi8(counter, turn()), spread(*first_key));
    for key in middle_keys {
        block = _mm256_aesenc_epi128(block, spread(*key));
    }
    // SAFETY: guaranteed by the caller.
    let data = unsafe { _mm256_loadu_si256(from.cast()) };
    let out = _mm256_aesenclast_epi128(block, _mm256_xor_si256(spread(*last_key), data));
    // SAFETY: guaranteed by the caller.
    unsafe { _mm256_storeu_si256(to.cast(), out) };
}

/// Applies the keystream to one batch of data.
///
/// # Safety
/// `from` must be valid for reads and `to` for writes of [`BATCH`] bytes.
#[target_feature(enable = "avx2,vaes")]
#[inline]
unsafe fn batch(keys: &RoundKeys, counter: __m256i, aligned: bool, from: *const u8, to: *mut u8) {
    let [first_key, middle_keys @ .., last_key] = &keys.0;
    let mut blocks = [counter; 8];
    if aligned {
        // Only the low four bits of the last byte differ within the batch.
        let first = _mm256_xor_si256(_mm256_shuffle_epi8(counter, turn()), spread(*first_key));
        for (n, block) in (0_i64..).zip(&mut blocks) {
            *block = _mm256_xor_si256(first, _mm256_set_epi64x((2 * n) << 56, 0, (2 * n) << 56, 0));
        }
    } else {
        for (n, block) in (0_i64..).zip(&mut blocks) {
            let number = _mm256_add_epi64(*block, _mm256_set_epi64x(0, 2 * n, 0, 2 * n));
            *block = _mm256_xor_si256(_mm256_shuffle_epi8(number, turn()), spread(*first_key));
        }
    }
    for key in middle_keys {
        round!("vaesenc", blocks, spread(*key));
    }
    round!("vaesenclast", blocks, spread(*last_key));
    for (n, block) in blocks.into_iter().enumerate() {
        let at = n * LANE;
        // SAFETY: within the batch, which the caller guarantees.
        let data = unsafe { _mm256_loadu_si256(from.wrapping_add(at).cast()) };
        let out = _mm256_xor_si256(data, block);
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(to.wrapping_add(at).cast(), out) };
    }
}

/// Returns the shuffle that reverses the bytes of each block, because counters are kept as
/// little-endian numbers.
#[target_feature(enable = "avx2,vaes")]
#[inline]
fn turn() -> __m256i {
    spread(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
}

/// Copies a round key to both blocks of a register. This is repeated on every use, because sixteen
/// registers cannot hold the keys as well.
#[target_feature(enable = "avx2,vaes")]
#[inline]
fn spread(key: __m128i) -> __m256i {
    _mm256_broadcastsi128_si256(key)
}
