//! Objects for a reader, who they say can read them, and profiles that choose all of it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail loudly")]

#[path = "support/world.rs"]
mod world;

use std::{fs, io::Write as _, process::Stdio};

use meta_codec::{Reach, Reader, Vendor, WrapAlgorithm, parse};
use serde_json::Value;

use self::world::{World, said};

/// Whether a wrap algorithm takes a kind of key.
type IsKind = fn(WrapAlgorithm) -> bool;

/// Every reader, with every kind of key that it takes: what is written is what its row in the table
/// says that it reads, and as much of it as is possible.
#[test]
fn every_reader_gets_what_it_reads() {
    let world = World::new();
    let file = world.file("file", &[7; 100]);
    let aes = world.bare(&["keygen", "aes", "--out", &world.text("aes")]).output().unwrap();
    assert!(aes.status.success());
    let kinds: [(String, IsKind); 2] = [
        (world.text("key.pem"), WrapAlgorithm::is_rsa),
        (world.text("aes/master.key"), WrapAlgorithm::is_aes),
    ];
    for reader in Reader::ALL {
        for (key, is_kind) in kinds.clone() {
            for vendor in Vendor::ALL {
                let forms = || {
                    let of_store = move |form: &meta_codec::Form| form.dialect.vendor() == vendor;
                    reader.forms().filter(of_store).filter(move |form| is_kind(form.wrap))
                };
                let to = format!("{}://b-1/{}", vendor.id(), reader.id());
                let put = ["put", "--force", &file, &to, "--key", &key, "--for", reader.id()];
                let out = world.run(&[&put[..], &["--allow-weak-wrap"]].concat());
                let Some(most) = forms().map(|form| form.reach).max() else {
                    assert_eq!(out.status.code(), Some(2), "{put:?}: {}", said(&out));
                    continue;
                };
                assert!(out.status.success(), "{put:?}: {}", said(&out));
                assert!(said(&out).contains(reader.id()), "{put:?}: {}", said(&out));
                let (_, headers) = world.server.object("b-1", reader.id()).unwrap();
                let envelope = parse(headers).unwrap().unwrap();
                assert_eq!(reader.reach(&envelope), Some(most), "{put:?}");
                assert_eq!(world.cat(&to, &key), [7; 100]);
            }
        }
    }
}

#[test]
fn several_readers_agree_or_are_refused() {
    let world = World::new();
    let (file, key) = (world.file("file", b"content"), world.text("key.pem"));
    let put = |to: &str, readers: &[&str], more: &[&str]| {
        let readers = readers.iter().flat_map(|reader| ["--for", *reader]);
        let line: Vec<&str> = ["put", "--force", &file, to, "--key", &key].into();
        world.run(&[line, readers.collect(), more.to_vec()].concat())
    };
    let both = put("oss://b-1/a", &["oss-java", "oss-python"], &["--json"]);
    let line: Value = serde_json::from_slice(&both.stdout).unwrap();
    let names: Vec<&str> = line["readers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["reader"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"oss-java") && names.contains(&"oss-python"), "{line}");
    // Of what oss2 reads, the others read oss-v2, too.
    let one = put("oss://b-1/a", &["oss-python"], &[]);
    assert!(said(&one).contains("oss-java"), "{}", said(&one));
    // COS Java reads ranges of AES-GCM only, and hadoop-cos nothing else.
    assert!(put("cos://b-1/a", &["cos-java", "hadoop-cos"], &[]).status.success());
    let (_, headers) = world.server.object("b-1", "a").unwrap();
    let envelope = parse(headers).unwrap().unwrap();
    assert!(envelope.content_algorithm().is_authenticated());
    for (to, readers, more, words) in [
        (
            "cos://b-1/b",
            &["cos-java", "cos-python"][..],
            &[][..],
            "no object with this kind of key",
        ),
        ("oss://b-1/b", &["cos-java"], &[], "cos-java reads no objects of this store"),
        ("cos://b-1/b", &["hadoop-cos"], &["--matdesc", "a=b"], "knows no material descriptions"),
        ("oss://b-1/b", &["nobody"], &[], "oss-java"),
        ("oss://b-1/b", &["oss-go"], &["--dialect", "oss-v1"], "cannot be used with"),
    ] {
        let out = put(to, readers, more);
        assert_eq!(out.status.code(), Some(2), "{readers:?}: {}", said(&out));
        assert!(said(&out).contains(words), "{}", said(&out));
    }
}

/// hadoop-cos needs to know the length, which a pipe does not tell before its end.
#[test]
fn a_pipe_for_a_reader_that_needs_the_length() {
    let world = World::new();
    let key = world.text("key.pem");
    let put = ["put", "-", "cos://b-1/piped", "--key", &key, "--for", "hadoop-cos"];
    let mut child = world.command(&put).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&[7; 3 << 20]).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", said(&out));
    let (_, headers) = world.server.object("b-1", "piped").unwrap();
    let envelope = parse(headers).unwrap().unwrap();
    let hadoop: Reader = "hadoop-cos".parse().unwrap();
    assert_eq!(hadoop.reach(&envelope), Some(Reach::Ranges));
    assert_eq!(world.cat("cos://b-1/piped", &key), vec![7; 3 << 20]);
}

