//! `envelope sync`: what is transferred, what is deleted, and what is not.

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

use crate::world::{World, lines, said};

/// Writes a file that is so many seconds old.
fn write(world: &World, name: &str, bytes: &[u8], age: u64) {
    let path = world.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    let time = SystemTime::now() - Duration::from_secs(age);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn world() -> World {
    let world = World::new();
    write(&world, "from/a.txt", b"first", 1000);
    write(&world, "from/b/c.txt", b"second", 1000);
    write(&world, "from/b-c", b"", 1000);
    world
}

/// The requests that are no listings.
fn transfers(world: &World, work: impl FnOnce()) -> Vec<String> {
    let before = world.server.requests().len();
    work();
    let mut after = world.server.requests().split_off(before);
    after.retain(|request| !request.contains("?prefix"));
    after
}

#[test]
fn only_what_is_different_goes_up() {
    for address in ["oss://b-1/p", "cos://b-1/p/"] {
        let world = world();
        let (from, key) = (world.text("from"), world.text("key.pem"));
        let sync = ["sync", &from, address, "--key", &key];
        assert!(world.done(&sync).contains("3 uploaded"));
        let requests = transfers(&world, || assert!(world.done(&sync).contains("3 same")));
        assert_eq!(requests, Vec::<String>::new());
        // Another length; as long, but newer; new; and something that only the target has.
        write(&world, "from/a.txt", b"another", 1000);
        write(&world, "from/b/c.txt", b"dnoces", 0);
        write(&world, "from/d", b"new", 1000);
        world.server.store("b-1", "p/extra", b"extra");
        let plan = lines(&world.run(&[&sync[..], &["--dry-run"]].concat()));
        assert_eq!(plan.len(), 3, "{plan:?}");
        assert!(plan[0].contains("to upload") && plan[0].ends_with("p/a.txt (size)"), "{plan:?}");
        assert!(world.done(&sync).contains("1 same, 3 uploaded"));
        let read =
            |key_of: &str| world.cat(&format!("{}/{key_of}", address.trim_end_matches('/')), &key);
        assert_eq!(read("a.txt"), b"another");
        assert_eq!(read("b/c.txt"), b"dnoces");
        assert!(world.server.object("b-1", "p/extra").is_some());
        // A file that is written again in the second of its upload is noticed by its time.
        write(&world, "from/d", b"wen", 0);
        assert!(world.done(&sync).contains("1 uploaded"));
        assert_eq!(read("d"), b"wen");
    }
}

#[test]
fn only_what_is_different_comes_down() {
    let world = world();
    let (from, back, key) = (world.text("from"), world.text("back"), world.text("key.pem"));
    world.done(&["sync", &from, "cos://b-1/", "--key", &key]);
    let sync = ["sync", "cos://b-1/", &back, "--key", &key];
    assert_eq!(lines(&world.run(&[&sync[..], &["-n"]].concat())).len(), 3);
    assert!(!world.path("back").exists());
    assert!(world.done(&sync).contains("3 downloaded"));
    let modified = |name: &str| world.path(name).metadata().unwrap().modified().unwrap();
    assert_eq!(modified("back/a.txt"), modified("from/a.txt"));
    let requests = transfers(&world, || assert!(world.done(&sync).contains("3 same")));
    assert!(requests.iter().all(|request| request.starts_with("HEAD")), "{requests:?}");
    // A file with another content, whatever its time and its permissions.
    write(&world, "back/b/c.txt", b"dnoces", 100_000);
    assert!(world.done(&sync).contains("1 downloaded, 2 same"));
    assert_eq!(fs::read(world.path("back/b/c.txt")).unwrap(), b"second");
    write(&world, "from/a.txt", b"other", 0);
    world.done(&["put", "--force", "-r", &from, "cos://b-1/", "--key", &key, "--include", "a.txt"]);
    write(&world, "back/mine", b"only here", 0);
    assert!(world.done(&sync).contains("1 downloaded, 2 same"));
    assert_eq!(fs::read(world.path("back/a.txt")).unwrap(), b"other");
    assert_eq!(fs::read(world.path("back/mine")).unwrap(), b"only here");
    let words = world.done(&[&sync[..], &["--delete"]].concat());
    assert!(words.contains("1 deleted, 3 same"), "{words}");
    assert!(!world.path("back/mine").exists());
}

#[test]
fn contents_are_compared_on_demand() {
    for address in ["oss://b-1/p", "cos://b-1/p"] {
        let world = world();
        let (from, back, key) = (world.text("from"), world.text("back"), world.text("key.pem"));
        let up = ["sync", &from, address, "--key", &key, "--checksum"];
        let down = ["sync", address, &back, "--key", &key, "--checksum"];
        assert!(world.done(&up).contains("3 uploaded"));
        assert!(world.done(&down).contains("3 downloaded"));
        let requests = transfers(&world, || {
            assert!(world.done(&up).contains("3 same"));
            assert!(world.done(&down).contains("3 same"));
        });
        assert!(requests.iter().all(|request| request.starts_with("HEAD")), "{requests:?}");
        // Nothing but the content tells.
        write(&world, "from/a.txt", b"First", 100_000);
        write(&world, "back/b/c.txt", b"Second", 0);
        assert!(world.done(&up).contains("2 same, 1 uploaded"));
        assert!(world.done(&down).contains("2 downloaded, 1 same"));
        assert_eq!(fs::read(world.path("back/a.txt")).unwrap(), b"First");
        assert_eq!(fs::read(world.path("back/b/c.txt")).unwrap(), b"second");
    }
}

/// Nothing is unreadable for the superuser.
#[cfg(unix)]
fn is_root() -> bool {
    let id = std::process::Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

#[test]
fn nothing_is_deleted_but_what_the_source_is_known_not_to_have() {
    let world = world();
    let (from, key) = (world.text("from"), world.text("key.pem"));
    let sync = ["sync", &from, "oss://b-1/p", "--key", &key, "--delete"];
    world.done(&sync);
    world.server.store("b-1", "p/extra", b"extra");
    world.server.store("b-1", "p/kept.log", b"excluded");
    world.server.store("b-1", "pq", b"not below p");
    let is_there = |key: &str| world.server.object("b-1", key).is_some();
    let fails = |arguments: &[&str], words: &str| {
        let out = world.run(arguments);
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        assert!(said(&out).contains(words), "{}", said(&out));
        assert!(is_there("p/extra"));
    };
    // The listing breaks off, or has another order than it should.
    world.server.set_page(2);
    for n in 1..3 {
        world.server.fail(n, Fault::SameMarker);
        fails(&sync, "could not all be found");
        world.server.heal();
    }
    world.server.set_page(1000);
    // A source that is missing, or empty.
    let out = world.run(&["sync", &world.text("none"), "oss://b-1/p", "--key", &key, "--delete"]);
    assert!(!out.status.success() && is_there("p/extra"));
    fs::create_dir(world.path("empty")).unwrap();
    let empty = world.text("empty");
    let of_nothing = ["sync", &empty, "oss://b-1/p", "--key", &key, "--delete"];
    fails(&of_nothing, "--force");
    #[cfg(unix)]
    {
        use std::os::unix::{ffi::OsStrExt as _, fs::symlink};
        // Nobody knows what a name that is not UTF-8 stands for.
        let strange = world.path("from").join(std::ffi::OsStr::from_bytes(b"\xff"));
        fs::write(&strange, "").unwrap();
        fails(&sync, "nothing is deleted");
        fs::remove_file(strange).unwrap();
        // Nor what is in a folder that cannot be read: an exclude of its name says nothing of that.
        if !is_root() {
            use std::os::unix::fs::PermissionsExt as _;
            fs::create_dir(world.path("from/secret")).unwrap();
            world.server.store("b-1", "p/secret/a", b"an object");
            let mode = |mode| fs::Permissions::from_mode(mode);
            fs::set_permissions(world.path("from/secret"), mode(0)).unwrap();
            for pattern in ["secret", "secret/b*", "*-"] {
                fails(&[&sync[..], &["--exclude", pattern]].concat(), "nothing is deleted");
            }
            fs::set_permissions(world.path("from/secret"), mode(0o700)).unwrap();
            fs::remove_dir(world.path("from/secret")).unwrap();
            world.done(&["rm", "oss://b-1/p/secret/a"]);
        }
        // A link is no file, but its path is not free, either.
        world.server.store("b-1", "p/link", b"an object");
        symlink("/", world.path("from/link")).unwrap();
        world.server.store("b-1", "p/link/below", b"an object");
    }
    // Something that cannot be uploaded.
    let long = format!("from/{}", "n/".repeat(520));
    fs::create_dir_all(world.path(&long)).unwrap();
    write(&world, &format!("{long}file"), b"", 0);
    fails(&sync, "nothing is deleted");
    fs::remove_dir_all(world.path("from/n")).unwrap();
    world.server.store("b-1", "p/b/", b"");
    let words = world.done(&[&sync[..], &["--include", "*", "--exclude", "*.log"]].concat());
    assert!(words.contains("1 deleted"), "{words}");
    assert!(is_there("p/b/"), "the marker of a folder");
    assert!(!is_there("p/extra") && is_there("p/kept.log") && is_there("pq"));
    #[cfg(unix)]
    assert!(is_there("p/link") && is_there("p/link/below"));
    world.done(&[&of_nothing[..], &["--force"]].concat());
    assert!(!is_there("p/a.txt") && is_there("pq"));

    // The other direction, from a bucket that is empty.
    write(&world, "back/mine", b"mine", 0);
    let back = world.text("back");
    let down = ["sync", "oss://b-1/none", &back, "--key", &key, "--delete"];
    let out = world.run(&down);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(world.path("back/mine").exists());
    world.done(&[&down[..], &["--force"]].concat());
    assert!(!world.path("back/mine").exists());
}

#[test]
fn both_directions_have_one_local_side() {
    let world = world();
    let key = world.text("key.pem");
    let store = format!("file:{}/", world.text("from"));
    for (from, to) in [
        ("oss://b-1/a", "oss://b-1/b"),
        ("from", "to"),
        // An underscore is no part of a bucket's name; this is no local folder.
        ("oss://b-1/a", "oss://b_1/b"),
        // The objects of a store are no files.
        (store.as_str(), &world.text("from/b")),
        (&world.text("from/b"), &store),
    ] {
        let out = world.run(&["sync", from, to, "--key", &key]);
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    }
}

#[test]
fn a_report_has_every_object_once() {
    let world = world();
    let (from, key, report) = (world.text("from"), world.text("key.pem"), world.text("report"));
    let sync = ["sync", &from, "oss://b-1/", "--key", &key, "--report", &report];
    world.done(&sync);
    let words = world.done(&sync);
    assert!(words.contains("3 done before"), "{words}");
    assert_eq!(fs::read_to_string(&report).unwrap().lines().count(), 4);
    // What has changed since is not passed over.
    write(&world, "from/a.txt", b"another", 1000);
    assert!(world.done(&sync).contains("1 uploaded"));
    world.server.store("b-1", "a.txt", b"somebody else's");
    assert!(world.done(&sync).contains("1 uploaded"));
    assert_eq!(world.cat("oss://b-1/a.txt", &key), b"another");
}

#[test]
fn what_the_command_reads_is_not_deleted() {
    let world = world();
    let key = fs::read(world.path("key.pem")).unwrap();
    world.done(&["sync", &world.text("from"), "cos://b-1/", "--key", &world.text("key.pem")]);
    write(&world, "back/my key.pem", &key, 0);
    write(&world, "back/extra", b"extra", 0);
    let (back, key, report) =
        (world.text("back"), world.text("back/my key.pem"), world.text("back/report"));
    let sync = ["sync", "cos://b-1/", &back, "--key", &key, "--report", &report, "--delete"];
    let words = world.done(&sync);
    assert!(words.contains("1 deleted"), "{words}");
    assert!(world.path("back/my key.pem").exists() && world.path("back/report").exists());
    assert!(!world.path("back/extra").exists());
    #[cfg(unix)]
    {
        world.file("outside", b"mine");
        std::os::unix::fs::symlink(world.folder.path(), world.path("back/link")).unwrap();
        assert!(!world.run(&[&sync[..], &["--follow-links"]].concat()).status.success());
        world.done(&sync);
        assert!(world.path("outside").exists());
    }
}

/// An object that is as long as its file may be anybody's.
#[test]
fn what_is_not_encrypted_is_not_the_same() {
    let world = world();
    let (from, key) = (world.text("from"), world.text("key.pem"));
    let sync = ["sync", &from, "oss://b-1/", "--key", &key];
    world.done(&sync);
    let (bytes, mut headers) = world.server.object("b-1", "a.txt").unwrap();
    headers.retain(|(name, _)| name.ends_with("-mtime"));
    write(&world, "from/a.txt", &bytes, 0);
    world.server.store_with("b-1", "a.txt", &bytes, headers);
    assert!(world.done(&sync).contains("1 uploaded"));
}
