//! The seal at the command line: it is written by default, and the exit status tells whatever was
//! changed afterwards.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use envelope_testkit::folder;
use serde_json::{Map, Value};
use tempfile::TempDir;

struct Shell(TempDir);

impl Shell {
    fn new() -> Self {
        let shell = Self(TempDir::new().unwrap());
        for name in ["private_key.pem", "public_key.pem", "aes-256.key"] {
            fs::copy(folder("keys").join(name), shell.path(name)).unwrap();
        }
        fs::write(shell.path("plain"), plain()).unwrap();
        fs::create_dir(shell.path("bucket")).unwrap();
        shell
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Splits the line at spaces and runs it.
    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_envelope"));
        command.current_dir(self.0.path()).args(line.split(' ')).output().unwrap()
    }

    /// Returns the exit status, what was printed, and what was said.
    fn status(&self, line: &str) -> (i32, String) {
        let output = self.run(line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), said)
    }

    fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned() + &said
    }

    fn ends_with(&self, status: i32, line: &str) -> String {
        let (got, said) = self.status(line);
        assert_eq!(got, status, "{line}: {said}");
        said
    }

    fn headers(&self) -> Map<String, Value> {
        serde_json::from_slice(&fs::read(self.path("h.json")).unwrap()).unwrap()
    }
}

/// Longer than what is read at a time.
fn plain() -> Vec<u8> {
    (0_u32..).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).take(3_000_003).collect()
}

const ENCRYPT: &str = "encrypt plain --key public_key.pem --metadata-out h.json --output cipher";
const DECRYPT: &str =
    "decrypt cipher --metadata h.json --key private_key.pem --output back --force";

#[test]
fn every_change_is_exit_status_5_and_leaves_no_file() {
    let shell = Shell::new();
    shell.ok(ENCRYPT);
    shell.ok(DECRYPT);
    fs::remove_file(shell.path("back")).unwrap();
    let (body, headers) = (fs::read(shell.path("cipher")).unwrap(), shell.headers());
    for at in [0, 1_500_000, body.len() - 1] {
        let mut other = body.clone();
        other[at] ^= 1;
        fs::write(shell.path("cipher"), other).unwrap();
        for more in ["", " --threads 1", " --verify-first", " --require seal"] {
            let said = shell.ends_with(5, &format!("{DECRYPT}{more}"));
            assert!(said.contains("does not match the seal"), "{said}");
            assert!(!shell.path("back").exists());
        }
        // A pipe has got all but the end of it, or nothing at all.
        let released = shell.run(&DECRYPT.replace("back --force", "-")).stdout;
        assert!(released.len() < plain().len(), "{}", released.len());
        let nothing = shell.run(&DECRYPT.replace("back --force", "- --verify-first"));
        assert_eq!((nothing.status.code(), nothing.stdout.len()), (Some(5), 0));
    }
    for other in [&body[..body.len() - 1], &[&body[..], &[0]].concat()] {
        fs::write(shell.path("cipher"), other).unwrap();
        shell.ends_with(5, DECRYPT);
    }
    fs::write(shell.path("cipher"), &body).unwrap();

    let with = |name: &str, value: Option<&str>| {
        let mut headers = headers.clone();
        let name = headers.keys().find(|it| it.ends_with(name)).unwrap().clone();
        match value {
            Some(value) => headers.insert(name, value.into()),
            None => headers.remove(&name),
        };
        fs::write(shell.path("h.json"), Value::from(headers).to_string()).unwrap();
    };
    with("unencrypted-content-length", None);
    shell.ends_with(5, DECRYPT);
    // Malformed, whatever is required.
    with("envelope-seal", Some("AQAA"));
    shell.ends_with(3, DECRYPT);
    with("envelope-seal", None);
    shell.ends_with(3, &format!("{DECRYPT} --require seal"));
    shell.ends_with(3, &format!("{DECRYPT} --require authenticated"));
    shell.ok(DECRYPT);
}

