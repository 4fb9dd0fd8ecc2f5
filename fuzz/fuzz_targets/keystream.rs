#![no_main]
//! Every backend of the kernel must match `aes` and `ctr`, in place and from one buffer to another,
//! and its hash must match `ghash`.

use aes::Aes256Enc;
use ctr::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr_kernel::{Aes256Ctr, Backend, Ghash};
use ghash::{GHash, universal_hash::UniversalHash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: ([u8; 32], u128, usize, &[u8])| {
    let (key, counter, cut, data) = input;
    let mut want = data.to_vec();
    let core = ctr::CtrCore::<Aes256Enc, ctr::flavors::Ctr128BE>::inner_iv_init(
        Aes256Enc::new(&key.into()),
        &counter.to_be_bytes().into(),
    );
    StreamCipherCoreWrapper::from_core(core).apply_keystream(&mut want);

    let cut = (cut % (data.len() + 1)) & !15;
    for cipher in
        Backend::ALL.into_iter().filter_map(|backend| Aes256Ctr::with_backend(&key, backend))
    {
        let mut got = data.to_vec();
        let (front, back) = got.split_at_mut(cut);
        cipher.apply(counter, front);
        cipher.apply(counter.wrapping_add(cut as u128 / 16), back);
        assert_eq!(got, want, "{}", cipher.backend());
        let mut to = vec![0; data.len()];
        cipher.apply_to(counter, data, &mut to);
        assert_eq!(to, want, "{}", cipher.backend());
    }

    let key = counter.to_be_bytes();
    let mut want = GHash::new(&key.into());
    want.update_padded(data);
    let mut got = Ghash::new(&key);
    got.update(&data[..cut]);
    got.update(&data[cut..]);
    assert_eq!(got.finish(), <[u8; 16]>::from(want.finalize()));
});
