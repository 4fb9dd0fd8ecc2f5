//! Tests that run the command as a person or a script would.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use envelope_testkit::{
    Outcome, all_cases, folder, hostile_cases,
    kms::{ACCESS_KEY, DISABLED_KEY, Fault, LoopbackKms, SECRET},
};
use tempfile::TempDir;

struct Shell {
    folder: TempDir,
}

impl Shell {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_envelope"));
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Splits the line at spaces, runs it, and returns its output.
    fn run(&self, line: &str) -> Output {
        self.command(line.split(' ')).output().unwrap()
    }

    fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Checks that the command fails with this status, prints one line of cause and one of advice,
    /// and leaves no files behind. Returns its messages.
    fn fails(&self, status: i32, line: &str) -> String {
        let before = self.files();
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(status), "{line}: {}", said(&output));
        let words = said(&output);
        let lines: Vec<&str> =
            words.lines().filter(|line| !line.starts_with("warning: ")).collect();
        assert_eq!(lines.len(), 2, "{words}");
        assert!(lines[0].starts_with("error: ") && lines[1].starts_with("advice: "), "{words}");
        assert_eq!(self.files(), before, "{line}");
        words
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Returns a shell with a key pair, an AES key and a plaintext of 100 003 bytes.
    fn with_keys() -> Self {
        let shell = Self::new();
        for name in ["private_key.pem", "public_key.pem", "aes-256.key"] {
            fs::copy(folder("keys").join(name), shell.path(name)).unwrap();
        }
        shell.write("plain", plain());
        shell
    }
}

fn plain() -> Vec<u8> {
    (0_u32..).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).take(100_003).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

const ENCRYPT: &str = "encrypt plain --key public_key.pem --metadata-out h.json --output cipher";
const DECRYPT: &str = "decrypt cipher --metadata h.json --key private_key.pem --output back";

#[test]
fn what_is_encrypted_is_decrypted() {
    for (arguments, key) in [
        ("--dialect oss-v2 --key public_key.pem", "private_key.pem"),
        ("--dialect oss-v2 --key public_key.pem --wrap rsa-oaep-sha1", "private_key.pem"),
        ("--dialect oss-v2 --key public_key.pem --part-size 102400 --key-check", "private_key.pem"),
        ("--dialect oss-v2 --key private_key.pem --matdesc a=b --matdesc c=", "private_key.pem"),
        ("--dialect oss-v1 --key public_key.pem --leak-plaintext-md5", "private_key.pem"),
        ("--dialect cos-v2 --key public_key.pem --content gcm", "private_key.pem"),
        ("--dialect cos-v2 --key aes-256.key --leak-plaintext-md5", "aes-256.key"),
        ("--dialect cos-v1 --key public_key.pem", "private_key.pem"),
        ("--dialect cos-v1 --key aes-256.key --allow-weak-wrap", "aes-256.key"),
    ] {
        let shell = Shell::with_keys();
        shell.ok(&format!("encrypt plain {arguments} --metadata-out h.json --output cipher"));
        assert_ne!(shell.read("cipher"), plain(), "{arguments}");
        shell.ok(&format!("decrypt cipher --metadata h.json --key {key} --output back"));
        assert_eq!(shell.read("back"), plain(), "{arguments}");
        assert_eq!(mode(&shell.path("back")), 0o600, "plaintext is private");
        let words = shell.ok("inspect h.json");
        assert!(words.contains("dialect") && words.contains("\nseal "), "{words}");
    }
}

#[test]
fn standard_input_and_output() {
    let shell = Shell::with_keys();
    let pipe = |line: &str, input: &[u8]| {
        let mut child = shell
            .command(line.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success(), "{line}");
        output.stdout
    };
    for content in ["ctr", "gcm"] {
        let line = format!(
            "encrypt - --dialect cos-v2 --content {content} --key public_key.pem \
             --metadata-out h.json --output - --force"
        );
        let cipher = pipe(&line, &plain());
        let line = "decrypt - --metadata h.json --key private_key.pem --output -";
        assert_eq!(pipe(line, &cipher), plain());
    }
    let both = "encrypt plain --key public_key.pem --metadata-out - --output -";
    assert!(shell.fails(2, both).contains("cannot both"));
}

