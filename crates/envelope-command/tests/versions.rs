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
    lines(&out)
        .iter()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
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
        world.done(&[&["cp", object, object][..], &first].concat());
        assert_eq!(world.cat(object, &key), b"first");
        assert_eq!(versions(&world, object).len(), 4);
        // A version that is moved is that one, and not the current one.
        world.done(&["mv", object, &other, "--version-id", &all[1].0]);
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
