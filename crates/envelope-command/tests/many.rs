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

use std::collections::{BTreeMap, BTreeSet};

use envelope_testkit::{Outcome, bucket::Fault};
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
        assert_eq!(out.status.code(), Some(6), "{}", said(&out));
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

/// Returns the lines of an audit by key.
fn audit(world: &World, arguments: &[&str]) -> (Option<i32>, BTreeMap<String, Value>) {
    let out = world.run(&[&["audit"], arguments].concat());
    let lines = lines(&out).into_iter().map(|line| {
        let line: Value = serde_json::from_str(&line).unwrap();
        (line["key"].as_str().unwrap().to_owned(), line)
    });
    (out.status.code(), lines.collect())
}

#[test]
fn an_audit_tells_what_could_be_decrypted() {
    for (address, dialect) in [("oss://b-1/p", "oss-v2"), ("cos://b-1/p", "cos-v2")] {
        let world = World::new();
        let (key, new) = (world.text("key.pem"), world.new_key());
        let put = |name: &str, key: &str, more: &[&str]| {
            let file = world.file("to put", b"twelve bytes");
            let to = format!("{address}/{name}");
            world.done(&[&["put", "--force", &file, &to, "--key", key], more].concat());
        };
        put("sealed", &key, &["--matdesc", "owner=me"]);
        put("unsealed", &key, &["--no-seal"]);
        put("other", &new, &["--bind-name"]);
        let (bytes, headers) = world.server.object("b-1", "p/sealed").unwrap();
        world.server.store_with("b-1", "p/renamed/key", &bytes, headers.clone());
        let mut broken = headers.clone();
        broken.retain(|(name, _)| !name.ends_with("-start") && !name.ends_with("-iv"));
        world.server.store_with("b-1", "p/broken", &bytes, broken);
        world.server.store("b-1", "p/plain", b"plain");
        let before = world.server.requests().len();
        let (code, lines) = audit(&world, &[address, "--key", &key]);
        assert_eq!(code, Some(1), "{lines:?}");
        let requests = world.server.requests().split_off(before);
        let heads = requests.iter().filter(|request| request.starts_with("HEAD")).count();
        assert_eq!(heads, 6, "{requests:?}");
        let status = |key: &str| lines[&format!("p/{key}")]["status"].as_str().unwrap();
        assert_eq!(status("sealed"), "opens");
        assert_eq!(status("unsealed"), "opens");
        assert_eq!(status("renamed/key"), "opens", "nothing binds it to its name");
        assert_eq!(status("other"), "locked");
        assert_eq!(status("broken"), "invalid");
        assert_eq!(status("plain"), "plain");
        let sealed = &lines["p/sealed"];
        assert_eq!(sealed["dialect"], dialect);
        assert_eq!(sealed["protection"], "sealed");
        assert_eq!(sealed["opened_by"], "key.pem");
        assert_eq!((&sealed["bytes"], &sealed["stored"]), (&12.into(), &12.into()));
        assert!(sealed["description"].as_str().unwrap().contains("owner"), "{sealed}");
        assert!(sealed["modified"].as_str().unwrap().starts_with("20"), "{sealed}");
        assert!(lines["p/unsealed"]["weaknesses"].to_string().contains("ctr-unauthenticated"));
        assert!(lines["p/other"]["error"].as_str().unwrap().len() > 10);

        // Both keys; none; and a seal that is required.
        let (_, lines) = audit(&world, &[address, "--key", &key, "--key", &new]);
        assert_eq!(lines["p/other"]["opened_by"], "private_key.pem");
        let (_, lines) = audit(&world, &[address]);
        assert_eq!(lines["p/other"]["status"], "encrypted");
        let (code, lines) = audit(&world, &[address, "--key", &key, "--require", "seal"]);
        assert_eq!(code, Some(1));
        assert_eq!(lines["p/unsealed"]["status"], "unprotected");
        assert!(lines["p/plain"].get("error").is_some());
        let good = ["--key", &key, "--key", &new, "--exclude", "broken", "--exclude", "plain"];
        assert_eq!(audit(&world, &[&[address], &good[..]].concat()).0, Some(0));
    }
}