#[test]
fn a_changed_gcm_object_gives_no_byte_away() {
    let shell = Shell::with_keys();
    shell.ok(&format!("{ENCRYPT} --dialect cos-v2 --content gcm"));
    let mut body = shell.read("cipher");
    body[0] ^= 1;
    shell.write("cipher", body);
    assert!(shell.fails(5, DECRYPT).contains("tag"));
    let held_back = shell.run(&DECRYPT.replace("back", "-"));
    assert_eq!((held_back.status.code(), held_back.stdout.len()), (Some(5), 0));
    let delayed = shell.run(&(DECRYPT.replace("back", "-") + " --delayed"));
    assert_eq!(delayed.status.code(), Some(5));
    assert!(!delayed.stdout.is_empty());
}

#[test]
fn ranges() {
    let shell = Shell::with_keys();
    shell.ok(ENCRYPT);
    for (range, want) in [
        ("0-0", 0..1),
        ("5-99999999", 5..100_003),
        ("70001-70018", 70_001..70_019),
        ("99999-", 99_999..100_003),
        ("-7", 99_996..100_003),
    ] {
        shell.ok(&format!("{DECRYPT} --force --range {range}"));
        assert_eq!(shell.read("back"), plain()[want], "{range}");
        fs::remove_file(shell.path("back")).unwrap();
    }
    shell.fails(2, &format!("{DECRYPT} --range 100003-"));
    shell.fails(2, &format!("{DECRYPT} --range -0"));
    assert_eq!(shell.run(&format!("{DECRYPT} --range 9-8")).status.code(), Some(2));

    shell.ok(&format!("{ENCRYPT} --force --dialect cos-v2 --content gcm"));
    shell.fails(2, &format!("{DECRYPT} --range 5-9"));
    shell.ok(&format!("{DECRYPT} --range 100000- --unauthenticated-range"));
    assert_eq!(shell.read("back"), plain()[100_000..]);
}

#[test]
fn every_recorded_object() {
    let mut seen = 0;
    for case in all_cases().into_iter().filter(|case| case.kms().is_none()) {
        let shell = Shell::new();
        let mut arguments: Vec<PathBuf> = vec![
            "decrypt".into(),
            case.path("cipher.bin"),
            "--metadata".into(),
            case.path("headers.json"),
            "--key".into(),
            case.key().unwrap(),
            "--output".into(),
            "back".into(),
        ];
        if case.instruction().is_some() {
            arguments.extend(["--instruction".into(), case.path("instruction.json")]);
        }
        let mut command = shell.command(&arguments);
        if let Some(passphrase) = case.passphrase() {
            command.args(["--passphrase-env", "PW"]).env("PW", passphrase);
        }
        let output = command.output().unwrap();
        if case.outcome() == Outcome::Refused {
            assert_eq!(output.status.code(), Some(5), "{}", case.name());
            assert!(shell.files().is_empty());
            let salvaged = shell.command(&arguments).arg("--salvage").output().unwrap();
            assert!(salvaged.status.success(), "{}", said(&salvaged));
            assert!(said(&salvaged).contains("salvaged 2048 of 2053 bytes; the last 5 are lost"));
            assert_eq!(shell.read("back").len(), 2048);
        } else {
            assert!(output.status.success(), "{}: {}", case.name(), said(&output));
            assert_eq!(shell.read("back").len() as u64, case.len(), "{}", case.name());
        }
        seen += 1;
    }
    assert!(seen >= 60, "{seen}");
}

#[test]
fn every_hostile_header_set() {
    let shell = Shell::with_keys();
    shell.write("cipher", b"body");
    for case in hostile_cases() {
        let entries: Vec<String> = case
            .headers
            .iter()
            .map(|(name, value)| {
                let text = |text: &str| serde_json::Value::from(text).to_string();
                format!("{}:{}", text(name), text(value))
            })
            .collect();
        shell.write("h.json", format!("{{{}}}", entries.join(",")));
        let words = shell.fails(3, DECRYPT);
        let error = words.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert_eq!(error, format!("error: {}", case.refused), "{}", case.name);
    }
}

