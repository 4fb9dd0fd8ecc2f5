//! `cp` and `mv`: one object and many, within a service and from one to the other.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail loudly")]

#[path = "support/world.rs"]
mod world;

use std::fs;

use envelope_testkit::bucket::Fault;

use self::world::{World, lines, said};

fn seen(world: &World, address: &str) -> Vec<u8> {
    world.cat(address, &world.text("key.pem"))
}

fn keys(world: &World, prefix: &str) -> Vec<String> {
    let mut keys: Vec<String> = lines(&world.run(&["ls", "-r", prefix]))
        .iter()
        .map(|line| line.rsplit("  ").next().unwrap().to_owned())
        .collect();
    keys.sort();
    keys
}

#[test]
fn one_object_within_a_service_and_to_the_other() {
    let world = World::new();
    let key = world.text("key.pem");
    for (from, other) in [("oss", "cos"), ("cos", "oss")] {
        let object = format!("{from}://b-1/a/film");
        world.put(&object, b"content");
        // A service copies within itself, and needs no key.
        world.done(&["cp", &object, &format!("{from}://b-2/films/"), "--force"]);
        assert_eq!(seen(&world, &format!("{from}://b-2/films/film")), b"content");
        assert_eq!(seen(&world, &object), b"content");
        let across = format!("{other}://b-3/film");
        let out = world.run(&["cp", "--force", &object, &across]);
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        assert!(said(&out).contains("--key"), "{}", said(&out));
        let told = world.done(&["cp", "--force", &object, &across, "--key", &key, "--json"]);
        assert!(told.contains("\"rewrapped\":true"), "{told}");
        let new = world.new_key();
        world.done(&["mv", &object, &across, "--key", &key, "--to-key", &new, "--force"]);
        assert_eq!(world.cat(&across, &new), b"content");
        let out = world.run(&["cat", &object, "--key", &key]);
        assert!(said(&out).contains("no such object"), "{}", said(&out));
        fs::remove_dir_all(world.path("new")).unwrap();
        // To a folder and back.
        let (file, back) = (format!("file:{}/", world.text("folder")), format!("{from}://b-4/x"));
        world.done(&["cp", &format!("{from}://b-2/films/film"), &file]);
        world.done(&["mv", "--force", &format!("{file}film"), &back]);
        assert_eq!(seen(&world, &back), b"content");
        assert!(!world.path("folder/film").exists());
    }
}

#[test]
fn what_cannot_be_copied() {
    let world = World::new();
    let key = world.text("key.pem");
    world.put("oss://b-1/a", b"content");
    for (command, status) in [
        (&["cp", "oss://b-1/a", "oss://b-1/a"][..], 2),
        (&["mv", "oss://b-1/a", "oss://b-1/a"], 2),
        (&["mv", "-r", "oss://b-1/a/", "oss://b-1/"], 2),
        (&["cp", "-r", "oss://b-1/", "oss://b-1/a/b"], 2),
        (&["cp", "oss://b-1/", "oss://b-2/"], 2),
        (&["cp", "oss://b-1/a", "oss://b-2/a", "--dry-run"], 2),
        (&["cp", "oss://b-1/a", "oss://b-2/a", "--to-key", &key], 2),
        (&["cp", "oss://b-1/a", "oss://b-2/a", "--require", "seal"], 2),
        (&["cp", "oss://b-1/none", "oss://b-2/a"], 6),
        (&["cp", "-r", "oss://b-1/none", "oss://b-2/a"], 2),
    ] {
        let out = world.run(command);
        assert_eq!(out.status.code(), Some(status), "{command:?}: {}", said(&out));
    }
    assert_eq!(seen(&world, "oss://b-1/a"), b"content");
    assert!(keys(&world, "oss://b-2/").is_empty());
    // A folder that is the same under another name.
    let folder = format!("file:{}/", world.text("folder"));
    world.done(&["cp", "oss://b-1/a", &format!("{folder}b")]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(world.path("folder"), world.path("link")).unwrap();
        let out =
            world.run(&["mv", &format!("{folder}b"), &format!("file:{}/b", world.text("link"))]);
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        assert_eq!(seen(&world, &format!("{folder}b")), b"content");
    }
}

