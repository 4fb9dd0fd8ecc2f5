//! Encryption by the store, with a key of the customer above all, from the command.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail loudly")]

#[path = "support/world.rs"]
mod world;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use envelope_testkit::bucket::LoopbackBucket;

use self::world::{World, lines, said};

const KEY: &str = "00000000000000000000000000000001";
const OBJECT: &str = "cos://b-1/an/object";

fn world() -> (World, String, String) {
    let world = World::over_tls();
    let key = world.private("customer.key", KEY.as_bytes());
    let other = world.private("other.key", b"MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDI=\n");
    (world, key, other)
}

#[test]
fn a_customer_key_on_every_command() {
    let (world, key, other) = world();
    let master = world.text("key.pem");
    let bytes: Vec<u8> = (0..3_u32 << 20).map(|n| (n % 251).to_le_bytes()[0]).collect();
    let file = world.file("file", &bytes);
    let sse = ["--sse", "customer", "--sse-key", &key];
    for more in [&[][..], &["--threshold", "1MiB", "--part-size", "1MiB"]] {
        let put = ["put", "--force", &file, OBJECT, "--key", &master];
        world.done(&[&put[..], &sse, more].concat());
        for read in [&["cat", OBJECT][..], &["get", OBJECT, "-o", "-"]] {
            let out = world.run(&[read, &["--key", &master], &sse].concat());
            assert!(out.stdout == bytes, "{}", said(&out));
            // The key alone says enough.
            let out = world.run(&[read, &["--key", &master, "--sse-key", &key]].concat());
            assert!(out.stdout == bytes, "{}", said(&out));
            for wrong in [&["--sse-key", &other][..], &[]] {
                let out = world.run(&[read, &["--key", &master], wrong].concat());
                assert!(!out.status.success() && out.stdout.is_empty());
            }
        }
        let range = ["cat", OBJECT, "--key", &master, "--range", "1000000-1000009"];
        let out = world.run(&[&range[..], &sse].concat());
        assert_eq!(out.stdout, &bytes[1_000_000..1_000_010], "{}", said(&out));
        for command in [
            &["verify", OBJECT, "--key", &master][..],
            &["verify", "-r", "cos://b-1/an/", "--key", &master],
            &["inspect", OBJECT],
            &["ls", "-l", "cos://b-1/an/"],
            &["audit", "cos://b-1/an/", "--key", &master],
            &["rewrap", OBJECT, "--key", &master, "--to-key", &master],
            &["rewrap", "-r", "cos://b-1/an/", "--key", &master, "--to-key", &master],
        ] {
            world.done(&[command, &sse].concat());
        }
        let folder = world.text("a new folder");
        let get = ["get", "-r", "cos://b-1/an/", &folder, "--key", &master, "--force"];
        world.done(&[&get[..], &sse].concat());
        assert!(std::fs::read(world.path("a new folder/object")).unwrap() == bytes);
        world.done(&["rm", OBJECT, "--sse-key", &key]);
    }
    // Nobody is shown the key.
    let put = ["put", "--force", &file, OBJECT, "--key", &master, "--json"];
    assert!(!world.done(&[&put[..], &sse].concat()).contains("MDAwMD"));
    assert!(!said(&world.run(&["cat", OBJECT, "--sse-key", &other])).contains("MDAwMD"));
}

#[test]
fn a_customer_key_is_not_sent_in_the_clear() {
    let world = World::new();
    let key = world.private("customer.key", KEY.as_bytes());
    let (file, master) = (world.file("file", b"content"), world.text("key.pem"));
    for command in [
        &[
            "put",
            "--force",
            &file,
            OBJECT,
            "--key",
            &master,
            "--sse",
            "customer",
            "--sse-key",
            &key,
        ][..],
        &["put", "--force", &file, OBJECT, "--plain", "--sse-key", &key],
        &["cat", OBJECT, "--key", &master, "--sse-key", &key],
        &["restore", OBJECT, "--sse-key", &key],
    ] {
        let out = world.run(command);
        assert!(!out.status.success());
        assert!(said(&out).contains("must not be sent over plain HTTP"), "{}", said(&out));
    }
    assert!(world.server.requests().is_empty());
}