/// Every object that any SDK has written is what the audit says that it is.
#[test]
fn an_audit_of_every_recorded_object() {
    let world = World::new();
    let (mut cases, mut keys) = (BTreeMap::new(), BTreeSet::new());
    for case in envelope_testkit::all_cases() {
        let vendor = if case.name().starts_with("cos") { "cos" } else { "oss" };
        let key = format!("{vendor}/{}", case.name());
        let headers: BTreeMap<String, String> = serde_json::from_str(&case.headers()).unwrap();
        let headers = headers.into_iter().map(|(name, value)| (name.to_lowercase(), value));
        world.server.store_with("b-1", &key, &case.body(), headers.collect());
        if let Some(instruction) = case.instruction() {
            let name = format!("{key}.instruction");
            world.server.store_with("b-1", &name, instruction.as_bytes(), Vec::new());
        }
        if case.passphrase().is_none() && case.kms().is_none() {
            keys.extend(case.key().map(|path| path.display().to_string()));
        }
        cases.insert(key, case);
    }
    let keys: Vec<&str> = keys.iter().flat_map(|key| ["--key", key]).collect();
    for vendor in ["oss", "cos"] {
        let (address, page) = (format!("{vendor}://b-1/{vendor}"), world.text("page.html"));
        let arguments = [&[address.as_str(), "--html", &page], &keys[..]].concat();
        let (_, lines) = audit(&world, &arguments);
        assert!(lines.len() >= 20, "{}", lines.len());
        for (key, line) in &lines {
            let Some(case) = cases.get(key) else {
                assert_eq!(line["status"], "instruction file", "{line}");
                continue;
            };
            let is_known = case.passphrase().is_none() && case.kms().is_none();
            match case.outcome() {
                Outcome::Refused => assert!(line.get("error").is_some(), "{line}"),
                _ if is_known => assert_eq!(line["status"], "opens", "{line}"),
                _ => assert_eq!(line["status"], "locked", "{line}"),
            }
        }
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&format!("<b>{}</b>objects", lines.len())));
    }
}

#[test]
fn an_audit_goes_on_and_its_page_has_everything() {
    let world = World::new();
    let key = world.text("key.pem");
    for n in 0..3 {
        world.put(&format!("cos://b-1/p/{n}"), b"an object");
    }
    let (report, page) = (world.text("report"), world.text("page.html"));
    let plain = ["cos://b-1/p", "--key", &key, "--report", &report];
    let arguments = [&plain[..], &["--html", &page]].concat();
    let run = |arguments: &[&str]| world.done(&[&["audit"], arguments].concat());
    assert!(run(&plain).contains("3 opens"));
    world.put("cos://b-1/p/3", b"another");
    assert!(run(&plain).contains("1 opens, 3 done before"));
    assert!(run(&arguments).contains("4 opens"), "a page is about all objects as they are");
    let first = std::fs::read_to_string(&page).unwrap();
    assert!(first.contains("<b>4</b>objects") && first.contains("\"p/0\""), "{first}");
    // A plan writes nothing, and no page takes the place of a key.
    world.run(&[&["audit"], &arguments[..], &["--dry-run"]].concat());
    assert_eq!(std::fs::read_to_string(&page).unwrap(), first);
    let onto_key = ["audit", "cos://b-1/p", "--key", &key, "--html", &key];
    assert!(!world.run(&onto_key).status.success());
    assert!(std::fs::read_to_string(&key).unwrap().contains("PRIVATE KEY"));
}

/// What was done under a weaker demand, or with another key, or before the object was written
/// again, is not done.
#[test]
fn a_report_is_of_one_job() {
    let world = World::new();
    let (key, new, report) = (world.text("key.pem"), world.new_key(), world.text("report"));
    let file = world.file("to put", b"an object");
    world.done(&["put", "--force", &file, "cos://b-1/p/1", "--key", &key, "--no-seal"]);
    let verify = ["verify", "-r", "cos://b-1/p", "--key", &key, "--report", &report];
    world.done(&verify);
    assert!(world.done(&verify).contains("1 done before"));
    let out = world.run(&[&verify[..], &["--require", "seal"]].concat());
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));

    let current = world.private("current.pem", &std::fs::read(&new).unwrap());
    let rewrap = |from: &str| {
        world.done(&[
            "rewrap",
            "-r",
            "cos://b-1/p",
            "--key",
            from,
            "--to-key",
            &current,
            "--report",
            &report,
        ])
    };
    assert!(rewrap(&key).contains("1 rewrapped"));
    assert!(rewrap(&key).contains("1 done before"));
    // Somebody writes it again, under the old key.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world.done(&["put", "--force", &file, "cos://b-1/p/1", "--key", &key, "--no-seal"]);
    assert!(rewrap(&key).contains("1 rewrapped"));
    // The file of the new key has another key.
    std::fs::copy(&key, &current).unwrap();
    assert!(rewrap(&new).contains("1 rewrapped"));
}

