//! GHASH over sixteen blocks at a time, in four registers of four.
//!
//! A block is a polynomial over GF(2), with the coefficient of x⁰ in its first bit. Read as a
//! big-endian number, it is the polynomial in reverse, and so is the carry-less product of two,
//! which is one bit too short: it is the product divided by x. That is why all powers of the key
//! are kept multiplied by x⁻¹.
//!
//! Sixteen blocks are multiplied by the powers 16 to 1 of the key, the sum so far being added to
//! the first, and the products are reduced together (Gueron and Kounavis, "Intel Carry-Less
//! Multiplication Instruction and its Usage for Computing the GCM Mode").

use std::arch::x86_64::{
    __m128i, __m512i, _mm_loadu_si128, _mm_set_epi8, _mm_set_epi64x, _mm_setzero_si128,
    _mm_storeu_si128, _mm_xor_si128, _mm256_castsi256_si128, _mm256_extracti128_si256,
    _mm256_xor_si256, _mm512_broadcast_i32x4, _mm512_castsi512_si256, _mm512_clmulepi64_epi128,
    _mm512_extracti64x4_epi64, _mm512_inserti32x4, _mm512_loadu_si512, _mm512_maskz_loadu_epi8,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_epi32, _mm512_ternarylogic_epi64,
    _mm512_xor_si512,
};

use zeroize::{Zeroize as _, ZeroizeOnDrop};

use super::vaes512::mask;

/// The sizes of a register and of a batch, in bytes.
const LANE: usize = 64;
const BATCH: usize = 4 * LANE;
/// The blocks of a batch.
const BLOCKS: usize = BATCH / 16;

/// What x¹²⁸ is in reverse, without its first and last terms: x¹²⁷ + x¹²⁶ + x¹²¹.
const POLYNOMIAL: i64 = 0xc2_i64 << 56;

/// The powers 16 to 1 of a key, times x⁻¹, and then as many zeros, so that a batch of any number of
/// blocks begins at one of them. They are wiped on drop.
#[repr(C, align(64))]
pub(crate) struct HashKeys([u128; 2 * BLOCKS]);

impl HashKeys {
    /// Computes the powers of a key where they stay. Returns `None` if the processor lacks the
    /// instructions.
    pub(crate) fn new(key: u128) -> Option<Box<Self>> {
        let is_available = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("vpclmulqdq");
        if !is_available {
            return None;
        }
        let mut keys = Box::new(Self([0; 2 * BLOCKS]));
        // SAFETY: the instructions are available.
        unsafe { expand(key, &mut keys) };
        Some(keys)
    }

    /// Adds blocks to a sum, the last of which may be short.
    pub(crate) fn update(&self, sum: u128, data: &[u8]) -> u128 {
        // SAFETY: there are keys only where the instructions are available.
        unsafe { update(self, sum, data) }
    }

    /// Returns the four powers from this one on.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn powers(&self, at: usize) -> __m512i {
        let powers = self.0.get(at..at + 4).unwrap_or(&[0; 4]);
        // SAFETY: four numbers of 16 bytes are as large as a register.
        unsafe { _mm512_loadu_si512(powers.as_ptr().cast()) }
    }
}

