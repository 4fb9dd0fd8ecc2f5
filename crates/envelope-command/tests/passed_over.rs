//! Nothing is passed over that should be worked on, or destroyed that the command itself needs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "support/world.rs"]
mod world;

use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

use envelope_testkit::bucket::Fault;
use serde_json::Value;

use crate::world::{World, lines, said};

fn is_there(world: &World, key: &str) -> bool {
    world.server.object("b-1", key).is_some()
}

fn statuses(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let field = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines
        .filter(|line| line.get("key").is_some())
        .map(|line| (field(&line, "object"), field(&line, "status")))
        .collect()
}

/// That an object is gone is believed of the first look only, and if it says so twice.
#[test]
fn an_object_is_not_gone_because_one_answer_says_so() {
    let world = World::new();
    let (key, new) = (world.text("key.pem"), world.new_key());
    for (n, fault) in (0..6).flat_map(|n| {
        [Fault::NotFound, Fault::NotFoundAfter, Fault::LostPage].map(|fault| (n, fault))
    }) {
        world.put("cos://b-1/p/a", b"a file");
        // The first request lists.
        world.server.fail(n + 1, fault);
        let rewrap = ["rewrap", "-r", "cos://b-1/p/", "--key", &key, "--to-key", &new];
        let out = world.run(&rewrap);
        world.server.heal();
        let what = format!("{fault:?} at {n}: {}", said(&out));
        assert!(!said(&out).contains("gone"), "{what}");
        let opens = world.run(&["cat", "cos://b-1/p/a", "--key", &new]).status.success();
        assert_eq!(opens, out.status.success(), "{what}");
        world.server.fail(n + 1, fault);
        let out = world.run(&["audit", "cos://b-1/p/", "--key", &key, "--key", &new]);
        world.server.heal();
        assert!(!said(&out).contains("gone"), "{what}: {}", said(&out));
    }
}

/// Runs a command, and interrupts it while a request hangs, which goes on after that.
#[cfg(unix)]
fn interrupted(world: &World, line: &[&str]) -> std::process::Output {
    let child = world.command(line).spawn().unwrap();
    assert!(world.server.wait_hung(Duration::from_secs(30)));
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    world.server.release();
    child.wait_with_output().unwrap()
}

#[cfg(unix)]
#[test]
fn an_interrupted_deletion_does_not_begin_with_the_next_address() {
    let world = World::new();
    for key in ["a/1", "a/2", "b/1", "b/2"] {
        world.server.store("b-1", key, b"an object");
    }
    // All objects of the first address are in one request, which hangs.
    world.server.fail(1, Fault::Hang);
    let out = interrupted(&world, &["rm", "-r", "--yes", "oss://b-1/a/", "oss://b-1/b/"]);
    assert_eq!(out.status.code(), Some(130), "{}", said(&out));
    assert!(is_there(&world, "b/1") && is_there(&world, "b/2"));
    assert!(!is_there(&world, "a/1"));

    // Not even if the first one has failed by then.
    world.server.store("b-1", "a/1", b"an object");
    world.server.fail(1, Fault::HangAfter);
    world.server.fail(2, Fault::Denied);
    // The connection of the first attempt is lost, and the second one is refused.
    let rm = ["rm", "-r", "--yes", "--parallel", "1", "oss://b-1/a/", "oss://b-1/b/"];
    let out = interrupted(&world, &rm);
    assert_eq!(out.status.code(), Some(130), "{}", said(&out));
    assert!(is_there(&world, "b/1") && is_there(&world, "b/2"), "{}", said(&out));
}

/// Whatever a download is told to read or write stays, wherever it is.
#[test]
fn files_that_the_command_needs_are_not_those_of_objects() {
    let world = World::over_tls();
    fs::create_dir(world.path("into")).unwrap();
    let key = world.text("key.pem");
    world.private("into/sse.key", &[7; 32]);
    fs::copy(world.path("ca.pem"), world.path("into/ca.pem")).unwrap();
    let (sse, ca, log) =
        (world.text("into/sse.key"), world.text("into/ca.pem"), world.text("into/log"));
    let into = world.text("into");
    let options = ["--sse-key", &sse, "--ca-file", &ca, "--log-file", &log, "--key", &key];
    let file = world.file("file", b"a file");
    for name in ["a", "ca.pem", "sse.key", "log"] {
        let to = format!("cos://b-1/p/{name}");
        let put = ["put", &file, &to, "--key", &key, "--sse", "customer", "--sse-key", &sse];
        world.done(&put);
    }
    let before = fs::read(&ca).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = world.bare(arguments);
        command.args(["--endpoint", &world.server.url(), "--region", "cn-x"]);
        command.args(options).output().unwrap()
    };
    for out in [
        run(&["get", "-r", "cos://b-1/p/", &into, "--force"]),
        run(&["sync", "cos://b-1/p/", &into]),
    ] {
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        assert_eq!(fs::read(&ca).unwrap(), before, "{}", said(&out));
        assert_eq!(fs::read(&sse).unwrap(), [7; 32], "{}", said(&out));
    }
    for name in ["ca.pem", "sse.key", "log"] {
        world.done(&["rm", "--force", &format!("cos://b-1/p/{name}")]);
    }
    let out = run(&["sync", "cos://b-1/p/", &into, "--delete"]);
    assert!(out.status.success(), "{}", said(&out));
    assert!(world.path("into/sse.key").exists() && world.path("into/ca.pem").exists());
    assert!(world.path("into/log").exists());
}

