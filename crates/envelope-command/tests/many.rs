//! Many objects in a bucket: what is deleted, counted and verified.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "support/world.rs"]
mod world;

use serde_json::Value;

use crate::world::{World, lines, said};

/// Stores small objects that nobody encrypted.
fn store_many(world: &World, prefix: &str, count: usize) {
    for n in 0..count {
        world.server.store("b-1", &format!("{prefix}{n:05}"), b"an object");
    }
}

fn is_there(world: &World, key: &str) -> bool {
    world.server.object("b-1", key).is_some()
}

#[test]
fn many_are_deleted_a_thousand_at_a_time() {
    for scheme in ["oss", "cos"] {
        let world = World::new();
        store_many(&world, "p/", 2500);
        world.server.store("b-1", "p/a & <b> %20+", b"odd");
        world.server.store("b-1", "pq", b"not below p");
        let address = format!("{scheme}://b-1/p");
        // Nobody can be asked here.
        let out = world.run(&["rm", "-r", &address]);
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        assert!(said(&out).contains("--yes"), "{}", said(&out));
        let plan = world.run(&["rm", "-r", &address, "--dry-run", "--include", "0000?"]);
        assert_eq!(lines(&plan).len(), 10);
        assert!(is_there(&world, "p/00000"));
        let words = world.done(&["rm", "-r", &address, "--yes", "--exclude", "00007"]);
        assert!(words.contains("2500 deleted"), "{words}");
        assert!(is_there(&world, "p/00007") && is_there(&world, "pq"));
        assert!(!is_there(&world, "p/00008") && !is_there(&world, "p/a & <b> %20+"));
        let posts = world.server.requests();
        let posts = posts.iter().filter(|request| request.starts_with("POST")).count();
        assert!(posts <= 5, "{posts} requests");
        let nothing = world.run(&["rm", "-r", &format!("{scheme}://b-1/none/"), "--yes"]);
        assert_eq!(nothing.status.code(), Some(2), "{}", said(&nothing));
    }
}

#[test]
fn what_is_not_there_cannot_be_deleted() {
    let world = World::new();
    store_many(&world, "p/", 1);
    for address in ["oss://b-1/none", "oss://b-1/p/*"] {
        let out = world.run(&["rm", address]);
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        assert!(said(&out).contains("no such object"), "{}", said(&out));
        assert!(world.run(&["rm", "-f", address]).status.success());
    }
    assert!(is_there(&world, "p/00000"));
    world.done(&["rm", "oss://b-1/p/00000"]);
    assert!(!is_there(&world, "p/00000"));
    assert_eq!(world.run(&["rm", "oss://b-1/p/", "--yes"]).status.code(), Some(2));
}

#[test]
fn sizes_by_folder() {
    let world = World::new();
    store_many(&world, "p/a/", 3);
    store_many(&world, "p/b/c/", 2);
    world.server.store("b-1", "p/x", &[0; 2000]);
    let out = world.run(&["du", "oss://b-1/p", "--bytes"]);
    let found: Vec<Vec<String>> = lines(&out)
        .iter()
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect();
    assert_eq!(found[0], ["27", "3", "p/a/"]);
    assert_eq!(found[1], ["18", "2", "p/b/"]);
    assert_eq!(found[2], ["2045", "6", "in", "all"]);
    let human = lines(&world.run(&["du", "oss://b-1/p"]));
    assert!(human[2].contains("2.00 KiB"), "{human:?}");
    let out = world.run(&["du", "oss://b-1/", "--json", "--include", "x"]);
    let line: Value = serde_json::from_str(&lines(&out)[1]).unwrap();
    assert_eq!((&line["objects"], &line["bytes"]), (&1.into(), &2000.into()));
    assert_eq!(world.run(&["du", "oss://b-1/none"]).status.code(), Some(2));
}

#[test]
fn every_object_is_verified_and_every_fault_is_said() {
    let world = World::new();
    let key = world.text("key.pem");
    for n in 0..5 {
        world.put(&format!("cos://b-1/p/{n}"), format!("object {n}").as_bytes());
    }
    let verify = ["verify", "-r", "cos://b-1/p", "--key", &key, "--report", &world.text("report")];
    let words = world.done(&verify);
    assert!(words.contains("5 verified (40 B)"), "{words}");
    let report = std::fs::read_to_string(world.path("report")).unwrap();
    assert!(
        report.contains(r#""checked":["store checksum","key check","seal"]"#)
            || report.contains("\"seal\""),
        "{report}"
    );
    let (bytes, headers) = world.server.object("b-1", "p/3").unwrap();
    let mut changed = bytes.to_vec();
    changed[0] ^= 1;
    world.server.store_with("b-1", "p/3", &changed, headers);
    world.server.store("b-1", "p/plain", b"not encrypted");
    let out = world.run(&["verify", "-r", "cos://b-1/p", "--key", &key]);
    assert_eq!(out.status.code(), Some(1));
    let words = said(&out);
    assert!(words.contains("2 failed, 4 verified"), "{words}");
    assert!(words.contains("p/3: ") && words.contains("p/plain: "), "{words}");
}