#[test]
fn keys_are_made_once_and_kept_private() {
    let shell = Shell::new();
    shell.ok("keygen aes --out keys");
    assert_eq!(mode(&shell.path("keys/master.key")), 0o600);
    assert_eq!(shell.read("keys/master.key").len(), 44);
    let before = shell.read("keys/master.key");
    shell.fails(2, "keygen aes --out keys");
    assert_eq!(shell.read("keys/master.key"), before);

    shell.write("pw", "correct horse\n");
    shell.ok("keygen rsa --bits 2048 --out keys --passphrase-file pw");
    assert_eq!(mode(&shell.path("keys/private_key.pem")), 0o600);
    shell.write("plain", "x");
    shell.ok("encrypt plain --key keys/public_key.pem --metadata-out h.json --output cipher");
    let decrypt = DECRYPT.replace("private_key.pem", "keys/private_key.pem");
    assert!(shell.fails(4, &decrypt).contains("provide its passphrase"));
    shell.write("wrong", "wrong horse\n");
    assert!(
        shell.fails(4, &format!("{decrypt} --passphrase-file wrong")).contains("does not open")
    );
    shell.ok(&format!("{decrypt} --passphrase-file pw"));
    assert_eq!(shell.read("back"), b"x");
    shell.fails(2, "keygen rsa --bits 1024 --out other");
}

#[test]
fn a_passphrase_from_a_descriptor() {
    let shell = Shell::new();
    let forms = folder("keys/forms/encrypted-traditional-des3.pem");
    fs::copy(forms, shell.path("private_key.pem")).unwrap();
    fs::copy(folder("keys/public_key.pem"), shell.path("public_key.pem")).unwrap();
    shell.write("plain", plain());
    shell.ok(ENCRYPT);
    let script = format!(
        "printf 'correct horse' | {} {DECRYPT} --passphrase-fd 0",
        env!("CARGO_BIN_EXE_envelope")
    );
    let status = Command::new("sh").current_dir(shell.folder.path()).args(["-c", &script]).status();
    assert!(status.unwrap().success());
    assert_eq!(shell.read("back"), plain());
    assert!(
        shell.fails(2, &format!("{DECRYPT} --force --passphrase-env NOT_SET")).contains("not set")
    );
}

#[test]
fn exit_statuses() {
    let shell = Shell::with_keys();
    shell.ok(ENCRYPT);
    // 1: files
    shell.fails(1, &DECRYPT.replace("decrypt cipher", "decrypt absent"));
    shell.fails(1, &DECRYPT.replace("h.json", "absent.json"));
    shell.fails(1, &DECRYPT.replace("--output back", "--output absent/back"));
    // 2: arguments
    assert_eq!(shell.run("decrypt").status.code(), Some(2));
    assert_eq!(shell.run(&format!("{ENCRYPT} --dialect cos-legacy")).status.code(), Some(2));
    shell.fails(2, "decrypt cipher --metadata h.json --output back");
    shell.fails(2, ENCRYPT);
    shell.fails(2, &DECRYPT.replace("back", "cipher --force"));
    shell.fails(2, &ENCRYPT.replace("public_key.pem", "aes-256.key --force"));
    shell.fails(2, &ENCRYPT.replace("public_key.pem", "aes-256.key --dialect cos-v1 --force"));
    shell.fails(2, &format!("{ENCRYPT} --force --part-size 100"));
    shell.fails(2, &format!("{ENCRYPT} --force --dialect cos-v1 --matdesc a=b"));
    shell.fails(2, &format!("{ENCRYPT} --force --content gcm"));
    // 3: metadata
    shell.write("none.json", "{}");
    let stripped = DECRYPT.replace("h.json", "none.json");
    assert!(shell.fails(3, &stripped).contains("not encrypted, or its metadata was stripped"));
    shell.fails(3, "inspect none.json");
    shell.write("bad.json", "[]");
    shell.fails(3, &DECRYPT.replace("h.json", "bad.json"));
    shell.ok(&format!("{stripped} --allow-plaintext"));
    assert_eq!(shell.read("back"), shell.read("cipher"));
    fs::remove_file(shell.path("back")).unwrap();
    // 4: keys
    shell.fails(4, &DECRYPT.replace("private_key.pem", "public_key.pem"));
    shell.fails(4, &DECRYPT.replace("private_key.pem", "aes-256.key"));
    shell.fails(4, &DECRYPT.replace("private_key.pem", "plain"));
    shell.ok("keygen rsa --bits 2048 --out other");
    let other = DECRYPT.replace("private_key.pem", "other/private_key.pem");
    assert!(shell.fails(4, &other).contains("wrong master key"));
    shell.ok(&DECRYPT.replace("--key", "--key other/private_key.pem --key aes-256.key --key"));
    fs::remove_file(shell.path("back")).unwrap();
    // 5: integrity
    let body = shell.read("cipher");
    shell.write("cipher", &body[..body.len() - 1]);
    assert!(shell.fails(5, DECRYPT).contains("100002 bytes"));
    let mut flipped = body;
    flipped[7] ^= 1;
    shell.write("cipher", &flipped);
    assert!(shell.fails(5, DECRYPT).contains("does not match the seal"));
    shell.ok(&format!("{ENCRYPT} --leak-plaintext-md5 --no-seal --force"));
    let mut body = shell.read("cipher");
    body[7] ^= 1;
    shell.write("cipher", body);
    assert!(shell.fails(5, DECRYPT).contains("MD5"));
}

