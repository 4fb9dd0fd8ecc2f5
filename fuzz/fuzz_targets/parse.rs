//! Parsing of arbitrary saved header lists must not panic, and an accepted envelope must be the
//! same after emitting and parsing it again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meta_codec::{Dialect, EmitError, parse, read_headers};

fuzz_target!(|list: &[u8]| {
    let Ok(headers) = read_headers(list) else { return };
    let Ok(Some(envelope)) = parse(headers) else { return };
    match envelope.emit(envelope.dialect()) {
        Ok(again) => assert_eq!(parse(again).unwrap().unwrap(), envelope),
        Err(EmitError::HeaderBudget { size, limit }) => assert!(size > limit),
        Err(error) => panic!("{error}"),
    }
    for dialect in Dialect::ALL {
        if let Ok(headers) = envelope.emit(dialect) {
            assert_eq!(parse(headers).unwrap().unwrap().wrapped_key(), envelope.wrapped_key());
        }
    }
});
