//! GHASH, the universal hash of AES-GCM (NIST SP 800-38D, 6.4).

use std::{io::Write as _, sync::OnceLock};

use ghash::{GHash, universal_hash::UniversalHash as _};
#[cfg(target_arch = "x86_64")]
use zeroize::Zeroize as _;

#[cfg(target_arch = "x86_64")]
use crate::x86::HashKeys;

/// The hash of AES-GCM, under a key that is AES of the zero block. It authenticates nothing without
/// the mask that GCM adds to it, and one key must not be used for two messages with the same mask.
/// The key is wiped on drop; the portable one leaves a copy on the stack when it is made, and a
/// move leaves the sum so far.
///
/// With `VPCLMULQDQ` on 512-bit registers (Intel since Ice Lake, AMD since Zen 4) it keeps up with
/// the cipher; elsewhere, it is that of the `ghash` crate.
///
/// ```
/// use ctr_kernel::Ghash;
///
/// let mut hash = Ghash::new(&[7; 16]);
/// hash.update(&[1; 48]);
/// hash.update(b"the last block may be short");
/// assert_eq!(hash.finish().len(), 16);
/// ```
#[expect(missing_debug_implementations, reason = "secrets must not be printed")]
pub struct Ghash(State);

enum State {
    #[cfg(target_arch = "x86_64")]
    X86(Box<HashKeys>, u128),
    Portable(Box<GHash>),
}

impl Ghash {
    /// Starts a hash with the fastest implementation for this processor that passes its self-check.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        static PASSES: OnceLock<bool> = OnceLock::new();
        match Self::accelerated(key) {
            Some(hash) if *PASSES.get_or_init(self_check) => hash,
            _ => Self::portable(key),
        }
    }

    /// Starts a hash with the instructions of this processor, for tests. Returns `None` if it has
    /// none that are known here.
    #[must_use]
    pub fn accelerated(key: &[u8; 16]) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return Some(Self(State::X86(HashKeys::new(u128::from_be_bytes(*key))?, 0)));
        #[cfg(not(target_arch = "x86_64"))]
        return {
            let _ = key;
            None
        };
    }

    fn portable(key: &[u8; 16]) -> Self {
        Self(State::Portable(Box::new(GHash::new(key.into()))))
    }

    /// Feeds the next blocks. If the last one is short, zeros are added to it, so that only the
    /// last piece of a message may have such a block.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            #[cfg(target_arch = "x86_64")]
            State::X86(keys, sum) => *sum = keys.update(*sum, data),
            State::Portable(hash) => hash.update_padded(data),
        }
    }

    /// Returns the hash of all blocks.
    #[must_use]
    pub fn finish(mut self) -> [u8; 16] {
        match &mut self.0 {
            #[cfg(target_arch = "x86_64")]
            State::X86(_, sum) => sum.to_be_bytes(),
            State::Portable(hash) => GHash::clone(hash).finalize().into(),
        }
    }
}

impl Drop for Ghash {
    fn drop(&mut self) {
        match &mut self.0 {
            #[cfg(target_arch = "x86_64")]
            State::X86(_, sum) => sum.zeroize(),
            // Wipes itself.
            State::Portable(_) => {}
        }
    }
}

/// Compares the accelerated hash with the portable one. One that is wrong is reported, and not
/// used.
fn self_check() -> bool {
    let passes = agrees(|key, data| {
        let mut hash = Ghash::accelerated(key)?;
        hash.update(data);
        Some(hash.finish())
    });
    if !passes {
        // Not `eprintln!`, which panics if standard error is closed.
        let _ = writeln!(
            std::io::stderr(),
            "ctr-kernel: GHASH with VPCLMULQDQ computes wrong results on this machine and will \
             not be used. Please report this, including the processor model."
        );
    }
    passes
}

/// Returns whether a function yields the hash of messages of all kinds of lengths.
fn agrees(hash: impl Fn(&[u8; 16], &[u8]) -> Option<[u8; 16]>) -> bool {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 2.
    let key = 0x66e9_4bd4_ef8a_2c3b_884c_fa59_ca34_2b2e_u128.to_be_bytes();
    let mut message = [0; 32];
    let (body, lengths) = message.split_at_mut(16);
    body.copy_from_slice(&0x0388_dace_60b6_a392_f328_c2b9_71b2_fe78_u128.to_be_bytes());
    lengths.copy_from_slice(&128_u128.to_be_bytes());
    let known = 0xf38c_bb1a_d692_23dc_c345_7ae5_b6b0_f885_u128.to_be_bytes();
    if hash(&key, &message) != Some(known) {
        return false;
    }
    let mut data = [0; 1500];
    for (n, byte) in (0_u8..=250).cycle().zip(&mut data) {
        *byte = n.wrapping_mul(151);
    }
    [&data[..], &message].iter().all(|data| {
        (0..=data.len()).filter(|len| *len < 600 || len % 61 == 0).all(|len| {
            let (data, _) = data.split_at(len);
            let mut portable = Ghash::portable(&key);
            portable.update(data);
            hash(&key, data) == Some(portable.finish())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_has_passes() {
        let has = Ghash::accelerated(&[0; 16]).is_some();
        assert!(!has || self_check());
        #[cfg(target_arch = "x86_64")]
        assert_eq!(
            has,
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("vpclmulqdq")
        );
    }

    #[test]
    fn what_computes_wrong_does_not_pass() {
        let right = |key: &[u8; 16], data: &[u8]| {
            let mut hash = Ghash::portable(key);
            hash.update(data);
            hash.finish()
        };
        assert!(agrees(|key, data| Some(right(key, data))));
        assert!(!agrees(|_, _| None));
        assert!(!agrees(|_, data| Some(right(&[1; 16], data))));
        for wrong in [0, 1, 16, 17, 255, 256, 257, 272, 512, 513, 1464] {
            let flip = |key: &[u8; 16], data: &[u8]| {
                let mut hash = right(key, data);
                hash[15] ^= u8::from(data.len() == wrong);
                Some(hash)
            };
            assert!(!agrees(flip), "{wrong}");
        }
    }
}