#[test]
fn what_was_passed_over_is_not_done() {
    let world = World::new();
    let (key, report) = (world.text("key.pem"), world.text("report"));
    fs::create_dir(world.path("from")).unwrap();
    let from = world.text("from");
    world.file("from/a", b"the new one");
    world.put("oss://b-1/p/a", b"the old one, which is longer");
    let put = ["put", "-r", &from, "oss://b-1/p/", "--key", &key, "--report", &report];
    let only_new = world.done(&[&put[..], &["--only-new"]].concat());
    assert!(only_new.contains("1 exists"), "{only_new}");
    assert!(world.done(&[&put[..], &["--force"]].concat()).contains("1 uploaded"));
    assert_eq!(world.cat("oss://b-1/p/a", &key), b"the new one");
    assert!(world.done(&[&put[..], &["--force"]].concat()).contains("1 done before"));
}

#[test]
fn patterns_begin_at_the_folder() {
    let world = World::new();
    let (key, new) = (world.text("key.pem"), world.new_key());
    for name in ["secret/a", "b.txt", "c/d.txt"] {
        world.put(&format!("cos://b-1/photos/{name}"), b"a file");
    }
    let inventory =
        world.file("inventory", b"\"b-1\",\"photos/secret/a\"\n\"b-1\",\"photos/b.txt\"\n");
    for (prefix, more) in
        [("photos/", None), ("photos", None), ("photos/b", Some(1)), ("photos/s", Some(0))]
    {
        let address = format!("cos://b-1/{prefix}");
        let plan = |options: &[&str]| {
            let rewrap = ["rewrap", &address, "--key", &key, "--to-key", &new, "-n"];
            let out = world.run(&[&rewrap[..], options].concat());
            lines(&out).iter().filter(|line| line.contains("to rewrap")).count()
        };
        assert_eq!(plan(&["-r", "--exclude", "/secret/"]), more.unwrap_or(2), "{prefix}");
        assert_eq!(plan(&["-r", "--include", "/*.txt"]), more.unwrap_or(1), "{prefix}");
        let listed = ["--inventory", &inventory, "--exclude", "/secret/"];
        assert_eq!(plan(&listed), more.unwrap_or(1), "{prefix}");
    }
}

#[test]
fn an_object_of_another_bucket_is_never_done() {
    let world = World::new();
    let (key, new, report) = (world.text("key.pem"), world.new_key(), world.text("report"));
    world.put("cos://b-1/p/a", b"a file");
    let rows = "{\"key\":\"p/a\",\"bucket\":\"other\"}\n{\"key\":\"p/a\"}\n";
    let inventory = world.file("rows.ndjson", rows.as_bytes());
    let rewrap = ["rewrap", "cos://b-1/p/", "--inventory", &inventory, "--report", &report];
    let keys = ["--key", &key, "--to-key", &new];
    for _ in 0..2 {
        let out = world.run(&[&rewrap[..], &keys].concat());
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    }
    let told = statuses(&fs::read_to_string(&report).unwrap());
    assert!(told.contains(&("cos://other/p/a".to_owned(), "failed".to_owned())), "{told:?}");
    assert!(!told.contains(&("cos://b-1/p/a".to_owned(), "failed".to_owned())), "{told:?}");
}

/// An inventory names its objects, however many slashes their keys have.
#[test]
fn an_inventory_is_worked_on_as_a_whole() {
    let world = World::new();
    let (key, new) = (world.text("key.pem"), world.new_key());
    let inventory = world.file("rows", b"\"b-1\",\"p//x\"\n\"b-1\",\"p/a\"\n");
    for from in ["cos://b-1/p/", "cos://b-1/p", "cos://b-1/"] {
        for object in ["p//x", "p/a"] {
            world.put(&format!("cos://b-1/{object}"), b"a file");
        }
        let rewrap = ["rewrap", from, "--inventory", &inventory, "--key", &key, "--to-key", &new];
        let words = world.done(&rewrap);
        assert!(words.contains("2 rewrapped"), "{from}: {words}");
        let rewrap = [&rewrap[..], &["--exclude", "/a", "--dry-run"]].concat();
        let left = if from == "cos://b-1/" { 2 } else { 1 };
        let words = world.done(&rewrap);
        assert!(words.contains(&format!("{left} to rewrap")), "{from}: {words}");
    }
}

