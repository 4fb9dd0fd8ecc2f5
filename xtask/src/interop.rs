//! The interoperability matrix: builds the drivers of the SDKs, which are in `interop/`, and runs
//! them against each other.

mod go;
mod java;
mod python;

use std::{fs, path::PathBuf, process::Command, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    root,
    run::{build_all, run},
    target,
};

/// How often a registry is asked before it is said not to answer.
const TRIES: u32 = 3;
/// The time between two tries.
const PAUSE: Duration = Duration::from_secs(20);

/// An SDK, pinned to a version.
#[derive(Clone, Copy)]
struct Sdk {
    name: &'static str,
    version: &'static str,
    /// `oss` or `cos`.
    vendor: &'static str,
}

/// The driver of an SDK.
struct Driver {
    sdk: Sdk,
    /// The program and its arguments, or why it could not be built.
    command: Result<Vec<String>, String>,
}

/// Runs the matrix and publishes its results.
pub(crate) fn publish() -> Result<(), String> {
    matrix("publish", false)
}

/// Runs the matrix and compares its results with the published ones. Unless `all` is set, SDKs
/// whose language or registry is not there are skipped.
pub(crate) fn check(all: bool) -> Result<(), String> {
    matrix("check", all)
}

fn matrix(what: &str, all: bool) -> Result<(), String> {
    let mut drivers = python::drivers()?;
    drivers.extend(go::drivers()?);
    drivers.extend(java::drivers()?);
    let skipped: Vec<_> = drivers
        .iter()
        .filter_map(|driver| {
            let Sdk { name, version, .. } = driver.sdk;
            driver.command.as_ref().err().map(|why| format!("{name} {version}: {why}"))
        })
        .collect();
    if all && !skipped.is_empty() {
        return Err(format!("skipped: {}", skipped.join("; ")));
    }
    build_all()?;
    let path = folder().join("drivers.json");
    let list: Value = drivers.iter().map(Driver::json).collect();
    fs::write(&path, list.to_string()).map_err(|error| format!("{}: {error}", path.display()))?;
    run(Command::new(target().join("debug/envelope-interop"))
        .arg(what)
        .arg(path)
        .arg(target().join("debug/envelope")))
}

impl Sdk {
    const fn oss(name: &'static str, version: &'static str) -> Self {
        Self { name, version, vendor: "oss" }
    }

    const fn cos(name: &'static str, version: &'static str) -> Self {
        Self { name, version, vendor: "cos" }
    }

    fn driver(self, command: Vec<String>) -> Driver {
        Driver { sdk: self, command: Ok(command) }
    }

    fn skipped(self, why: &str) -> Driver {
        Driver { sdk: self, command: Err(why.to_owned()) }
    }
}

impl Driver {
    fn json(&self) -> Value {
        let Sdk { name, version, vendor } = self.sdk;
        let (command, skipped) = match &self.command {
            Ok(command) => (command.as_slice(), None),
            Err(why) => (&[][..], Some(why)),
        };
        json!({ "sdk": name, "version": version, "vendor": vendor, "command": command,
            "skipped": skipped })
    }
}

/// Returns whether a program is there.
fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Tries a few times what needs a registry.
fn patiently(mut attempt: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let mut outcome = attempt();
    for _ in 1..TRIES {
        if outcome.is_ok() {
            break;
        }
        thread::sleep(PAUSE);
        outcome = attempt();
    }
    outcome
}

/// Everything that the drivers and their registries keep.
fn folder() -> PathBuf {
    target().join("interop")
}

/// The folder of the drivers in a language.
fn sources(language: &str) -> PathBuf {
    root().join("interop").join(language)
}