#[test]
fn what_belongs_together_is_given_together() {
    let (world, key, _) = world();
    let (file, master) = (world.file("file", b"content"), world.text("key.pem"));
    let put = |to: &str, more: &[&str]| {
        world.run(&[&["put", "--force", &file, to, "--key", &master][..], more].concat())
    };
    for more in [
        &["--sse", "customer"][..],
        &["--sse", "cos", "--sse-key", &key],
        &["--sse", "customer", "--sse-key", &key, "--sse-context", "a=b"],
    ] {
        let out = put(OBJECT, more);
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    }
    for to in ["oss://b-1/object", "file:/tmp/x/object"] {
        let out = put(to, &["--sse", "customer", "--sse-key", &key]);
        assert!(said(&out).contains("does not support"), "{}", said(&out));
    }
    let short = world.private("short.key", b"too short");
    let out = put(OBJECT, &["--sse", "customer", "--sse-key", &short]);
    assert_eq!(out.status.code(), Some(4), "{}", said(&out));
    assert!(world.server.requests().is_empty());
}

#[test]
fn plain_objects_with_encryption_by_the_store() {
    let (world, key, _) = world();
    let file = world.file("file.txt", b"content");
    world.done(&[
        "put",
        "--force",
        &file,
        OBJECT,
        "--plain",
        "--sse",
        "customer",
        "--sse-key",
        &key,
    ]);
    let (bytes, headers) = world.server.object("b-1", "an/object").unwrap();
    assert_eq!(&bytes[..], b"content");
    assert!(!headers.iter().any(|(name, _)| name.contains("client-side")));
    let out = world.run(&["cat", OBJECT, "--sse-key", &key]);
    assert_eq!(out.status.code(), Some(3), "{}", said(&out));
    let out = world.run(&["cat", OBJECT, "--sse-key", &key, "--allow-plaintext"]);
    assert_eq!(out.stdout, b"content", "{}", said(&out));
    world.done(&["put", "--force", &file, "oss://b-1/folder/", "--plain", "--sse", "oss"]);
    let (_, headers) = world.server.object("b-1", "folder/file.txt").unwrap();
    assert!(headers.contains(&("content-type".to_owned(), "text/plain".to_owned())));
    // A tree, and a large file in parts.
    let tree = world.path("tree/below");
    std::fs::create_dir_all(&tree).unwrap();
    std::fs::write(tree.join("large"), vec![7; 3 << 20]).unwrap();
    let parts = ["--threshold", "1MiB", "--part-size", "1MiB"];
    let put =
        ["put", "--force", "-r", &world.text("tree"), "cos://b-1/tree", "--plain", "--sse", "cos"];
    world.done(&[&put[..], &parts].concat());
    assert_eq!(world.server.object("b-1", "tree/below/large").unwrap().0.len(), 3 << 20);
    // It is the whole object that has no key.
    let out =
        world.run(&["put", "--force", &file, OBJECT, "--plain", "--key", &world.text("key.pem")]);
    assert_eq!(out.status.code(), Some(2));
    let out = world.run(&["put", "--force", "-", OBJECT, "--plain"]);
    assert!(said(&out).contains("regular files only"), "{}", said(&out));
}

