//! The crates for other people's storage libraries, which are workspaces of their own.

use std::process::Command;

use crate::{root, run::run, target};

/// Their names, in `crates/`.
pub(crate) const CRATES: [&str; 2] = ["envelope-object-store", "opendal-layer-envelope"];

/// Checks and tests every one of them.
pub(crate) fn test() -> Result<(), String> {
    for name in CRATES {
        let manifest = root().join("crates").join(name).join("Cargo.toml");
        let cargo = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO"));
            // Dependencies that have the same features here and there are built once.
            command.env("CARGO_TARGET_DIR", target()).args(words);
            command.arg("--manifest-path").arg(&manifest).arg("--locked");
            command
        };
        run(Command::new(env!("CARGO"))
            .args(["fmt", "--check", "--manifest-path"])
            .arg(&manifest))?;
        run(cargo(&["clippy", "--all-targets", "--quiet"]).args(["--", "-D", "warnings"]))?;
        run(&mut cargo(&["test"]))?;
    }
    Ok(())
}
