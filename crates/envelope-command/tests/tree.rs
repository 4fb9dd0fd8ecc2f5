//! Whole folders: uploads, downloads, and what must not happen with either.

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
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use envelope_testkit::bucket::Fault;
use serde_json::Value;

use crate::world::{World, lines, said};

const ADDRESSES: [&str; 2] = ["oss://b-1/backup", "cos://b-1/backup/"];

/// Makes a tree with files of all kinds of names and lengths, each with a time of its own.
fn make_tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (n, name) in
        ["a.txt", "a/b.html", "a/c/empty", "a-b/ü 😀 +&%.jpg", "large.bin", "z/..hidden", "z/-r"]
            .into_iter()
            .enumerate()
    {
        let len = match name {
            "a/c/empty" => 0,
            "large.bin" => 3 << 20,
            _ => 1000 + n,
        };
        let bytes: Vec<u8> = (0..len).map(|at| (at * 31 + n).to_le_bytes()[0]).collect();
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &bytes).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time(n)).unwrap();
        files.insert(name.to_owned(), bytes);
    }
    files
}

fn time(n: usize) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000 + n as u64 * 1000, 123_456_789)
}

/// Returns the files of a tree.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(key, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Returns how often each status is in a report, and checks that each object is there once.
fn statuses(report: &str) -> BTreeMap<String, usize> {
    let (mut counts, mut keys) = (BTreeMap::new(), Vec::new());
    for line in fs::read_to_string(report).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line.get("job").is_some() {
            continue;
        }
        *counts.entry(line["status"].as_str().unwrap().to_owned()).or_default() += 1;
        keys.push(line["key"].as_str().unwrap().to_owned());
    }
    keys.sort_unstable();
    let all = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), all, "an object is in the report twice");
    counts
}

#[test]
fn a_tree_goes_up_and_comes_back() {
    for address in ADDRESSES {
        let world = World::new();
        let (from, back) = (world.path("from"), world.path("new/back"));
        let files = make_tree(&from);
        let (from, report) = (world.text("from"), world.text("report"));
        let key = world.text("key.pem");
        let put = ["put", "--force", "-r", &from, address, "--key", &key, "--report", &report];
        let put = [&put[..], &["--threshold", "1MiB", "--part-size", "1MiB"]].concat();
        let words = world.done(&put);
        assert!(words.contains("7 uploaded (3."), "{words}");
        assert_eq!(statuses(&report), BTreeMap::from([("uploaded".to_owned(), 7)]));
        let (_, headers) = world.server.object("b-1", "backup/a/b.html").unwrap();
        let header = |name: &str| headers.iter().find(|(it, _)| it == name).map(|(_, it)| &it[..]);
        assert_eq!(header("content-type"), Some("text/html"));
        let mtime = format!("x-{}-meta-mtime", &address[..3]);
        assert_eq!(header(&mtime), Some("1600001000.123456789"));

        let folder = back.display().to_string();
        let get = ["get", "-r", address, &folder, "--key", &key, "--part-size", "1MiB"];
        let words = world.done(&get);
        assert!(words.contains("7 downloaded"), "{words}");
        assert_eq!(tree(&back), files);
        let modified = |name: &str| back.join(name).metadata().unwrap().modified().unwrap();
        assert_eq!((modified("a.txt"), modified("a/b.html")), (time(0), time(1)));

        // Again: everything is there, and nothing is sent or fetched.
        let before = world.server.requests().len();
        let words = world.done(&put);
        assert!(words.contains("7 done before"), "{words}");
        assert_eq!(world.server.requests().len(), before);
        assert!(world.done(&get).contains("7 already"));
        let again = world.server.requests().split_off(before);
        assert_eq!(again.iter().filter(|request| request.starts_with("GET")).count(), 1, "a list");

        // A file that is another one now is neither overwritten nor passed over.
        fs::write(back.join("a.txt"), "mine").unwrap();
        let out = world.run(&get);
        assert_eq!(out.status.code(), Some(1));
        assert!(said(&out).contains("a.txt") && said(&out).contains("exists"), "{}", said(&out));
        assert_eq!(fs::read(back.join("a.txt")).unwrap(), b"mine");
        world.done(&[&get[..], &["--force"]].concat());
        assert_eq!(tree(&back), files);
    }
}

#[test]
fn a_changed_file_is_uploaded_again() {
    let world = World::new();
    make_tree(&world.path("from"));
    let (from, report, key) = (world.text("from"), world.text("report"), world.text("key.pem"));
    let put = ["put", "--force", "-r", &from, "cos://b-1/", "--key", &key, "--report", &report];
    world.done(&put);
    fs::write(world.path("from/a.txt"), "changed").unwrap();
    let words = world.done(&put);
    assert!(words.contains("1 uploaded, 6 done before"), "{words}");
    assert_eq!(world.cat("cos://b-1/a.txt", &key), b"changed");
    // Another key is another job.
    let new = world.new_key();
    let put = ["put", "--force", "-r", &from, "cos://b-1/", "--key", &new, "--report", &report];
    assert!(world.done(&put).contains("7 uploaded"));
}

