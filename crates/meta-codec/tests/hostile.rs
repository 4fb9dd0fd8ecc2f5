//! Every hostile header set is rejected with exactly the reason stated in its file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "panics fail the test")]

use std::error::Error;

use envelope_testkit::{HostileCase, hostile_cases};
use meta_codec::{Reason, parse};

/// Returns the message of an error and of its sources.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[test]
fn every_hostile_set_is_refused_with_its_reason() {
    let cases = hostile_cases();
    assert!(cases.len() >= 100, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for HostileCase { name, headers, refused, .. } in cases {
        let said = match parse(headers) {
            Ok(None) => "the object is not encrypted, or its metadata was stripped".to_owned(),
            Ok(Some(_)) => "not refused".to_owned(),
            Err(error) => chain(&error),
        };
        if said != refused {
            wrong.push(format!("{name}\n  want {refused}\n  got  {said}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn bytes_that_are_no_text() {
    let key = "x-oss-meta-client-side-encryption-key";
    let description = "x-oss-meta-client-side-encryption-matdesc";
    for (name, value, want) in [
        (key, &b"AAAA\xff"[..], Reason::NotAscii(4)),
        (description, &b"{\"\xc3\x28\":\"\"}"[..], Reason::NotAscii(2)),
    ] {
        assert_eq!(parse([(name, value)]).unwrap_err().reason(), &want);
    }
}

#[test]
fn the_cost_is_bounded() {
    // A million unrelated headers are skipped, but one mebibyte in a known header fails at once.
    assert_eq!(parse((0..1_000_000).map(|_| ("x-oss-meta-other", "v"))), Ok(None));
    let huge = "A".repeat(1 << 20);
    let error = parse([("x-oss-meta-client-side-encryption-key", &huge)]).unwrap_err();
    assert_eq!(error.reason(), &Reason::TooLarge { limit: 16384 });
}