#[test]
fn archived_objects_are_restored() {
    let (world, key, other) = world();
    let (file, master) = (world.file("file", b"content"), world.text("key.pem"));
    let archive = ["--key", &master, "--storage-class", "ARCHIVE"];
    let sse = ["--sse", "customer", "--sse-key", &key];
    world.done(&[&["put", "--force", &file, OBJECT][..], &archive, &sse].concat());
    let cat = || world.run(&["cat", OBJECT, "--key", &master, "--sse-key", &key]);
    let out = cat();
    assert!(said(&out).contains("envelope restore"), "{}", said(&out));
    let restore = ["restore", OBJECT, "--days", "3", "--tier", "Expedited"];
    assert!(!world.run(&restore).status.success());
    assert!(!world.run(&[&restore[..], &["--sse-key", &other]].concat()).status.success());
    let status = || lines(&world.run(&["restore", OBJECT, "--status", "--sse-key", &key]));
    assert_eq!(status(), ["not restored"]);
    world.done(&[&restore[..], &["--sse", "customer", "--sse-key", &key]].concat());
    assert_eq!(status(), ["restored until Fri, 01 Jan 2100 00:00:00 GMT"]);
    assert_eq!(cat().stdout, b"content");
    // Once more does no harm.
    world.done(&[&restore[..], &["--sse-key", &key]].concat());

    for (vendor, class) in [("cos", "DEEP_ARCHIVE"), ("oss", "ColdArchive")] {
        let to = format!("{vendor}://b-1/{vendor}/");
        let put = ["put", "--force", &file, &to, "--key", &master];
        world.done(&[&put[..], &["--storage-class", class]].concat());
        let standard = format!("{to}standard");
        world.done(&["put", "--force", &file, &standard, "--key", &master]);
        let out = world.run(&["restore", &standard]);
        assert!(!out.status.success(), "{}", said(&out));
        let report = world.text(&format!("{vendor}.ndjson"));
        let said = world.done(&["restore", "-r", &to, "--report", &report]);
        assert!(said.contains("1 restoring") && said.contains("1 not archived"), "{said}");
        world.done(&["cat", &format!("{to}file"), "--key", &master]);
    }
    let out = world.run(&["restore", "-r", "cos://b-1/nothing/"]);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
}

#[test]
fn only_trusted_servers_and_the_proxy_that_is_named() {
    let world = World::over_tls();
    let (file, master) = (world.file("file", b"content"), world.text("key.pem"));
    // Nobody vouches for this one.
    let unknown = LoopbackBucket::start_tls();
    let ls = ["ls", "cos://b-1/", "--endpoint", &unknown.url(), "--region", "x", "--retries", "0"];
    let ca = ["--ca-file", &world.text("ca.pem")];
    for more in [&[][..], &ca] {
        let out = world.bare(&[&ls[..], more].concat()).output().unwrap();
        assert!(!out.status.success(), "{}", said(&out));
    }
    let junk = world.file("junk.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n");
    for bad in [&["--ca-file", &junk][..], &["--ca-file", &file], &["--proxy", "ftp://x"]] {
        let out = world.bare(&[&ls[..], bad].concat()).output().unwrap();
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    }
    assert!(unknown.requests().is_empty());
    let (proxy, seen) = proxy();
    let put = ["put", "--force", &file, OBJECT, "--key", &master];
    world.done(&[&put[..], &["--proxy", &proxy]].concat());
    let seen = seen.lock().unwrap().clone();
    let host = world.server.url().replace("https://", "");
    assert!(
        !seen.is_empty() && seen.iter().all(|line| *line == format!("CONNECT {host} HTTP/1.1"))
    );
    let before = world.server.requests().len();
    // A proxy that is not there is not passed by; its password is not told.
    let proxy = ["--proxy", "http://user:secret@127.0.0.1:9", "--retries", "0"];
    let out = world.run(&[&put[..], &proxy].concat());
    assert!(!out.status.success() && !said(&out).contains("secret"), "{}", said(&out));
    assert_eq!(world.server.requests().len(), before);
}

/// Starts a proxy, and returns its URL and the first lines of the requests that it gets.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&seen);
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while lines.next().unwrap().unwrap() != "" {}
            let server = TcpStream::connect(first.split(' ').nth(1).unwrap()).unwrap();
            told.lock().unwrap().push(first);
            (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            for (mut from, mut to) in [(&client, &server), (&server, &client)]
                .map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()))
            {
                thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    (url, seen)
}