/// An object without an envelope may have one in another object, which takes a request.
#[test]
fn plain_objects_do_not_wait_for_themselves() {
    let world = World::new();
    store_many(&world, "p/", 40);
    let (key, back) = (world.text("key.pem"), world.text("back"));
    for parallel in ["1", "16"] {
        let verify = ["verify", "-r", "cos://b-1/p", "--key", &key, "--parallel", parallel];
        let out = world.run(&verify);
        assert!(said(&out).contains("40 failed"), "{}", said(&out));
        let words = world.done(&[&verify[..], &["--allow-plaintext"]].concat());
        assert!(words.contains("40 verified"), "{words}");
        let get = ["get", "-r", "cos://b-1/p", &back, "--key", &key, "--parallel", parallel];
        world.done(&[&get[..], &["--allow-plaintext", "--force"]].concat());
    }
}

#[cfg(unix)]
#[test]
fn a_slow_deletion_can_be_interrupted() {
    let world = World::new();
    store_many(&world, "p/", 300);
    let rm = ["rm", "-r", "oss://b-1/p", "--yes", "--rate", "20"];
    let endpoint = ["--endpoint", &world.server.url(), "--region", "cn-x"];
    let child = world.bare(&[&rm[..], &endpoint].concat()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let begun = std::time::Instant::now();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130), "{}", said(&out));
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    let left = (0..300).filter(|n| is_there(&world, &format!("p/{n:05}"))).count();
    assert!((100..300).contains(&left), "{left}");
}

#[test]
fn every_address_is_tried_and_nothing_found_is_an_error() {
    let world = World::new();
    store_many(&world, "p/", 3);
    let out = world.run(&["rm", "-r", "oss://b-1/none", "oss://b-1/p", "--yes"]);
    assert!(!out.status.success() && !is_there(&world, "p/00000"), "{}", said(&out));
    for nothing in [&["ls", "oss://b-1/none/"][..], &["ls", "oss://b-1/", "-r", "--include", "x"]] {
        assert!(!world.run(nothing).status.success());
    }
    assert!(world.run(&["ls", "oss://b-1/"]).status.success(), "a bucket may be empty");
}

#[test]
fn listings_by_level_and_in_detail() {
    for scheme in ["oss", "cos"] {
        let world = World::new();
        world.server.set_page(7);
        for folder in ["p/a/", "p/b/c/", "p/b-c/"] {
            store_many(&world, folder, 20);
        }
        let key = world.text("key.pem");
        let file = world.file("to put", b"twelve bytes");
        let sealed = format!("{scheme}://b-1/p/sealed");
        world.done(&["put", "--force", &file, &sealed, "--key", &key]);
        world.server.store("b-1", "pq", &[0; 5000]);
        let names = |arguments: &[&str]| -> Vec<String> {
            let out = world.run(&[&["ls"], arguments].concat());
            assert!(out.status.success(), "{}", said(&out));
            let name = |line: String| line.split_whitespace().last().unwrap().to_owned();
            lines(&out).into_iter().map(name).collect()
        };
        let address = |path: &str| format!("{scheme}://b-1/{path}");
        assert_eq!(names(&[&address("")]), ["p/", "pq"]);
        assert_eq!(names(&[&address("p")]), ["p/", "pq"]);
        assert_eq!(names(&[&address("p/")]), ["p/a/", "p/b-c/", "p/b/", "p/sealed"]);
        assert_eq!(names(&[&address("p/b")]), ["p/b-c/", "p/b/"]);
        assert_eq!(names(&[&address("p/b/c/")]).len(), 20);
        assert_eq!(names(&[&address("p"), "-r"]).len(), 62);
        assert_eq!(names(&[&address("p/"), "-r", "--include", "a/*1"]), ["p/a/00001", "p/a/00011"]);
        let long = lines(&world.run(&["ls", "-l", &address("p/")]));
        let words: Vec<&str> = long[3].split_whitespace().collect();
        let dialect = format!("{scheme}-v2");
        assert_eq!(words[2..], ["12", &dialect, "sealed", "p/sealed"], "{long:?}");
        let out = world.run(&["ls", "-H", "--total", &address("pq")]);
        assert!(lines(&out)[0].contains("4.88 KiB"), "{:?}", lines(&out));
        assert!(said(&out).contains("1 objects, 4.88 KiB"), "{}", said(&out));
        let json = lines(&world.run(&["ls", "--json", "-l", &address("p/")]));
        let json: Vec<Value> = json.iter().map(|it| serde_json::from_str(it).unwrap()).collect();
        assert_eq!(json[0]["folder"], "p/a/");
        assert_eq!((&json[3]["plain_bytes"], &json[3]["dialect"]), (&12.into(), &dialect.into()));
    }
}

