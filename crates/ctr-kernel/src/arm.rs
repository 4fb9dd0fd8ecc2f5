//! The kernel for 64-bit ARM.

mod armv8;
mod key_schedule;

use std::arch::{aarch64::uint8x16_t, is_aarch64_feature_detected};

use cipher::inout::InOutBuf;

use crate::{Backend, RoundKeys};

pub(crate) type Register = uint8x16_t;

/// The kernel, if this processor supports it. [`of`](Self::of) is the only constructor.
#[derive(Clone, Copy)]
pub(crate) struct Kernel(());

impl Kernel {
    /// Returns the kernel of a backend if the processor and the operating system support it.
    pub(crate) fn of(backend: Backend) -> Option<Self> {
        // The kernel takes its bytes in the order of little-endian registers.
        let available = cfg!(target_endian = "little") && is_aarch64_feature_detected!("aes");
        (available && backend == Backend::Armv8).then_some(Self(()))
    }

    pub(crate) const fn backend(self) -> Backend {
        Backend::Armv8
    }

    /// Expands a key.
    pub(crate) fn expand(self, key: &[u8; 32], keys: &mut [Register; 15]) {
        // SAFETY: a kernel exists only if its instructions are available.
        unsafe { key_schedule::expand(key, keys) }
    }

    /// Applies the keystream. The low half of the counter must not wrap within the data.
    pub(crate) fn apply(self, keys: &RoundKeys, counter: u128, data: InOutBuf<'_, '_, u8>) {
        // SAFETY: a kernel exists only if its instructions are available.
        unsafe { armv8::apply(keys, counter, data) }
    }
}