#[test]
fn what_curl_printed() {
    let shell = Shell::with_keys();
    shell.ok(ENCRYPT);
    let headers: serde_json::Value = serde_json::from_slice(&shell.read("h.json")).unwrap();
    let mut text = String::from("HTTP/1.1 200 OK\r\nServer: AliyunOSS\r\n");
    for (name, value) in headers.as_object().unwrap() {
        text.push_str(&format!("{}: {}\r\n", name.to_uppercase(), value.as_str().unwrap()));
    }
    shell.write("h.json", text + "\r\n");
    shell.ok(DECRYPT);
    assert_eq!(shell.read("back"), plain());
}

#[test]
fn rewrap_changes_the_key_and_the_dialect() {
    let shell = Shell::with_keys();
    shell.ok(&format!("{ENCRYPT} --part-size 102400"));
    shell.ok("keygen rsa --bits 2048 --out new");
    let rewrap = "rewrap h.json --key private_key.pem";
    let words = shell.run(&format!("{rewrap} --to-key new/public_key.pem --metadata-out n.json"));
    assert!(words.status.success() && said(&words).contains("old master key"), "{}", said(&words));
    shell.ok("decrypt cipher --metadata n.json --key new/private_key.pem --output back");
    assert_eq!(shell.read("back"), plain());
    shell.fails(4, &format!("{DECRYPT} --force").replace("h.json", "n.json"));
    for (dialect, more) in [("oss-v1", ""), ("cos-v1", ""), ("cos-v2", " --matdesc year=2026")] {
        shell.ok(&format!(
            "{rewrap} --to-key new/public_key.pem --dialect {dialect}{more} \
             --metadata-out n.json --force"
        ));
        assert!(shell.ok("inspect n.json --json").contains(dialect));
        shell
            .ok("decrypt cipher --metadata n.json --key new/private_key.pem --output back --force");
        assert_eq!(shell.read("back"), plain(), "{dialect}");
    }
    shell.ok(&format!("{ENCRYPT} --dialect cos-v2 --content gcm --force"));
    shell.fails(
        2,
        &format!("{rewrap} --to-key new/public_key.pem --dialect oss-v2 --metadata-out m.json"),
    );
}

#[test]
fn inspect_says_who_reads_it() {
    let shell = Shell::with_keys();
    let encrypt = |line: &str| {
        shell.ok(&format!("encrypt plain {line} --metadata-out h.json --output cipher --force"));
    };
    encrypt("--key public_key.pem --dialect oss-v1");
    let words = shell.ok("inspect h.json");
    assert!(words.contains("read by        oss2 2.9.1, but no ranges\n"), "{words}");
    assert!(words.contains("               oss2 2.19.1\n"), "{words}");
    let json: serde_json::Value = serde_json::from_str(&shell.ok("inspect h.json --json")).unwrap();
    assert_eq!(json["readers"][0]["id"], "oss-python-old");
    assert_eq!(json["readers"][0]["ranges"], false);
    assert_eq!(json["readers"][1]["versions"][0], "2.19.1");
    // A description that Go writes differently: not in ASCII.
    encrypt("--key public_key.pem --matdesc a=é");
    let words = shell.ok("inspect h.json");
    assert!(!words.contains(" aliyun-oss-go-sdk"), "{words}");
    assert!(words.contains(" alibabacloud-oss-go-sdk-v2 1."), "{words}");
}

