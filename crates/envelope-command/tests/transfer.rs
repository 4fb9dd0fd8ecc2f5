//! What the command does when a transfer goes wrong: what is kept, what is said, and with which
//! status it ends.

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
    fs,
    time::{Duration, Instant},
};

use envelope_core::Crc64;
use envelope_testkit::bucket::{ACCESS_KEY, Fault, SECRET};

use crate::world::{World, lines, said};

#[test]
fn a_damaged_upload_is_said_and_the_older_version_comes_back() {
    let world = World::new();
    world.put("oss://b-1/key", b"older");
    let big = world.file("big", &[7; 3 << 20]);
    let key = world.text("key.pem");
    let put = || {
        world.run(&["put", "--force", &big, "oss://b-1/key", "--key", &key, "--threshold", "1MiB"])
    };
    // The service stores other bytes than it has confirmed, and nothing keeps the older object.
    for (versions, words, older) in
        [(false, "nothing was deleted", false), (true, "this version was deleted", true)]
    {
        if versions {
            world.server.keep_versions();
        }
        world.put("oss://b-1/key", b"older");
        world.server.fail(1, Fault::ChangeByte);
        world.server.fail(2, Fault::LoseMetadata);
        world.server.fail(0, Fault::LoseMetadata);
        let out = put();
        world.server.heal();
        // Either the part or the metadata is wrong; the part is noticed at once and sent again.
        assert_eq!(out.status.code(), Some(5), "{}", said(&out));
        assert!(said(&out).contains(words), "{}", said(&out));
        if older {
            assert_eq!(world.cat("oss://b-1/key", &key), b"older");
        }
        assert_eq!(world.server.open_uploads(), 0);
    }
}

#[test]
fn only_new_says_that_it_is_a_look_where_versions_are_kept() {
    let world = World::new();
    let (file, key) = (world.file("file", b"bytes"), world.text("key.pem"));
    let put = ["put", &file, "cos://b-1/new", "--key", &key, "--only-new"];
    assert!(!world.done(&put).contains("warning"));
    assert_eq!(world.run(&put).status.code(), Some(1));
    world.server.keep_versions();
    let put = ["put", &file, "cos://b-1/newer", "--key", &key, "--only-new"];
    assert!(world.done(&put).contains("warning: the bucket keeps versions"));
    assert_eq!(world.run(&put).status.code(), Some(1));
}

/// Two keys with the same CRC-64.
const TWINS: [&str; 2] = ["@@@@@@@@@@@@@@@@@@", "HOKEGDKFFGOC@HJM@@"];

