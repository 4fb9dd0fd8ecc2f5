//! AES-256 in counter mode at the full speed of the processor, the hash of AES-GCM that keeps up
//! with it, and nothing else.
//!
//! The counter block is a 128-bit big-endian number that wraps around (NIST SP 800-38A, 6.5, with
//! the whole block as the counter). CTR is unauthenticated, and a counter block must never be used
//! twice with the same key. Both are the caller's responsibility.
//!
//! The kernels are handwritten because the speed of a cipher assembled from generic components
//! depends on the build profile of the *final* program, which a library cannot choose. With cargo's
//! default release profile, such code ran at half the speed of OpenSSL on x86-64, and these kernels
//! at twice. The kernel is selected once, at run time; see [`Backend`].
//!
//! ```
//! let cipher = ctr_kernel::Aes256Ctr::new(&[7; 32]);
//! let mut data = *b"any number of bytes";
//! cipher.apply(1, &mut data);
//! cipher.apply(1, &mut data); // the same keystream restores the plaintext
//! assert_eq!(&data, b"any number of bytes");
//! ```

#[cfg(target_arch = "aarch64")]
mod arm;
mod backend;
mod ghash;
mod native;
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
mod none;
mod portable;
mod round_keys;
mod self_check;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::{num::NonZeroU64, sync::Arc};

use cipher::inout::InOutBuf;

use crate::{native::Kernel, portable::PortableKeys, round_keys::RoundKeys};

pub use backend::Backend;
pub use ghash::Ghash;

/// An expanded AES-256 key and the backend that uses it. Clones share the key, which is wiped when
/// the last one is dropped.
///
/// The key is expanded in place, so that no copies are left behind. The portable backend cannot
/// guarantee this, because the `aes` crate returns its round keys by value.
///
/// ```
/// use ctr_kernel::Aes256Ctr;
///
/// let cipher = Aes256Ctr::new(&[7; 32]);
/// let (plain, mut body) = ([1; 100], [0; 100]);
/// cipher.apply_to(0, &plain, &mut body);
/// // The second 16-byte block has the next counter.
/// cipher.apply(1, &mut body[16..]);
/// assert_eq!(body[16..], plain[16..]);
/// ```
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "secrets must not be printed")]
pub struct Aes256Ctr(Keys);

/// The round keys, in the form that each backend requires.
#[derive(Clone)]
enum Keys {
    Native(Kernel, Arc<RoundKeys>),
    Portable(Arc<PortableKeys>),
}

impl Aes256Ctr {
    /// Expands a key for the fastest backend on this processor.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        // The portable backend is always available.
        Self::with_backend(key, Backend::best()).unwrap_or_else(|| Self::portable(key))
    }

    /// Expands a key for the given backend, for tests and benchmarks. Returns `None` if this
    /// processor does not support it.
    #[must_use]
    pub fn with_backend(key: &[u8; 32], backend: Backend) -> Option<Self> {
        if let Some(kernel) = Kernel::of(backend) {
            return Some(Self(Keys::Native(kernel, RoundKeys::shared(key, kernel))));
        }
        (backend == Backend::Portable).then(|| Self::portable(key))
    }

    fn portable(key: &[u8; 32]) -> Self {
        Self(Keys::Portable(Arc::new(PortableKeys::new(key))))
    }

    /// Returns the backend that this key is expanded for.
    #[must_use]
    pub fn backend(&self) -> Backend {
        match &self.0 {
            Keys::Native(kernel, _) => kernel.backend(),
            Keys::Portable(_) => Backend::Portable,
        }
    }

    /// XORs the keystream starting at counter block `counter` into `data`.
    pub fn apply(&self, counter: u128, data: &mut [u8]) {
        self.run(counter, data.into());
    }

    /// XORs the keystream starting at counter block `counter` with `from` and writes the result to
    /// `to`.
    ///
    /// Working in place is faster for data that does not fit in the second-level cache.
    ///
    /// # Panics
    /// Panics if `from` and `to` differ in length, like [`slice::copy_from_slice`].
    pub fn apply_to(&self, counter: u128, from: &[u8], to: &mut [u8]) {
        assert_eq!(from.len(), to.len(), "source and destination differ in length");
        if let Ok(data) = InOutBuf::new(from, to) {
            self.run(counter, data);
        }
    }

    /// Encrypts one block in place with the raw block cipher, as GCM does to derive its hash key.
    pub fn encrypt_block(&self, block: &mut [u8; 16]) {
        let counter = u128::from_be_bytes(*block);
        *block = [0; 16];
        self.apply(counter, block);
    }

    /// Splits the data where the low half of the counter wraps, so that kernels can use 64-bit
    /// additions.
    fn run(&self, mut counter: u128, mut data: InOutBuf<'_, '_, u8>) {
        while !data.is_empty() {
            #[expect(clippy::cast_possible_truncation, reason = "only the low half is needed")]
            let low = counter as u64;
            // The number of blocks until the low half wraps. `u64::MAX` stands in for 2^64, which
            // is more than fits in memory.
            let blocks = NonZeroU64::new(low.wrapping_neg()).map_or(u64::MAX, NonZeroU64::get);
            let room = usize::try_from(blocks.saturating_mul(16))
                .unwrap_or(usize::MAX & !15)
                .min(data.len());
            let (now, later) = data.split_at(room);
            match &self.0 {
                Keys::Native(kernel, keys) => {
                    let (lead, aligned) = split_at_alignment(counter, now);
                    let after = counter.wrapping_add(lead.len() as u128 / 16);
                    if !lead.is_empty() {
                        kernel.apply(keys, counter, lead);
                    }
                    kernel.apply(keys, after, aligned);
                }
                Keys::Portable(keys) => keys.apply(counter, now),
            }
            counter = counter.wrapping_add(u128::from(blocks));
            data = later;
        }
    }
}

/// The length in bytes from which aligning the counter pays off, as measured on x86-64.
const LONG: usize = 8192;

/// Splits long data where the counter becomes a multiple of 16, from which on the kernels derive
/// each register of counters with at most one operation. The blocks before that cost a separate
/// batch, which does not pay off for short data.
fn split_at_alignment<'inp, 'out>(
    counter: u128,
    data: InOutBuf<'inp, 'out, u8>,
) -> (InOutBuf<'inp, 'out, u8>, InOutBuf<'inp, 'out, u8>) {
    let lead = usize::try_from(counter.wrapping_neg() % 16).unwrap_or_default();
    let lead = if data.len() >= LONG { lead.saturating_mul(16) } else { 0 };
    data.split_at(lead)
}

/// The examples in the README, which are compiled as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