#[test]
fn a_profile_holds_everything() {
    let world = World::new();
    fs::create_dir_all(world.path("config/envelope")).unwrap();
    let url = world.server.url();
    let text = format!(
        "[default]\nkey = '../../key.pem'\nfor = ['cos-java', 'hadoop-cos']\nrequire = ['seal']\n\n\
         [default.cos]\nregion = 'ap-x'\nendpoint = '{url}'\naccess_key_id = '{}'\n\
         access_key_secret = '{}'\n\n[other]\ndialect = 'oss-v1'\nkey = ['../../key.pem']\n\
         [other.oss]\nregion = 'cn-x'\nendpoint = '{url}'\n[wrong]\nfore = 'x'\n",
        envelope_testkit::bucket::ACCESS_KEY,
        envelope_testkit::bucket::SECRET,
    );
    world.private("config/envelope/config.toml", text.as_bytes());
    let file = world.file("film", b"content");
    let run = |line: &[&str]| {
        let mut command = world.bare(line);
        command.env_remove("TENCENTCLOUD_SECRET_ID").env_remove("TENCENTCLOUD_SECRET_KEY");
        command.output().unwrap()
    };
    let out = run(&["put", &file, "cos://b-1/"]);
    assert!(out.status.success(), "{}", said(&out));
    assert!(said(&out).contains("hadoop-cos"), "{}", said(&out));
    assert_eq!(run(&["cat", "cos://b-1/film"]).stdout, b"content");
    // What the arguments say counts.
    let out = run(&["put", "--force", &file, "cos://b-1/", "--dialect", "cos-v1", "--no-seal"]);
    assert!(out.status.success() && said(&out).contains("cos-python"), "{}", said(&out));
    let out = run(&["cat", "cos://b-1/film"]);
    assert_eq!(out.status.code(), Some(3), "a seal is required: {}", said(&out));
    let out = run(&["put", &file, "oss://b-2/", "--profile", "other"]);
    assert!(out.status.success() && said(&out).contains("oss-python-old"), "{}", said(&out));
    for (profile, words) in [
        ("wrong", "the profile wrong: unknown field `fore`"),
        ("none", "there is no profile \"none\""),
    ] {
        let out = run(&["ls", "oss://b-1/", "--profile", profile]);
        assert_eq!(out.status.code(), Some(2));
        assert!(said(&out).contains(words), "{}", said(&out));
    }
}

