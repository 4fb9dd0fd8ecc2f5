//! The log: `--verbose` and `--log-file`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail loudly")]

#[path = "support/world.rs"]
mod world;

use std::fs;

use envelope_testkit::bucket::{Fault, SECRET};
use serde_json::Value;

use self::world::{World, said};

#[test]
fn what_is_sent_and_answered_and_no_secret() {
    let world = World::over_tls();
    let (file, key) = (world.file("file", b"the content"), world.text("key.pem"));
    let sse = world.private("sse.key", b"00000000000000000000000000000001");
    let log = world.text("log");
    let more = ["--key", &key, "--sse-key", &sse, "--log-file", &log];
    world.done(&[&["put", "--force", &file, "cos://b-1/a/file", "--verbose"][..], &more].concat());
    world.server.fail(0, Fault::Error);
    world.done(&[&["--log-file", &log, "verify", "-r", "cos://b-1/a"], &more[..4]].concat());
    let out = world.run(&[&["cat", "cos://b-1/none"][..], &more].concat());
    assert!(!out.status.success());
    let text = fs::read_to_string(&log).unwrap();
    for words in [
        "method=PUT",
        "key=\"a/file\"",
        "status=200",
        "request_id=\"0123456789ABCDEF01234567\"",
        "status=500",
        "attempt failed",
        "ended key=\"a/file\" status=\"verified\"",
        "error: cos://b-1/none",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // The key in base64 and its digest are known; so are the secret and how signatures begin.
    for secret in ["MDAwMD", SECRET, "q-signature", "uthorization", "the content", "BEGIN"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.lines().all(|line| line.starts_with("20")), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn on_standard_error_beside_everything_else() {
    let world = World::new();
    let (file, key) = (world.file("file", b"content"), world.text("key.pem"));
    let put = ["put", "--force", &file, "oss://b-1/file", "--key", &key];
    let told = world.done(&put);
    assert!(told.starts_with("oss://b-1/file: read by envelope, ") && told.lines().count() == 1);
    let told = world.done(&[&put[..], &["-v"]].concat());
    assert!(told.contains("DEBUG request{vendor=\"oss\""), "{told}");
    let told = world.done(&[&put[..], &["-v", "--json"]].concat());
    let logs = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(logs.filter(|line| line.get("log").is_some()).count() >= 2, "{told}");
    // Words of a server are on one line, whatever they are.
    let out = world.run(&["cat", "oss://b-1/a\u{1b}[31m\u{85}b", "--key", &key, "-v"]);
    assert!(!said(&out).contains('\u{1b}'), "{}", said(&out));
    let out = world.run(&["ls", "oss://b-1/", "--log-file", "/no/such/folder/log"]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    // A file that is something else is left alone, and so is one that others can read.
    let mine = world.private("mine", b"not a log");
    let open = world.file("open", b"2026-01-01T00:00:00 a log\n");
    for wrong in [&mine, &open] {
        let before = fs::read(wrong).unwrap();
        let out = world.run(&["ls", "oss://b-1/", "--log-file", wrong]);
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        assert!(fs::read(wrong).unwrap() == before);
    }
    // Nothing is said twice.
    let out = world.run(&["cat", "oss://b-1/none", "--key", &key, "-v"]);
    assert_eq!(said(&out).matches("error: oss://b-1/none").count(), 1, "{}", said(&out));
}
