//! The key schedule of AES-256.

use std::arch::aarch64::{
    uint8x16_t, uint32x4_t, vaeseq_u8, vdupq_laneq_u32, vdupq_n_u8, vdupq_n_u32, veorq_u8,
    veorq_u32, vextq_u8, vld1q_u8, vorrq_u32, vreinterpretq_u8_u32, vreinterpretq_u32_u8,
    vshlq_n_u32, vshrq_n_u32,
};

/// Expands a key. Everything in between stays in registers.
#[target_feature(enable = "aes")]
pub(super) fn expand(key: &[u8; 32], keys: &mut [uint8x16_t; 15]) {
    let (first, second) = key.split_at(16);
    // SAFETY: the slice is 16 bytes long.
    let mut even = unsafe { vld1q_u8(first.as_ptr()) };
    // SAFETY: the slice is 16 bytes long.
    let mut odd = unsafe { vld1q_u8(second.as_ptr()) };
    let mut constant = 1;
    for pair in keys.chunks_mut(2) {
        if let [to, rest @ ..] = pair {
            *to = even;
            if let [to] = rest {
                *to = odd;
            }
        }
        let word = veorq_u32(rotated(substituted(odd)), vdupq_n_u32(constant));
        even = veorq_u8(running_sums(even), vreinterpretq_u8_u32(word));
        odd = veorq_u8(running_sums(odd), vreinterpretq_u8_u32(substituted(even)));
        constant <<= 1;
    }
}

/// XORs each word with all preceding words, which yields the running sums of the key schedule.
#[target_feature(enable = "aes")]
#[inline]
fn running_sums(words: uint8x16_t) -> uint8x16_t {
    let zero = vdupq_n_u8(0);
    let words = veorq_u8(words, vextq_u8::<12>(zero, words));
    veorq_u8(words, vextq_u8::<8>(zero, words))
}

/// Applies the S-box to the last word, and returns it four times. A round of AES with a key of
/// zeros does that: each row holds four equal bytes, so that shifting it changes nothing.
#[target_feature(enable = "aes")]
#[inline]
fn substituted(words: uint8x16_t) -> uint32x4_t {
    let last = vdupq_laneq_u32::<3>(vreinterpretq_u32_u8(words));
    vreinterpretq_u32_u8(vaeseq_u8(vreinterpretq_u8_u32(last), vdupq_n_u8(0)))
}

/// Rotates each word by one byte.
#[target_feature(enable = "aes")]
#[inline]
fn rotated(words: uint32x4_t) -> uint32x4_t {
    vorrq_u32(vshrq_n_u32::<8>(words), vshlq_n_u32::<24>(words))
}
