//! The AES-256 key schedule (FIPS 197, 5.2).

use std::{
    arch::x86_64::{
        __m128i, _mm_aeskeygenassist_si128, _mm_loadu_si128, _mm_shuffle_epi32, _mm_slli_si128,
        _mm_xor_si128,
    },
    mem::MaybeUninit,
    sync::Arc,
};

use zeroize::{Zeroize as _, ZeroizeOnDrop};

use super::Kernel;

/// The 15 round keys, wiped on drop.
///
/// There is no padding between them and the end: whatever was on the stack when they were moved
/// would stay in it.
#[repr(C, align(64))]
pub(crate) struct RoundKeys(pub(super) [__m128i; 15], [u8; 16]);

const _: () = assert!(size_of::<RoundKeys>() == 16 * 16);

impl RoundKeys {
    /// Expands a key where it stays, because a move would leave behind a copy that is never wiped.
    /// The kernel proves that AES-NI is available.
    pub(crate) fn shared(key: &[u8; 32], _proof: Kernel) -> Arc<Self> {
        let mut keys = Arc::<Self>::new_uninit();
        if let Some(new) = Arc::get_mut(&mut keys) {
            *new = MaybeUninit::zeroed();
        }
        // SAFETY: nobody else has the new keys, and all-zero bits are valid registers.
        let mut keys = unsafe { keys.assume_init() };
        if let Some(empty) = Arc::get_mut(&mut keys) {
            // SAFETY: every kernel requires AES-NI, see `Kernel::of`.
            unsafe { expand(key, empty) };
        }
        keys
    }
}

impl Drop for RoundKeys {
    fn drop(&mut self) {
        self.0.zeroize();
        self.1.zeroize();
    }
}

impl ZeroizeOnDrop for RoundKeys {}

/// XORs each word with all preceding words, which yields the running sums of the key schedule.
#[target_feature(enable = "sse2")]
#[inline]
fn running_sums(words: __m128i) -> __m128i {
    let words = _mm_xor_si128(words, _mm_slli_si128::<4>(words));
    _mm_xor_si128(words, _mm_slli_si128::<8>(words))
}

#[target_feature(enable = "aes,sse2")]
fn expand(key: &[u8; 32], keys: &mut RoundKeys) {
    let (first, second) = key.split_at(16);
    // SAFETY: the slice is 16 bytes long.
    let mut even = unsafe { _mm_loadu_si128(first.as_ptr().cast()) };
    // SAFETY: the slice is 16 bytes long.
    let mut odd = unsafe { _mm_loadu_si128(second.as_ptr().cast()) };
    let mut rest = keys.0.iter_mut();
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
