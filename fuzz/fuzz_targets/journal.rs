//! Arbitrary journals must not panic, and none of another file may be continued.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| envelope_store::fuzz::journal(text));
