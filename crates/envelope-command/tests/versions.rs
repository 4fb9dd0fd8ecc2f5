//! Old versions of objects: shown, read, copied and deleted.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "support/world.rs"]
mod world;

use envelope_testkit::bucket::Fault;
use serde_json::Value;

use self::world::{World, lines, said};

/// Returns the IDs of the versions of an object, the newest first, and what each of them is.
fn versions(world: &World, address: &str) -> Vec<(String, &'static str)> {
    let out = world.run(&["ls", "--versions", "--json", address]);
    assert!(out.status.success(), "{}", said(&out));
    let key = address.splitn(4, '/').nth(3).unwrap();
    lines(&out)
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["key"] == key)
        .map(|line| {
            let what = match (line["deleted"] == true, line["latest"] == true) {
                (true, _) => "deleted",
                (_, true) => "latest",
                _ => "old",
            };
            (line["version"].as_str().unwrap().to_owned(), what)
        })
        .collect()
}

#[test]
fn an_old_version_is_read_copied_and_deleted() {
    for object in ["oss://b-1/a/film", "cos://b-1/a/film"] {
        let world = World::new();
        world.server.keep_versions();
        let key = world.text("key.pem");
        for content in ["first", "second", "third"] {
            world.put(object, content.as_bytes());
        }
        let all = versions(&world, object);
        assert_eq!(all.iter().map(|(_, what)| *what).collect::<Vec<_>>(), ["latest", "old", "old"]);
        let first = ["--version-id", &all[2].0];
        for command in ["cat", "verify", "inspect"] {
            let out = world.run(&[&[command, object, "--key", &key][..], &first].concat());
            assert!(out.status.success(), "{command}: {}", said(&out));
            assert!(command != "cat" || out.stdout == b"first");
        }
        let file = world.text("file");
        world.done(&[&["get", object, &file, "--key", &key][..], &first].concat());
        assert_eq!(std::fs::read(&file).unwrap(), b"first");
        assert_eq!(world.cat(object, &key), b"third");
        // To another place, and back to be the current one.
        let other = object.replace("film", "other");
        world.done(&[&["cp", object, &other][..], &first].concat());
        assert_eq!(world.cat(&other, &key), b"first");
        world.done(&[&["cp", "--force", object, object][..], &first].concat());
        assert_eq!(world.cat(object, &key), b"first");
        assert_eq!(versions(&world, object).len(), 4);
        // A version that is moved is that one, and not the current one.
        world.done(&["mv", "--force", object, &other, "--version-id", &all[1].0]);
        assert_eq!(world.cat(&other, &key), b"second");
        assert_eq!(world.cat(object, &key), b"first");
        assert_eq!(versions(&world, object).len(), 3);
        // One that is deleted is gone for good; the current one makes place for the one before.
        let now = versions(&world, object);
        world.done(&["rm", object, "--version-id", &now[0].0]);
        assert_eq!(world.cat(object, &key), b"third");
        world.done(&["rm", object]);
        let now = versions(&world, object);
        assert_eq!(
            now.iter().map(|(_, what)| *what).collect::<Vec<_>>(),
            ["deleted", "old", "old"]
        );
        assert!(!world.run(&["cat", object, "--key", &key]).status.success());
        world.done(&["rm", object, "--version-id", &now[0].0]);
        assert_eq!(world.cat(object, &key), b"third");
        // What is not there is not deleted, unless that does not matter.
        for (missing, id) in [(object, "V999"), (&other, "V1"), (&format!("{object}x"), "V1")] {
            let out = world.run(&["rm", missing, "--version-id", id]);
            assert_eq!(out.status.code(), Some(6), "{}", said(&out));
            world.done(&["rm", missing, "--version-id", id, "--force"]);
        }
        assert_eq!(world.cat(object, &key), b"third");
        for command in [&["rm", object][..], &["cat", object, "--key", &key]] {
            let out = world.run(&[command, &["--version-id", ""]].concat());
            assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        }
        assert_eq!(world.cat(object, &key), b"third");
        let out = world.run(&["rm", object, &other, "--version-id", "V1"]);
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        for many in [&["get", "-r", object, &file][..], &["verify", "-r", object]] {
            let out = world.run(&[many, &["--key", &key], &first].concat());
            assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        }
        let out = world.run(&["cat", "file:/tmp/x/y", "--key", &key, "--version-id", "V1"]);
        assert!(said(&out).contains("does not support versions"), "{}", said(&out));
    }
}