#[test]
fn init_asks_and_writes_a_profile() {
    let world = World::new();
    let init = |more: &[&str], answers: &str| {
        let mut child =
            world.bare(&[&["init"], more].concat()).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let out = init(&[], "cos\nap-guangzhou\n\ncos-java hadoop-cos\n");
    assert!(out.status.success(), "{}", said(&out));
    let config = world.path("config/envelope/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.starts_with("[default]\nkey = \""), "{text}");
    assert!(text.ends_with(
        "for = [\"cos-java\", \"hadoop-cos\"]\n\n[default.cos]\nregion = \"ap-guangzhou\"\n"
    ));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let file = world.file("film", b"content");
    let put = world.bare(&["put", &file, "cos://b-1/", "--endpoint", &world.server.url()]).output();
    let put = put.unwrap();
    assert!(put.status.success() && said(&put).contains("hadoop-cos"), "{}", said(&put));
    // A second one is added, and none is changed.
    let out = init(&["--profile", "work"], &format!("oss\ncn-x\n{}\n\n", world.text("key.pem")));
    assert!(out.status.success(), "{}", said(&out));
    let both = fs::read_to_string(&config).unwrap();
    assert!(both.starts_with(&text) && both.contains("\n[work]\nkey = "), "{both}");
    for (more, answers) in [
        (&[][..], "cos\nap-x\n\n\n"),
        (&["--profile", "new"], "gcs\n"),
        (&["--profile", "new"], "oss\noss-cn-hangzhou\n"),
        (&["--profile", "new"], "oss\n"),
        (&["--profile", "new"], "oss\ncn-x\n/none\n"),
        (&["--profile", "new"], "oss\ncn-x\n\nnobody\n"),
        (&["--profile", "a.b"], ""),
    ] {
        let out = init(more, answers);
        assert_eq!(out.status.code(), Some(2), "{answers}: {}", said(&out));
    }
    assert_eq!(fs::read_to_string(&config).unwrap(), both);
}

/// A question is no reason not to end.
#[cfg(unix)]
#[test]
fn init_can_be_interrupted() {
    let world = World::new();
    let mut child = world.bare(&["init"]).stdin(Stdio::piped()).spawn().unwrap();
    let held = child.stdin.take();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let id = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &id]).status().unwrap();
    let begun = std::time::Instant::now();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130), "{}", said(&out));
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    drop(held);
}

#[test]
fn an_existing_object_is_not_overwritten_unasked() {
    for store in ["oss", "cos"] {
        let world = World::new();
        let (one, other) = (world.file("one", b"one"), world.file("other", b"other"));
        let key = world.text("key.pem");
        let public = world.bare(&["key", "public", &key]).output().unwrap();
        let public = world.file("public.pem", &public.stdout);
        let to = format!("{store}://b-1/key");
        let put = |file: &str, key: &str, more: &[&str]| {
            world.run(&[&["put", file, &to, "--key", key], more].concat())
        };
        assert!(put(&one, &key, &[]).status.success());
        // The same command again, as after an interruption: nothing is to be done.
        let again = put(&one, &key, &[]);
        assert!(again.status.success(), "{}", said(&again));
        assert!(said(&again).contains("the file is there already"), "{}", said(&again));
        // In another form, it is not the same.
        let other_form = put(&one, &key, &["--dialect", &format!("{store}-v1")]);
        assert_eq!(other_form.status.code(), Some(1), "{}", said(&other_form));
        // A public key cannot tell.
        for (file, key) in [(&other, &key), (&one, &public)] {
            let out = put(file, key, &[]);
            assert_eq!(out.status.code(), Some(1), "{}", said(&out));
            assert!(said(&out).contains("already exists"), "{}", said(&out));
        }
        assert_eq!(world.cat(&to, &key), b"one");
        assert!(put(&other, &public, &["--force"]).status.success());
        assert_eq!(world.cat(&to, &key), b"other");

        // Copies, one and many.
        let copy = format!("{store}://b-2/copy");
        world.done(&["cp", &to, &copy]);
        world.done(&["cp", &to, &copy]);
        assert!(put(&one, &key, &["--force"]).status.success());
        for line in [["cp", &to, &copy], ["mv", &to, &copy]] {
            let out = world.run(&line);
            assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        }
        assert_eq!(world.cat(&copy, &key), b"other");
        let many = |more: &[&str]| {
            let (from, to) = (format!("{store}://b-1/"), format!("{store}://b-3/"));
            world.run(&[&["cp", "-r", &from, &to], more].concat())
        };
        assert!(many(&[]).status.success() && many(&[]).status.success());
        assert!(put(&other, &key, &["--force"]).status.success());
        assert!(said(&many(&[])).contains("--force overwrites it"));
        assert!(said(&many(&["--only-new"])).contains("1 exists"));
        assert!(many(&["--force"]).status.success());
        assert_eq!(world.cat(&format!("{store}://b-3/key"), &key), b"other");
    }
}

