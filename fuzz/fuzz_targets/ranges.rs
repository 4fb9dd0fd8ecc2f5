//! Ranges and part plans against a model that counts bytes one by one.

#![no_main]

use envelope_core::{ByteRange, Dialect, PartPlan};
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};

#[derive(Debug, Arbitrary)]
enum Input {
    Bounded(u16, u16, u16),
    From(u16, u16),
    Suffix(u16, u16),
    Text(String, u64),
    Plan(u64, u64, u8),
}

/// Compares a range with the bytes that it should have.
fn compare(range: ByteRange, len: u16, is_in: impl Fn(u64) -> bool) {
    let len = u64::from(len);
    let want: Vec<u64> = (0..len).filter(|at| is_in(*at)).collect();
    match range.resolve(len) {
        Ok(resolved) => assert_eq!(resolved.collect::<Vec<u64>>(), want),
        Err(_) => assert!(want.is_empty()),
    }
}

fuzz_target!(|input: Input| {
    match input {
        Input::Bounded(start, end, len) => {
            let (from, to) = (u64::from(start), u64::from(end));
            compare(ByteRange::bounded(from..to), len, |at| from <= at && at < to);
        }
        Input::From(start, len) => {
            compare(ByteRange::starting_at(start.into()), len, |at| at >= start.into());
        }
        Input::Suffix(suffix, len) => {
            let left = u64::from(len).saturating_sub(suffix.into());
            compare(ByteRange::suffix(suffix.into()), len, |at| at >= left && suffix > 0);
        }
        Input::Text(text, len) => {
            let Ok(range) = text.parse::<ByteRange>() else { return };
            assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'));
            if let Ok(resolved) = range.resolve(len) {
                assert!(resolved.start < resolved.end && resolved.end <= len);
            }
        }
        Input::Plan(size, part_size, dialect) => {
            let dialect = Dialect::ALL[usize::from(dialect) % Dialect::ALL.len()];
            let Ok(plan) = PartPlan::new(size, part_size, dialect) else { return };
            assert!(part_size % 16 == 0 && plan.parts().len() <= 10_000);
            let (mut at, mut number) = (0, 0);
            for part in plan.parts() {
                number += 1;
                assert_eq!((part.number(), part.start()), (number, at));
                at += part.len();
                assert!(part.len() == part_size || (at == size && part.len() < part_size));
            }
            assert_eq!(at, size);
        }
    }
});
