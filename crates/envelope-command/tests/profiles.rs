//! What a profile stands in for, in every command; where access keys come from; and `doctor`.

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
    process::{Command, Output},
};

use envelope_testkit::bucket::{ACCESS_KEY, SECRET};

use self::world::{World, said};

impl World {
    /// Writes the file of profiles with a default profile.
    fn profile(&self, text: &str) {
        fs::create_dir_all(self.path("config/envelope")).unwrap();
        self.private("config/envelope/config.toml", text.as_bytes());
    }

    /// Checks that a command ends with this status, and returns what it says.
    fn ends(&self, status: i32, line: &[&str]) -> String {
        let out = self.run(line);
        assert_eq!(out.status.code(), Some(status), "{line:?}: {}", said(&out));
        said(&out)
    }
}

#[test]
fn what_a_profile_requires_is_required_everywhere() {
    let world = World::new();
    let (file, key, new) = (world.file("file", b"content"), world.text("key.pem"), world.new_key());
    for name in ["a", "b"] {
        let to = format!("cos://b-1/p/{name}");
        world.done(&["put", &file, &to, "--key", &key, "--no-seal"]);
    }
    world.server.store("b-1", "plain", b"content");
    world.profile(&format!("[default]\nkey = '{key}'\nrequire = ['seal']\n"));
    let (to, down) = (world.text("to"), world.text("down"));
    let lines: &[&[&str]] = &[
        &["get", "cos://b-1/p/a", &to],
        &["cat", "cos://b-1/p/a"],
        &["verify", "cos://b-1/p/a"],
        &["inspect", "cos://b-1/p/a"],
        &["cp", "cos://b-1/p/a", "cos://b-2/a"],
        &["mv", "cos://b-1/p/a", "cos://b-2/a"],
        &["rewrap", "cos://b-1/p/a", "--to-key", &new],
        // A weaker demand does not lower the bar.
        &["get", "cos://b-1/p/a", &to, "--require", "key-check"],
        &["get", "cos://b-1/plain", &to, "--allow-plaintext"],
        &["sync", "cos://b-1/p/", &down],
        &["audit", "cos://b-1/p/"],
    ];
    for line in lines {
        let out = world.run(line);
        assert!(!out.status.success(), "{line:?}: {}", said(&out));
        if line[0] != "sync" && line[0] != "audit" && line[0] != "rewrap" {
            assert_eq!(out.status.code(), Some(3), "{line:?}: {}", said(&out));
        }
        // What changes nothing works without the profile.
        if ["get", "cat", "verify", "inspect", "audit"].contains(&line[0])
            && !line.contains(&"--require")
        {
            let without = world.run(&[*line, &["--no-profile", "--key", &key]].concat());
            assert!(without.status.success(), "{line:?}: {}", said(&without));
            let _ = fs::remove_file(&to);
        }
    }
    // An upload has nothing that could be required of it.
    fs::create_dir(world.path("tree")).unwrap();
    world.file("tree/x", b"x");
    world.done(&["sync", &world.text("tree"), "cos://b-3/"]);
}