/// An object that was gone may be there the next time.
#[test]
fn what_is_gone_is_not_done() {
    let world = World::new();
    let (key, new, report) = (world.text("key.pem"), world.new_key(), world.text("report"));
    let inventory = world.file("rows", b"\"b-1\",\"p/a\"\n");
    let rewrap = ["rewrap", "cos://b-1/p/", "--inventory", &inventory, "--report", &report];
    let rewrap = [&rewrap[..], &["--key", &key, "--to-key", &new]].concat();
    assert!(world.done(&rewrap).contains("1 gone"));
    world.put("cos://b-1/p/a", b"a file");
    assert!(world.done(&rewrap).contains("1 rewrapped"));
}

/// Neither does a put replace an object, nor does a move end, because of one answer.
#[test]
fn one_answer_does_not_say_what_is_there() {
    let world = World::new();
    let (file, key) = (world.file("file", b"a file"), world.text("key.pem"));
    for fault in [Fault::NotFound, Fault::NotFoundAfter] {
        for n in 0..4 {
            for line in [
                &["put", &file, "oss://b-1/p/a", "--key", &key][..],
                &["put", "-r", &world.text("tree"), "oss://b-1/p/", "--key", &key],
                &["cp", "oss://b-1/p/b", "oss://b-1/p/a"],
                &["mv", "oss://b-1/p/b", "oss://b-1/p/a"],
                &["cp", "-r", "oss://b-1/q/", "oss://b-1/p/"],
            ] {
                fs::create_dir_all(world.path("tree")).unwrap();
                fs::write(world.path("tree/a"), b"a file").unwrap();
                for (object, text) in [("p/a", &b"theirs"[..]), ("p/b", b"b"), ("q/a", b"other")] {
                    world.put(&format!("oss://b-1/{object}"), text);
                }
                world.server.fail(n, fault);
                let out = world.run(line);
                world.server.heal();
                let what = format!("{line:?} {fault:?} at {n}: {}", said(&out));
                assert_ne!(out.status.code(), Some(0), "{what}");
                assert_eq!(world.cat("oss://b-1/p/a", &key), b"theirs", "{what}");
            }
        }
    }
}

