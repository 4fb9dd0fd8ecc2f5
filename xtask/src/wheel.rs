//! The Python package: its tests, and the wheel that is published.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{bench, root, run::run, sdks, target, tool};

/// Tests the package as it is built for tests. The native part must be built already.
pub(crate) fn test() -> Result<(), String> {
    let package = package();
    if !sdks::is_python_new_enough() {
        eprintln!("skipped: the Python package needs Python 3.11");
        return Ok(());
    }
    let python = environment()?;
    let place = target().join("python-package");
    let _ = fs::remove_dir_all(&place);
    copy(&package.join("python"), &place)?;
    let native = place.join("envelope_cse/_native.abi3.so");
    fs::copy(target().join("debug/lib_native.so"), &native)
        .map_err(|error| format!("{}: {error}", native.display()))?;
    check(&python, &place)?;
    stand_ins(&python, &place)
}

/// Runs the examples of the vendors' documentation with the modules that stand in for the SDKs.
fn stand_ins(python: &Path, place: &Path) -> Result<(), String> {
    run(Command::new(python)
        .arg(root().join("fixtures/make/stand_ins.py"))
        .args(["envelope", "loopback-bucket", "loopback-kms"].map(debug))
        .env("PYTHONPATH", place)
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// The programs that the tests use, by the names of their environment variables.
fn servers() -> [(&'static str, PathBuf); 3] {
    let programs = [
        ("ENVELOPE", "envelope"),
        ("LOOPBACK_BUCKET", "loopback-bucket"),
        ("LOOPBACK_KMS", "loopback-kms"),
    ];
    programs.map(|(variable, program)| (variable, debug(program)))
}

/// A program that the tests have built.
fn debug(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// The folder in which `cargo xtask wheel` has installed the package.
pub(crate) fn installed() -> Result<PathBuf, String> {
    let place = target().join("wheel-installed");
    if place.is_dir() { Ok(place) } else { Err("run `cargo xtask wheel` before".to_owned()) }
}

/// The Python with everything that the tests of the package need.
pub(crate) fn environment() -> Result<PathBuf, String> {
    sdks::environment(&package().join("tests/requirements-package.txt"))
}

/// Works on many objects on a Spark cluster of this machine, and kills its driver, with the package
/// that `cargo xtask wheel` has installed.
pub(crate) fn spark(objects: &str) -> Result<(), String> {
    let (programs, place) = (bench::build_programs()?, installed()?);
    let tests = package().join("tests");
    let python = sdks::environment(&tests.join("requirements-spark.txt"))?;
    run(Command::new(python)
        .arg(tests.join("spark_run.py"))
        .args(programs)
        .arg(objects)
        .env("PYTHONPATH", place))
}

/// Builds the wheel and the source distribution into `target/wheels`, installs the wheel into a
/// clean environment, and runs the tests with it.
pub(crate) fn build() -> Result<(), String> {
    let package = package();
    let python = environment()?;
    let maturin = tool::pip("maturin", "1.16.0")?;
    let wheels = target().join("wheels");
    let _ = fs::remove_dir_all(&wheels);
    for arguments in [&["build", "--release", "--locked"][..], &["sdist"]] {
        run(Command::new(&maturin)
            .args(arguments)
            .arg("--manifest-path")
            .arg(package.join("Cargo.toml"))
            .arg("--out")
            .arg(&wheels)
            .env("CARGO_TARGET_DIR", target()))?;
    }
    let place = target().join("wheel-installed");
    let _ = fs::remove_dir_all(&place);
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--find-links"])
        .arg(&wheels)
        .arg("--target")
        .arg(&place)
        .arg("envelope-cse"))?;
    check(&python, &place)
}

/// Runs the tests, and checks the types, of the package in a folder.
fn check(python: &Path, place: &Path) -> Result<(), String> {
    let tests = package().join("tests");
    let with = |arguments: &[&str]| {
        let mut command = Command::new(python);
        command.args(arguments).env("PYTHONPATH", place).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    let quiet = ["-m", "pytest", "--quiet", "-p", "no:cacheprovider"];
    run(with(&quiet).args(TESTS.map(|name| tests.join(name))).envs(servers()))?;
    let python_of_ossfs = sdks::environment(&tests.join("requirements-ossfs.txt"))?;
    run(Command::new(python_of_ossfs)
        .args(quiet)
        .arg(tests.join("test_filesystem.py"))
        .args(["-k", "ossfs"])
        .env("PYTHONPATH", place)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(servers()))?;
    run(&mut with(&["-c", DOCTEST]))?;
    run(with(&[]).arg(tests.join("typed.py")))?;
    run(with(&["-m", "mypy", "--strict", "--no-incremental", "--cache-dir=/dev/null"])
        .arg("--config-file")
        .arg(package().join("pyproject.toml"))
        .arg(tests.join("typed.py"))
        .arg(place.join("envelope_cse"))
        .env("MYPYPATH", place))?;
    pyright(python, place)
}

/// Checks the program that uses every public name with the other type checker, which needs Node.js.
fn pyright(python: &Path, place: &Path) -> Result<(), String> {
    if !Command::new("node").arg("--version").output().is_ok_and(|node| node.status.success()) {
        eprintln!("skipped: pyright needs Node.js");
        return Ok(());
    }
    let folder = target().join("pyright");
    let fail = |error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(fail)?;
    fs::copy(package().join("tests/typed.py"), folder.join("typed.py")).map_err(fail)?;
    let config = format!(
        "{{\"include\": [\"typed.py\"], \"extraPaths\": [{:?}], \"typeCheckingMode\": \"strict\"}}",
        place.display().to_string(),
    );
    fs::write(folder.join("pyrightconfig.json"), config).map_err(fail)?;
    run(Command::new(python).args(["-m", "pyright"]).current_dir(&folder))
}

const TESTS: [&str; 5] =
    ["test_core.py", "test_stand_ins.py", "test_filesystem.py", "test_store.py", "test_spark.py"];

const DOCTEST: &str = "
import doctest, sys, envelope_cse
from envelope_cse import _open_key, aio, filesystem
modules = [envelope_cse, _open_key, aio, filesystem]
sys.exit(sum(doctest.testmod(module)[0] for module in modules))
";

fn package() -> PathBuf {
    root().join("crates/envelope-python")
}

/// Copies a folder of Python files.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let fail = |error| format!("{}: {error}", from.display());
    fs::create_dir_all(to).map_err(fail)?;
    for entry in fs::read_dir(from).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "__pycache__" {
            copy(&path, &to.join(name))?;
        } else if path.is_file() {
            fs::copy(&path, to.join(name)).map_err(fail)?;
        }
    }
    Ok(())
}