#[test]
fn many_objects_with_a_report() {
    let world = World::new();
    let (key, report) = (world.text("key.pem"), world.text("report"));
    for n in 0..12 {
        world.put(&format!("cos://b-1/from/{}/{n}", n % 3), format!("content {n}").as_bytes());
    }
    let cp = ["cp", "-r", "cos://b-1/from", "oss://b-2/to", "--key", &key];
    let plan = lines(&world.run(&[&cp[..], &["--dry-run", "--exclude", "/2/"]].concat()));
    assert_eq!(plan.len(), 8, "{plan:?}");
    assert!(keys(&world, "oss://b-2/").is_empty());
    let more = ["--report", &report, "--retries", "0", "--parallel", "2"];
    world.server.fail(6, Fault::Error);
    let out = world.run(&[&cp[..], &more].concat());
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    let told = world.done(&[&cp[..], &more].concat());
    assert!(told.contains("done before"), "{told}");
    for n in 0..12 {
        let address = format!("oss://b-2/to/{}/{n}", n % 3);
        assert_eq!(seen(&world, &address), format!("content {n}").as_bytes());
    }
    // What is there already is passed over.
    let told = world.done(&[&cp[..], &["--only-new"]].concat());
    assert!(told.contains("12 exists"), "{told}");
    let told = world.done(&["cp", "-r", "cos://b-1/from", "cos://b-3/to", "--only-new"]);
    assert!(told.contains("12 copied"), "{told}");
    let told = world.done(&["cp", "-r", "cos://b-1/from", "cos://b-3/to", "--only-new"]);
    assert!(told.contains("12 already"), "{told}");
    let told = world.done(&["mv", "-r", "cos://b-1/from", "cos://b-4/", "--include", "1/"]);
    assert!(told.contains("4 moved"), "{told}");
    assert_eq!(keys(&world, "cos://b-4/"), ["1/1", "1/10", "1/4", "1/7"]);
    assert_eq!(keys(&world, "cos://b-1/").len(), 8);
    // Nothing is left to be moved.
    let out = world.run(&["mv", "-r", "cos://b-1/from/1", "cos://b-4/"]);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
}

#[test]
fn instruction_files_go_with_their_objects() {
    let world = World::new();
    let case = envelope_testkit::folder("cos-java").join("rsa-ctr-instruction-put");
    let read = |name: &str| fs::read(case.join(name)).unwrap();
    let headers: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(&read("headers.json")).unwrap();
    let headers: Vec<(String, String)> = headers.into_iter().collect();
    world.server.store_with("b-1", "java/object", &read("cipher.bin"), headers);
    let file = "java/object.instruction";
    world.server.store_with("b-1", file, &read("instruction.json"), Vec::new());
    let key = world.private("java.pem", &read("private_key.pem"));
    let before = world.cat("cos://b-1/java/object", &key);
    assert_eq!(before.len(), 1000);
    let out = world.run(&["cp", "cos://b-1/java/object", "cos://b-2/object"]);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    let told = world.done(&["cp", "-r", "cos://b-1/java", "cos://b-2/", "--key", &key]);
    assert!(told.contains("1 copied") && told.contains("1 instruction file"), "{told}");
    assert_eq!(world.cat("cos://b-2/object", &key), before);
    let told = world.done(&["mv", "-r", "cos://b-1/java", "oss://b-3/", "--key", &key]);
    assert!(told.contains("1 moved"), "{told}");
    assert_eq!(world.cat("oss://b-3/object", &key), before);
    assert!(keys(&world, "cos://b-1/").is_empty());
}

#[test]
fn customer_keys_of_the_source_and_of_the_copy() {
    let world = World::over_tls();
    let (one, other) = (
        world.private("one.key", b"00000000000000000000000000000001"),
        world.private("other.key", b"00000000000000000000000000000002"),
    );
    let (file, key) = (world.file("file", b"content"), world.text("key.pem"));
    let sse = |key: &'static str| ["--sse", "customer", key];
    let put = ["put", "--force", &file, "cos://b-1/a/object", "--key", &key];
    world.done(&[&put[..], &sse("--sse-key"), &[&one]].concat());
    let read = |address: &str, sse: &[&str]| {
        world.run(&[&["cat", address, "--key", &key][..], sse].concat()).stdout
    };
    let cp = ["cp", "--force", "cos://b-1/a/object", "cos://b-2/object"];
    assert!(!world.run(&cp).status.success());
    // With a key, with another one, and without any.
    world.done(&[&cp[..], &["--source-sse-key", &one]].concat());
    assert_eq!(read("cos://b-2/object", &[]), b"content");
    world.done(&[&cp[..], &["--source-sse-key", &one], &sse("--sse-key"), &[&other]].concat());
    assert_eq!(read("cos://b-2/object", &["--sse-key", &other]), b"content");
    assert!(read("cos://b-2/object", &["--sse-key", &one]).is_empty());
    let back = ["mv", "cos://b-2/object", "cos://b-3/object", "--source-sse-key", &other];
    world.done(&[&back[..], &["--sse", "cos"]].concat());
    let (_, headers) = world.server.object("b-3", "object").unwrap();
    let cos = ("x-cos-server-side-encryption".to_owned(), "AES256".to_owned());
    assert!(headers.contains(&cos), "{headers:?}");
    // It is kept, or not, and goes to the other service.
    world.done(&["cp", "cos://b-3/object", "cos://b-4/object"]);
    assert!(world.server.object("b-4", "object").unwrap().1.contains(&cos));
    world.done(&["cp", "-r", "cos://b-3/", "oss://b-5/", "--key", &key, "--sse", "oss"]);
    assert_eq!(read("oss://b-5/object", &[]), b"content");
    let many = ["cp", "-r", "cos://b-1/a", "cos://b-6/", "--source-sse-key", &one];
    world.done(&[&many[..], &sse("--sse-key"), &[&other]].concat());
    assert_eq!(read("cos://b-6/object", &["--sse-key", &other]), b"content");
}

