//! The performance gate: one run against all peers, written to `benches/RESULTS.md` and the chart.

use std::process::Command;

use crate::{root, run::run, sdks, target};

/// Builds the measured programs and runs the gate. Requires OpenSSL and libgcrypt with their
/// headers (Debian: `libssl-dev`, `libgcrypt20-dev`); includes `age` if it is installed.
pub(crate) fn gate() -> Result<(), String> {
    for library in ["openssl", "libgcrypt"] {
        run(Command::new("pkg-config").args(["--exists", library]))
            .map_err(|error| format!("{error}\ninstall libssl-dev and libgcrypt20-dev"))?;
    }
    let benches = root().join("benches");
    let built = target().join("benches");
    let cargo = |arguments: &[&str]| {
        // Run in that directory, so that its `.cargo/config.toml` applies.
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(&benches).args(arguments);
        run(command.arg("--quiet").arg("--target-dir").arg(&built))
    };
    run(Command::new(env!("CARGO")).args(["build", "--quiet", "--release", "--bin", "envelope"]))?;
    run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "envelope-testkit"])
        .args(["--features", "servers", "--bin", "loopback-bucket"]))?;
    cargo(&["build", "--release", "--bin", "gate"])?;
    cargo(&["build", "--release", "--package", "consumer"])?;
    cargo(&["build", "--profile", "one-unit", "--package", "consumer"])?;
    let sdks = sdks::environment(&root().join("fixtures/make/requirements-oss2.txt"))?;
    run(Command::new(built.join("release/gate"))
        .arg(target().join("release/envelope"))
        .arg(target().join("release/loopback-bucket"))
        .arg(sdks)
        .arg(built.join("release/consumer"))
        .arg(built.join("one-unit/consumer"))
        .args([benches.join("RESULTS.md"), benches.join("ctr.svg")]))
}