/// Bytes that are the same do not make two objects the same.
#[test]
fn equal_bytes_are_not_equal_objects() {
    let world = World::new();
    let (key, new) = (world.text("key.pem"), world.new_key());
    let empty = world.file("empty", b"");
    let put = |to: &str, key: &str, more: &[&str]| {
        world.run(&[&["put", &empty, to, "--key", key], more].concat())
    };
    assert!(put("cos://b-1/a/1", &key, &["--metadata", "owner=alice"]).status.success());
    assert!(put("cos://b-1/b/1", &new, &["--metadata", "owner=bob"]).status.success());
    for line in [
        &["cp", "cos://b-1/a/1", "cos://b-1/b/1"][..],
        &["mv", "cos://b-1/a/1", "cos://b-1/b/1"],
        &["cp", "-r", "cos://b-1/a/", "cos://b-1/b/"],
        &["mv", "-r", "cos://b-1/a/", "cos://b-1/b/"],
        &["cp", "cos://b-1/a/1", "cos://b-1/b/1", "--key", &key],
    ] {
        let out = world.run(line);
        assert_eq!(out.status.code(), Some(1), "{line:?}: {}", said(&out));
        assert_eq!(world.cat("cos://b-1/a/1", &key), b"");
        assert_eq!(world.cat("cos://b-1/b/1", &new), b"");
    }
    // A copy that got another key is not undone by one that would not have it.
    let file = world.file("file", b"content");
    world.done(&["put", &file, "cos://b-1/old", "--key", &key]);
    let rewrapped = ["cp", "cos://b-1/old", "cos://b-1/new", "--key", &key, "--to-key", &new];
    world.done(&rewrapped);
    // The same command again finds its own work.
    world.done(&rewrapped);
    assert_eq!(world.run(&rewrapped[..3]).status.code(), Some(1));
    assert_eq!(world.cat("cos://b-1/new", &new), b"content");
    // Nor does an upload of the same file that asks for more.
    world.done(&["put", &file, "cos://b-1/plain", "--key", &key, "--no-seal"]);
    for more in [
        &["--bind-name"][..],
        &["--key-check", "--no-seal"],
        &["--content", "gcm", "--no-seal"],
        &["--matdesc", "a=b", "--no-seal"],
        &["--content-type", "text/x-new", "--no-seal"],
        &["--metadata", "a=b", "--no-seal"],
        &["--sse", "cos", "--no-seal"],
        &["--storage-class", "ARCHIVE", "--no-seal"],
    ] {
        let line = [&["put", &file, "cos://b-1/plain", "--key", &key], more].concat();
        let out = world.run(&line);
        assert_eq!(out.status.code(), Some(1), "{more:?}: {}", said(&out));
    }
    let again = world.run(&["put", &file, "cos://b-1/plain", "--key", &key, "--no-seal", "--json"]);
    assert!(again.status.success(), "{}", said(&again));
    let line: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(line["status"], "already");
}

/// The wrap of COS Python opens with any key, so that it proves nothing.
#[test]
fn a_wrap_that_any_key_opens_is_nobodys() {
    let world = World::new();
    fs::create_dir(world.path("tree")).unwrap();
    world.file("tree/a", b"content");
    let put = |key: &str| {
        let out = world.bare(&["keygen", "aes", "--out", &world.text(key)]).output().unwrap();
        assert!(out.status.success());
        let key = world.text(&format!("{key}/master.key"));
        let more = ["--dialect", "cos-v1", "--allow-weak-wrap", "--no-seal", "--key", &key];
        world.run(&[&["put", "-r", &world.text("tree"), "cos://b-1/"], &more[..]].concat())
    };
    assert!(put("one").status.success());
    assert_eq!(put("other").status.code(), Some(1));
}

