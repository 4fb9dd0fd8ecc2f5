//! Reading of arbitrary key files must not panic. Without a passphrase, because key derivation is
//! slow by design.

#![no_main]

use envelope_core::{AesKeyWrapper, RsaKeyWrapper};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let _ = AesKeyWrapper::read(file);
    let _ = RsaKeyWrapper::read(file, None);
});
