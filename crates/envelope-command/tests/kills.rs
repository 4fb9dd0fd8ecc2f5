//! Kills `put`, `get` and `rewrap` at random moments. Whatever was there before is still there, or
//! what replaces it is complete; and the same command, run again, succeeds.
//!
//! `cargo xtask kills 200` is the long form.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail loudly")]

#[path = "support/kill.rs"]
mod kill;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use envelope_testkit::bucket::{ACCESS_KEY, LoopbackBucket, SECRET};

use crate::kill::{Numbers, kill, kills};

struct World {
    server: LoopbackBucket,
    folder: tempfile::TempDir,
    address: String,
    key: String,
}

impl World {
    fn new(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = envelope_testkit::folder("keys/private_key.pem").display().to_string();
        let server = LoopbackBucket::start();
        // About a second for the objects here, so that most kills hit something.
        server.set_rate(Some(24 << 20));
        Self { server, folder, address: address.to_owned(), key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_envelope"));
        command
            .args(arguments)
            .args(["--endpoint", &self.server.url(), "--region", "cn-x", "--key", &self.key])
            .env("OSS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("OSS_ACCESS_KEY_SECRET", SECRET)
            .env("TENCENTCLOUD_SECRET_ID", ACCESS_KEY)
            .env("TENCENTCLOUD_SECRET_KEY", SECRET)
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn put(&self, file: &str) -> Command {
        let file = self.path(file).display().to_string();
        let sizes = ["--threshold", "1MiB", "--part-size", "1MiB"];
        self.command(&[&["put", "--force", &file, &self.address], &sizes[..]].concat())
    }

    fn cat(&self, key: &str) -> Output {
        let mut command = self.command(&["cat", &self.address]);
        if key != self.key {
            command.args(["--key", key]);
        }
        command.output().unwrap()
    }
}

fn done(mut command: Command, what: &str) -> Duration {
    let begun = Instant::now();
    let output = command.output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    begun.elapsed()
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n * n / 251 + seed).to_le_bytes()[0]).collect()
}

#[test]
fn a_killed_put_leaves_the_old_object_or_the_new_one() {
    let mut numbers = Numbers::new();
    for address in ["oss://b-1/key", "cos://b-1/key", "file:"] {
        let mut world = World::new(address);
        if address == "file:" {
            world.address = format!("file:{}/key", world.path("store").display());
        }
        fs::write(world.path("one"), bytes(1, (5 << 20) - 77)).unwrap();
        fs::write(world.path("other"), bytes(2, (6 << 20) + 5)).unwrap();
        let usual = done(world.put("one"), "put");
        let mut before = fs::read(world.path("one")).unwrap();
        for n in 0..kills() {
            let name = if n % 2 == 0 { "other" } else { "one" };
            let what = format!("{address} kill {n}");
            let new = fs::read(world.path(name)).unwrap();
            kill(world.put(name), &mut numbers, usual);
            let out = world.cat(&world.key);
            assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
            assert!(out.stdout == before || out.stdout == new, "{what}: neither");
            done(world.put(name), &what);
            let out = world.cat(&world.key);
            assert!(out.stdout == new, "{what}: after the second run");
            // COS does not tell whose an upload is whose ID was lost.
            let may_be_left = usize::try_from(n).unwrap() + 1;
            let most = if address.starts_with("cos") { may_be_left } else { 0 };
            assert!(world.server.open_uploads() <= most, "{what}");
            let left = fs::read_dir(world.path("state/envelope")).unwrap().count();
            assert_eq!(left, 0, "{what}: the state of an upload that is over");
            before = new;
        }
        if address == "file:" {
            // Nothing but the lock, the object and its sidecar, however often it was killed.
            let store = fs::read_dir(world.path("store")).unwrap().count();
            let own: Vec<_> = fs::read_dir(world.path("store/.envelope-uploads"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .filter(|name| name != "lock")
                .collect();
            assert_eq!(store, 3, "{own:?}");
            assert!(own.is_empty(), "{own:?}");
        }
    }
}

#[test]
fn a_killed_get_leaves_no_file_or_the_right_one() {
    let mut numbers = Numbers::new();
    for address in ["oss://b-1/key", "cos://b-1/key"] {
        let world = World::new(address);
        let plain = bytes(1, (5 << 20) - 77);
        fs::write(world.path("plain"), &plain).unwrap();
        done(world.put("plain"), "put");
        let out = world.path("out");
        let get = || {
            let out = out.display().to_string();
            world.command(&["get", address, "-o", &out, "--part-size", "1MiB"])
        };
        let usual = done(get(), "get");
        for n in 0..kills() {
            let what = format!("{address} kill {n}");
            let _ = fs::remove_file(&out);
            kill(get(), &mut numbers, usual);
            if let Ok(found) = fs::read(&out) {
                assert!(found == plain, "{what}: a wrong file");
                continue;
            }
            done(get(), &what);
            assert!(fs::read(&out).unwrap() == plain, "{what}");
            let names = fs::read_dir(world.folder.path()).unwrap().flatten();
            let left = names.filter(|it| it.file_name().to_string_lossy().starts_with('.'));
            assert_eq!(left.count(), 0, "{what}: working files");
        }
    }
}

#[test]
fn a_killed_rewrap_leaves_the_old_envelope_or_the_new_one() {
    let mut numbers = Numbers::new();
    for address in ["oss://b-1/key", "cos://b-1/key"] {
        let world = World::new(address);
        world.server.set_rate(Some(100 << 20));
        // Long enough to be uploaded again in parts.
        let plain = bytes(1, (18 << 20) + 5);
        fs::write(world.path("plain"), &plain).unwrap();
        let keygen = |name: &str| {
            let folder = world.path(name).display().to_string();
            fs::create_dir_all(&folder).unwrap();
            let arguments = ["keygen", "rsa", "--bits", "2048", "--out", &folder];
            let out = Command::new(env!("CARGO_BIN_EXE_envelope")).args(arguments).output();
            assert!(out.unwrap().status.success());
            format!("{folder}/private_key.pem")
        };
        let (one, other) = (keygen("one"), keygen("other"));
        done(world.put("plain"), "put");
        let rewrap = |from: &str, to: &str| {
            world.command(&["rewrap", address, "--reupload", "--to-key", to, "--key", from])
        };
        let usual = done(rewrap(&one, &one), "rewrap");
        let (mut now, mut next) = (one, other);
        for n in 0..kills() {
            let what = format!("{address} kill {n}");
            kill(rewrap(&now, &next), &mut numbers, usual);
            let out = world.cat(&now);
            let out = if out.status.success() { out } else { world.cat(&next) };
            assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
            assert!(out.stdout == plain, "{what}: another object");
            done(rewrap(&now, &next), &what);
            assert!(world.cat(&next).stdout == plain, "{what}: after the second run");
            // COS does not tell whose an upload is whose ID was lost.
            let may_be_left = usize::try_from(n).unwrap() + 1;
            let most = if address.starts_with("cos") { may_be_left } else { 0 };
            assert!(world.server.open_uploads() <= most, "{what}: an open upload");
            let left = fs::read_dir(world.path("state/envelope")).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{what}: a copy or a journal that nobody needs");
            (now, next) = (next, now);
        }
    }
}