#[test]
fn a_pipe_is_sealed_and_read_twice() {
    let shell = Shell::new();
    let run = |script: &str| {
        let script = script.replace("envelope", env!("CARGO_BIN_EXE_envelope"));
        let mut command = Command::new("sh");
        command.current_dir(shell.0.path()).args(["-c", &script]).stdin(Stdio::null());
        command.output().unwrap()
    };
    let encrypt = ENCRYPT.replace("plain", "-");
    assert!(run(&format!("cat plain | envelope {encrypt}")).status.success());
    assert!(shell.ok("inspect h.json").contains("seal           of the metadata and the body"));
    let decrypt = DECRYPT.replace("back --force", "-");
    for more in ["", " --verify-first"] {
        assert!(run(&format!("envelope {decrypt}{more}")).stdout == plain(), "{more}");
    }
    let piped = decrypt.replace("cipher", "-");
    assert!(run(&format!("cat cipher | envelope {piped}")).stdout == plain());
    let refused = run(&format!("cat cipher | envelope {piped} --verify-first"));
    assert_eq!(refused.status.code(), Some(2));
    let named = run(&format!(
        "mkfifo named; (cat cipher > named &); envelope {} --verify-first",
        decrypt.replace("cipher", "named")
    ));
    assert_eq!(named.status.code(), Some(2));
    // Where nothing is verified, the first read would be in vain.
    shell.ok(&format!("{ENCRYPT} --force --no-seal"));
    shell.ends_with(3, &format!("{decrypt} --verify-first"));
}

#[test]
fn names_and_origins() {
    let shell = Shell::new();
    shell.ok("keygen origin --out .");
    assert_eq!(fs::read(shell.path("origin.key")).unwrap().len(), 44);
    shell.ok(&format!("{ENCRYPT} --bind-name films/film.mkv --origin-key origin.key"));
    let known = "--name films/film.mkv --origin-key origin.key";
    shell.ok(&format!("{DECRYPT} {known} --require origin,seal,authenticated"));
    let said = shell.ok(&format!("inspect h.json --key private_key.pem {known}"));
    assert!(said.contains("bound to the name, made with an origin key, verified"), "{said}");
    assert!(shell.ends_with(2, &format!("{DECRYPT} --origin-key origin.key")).contains("--name"));
    let no_key = format!("{DECRYPT} --name films/film.mkv");
    assert!(shell.ends_with(4, &no_key).contains("--origin-key"));
    shell.ends_with(5, &format!("{DECRYPT} --name films/other --origin-key origin.key"));
    shell.ends_with(
        5,
        &format!("inspect h.json --key private_key.pem {}", known.replace("film.", "o.")),
    );
    // Another origin key, as raw bytes.
    fs::write(shell.path("raw"), [7; 32]).unwrap();
    shell.ends_with(5, &format!("{DECRYPT} --name films/film.mkv --origin-key raw"));
    fs::write(shell.path("short"), [7; 31]).unwrap();
    shell.ends_with(4, &format!("{DECRYPT} --name films/film.mkv --origin-key short"));
    // Without a public key's secret, anybody writes a seal.
    shell.ok(&format!("{ENCRYPT} --force"));
    shell.ends_with(3, &format!("{DECRYPT} --require origin"));
    shell.ends_with(3, &format!("{DECRYPT} --origin-key origin.key"));
    // Two secrets cannot both be on standard input.
    shell.ends_with(2, &format!("{DECRYPT} --origin-key - --passphrase-fd 0"));
    shell.ends_with(2, &ENCRYPT.replace("plain", "- --origin-key - --force"));
}

#[test]
fn objects_in_a_store() {
    let shell = Shell::new();
    let key = "--key private_key.pem";
    for (name, more) in [("sealed", ""), ("bound", " --bind-name"), ("none", " --no-seal")] {
        shell.ok(&format!("put plain file:bucket/{name} {key}{more}"));
    }
    shell.ok(&format!("put plain file:bucket/gcm {key} --dialect cos-v2 --content gcm"));
    fs::write(shell.path("bucket/plain"), "x").unwrap();
    let listed = shell.ok("ls file:bucket/ --long --json");
    let listed: Vec<Value> = listed.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let words: Vec<&str> = listed.iter().map(|line| line["protection"].as_str().unwrap()).collect();
    assert_eq!(words, ["sealed", "gcm", "none", "plain", "sealed"]);
    assert!(shell.ok("ls file:bucket/ -l").contains("  none      none\n"));

    assert!(shell.ok(&format!("verify file:bucket/sealed {key}")).contains("seal"));
    assert!(shell.ok(&format!("verify file:bucket/none {key}")).contains("does not detect"));
    let cat = shell.run(&format!("cat file:bucket/bound {key} --verify-first"));
    assert!(cat.stdout == plain());
    shell.ok(&format!("cat file:bucket/sealed {key} --range 0-9"));
    shell.ends_with(2, &format!("cat file:bucket/sealed {key} --range 0-9 --require seal"));
    shell.ok(&format!(
        "cat file:bucket/sealed {key} --range 0-9 --require seal --unauthenticated-range"
    ));

    // Renamed behind our back.
    for ending in ["", ".headers.json"] {
        let of = |name: &str| shell.path(&format!("bucket/{name}{ending}"));
        if of("bound").exists() {
            fs::rename(of("bound"), of("moved")).unwrap();
        }
    }
    let moved = format!("get file:bucket/moved -o back {key}");
    assert!(shell.ends_with(5, &moved).contains("--name"));
    assert!(!shell.path("back").exists());
    shell.ok(&format!("{moved} --name bound"));

    // A body that somebody changed is not released, and not uploaded again.
    let mut body = fs::read(shell.path("bucket/sealed")).unwrap();
    body[1_000_000] ^= 1;
    fs::write(shell.path("bucket/sealed"), body).unwrap();
    for get in ["get file:bucket/sealed -o b", "get file:bucket/sealed -o b --part-size 64KiB"] {
        shell.ends_with(5, &format!("{get} {key}"));
        assert!(!shell.path("b").exists());
    }
    shell.ends_with(5, &format!("verify file:bucket/sealed {key}"));
}