#[test]
fn an_inventory_passes_nothing_over() {
    let world = World::new();
    assert_eq!(Crc64::of(TWINS[0].as_bytes()), Crc64::of(TWINS[1].as_bytes()));
    let (key, new) = (world.text("key.pem"), world.new_key());
    for (n, twin) in TWINS.iter().enumerate() {
        world.put(&format!("cos://b-1/{twin}"), format!("object {n}").as_bytes());
    }
    let rewrap = |inventory: &str, more: &[&str]| {
        let arguments =
            ["rewrap", "cos://b-1/", "--key", &key, "--to-key", &new, "--inventory", inventory];
        world.run(&[&arguments[..], more].concat())
    };
    let rows = format!("key\n{}\n{}\n{}\n", TWINS[0], TWINS[1], TWINS[0]);
    let out = rewrap(&world.file("twins.csv", rows.as_bytes()), &[]);
    assert!(out.status.success(), "{}", said(&out));
    assert_eq!(lines(&out).len(), 2, "{:?}", lines(&out));
    assert!(lines(&out).iter().all(|line| line.contains("\"rewrapped\"")));
    for (n, twin) in TWINS.iter().enumerate() {
        assert_eq!(world.cat(&format!("cos://b-1/{twin}"), &new), format!("object {n}").as_bytes());
    }

    // An object of this bucket whose key is the word that names a column.
    world.put("cos://b-1/key", b"the key named key");
    let out = rewrap(&world.file("key.csv", b"b-1,key\nb-1,none\n"), &[]);
    assert!(out.status.success(), "{}", said(&out));
    // In the order in which the work on them ended, and perhaps in two seconds.
    let mut report = lines(&out);
    report.sort_unstable_by_key(|line| line.contains("\"gone\""));
    assert!(report[0].contains("\"rewrapped\"") && report[1].contains("\"gone\""), "{report:?}");
    assert!(said(&out).contains("1 gone, 1 rewrapped"), "{}", said(&out));

    // Rows of another bucket, keys that cannot be sent, and objects that are not encrypted.
    let out = rewrap(&world.file("foreign.csv", b"b-2,a key\n"), &[]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(lines(&out)[0].contains("another bucket"), "{:?}", lines(&out));
    // The names of columns, or an object of another bucket?
    for text in ["b-2,key\nb-1,x\n", "b-2,key,123\n", "", "key\n"] {
        let out = rewrap(&world.file("unclear.csv", text.as_bytes()), &[]);
        assert_eq!(out.status.code(), Some(2), "{text}: {}", said(&out));
    }
    for text in ["Bucket,Key,Size\nb-2,key,1\n", "{\"bucket\":\"b-2\",\"key\":\"key\"}\n"] {
        let out = rewrap(&world.file("foreign", text.as_bytes()), &[]);
        assert_eq!(out.status.code(), Some(1), "{text}: {}", said(&out));
        assert!(lines(&out)[0].contains("another bucket"), "{:?}", lines(&out));
    }
    let out = rewrap(&world.file("gone.csv", b"key\nnone%2Fhere\n"), &[]);
    assert!(out.status.success() && said(&out).contains("URL-encoded"), "{}", said(&out));
    world.put("cos://b-1/secret", b"not this one");
    for odd in ["a/../secret", "./secret", "../b-2/secret"] {
        let out = rewrap(&world.file("odd.csv", format!("key\n{odd}\n").as_bytes()), &[]);
        assert_eq!(out.status.code(), Some(1), "{odd}: {}", said(&out));
        assert!(lines(&out)[0].contains("\"failed\""), "{:?}", lines(&out));
    }
    assert_eq!(world.cat("cos://b-1/secret", &key), b"not this one");
    let plain = world.file("plain.csv", b"key\nplain\n");
    world.server.store("b-1", "plain", b"not encrypted");
    assert!(rewrap(&plain, &[]).status.success());
    let out = rewrap(&plain, &["--require", "key-check"]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));

    // What is in the file of a report stays there.
    let report = world.file("report", b"an earlier line\n");
    assert!(rewrap(&plain, &["--report", &report]).status.success());
    let text = fs::read_to_string(&report).unwrap();
    assert!(text.starts_with("an earlier line\n{\"job\":") && text.lines().count() == 3, "{text}");
}

#[test]
fn a_listing_that_is_cut_or_endless_is_a_failure() {
    let world = World::new();
    for n in 0..7 {
        world.put(&format!("oss://b-1/many/{n}"), b"x");
    }
    world.server.set_page(3);
    let (key, new) = (world.text("key.pem"), world.new_key());
    let all = world.run(&["ls", "oss://b-1/many/"]);
    assert_eq!(lines(&all).len(), 7);
    for fault in [Fault::SameMarker, Fault::NoMarker] {
        world.server.fail(1, fault);
        let out = world.run(&["ls", "oss://b-1/many/", "--json"]);
        world.server.heal();
        assert_eq!(out.status.code(), Some(1), "{fault:?}: {}", said(&out));
        // The second page of the listing comes after three objects of four requests each.
        for n in 0..20 {
            world.server.fail(n, fault);
        }
        let arguments = ["rewrap", "oss://b-1/many/", "--prefix", "--reupload"];
        let keys = ["--key", &key, "--to-key", &new];
        let out = world.run(&[&arguments[..], &keys].concat());
        world.server.heal();
        assert_eq!(out.status.code(), Some(1), "{fault:?}: {}", said(&out));
    }
    // Each command that lists says that it has not seen everything.
    let (into, file) = (world.text("into"), format!("file:{}", world.text("store")));
    for line in [
        &["get", "-r", "oss://b-1/many/", &into, "--key", &key][..],
        &["sync", "oss://b-1/many/", &into, "--key", &key],
        &["verify", "-r", "oss://b-1/many/", "--key", &key],
        &["audit", "oss://b-1/many/", "--key", &key],
        &["du", "oss://b-1/many/"],
        &["restore", "-r", "oss://b-1/many/"],
        &["cp", "-r", "oss://b-1/many/", &file],
        &["cp", "-r", "oss://b-1/many/", "oss://b-1/other/"],
        &["mv", "-r", "oss://b-1/many/", "oss://b-1/moved/"],
        &["rm", "-r", "--yes", "oss://b-1/moved/"],
        &["uploads", "ls", "oss://b-1/"],
        &["uploads", "abort", "oss://b-1/", "--older-than", "1s"],
    ] {
        for fault in [Fault::SameMarker, Fault::NoMarker, Fault::NotSaid] {
            // Objects are listed in pages, and the last one of uploads is the first.
            for n in 0..60 {
                world.server.fail(n, fault);
            }
            let out = world.run(line);
            world.server.heal();
            assert_eq!(out.status.code(), Some(1), "{line:?} {fault:?}: {}", said(&out));
        }
    }
}