#[test]
fn patterns_plans_and_what_matches_nothing() {
    let world = World::new();
    make_tree(&world.path("from"));
    let (from, key, back) = (world.text("from"), world.text("key.pem"), world.text("back"));
    let put = ["put", "--force", "-r", &from, "oss://b-1/p", "--key", &key];
    let plan =
        world.run(&[&put[..], &["--dry-run", "--exclude", "a/", "--exclude", "*.bin"]].concat());
    assert!(plan.status.success(), "{}", said(&plan));
    let plan = lines(&plan);
    assert_eq!(plan.len(), 4, "{plan:?}");
    assert!(plan[0].starts_with("to upload") && plan[0].ends_with("  p/a-b/ü 😀 +&%.jpg"));
    assert!(world.server.requests().is_empty());
    let words = world.done(&[&put[..], &["--include", "*.txt", "--include", "z/"]].concat());
    assert!(words.contains("3 uploaded"), "{words}");
    let get = ["get", "-r", "oss://b-1/p", &back, "--key", &key];
    let plan = world.run(&[&get[..], &["-n", "--json"]].concat());
    let plan: Vec<Value> =
        lines(&plan).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(plan.len(), 3);
    assert_eq!((&plan[0]["key"], &plan[0]["status"]), (&"p/a.txt".into(), &"to download".into()));
    assert!(!world.path("back").exists());
    world.done(&[&get[..], &["--exclude", "/z/"]].concat());
    assert_eq!(tree(&world.path("back")).len(), 1);
    for nothing in [
        &[&put[..], &["--include", "*.nothing"]].concat()[..],
        &[&get[..], &["--include", "*.nothing"]].concat(),
        &["get", "-r", "oss://b-1/none", &back, "--key", &key],
        &["put", "--force", "-r", &world.text("none"), "oss://b-1/", "--key", &key],
        &[&put[..], &["--include", "["]].concat(),
        // These are for many objects.
        &["put", "--force", &key, "oss://b-1/x", "--key", &key, "--dry-run"],
        &["get", "oss://b-1/p/a.txt", &back, "--key", &key, "--include", "x"],
    ] {
        let out = world.run(nothing);
        assert!(matches!(out.status.code(), Some(1 | 2)), "{nothing:?}: {}", said(&out));
    }
    // The prefix is that of a folder, not of a name.
    world.put("oss://b-1/pq", b"not below p");
    assert!(world.run(&get).status.success());
    assert!(!world.path("back/q").exists() && !world.path("back/pq").exists());
}

#[cfg(unix)]
#[test]
fn what_cannot_be_uploaded_is_said() {
    use std::os::unix::{ffi::OsStrExt as _, fs::symlink};
    let world = World::new();
    let root = world.path("from");
    fs::create_dir(&root).unwrap();
    world.file("outside", b"secret");
    world.file("from/good", b"good");
    symlink(world.path("outside"), root.join("link")).unwrap();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"not utf-8 \xff")), "").unwrap();
    fs::write(root.join("line\nbreak"), "").unwrap();
    let (from, key, report) = (world.text("from"), world.text("key.pem"), world.text("report"));
    let put = ["put", "--force", "-r", &from, "oss://b-1/", "--key", &key, "--report", &report];
    let out = world.run(&put);
    let words = said(&out);
    assert_eq!(out.status.code(), Some(1), "{words}");
    assert!(words.contains("2 failed, 1 link, 1 uploaded"), "{words}");
    assert!(words.contains("not UTF-8") && words.contains("line\\nbreak"), "{words}");
    assert!(world.server.object("b-1", "link").is_none());
    assert!(world.server.object("b-1", "good").is_some());
    // The same command does what is left.
    for name in ["line\nbreak".as_bytes(), b"not utf-8 \xff"] {
        fs::remove_file(root.join(std::ffi::OsStr::from_bytes(name))).unwrap();
    }
    let words = world.done(&[&put[..], &["--follow-links"]].concat());
    assert!(words.contains("1 uploaded, 1 done before"), "{words}");
    assert_eq!(world.cat("oss://b-1/link", &key), b"secret");
}