#[test]
fn a_bound_name_and_other_attributes() {
    let world = World::new();
    let (file, key) = (world.file("file", b"content"), world.text("key.pem"));
    world.done(&[
        "put",
        "--force",
        &file,
        "cos://b-1/a",
        "--key",
        &key,
        "--bind-name",
        "--tag",
        "a=b",
    ]);
    let cp = ["cp", "cos://b-1/a", "cos://b-1/b"];
    let out = world.run(&cp);
    assert!(said(&out).contains("bound to its name"), "{}", said(&out));
    let more = ["--key", &key, "--storage-class", "STANDARD_IA", "--acl", "private"];
    world.done(&[&cp[..], &more].concat());
    assert_eq!(seen(&world, "cos://b-1/b"), b"content");
    let (_, headers) = world.server.object("b-1", "b").unwrap();
    for (name, value) in [
        ("x-cos-storage-class", "STANDARD_IA"),
        ("x-cos-acl", "private"),
        ("x-cos-tagging", "a=b"),
        ("content-type", "application/octet-stream"),
    ] {
        let pair = (name.to_owned(), value.to_owned());
        assert!(headers.contains(&pair), "{pair:?} in {headers:?}");
    }
}

/// Every object that any SDK has written reads the same after it went to the other service, or does
/// not go there.
#[test]
fn every_recorded_object_to_the_other_service() {
    let world = World::new();
    let (mut copied, mut refused) = (0, 0);
    for case in envelope_testkit::all_cases() {
        let is_known = case.passphrase().is_none() && case.kms().is_none();
        let Some(key) = case.key().filter(|_| is_known) else { continue };
        let (from, to) = match case.name().starts_with("cos") {
            true => ("cos://b-1/", "oss://b-1/"),
            false => ("oss://b-1/", "cos://b-1/"),
        };
        let (from, to) = (format!("{from}from/{}", case.name()), format!("{to}to"));
        let name = format!("from/{}", case.name());
        let headers: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&case.headers()).unwrap();
        let headers = headers.into_iter().map(|(name, value)| (name.to_lowercase(), value));
        world.server.store_with("b-1", &name, &case.body(), headers.collect());
        if let Some(instruction) = case.instruction() {
            let name = format!("{name}.instruction");
            world.server.store_with("b-1", &name, instruction.as_bytes(), Vec::new());
        }
        let (key, new) = (key.display().to_string(), world.text("key.pem"));
        let before = world.run(&["cat", &from, "--key", &key, "--delayed"]);
        let out = world.run(&["cp", &from, &to, "--key", &key, "--to-key", &new]);
        match out.status.success() {
            true => {
                let after = world.run(&["cat", &to, "--key", &new]);
                let same = (before.status.code(), &before.stdout);
                assert!((after.status.code(), &after.stdout) == same, "{}", case.name());
                copied += 1;
            }
            false => {
                let told = said(&out);
                let is_right = told.contains("does not support AES-256-")
                    || (told.contains("missing or damaged") && case.name().ends_with("TRUNCATED"));
                assert!(is_right, "{}: {told}", case.name());
                assert!(world.server.object("b-1", "to").is_none(), "{}", case.name());
                refused += 1;
            }
        }
        world.run(&["rm", "--force", &to]);
    }
    assert!(copied >= 30 && refused >= 5, "{copied} copied, {refused} refused");
}