#[test]
fn keys_of_a_profile() {
    let world = World::new();
    let (file, key, new) = (world.file("file", b"content"), world.text("key.pem"), world.new_key());
    world.done(&["put", &file, "oss://b-1/old", "--key", &key]);
    // The first one encrypts, and all of them read.
    world.profile(&format!("[default]\nkey = ['{new}', '{key}']\n"));
    world.done(&["put", &file, "oss://b-1/new"]);
    assert_eq!(world.cat("oss://b-1/new", &new), b"content");
    for object in ["oss://b-1/old", "oss://b-1/new"] {
        assert_eq!(world.run(&["cat", object]).stdout, b"content");
    }
    world.done(&["sync", "oss://b-1/", &world.text("down")]);
    assert_eq!(fs::read_dir(world.path("down")).unwrap().count(), 2);
    // A copy that needs no key takes none; one that does gets the first.
    world.done(&["cp", "oss://b-1/old", "oss://b-2/same"]);
    assert_eq!(world.cat("oss://b-2/same", &key), b"content");
    world.done(&["cp", "oss://b-1/old", "cos://b-3/other"]);
    assert_eq!(world.cat("cos://b-3/other", &new), b"content");
    world.done(&["cp", "oss://b-1/old", "cos://b-3/other"]);
    // What only encrypts is in nobody's way.
    let public =
        Command::new(env!("CARGO_BIN_EXE_envelope")).args(["key", "public", &new]).output();
    let public = world.file("public.pem", &public.unwrap().stdout);
    for key in [public.as_str(), "/nowhere/key.pem"] {
        world.profile(&format!("[default]\nkey = '{key}'\n"));
        world.done(&["cp", "oss://b-1/old", &format!("oss://b-4/{}", key.len())]);
    }
    world.profile(&format!("[default]\nkey = ['{public}', '{key}']\n"));
    assert_eq!(world.run(&["cat", "oss://b-1/old"]).stdout, b"content");
    world.ends(0, &["audit", "oss://b-2/"]);
    // What is required of objects is not forgotten because a key cannot be read.
    let origin = world.bare(&["keygen", "origin", "--out", &world.text("o")]).output().unwrap();
    assert!(origin.status.success());
    let origin = world.text("o/origin.key");
    world.profile(&format!("[default]\nkey = '/nowhere/key.pem'\norigin_key = '{origin}'\n"));
    assert!(!world.run(&["cp", "oss://b-1/old", "oss://b-6/old"]).status.success());
    // Readers of both stores are those of the one that is meant.
    world.profile(&format!("[default]\nkey = '{key}'\nfor = ['oss-java', 'hadoop-cos']\n"));
    assert!(world.done(&["put", &file, "oss://b-5/a"]).contains("oss-java"));
    assert!(world.done(&["put", &file, "cos://b-5/b"]).contains("hadoop-cos"));
    // What is said at the prompt counts, also about the cipher alone.
    world.profile(&format!("[default]\nkey = '{key}'\nfor = 'oss-java'\n"));
    let to = format!("file:{}/x", world.text("bucket"));
    let told = world.done(&["put", &file, &to, "--content", "gcm"]);
    assert!(told.contains("hadoop-cos") && !told.contains("oss-java"), "{told}");
}

#[test]
fn a_profile_that_is_meant_is_not_passed_over() {
    let world = World::new();
    world.server.store("b-1", "plain", b"content");
    let line = ["ls", "oss://b-1/"];
    world.profile("[other]\n");
    assert!(world.ends(0, &line).contains("there is no profile `default`"));
    let config = world.text("config/envelope/config.toml");
    world.ends(2, &[&line[..], &["--config", &config]].concat());
    world.ends(2, &[&line[..], &["--profile", "none"]].concat());
    world.ends(0, &[&line[..], &["--no-profile"]].concat());
    #[cfg(unix)]
    {
        fs::remove_file(&config).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", &config).unwrap();
        world.ends(2, &line);
    }
}

/// The command with the access key in none of the usual places.
fn without_keys(world: &World, line: &[&str]) -> Command {
    let mut command = world.command(line);
    for name in [
        "OSS_ACCESS_KEY_ID",
        "OSS_ACCESS_KEY_SECRET",
        "TENCENTCLOUD_SECRET_ID",
        "TENCENTCLOUD_SECRET_KEY",
    ] {
        command.env_remove(name);
    }
    command.env("HOME", world.folder.path());
    command
}

fn ok(mut command: Command) -> Output {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", said(&out));
    out
}