#[test]
fn rewrap_keeps_a_copy_until_the_new_object_is_verified() {
    let world = World::new();
    let (key, new) = (world.text("key.pem"), world.new_key());
    world.put("oss://b-1/folder/key", b"the only copy");
    let arguments =
        ["rewrap", "oss://b-1/folder/key", "--key", &key, "--to-key", &new, "--reupload"];
    // HEAD, COPY, GET, HEAD, PUT, HEAD; from the PUT on, the service stores other bytes.
    for n in 4..20 {
        world.server.fail(n, Fault::ChangeByte);
    }
    let out = world.run(&arguments);
    world.server.heal();
    let words = said(&out);
    assert_eq!(out.status.code(), Some(5), "{words}");
    let kept = words.split("is kept in ").nth(1).unwrap().split_whitespace().next().unwrap();
    let (folder, name) = kept.rsplit_once('/').unwrap();
    assert_eq!(world.cat(&format!("file:{folder}/{name}"), &key), b"the only copy");
    assert!(words.contains("what the object was before is kept in"), "{words}");

    // Undisturbed, nothing is left behind.
    fs::remove_dir_all(world.path("state")).unwrap();
    world.put("oss://b-1/folder/key", b"the only copy");
    let words = world.done(&arguments);
    assert!(words.contains("is kept in"), "{words}");
    assert_eq!(world.cat("oss://b-1/folder/key", &new), b"the only copy");
    assert_eq!(fs::read_dir(world.path("state/envelope")).unwrap().count(), 0);
}

#[test]
fn waits_are_told_and_their_limits_are_kept_to() {
    let world = World::new();
    let (file, key) = (world.file("file", b"bytes"), world.text("key.pem"));
    let put = ["put", "--force", &file, "cos://b-1/key", "--key", &key];
    world.server.fail(0, Fault::Busy(3));
    let begun = Instant::now();
    let words = world.done(&put);
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert!(words.contains("waiting 3 s before the next attempt: ") && words.contains("503"));
    world.server.fail(0, Fault::Busy(3));
    let words = world.done(&[&put[..], &["--json"]].concat());
    assert!(words.contains("{\"reason\":\"the store is busy") && words.contains("\"waiting\":3.0"));

    for (limit, attempts) in [("--retries", 1..=3), ("--timeout", 2..=6)] {
        for n in 0..100 {
            world.server.fail(n, Fault::Error);
        }
        let before = world.server.requests().len();
        let begun = Instant::now();
        let out = world.run(&["cat", "cos://b-1/key", "--key", &key, limit, "2"]);
        world.server.heal();
        assert_eq!(out.status.code(), Some(8), "{}", said(&out));
        assert!(begun.elapsed() < Duration::from_secs(10), "{limit}");
        let made = world.server.requests().len() - before;
        assert!(attempts.contains(&made), "{limit}: {made}");
    }
    for bad in ["-1", "x", "5d", ""] {
        let out = world.run(&["cat", "cos://b-1/key", "--key", &key, "--timeout", bad]);
        assert_eq!(out.status.code(), Some(2), "{bad}");
    }
}

