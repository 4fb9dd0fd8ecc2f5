//! Objects that follow no dialect, but that some SDK reads: the command reads them, and says so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::{fs, path::PathBuf, process::Command};

use envelope_testkit::folder;
use serde_json::{Map, Value};
use tempfile::TempDir;

const PREFIX: &str = "x-oss-meta-client-side-encryption-";

struct Shell(TempDir);

impl Shell {
    /// A folder with an object in a bucket, and the key that opens it.
    fn new() -> Self {
        let shell = Self(TempDir::new().unwrap());
        for name in ["private_key.pem", "public_key.pem", "aes-256.key"] {
            fs::copy(folder("keys").join(name), shell.path(name)).unwrap();
        }
        fs::write(shell.path("plain"), "the plaintext").unwrap();
        fs::create_dir(shell.path("bucket")).unwrap();
        let (status, _, said) = shell
            .run("put plain file:bucket/object --key public_key.pem --dialect oss-v2 --no-seal");
        assert_eq!(status, 0, "{said}");
        shell
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Changes the headers of the object.
    fn change(&self, change: impl FnOnce(&mut Map<String, Value>)) {
        let path = self.path("bucket/object.headers.json");
        let mut headers: Map<String, Value> =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut headers);
        fs::write(path, Value::from(headers).to_string()).unwrap();
    }

    /// Splits the line at spaces and runs it. Returns the exit status, what was printed, and what
    /// was said.
    fn run(&self, line: &str) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_envelope"))
            .current_dir(self.0.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .args(line.split(' '))
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }
}

fn set(name: &'static str, value: &'static str) -> impl Fn(&mut Map<String, Value>) {
    move |headers| {
        headers.insert(format!("{PREFIX}{name}"), value.into());
    }
}

type Change<'a> = &'a dyn Fn(&mut Map<String, Value>);

#[test]
fn what_deviates_is_read_with_a_warning() {
    let nameless = |headers: &mut Map<String, Value>| {
        headers.remove(&format!("{PREFIX}cek-alg")).unwrap();
    };
    let kinds: [(&str, &str, Change<'_>); 3] = [
        ("content-unnamed", "does not name the content algorithm", &nameless),
        (
            "description-unreadable",
            "is not a JSON object of strings",
            &set("matdesc", "eyJhIjoiYiJ9"),
        ),
        ("wrap-name-case", "in another case", &set("wrap-alg", "rsa/none/pkcs1padding")),
    ];
    for (id, words, change) in kinds {
        let shell = Shell::new();
        shell.change(change);
        for line in ["cat file:bucket/object", "get file:bucket/object -o -"] {
            let (status, printed, said) = shell.run(&format!("{line} --key private_key.pem"));
            assert_eq!((status, printed.as_str()), (0, "the plaintext"), "{id}: {said}");
            assert!(said.contains("warning: ") && said.contains(words), "{said}");
        }
        let (status, printed, _) = shell.run("inspect file:bucket/object --json");
        assert!(status == 0 && printed.contains(id), "{printed}");
        let (_, printed, _) = shell.run("audit file:bucket/ --key private_key.pem");
        assert!(printed.contains(id) && printed.contains("\"opens\""), "{printed}");
        assert!(printed.contains("\"content_key_bits\":256"), "{printed}");

        // What is required holds, and what is not bound to the key fulfils nothing.
        let (status, _, said) =
            shell.run("cat file:bucket/object --key private_key.pem --require key-check");
        assert_eq!(status, 3, "{said}");
        assert!(
            said.contains("the policy does not allow this") || said.contains("no key check"),
            "{said}"
        );

        // It is not what an upload would make, and is not copied as it is.
        let (status, _, said) = shell
            .run("put plain file:bucket/object --key private_key.pem --dialect oss-v2 --no-seal");
        assert_eq!(status, 1, "{said}");
        assert!(said.contains("the object already exists"), "{said}");
        for keys in ["", " --key private_key.pem"] {
            let (status, _, said) =
                shell.run(&format!("cp file:bucket/object file:bucket/copy{keys}"));
            assert_eq!(status, 3, "{said}");
            assert!(!shell.path("bucket/copy").exists());
        }
    }
}

#[test]
fn an_unreadable_description_does_not_choose_among_keys() {
    let shell = Shell::new();
    shell.change(set("matdesc", "null"));
    let (status, printed, said) =
        shell.run("cat file:bucket/object --key private_key.pem --key aes-256.key");
    assert_eq!((status, printed.as_str()), (4, ""), "{said}");
    assert!(said.contains("does not say which one is right"), "{said}");
    assert!(said.contains("supply only the key that wrapped this object"), "{said}");
    let (_, printed, _) = shell.run("audit file:bucket/ --key private_key.pem --key aes-256.key");
    assert!(printed.contains("\"locked\""), "{printed}");
}