#[test]
fn access_keys_from_other_tools_and_programs() {
    let world = World::new();
    world.server.store("b-1", "plain", b"content");
    let refused = without_keys(&world, &["ls", "oss://b-1/"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    world.private(
        ".ossutilconfig",
        format!("[Credentials]\naccessKeyID={ACCESS_KEY}\naccessKeySecret={SECRET}\n").as_bytes(),
    );
    let cos = format!("cos:\n  base:\n    secretid: {ACCESS_KEY}\n    secretkey: {SECRET}\n");
    world.private(".cos.yaml", cos.as_bytes());
    for address in ["oss://b-1/", "cos://b-1/"] {
        ok(without_keys(&world, &["ls", address]));
    }
    for (credentials, status) in [
        ("credentials = 'ossutil'", 0),
        ("credentials = 'ossutil:none'", 2),
        ("credentials = 'environment'", 2),
        ("credentials = 'coscli'", 2),
        ("credentials = 'magic'", 2),
        ("credentials = 'process'", 2),
        ("process = ['/nowhere/program']", 7),
        ("process = ['false']", 7),
    ] {
        world.profile(&format!("[default.oss]\n{credentials}\n"));
        let out = without_keys(&world, &["ls", "oss://b-1/"]).output().unwrap();
        assert_eq!(out.status.code(), Some(status), "{credentials}: {}", said(&out));
        assert!(!said(&out).contains(SECRET));
    }
    #[cfg(unix)]
    {
        let json = format!(r#"{{"AccessKeyId":"{ACCESS_KEY}","AccessKeySecret":"{SECRET}"}}"#);
        let json = world.private("key.json", json.as_bytes());
        world.profile(&format!("[default.cos]\nprocess = ['cat', '{json}']\n"));
        ok(without_keys(&world, &["ls", "cos://b-1/"]));
    }
}

/// The role of a machine at Aliyun, whose metadata service is the test's.
#[test]
fn the_role_of_a_machine() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let world = World::new();
    world.server.store("b-1", "plain", b"content");
    world.profile("[default.oss]\ncredentials = 'ecs-role:a-role'\n");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut asked = Vec::new();
        // A token, then the key.
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            asked.push(lines.next().unwrap().unwrap());
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let body = if asked.len() == 1 {
                "a-token".to_owned()
            } else {
                format!(
                    r#"{{"AccessKeyId":"{ACCESS_KEY}","AccessKeySecret":"{SECRET}",
                    "Expiration":"2099-01-01T00:00:00Z","SecurityToken":"a token",
                    "LastUpdated":"2026-01-01T00:00:00Z","Code":"Success"}}"#
                )
            };
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ";
            write!(stream, "{head}{}\r\n\r\n{body}", body.len()).unwrap();
        }
        asked
    });
    let mut command = without_keys(&world, &["ls", "oss://b-1/"]);
    command.env("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT", url);
    // Whoever answers there would get the keys.
    command.env("http_proxy", "http://127.0.0.1:9").env("HTTP_PROXY", "http://127.0.0.1:9");
    command.env("all_proxy", "http://127.0.0.1:9");
    ok(command);
    let asked = served.join().unwrap();
    assert!(asked[1].contains("/a-role"), "{asked:?}");
}

#[test]
fn doctor_says_what_works_and_what_to_do() {
    let world = World::new();
    let key = world.text("key.pem");
    world.put("oss://b-1/p/film", b"content");
    let doctor = |world: &World, more: &[&str]| {
        let out = world.run(&[&["doctor", "oss://b-1/p/film", "--key", &key], more].concat());
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    let (status, told) = doctor(&world, &[]);
    assert_eq!(status, Some(0), "{told}");
    for check in ["key", "list", "put", "head", "clock", "upload in parts", "delete", "object"] {
        assert!(told.contains(&format!("ok      {check}: ")), "{check} is not in\n{told}");
    }
    // Nothing of it stays.
    assert_eq!(world.server.open_uploads(), 0);
    let listed = String::from_utf8(world.run(&["ls", "-r", "oss://b-1/"]).stdout).unwrap();
    assert!(!listed.contains("doctor"), "{listed}");
    let before = world.server.requests().len();
    let (status, told) = doctor(&world, &["--read-only"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(world.server.requests()[before..].iter().all(|line| !line.starts_with("P")));

    let (status, told) = doctor(&world, &["--key", &world.new_key(), "--json"]);
    assert_eq!(status, Some(0), "{told}");
    world.server.set_elsewhere("b-1", "oss-cn-beijing.aliyuncs.com");
    let (status, told) = doctor(&world, &[]);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("FAILED  list: the bucket is in another region"), "{told}");
    assert!(told.contains("use --region cn-beijing"), "{told}");

    let skewed = World::new();
    skewed.server.set_skew(1000);
    let out = skewed.run(&["doctor", "oss://b-1/", "--key", &key]);
    let told = String::from_utf8(out.stdout).unwrap();
    assert!(told.contains("FAILED  clock: this machine's clock is"), "{told}");
    let wrong = skewed.new_key();
    skewed.put("oss://b-1/film", b"content");
    let out = skewed.run(&["doctor", "oss://b-1/film", "--key", &wrong, "--read-only"]);
    let told = String::from_utf8(out.stdout).unwrap();
    assert!(told.contains("FAILED  object: oss://b-1/film: "), "{told}");
}
