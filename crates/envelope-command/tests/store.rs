//! Tests that run the command against a bucket, killing and interrupting it at every request.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail loudly")]

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use envelope_testkit::bucket::{ACCESS_KEY, Fault, LoopbackBucket, SECRET};

struct World {
    server: LoopbackBucket,
    folder: tempfile::TempDir,
    address: &'static str,
    plain: Vec<u8>,
}

impl World {
    fn new(address: &'static str) -> Self {
        let (server, folder) = (LoopbackBucket::start(), tempfile::tempdir().unwrap());
        let plain: Vec<u8> =
            (0..(5_u64 << 20) - 77).map(|n| (n * n / 251).to_le_bytes()[0]).collect();
        fs::write(folder.path().join("plain"), &plain).unwrap();
        Self { server, folder, address, plain }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_envelope"));
        command
            .args(arguments)
            .args(["--endpoint", &self.server.url(), "--region", "cn-x", "--key"])
            .arg(envelope_testkit::folder("keys").join("private_key.pem"))
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

    fn put(&self, more: &[&str]) -> Command {
        let plain = self.path("plain").display().to_string();
        let sizes: &[&str] = match more {
            ["--threshold", ..] => &[],
            _ => &["--threshold", "1MiB", "--part-size", "1MiB"],
        };
        self.command(&[&["put", "--force", &plain, self.address], sizes, more].concat())
    }

    fn get(&self) -> Command {
        let out = self.path("out").display().to_string();
        self.command(&["get", self.address, "-o", &out, "--part-size", "1MiB"])
    }

    /// Checks that the object is correct, and that no upload or state is left.
    fn check(&self, what: &str) {
        self.check_but(what, 0);
    }

    /// Checks the same, but for uploads that nobody can prove to be ours.
    fn check_but(&self, what: &str, open: usize) {
        let out = done(self.command(&["cat", self.address]), what);
        assert!(out.stdout == self.plain, "{what}: wrong");
        assert_eq!(self.server.open_uploads(), open, "{what}");
        let left: Vec<_> = fs::read_dir(self.path("state/envelope")).unwrap().collect();
        assert!(left.is_empty(), "{what}: {left:?}");
    }

    fn hang(&self, mut child: Child, signal: Option<&str>) -> Output {
        assert!(self.server.wait_hung(Duration::from_secs(20)), "nothing hung");
        match signal {
            Some(signal) => {
                let id = child.id().to_string();
                Command::new("kill").args([signal, &id]).status().unwrap();
            }
            None => child.kill().unwrap(),
        }
        child.wait_with_output().unwrap()
    }
}

fn done(mut command: Command, what: &str) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_killed_upload_goes_on() {
    for address in ["oss://b-1/key", "cos://b-1/key"] {
        for fault in [Fault::Hang, Fault::HangAfter] {
            for n in 0..8 {
                let (world, what) = (World::new(address), format!("{address} {fault:?} at {n}"));
                world.server.fail(n, fault);
                world.hang(world.put(&[]).spawn().unwrap(), None);
                std::thread::sleep(Duration::from_millis(50));
                let (arrived, before) = (world.server.arrived(), world.server.requests().len());
                let said = done(world.put(&[]), &what).stderr;
                let again = world.server.requests().split_off(before);
                // At n = 0, the client never learned the ID of the upload, so it starts over.
                for number in arrived.iter().filter(|_| n > 0) {
                    let name = format!("partNumber={number}&");
                    assert!(!again.iter().any(|it| it.contains(&name)), "{what}: {name}");
                }
                // COS does not tell what an upload was created with, so the one whose ID the client
                // never learned is left to the bucket's lifecycle rules, and that is said.
                let lost = n == 0 && fault == Fault::HangAfter && address.starts_with("cos");
                let said = String::from_utf8_lossy(&said);
                assert_eq!(said.contains("may have been left open"), lost, "{what}: {said}");
                world.check_but(&what, usize::from(lost));
            }
        }
    }
}

#[test]
fn a_killed_download_goes_on() {
    let world = World::new("oss://b-1/key");
    done(world.put(&[]), "put");
    for n in 0..7 {
        let what = format!("get, killed at {n}");
        world.server.fail(n, Fault::Hang);
        world.hang(world.get().spawn().unwrap(), None);
        assert!(!world.path("out").exists(), "{what}");
        done(world.get(), &what);
        assert!(fs::read(world.path("out")).unwrap() == world.plain, "{what}");
        fs::remove_file(world.path("out")).unwrap();
        let left = fs::read_dir(world.folder.path()).unwrap().flatten();
        let left = left.filter(|it| it.file_name().to_string_lossy().starts_with('.'));
        assert_eq!(left.count(), 0, "{what}");
    }
}

#[test]
fn ctrl_c_says_what_is_left() {
    let world = World::new("oss://b-1/key");
    world.server.fail(3, Fault::Hang);
    let out = world.hang(world.put(&[]).spawn().unwrap(), Some("-INT"));
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(130), "{words}");
    assert!(words.contains("interrupted; the upload was left open"), "{words}");
    assert_eq!(world.server.open_uploads(), 1);
    done(world.put(&[]), "put again");
    world.check("after an interruption");

