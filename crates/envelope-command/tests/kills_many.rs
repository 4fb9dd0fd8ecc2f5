//! Kills the commands for many objects at random moments. The same command, run again, does the
//! rest, and its report has every object once.
//!
//! `cargo xtask kills 200` is the long form.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "support/kill.rs"]
mod kill;
#[path = "support/world.rs"]
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Instant,
};

use serde_json::Value;

use crate::{
    kill::{Numbers, kill, kills},
    world::{World, said},
};

const FILES: usize = 60;

/// Makes a tree of small files, and a large one.
fn make_tree(world: &World) {
    for n in 0..FILES {
        let path = world.path(&format!("from/{}/{n:03}", n % 7));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![n.to_le_bytes()[0]; 100 + n]).unwrap();
    }
    fs::write(world.path("from/large"), vec![9; 3 << 20]).unwrap();
}

/// Kills a command on many objects several times, each time after `prepare`, runs it again to its
/// end, and then checks what it has done.
fn killed(world: &World, arguments: &[&str], prepare: impl Fn(), check: impl Fn(&str)) {
    let mut numbers = Numbers::new();
    let report = world.text("report");
    let url = world.server.url();
    let all = [arguments, &["--report", &report, "--endpoint", &url, "--region", "cn-x"]].concat();
    prepare();
    let begun = Instant::now();
    let out = world.bare(&all).output().unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", said(&out));
    let usual = begun.elapsed();
    check("without a kill");
    for n in 0..kills() {
        let what = format!("{} kill {n}", arguments[0]);
        let _ = fs::remove_file(&report);
        prepare();
        kill(world.bare(&all), &mut numbers, usual);
        let out = world.bare(&all).output().unwrap();
        // Where everything was done before, there is nothing left to be found.
        let nothing_left = said(&out).contains("there is no such object");
        assert!(out.status.success() || nothing_left, "{what}: {}", said(&out));
        check(&what);
        let mut keys = BTreeSet::new();
        for line in fs::read_to_string(&report).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if line.get("job").is_none() {
                let key = line["key"].as_str().unwrap().to_owned();
                assert!(keys.insert(key), "{what}: {line} is there twice");
                assert!(line.get("error").is_none(), "{what}: {line}");
            }
        }
        // What was moved right before the kill is not found again, and has no line.
        let is_complete = keys.len() == FILES + 1 || (arguments[0] == "mv" && keys.len() <= FILES);
        assert!(nothing_left || is_complete, "{what}: {} objects", keys.len());
    }
}

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(key, fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn put_get_and_sync() {
    for address in ["oss://b-1/p", "cos://b-1/p"] {
        let world = World::new();
        make_tree(&world);
        let want = files(&world.path("from"));
        let (from, back, key) = (world.text("from"), world.text("back"), world.text("key.pem"));
        let emptied = || {
            world.run(&["rm", "-r", address, "--yes", "--force"]);
        };
        let fetched = |what: &str| {
            let _ = fs::remove_dir_all(world.path("check"));
            world.done(&["get", "-r", address, &world.text("check"), "--key", &key]);
            assert!(files(&world.path("check")) == want, "{what}");
        };
        let put = ["put", "--force", "-r", &from, address, "--key", &key];
        let put = [&put[..], &["--threshold", "1MiB", "--part-size", "1MiB"]].concat();
        killed(&world, &put, emptied, fetched);
        killed(&world, &["sync", &from, address, "--key", &key], emptied, fetched);
        let get = ["get", "-r", address, &back, "--key", &key, "--part-size", "1MiB"];
        let no_files = || {
            let _ = fs::remove_dir_all(world.path("back"));
        };
        let here = |what: &str| assert!(files(&world.path("back")) == want, "{what}");
        killed(&world, &get, no_files, here);
        let down = ["sync", address, &back, "--key", &key];
        killed(&world, &down, no_files, here);
        killed(&world, &["verify", "-r", address, "--key", &key], || {}, |_| {});
    }
}

#[test]
fn copies_and_moves() {
    for (from, to) in [("oss", "cos"), ("cos", "oss"), ("cos", "cos")] {
        let world = World::new();
        make_tree(&world);
        let want = files(&world.path("from"));
        let (from, to) = (format!("{from}://b-1/p"), format!("{to}://b-2/q"));
        let (tree, key) = (world.text("from"), world.text("key.pem"));
        let put = || {
            let put = ["put", "--force", "-r", &tree, &from, "--key", &key, "--parallel", "32"];
            world.done(&[&put[..], &["--threshold", "1MiB", "--part-size", "1MiB"]].concat());
            world.run(&["rm", "-r", &to, "--yes", "--force"]);
        };
        let fetched = |what: &str| {
            let _ = fs::remove_dir_all(world.path("check"));
            world.done(&["get", "-r", &to, &world.text("check"), "--key", &key]);
            assert!(files(&world.path("check")) == want, "{what}");
        };
        put();
        let emptied = || {
            world.run(&["rm", "-r", &to, "--yes", "--force"]);
        };
        let more = ["--key", &key, "--part-size", "1MiB"];
        killed(&world, &[&["cp", "-r", &from, &to], &more[..]].concat(), emptied, fetched);
        let moved = |what: &str| {
            fetched(what);
            let left = world.run(&["ls", "-r", &from]);
            assert!(left.stdout.is_empty(), "{what}: {}", said(&left));
        };
        killed(&world, &[&["mv", "-r", &from, &to], &more[..]].concat(), put, moved);
    }
}

#[test]
fn rewrap_audit_and_rm() {
    for address in ["oss://b-1/p", "cos://b-1/p/"] {
        let world = World::new();
        make_tree(&world);
        let (from, key, new) = (world.text("from"), world.text("key.pem"), world.new_key());
        let put = || {
            world.done(&[
                "put",
                "--force",
                "-r",
                &from,
                address,
                "--key",
                &key,
                "--parallel",
                "32",
            ]);
        };
        let opens = |what: &str| {
            let out = world.run(&["audit", address, "--key", &new, "--parallel", "32"]);
            assert!(out.status.success(), "{what}: {}", said(&out));
        };
        let rewrap = ["rewrap", address, "-r", "--key", &key, "--to-key", &new, "--reupload"];
        killed(&world, &rewrap, put, opens);
        let audit = ["audit", address, "--key", &new];
        killed(&world, &audit, || {}, |_| {});
        let gone = |what: &str| {
            let left = (0..FILES)
                .filter(|n| world.server.object("b-1", &format!("p/{}/{n:03}", n % 7)).is_some());
            assert_eq!(left.count(), 0, "{what}");
        };
        killed(&world, &["rm", "-r", address, "--yes"], put, gone);
    }
}
