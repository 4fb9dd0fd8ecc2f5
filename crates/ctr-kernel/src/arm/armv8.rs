//! Eight registers of one block, in rounds that the compiler cannot reorder.
//!
//! Many processors fuse `AESE` with an `AESMC` that directly follows it on the same register. They
//! start such a pair every cycle or two, but its result takes several cycles, which the other seven
//! blocks fill.

use std::arch::{
    aarch64::{
        uint8x16_t, uint64x2_t, vaddq_u64, vaeseq_u8, vaesmcq_u8, vcombine_u64, vcreate_u64,
        veorq_u8, vld1q_u8, vreinterpretq_u8_u64, vrev64q_u8, vst1q_u8,
    },
    asm,
};

use cipher::inout::InOutBuf;
use zeroize::Zeroize as _;

use crate::RoundKeys;

/// The sizes of a register and of a batch, in bytes.
const LANE: usize = 16;
const BATCH: usize = 8 * LANE;

/// One round on all eight registers.
macro_rules! round {
    ($blocks:ident, $key:expr) => {{
        let key: uint8x16_t = $key;
        let [a, b, c, d, e, f, g, h] = &mut $blocks;
        // SAFETY: register-only instructions, which the enclosing function enables.
        unsafe {
            asm!(
                "aese {a:v}.16b, {key:v}.16b",
                "aesmc {a:v}.16b, {a:v}.16b",
                "aese {b:v}.16b, {key:v}.16b",
                "aesmc {b:v}.16b, {b:v}.16b",
                "aese {c:v}.16b, {key:v}.16b",
                "aesmc {c:v}.16b, {c:v}.16b",
                "aese {d:v}.16b, {key:v}.16b",
                "aesmc {d:v}.16b, {d:v}.16b",
                "aese {e:v}.16b, {key:v}.16b",
                "aesmc {e:v}.16b, {e:v}.16b",
                "aese {f:v}.16b, {key:v}.16b",
                "aesmc {f:v}.16b, {f:v}.16b",
                "aese {g:v}.16b, {key:v}.16b",
                "aesmc {g:v}.16b, {g:v}.16b",
                "aese {h:v}.16b, {key:v}.16b",
                "aesmc {h:v}.16b, {h:v}.16b",
                a = inout(vreg) *a, b = inout(vreg) *b,
                c = inout(vreg) *c, d = inout(vreg) *d,
                e = inout(vreg) *e, f = inout(vreg) *f,
                g = inout(vreg) *g, h = inout(vreg) *h,
                key = in(vreg) key,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
    }};
}

/// Applies the keystream. The low half of the counter must not wrap within the data.
#[target_feature(enable = "aes")]
pub(super) fn apply(keys: &RoundKeys, counter: u128, data: InOutBuf<'_, '_, u8>) {
    let mut left = data.len();
    let (mut from, mut to) = data.into_raw();
    let aligned = counter & 7 == 0;
    let mut counter = halves(counter);
    while left >= BATCH {
        // SAFETY: at least one batch is left to read and write.
        unsafe { batch(keys, counter, aligned, from, to) };
        counter = vaddq_u64(counter, halves(8));
        (from, to) = (from.wrapping_add(BATCH), to.wrapping_add(BATCH));
        left -= BATCH;
    }
    // One register at a time. They are independent, so the processor overlaps them.
    while left >= LANE {
        // SAFETY: at least one register is left to read and write.
        unsafe { lane(keys, counter, from, to) };
        counter = vaddq_u64(counter, halves(1));
        (from, to) = (from.wrapping_add(LANE), to.wrapping_add(LANE));
        left -= LANE;
    }
    if left > 0 {
        // The remainder is processed in a register-sized buffer, to stay within the data.
        let mut whole = 0_u128;
        let bytes = (&raw mut whole).cast::<u8>();
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
#[target_feature(enable = "aes")]
#[inline]
unsafe fn lane(keys: &RoundKeys, counter: uint64x2_t, from: *const u8, to: *mut u8) {
    let [keys @ .., key_before_last, last_key] = &keys.0;
    let mut block = turned(counter);
    for key in keys {
        block = vaesmcq_u8(vaeseq_u8(block, *key));
    }
    block = vaeseq_u8(block, *key_before_last);
    // SAFETY: guaranteed by the caller.
    let data = unsafe { vld1q_u8(from) };
    let out = veorq_u8(block, veorq_u8(data, *last_key));
    // SAFETY: guaranteed by the caller.
    unsafe { vst1q_u8(to, out) };
}

/// Applies the keystream to one batch of data.
///
/// # Safety
/// `from` must be valid for reads and `to` for writes of [`BATCH`] bytes.
#[target_feature(enable = "aes")]
#[inline]
unsafe fn batch(
    keys: &RoundKeys,
    counter: uint64x2_t,
    aligned: bool,
    from: *const u8,
    to: *mut u8,
) {
    let [first_key, middle_keys @ .., key_before_last, last_key] = &keys.0;
    let mut blocks = [turned(counter); 8];
    if aligned {
        // Only the low three bits of the last byte differ within the batch. A round begins with
        // the XOR of its key, so the rest of the counter can be part of the key, and the blocks
        // are the same constants for every batch.
        let first_key = veorq_u8(turned(counter), *first_key);
        for (n, block) in (0..).zip(&mut blocks) {
            *block = turned(halves(n));
        }
        round!(blocks, first_key);
    } else {
        let mut counter = counter;
        for block in &mut blocks {
            *block = turned(counter);
            counter = vaddq_u64(counter, halves(1));
        }
        round!(blocks, *first_key);
    }
    for key in middle_keys {
        round!(blocks, *key);
    }
    for (half, blocks) in blocks.chunks_exact(4).enumerate() {
        // Four loads come before four stores, so that they are paired. With more of them, there
        // would not be enough registers, and a round key would get onto the stack.
        let at = |n: usize| (4 * half + n) * LANE;
        let mut data = [*last_key; 4];
        for (n, data) in data.iter_mut().enumerate() {
            // SAFETY: within the batch, which the caller guarantees.
            *data = veorq_u8(unsafe { vld1q_u8(from.wrapping_add(at(n))) }, *data);
        }
        for (n, (block, data)) in blocks.iter().zip(data).enumerate() {
            let out = veorq_u8(vaeseq_u8(*block, *key_before_last), data);
            // SAFETY: as above.
            unsafe { vst1q_u8(to.wrapping_add(at(n)), out) };
        }
    }
}

/// Returns the halves of a counter, high half first, as it is in a block.
#[target_feature(enable = "aes")]
#[inline]
fn halves(counter: u128) -> uint64x2_t {
    #[expect(clippy::cast_possible_truncation, reason = "each half is taken as bits")]
    let (high, low) = ((counter >> 64) as u64, counter as u64);
    vcombine_u64(vcreate_u64(high), vcreate_u64(low))
}

/// Reverses the bytes of each half, because counters are kept as little-endian numbers.
#[target_feature(enable = "aes")]
#[inline]
fn turned(counter: uint64x2_t) -> uint8x16_t {
    vrev64q_u8(vreinterpretq_u8_u64(counter))
}
