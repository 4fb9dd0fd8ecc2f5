//! Known-answer tests that a backend must pass before it is trusted with data.

use crate::{Aes256Ctr, Backend};

/// NIST SP 800-38A, F.5.5: key, first counter block, and the keystream of its four blocks (the
/// "output blocks").
const KEY: [u8; 32] = [
    0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81,
    0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4,
];
const COUNTER: u128 = 0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_feff;
const KEYSTREAM: [u128; 4] = [
    0x0bdf_7df1_5917_1633_5e9a_8b15_c860_c502,
    0x5a6e_699d_5361_1906_5433_863c_8f65_7b94,
    0x1bc1_2c9c_0161_0d5d_0d8b_d6a3_378e_ca62,
    0x2956_e1c8_6935_36b1_bee9_9c73_a315_76b6,
];

/// The start of the long keystream. It is nine blocks before a multiple of 16, where the kernels
/// switch to another counting method for long data, and 521 blocks before the counter wraps.
const LONG_COUNTER: u128 = u128::MAX - 520;
/// Long enough to pass the wrap, and not a multiple of the block size.
const LONG: usize = 9013;
/// The digest of the long keystream as computed by OpenSSL 3.0.20.
const LONG_DIGEST: u128 = 0xdf20_0d52_dd6e_f7a3_16ab_8471_7615_c3f7;

/// Returns `true` if a backend yields the known answers for every kind of input: consecutive
/// batches from aligned and unaligned counters, every kind of remainder, a counter that wraps, and
/// one or two buffers.
pub(crate) fn passes(backend: Backend) -> bool {
    Aes256Ctr::with_backend(&KEY, backend).is_some_and(|cipher| {
        let between = |counter, from: &[u8], to: &mut [u8]| cipher.apply_to(counter, from, to);
        agrees(|counter, data| cipher.apply(counter, data), between)
    })
}

fn agrees(apply: impl Fn(u128, &mut [u8]), apply_to: impl Fn(u128, &[u8], &mut [u8])) -> bool {
    let mut known = [0; 64];
    apply(COUNTER, &mut known);
    let (blocks, _) = known.as_chunks();
    if !blocks.iter().map(|block| u128::from_be_bytes(*block)).eq(KEYSTREAM) {
        return false;
    }
    let mut whole = [0; LONG];
    apply(LONG_COUNTER, &mut whole);
    if digest(&whole) != LONG_DIGEST {
        return false;
    }
    // Shorter data must yield a prefix of the same keystream and write nothing beyond it.
    let rests = [1300, 600, 513, 255, 200, 130, 97, 64, 49, 33, 16, 15, 1];
    let alike = rests.into_iter().all(|len| {
        let mut got = [0; 1400];
        let (now, after) = got.split_at_mut(len);
        apply(LONG_COUNTER, now);
        Some(&*now) == whole.get(..len) && after.iter().all(|byte| *byte == 0)
    });
    let mut between = [1; LONG];
    apply_to(LONG_COUNTER, &whole, &mut between);
    alike && between.iter().all(|byte| *byte == 0)
}

/// Computes a digest that depends on every bit of every block.
fn digest(data: &[u8]) -> u128 {
    data.chunks(16).fold(0, |sum: u128, chunk| {
        let mut block = [0; 16];
        block.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        sum.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
            .wrapping_add(u128::from_be_bytes(block))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_of_this_machine_passes() {
        for backend in Backend::ALL {
            assert_eq!(passes(backend), backend.is_available(), "{backend}");
        }
    }

    #[test]
    fn what_computes_wrong_does_not_pass() {
        let right = Aes256Ctr::with_backend(&KEY, Backend::Portable).unwrap();
        let right = &right;
        let apply = |counter, data: &mut [u8]| right.apply(counter, data);
        let apply_to = |counter, from: &[u8], to: &mut [u8]| right.apply_to(counter, from, to);
        assert!(agrees(apply, apply_to));
        // A different key, or no output at all.
        let wrong = Aes256Ctr::with_backend(&[1; 32], Backend::Portable).unwrap();
        assert!(!agrees(|counter, data| wrong.apply(counter, data), apply_to));
        assert!(!agrees(|_, _| {}, apply_to));
        assert!(!agrees(apply, |_, _, _| {}));
        // A single flipped bit, at the end of one length or at one position.
        for len in [LONG, 1300, 600, 513, 255, 200, 130, 97, 49, 16, 15, 1] {
            let flip = |counter, data: &mut [u8]| {
                right.apply(counter, data);
                if data.len() == len {
                    *data.last_mut().unwrap() ^= 1;
                }
            };
            assert!(!agrees(flip, apply_to), "{len}");
        }
        for place in [0, 63, 255, 256, 511, 512, 8191, 8192, 8336, 9012] {
            let flip = |counter, data: &mut [u8]| {
                right.apply(counter, data);
                if let Some(byte) = data.get_mut(place) {
                    *byte ^= 0x80;
                }
            };
            assert!(!agrees(flip, apply_to), "{place}");
        }
        // A lost carry between the halves of the counter.
        let no_carry = |counter: u128, data: &mut [u8]| {
            for (n, block) in data.chunks_mut(16).enumerate() {
                let low = counter.wrapping_add(n as u128) & u128::from(u64::MAX);
                right.apply(counter >> 64 << 64 | low, block);
            }
        };
        assert!(!agrees(no_carry, apply_to));
    }
}