#[test]
fn a_rewrap_keeps_the_seal_and_adopts_on_demand() {
    let shell = Shell::new();
    let key = "--key private_key.pem";
    shell.ok(&format!("put plain file:bucket/sealed {key} --bind-name"));
    shell.ok(&format!("put plain file:bucket/none {key} --no-seal"));
    let rewrap = |name: &str, more: &str| {
        shell.ok(&format!(
            "rewrap file:bucket/{name} {key} --to-key aes-256.key --dialect cos-v2{more}"
        ))
    };
    let protection = |name: &str| {
        let json = shell.ok(&format!("inspect file:bucket/{name} --json"));
        serde_json::from_str::<Value>(&json).unwrap()["protection"].as_str().unwrap().to_owned()
    };
    let read = |name: &str| {
        shell.ok(&format!("get file:bucket/{name} -o back --force --key aes-256.key"));
        fs::read(shell.path("back")).unwrap() == plain()
    };
    rewrap("sealed", "");
    assert!(protection("sealed") == "sealed" && read("sealed"));
    rewrap("none", " --seal-body");
    assert!(protection("none") == "adopted" && read("none"));
    let said = shell.ok("verify file:bucket/none --key aes-256.key");
    assert!(said.contains("adopted"), "{said}");
    shell.ok("rewrap file:bucket/none --key aes-256.key --to-key public_key.pem --no-seal");
    assert_eq!(protection("none"), "none");
    shell.ok(&format!("rewrap file:bucket/none {key} --to-key aes-256.key --dialect cos-v2"));
    assert_eq!(protection("none"), "none", "nothing is sealed that nobody asked for");
    let name = format!("rewrap file:bucket/ --prefix {key} --to-key aes-256.key --name x");
    shell.ends_with(2, &name);
    // Headers in a file.
    shell.ok(ENCRYPT);
    let rewrap = format!("rewrap h.json {key} --to-key aes-256.key --dialect cos-v2");
    shell.ends_with(2, &format!("{rewrap} --seal-body --metadata-out n.json"));
    shell.ok(&format!("{rewrap} --metadata-out n.json"));
    shell.ok("decrypt cipher --metadata n.json --key aes-256.key --output n --require seal");
}

/// COS stores 2 KiB of all metadata together.
#[test]
fn a_seal_that_does_not_fit_is_refused_and_not_dropped() {
    let shell = Shell::new();
    shell.ok("keygen rsa --bits 4096 --out big");
    let encrypt = "encrypt plain --key big/public_key.pem --dialect cos-v2 --metadata-out h.json \
                   --output cipher";
    shell.ok(&format!("{encrypt} --content gcm --matdesc year=2026"));
    let size: usize = shell
        .headers()
        .iter()
        .map(|(name, value)| name.len() + value.as_str().unwrap().len())
        .sum();
    assert!(size < 2048, "{size}");
    let long = format!("{encrypt} --force --matdesc note={}", "x".repeat(230));
    let said = shell.ends_with(2, &long);
    assert!(
        said.contains("2066 bytes") && said.contains("at most 2048") && said.contains("--no-seal"),
        "{said}"
    );
    shell.ok(&format!("{long} --no-seal"));
}