/// Whoever writes the keys of a bucket does not choose files elsewhere.
#[test]
fn hostile_keys_stay_in_the_folder() {
    let world = World::new();
    world.put("oss://b-1/t/good", b"good");
    let (bytes, headers) = world.server.object("b-1", "t/good").unwrap();
    let long = "n".repeat(300);
    let hostile = [
        "t/../../evil",
        "t//etc/evil",
        "t/a/../../../evil",
        "t/./evil",
        "t/..",
        "t/a//b",
        "t/link/evil",
        "t/file/evil",
        &format!("t/{long}"),
    ];
    for key in hostile {
        world.server.store_with("b-1", key, &bytes, headers.clone());
    }
    world.server.store("b-1", "t/", b"");
    world.server.store("b-1", "t/folder/", b"");
    let (back, key) = (world.text("back"), world.text("key.pem"));
    fs::create_dir_all(world.path("elsewhere")).unwrap();
    fs::create_dir_all(world.path("back")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(world.path("elsewhere"), world.path("back/link")).unwrap();
    world.file("back/file", b"mine");
    let report = world.text("report");
    let out = world.run(&["get", "-r", "oss://b-1/t", &back, "--key", &key, "--report", &report]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    let counts = statuses(&report);
    assert_eq!((counts["failed"], counts["downloaded"], counts["folder"]), (9, 1, 1), "{counts:?}");
    let inside = tree(&world.path("back"));
    assert_eq!(inside.keys().collect::<Vec<_>>(), ["file", "good"]);
    assert_eq!(inside["file"], b"mine");
    assert!(world.path("back/folder").is_dir());
    assert_eq!(fs::read_dir(world.path("elsewhere")).unwrap().count(), 0);
    assert!(
        !world.path("evil").exists()
            && !world.folder.path().parent().unwrap().join("evil").exists()
    );
}

#[test]
fn an_object_that_fails_stops_nothing_and_leaves_nothing() {
    let world = World::new();
    let files = make_tree(&world.path("from"));
    let (from, back, key) = (world.text("from"), world.text("back"), world.text("key.pem"));
    world.done(&["put", "--force", "-r", &from, "cos://b-1/", "--key", &key]);
    let (bytes, headers) = world.server.object("b-1", "a.txt").unwrap();
    let mut changed = bytes.to_vec();
    changed[7] ^= 1;
    world.server.store_with("b-1", "a.txt", &changed, headers.clone());
    world.server.store("b-1", "z/plain", b"nobody encrypted this");
    let report = world.text("report");
    let get = ["get", "-r", "cos://b-1/", &back, "--key", &key, "--report", &report];
    let out = world.run(&get);
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains("6 downloaded, 2 failed"), "{}", said(&out));
    let here = tree(&world.path("back"));
    assert_eq!(here.len(), 6, "{:?}", here.keys());
    assert!(!here.contains_key("a.txt") && !here.contains_key("z/plain"));
    world.server.store_with("b-1", "a.txt", &bytes, headers);
    let out = world.run(&[&get[..], &["--exclude", "plain"]].concat());
    assert!(said(&out).contains("1 downloaded, 6 done before"), "{}", said(&out));
    assert_eq!(tree(&world.path("back")), files);
}

/// The summary is the last line, and says how to go on.
#[cfg(unix)]
#[test]
fn an_interrupted_job_finishes_what_has_begun() {
    use std::process::Command;
    let world = World::new();
    fs::create_dir(world.path("from")).unwrap();
    for n in 0..300 {
        world.file(&format!("from/{n:03}"), b"a small file");
    }
    let (from, report, key) = (world.text("from"), world.text("report"), world.text("key.pem"));
    let put = [
        "put",
        "-r",
        &from,
        "oss://b-1/",
        "--key",
        &key,
        "--report",
        &report,
        "--rate",
        "100",
        "--endpoint",
        &world.server.url(),
        "--region",
        "cn-x",
    ];
    let child = world.bare(&put).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let out = child.wait_with_output().unwrap();
    let words = said(&out);
    assert_eq!(out.status.code(), Some(130), "{words}");
    assert!(words.contains("interrupted: ") && words.contains("the same command"), "{words}");
    let done = statuses(&report)["uploaded"];
    assert!((1..300).contains(&done), "{done}");
    let stored = (0..300).filter(|n| world.server.object("b-1", &format!("{n:03}")).is_some());
    assert_eq!(stored.count(), done, "what is there is in the report");
    let out = world.bare(&put).output().unwrap();
    assert!(said(&out).contains(&format!("{} uploaded, {done} done before", 300 - done)));
    assert_eq!(statuses(&report)["uploaded"], 300);
}

#[test]
fn existing_objects_can_be_left_alone() {
    let world = World::new();
    make_tree(&world.path("from"));
    let (from, key) = (world.text("from"), world.text("key.pem"));
    world.put("cos://b-1/a.txt", b"theirs");
    let words = world.done(&["put", "-r", &from, "cos://b-1/", "--key", &key, "--only-new"]);
    assert!(words.contains("1 exists, 6 uploaded"), "{words}");
    assert_eq!(world.cat("cos://b-1/a.txt", &key), b"theirs");
}

#[test]
fn objects_get_attributes() {
    for (address, vendor) in [("oss://b-1/p", "oss"), ("cos://b-1/p", "cos")] {
        let world = World::new();
        make_tree(&world.path("from"));
        let (from, key) = (world.text("from"), world.text("key.pem"));
        let attributes = [
            "--storage-class",
            "IA",
            "--cache-control",
            "no-cache",
            "--metadata",
            "Owner=me & you",
            "--tag",
            "a b=c",
            "--tag",
            "d=",
            "--content-disposition",
            "attachment",
        ];
        let one = world.text("from/large.bin");
        let single = format!("{address}/single");
        let puts = [
            &["put", "--force", "-r", &from, address, "--key", &key, "--threshold", "1MiB"][..],
            &["put", "--force", &one, &single, "--key", &key, "--threshold", "1MiB"],
            &["sync", &from, &format!("{address}/s"), "--key", &key],
        ];
        for put in puts {
            world.done(&[put, &attributes].concat());
        }
        for name in ["a.txt", "large.bin", "single", "s/a.txt"] {
            let (_, headers) = world.server.object("b-1", &format!("p/{name}")).unwrap();
            for (header, value) in [
                (format!("x-{vendor}-storage-class"), "IA"),
                ("cache-control".to_owned(), "no-cache"),
                ("content-disposition".to_owned(), "attachment"),
                (format!("x-{vendor}-meta-owner"), "me & you"),
                (format!("x-{vendor}-tagging"), "a%20b=c&d="),
            ] {
                let found = headers.iter().find(|(name, _)| *name == header);
                assert_eq!(found.map(|(_, it)| it.as_str()), Some(value), "{name} {header}");
            }
        }
        let hostile = format!("--metadata=client-side-encryption-key={}", "x");
        let out = world.run(&["put", "--force", &one, &single, "--key", &key, &hostile]);
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    }
}

#[test]
fn the_store_encrypts_once_more() {
    for (vendor, mode, context, headers) in [
        ("oss", "oss", None, vec![("x-oss-server-side-encryption", "AES256")]),
        ("oss", "sm4", None, vec![("x-oss-server-side-encryption", "SM4")]),
        (
            "oss",
            "oss-kms:an-id",
            None,
            vec![
                ("x-oss-server-side-encryption", "KMS"),
                ("x-oss-server-side-encryption-key-id", "an-id"),
            ],
        ),
        ("cos", "cos", None, vec![("x-cos-server-side-encryption", "AES256")]),
        (
            "cos",
            "cos-kms:an-id",
            Some("a=b"),
            vec![
                ("x-cos-server-side-encryption", "cos/kms"),
                ("x-cos-server-side-encryption-cos-kms-key-id", "an-id"),
            ],
        ),
    ] {
        let world = World::new();
        let key = world.text("key.pem");
        let (small, large) = (world.file("small", b"x"), world.file("large", &[7; 3 << 20]));
        let (one, other) = (format!("{vendor}://b-1/one"), format!("{vendor}://b-1/other"));
        let context = context.map(|context| ["--sse-context", context]);
        for (file, address) in [(&small, &one), (&large, &other)] {
            let put = [
                "put",
                "--force",
                file,
                address,
                "--key",
                &key,
                "--sse",
                mode,
                "--threshold",
                "1MiB",
            ];
            let put = [&put[..], context.as_ref().map_or(&[][..], |it| &it[..])].concat();
            world.done(&put);
            // A store that forgets what it was asked for.
            world.server.fail(0, Fault::NoServerSide);
            let out = world.run(&put);
            assert_eq!(out.status.code(), Some(5), "{mode}");
            assert!(said(&out).contains("not encrypted by the store as asked"), "{}", said(&out));
            world.done(&put);
        }
        for name in ["one", "other"] {
            let (_, found) = world.server.object("b-1", name).unwrap();
            for (header, value) in &headers {
                let found = found.iter().find(|(name, _)| name == header);
                assert_eq!(found.map(|(_, it)| it.as_str()), Some(*value), "{name} {mode}");
            }
        }
        assert_eq!(world.cat(&one, &key), b"x");
    }
    let world = World::new();
    let (file, key) = (world.file("small", b"x"), world.text("key.pem"));
    for wrong in [
        &["--sse", "cos"][..],
        &["--sse", "customer"],
        &["--sse", "oss", "--sse-context", "a=b"],
        &["--sse-context", "a=b"],
    ] {
        let put = [&["put", "--force", &file, "oss://b-1/one", "--key", &key], wrong].concat();
        assert_eq!(world.run(&put).status.code(), Some(2), "{wrong:?}");
    }
    assert!(world.server.requests().is_empty());
}
