//! AES-256 in counter mode, and nothing else, as fast as the processor can.
//!
//! The counter block is 128 bits, big-endian, and wraps (NIST SP 800-38A, 6.5, with the whole block as
//! the counter). CTR is not authenticated, and a counter block must never be used twice with one key:
//! whoever uses this crate sees to both.
//!
//! The kernels are written by hand because the speed of ciphers that are put together from generic
//! parts depends on the profile with which the *final* program is built, which a library cannot choose:
//! in cargo's default release profile such code ran at half the speed of OpenSSL, these kernels at
//! twice. Which one runs is decided once, at run time, see [`Path`].
//!
//! ```
//! let cipher = ctr_kernel::Aes256Ctr::new(&[7; 32]);
//! let mut data = *b"any number of bytes";
//! cipher.apply(1, &mut data);
//! cipher.apply(1, &mut data); // the same keystream again: back to the plaintext
//! assert_eq!(&data, b"any number of bytes");
//! ```

mod path;
mod portable;
mod self_check;
mod span;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::{num::NonZeroU64, sync::Arc};

use crate::{portable::PortableKeys, span::Span};

pub use path::Path;

/// An AES-256 key, expanded, and the path that uses it. Clones share the key; it is wiped with the last.
///
/// It is expanded where it stays, so that no copy is left behind. The portable path cannot promise that:
/// the `aes` crate hands its keys over by value.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct Aes256Ctr(Arc<Keys>);

/// The round keys, in the form that a path wants.
enum Keys {
    #[cfg(target_arch = "x86_64")]
    X86(x86::Kernel, x86::RoundKeys),
    Portable(PortableKeys),
}

impl Aes256Ctr {
    /// Expands a key, for the best path of this processor.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        // The portable path is always there.
        Self::with_path(key, Path::best())
            .unwrap_or_else(|| Self(Arc::new(Keys::Portable(PortableKeys::new(key)))))
    }

    /// Expands a key for a path of the caller's choice: for tests and measurements. `None` if this
    /// processor does not have it.
    #[must_use]
    pub fn with_path(key: &[u8; 32], path: Path) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if let Some(kernel) = x86::Kernel::of(path) {
            let mut keys = Arc::new(Keys::X86(kernel, x86::RoundKeys::empty()));
            let Some(Keys::X86(_, empty)) = Arc::get_mut(&mut keys) else { return None };
            empty.expand(key, kernel);
            return Some(Self(keys));
        }
        (path == Path::Portable).then(|| Self(Arc::new(Keys::Portable(PortableKeys::new(key)))))
    }

    /// The path that this key is expanded for.
    #[must_use]
    pub fn path(&self) -> Path {
        match &*self.0 {
            #[cfg(target_arch = "x86_64")]
            Keys::X86(kernel, _) => kernel.path(),
            Keys::Portable(_) => Path::Portable,
        }
    }

    /// XORs into `data` the keystream that starts with counter block `counter`.
    pub fn apply(&self, counter: u128, data: &mut [u8]) {
        self.run(counter, Span::in_place(data));
    }

    /// XORs the keystream that starts with counter block `counter` with `from`, into `to`.
    ///
    /// In place is faster for what does not fit the second-level cache.
    ///
    /// # Panics
    /// If the two differ in length, like [`slice::copy_from_slice`].
    pub fn apply_to(&self, counter: u128, from: &[u8], to: &mut [u8]) {
        assert_eq!(from.len(), to.len(), "source and destination differ in length");
        self.run(counter, Span::between(from, to));
    }

    /// Encrypts one block in place with the bare cipher, as GCM does to make its hash key.
    pub fn encrypt_block(&self, block: &mut [u8; 16]) {
        let counter = u128::from_be_bytes(*block);
        *block = [0; 16];
        self.apply(counter, block);
    }

    /// Splits where the low half of the counter wraps, so that the kernels count with 64 bits.
    fn run(&self, mut counter: u128, mut span: Span<'_>) {
        while span.len() > 0 {
            #[expect(clippy::cast_possible_truncation, reason = "the low half is what is meant")]
            let low = counter as u64;
            // Blocks until the low half wraps; 2^64 of them are more than fit into memory.
            let blocks = NonZeroU64::new(low.wrapping_neg()).map_or(u64::MAX, NonZeroU64::get);
            let room = usize::try_from(blocks.saturating_mul(16)).unwrap_or(usize::MAX & !15);
            let (now, later) = span.split_at(room);
            match &*self.0 {
                #[cfg(target_arch = "x86_64")]
                Keys::X86(kernel, keys) => kernel.apply(keys, counter, now),
                Keys::Portable(keys) => keys.apply(counter, now),
            }
            counter = counter.wrapping_add(u128::from(blocks));
            span = later;
        }
    }
}
