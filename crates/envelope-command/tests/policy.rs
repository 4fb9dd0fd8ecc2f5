//! Tests that `--require` keeps out what an attacker with access to the bucket can write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use envelope_testkit::{all_cases, folder};
use serde_json::{Map, Value};
use tempfile::TempDir;

struct Shell(TempDir);

impl Shell {
    fn new() -> Self {
        let shell = Self(TempDir::new().unwrap());
        for name in ["private_key.pem", "public_key.pem"] {
            fs::copy(folder("keys").join(name), shell.path(name)).unwrap();
        }
        fs::write(shell.path("plain"), [7; 1000]).unwrap();
        fs::create_dir(shell.path("bucket")).unwrap();
        shell
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Splits the line at spaces, runs it, and returns its exit status and what it printed.
    fn run(&self, line: &str) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_envelope"))
            .current_dir(self.0.path())
            .args(line.split(' '))
            .output()
            .unwrap();
        (output.status.code().unwrap(), printed(&output))
    }
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every command that reads an object, where `OBJECT` stands for an object in a folder.
const READERS: [&str; 5] = [
    "get OBJECT -o back --force --key private_key.pem",
    "cat OBJECT --key private_key.pem",
    "verify OBJECT --key private_key.pem",
    "inspect OBJECT --key private_key.pem",
    "rewrap OBJECT --key private_key.pem --to-key public_key.pem --dialect cos-v2",
];

/// Turns a GCM object whose IV is in the clear into an AES-CTR object of `cos-android`: the counter
/// block that GCM starts with, the names of that dialect, and no tag.
fn relabel(headers: &Map<String, Value>) -> String {
    let of = |name: &str| headers[&format!("x-cos-meta-x-cos-{name}")].as_str().unwrap();
    // The 12 bytes of the IV are 16 characters without padding, so the counter can be appended.
    let start = format!("{}AAAAAg==", of("iv"));
    let name = |name: &str| format!("x-cos-meta-client-side-encryption-{name}");
    let forged: Map<String, Value> = [
        (name("key"), of("key-v2")),
        (name("start"), &start),
        (name("cek-alg"), "AES/CTR/NoPadding"),
        (name("wrap-alg"), of("wrap-alg")),
        (name("matdesc"), of("matdesc")),
    ]
    .into_iter()
    .map(|(name, value)| (name, Value::from(value)))
    .collect();
    Value::from(forged).to_string()
}

#[test]
fn a_relabelled_object_is_refused_and_without_a_requirement_it_is_announced() {
    let mut seen = 0;
    for case in all_cases() {
        let headers: Map<String, Value> = serde_json::from_str(&case.headers()).unwrap();
        if !headers.contains_key("x-cos-meta-x-cos-iv")
            || case.instruction().is_some()
            || case.kms().is_some()
            || case.is_empty()
        {
            continue;
        }
        let shell = Shell::new();
        fs::copy(case.key().unwrap(), shell.path("key")).unwrap();
        let mut body = case.body();
        body.truncate(body.len() - 16);
        body[0] ^= 1;
        fs::write(shell.path("cipher"), &body).unwrap();
        fs::write(shell.path("h.json"), relabel(&headers)).unwrap();

        let decrypt = "decrypt cipher --metadata h.json --key key --output back";
        let (status, words) = shell.run(&format!("{decrypt} --require authenticated"));
        assert_eq!(status, 3, "{}: {words}", case.name());
        assert!(!shell.path("back").exists());
        let (status, words) = shell.run("inspect h.json --key key --require authenticated");
        assert_eq!(status, 3, "{}: {words}", case.name());

        let (status, words) = shell.run(decrypt);
        assert_eq!(status, 0, "{}: {words}", case.name());
        assert!(
            words.contains("warning: ") && words.contains("--require authenticated"),
            "{words}"
        );
        seen += 1;
    }
    assert!(seen >= 2, "{seen}");
}

#[test]
fn every_reader_asks_for_authentication() {
    let shell = Shell::new();
    for (content, more, expected) in
        [("ctr", " --no-seal", 3), ("gcm", " --no-seal", 0), ("ctr", "", 0), ("gcm", "", 0)]
    {
        let put = format!(
            "put --force plain file:bucket/{content} --dialect cos-v2 --content {content} \
             --key public_key.pem{more}"
        );
        let (status, words) = shell.run(&put);
        assert_eq!(status, 0, "{words}");
        for reader in READERS {
            let reader = reader.replace("OBJECT", &format!("file:bucket/{content}"));
            let (status, words) = shell.run(&format!("{reader} --require authenticated"));
            assert_eq!(status, expected, "{reader}: {words}");
        }
    }
}

#[test]
fn every_reader_asks_for_a_key_check() {
    let shell = Shell::new();
    for (n, (more, expected)) in
        [(" --no-seal", 3), (" --no-seal --key-check", 0), ("", 0)].into_iter().enumerate()
    {
        let name = format!("{n}");
        let put =
            format!("put --force plain file:bucket/{name} --dialect oss-v2 --key public_key.pem");
        let (status, words) = shell.run(&format!("{put}{more}"));
        assert_eq!(status, 0, "{words}");
        for reader in READERS {
            let reader = reader.replace("OBJECT", &format!("file:bucket/{name}"));
            let (status, words) = shell.run(&format!("{reader} --require key-check"));
            assert_eq!(status, expected, "{reader}: {words}");
        }
    }
}

#[test]
fn a_deleted_key_check_is_refused() {
    let shell = Shell::new();
    shell.run(
        "encrypt plain --key public_key.pem --key-check --no-seal --metadata-out h.json -o cipher",
    );
    let decrypt = "decrypt cipher --metadata h.json --key private_key.pem --output back --force";
    let (status, words) = shell.run(&format!("{decrypt} --require key-check"));
    assert_eq!(status, 0, "{words}");
    let mut headers: Map<String, Value> =
        serde_json::from_slice(&fs::read(shell.path("h.json")).unwrap()).unwrap();
    headers.retain(|name, _| !name.ends_with("envelope-check"));
    fs::write(shell.path("h.json"), Value::from(headers).to_string()).unwrap();
    let (status, words) = shell.run(&format!("{decrypt} --require key-check"));
    assert_eq!(status, 3, "{words}");
    assert!(words.contains("key check"), "{words}");
}
