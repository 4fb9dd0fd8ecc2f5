//! Compares every backend with `aes`, `ctr` and `ghash`, which share no code with the kernels.

use aes::Aes256Enc;
use ctr::{
    Ctr128BE,
    cipher::{InnerIvInit as _, KeyInit as _, StreamCipher as _, StreamCipherCoreWrapper},
};
use ctr_kernel::{Aes256Ctr, Backend, Ghash};
use ghash::{GHash, universal_hash::UniversalHash as _};
use proptest::prelude::*;

fn oracle(key: &[u8; 32], counter: u128, data: &mut [u8]) {
    let core = ctr::CtrCore::<Aes256Enc, ctr::flavors::Ctr128BE>::inner_iv_init(
        Aes256Enc::new(key.into()),
        &counter.to_be_bytes().into(),
    );
    let mut stream: Ctr128BE<Aes256Enc> = StreamCipherCoreWrapper::from_core(core);
    stream.apply_keystream(data);
}

fn backends(key: &[u8; 32]) -> Vec<Aes256Ctr> {
    Backend::ALL.into_iter().filter_map(|backend| Aes256Ctr::with_backend(key, backend)).collect()
}

fn pattern(len: usize) -> Vec<u8> {
    (0_u8..=255).cycle().map(|byte| byte.wrapping_mul(151)).take(len).collect()
}

/// Counters at and just below each power of two at which a carry can be lost, and those around the
/// first multiple of 16, from which on the kernels count in another way.
fn counters() -> impl Iterator<Item = u128> {
    let carries = [8_u32, 16, 32, 64, 96, 128].into_iter().flat_map(|power| {
        let base = 1_u128.checked_shl(power).unwrap_or(0);
        [0, 1, 3, 15, 17, 100].into_iter().map(move |below| base.wrapping_sub(below))
    });
    carries.chain([1, 15, 16])
}

/// All lengths up to 4096, or fewer of them where the processor is emulated.
fn lengths() -> impl Iterator<Item = usize> {
    let is_short = std::env::var_os("CTR_KERNEL_SHORT_ORACLE").is_some();
    (0..=4096).filter(move |len| !is_short || *len < 300 || *len > 4080 || len % 61 == 0)
}

#[test]
fn every_length_at_every_carry() {
    const MOST: usize = 4096 + 32;
    let key = pattern(32).try_into().unwrap();
    let backends = backends(&key);
    assert!(backends.iter().any(|cipher| cipher.backend() == Backend::Portable));
    let data = pattern(MOST);
    for counter in counters() {
        let mut want = data.clone();
        oracle(&key, counter, &mut want);
        for cipher in &backends {
            for len in lengths() {
                // The bytes after the data must not change.
                let mut got = data[..len + 32].to_vec();
                cipher.apply(counter, &mut got[..len]);
                assert!(got[..len] == want[..len], "{} {counter:#x} {len}", cipher.backend());
                assert!(
                    got[len..] == data[len..len + 32],
                    "{} {counter:#x} {len}",
                    cipher.backend()
                );
            }
        }
    }
}

/// Before long data, the kernels first go to a multiple of 16. How far that is depends on the low
/// bits of the counter alone, and not on how far its end is.
#[test]
fn long_data_at_any_distance_from_the_end_of_the_counter() {
    let key = [9; 32];
    let backends = backends(&key);
    for len in [8191, 8192, 8193, 20_000] {
        let data = pattern(len);
        for end in [0, 1 << 64] {
            for blocks in [1, 15, 16, 17, 520, 700, 1_000, 9_600, 20_001, 1 << 40] {
                let counter = u128::wrapping_sub(end, blocks);
                let (mut want, mut got) = (data.clone(), data.clone());
                oracle(&key, counter, &mut want);
                for cipher in &backends {
                    got.copy_from_slice(&data);
                    cipher.apply(counter, &mut got);
                    assert!(got == want, "{} {counter:#x} {len}", cipher.backend());
                }
            }
        }
    }
}

#[test]
fn from_one_buffer_to_another_at_any_alignment() {
    let key = [9; 32];
    let data = pattern(3000);
    for cipher in backends(&key) {
        for (lead, len) in (0..64).flat_map(|lead| [0, 1, 255, 256, 1000].map(|len| (lead, len))) {
            let from = &data[lead..lead + len];
            let mut want = from.to_vec();
            oracle(&key, 7, &mut want);
            let mut to = vec![0xee; len + 80];
            cipher.apply_to(7, from, &mut to[63 - lead..63 - lead + len]);
            assert!(to[63 - lead..63 - lead + len] == want, "{} {lead} {len}", cipher.backend());
            let around = to[..63 - lead].iter().chain(&to[63 - lead + len..]);
            assert!(around.copied().all(|byte| byte == 0xee), "{} {lead} {len}", cipher.backend());
        }
    }
}

#[test]
#[should_panic(expected = "differ in length")]
fn lengths_that_differ_are_refused() {
    Aes256Ctr::new(&[0; 32]).apply_to(0, &[0; 3], &mut [0; 4]);
}

#[test]
fn one_block() {
    // FIPS 197, C.3.
    let mut next = 0..32;
    let key = [(); 32].map(|()| next.next().unwrap());
    for cipher in backends(&key) {
        let mut block = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes();
        cipher.encrypt_block(&mut block);
        assert_eq!(block, 0x8ea2_b7ca_5167_45bf_eafc_4990_4b49_6089_u128.to_be_bytes());
    }
}

fn hash_oracle(key: &[u8; 16], data: &[u8]) -> [u8; 16] {
    let mut hash = GHash::new(key.into());
    hash.update_padded(data);
    hash.finalize().into()
}

/// Every number of blocks in the last batch, with every length of the last block, after one batch
/// and after none; and keys with the bits that a carry depends on.
#[test]
fn a_hash_of_every_length() {
    let data = pattern(2100);
    for key in [0, 1, 2, 1 << 127, u128::MAX, 0xe1 << 120, u128::MAX >> 1, 7 << 64] {
        let key = key.to_be_bytes();
        for len in lengths().filter(|len| *len <= data.len()) {
            let mut hash = Ghash::new(&key);
            hash.update(&data[..len]);
            assert_eq!(hash.finish(), hash_oracle(&key, &data[..len]), "{len}");
        }
    }
}

proptest! {
    #[test]
    fn any_key_and_any_pieces_have_the_same_hash(
        key: [u8; 16],
        data in prop::collection::vec(any::<u8>(), 0..2000),
        cuts in prop::collection::vec(0_usize..2000, 0..4),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(data.len()) & !15).collect();
        cuts.extend([0, data.len()]);
        cuts.sort_unstable();
        let mut hash = Ghash::new(&key);
        for pair in cuts.windows(2) {
            hash.update(&data[pair[0]..pair[1]]);
        }
        prop_assert_eq!(hash.finish(), hash_oracle(&key, &data));
    }

    #[test]
    fn any_key_any_counter_any_length(
        key: [u8; 32],
        counter: u128,
        data in prop::collection::vec(any::<u8>(), 0..5000),
        cut in 0_usize..5000,
    ) {
        let mut want = data.clone();
        oracle(&key, counter, &mut want);
        let cut = cut.min(data.len()) & !15;
        for cipher in backends(&key) {
            let mut got = data.clone();
            let (front, back) = got.split_at_mut(cut);
            cipher.apply(counter.wrapping_add(cut as u128 / 16), back);
            cipher.apply(counter, front);
            prop_assert!(got == want, "{}", cipher.backend());
        }
    }
}
