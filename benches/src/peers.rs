//! Other implementations of AES-256-CTR in place.

use std::cell::RefCell;

use aes::Aes256Enc;
use aws_lc_rs::{
    cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey},
    iv::FixedLength,
};
use ctr::{
    Ctr128BE,
    cipher::{InnerIvInit as _, KeyInit as _, StreamCipher as _, StreamCipherCoreWrapper},
};
use gcrypt::cipher::{Algorithm, Cipher as GcryptCipher, Mode};
use openssl::{cipher::Cipher, cipher_ctx::CipherCtx};

/// The key that all contenders use.
pub const KEY: [u8; 32] = [0x5a; 32];
/// The first counter block that all contenders use, in the form that we write: bytes 8 to 11 are
/// zero.
pub const COUNTER: u128 = 0x0123_4567_89ab_cdef_0000_0000_7654_3217;

/// OpenSSL's EVP interface. The counter continues from call to call, which saves work.
pub fn openssl() -> impl FnMut(&mut [u8]) {
    let mut context = CipherCtx::new().unwrap();
    let iv = COUNTER.to_be_bytes();
    context.encrypt_init(Some(Cipher::aes_256_ctr()), Some(&KEY), Some(&iv)).unwrap();
    move |data| {
        context.cipher_update_inplace(data, data.len()).unwrap();
    }
}

/// libgcrypt. The counter continues from call to call as well.
pub fn libgcrypt() -> impl FnMut(&mut [u8]) {
    gcrypt::init(|_| Ok::<_, gcrypt::Error>(())).unwrap();
    let mut cipher = GcryptCipher::new(Algorithm::Aes256, Mode::Ctr).unwrap();
    cipher.set_key(KEY).unwrap();
    cipher.set_ctr(COUNTER.to_be_bytes()).unwrap();
    move |data| {
        cipher.encrypt_inplace(data).unwrap();
    }
}

/// aws-lc-rs.
pub fn aws_lc() -> impl FnMut(&mut [u8]) {
    let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, &KEY).unwrap()).unwrap();
    move |data| {
        let iv = EncryptionContext::Iv128(FixedLength::from(COUNTER.to_be_bytes()));
        key.less_safe_encrypt(data, iv).unwrap();
    }
}

/// The crates `aes` and `ctr`, reusing the key schedule.
pub fn rust_crypto() -> impl FnMut(&mut [u8]) {
    let aes = RefCell::new(Aes256Enc::new(&KEY.into()));
    move |data| {
        let core = ctr::CtrCore::inner_iv_init(aes.borrow().clone(), &COUNTER.to_be_bytes().into());
        let mut stream: Ctr128BE<Aes256Enc> = StreamCipherCoreWrapper::from_core(core);
        stream.apply_keystream(data);
    }
}

/// Checks that a peer computes the same as our kernel.
///
/// # Panics
/// Panics if it does not.
pub fn check(peer: impl FnMut(&mut [u8])) {
    let mut peer = peer;
    let (mut ours, mut theirs) = (vec![1; 5000], vec![1; 5000]);
    ctr_kernel::Aes256Ctr::new(&KEY).apply(COUNTER, &mut ours);
    peer(&mut theirs);
    assert!(ours == theirs, "a peer computes a different result");
}
