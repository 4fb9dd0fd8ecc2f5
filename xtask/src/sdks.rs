//! Tests with the official SDKs in pinned versions, from PyPI in virtual environments and from npm
//! in a directory.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{root, run::run, target};

/// The virtual environments: a requirements file and the SDKs that it installs.
const ENVIRONMENTS: [(&str, &[&str]); 2] = [
    ("requirements-oss2.txt", &["oss2", "oss-python-v2", "cos-python"]),
    ("requirements-oss2-v1.txt", &["oss2-v1"]),
];

/// Checks that the SDKs read the objects that the command writes.
pub(crate) fn read_back() -> Result<(), String> {
    let make = root().join("fixtures/make");
    for (requirements, sdks) in ENVIRONMENTS {
        let python = environment(&make.join(requirements))?;
        for sdk in sdks {
            run(Command::new(&python)
                .arg(make.join("read_back.py"))
                .arg(sdk)
                .arg(envelope())
                .env("PYTHONDONTWRITEBYTECODE", "1"))?;
        }
    }
    Ok(())
}

/// Runs the official KMS SDKs, oss2 and the command against the loopback KMS, and the command also
/// against the KMS server beside the repository, if present.
pub(crate) fn key_management() -> Result<(), String> {
    let make = root().join("fixtures/make");
    let python = environment(&make.join("requirements-oss2.txt"))?;
    let mut command = Command::new(&python);
    command
        .arg(make.join("key_management.py"))
        .arg(envelope())
        .arg(target().join("debug/loopback-kms"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let fake = root().join("../shared/servers/fake_kms.py");
    if fake.is_file() {
        command.arg(fake);
    } else {
        eprintln!("skipped: {} not found", fake.display());
    }
    run(&mut command)
}

/// Runs the official SDKs against the loopback OSS and COS, with the command both as reader and as
/// writer, and against the server beside the repository, if present.
pub(crate) fn buckets() -> Result<(), String> {
    let make = root().join("fixtures/make");
    let python = environment(&make.join("requirements-oss2.txt"))?;
    let mut command = Command::new(&python);
    command
        .arg(make.join("buckets.py"))
        .arg(envelope())
        .arg(target().join("debug/loopback-bucket"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let other = root().join("../shared/servers/loopback.py");
    if other.is_file() {
        command.arg(other);
    } else {
        eprintln!("skipped: {} not found", other.display());
    }
    run(&mut command)
}

/// Runs the examples of the vendors' documentation against the loopback OSS, COS and KMS.
pub(crate) fn examples() -> Result<(), String> {
    let make = root().join("fixtures/make");
    let python = environment(&make.join("requirements-oss2.txt"))?;
    run(Command::new(&python)
        .arg(make.join("examples.py"))
        .arg(envelope())
        .args(["loopback-bucket", "loopback-kms"].map(|name| target().join("debug").join(name)))
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// Runs the commands of the README, one of which is an official SDK, against the loopback OSS, COS
/// and KMS.
pub(crate) fn readme() -> Result<(), String> {
    let make = root().join("fixtures/make");
    let python = environment(&make.join("requirements-oss2.txt"))?;
    run(Command::new(&python)
        .arg(make.join("readme.py"))
        .arg(envelope())
        .args(["loopback-bucket", "loopback-kms"].map(|name| target().join("debug").join(name)))
        .args(["README.md", "README.zh-CN.md"].map(|name| root().join(name)))
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// Runs the SDKs from npm against the loopback OSS and COS.
pub(crate) fn node() -> Result<(), String> {
    let (make, modules) = (root().join("fixtures/make/node"), target().join("node"));
    fs::create_dir_all(&modules).map_err(|error| format!("{}: {error}", modules.display()))?;
    let (mut wanted, made) = (String::new(), modules.join("made-from.txt"));
    for name in ["package.json", "package-lock.json"] {
        let text =
            fs::read_to_string(make.join(name)).map_err(|error| format!("{name}: {error}"))?;
        fs::write(modules.join(name), &text).map_err(|error| format!("{name}: {error}"))?;
        wanted.push_str(&text);
    }
    if !fs::read_to_string(&made).is_ok_and(|text| text == wanted) {
        let mut command = Command::new("npm");
        command.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]);
        run(command.current_dir(&modules))?;
        fs::write(&made, wanted).map_err(|error| format!("{}: {error}", made.display()))?;
    }
    let mut server = Command::new(target().join("debug/loopback-bucket"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("loopback-bucket: {error}"))?;
    let mut url = String::new();
    let read = server.stdout.take().map(|out| BufReader::new(out).read_line(&mut url));
    let outcome = match read {
        Some(Ok(_)) => run(Command::new("node")
            .arg(make.join("buckets.cjs"))
            .arg(url.trim())
            .arg(envelope())
            .env("NODE_PATH", modules.join("node_modules"))),
        _ => Err("loopback-bucket did not start".to_owned()),
    };
    let _ = server.kill();
    let _ = server.wait();
    outcome
}

/// Checks the command against the recorded objects beside the repository, if present.
pub(crate) fn recorded_objects() -> Result<(), String> {
    let shared = root().join("../shared");
    let check = shared.join("acceptance/check_vectors.py");
    if !check.is_file() {
        eprintln!("skipped: {} not found", check.display());
        return Ok(());
    }
    run(Command::new("python3")
        .arg(check)
        .arg("--envelope")
        .arg(envelope())
        .args([shared.join("vectors"), root().join("fixtures")]))
}

fn envelope() -> PathBuf {
    target().join("debug/envelope")
}

/// Returns the interpreter of the environment with these requirements, and creates it if necessary.
pub(crate) fn environment(requirements: &Path) -> Result<PathBuf, String> {
    let wanted = fs::read_to_string(requirements)
        .map_err(|error| format!("{}: {error}", requirements.display()))?;
    let name = requirements.file_stem().unwrap_or_default();
    let folder = target().join("python").join(name);
    let (python, made) = (folder.join("bin/python"), folder.join("made-from.txt"));
    if fs::read_to_string(&made).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(requirements))?;
    fs::write(&made, wanted).map_err(|error| format!("{}: {error}", made.display()))?;
    Ok(python)
}

/// Returns whether `python3` is one that the Python package supports.
pub(crate) fn is_python_new_enough() -> bool {
    let check = "import sys; sys.exit(sys.version_info < (3, 11))";
    Command::new("python3").args(["-c", check]).status().is_ok_and(|status| status.success())
}
