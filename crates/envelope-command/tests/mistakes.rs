//! What people do wrong, and what the command says: its exact words, its code for programs and its
//! exit status.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "support/world.rs"]
mod world;

use std::{fs, process::Command};

use envelope_testkit::bucket::Fault;
use serde_json::Value;

use self::world::{World, said};

/// What the command says of a mistake. `{}` is the folder of the test, `{h}` the server's host.
struct Mistake {
    status: i32,
    code: &'static str,
    error: &'static str,
    advice: &'static str,
}

impl World {
    /// Checks what is said for people, and with `--json`, if the command has it, for programs.
    /// `prepare` runs before each.
    fn refuses(&self, line: &[&str], mistake: &Mistake, prepare: impl Fn()) {
        self.refuses_as(|line| self.command(line), line, mistake, prepare);
    }

    fn refuses_as(
        &self,
        command: impl Fn(&[&str]) -> Command,
        line: &[&str],
        mistake: &Mistake,
        prepare: impl Fn(),
    ) {
        let host = self.server.url().replace("http://", "");
        let folder = self.folder.path().display().to_string();
        let full = |text: &str| text.replace("{}", &folder).replace("{h}", &host);
        let (error, advice) = (full(mistake.error), full(mistake.advice));

        prepare();
        let out = command(line).output().unwrap();
        let told = said(&out);
        // Waits and warnings come before.
        let words = format!("error: {error}\nadvice: {advice}\n");
        assert!(told.ends_with(&words), "{line:?} says\n{told}and not\n{words}");
        assert_eq!(out.status.code(), Some(mistake.status), "{told}");

        if ["decrypt", "encrypt", "cat"].contains(&line[0]) {
            return;
        }
        prepare();
        let out = command(&[line, &["--json"]].concat()).output().unwrap();
        let told = said(&out);
        let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        assert_eq!(last["code"], mistake.code, "{told}");
        assert_eq!(last["status"], mistake.status, "{told}");
        assert_eq!(last["error"], error);
        assert_eq!(last["advice"], advice);
    }
}

fn nothing() {}

#[test]
fn about_keys() {
    let world = World::new();
    let (key, out) = (world.text("key.pem"), world.text("out"));
    world.put("oss://b-1/film", b"content");
    let get = ["get", "oss://b-1/film", &out];

    let other = Command::new(env!("CARGO_BIN_EXE_envelope"))
        .args(["keygen", "rsa", "--bits", "2048", "--out", &world.text("other")])
        .output();
    assert!(other.unwrap().status.success());
    // A private key that others can read, too.
    let wrong = world.text("other/private_key.pem");
    let mistake = Mistake {
        status: 4,
        code: "key",
        error: "oss://b-1/film: the content key could not be unwrapped: wrong master key, or \
                altered metadata",
        advice: "supply the master key that wrapped this object with --key, which may be repeated",
    };
    world.refuses(&[&get[..], &["--key", &wrong]].concat(), &mistake, nothing);

    let mistake = Mistake {
        status: 4,
        code: "key",
        error: "{}/other/public_key.pem: this is a public key, which encrypts only",
        advice: "name the file of the private key that belongs to it",
    };
    let public = world.text("other/public_key.pem");
    world.refuses(&[&get[..], &["--key", &public]].concat(), &mistake, nothing);

    let mistake = Mistake {
        status: 4,
        code: "passphrase",
        error: "{}/locked/private_key.pem: the key file is encrypted; provide its passphrase",
        advice: "supply the passphrase with --passphrase-file, --passphrase-fd or \
                 --passphrase-env",
    };
    let locked = Command::new(env!("CARGO_BIN_EXE_envelope"))
        .args(["keygen", "rsa", "--bits", "2048", "--passphrase-env", "PASS"])
        .args(["--out", &world.text("locked")])
        .env("PASS", "a passphrase")
        .output();
    assert!(locked.unwrap().status.success());
    let locked = world.text("locked/private_key.pem");
    world.refuses(&[&get[..], &["--key", &locked]].concat(), &mistake, nothing);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let words = world.done(&[&get[..], &["--key", &key]].concat());
        let warning = format!(
            "warning: {key}: other users can read this file, which holds a secret (mode 0644); \
             chmod 600\n"
        );
        assert!(words.contains(&warning), "{words}");
    }
}