#[test]
fn odd_answers_do_not_throw_an_upload_away() {
    for fault in [Fault::Denied, Fault::Portal, Fault::NotFound] {
        let world = World::new();
        let (big, key) = (world.file("big", &[7; 4 << 20]), world.text("key.pem"));
        let put = [
            "put",
            "--force",
            &big,
            "oss://b-1/key",
            "--key",
            &key,
            "--threshold",
            "1MiB",
            "--part-size",
            "1MiB",
            "--parallel",
            "1",
        ];
        // The third part.
        world.server.fail(3, fault);
        let out = world.run(&put);
        world.server.heal();
        if fault != Fault::NotFound {
            let status = if fault == Fault::Denied { 7 } else { 1 };
            assert_eq!(out.status.code(), Some(status), "{fault:?}: {}", said(&out));
            assert!(said(&out).contains("the same command resumes it"), "{}", said(&out));
            assert_eq!(world.server.arrived().len(), 2, "{fault:?}");
        }
        let before = world.server.requests().len();
        world.done(&put);
        assert_eq!(world.cat("oss://b-1/key", &key), [7; 4 << 20]);
        if fault != Fault::NotFound {
            let again = world.server.requests().split_off(before).join("\n");
            assert!(!again.contains("partNumber=1&") && !again.contains("partNumber=2&"));
        }
        assert_eq!(world.server.open_uploads(), 0);
        // Another address of the same service does not hide the upload.
        world.server.fail(3, Fault::Denied);
        assert!(!world.run(&put).status.success());
        let named = world.server.url().replace("127.0.0.1", "localhost");
        let arguments = [&put[..], &["--endpoint", &named, "--region", "cn-x"]].concat();
        let out = world.bare(&arguments).output().unwrap();
        assert!(out.status.success(), "{}", said(&out));
        assert!(said(&out).contains("resuming"), "{}", said(&out));
        assert_eq!(world.server.open_uploads(), 0);
    }
}

#[test]
fn a_journal_that_cannot_be_written_is_a_warning() {
    let world = World::new();
    let (big, key) = (world.file("big", &[7; 2 << 20]), world.text("key.pem"));
    let state = world.file("a file", b"where the folder should be");
    let words = world.done(&[
        "put",
        &big,
        "oss://b-1/key",
        "--key",
        &key,
        "--threshold",
        "1MiB",
        "--state",
        &state,
    ]);
    assert!(words.contains("warning: the journal ") && words.contains("a file"), "{words}");
    assert_eq!(world.cat("oss://b-1/key", &key), [7; 2 << 20]);
}

