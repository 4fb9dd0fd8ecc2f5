//! A server, a folder and the command, for the tests of the command.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use envelope_testkit::bucket::{ACCESS_KEY, LoopbackBucket, SECRET};

/// A loopback server, a folder with a key, and the command between them.
pub(crate) struct World {
    pub(crate) server: LoopbackBucket,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(LoopbackBucket::start())
    }

    /// A server that speaks TLS, whose certificate the command is told to trust.
    pub(crate) fn over_tls() -> Self {
        let world = Self::with(LoopbackBucket::start_tls());
        world.file("ca.pem", world.server.certificate().unwrap().as_bytes());
        world
    }

    fn with(server: LoopbackBucket) -> Self {
        let world = Self { server, folder: tempfile::tempdir().unwrap() };
        // A master key that nobody else can read draws no warning.
        let key = fs::read(envelope_testkit::folder("keys/private_key.pem")).unwrap();
        world.private("key.pem", &key);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes a file, and returns its path.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.text(name)
    }

    pub(crate) fn private(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.file(name, bytes);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        path
    }

    /// The command without a key.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_envelope"));
        command
            .args(arguments)
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

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The command with what it needs to reach the server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command.args(["--endpoint", &self.server.url(), "--region", "cn-x"]);
        if self.server.certificate().is_some() {
            command.arg("--ca-file").arg(self.path("ca.pem"));
        }
        command
    }

    /// Runs a command that must succeed, and returns what it said on standard error.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments);
        assert!(out.status.success(), "{arguments:?}: {}", said(&out));
        said(&out)
    }

    pub(crate) fn put(&self, address: &str, bytes: &[u8]) {
        let file = self.file("to put", bytes);
        self.done(&["put", "--force", &file, address, "--key", &self.text("key.pem")]);
    }

    pub(crate) fn cat(&self, address: &str, key: &str) -> Vec<u8> {
        let out = self.run(&["cat", address, "--key", key]);
        assert!(out.status.success(), "{}", said(&out));
        out.stdout
    }

    /// Generates another master key.
    pub(crate) fn new_key(&self) -> String {
        let folder = self.text("new");
        fs::create_dir_all(&folder).unwrap();
        self.bare(&["keygen", "rsa", "--bits", "2048", "--out", &folder]).output().unwrap();
        format!("{folder}/private_key.pem")
    }
}

pub(crate) fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

pub(crate) fn lines(out: &Output) -> Vec<String> {
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
}
