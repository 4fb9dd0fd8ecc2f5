//! Tools that come from a registry, in the versions that are known to work.

use std::{path::PathBuf, process::Command};

use crate::{run::run, target};

/// Installs a program with cargo, unless it is there already, and returns the folder of programs.
pub(crate) fn install(name: &str, version: &str) -> Result<PathBuf, String> {
    install_with(name, version, &["--locked"])
}

/// As [`install`], but with the newest dependencies that fit, for a program whose own list names a
/// version that was taken back.
pub(crate) fn install_newest_dependencies(name: &str, version: &str) -> Result<PathBuf, String> {
    install_with(name, version, &[])
}

fn install_with(name: &str, version: &str, more: &[&str]) -> Result<PathBuf, String> {
    let tools = target().join("tools");
    run(Command::new("cargo")
        // Without optimization: they are built on every new machine, and mostly wait for others.
        .args(["install", name, "--version", version, "--quiet", "--debug"])
        .args(more)
        .arg("--root")
        .arg(&tools))?;
    Ok(tools.join("bin"))
}

/// Installs a program from PyPI, unless it is there already, and returns its path.
pub(crate) fn pip(name: &str, version: &str) -> Result<PathBuf, String> {
    let folder = target().join("tools").join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    if !program.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg(format!("{name}=={version}")))?;
    }
    Ok(program)
}

/// Returns a program of Debian's LLVM, whose package is installed if it is not there.
pub(crate) fn llvm(name: &str) -> Result<PathBuf, String> {
    // The LLVM of the toolchain that writes the profiles.
    const VERSION: &str = "22";
    debian(&format!("llvm-{VERSION}"), &format!("/usr/lib/llvm-{VERSION}/bin/{name}"))
}

/// Returns a program of a package of Debian, which is installed if it is not there.
pub(crate) fn debian(package: &str, program: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(program);
    if !path.exists() {
        let apt = |arguments: &[&str]| {
            run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
        };
        let install = ["install", "--yes", "--no-install-recommends", package];
        // The lists of packages may be missing or old.
        apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))?;
    }
    if path.exists() { Ok(path) } else { Err(format!("{} is missing", path.display())) }
}