/// Somebody gives a key or a passphrase where a file is expected.
#[test]
fn what_may_be_a_secret_is_not_repeated() {
    let world = World::new();
    let file = world.file("file", b"bytes");
    let (body, headers) = (world.text("body"), world.text("headers"));
    let key = world.text("key.pem");
    let encrypt = ["encrypt", &file, "--key", &key, "-o", &body, "--metadata-out", &headers];
    assert!(world.bare(&encrypt).output().unwrap().status.success());
    for secret in [
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
        "3031323334353637383961626364656630313233343536373839616263646566",
        "+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/8=",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n",
        "correct horse battery staple",
        "Tr0ub4dor.3 with/slashes.too",
        "-----BEGIN PRIVATE KEY-----MIIEvQIBADANBgkqhkiG9w0BAQEFAASC.BKcwggSj",
    ] {
        let commands: [&[&str]; 9] = [
            &["put", "--force", &file, "oss://b-1/key", "--key", secret],
            &["cat", "oss://b-1/key", "--key", secret],
            &["rewrap", "oss://b-1/key", "--key", &key, "--to-key", secret],
            &["put", "--force", &file, "oss://b-1/key", "--key", &key, "--passphrase-file", secret],
            &["put", "--force", &file, "oss://b-1/key", "--key", &key, "--passphrase-env", secret],
            &["put", "--force", &file, "oss://b-1/key", "--key", &key, "--passphrase-fd", secret],
            &["cat", "oss://b-1/key", "--kms", "aliyun:cn-x", "--kms-passphrase-file", secret],
            &["encrypt", &file, "--key", secret, "-o", "x", "--metadata-out", "y"],
            &["decrypt", &body, "--metadata", &headers, "--key", secret, "-o", "x"],
        ];
        // A passphrase with a dot may be shown where a key is wanted, which has none.
        let only_passphrase = secret.starts_with("Tr0");
        let takes_passphrase = |it: &&[&str]| it.iter().any(|word| word.contains("-passphrase-"));
        for arguments in commands.into_iter().filter(|it| !only_passphrase || takes_passphrase(it))
        {
            let bucket = matches!(arguments[0], "put" | "cat" | "rewrap");
            let out =
                if bucket { world.run(arguments) } else { world.bare(arguments).output().unwrap() };
            assert!(!out.status.success(), "{arguments:?}");
            assert!(!said(&out).contains("Usage:"), "the arguments were understood");
            let all = format!("{}{}", said(&out), String::from_utf8_lossy(&out.stdout));
            let middle = &secret[secret.len() / 4..secret.len() / 4 + 12];
            assert!(!all.contains(middle), "{arguments:?}: {all}");
        }
    }
    // A profile takes it for a path that begins at its own folder, whose name may have a dot.
    fs::create_dir(world.path(".config")).unwrap();
    for secret in ["MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "+/+/+/+/+/+/+/+/+/+/8="] {
        for name in ["key", "passphrase-file", "origin-key"] {
            let other = if name == "key" { "" } else { "key = '../key.pem'\n" };
            let text = format!("[profiles.default]\n{other}{name} = '{secret}'\n");
            let config = world.private(".config/config.toml", text.as_bytes());
            let out = world.run(&["put", "--force", &file, "oss://b-1/key", "--config", &config]);
            let all = format!("{}{}", said(&out), String::from_utf8_lossy(&out.stdout));
            assert!(!out.status.success(), "{name}: {all}");
            assert!(!all.contains(&secret[6..18]), "{name}: {all}");
        }
    }
    // An ordinary path is shown.
    let out = world.run(&["put", "--force", &file, "oss://b-1/key", "--key", "keys/my.pem"]);
    assert!(said(&out).contains("keys/my.pem"), "{}", said(&out));
}

#[cfg(unix)]
#[test]
fn secrets_that_others_can_read_draw_a_warning() {
    let world = World::new();
    let (file, key) = (world.file("file", b"bytes"), world.text("key.pem"));
    let pem = fs::read(&key).unwrap();
    let open = world.file("open.pem", &pem);
    let public = fs::read(envelope_testkit::folder("keys/public_key.pem")).unwrap();
    let public = world.file("public.pem", &public);
    let config = format!(
        "[profiles.default.oss]\naccess_key_id = \"{ACCESS_KEY}\"\n\
         access_key_secret = \"{SECRET}\"\n"
    );
    let (open_config, config) = (
        world.file("open.toml", config.as_bytes()),
        world.private("config.toml", config.as_bytes()),
    );
    let put = |key: &str, config: &str| {
        world.done(&["put", "--force", &file, "oss://b-1/key", "--key", key, "--config", config])
    };
    let words = "other users can read this file";
    assert!(put(&open, &config).contains(words));
    assert!(put(&key, &open_config).contains(words));
    for key in [&key, &public] {
        assert!(!put(key, &config).contains(words), "{key}");
    }
}

/// 32 characters of base64 without a line break could also be the key itself.
#[test]
fn an_ambiguous_key_file_is_not_used_to_encrypt() {
    let world = World::new();
    let (file, text) = (world.file("file", b"bytes"), b"0123456789abcdef0123456789abcdef");
    let ambiguous = world.private("ambiguous.key", text);
    let clear = world.private("clear.key", &[&text[..], b"\n"].concat());
    let put = |key: &str| world.run(&["put", "--force", &file, "cos://b-1/key", "--key", key]);
    let out = put(&ambiguous);
    assert_eq!(out.status.code(), Some(4), "{}", said(&out));
    assert!(put(&clear).status.success());
    let out = world.run(&["cat", "cos://b-1/key", "--key", &ambiguous]);
    assert_eq!(out.stdout, b"bytes");
    assert!(said(&out).contains("warning: ") && said(&out).contains("it is read as base64"));
}
