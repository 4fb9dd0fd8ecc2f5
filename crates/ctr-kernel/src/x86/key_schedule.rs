//! The key schedule of AES-256.

use std::arch::x86_64::{
    __m128i, _mm_aeskeygenassist_si128, _mm_loadu_si128, _mm_shuffle_epi32, _mm_slli_si128,
    _mm_xor_si128,
};

/// XORs each word with all preceding words, which yields the running sums of the key schedule.
#[target_feature(enable = "sse2")]
#[inline]
fn running_sums(words: __m128i) -> __m128i {
    let words = _mm_xor_si128(words, _mm_slli_si128::<4>(words));
    _mm_xor_si128(words, _mm_slli_si128::<8>(words))
}

/// Expands a key. Everything in between stays in registers.
#[target_feature(enable = "aes,sse2")]
pub(super) fn expand(key: &[u8; 32], keys: &mut [__m128i; 15]) {
    let (first, second) = key.split_at(16);
    // SAFETY: the slice is 16 bytes long.
    let mut even = unsafe { _mm_loadu_si128(first.as_ptr().cast()) };
    // SAFETY: the slice is 16 bytes long.
    let mut odd = unsafe { _mm_loadu_si128(second.as_ptr().cast()) };
    let mut rest = keys.iter_mut();
    let mut next = |key| {
        if let Some(to) = rest.next() {
            *to = key;
        }
    };

    // Unrolled because the round constant is an immediate operand.
    macro_rules! even {
        ($constant:literal) => {
            let sum = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<$constant>(odd));
            even = _mm_xor_si128(running_sums(even), sum);
            next(even);
        };
    }
    macro_rules! odd {
        () => {
            let sum = _mm_shuffle_epi32::<0xaa>(_mm_aeskeygenassist_si128::<0>(even));
            odd = _mm_xor_si128(running_sums(odd), sum);
            next(odd);
        };
    }
    next(even);
    next(odd);
    even!(0x01);
    odd!();
    even!(0x02);
    odd!();
    even!(0x04);
    odd!();
    even!(0x08);
    odd!();
    even!(0x10);
    odd!();
    even!(0x20);
    odd!();
    even!(0x40);
}