#[test]
fn about_addresses() {
    let world = World::new();
    let (key, out) = (world.text("key.pem"), world.text("out"));
    world.put("oss://b-1/film", b"content");
    world.server.set_no_bucket("b-2");
    world.server.set_elsewhere("b-3", "oss-cn-beijing.aliyuncs.com");

    for (object, error) in [
        (
            "oss://b-2/film",
            "oss://b-2/film: no such bucket: 404 NoSuchBucket; The specified bucket does not \
             exist.; request 0123456789ABCDEF01234567",
        ),
        (
            "cos://b-2/film",
            "cos://b-2/film: no such bucket: 404 NoSuchBucket; The specified bucket does not \
             exist.; request 0123456789ABCDEF01234567",
        ),
    ] {
        let mistake = Mistake {
            status: 6,
            code: "no-such-bucket",
            error,
            advice: "check the name of the bucket, the region and the account; on COS, the name \
                     ends with the APPID",
        };
        world.refuses(&["get", object, &out, "--key", &key], &mistake, nothing);
        world.refuses(&["inspect", object], &mistake, nothing);
        world.refuses(&["verify", object, "--key", &key], &mistake, nothing);
        world.refuses(&["cat", object, "--key", &key], &mistake, nothing);
        let plain = world.file("plain", b"content");
        world.refuses(&["put", &plain, object, "--key", &key], &mistake, nothing);
    }

    let mistake = Mistake {
        status: 7,
        code: "wrong-region",
        error: "oss://b-3/film: the bucket is in another region: 403 AccessDenied; The bucket you \
                are attempting to access must be addressed using the specified endpoint. Please \
                send all future requests to this endpoint.; request 0123456789ABCDEF01234567",
        advice: "use --region cn-beijing",
    };
    world.refuses(&["get", "oss://b-3/film", &out, "--key", &key], &mistake, nothing);
    world.refuses(&["inspect", "oss://b-3/film"], &mistake, nothing);

    for object in ["oss://b-1/none", "cos://b-1/none"] {
        let mistake = Mistake {
            status: 6,
            code: "no-such-object",
            error: if object.starts_with("oss") {
                "oss://b-1/none: no such object"
            } else {
                "cos://b-1/none: no such object"
            },
            advice: "check the address with `envelope ls`; the key must match exactly",
        };
        world.refuses(&["get", object, &out, "--key", &key], &mistake, nothing);
        world.refuses(&["inspect", object], &mistake, nothing);
        world.refuses(&["rm", object], &mistake, nothing);
    }

    let mistake = Mistake {
        status: 2,
        code: "no-credentials",
        error: "no access key: set OSS_ACCESS_KEY_ID, or add it to a profile",
        advice: "`envelope help profiles` lists the places where access keys are looked for; \
                 --kms has one of its own",
    };
    let without_keys = |line: &[&str]| {
        let mut command = world.command(line);
        for name in ["OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET"] {
            command.env_remove(name);
        }
        command
    };
    let line = ["get", "oss://b-1/film", &out, "--key", &key];
    world.refuses_as(without_keys, &line, &mistake, nothing);

    let mistake = Mistake {
        status: 2,
        code: "usage",
        error: "a region has no `oss-` or `cos-` before it: it is cn-hangzhou, not oss-cn-hangzhou",
        advice: "check --region and --endpoint, or OSS_REGION and the like",
    };
    let line = [&line[..], &["--region", "oss-cn-hangzhou"]].concat();
    world.refuses_as(|line| world.bare(line), &line, &mistake, nothing);
}

#[test]
fn about_objects() {
    let world = World::new();
    let (key, out) = (world.text("key.pem"), world.text("out"));
    world.put("oss://b-1/film", b"content");
    world.server.store("b-1", "plain", b"content");

    let mistake = Mistake {
        status: 3,
        code: "not-encrypted",
        error: "oss://b-1/plain: the object is not encrypted, or its metadata was stripped",
        advice: "fetch the metadata of the object itself; if it is meant to be plaintext, use \
                 --allow-plaintext; if its keys are in a COS instruction file, pass that with \
                 --instruction",
    };
    world.refuses(&["get", "oss://b-1/plain", &out, "--key", &key], &mistake, nothing);

    let plain = world.file("plain", b"other content");
    let mistake = Mistake {
        status: 1,
        code: "object-exists",
        error: "oss://b-1/film: the object already exists",
        advice: "choose another key, or use --force to overwrite the object",
    };
    let put = ["put", &plain, "oss://b-1/film", "--key", &key];
    world.refuses(&[&put[..], &["--only-new"]].concat(), &mistake, nothing);

    let skewed = || world.server.fail(0, Fault::Skewed);
    let mistake = Mistake {
        status: 7,
        code: "clock-skew",
        error: "oss://b-1/film: the clock of this machine is wrong: 403 RequestTimeTooSkewed; \
                RequestTimeTooSkewed; request 0123456789ABCDEF01234567",
        advice: "set the clock of this machine, such as with NTP",
    };
    world.refuses(&["get", "oss://b-1/film", &out, "--key", &key], &mistake, skewed);

    // The head, and the body, which ends early each time.
    world.put("oss://b-1/cut", &[7; 100_000]);
    let cut = || {
        world.server.heal();
        (1..4).for_each(|n| world.server.fail(n, Fault::CutBody));
    };
    let mistake = Mistake {
        status: 8,
        code: "unreachable",
        error: "oss://b-1/cut: {h} cannot be reached: client error (SendRequest): connection closed \
                before message completed",
        advice: "check --endpoint, the network and the proxy, then retry",
    };
    let get = ["get", "oss://b-1/cut", &out, "--key", &key, "--retries", "0"];
    world.refuses(&get, &mistake, cut);
}