/// An object whose key ends with a slash stands for a folder only if it is empty.
#[test]
fn folders_are_empty() {
    let world = World::new();
    let (key, into) = (world.text("key.pem"), world.text("into"));
    let all = ["--key", &key, "--allow-plaintext"];
    world.put("oss://b-1/p/a", b"a file");
    world.server.store("b-1", "p/", b"");
    world.server.store("b-1", "p/empty/", b"");
    let verified = world.done(&["verify", "-r", "oss://b-1/p/", "--key", &key]);
    assert!(verified.contains("1 verified") && verified.contains("1 folder"), "{verified}");
    let copied = world.done(&["cp", "-r", "oss://b-1/p/", &format!("file:{into}")]);
    assert!(copied.contains("1 copied") && copied.contains("1 folder"), "{copied}");
    // An empty object may have taken the place of one that was to be protected.
    let out = world.run(&["verify", "-r", "oss://b-1/p/", "--key", &key, "--require", "key-check"]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(!said(&out).contains("folder"), "{}", said(&out));
    let inventory = world.file("rows", b"\"b-1\",\"p/a\"\n\"b-1\",\"p/empty/\"\n");
    for command in [
        &["cp", "-r", "oss://b-1/p/", &format!("file:{into}"), "--force"][..],
        &["verify", "-r", "oss://b-1/p/", "--key", &key],
    ] {
        let words = world.done(&[command, &["--inventory", &inventory][..]].concat());
        assert!(words.contains("1 folder"), "{words}");
    }

    world.server.store("b-1", "p/data/", b"contents");
    let out = world.run(&["cp", "-r", "oss://b-1/p/", &format!("file:{into}"), "--force"]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    world.server.store("b-1", "q/", b"contents");
    let out = world.run(&["audit", "oss://b-1/q/", "--key", &key]);
    assert_eq!(lines(&out).iter().filter(|line| line.contains("\"q/\"")).count(), 1);
    let out = world.run(&[&["get", "-r", "oss://b-1/q/", &into][..], &all].concat());
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    world.done(&["rm", "-r", "--yes", "oss://b-1/p/"]);
    assert!(!is_there(&world, "p/") && !is_there(&world, "p/empty/"));
}

/// A name makes no instruction file: there must be the object that it belongs to.
#[test]
fn a_plain_object_does_not_pass_for_an_instruction_file() {
    let world = World::new();
    let (key, into) = (world.text("key.pem"), world.text("into"));
    world.put("cos://b-1/p/how.instruction", b"a file");
    world.server.store("b-1", "p/how.instruction", b"somebody else's");
    let strict = ["--key", &key, "--require", "seal"];
    for command in [&["verify", "-r", "cos://b-1/p/"][..], &["get", "-r", "cos://b-1/p/", &into]] {
        let out = world.run(&[command, &strict[..]].concat());
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    }
    let out = world.run(&[&["audit", "cos://b-1/p/"][..], &strict].concat());
    assert!(lines(&out).iter().any(|line| line.contains("\"plain\"")), "{:?}", lines(&out));
    assert!(!out.status.success(), "{}", said(&out));
}

/// An object that is not encrypted with the customer key is not the same.
#[test]
fn a_customer_key_makes_another_object() {
    let world = World::over_tls();
    let (key, sse) = (world.text("key.pem"), world.private("sse.key", &[7; 32]));
    fs::create_dir(world.path("from")).unwrap();
    let file = world.file("from/a", b"a file");
    let old = SystemTime::now() - Duration::from_secs(1000);
    File::options().write(true).open(file).unwrap().set_modified(old).unwrap();
    let from = world.text("from");
    world.done(&["put", "-r", &from, "cos://b-1/p/", "--key", &key]);
    let sync = ["sync", &from, "cos://b-1/p/", "--key", &key];
    let with_key = [&sync[..], &["--sse", "customer", "--sse-key", &sse]].concat();
    assert!(world.done(&with_key).contains("1 uploaded"));
    assert!(world.done(&with_key).contains("1 same"));
}

/// A file that cannot be compared with its object is refused, not uploaded each time.
#[test]
fn a_checksum_takes_a_key_that_decrypts() {
    let world = World::new();
    let (key, public) = (world.text("key.pem"), envelope_testkit::folder("keys/public_key.pem"));
    fs::create_dir(world.path("from")).unwrap();
    world.file("from/a", b"a file");
    let from = world.text("from");
    let sync = ["sync", &from, "cos://b-1/p/", "--checksum", "--key"];
    for more in [&[public.to_str().unwrap()][..], &[&key, "--content", "gcm"]] {
        let out = world.run(&[&sync[..], more].concat());
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    }
    assert!(world.done(&[&sync[..], &[&key]].concat()).contains("1 uploaded"));
    assert!(world.done(&[&sync[..], &[&key]].concat()).contains("1 same"));
}

/// A plan says what a run would, once.
#[test]
fn a_plan_has_one_summary_and_the_faults_of_a_run() {
    let world = World::new();
    let (key, new) = (world.text("key.pem"), world.new_key());
    fs::create_dir(world.path("from")).unwrap();
    world.file("from/a", b"a file");
    let from = world.text("from");
    world.put("cos://b-1/p/old", b"a file");
    let out = world.run(&["sync", &from, "cos://b-1/p/", "--key", &key, "--delete", "-n"]);
    let told = said(&out);
    assert!(told.contains("1 to upload") && told.contains("1 to delete"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    let inventory = world.file("rows", b"\"other\",\"p/old\"\n");
    for command in [
        &["rewrap", "cos://b-1/p/", "--key", &key, "--to-key", &new][..],
        &["audit", "cos://b-1/p/", "--key", &key],
    ] {
        let out = world.run(&[command, &["-n", "--inventory", &inventory][..]].concat());
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    }
}

/// A single answer about a version hides none.
#[test]
fn a_version_is_not_gone_because_one_answer_says_so() {
    let world = World::new();
    let (key, new) = (world.text("key.pem"), world.new_key());
    world.server.keep_versions();
    for n in 0..8 {
        world.put("oss://b-1/p/a", b"first");
        world.put("oss://b-1/p/a", b"second");
        world.server.fail(n, Fault::NotFound);
        let rewrap = ["rewrap", "-r", "oss://b-1/p/", "--key", &key, "--to-key", &new];
        let out = world.run(&[&rewrap[..], &["--all-versions"]].concat());
        world.server.heal();
        assert!(!said(&out).contains("gone"), "at {n}: {}", said(&out));
        let opens = world.run(&["cat", "oss://b-1/p/a", "--key", &new]).status.success();
        assert_eq!(opens, out.status.success(), "at {n}: {}", said(&out));
    }
}
