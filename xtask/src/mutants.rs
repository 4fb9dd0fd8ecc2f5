//! Mutants: changes to the code that a test must notice.

use std::{fs, process::Command};

use crate::{root, run::run, target, tool};

/// What is mutated, and the packages whose tests must notice.
struct Scope {
    name: &'static str,
    package: &'static str,
    files: &'static [&'static str],
    tests: &'static [&'static str],
}

const SCOPES: [Scope; 5] = [
    Scope {
        name: "meta-codec",
        package: "meta-codec",
        files: &[],
        tests: &["meta-codec", "envelope-core"],
    },
    Scope {
        name: "envelope-core",
        package: "envelope-core",
        files: &[],
        tests: &["envelope-core", "ctr-kernel"],
    },
    Scope {
        name: "ctr-kernel",
        package: "ctr-kernel",
        files: &[],
        tests: &["ctr-kernel", "envelope-core"],
    },
    Scope { name: "envelope-kms", package: "envelope-kms", files: &[], tests: &["envelope-kms"] },
    Scope {
        name: "envelope-store",
        package: "envelope-store",
        files: &[
            "crates/envelope-store/src/put/**",
            "crates/envelope-store/src/put.rs",
            "crates/envelope-store/src/get/**",
            "crates/envelope-store/src/get.rs",
            "crates/envelope-store/src/rewrap/**",
            "crates/envelope-store/src/rewrap.rs",
            "crates/envelope-store/src/journal.rs",
        ],
        tests: &["envelope-store"],
    },
];

/// The most mutants of a change that are tried in the gate.
const MOST: usize = 12;

/// Tries the mutants of a scope, or a shard of them, such as `0/8`. What an earlier run caught is
/// not tried again.
pub(crate) fn of_scope(name: &str, shard: Option<&str>) -> Result<(), String> {
    let names = || SCOPES.map(|scope| scope.name).join(", ");
    let scope = SCOPES.iter().find(|scope| scope.name == name);
    let scope = scope.ok_or_else(|| format!("there is no {name}; there are {}", names()))?;
    let mut command = mutants(scope)?;
    command.arg("--iterate").arg("--output").arg(target().join("mutants").join(name));
    command.args(shard.map(|shard| format!("--shard={shard}")));
    run(&mut command)
}

/// Tries mutants of the lines that the last commit changed.
pub(crate) fn of_change() -> Result<(), String> {
    let diff = Command::new("git")
        .args(["diff", "HEAD~1", "HEAD", "--", "crates"])
        .current_dir(root())
        .output()
        .map_err(|error| error.to_string())?;
    let path = target().join("change.diff");
    fs::write(&path, &diff.stdout).map_err(|error| error.to_string())?;
    for scope in &SCOPES {
        let folder = format!("crates/{}/src", scope.package);
        if !String::from_utf8_lossy(&diff.stdout).contains(&folder) {
            continue;
        }
        let mut list = mutants(scope)?;
        let list = list.arg("--in-diff").arg(&path).arg("--list").output();
        let list = list.map_err(|error| error.to_string())?;
        let count = String::from_utf8_lossy(&list.stdout).lines().count();
        if count == 0 {
            continue;
        }
        let shards = count.div_ceil(MOST);
        println!("{}: {count} mutants of this change, shard 0 of {shards}", scope.name);
        let mut command = mutants(scope)?;
        command
            .arg("--in-diff")
            .arg(&path)
            .arg(format!("--shard=0/{shards}"))
            .arg("--output")
            .arg(target().join("mutants-of-change").join(scope.name));
        run(&mut command)?;
    }
    Ok(())
}

fn mutants(scope: &Scope) -> Result<Command, String> {
    let tools = tool::install("cargo-mutants", "27.1.0")?;
    let mut command = Command::new(tools.join("cargo-mutants"));
    command.args(["mutants", "--package", scope.package, "--no-shuffle"]);
    command.args(["--minimum-test-timeout", "120", "--colors", "never"]);
    command.args(["--test-package", &scope.tests.join(",")]);
    for file in scope.files {
        command.args(["--file", file]);
    }
    command.current_dir(root());
    Ok(command)
}
