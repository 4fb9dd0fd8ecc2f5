//! Arbitrary answers of a store must not panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| envelope_store::fuzz::answer(text));
