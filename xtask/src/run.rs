//! Running of other programs.

use std::{ffi::OsStr, process::Command};

/// Runs cargo in the root of the repository.
pub(crate) fn cargo(arguments: impl IntoIterator<Item = &'static str>) -> Result<(), String> {
    run(Command::new(env!("CARGO")).args(arguments))
}

/// Builds every program, test and example. All of them share one selection of features, because
/// another one would build most dependencies again.
pub(crate) fn build_all() -> Result<(), String> {
    cargo(["build", "--workspace", "--all-features", "--all-targets"])
}

/// Runs a command to completion, in the root of the repository unless it sets its own directory.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    if command.get_current_dir().is_none() {
        command.current_dir(crate::root());
    }
    // What `cargo xtask` says of the package `xtask`. Build scripts that look at these variables
    // would run again whenever cargo is called without it.
    for (name, _) in std::env::vars_os() {
        let is_ours =
            |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|it| name.starts_with(it));
        if name.to_str().is_some_and(is_ours) {
            command.env_remove(name);
        }
    }
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    let words = words.join(" ");
    eprintln!("+ {words}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{words}: {status}")),
        Err(error) => Err(format!("{words}: {error}")),
    }
}
