//! Tests that `get` treats its output as `decrypt` does: devices, pipes, links and long names.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::{
    fs,
    io::Read as _,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
    process::{Command, Output},
};

use envelope_testkit::folder;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

const LEN: usize = (3 << 20) + 5;

struct Shell(TempDir);

impl Shell {
    /// Returns a shell with an object in a folder.
    fn new() -> Self {
        let shell = Self(TempDir::new().unwrap());
        fs::create_dir(shell.path("bucket")).unwrap();
        fs::write(shell.path("plain"), vec![7; LEN]).unwrap();
        let put = shell.run(&["put", "--force", "plain", "file:bucket/object"]);
        assert!(put.status.success(), "{put:?}");
        shell
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_envelope"));
        command
            .current_dir(self.0.path())
            .args(arguments)
            .arg("--key")
            .arg(folder("keys").join("private_key.pem"))
            .env("XDG_STATE_HOME", self.path("state"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn get(&self, output: &str, more: &[&str]) -> Output {
        self.run(
            &[&["get", "file:bucket/object", "-o", output, "--part-size", "1MiB"], more].concat(),
        )
    }

    /// Returns the names in the folder, without those that every test has.
    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !["bucket", "plain", "state"].contains(&name.as_str()));
        names.sort();
        names
    }
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let shell = Shell::new();
    // A link, so that a mistake replaces the link and not the device of this machine.
    symlink("/dev/null", shell.path("null")).unwrap();
    for more in [&["--force"][..], &[]] {
        let output = shell.get("null", more);
        assert!(output.status.success(), "{output:?}");
        assert!(fs::symlink_metadata(shell.path("null")).unwrap().is_symlink());
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        assert_eq!(shell.files(), ["null"]);
    }
}

#[test]
fn a_named_pipe_is_written_to_and_not_replaced() {
    let shell = Shell::new();
    mknodat(CWD, shell.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let pipe = shell.path("pipe");
    let reader = std::thread::spawn(move || {
        let mut read = Vec::new();
        fs::File::open(pipe).unwrap().read_to_end(&mut read).unwrap();
        read
    });
    let output = shell.get("pipe", &["--force"]);
    assert!(output.status.success(), "{output:?}");
    assert!(reader.join().unwrap() == vec![7; LEN]);
    assert!(fs::symlink_metadata(shell.path("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(shell.files(), ["pipe"]);
}

#[test]
fn what_a_link_points_to_is_replaced() {
    let shell = Shell::new();
    fs::write(shell.path("target"), "before").unwrap();
    symlink("target", shell.path("link")).unwrap();
    let refused = shell.get("link", &[]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(fs::read(shell.path("target")).unwrap(), b"before");
    let output = shell.get("link", &["--force"]);
    assert!(output.status.success(), "{output:?}");
    assert!(fs::symlink_metadata(shell.path("link")).unwrap().is_symlink());
    assert!(fs::read(shell.path("target")).unwrap() == vec![7; LEN]);
    assert_eq!(shell.files(), ["link", "target"]);
}

#[test]
fn another_name_of_a_replaced_file_keeps_its_content() {
    let shell = Shell::new();
    fs::write(shell.path("one"), "before").unwrap();
    fs::hard_link(shell.path("one"), shell.path("two")).unwrap();
    assert!(shell.get("one", &["--force"]).status.success());
    assert!(fs::read(shell.path("one")).unwrap() == vec![7; LEN]);
    assert_eq!(fs::read(shell.path("two")).unwrap(), b"before");
}

#[test]
fn names_may_be_as_long_as_the_file_system_allows() {
    let shell = Shell::new();
    for len in [200, 240, 255] {
        let name = "n".repeat(len);
        let output = shell.get(&name, &[]);
        assert!(output.status.success(), "{len}: {output:?}");
        assert!(fs::read(shell.path(&name)).unwrap() == vec![7; LEN]);
        assert_eq!(shell.files(), std::slice::from_ref(&name));
        fs::remove_file(shell.path(&name)).unwrap();
    }
}

#[test]
fn a_folder_receives_the_file_under_the_name_of_the_object() {
    let shell = Shell::new();
    fs::create_dir(shell.path("there")).unwrap();
    let output = shell.get("there", &["--force"]);
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read(shell.path("there/object")).unwrap() == vec![7; LEN]);
    assert_eq!(fs::read_dir(shell.path("there")).unwrap().count(), 1);
}

#[test]
fn what_another_run_has_left_is_kept_by_a_run_that_cannot_start() {
    let shell = Shell::new();
    let digest = envelope_core::Crc64::of(b"out");
    let (part, state) =
        (format!(".envelope-{digest:016x}.part"), format!(".envelope-{digest:016x}.state"));
    fs::write(shell.path(&part), "ciphertext").unwrap();
    fs::write(shell.path(&state), "a journal").unwrap();
    for name in [&part, &state] {
        fs::set_permissions(shell.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let missing = shell.command(&["get", "file:bucket/missing", "-o", "out"]).output().unwrap();
    assert!(!missing.status.success());
    // In ranges, and as a whole.
    for part_size in ["1MiB", "64MiB"] {
        let wrong = Command::new(env!("CARGO_BIN_EXE_envelope"))
            .current_dir(shell.0.path())
            .args(["get", "file:bucket/object", "-o", "out", "--part-size", part_size, "--key"])
            .arg(folder("keys").join("aes-256.key"))
            .output()
            .unwrap();
        assert_eq!(wrong.status.code(), Some(4), "{wrong:?}");
    }
    assert_eq!(fs::read(shell.path(&part)).unwrap(), b"ciphertext");
    assert_eq!(fs::read(shell.path(&state)).unwrap(), b"a journal");
    let right = shell.get("out", &[]);
    assert!(right.status.success(), "{right:?}");
    assert_eq!(shell.files(), ["out"]);
}

#[test]
fn no_input_is_overwritten() {
    let shell = Shell::new();
    fs::write(shell.path("passphrase"), "secret").unwrap();
    let outputs = [("passphrase", "secret".into()), ("bucket/object", shell.read("bucket/object"))];
    for (output, before) in outputs {
        let got = shell.get(output, &["--force", "--passphrase-file", "passphrase"]);
        assert_eq!(got.status.code(), Some(2), "{output}: {got:?}");
        assert!(shell.read(output) == before, "{output}");
    }
}