#[test]
fn all_versions_are_listed_or_it_is_an_error() {
    for vendor in ["oss", "cos"] {
        let world = World::new();
        world.server.keep_versions();
        let folder = format!("{vendor}://b-1/p/");
        for n in 0..7 {
            for key in ["p/a b+c%20", "p/b", "p/c/\u{fc}", "q"] {
                world.server.store("b-1", key, &[b'x'; 5][..n % 4]);
            }
        }
        let out = world.run(&["ls", "--versions", &folder, "--total"]);
        let whole = lines(&out);
        assert_eq!(whole.len(), 21, "{whole:?}");
        assert!(said(&out).contains("21 versions, "), "{}", said(&out));
        assert!(whole[0].ends_with("  p/a b+c%20") && whole[0].contains("latest"));
        for page in [1, 2, 3, 7, 20] {
            world.server.set_page(page);
            let paged = lines(&world.run(&["ls", "--versions", &folder]));
            assert!(paged == whole, "{page}: {paged:?}");
        }
        world.server.set_page(5);
        for (n, fault) in [(1, Fault::SameMarker), (1, Fault::NoMarker), (0, Fault::NoMarker)] {
            world.server.fail(n, fault);
            let out = world.run(&["ls", "--versions", &folder]);
            assert_eq!(out.status.code(), Some(1), "{fault:?}: {}", said(&out));
        }
        world.server.set_page(1000);
        let some = lines(&world.run(&["ls", "--versions", &folder, "--include", "b"]));
        assert_eq!(some.len(), 7, "{some:?}");
        let out = world.run(&["ls", "--versions", &format!("{folder}none")]);
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    }
}

/// Returns what is in all versions of an object, the oldest first, as far as a key opens them.
fn contents(world: &World, address: &str, key: &str) -> Vec<Option<Vec<u8>>> {
    let ids = versions(world, address).into_iter().filter(|(_, what)| *what != "deleted");
    let mut all: Vec<Option<Vec<u8>>> = ids
        .map(|(id, _)| {
            let out = world.run(&["cat", address, "--version-id", &id, "--key", key]);
            out.status.success().then_some(out.stdout)
        })
        .collect();
    all.reverse();
    all
}

#[test]
fn all_versions_get_the_new_key_and_keep_their_order() {
    for object in ["cos://b-1/a/film", "oss://b-1/a/film"] {
        let world = World::new();
        world.server.keep_versions();
        let (old, new) = (world.text("key.pem"), world.new_key());
        let all: [&[u8]; 4] = [b"first", b"second", b"third", b"fourth"];
        for content in all {
            world.put(object, content);
        }
        // One that has the new key already, and stays where it is.
        let file = world.file("fifth", b"fifth");
        world.done(&["put", "--force", &file, object, "--key", &new]);
        world.put(object, b"sixth");
        // And the object that is next to it.
        world.put(&format!("{object} 2"), b"other");
        let folder = object.trim_end_matches("film");
        let rewrap = ["rewrap", "-r", "--key", &old, "--to-key", &new, "--all-versions"];
        let rewrap = [&rewrap[..], &[folder]].concat();
        world.done(&rewrap);
        let want: Vec<Option<Vec<u8>>> = [&all[..], &[b"fifth", b"sixth"]]
            .concat()
            .iter()
            .map(|content| Some(content.to_vec()))
            .collect();
        assert!(contents(&world, object, &new) == want, "{object}");
        assert!(contents(&world, object, &old).iter().all(Option::is_none));
        assert_eq!(world.cat(&format!("{object} 2"), &new), b"other");
        let ids = versions(&world, object);
        let again = lines(&world.run(&rewrap));
        assert_eq!(again.iter().filter(|line| line.contains("already")).count(), 2, "{again:?}");
        assert!(versions(&world, object) == ids, "nothing is done twice");
        // One that is deleted stays deleted.
        world.put(&format!("{folder}gone"), b"gone");
        world.done(&["rm", &format!("{folder}gone")]);
        world.done(&rewrap);
        assert!(!world.run(&["cat", &format!("{folder}gone"), "--key", &new]).status.success());
        let gone = format!("{folder}gone");
        let there = versions(&world, &gone);
        assert!(contents(&world, &gone, &new) == [Some(b"gone".to_vec())], "{there:?}");
    }
}

