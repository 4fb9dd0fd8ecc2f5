//! Reading of arbitrary encrypted key files must neither panic nor take more than their limits
//! allow. The limits are lower here than elsewhere, because key derivation is slow by design.

#![no_main]

use envelope_core::RsaKeyWrapper;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let _ = RsaKeyWrapper::read(file, Some(b"passphrase"));
});
