//! The performance gate: one run against all peers, written to `benches/RESULTS.md` and the chart.

use std::{path::PathBuf, process::Command};

use crate::{root, run::run, sdks, target, wheel};

/// Builds the measured programs and runs the gate. Requires OpenSSL and libgcrypt with their
/// headers (Debian: `libssl-dev`, `libgcrypt20-dev`); includes `age` if it is installed.
pub(crate) fn gate() -> Result<(), String> {
    let programs = build()?;
    cargo(&["build", "--release", "--package", "consumer"])?;
    cargo(&["build", "--profile", "one-unit", "--package", "consumer"])?;
    let sdks = sdks::environment(&root().join("fixtures/make/requirements-oss2.txt"))?;
    let (built, benches) = (target().join("benches"), root().join("benches"));
    run(Command::new(built.join("release/gate"))
        .args(programs)
        .arg(sdks)
        .arg(built.join("release/consumer"))
        .arg(built.join("one-unit/consumer"))
        .args([benches.join("RESULTS.md"), benches.join("ctr.svg")]))
}

/// Measures only what the seal costs, and writes `benches/RESULTS-seal.md`.
pub(crate) fn seal() -> Result<(), String> {
    let programs = build()?;
    run(Command::new(target().join("benches/release/gate"))
        .args(programs)
        .arg(root().join("benches/RESULTS-seal.md")))
}

/// Measures the commands for many objects, and writes `benches/TRANSFERS.md`.
pub(crate) fn many() -> Result<(), String> {
    let programs = build_programs()?;
    let python = sdks::environment(&root().join("fixtures/make/requirements-oss2.txt"))?;
    run(Command::new(python)
        .arg(root().join("benches/many.py"))
        .args(programs)
        .arg(root().join("benches/TRANSFERS.md"))
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// Measures the Python package that `cargo xtask wheel` has installed, and writes
/// `benches/PYTHON.md`.
pub(crate) fn python() -> Result<(), String> {
    let programs = build_programs()?;
    let place = wheel::installed()?;
    run(Command::new(wheel::environment()?)
        .arg(root().join("benches/python.py"))
        .args(programs)
        .arg(root().join("benches/PYTHON.md"))
        .env("PYTHONPATH", place)
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// Builds the gate, the command and a bucket, and returns the paths of the latter two.
fn build() -> Result<[PathBuf; 2], String> {
    for library in ["openssl", "libgcrypt"] {
        run(Command::new("pkg-config").args(["--exists", library]))
            .map_err(|error| format!("{error}\ninstall libssl-dev and libgcrypt20-dev"))?;
    }
    cargo(&["build", "--release", "--bin", "gate"])?;
    build_programs()
}

/// Builds the command and a bucket, and returns their paths.
pub(crate) fn build_programs() -> Result<[PathBuf; 2], String> {
    run(Command::new(env!("CARGO")).args(["build", "--quiet", "--release", "--bin", "envelope"]))?;
    run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "envelope-testkit"])
        .args(["--features", "servers", "--bin", "loopback-bucket"]))?;
    Ok(["release/envelope", "release/loopback-bucket"].map(|name| target().join(name)))
}

/// Runs cargo in the folder of the benches, so that its `.cargo/config.toml` applies.
fn cargo(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root().join("benches")).args(arguments);
    run(command.arg("--quiet").arg("--target-dir").arg(target().join("benches")))
}