impl Drop for HashKeys {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for HashKeys {}

#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
fn expand(key: u128, keys: &mut HashKeys) {
    // Divided by x: x⁻¹ is x¹²⁷ + x⁶ + x + 1.
    let first = 0_u128.wrapping_sub(key >> 127);
    let first = (key << 1) ^ (first & (0xc2 << 120 | 1));
    let first = from_number(first);
    let mut power = first;
    for (n, to) in keys.0.iter_mut().take(BLOCKS).rev().enumerate() {
        if n > 0 {
            power = multiply(power, first);
        }
        *to = to_number(power);
    }
}

#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
fn update(keys: &HashKeys, sum: u128, data: &[u8]) -> u128 {
    let mut sum = from_number(sum);
    let powers = [0, 4, 8, 12].map(|at| keys.powers(at));
    let (batches, rest) = data.as_chunks::<BATCH>();
    for batch in batches {
        let mut blocks = [_mm512_setzero_si512(); 4];
        for (block, bytes) in blocks.iter_mut().zip(batch.as_chunks::<LANE>().0) {
            // SAFETY: the bytes are as many as a register has.
            *block = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
        }
        sum = add(sum, blocks, powers);
    }
    if !rest.is_empty() {
        // The last block is multiplied by the key, and what is after it by zeros.
        let first = BLOCKS - rest.len().div_ceil(16);
        let mut blocks = [_mm512_setzero_si512(); 4];
        for (bytes, block) in rest.chunks(LANE).zip(&mut blocks) {
            // SAFETY: the mask limits the access to the bytes that there are.
            *block = unsafe { _mm512_maskz_loadu_epi8(mask(bytes.len()), bytes.as_ptr().cast()) };
        }
        let powers = [0, 4, 8, 12].map(|at| keys.powers(first + at));
        sum = add(sum, blocks, powers);
    }
    to_number(sum)
}

/// Adds a batch to the sum.
#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
#[inline]
fn add(sum: __m128i, blocks: [__m512i; 4], powers: [__m512i; 4]) -> __m128i {
    let turn =
        _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    let mut blocks = blocks.map(|block| _mm512_shuffle_epi8(block, turn));
    let [first, ..] = &mut blocks;
    *first = _mm512_xor_si512(*first, _mm512_inserti32x4::<0>(_mm512_setzero_si512(), sum));

    let mut low = _mm512_setzero_si512();
    let (mut middle, mut high) = (low, low);
    // The first one last, because its sum is known last.
    for (block, power) in blocks.into_iter().zip(powers).rev() {
        low = _mm512_xor_si512(low, _mm512_clmulepi64_epi128::<0x00>(block, power));
        high = _mm512_xor_si512(high, _mm512_clmulepi64_epi128::<0x11>(block, power));
        middle = xor3(
            middle,
            _mm512_clmulepi64_epi128::<0x01>(block, power),
            _mm512_clmulepi64_epi128::<0x10>(block, power),
        );
    }
    // Each step moves the lowest 64 bits up by 128, reduced.
    let polynomial = _mm512_broadcast_i32x4(_mm_set_epi64x(0, POLYNOMIAL));
    let folded = _mm512_clmulepi64_epi128::<0x00>(low, polynomial);
    middle = xor3(middle, _mm512_shuffle_epi32::<0x4e>(low), folded);
    let folded = _mm512_clmulepi64_epi128::<0x00>(middle, polynomial);
    high = xor3(high, _mm512_shuffle_epi32::<0x4e>(middle), folded);

    let halves =
        _mm256_xor_si256(_mm512_castsi512_si256(high), _mm512_extracti64x4_epi64::<1>(high));
    _mm_xor_si128(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves))
}

/// Multiplies two polynomials, one of which was multiplied by x⁻¹.
#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
#[inline]
fn multiply(a: __m128i, b: __m128i) -> __m128i {
    let wide = |register| _mm512_inserti32x4::<0>(_mm512_setzero_si512(), register);
    let none = _mm512_setzero_si512();
    let turn = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    // `add` reverses the bytes of what it is given.
    let block = _mm512_shuffle_epi8(wide(a), _mm512_broadcast_i32x4(turn));
    add(_mm_setzero_si128(), [block, none, none, none], [wide(b), none, none, none])
}

#[target_feature(enable = "avx512f")]
#[inline]
fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0x96>(a, b, c)
}

#[target_feature(enable = "sse2")]
#[inline]
fn from_number(number: u128) -> __m128i {
    // SAFETY: the number is as large as a register.
    unsafe { _mm_loadu_si128((&raw const number).cast()) }
}

#[target_feature(enable = "sse2")]
#[inline]
fn to_number(register: __m128i) -> u128 {
    let mut number = 0_u128;
    // SAFETY: the number is as large as a register.
    unsafe { _mm_storeu_si128((&raw mut number).cast(), register) };
    number
}