#[test]
fn about_files() {
    let world = World::new();
    let (key, out) = (world.text("key.pem"), world.text("out"));
    world.put("oss://b-1/film", b"content");

    world.file("there", b"");
    let mistake = Mistake {
        status: 2,
        code: "file-exists",
        error: "{}/there already exists",
        advice: "use --force to overwrite it, or choose another file",
    };
    world.refuses(
        &["get", "oss://b-1/film", &world.text("there"), "--key", &key],
        &mistake,
        nothing,
    );

    let mistake = Mistake {
        status: 1,
        code: "no-such-file",
        error: "{}/new/file cannot be written: the folder {}/new does not exist",
        advice: "make it first: mkdir -p {}/new",
    };
    let new = world.text("new/file");
    world.refuses(&["get", "oss://b-1/film", "-o", &new, "--key", &key], &mistake, nothing);

    let mistake = Mistake {
        status: 1,
        code: "is-a-folder",
        error: "{}: this is a folder",
        advice: "use -r to upload all files of a folder",
    };
    let folder = world.folder.path().display().to_string();
    world.refuses(&["put", &folder, "oss://b-1/x", "--key", &key], &mistake, nothing);

    let mistake = Mistake {
        status: 1,
        code: "no-such-file",
        error: "{}/none: No such file or directory (os error 2)",
        advice: "check the path; a folder is made with `mkdir -p`",
    };
    world.refuses(&["put", &world.text("none"), "oss://b-1/x", "--key", &key], &mistake, nothing);
    world.refuses(
        &["get", "oss://b-1/film", &out, "--key", &world.text("none.pem")],
        &Mistake { error: "{}/none.pem: No such file or directory (os error 2)", ..mistake },
        nothing,
    );
}

/// A file system without space, where this user may mount one.
#[cfg(target_os = "linux")]
#[test]
fn about_full_disks() {
    let world = World::new();
    let key = world.text("key.pem");
    fs::create_dir(world.path("small")).unwrap();
    world.put("oss://b-1/film", &[7; 1 << 20]);
    // A device that is always full takes the place of a file.
    let mistake = Mistake {
        status: 9,
        code: "disk-full",
        error: "oss://b-1/film: No space left on device (os error 28)",
        advice: "free some space, then run the same command again",
    };
    world.refuses(&["get", "oss://b-1/film", "/dev/full", "--key", &key], &mistake, nothing);
}

#[test]
fn about_the_network() {
    let world = World::new();
    let key = world.text("key.pem");
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let out = world
        .bare(&["get", "oss://b-1/film", &world.text("out"), "--key", &key, "--retries", "0"])
        .args(["--endpoint", &format!("http://{free}"), "--region", "cn-x"])
        .output()
        .unwrap();
    let told = said(&out);
    let error = format!("error: oss://b-1/film: {free} cannot be reached: ");
    assert!(told.contains(&error) && told.contains("Connection refused"), "{told}");
    assert!(told.contains("advice: check --endpoint, the network and the proxy, then retry"));
    assert_eq!(out.status.code(), Some(8));
    // The resolver of this machine decides which of the two it is.
    let out = world
        .bare(&["get", "oss://b-1/film", &world.text("out"), "--key", &key, "--retries", "0"])
        .args(["--endpoint", "https://oss-cn-nowhere.invalid", "--region", "cn-x"])
        .output()
        .unwrap();
    let told = said(&out);
    assert!(told.contains("b-1.oss-cn-nowhere.invalid"), "{told}");
    assert_eq!(out.status.code(), Some(8), "{told}");
}

#[test]
fn a_reader_that_has_gone() {
    let world = World::new();
    for n in 0..3000 {
        world.server.store("b-1", &format!("many/{n:04}-{}", "x".repeat(60)), b"");
    }
    let mut ls = world.command(&["ls", "-r", "oss://b-1/many/"]).spawn().unwrap();
    let mut first = [0; 10];
    std::io::Read::read_exact(&mut ls.stdout.take().unwrap(), &mut first).unwrap();
    let out = ls.wait_with_output().unwrap();
    assert_eq!((out.status.code(), said(&out).as_str()), (Some(141), ""));
}
