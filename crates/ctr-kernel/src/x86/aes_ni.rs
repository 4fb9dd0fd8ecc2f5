//! Eight registers of one block, in rounds that the compiler cannot reorder (see `vaes256`).

use std::arch::{
    asm,
    x86_64::{
        __m128i, _mm_add_epi64, _mm_aesenc_si128, _mm_aesenclast_si128, _mm_loadu_si128,
        _mm_set_epi8, _mm_set_epi64x, _mm_shuffle_epi8, _mm_storeu_si128, _mm_xor_si128,
    },
};

use cipher::inout::InOutBuf;
use zeroize::Zeroize as _;

use super::halves;
use crate::RoundKeys;

/// The sizes of a register and of a batch, in bytes.
const LANE: usize = 16;
const BATCH: usize = 8 * LANE;

/// One round on all eight registers.
macro_rules! round {
    ($instruction:literal, $blocks:ident, $key:expr) => {{
        let key: __m128i = $key;
        let [a, b, c, d, e, f, g, h] = &mut $blocks;
        // SAFETY: register-only instructions, which the enclosing function enables.
        unsafe {
            asm!(
                concat!($instruction, " {a}, {key}"),
                concat!($instruction, " {b}, {key}"),
                concat!($instruction, " {c}, {key}"),
                concat!($instruction, " {d}, {key}"),
                concat!($instruction, " {e}, {key}"),
                concat!($instruction, " {f}, {key}"),
                concat!($instruction, " {g}, {key}"),
                concat!($instruction, " {h}, {key}"),
                a = inout(xmm_reg) *a, b = inout(xmm_reg) *b,
                c = inout(xmm_reg) *c, d = inout(xmm_reg) *d,
                e = inout(xmm_reg) *e, f = inout(xmm_reg) *f,
                g = inout(xmm_reg) *g, h = inout(xmm_reg) *h,
                key = in(xmm_reg) key,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
    }};
}

/// Applies the keystream. The low half of the counter must not wrap within the data.
#[target_feature(enable = "aes,ssse3")]
pub(super) fn apply(keys: &RoundKeys, counter: u128, data: InOutBuf<'_, '_, u8>) {
    let mut left = data.len();
    let (mut from, mut to) = data.into_raw();
    let (low, high) = halves(counter);
    let aligned = low & 15 == 0;
    let mut counter = _mm_set_epi64x(high, low);
    while left >= BATCH {
        // SAFETY: at least one batch is left to read and write.
        unsafe { batch(keys, counter, aligned, from, to) };
        counter = _mm_add_epi64(counter, _mm_set_epi64x(0, 8));
        (from, to) = (from.wrapping_add(BATCH), to.wrapping_add(BATCH));
        left -= BATCH;
    }
    // One register at a time. They are independent, so the processor overlaps them.
    while left >= LANE {
        // SAFETY: at least one register is left to read and write.
        unsafe { lane(keys, counter, from, to) };
        counter = _mm_add_epi64(counter, _mm_set_epi64x(0, 1));
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
#[target_feature(enable = "aes,ssse3")]
#[inline]
unsafe fn lane(keys: &RoundKeys, counter: __m128i, from: *const u8, to: *mut u8) {
    let [first_key, middle_keys @ .., last_key] = &keys.0;
    let mut block = _mm_xor_si128(_mm_shuffle_epi8(counter, turn()), *first_key);
    for key in middle_keys {
        block = _mm_aesenc_si128(block, *key);
    }
    // SAFETY: guaranteed by the caller.
    let data = unsafe { _mm_loadu_si128(from.cast()) };
    let out = _mm_aesenclast_si128(block, _mm_xor_si128(*last_key, data));
    // SAFETY: guaranteed by the caller.
    unsafe { _mm_storeu_si128(to.cast(), out) };
}

/// Applies the keystream to one batch of data.
///
/// # Safety
/// `from` must be valid for reads and `to` for writes of [`BATCH`] bytes.
#[target_feature(enable = "aes,ssse3")]
#[inline]
unsafe fn batch(keys: &RoundKeys, counter: __m128i, aligned: bool, from: *const u8, to: *mut u8) {
    let [first_key, middle_keys @ .., last_key] = &keys.0;
    let mut blocks = [counter; 8];
    if aligned {
        // Only the low four bits of the last byte differ within the batch.
        let first = _mm_xor_si128(_mm_shuffle_epi8(counter, turn()), *first_key);
        for (n, block) in (0_i64..).zip(&mut blocks) {
            *block = _mm_xor_si128(first, _mm_set_epi64x(n << 56, 0));
        }
    } else {
        for (n, block) in (0_i64..).zip(&mut blocks) {
            let number = _mm_add_epi64(*block, _mm_set_epi64x(0, n));
            *block = _mm_xor_si128(_mm_shuffle_epi8(number, turn()), *first_key);
        }
    }
    for key in middle_keys {
        round!("aesenc", blocks, *key);
    }
    round!("aesenclast", blocks, *last_key);
    for (n, block) in blocks.into_iter().enumerate() {
        let at = n * LANE;
        // SAFETY: within the batch, which the caller guarantees.
        let data = unsafe { _mm_loadu_si128(from.wrapping_add(at).cast()) };
        let out = _mm_xor_si128(data, block);
        // SAFETY: as above.
        unsafe { _mm_storeu_si128(to.wrapping_add(at).cast(), out) };
    }
}

/// Returns the shuffle that reverses the bytes of each block, because counters are kept as
/// little-endian numbers.
#[target_feature(enable = "aes,ssse3")]
#[inline]
fn turn() -> __m128i {
    _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
}