/// Wherever a run ends, the next one continues, and the newest version is the newest again.
#[test]
fn a_run_that_ends_anywhere_is_continued() {
    for object in ["cos://b-1/film", "oss://b-1/film"] {
        for n in 0..60 {
            let world = World::new();
            world.server.keep_versions();
            let (old, new) = (world.text("key.pem"), world.new_key());
            for content in ["first", "second", "third"] {
                world.put(object, content.as_bytes());
            }
            let rewrap = ["rewrap", object, "--key", &old, "--to-key", &new, "--all-versions"];
            let fault = if n % 2 == 0 { Fault::Cut } else { Fault::CutAfter };
            world.server.fail(n, fault);
            let first = world.run(&[&rewrap[..], &["--retries", "0"]].concat());
            let is_through = first.status.success() && world.server.heal() == 1;
            world.done(&rewrap);
            let want = ["first", "second", "third"].map(|it| Some(it.as_bytes().to_vec()));
            let got = contents(&world, object, &new);
            let shown = || got.iter().flatten().map(|it| String::from_utf8_lossy(it).into_owned());
            assert!(got == want, "{object} {n}: {:?}", shown().collect::<Vec<_>>());
            assert_eq!(world.cat(object, &new), b"third");
            if is_through {
                break;
            }
        }
    }
}

#[test]
fn where_no_versions_are_kept() {
    let world = World::new();
    let (old, new) = (world.text("key.pem"), world.new_key());
    let object = format!("file:{}/a", world.text("folder"));
    world.put(&object, b"content");
    let rewrap = ["rewrap", &object, "--key", &old, "--to-key", &new, "--all-versions"];
    let out = world.run(&rewrap);
    assert!(said(&out).contains("does not support"), "{}", said(&out));
    // A bucket that does not keep versions has one of each object, whose ID is `null`.
    world.put("cos://b-1/a", b"content");
    let rewrap = ["rewrap", "cos://b-1/a", "--key", &old, "--to-key", &new, "--all-versions"];
    let out = world.run(&rewrap);
    assert!(said(&out).contains("a bucket that keeps none"), "{}", said(&out));
    assert_eq!(world.cat("cos://b-1/a", &old), b"content");
}

/// An old version is not read with the instruction file of today.
#[test]
fn old_versions_with_instruction_files() {
    let world = World::new();
    world.server.keep_versions();
    let case = envelope_testkit::folder("cos-java").join("rsa-ctr-instruction-put");
    let read = |name: &str| std::fs::read(case.join(name)).unwrap();
    let headers: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(&read("headers.json")).unwrap();
    let headers: Vec<(String, String)> = headers.into_iter().collect();
    let body = read("cipher.bin");
    world.server.store_with("b-1", "k", &vec![7; body.len()], headers.clone());
    world.server.store_with("b-1", "k", &body, headers);
    world.server.store_with("b-1", "k.instruction", &read("instruction.json"), Vec::new());
    let key = world.private("java.pem", &read("private_key.pem"));
    let object = "cos://b-1/k";
    assert_eq!(world.cat(object, &key).len(), 1000);
    let old = versions(&world, object)[1].0.clone();
    for command in [
        &["cat", object, "--key", &key][..],
        &["verify", object, "--key", &key],
        &["mv", object, "cos://b-1/k2", "--key", &key],
        &["cp", object, "oss://b-1/k2", "--key", &key],
    ] {
        let out = world.run(&[command, &["--version-id", &old]].concat());
        assert_eq!(out.status.code(), Some(3), "{command:?}: {}", said(&out));
        assert!(out.stdout.is_empty());
    }
    assert_eq!(versions(&world, object).len(), 2);
    assert_eq!(world.cat(object, &key).len(), 1000);
}