#[cfg(unix)]
#[test]
fn links_lead_nowhere() {
    use std::os::unix::fs::symlink;
    let world = World::new();
    let file = |name: &str| format!("file:{}", world.text(name));
    for name in ["a", "b"] {
        world.put(&format!("{}/{name}", file("real")), name.as_bytes());
    }
    symlink(world.path("real"), world.path("link")).unwrap();
    fs::create_dir(world.path("d")).unwrap();
    world.put(&format!("{}/x", file("d")), b"x");
    // The same objects by another name.
    let (real, link) = (file("real"), file("link"));
    let up = format!("file:{}/new/../d/x", world.folder.path().display());
    for command in [
        &["mv", "-r", "--only-new", &real, &link][..],
        &["mv", "-r", &format!("{real}/"), &format!("{link}/")],
        &["mv", "--only-new", &format!("{real}/a"), &format!("{link}/a")],
        &["mv", &format!("{}/x", file("d")), &up],
        &["cp", "-r", &real, &format!("{link}/c")],
    ] {
        let out = world.run(command);
        assert_eq!(out.status.code(), Some(2), "{command:?}: {}", said(&out));
    }
    for (name, content) in [("real/a", b"a"), ("real/b", b"b"), ("d/x", b"x")] {
        assert_eq!(seen(&world, &file(name)), content);
    }
    // A key of a bucket does not lead out of the folder.
    fs::create_dir(world.path("outside")).unwrap();
    fs::write(world.path("outside/x"), b"mine").unwrap();
    fs::create_dir(world.path("target")).unwrap();
    symlink(world.path("outside"), world.path("target/link")).unwrap();
    world.put("oss://b-1/link/x", b"evil");
    world.put("oss://b-1/good", b"good");
    let target = format!("{}/", file("target"));
    let out = world.run(&["cp", "-r", "oss://b-1/", &target]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(said(&out).contains("link is not followed"), "{}", said(&out));
    assert_eq!(fs::read(world.path("outside/x")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(world.path("outside")).unwrap().count(), 1);
    assert_eq!(seen(&world, &format!("{target}good")), b"good");
}

#[test]
fn objects_that_are_only_called_like_instruction_files() {
    let world = World::new();
    for name in ["a", "a.instruction", "b.instruction"] {
        world.put(&format!("cos://b-1/d/{name}"), name.as_bytes());
    }
    let told = world.done(&["cp", "-r", "cos://b-1/d", "cos://b-2/"]);
    assert!(told.contains("3 copied"), "{told}");
    world.done(&["mv", "-r", "cos://b-1/d", "cos://b-3/"]);
    assert_eq!(keys(&world, "cos://b-3/"), ["a", "a.instruction", "b.instruction"]);
}

#[test]
fn what_was_changed_meanwhile_does_not_exist_yet() {
    let world = World::new();
    world.put("oss://b-1/d/a", b"content");
    let report = world.text("report");
    let cp = ["cp", "-r", "oss://b-1/d", "oss://b-2/", "--only-new", "--report", &report];
    // The listing, a look, the access, two looks at the target, and then the copy is refused.
    world.server.fail(5, Fault::Changed);
    let out = world.run(&cp);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(said(&out).contains("another writer changed"), "{}", said(&out));
    world.done(&cp);
    assert_eq!(seen(&world, "oss://b-2/a"), b"content");
}

#[test]
fn plaintext_goes_nowhere_unasked() {
    let world = World::new();
    fs::create_dir(world.path("folder")).unwrap();
    fs::write(world.path("folder/plain"), b"content").unwrap();
    let folder = format!("file:{}/", world.text("folder"));
    let key = world.text("key.pem");
    for command in [
        &["cp", "-r", &folder, "oss://b-1/"][..],
        &["cp", "-r", &folder, "cos://b-1/", "--key", &key],
        &["mv", &format!("{folder}plain"), "oss://b-1/"],
    ] {
        assert!(!world.run(command).status.success(), "{command:?}");
    }
    assert!(keys(&world, "oss://b-1/").is_empty());
    world.done(&["cp", "-r", &folder, "oss://b-1/", "--allow-plaintext"]);
    assert_eq!(keys(&world, "oss://b-1/"), ["plain"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_copy_ends() {
    let world = World::new();
    world.put("oss://b-1/a", b"content");
    world.server.fail(0, Fault::Hang);
    let child = world.command(&["mv", "oss://b-1/a", "oss://b-2/a"]).spawn().unwrap();
    assert!(world.server.wait_hung(std::time::Duration::from_secs(20)));
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let begun = std::time::Instant::now();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130), "{}", said(&out));
    // Requests that get no answer end after a minute.
    assert!(begun.elapsed().as_secs() < 30, "it waited for the store");
    assert_eq!(seen(&world, "oss://b-1/a"), b"content");
}