#[test]
fn inspect_says_what_is_weak() {
    let shell = Shell::with_keys();
    let weak = |line: &str| {
        shell.ok(&format!("encrypt plain {line} --metadata-out h.json --output cipher --force"));
        let json: serde_json::Value =
            serde_json::from_str(&shell.ok("inspect h.json --json")).unwrap();
        let ids = json["weaknesses"].as_array().unwrap().iter();
        ids.map(|each| each["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        weak("--key public_key.pem --leak-plaintext-md5 --no-seal"),
        "pkcs1v15 ctr-unauthenticated plaintext-md5 metadata-unauthenticated"
    );
    assert_eq!(
        weak("--key aes-256.key --dialect cos-v1 --allow-weak-wrap --no-seal"),
        "two-time-pad ctr-unauthenticated metadata-unauthenticated"
    );
    assert_eq!(
        weak("--key public_key.pem --dialect cos-v2 --content gcm --key-check --no-seal"),
        "gcm-relabel"
    );
    let verified = shell.ok("inspect h.json --key private_key.pem");
    assert!(verified.contains("key check      verified"), "{verified}");
    shell.fails(4, "inspect h.json --key aes-256.key");
    assert_eq!(weak("--key public_key.pem"), "pkcs1v15");
    assert_eq!(weak("--key aes-256.key --dialect cos-v2"), "");
    assert_eq!(weak("--key public_key.pem --dialect cos-v2 --content gcm"), "");
}

#[test]
fn no_secret_reaches_an_output() {
    let shell = Shell::with_keys();
    shell.write("pw", "correct horse");
    fs::copy(folder("keys/forms/encrypted-scrypt-aes256-cbc.pem"), shell.path("e.pem")).unwrap();
    let mut captured = Vec::new();
    for line in [
        format!("{ENCRYPT} --dialect cos-v2 --key-check").replace("public_key.pem", "aes-256.key"),
        DECRYPT.replace("private_key.pem", "aes-256.key"),
        format!("{DECRYPT} --force"),
        format!("{DECRYPT} --passphrase-file pw --force").replace("private_key.pem", "e.pem"),
        "inspect h.json --json".into(),
        "inspect h.json --key aes-256.key".into(),
        "rewrap h.json --key aes-256.key --to-key public_key.pem --metadata-out n.json".into(),
        DECRYPT.replace("--metadata h.json", "--metadata aes-256.key"),
        DECRYPT.replace("--metadata h.json", "--metadata private_key.pem"),
        DECRYPT.replace("private_key.pem", "h.json"),
    ] {
        let output = shell.run(&line);
        captured.extend(output.stdout);
        captured.extend(output.stderr);
    }
    captured.extend(shell.read("h.json"));
    captured.extend(shell.read("n.json"));
    let captured = String::from_utf8_lossy(&captured).to_lowercase();
    let key = String::from_utf8(shell.read("aes-256.key")).unwrap();
    let pem = String::from_utf8(shell.read("private_key.pem")).unwrap();
    let mut secrets = vec![key[..20].to_owned(), "correct horse".to_owned()];
    secrets.extend(pem.lines().filter(|line| line.len() == 64).map(|line| line[..40].to_owned()));
    assert!(secrets.len() > 20 && captured.len() > 3000);
    for secret in secrets {
        assert!(!captured.contains(&secret.to_lowercase()), "{secret}");
    }
}

#[test]
fn the_demo() {
    let shell = Shell::new();
    let words = shell.ok("demo --size 100003");
    assert_eq!(words.matches(": rejected (").count(), 6, "{words}");
    assert!(words.contains("the same bytes"), "{words}");
}

#[test]
fn server_side_encryption_headers() {
    let shell = Shell::with_keys();
    assert_eq!(shell.ok("sse-headers oss"), "x-oss-server-side-encryption: AES256\n");
    assert_eq!(
        shell.ok("sse-headers oss-kms --key-id k --sm4 --request init"),
        "x-oss-server-side-encryption: KMS\nx-oss-server-side-encryption-key-id: k\n\
         x-oss-server-side-data-encryption: SM4\n"
    );
    assert_eq!(shell.ok("sse-headers oss --request part"), "");
    let context = shell.ok("sse-headers cos-kms --context a=b");
    assert!(context.ends_with("x-cos-server-side-encryption-context: eyJhIjoiYiJ9\n"), "{context}");
    let copy = shell.ok(
        "sse-headers cos-customer --key aes-256.key --request copy --copy-source-key aes-256.key",
    );
    assert_eq!(copy.lines().count(), 6);
    shell.fails(2, "sse-headers cos-customer --key aes-256.key --scheme http");
    shell.fails(2, "sse-headers cos-customer");
    shell.fails(2, "sse-headers cos --key-id k");
    shell.fails(2, "sse-headers cos --key aes-256.key");
    shell.fails(4, "sse-headers cos-customer --key public_key.pem");
}

#[test]
fn one_file_is_not_two_outputs_and_one_pipe_not_two_inputs() {
    let shell = Shell::with_keys();
    for (body, headers) in [("same", "same"), ("same", "./same"), ("same", "../same")] {
        let folder = shell.folder.path().file_name().unwrap().to_str().unwrap().to_owned();
        let headers = headers.replace("../", &format!("../{folder}/"));
        let line = format!(
            "encrypt plain --key public_key.pem --output {body} --metadata-out {headers} --force"
        );
        assert!(shell.fails(2, &line).contains("the same file"));
    }
    shell.ok(ENCRYPT);
    for line in [
        "encrypt - --key - --metadata-out n.json --output n",
        "encrypt - --key public_key.pem --passphrase-fd 0 --metadata-out n.json --output n",
        "decrypt - --metadata - --key private_key.pem --output n",
        "decrypt - --metadata h.json --key /dev/stdin --output n",
        "decrypt cipher --metadata - --key private_key.pem --passphrase-file - --output n",
        "rewrap - --key private_key.pem --to-key - --metadata-out n.json",
        "inspect - --key -",
    ] {
        assert!(shell.fails(2, line).contains("more than once"), "{line}");
    }
}

#[test]
fn inputs_are_never_overwritten() {
    let shell = Shell::with_keys();
    shell.ok(ENCRYPT);
    shell.write("pw", "x");
    fs::hard_link(shell.path("plain"), shell.path("hard")).unwrap();
    std::os::unix::fs::symlink(shell.path("plain"), shell.path("soft")).unwrap();
    for line in [
        ENCRYPT.replace("--output cipher", "--output hard --force"),
        ENCRYPT.replace("--output cipher", "--output soft --force"),
        ENCRYPT.replace("--metadata-out h.json", "--metadata-out public_key.pem --force"),
        DECRYPT.replace("--output back", "--passphrase-file pw --output pw --force"),
        DECRYPT.replace("--output back", "--output private_key.pem --force"),
    ] {
        assert!(shell.fails(2, &line).contains("is also the input"), "{line}");
    }
    // A symbolic link is followed, not replaced.
    shell.write("old", "old");
    std::os::unix::fs::symlink("old", shell.path("link")).unwrap();
    shell.ok(&DECRYPT.replace("--output back", "--output link --force"));
    assert_eq!(shell.read("old"), plain());
    assert!(shell.path("link").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn a_signal_leaves_no_plaintext_behind() {
    let shell = Shell::with_keys();
    let fifo = shell.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    shell.ok(ENCRYPT);
    let before = shell.files();
    let arguments = DECRYPT.replace("decrypt cipher", "decrypt fifo");
    let mut child = shell.command(arguments.split(' ')).spawn().unwrap();
    let mut pipe = fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    pipe.write_all(&shell.read("cipher")[..70_000]).unwrap();
    // The temporary file exists as soon as the body begins to arrive.
    for _ in 0..2000 {
        if shell.files() != before {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_ne!(shell.files(), before);
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(shell.files(), before);
}

#[test]
fn standard_output_that_is_closed_for_writing_is_told() {
    let shell = Shell::with_keys();
    shell.ok(ENCRYPT);
    for line in [DECRYPT.replace("back", "-"), "inspect h.json".into(), "sse-headers oss".into()] {
        let read_only = fs::File::open("/dev/null").unwrap();
        let output = shell.command(line.split(' ')).stdout(read_only).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}");
    }
}

#[test]
fn words_are_safe_on_a_terminal_and_complete() {
    let shell = Shell::with_keys();
    shell.ok(ENCRYPT);
    let escape = "\u{1b}]0;x\u{7}\u{202e}1-2";
    let output = shell.command(DECRYPT.split(' ').chain(["--range", escape])).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let words = said(&output);
    assert!(!words.contains('\u{1b}') && !words.contains('\u{202e}'), "{words}");
    assert_eq!(words.lines().count(), 2, "{words}");
    shell.fails(2, "decrypt --no-such-option");
    assert_eq!(shell.run("--help").status.code(), Some(0));
    assert!(shell.ok("help decrypt --all").contains("--unauthenticated-range"));
    shell.write("404", "HTTP/1.1 404 Not Found\r\nServer: x\r\n");
    let line = DECRYPT.replace("h.json", "404") + " --allow-plaintext";
    assert!(shell.fails(3, &line).contains("status 404"));
    shell.write("pw", "");
    shell.fails(2, "keygen rsa --out k --passphrase-file pw");
}

#[test]
fn a_range_of_a_body_of_the_wrong_length_is_refused() {
    let shell = Shell::with_keys();
    shell.ok(ENCRYPT);
    let body = shell.read("cipher");
    shell.write("cipher", &body[..50_000]);
    shell.fails(5, &format!("{DECRYPT} --range -10"));
}

/// Runs the command against a KMS on the loopback interface, with its access key.
fn kms_command(shell: &Shell, server: &LoopbackKms, line: &str, secret: &str) -> Output {
    let url = server.url();
    shell
        .command(line.split(' ').chain(["--kms-endpoint", &url]))
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY)
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret)
        .env("TENCENTCLOUD_SECRET_ID", ACCESS_KEY)
        .env("TENCENTCLOUD_SECRET_KEY", secret)
        .output()
        .unwrap()
}

#[test]
fn a_kms_that_misbehaves_leaves_nothing_behind() {
    let server = LoopbackKms::start();
    let mut captured = String::new();
    for (kms, dialect) in [("aliyun:cn-hangzhou", "oss-v2"), ("tencent:ap-guangzhou", "cos-v2")] {
        let shell = Shell::with_keys();
        let encrypt = format!(
            "encrypt plain --kms {kms}:key-1 --dialect {dialect} --metadata-out h.json \
             --output cipher"
        );
        let decrypt = format!("decrypt cipher --metadata h.json --kms {kms} --output back");
        let mut run = |line: &str, secret: &str, status: i32| {
            let before = shell.files();
            let output = kms_command(&shell, &server, line, secret);
            let words = said(&output);
            assert_eq!(output.status.code(), Some(status), "{line}: {words}");
            if status != 0 {
                assert_eq!(shell.files(), before, "{line}");
                assert_eq!(words.lines().count(), 2, "{words}");
            }
            captured.push_str(&words);
        };
        run(&encrypt, "wrong-secret-part", 4);
        run(&encrypt.replace("key-1", DISABLED_KEY), SECRET, 4);
        run(&encrypt.replace(":key-1", ""), SECRET, 2);
        run(&encrypt, SECRET, 0);
        run(&decrypt, "wrong-secret-part", 4);
        for (fault, status) in [
            (Fault::Html, 1),
            (Fault::Huge, 1),
            (Fault::Redirect, 1),
            (Fault::Truncated, 1),
            (Fault::WrongLength, 4),
        ] {
            server.fail(fault, 2);
            run(&decrypt, SECRET, status);
            server.fail(fault, 0);
        }
        server.fail(Fault::Throttle, 2);
        run(&decrypt, SECRET, 0);
        assert_eq!(shell.read("back"), plain());
    }
    assert!(captured.contains("request req-1") && !captured.contains("secret-part"), "{captured}");

    let shell = Shell::with_keys();
    let plain_http = format!("{ENCRYPT} --kms-endpoint http://kms.example")
        .replace("--key public_key.pem", "--kms aliyun:r:k");
    assert!(shell.fails(2, &plain_http).contains("plain http"));
    let line = ENCRYPT.replace("--key public_key.pem", "--kms aliyun:a/b:k");
    assert!(shell.fails(2, &line).contains("a region consists"));
    // Options that would have no effect are rejected.
    for (line, words) in [
        (format!("{ENCRYPT} --kms-blob-twice"), "only valid with a master key in a KMS"),
        (format!("{ENCRYPT} --kms-endpoint https://a"), "--kms"),
        (
            ENCRYPT.replace("--key public_key.pem", "--kms aliyun:r:k --kms-context-go"),
            "with aliyun",
        ),
        (
            ENCRYPT
                .replace("--key public_key.pem", "--kms tencent:r:k --kms-passphrase-file plain"),
            "the KMS of tencent",
        ),
    ] {
        assert!(shell.fails(2, &line).contains(words), "{line}");
    }
}

#[test]
fn a_large_file_on_any_number_of_cores() {
    let shell = Shell::with_keys();
    let big: Vec<u8> = plain().into_iter().cycle().take((9 << 20) + 12_345).collect();
    shell.write("plain", &big);
    let encrypt = "encrypt plain --key aes-256.key --dialect cos-v2 --force --metadata-out h -o c";
    let decrypt = "decrypt c --metadata h --key aes-256.key --force -o back";
    for threads in ["", " --threads 1", " --threads 3"] {
        // The MD5 forces a stream.
        for sums in [" --checksum crc64", " --checksum crc64 --checksum md5"] {
            let printed = shell.ok(&format!("{encrypt}{threads}{sums}"));
            let body = shell.read("c");
            let mut crc64 = envelope_core::Crc64::new();
            crc64.update(&body);
            let mut want = format!("x-cos-hash-crc64ecma: {crc64}\n");
            if sums.ends_with("md5") {
                let digest = <md5::Md5 as md5::Digest>::digest(&body);
                let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, digest);
                want += &format!("Content-MD5: {text}\n");
            }
            assert_eq!(printed, want);
            shell.ok(&format!("{decrypt}{threads}"));
            assert!(shell.read("back") == big, "{threads}");
        }
    }
    // The same as a stream, and as a range.
    let piped = shell.run("decrypt c --metadata h --key aes-256.key --output -");
    assert!(piped.stdout == big);
    shell.ok(&format!("{decrypt} --range 5000001-8999999 --threads 2"));
    assert!(shell.read("back") == big[5_000_001..9_000_000]);
    shell.fails(2, &format!("{} --checksum md5", encrypt.replace("-o c", "--output -")));
}

#[test]
fn the_machine_is_measured() {
    let words = Shell::new().ok("bench --threads 2");
    let lines: Vec<&str> = words.lines().filter(|line| line.contains('#')).collect();
    assert_eq!(lines.iter().filter(|line| line.contains("64 MiB")).count(), 3);
    // One line for one thread, and one for two; the best has the longest bar.
    assert_eq!(lines.len(), 10);
    let mut longest = 0;
    for line in &lines {
        let mut words = line.split_whitespace().rev();
        longest = longest.max(words.next().unwrap().len());
        assert!(words.next().unwrap().parse::<f64>().unwrap() > 0.0, "{line}");
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(longest, 40);
    assert!(words.contains("AES-256-CTR by "), "{words}");
}

#[test]
fn an_output_that_fails_does_not_wait_for_the_input() {
    let shell = Shell::with_keys();
    let line =
        "encrypt - --key aes-256.key --dialect cos-v2 --metadata-out h --output /dev/full --force";
    let mut child = shell
        .command(line.split(' '))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Held open until the end of the test.
    let mut stdin = child.stdin.take().unwrap();
    // The command may have ended before it has taken everything.
    let _ = stdin.write_all(&plain());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(9), "{}", said(&output));
    drop(stdin);
}