#[test]
fn open_uploads_are_listed_and_aborted() {
    for scheme in ["oss", "cos"] {
        let world = World::new();
        world.server.set_page(3);
        let (key, file) = (world.text("key.pem"), world.file("large", &[7; 3 << 20]));
        for n in 0..7 {
            let to = format!("{scheme}://b-1/p/{n} &");
            let sizes = ["--threshold", "1MiB", "--part-size", "1MiB", "--timeout", "0"];
            // The first part is refused, and the upload stays open for the same command. Another
            // part in flight could arrive late, and be taken for a request of the next one.
            let sizes = [&sizes[..], &["--parallel", "1"]].concat();
            world.server.fail(1, Fault::Denied);
            world.run(&[&["put", "--force", &file, &to, "--key", &key], &sizes[..]].concat());
            world.server.heal();
        }
        assert_eq!(world.server.open_uploads(), 7);
        let address = format!("{scheme}://b-1/p");
        let listed = lines(&world.run(&["uploads", "ls", &address]));
        assert_eq!(listed.len(), 7, "{listed:?}");
        assert!(listed[3].ends_with("  p/3 &") && listed[3].starts_with("20"), "{listed:?}");
        assert!(lines(&world.run(&["uploads", "ls", &format!("{scheme}://b-1/q/")])).is_empty());
        // None of them is that old.
        let abort = ["uploads", "abort", &address, "--older-than"];
        assert!(world.done(&[&abort[..], &["1d"]].concat()).contains("no objects"));
        assert_eq!(world.server.open_uploads(), 7);
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let plan = world.run(&[&abort[..], &["0s", "--dry-run", "--include", "3*"]].concat());
        assert_eq!(lines(&plan).len(), 1);
        let words = world.done(&[&abort[..], &["0s", "--exclude", "3*"]].concat());
        assert!(words.contains("6 aborted"), "{words}");
        assert_eq!(world.server.open_uploads(), 1);
    }
}

/// What an inventory names is all that is worked on, as far as it is below the address.
#[test]
fn an_inventory_instead_of_a_listing() {
    let world = World::new();
    let key = world.text("key.pem");
    for name in ["a", "b", "c/d", "other"] {
        let folder = if name == "other" { "" } else { "p/" };
        world.put(&format!("oss://b-1/{folder}{name}"), name.as_bytes());
    }
    let rows = "\"b-1\",\"p/a\"\n\"b-1\",\"p/c%2Fd\"\n\"b-1\",\"other\"\n\"b-1\",\"p/none\"\n\
        \"b-9\",\"p/b\"\n";
    let file = world.file("inventory.csv", rows.as_bytes());
    let more = ["--inventory", &file];
    let run = |arguments: &[&str]| {
        let out = world.run(&[arguments, &more[..]].concat());
        (out.status.code(), said(&out))
    };
    // The object that is gone and that of another bucket fail, and the others do not.
    let into = world.text("into");
    let (status, told) = run(&["get", "-r", "oss://b-1/p", &into, "--key", &key]);
    assert!(status == Some(1) && told.contains("2 downloaded, 2 failed"), "{told}");
    assert!(
        told.contains("another bucket: oss://b-9") && told.contains("p/none: no such"),
        "{told}"
    );
    assert_eq!(std::fs::read(world.path("into/c/d")).unwrap(), b"c/d");
    assert!(!world.path("into/b").exists() && !world.path("into/other").exists());
    let (status, told) = run(&["verify", "-r", "oss://b-1/p", "--key", &key]);
    assert!(status == Some(1) && told.contains("2 verified"), "{told}");
    let (status, told) = run(&["cp", "-r", "oss://b-1/p", "oss://b-2/q"]);
    assert!(status == Some(1) && told.contains("2 copied"), "{told}");
    let (_, told) = run(&["rm", "-r", "oss://b-1/p", "--yes", "--dry-run"]);
    assert!(told.contains("3 to delete"), "{told}");
    let (_, told) = run(&["rm", "-r", "oss://b-1/p", "--yes"]);
    assert!(told.contains("3 deleted, 1 failed"), "{told}");
    for (name, is_there) in [("p/a", false), ("p/b", true), ("p/c/d", false), ("other", true)] {
        assert_eq!(world.server.object("b-1", name).is_some(), is_there, "{name}");
    }
    let out = world.run(&["verify", "oss://b-1/p/b", "--key", &key, "--inventory", &file]);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
}
