//! The kernels for x86-64.

mod aes_ni;
mod ghash512;
mod key_schedule;
mod vaes256;
mod vaes512;

use std::arch::x86_64::{__m128i, _MM_HINT_T0, _mm_prefetch};

use cipher::inout::InOutBuf;

use crate::{Backend, RoundKeys};

pub(crate) use ghash512::HashKeys;

pub(crate) type Register = __m128i;

/// A kernel that this processor supports. [`of`](Self::of) is the only constructor.
#[derive(Clone, Copy)]
pub(crate) struct Kernel(Kind);

#[derive(Clone, Copy)]
enum Kind {
    Vaes512,
    Vaes256,
    AesNi,
}

impl Kernel {
    /// Returns the kernel of a backend if the processor and the operating system support it.
    pub(crate) fn of(backend: Backend) -> Option<Self> {
        let aes_ni = is_x86_feature_detected!("aes") && is_x86_feature_detected!("ssse3");
        let vaes = aes_ni && is_x86_feature_detected!("vaes");
        let (kind, available) = match backend {
            Backend::Vaes512 => (
                Kind::Vaes512,
                vaes && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"),
            ),
            Backend::Vaes256 => (Kind::Vaes256, vaes && is_x86_feature_detected!("avx2")),
            Backend::AesNi => (Kind::AesNi, aes_ni),
            Backend::Armv8 | Backend::Portable => return None,
        };
        available.then_some(Self(kind))
    }

    pub(crate) const fn backend(self) -> Backend {
        match self.0 {
            Kind::Vaes512 => Backend::Vaes512,
            Kind::Vaes256 => Backend::Vaes256,
            Kind::AesNi => Backend::AesNi,
        }
    }

    /// Expands a key.
    pub(crate) fn expand(self, key: &[u8; 32], keys: &mut [Register; 15]) {
        // SAFETY: every kernel requires AES-NI, see `of`.
        unsafe { key_schedule::expand(key, keys) }
    }

    /// Applies the keystream. The low half of the counter must not wrap within the data.
    pub(crate) fn apply(self, keys: &RoundKeys, counter: u128, data: InOutBuf<'_, '_, u8>) {
        match self.0 {
            // SAFETY: a kernel exists only if its instructions are available.
            Kind::Vaes512 => unsafe { vaes512::apply(keys, counter, data) },
            // SAFETY: as above.
            Kind::Vaes256 => unsafe { vaes256::apply(keys, counter, data) },
            // SAFETY: as above.
            Kind::AesNi => unsafe { aes_ni::apply(keys, counter, data) },
        }
    }
}

/// The prefetch distance in bytes: eight batches of 256 bytes, or about 450 cycles.
const AHEAD: usize = 2048;

/// Prefetches the four cache lines that are needed [`AHEAD`] bytes later, if there is that much
/// data. The processor's own prefetcher stops at the page boundary and does not keep up with data
/// from memory.
#[inline(always)]
fn ask_ahead(from: *const u8, left: usize) {
    if left > AHEAD {
        for line in 0..4 {
            let at = from.wrapping_add(AHEAD + 64 * line);
            // SAFETY: a prefetch is a hint, and any address is permitted.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
        }
    }
}

/// Returns the halves of a counter in register order, low half first.
#[expect(clippy::cast_possible_truncation, reason = "each half is taken as bits")]
const fn halves(counter: u128) -> (i64, i64) {
    (counter as i64, (counter >> 64) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without them, everything would still be right, but several times as slow.
    #[test]
    fn a_processor_has_every_kernel_that_its_instructions_allow() {
        let has = |backend| Kernel::of(backend).is_some_and(|kernel| kernel.backend() == backend);
        let aes = is_x86_feature_detected!("aes") && is_x86_feature_detected!("ssse3");
        let vaes = aes && is_x86_feature_detected!("vaes");
        let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        assert_eq!(has(Backend::AesNi), aes);
        assert_eq!(has(Backend::Vaes256), vaes && is_x86_feature_detected!("avx2"));
        assert_eq!(has(Backend::Vaes512), vaes && avx512);
        assert!(Kernel::of(Backend::Armv8).is_none());
        assert!(Kernel::of(Backend::Portable).is_none());
    }
}
