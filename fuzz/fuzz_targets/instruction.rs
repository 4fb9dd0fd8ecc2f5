//! Parsing of arbitrary instruction files must not panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meta_codec::{Dialect, parse_instruction};

fuzz_target!(|file: &str| {
    let headers = [("x-cos-meta-client-side-encryption-unencrypted-content-length", "5")];
    if let Ok(envelope) = parse_instruction(headers, file) {
        assert_eq!(envelope.dialect(), Dialect::COS_INSTRUCTION);
        assert_eq!(envelope.plain_len(), Some(5));
    }
});
