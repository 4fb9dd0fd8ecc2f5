//! The round keys of a cipher, in the registers of its processor.

use std::{mem::MaybeUninit, sync::Arc};

use zeroize::{Zeroize as _, ZeroizeOnDrop};

use crate::native::{Kernel, Register};

/// The 15 round keys, wiped on drop.
///
/// There is no padding between them and the end: whatever was on the stack when they were moved
/// would stay in it.
#[repr(C, align(64))]
pub(crate) struct RoundKeys(pub(crate) [Register; 15], [u8; 16]);

const _: () = assert!(size_of::<RoundKeys>() == 16 * 16);

impl RoundKeys {
    /// Expands a key where it stays, because a move would leave behind a copy that is never wiped.
    pub(crate) fn shared(key: &[u8; 32], kernel: Kernel) -> Arc<Self> {
        let mut keys = Arc::<Self>::new_uninit();
        if let Some(new) = Arc::get_mut(&mut keys) {
            *new = MaybeUninit::zeroed();
        }
        // SAFETY: nobody else has the new keys, and all-zero bits are valid registers.
        let mut keys = unsafe { keys.assume_init() };
        if let Some(Self(empty, _)) = Arc::get_mut(&mut keys) {
            kernel.expand(key, empty);
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