/// The state of an upload that was interrupted does not make the next one blind.
#[test]
fn a_journal_is_no_leave_to_overwrite() {
    let world = World::new();
    let (key, other) = (world.text("key.pem"), world.file("other", b"other"));
    let big = world.file("big", &[7; 4 << 20]);
    let sizes = ["--threshold", "1MiB", "--part-size", "1MiB", "--retries", "0"];
    let put = [&["put", &big, "oss://b-1/key", "--key", &key], &sizes[..]].concat();
    world.server.fail(3, envelope_testkit::bucket::Fault::Denied);
    assert!(!world.run(&put).status.success());
    world.server.heal();
    assert_eq!(world.server.open_uploads(), 1);
    world.done(&["put", &other, "oss://b-1/key", "--key", &key]);
    assert_eq!(world.run(&put).status.code(), Some(1));
    assert_eq!(world.cat("oss://b-1/key", &key), b"other");
    world.done(&[&put[..], &["--force"]].concat());
    assert_eq!(world.cat("oss://b-1/key", &key), [7; 4 << 20]);
}

#[test]
fn a_tree_is_not_written_over_another_one() {
    let world = World::new();
    let key = world.text("key.pem");
    fs::create_dir(world.path("tree")).unwrap();
    world.file("tree/a", b"a");
    world.file("tree/b", b"b");
    let put = |more: &[&str]| {
        world
            .run(&[&["put", "-r", &world.text("tree"), "cos://b-1/", "--key", &key], more].concat())
    };
    let before = world.server.requests().len();
    assert!(put(&[]).status.success());
    // One look at the folder, then two requests for each file.
    assert_eq!(world.server.requests().len() - before, 5);
    let again = put(&[]);
    assert!(again.status.success() && said(&again).contains("2 same"), "{}", said(&again));
    // Under another key, it is another one.
    let new = world.new_key();
    let tree = world.text("tree");
    let out = world.run(&["put", "-r", &tree, "cos://b-1/", "--key", &new]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    world.file("tree/a", b"longer");
    let out = put(&[]);
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains("a: the object exists and is another one"), "{}", said(&out));
    assert_eq!(world.cat("cos://b-1/a", &key), b"a");
    assert!(put(&["--force"]).status.success());
    assert_eq!(world.cat("cos://b-1/a", &key), b"longer");
}

#[test]
fn keys_are_shown() {
    let world = World::new();
    let made = world.bare(&["keygen", "rsa", "--bits", "2048", "--out", &world.text("k"), "--der"]);
    let made = { made }.output().unwrap();
    let told = String::from_utf8(made.stdout).unwrap();
    let print = told.lines().next().unwrap().rsplit(' ').next().unwrap();
    assert!(print.len() == 64 && told.contains("Keep a copy"), "{told}");
    for half in ["private", "public"] {
        let file = world.text(&format!("k/{half}_key.der"));
        let shown = world.bare(&["key", "show", &file]).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert_eq!(shown, format!("{file}: RSA {half} key, 2048 bits, fingerprint {print}\n"));
        let public = world.bare(&["key", "public", &file]).output().unwrap();
        assert!(public.stdout.starts_with(b"-----BEGIN PUBLIC KEY-----\n"));
    }
    // What is encrypted with one half opens with the other, from DER, too.
    let file = world.file("file", b"content");
    world.done(&["put", &file, "oss://b-1/a", "--key", &world.text("k/public_key.der")]);
    assert_eq!(world.cat("oss://b-1/a", &world.text("k/private_key.der")), b"content");
    let aes = world.bare(&["keygen", "aes", "--out", &world.text("k")]).output().unwrap();
    let (aes, master) = (String::from_utf8(aes.stdout).unwrap(), world.text("k/master.key"));
    let shown = world.bare(&["key", "show", &master]).output().unwrap();
    assert!(aes.starts_with(&String::from_utf8(shown.stdout).unwrap()), "{aes}");
    let secret = fs::read_to_string(&master).unwrap();
    assert!(!aes.contains(secret.trim()));
    let public = world.bare(&["key", "public", &master]).output().unwrap();
    assert_eq!(public.status.code(), Some(4));
}