    // While no input arrives.
    let endless =
        world.command(&["put", "--force", "-", world.address]).stdin(Stdio::piped()).spawn();
    let mut endless = endless.unwrap();
    let held = endless.stdin.take();
    std::thread::sleep(Duration::from_millis(500));
    let begun = std::time::Instant::now();
    Command::new("kill").args(["-INT", &endless.id().to_string()]).status().unwrap();
    let out = endless.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(8), "it waited for its input");
    drop(held);

    // During the only request for a small file.
    world.server.fail(0, Fault::Hang);
    let out = world.hang(world.put(&["--threshold", "1GiB"]).spawn().unwrap(), Some("-INT"));
    assert_eq!(out.status.code(), Some(130));

    world.server.fail(3, Fault::Hang);
    let out = world.hang(world.put(&["--no-resume"]).spawn().unwrap(), Some("-INT"));
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(words.contains("interrupted; the upload was aborted"), "{words}");
    assert_eq!(world.server.open_uploads(), 0);
}

#[test]
fn profiles_and_refusals() {
    let world = World::new("oss://b-1/key");
    let config = world.path("config.toml");
    let profile = format!(
        "[profiles.work.oss]\nregion = \"cn-x\"\nendpoint = \"{}\"\n\
         access_key_id = \"{ACCESS_KEY}\"\naccess_key_secret = \"{SECRET}\"\n",
        world.server.url()
    );
    fs::write(&config, &profile).unwrap();
    let ls = |config: &PathBuf, profile: &str| {
        Command::new(env!("CARGO_BIN_EXE_envelope"))
            .args(["ls", "oss://b-1/", "--profile", profile, "--config"])
            .arg(config)
            .env_remove("OSS_ACCESS_KEY_ID")
            .env_remove("OSS_REGION")
            .output()
            .unwrap()
    };
    assert!(ls(&config, "work").status.success());
    let none = ls(&config, "home");
    assert_eq!(none.status.code(), Some(2));
    // Errors about a malformed file do not quote it.
    fs::write(&config, profile.replace("\"\naccess_key_secret", "\naccess_key_secret")).unwrap();
    let broken = ls(&config, "work");
    let words = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert_eq!(broken.status.code(), Some(2));
    assert!(words.contains("line 4") && !words.contains(SECRET), "{words}");

    for (arguments, code, words) in [
        (&["get", "oss://b-1/none", "-o", "x"][..], 6, "no such object"),
        (&["cat", "oss://b-1/"], 2, "does not name an object"),
        (&["cat", "oss://b-1/key", "--endpoint", "http://oss.example"], 2, "plain http"),
    ] {
        let out = world.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn an_inventory_in_shares() {
    let world = World::new("cos://b-1/key");
    for n in 0..12 {
        let address = format!("cos://b-1/many/{n} &+");
        let small = world.path("small");
        fs::write(&small, format!("object {n}")).unwrap();
        done(world.command(&["put", "--force", small.to_str().unwrap(), &address]), "put");
    }
    fs::create_dir(world.path("new")).unwrap();
    let new = world.path("new").display().to_string();
    let keygen = ["keygen", "rsa", "--bits", "2048", "--out", &new];
    Command::new(env!("CARGO_BIN_EXE_envelope")).args(keygen).output().unwrap();
    let new = format!("{new}/private_key.pem");

    // In the format of COS; with a header row; as lines of JSON.
    let keys: Vec<String> = (0..12).map(|n| format!("many/{n} &+")).collect();
    let csv: String =
        keys.iter().map(|key| format!("\"b-1\",\"{}\",\"8\"\n", key.replace(' ', "%20"))).collect();
    let named: String = keys.iter().map(|key| format!("8,\"{key}\"\n")).collect();
    let json: String = keys.iter().map(|key| format!("{{\"key\":\"{key}\"}}\n\n")).collect();
    let files = [("a.csv", csv), ("b.csv", format!("Size,Key\n{named}")), ("c.ndjson", json)];
    let mut seen = Vec::new();
    for (round, (name, text)) in files.iter().enumerate() {
        fs::write(world.path(name), text).unwrap();
        let file = world.path(name).display().to_string();
        for shard in ["1/3", "2/3", "3/3"] {
            let arguments =
                ["rewrap", "cos://b-1/", "--inventory", &file, "--shard", shard, "--to-key", &new];
            let out = done(world.command(&arguments), name);
            let lines = String::from_utf8(out.stdout).unwrap();
            let want = if round == 0 { "\"rewrapped\"" } else { "\"already\"" };
            assert!(lines.lines().all(|line| line.contains(want)), "{lines}");
            seen.extend(lines.lines().map(str::to_owned));
        }
    }
    assert_eq!(seen.len(), 36);
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(seen.iter().filter(|line| line.contains(key.as_str())).count(), 3);
        let mut cat = Command::new(env!("CARGO_BIN_EXE_envelope"));
        let address = format!("cos://b-1/{key}");
        let arguments = ["cat", &address, "--key", &new, "--endpoint", &world.server.url()];
        cat.args(arguments)
            .env("TENCENTCLOUD_SECRET_ID", ACCESS_KEY)
            .env("TENCENTCLOUD_SECRET_KEY", SECRET);
        assert_eq!(done(cat, key).stdout, format!("object {n}").into_bytes());
    }

    // An object that no longer exists is not a failure.
    fs::write(world.path("d.csv"), "key\nnone\n").unwrap();
    let file = world.path("d.csv").display().to_string();
    let arguments = ["rewrap", "cos://b-1/", "--inventory", &file, "--to-key", &new];
    let out = done(world.command(&arguments), "gone");
    assert!(String::from_utf8(out.stdout).unwrap().contains("\"gone\""));
}

#[test]
fn a_key_from_standard_input_is_read_once() {
    let world = World::new("oss://b-1/key");
    let key = fs::read(envelope_testkit::folder("keys").join("private_key.pem")).unwrap();
    let with_key = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_envelope"));
        command
            .args(arguments)
            .args(["--endpoint", &world.server.url(), "--region", "cn-x"])
            .env("OSS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("OSS_ACCESS_KEY_SECRET", SECRET)
            .env("XDG_STATE_HOME", world.path("state"))
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&key).unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    let plain = world.path("plain").display().to_string();
    with_key(&["put", "--force", &plain, world.address, "--key", "-"]);
    assert!(done(world.command(&["cat", world.address]), "cat").stdout == world.plain);
    let old = envelope_testkit::folder("keys").join("private_key.pem").display().to_string();
    with_key(&["rewrap", world.address, "--key", &old, "--to-key", "-", "--reupload"]);
    assert!(done(world.command(&["cat", world.address]), "cat").stdout == world.plain);
}
