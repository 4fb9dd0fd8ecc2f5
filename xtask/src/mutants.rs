//! Mutants: changes to the code that a test must notice.

use std::{fs, path::Path, process::Command};

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
const MOST: usize = 8;
/// The least share that tests must catch, in percent: of a scope, and of the few of a change.
const LEAST: usize = 95;
const LEAST_OF_CHANGE: usize = 80;

/// Tries the mutants of a scope, or a shard of them, such as `0/8`. A shard that was tried goes on
/// with what it has not caught.
pub(crate) fn of_scope(name: &str, shard: Option<&str>) -> Result<(), String> {
    let names = || SCOPES.map(|scope| scope.name).join(", ");
    let scope = SCOPES.iter().find(|scope| scope.name == name);
    let scope = scope.ok_or_else(|| format!("there is no {name}; there are {}", names()))?;
    let mut command = mutants(scope)?;
    // What was caught is left out before the rest is divided, so that shards have to be kept apart.
    let part = shard.map_or("all".to_owned(), |shard| shard.replace('/', "-of-"));
    if let Some(shard) = shard {
        command.args(["--sharding", "round-robin", "--shard", shard]);
    } else {
        command.arg("--iterate");
    }
    let output = target().join("mutants").join(name).join(part);
    judge(&mut command, &output, LEAST)
}

/// Tries a few mutants of the lines that the last commit changed.
pub(crate) fn of_change() -> Result<(), String> {
    let git = |arguments: &[&str]| text(Command::new("git").args(arguments));
    if git(&["rev-parse", "--verify", "--quiet", "HEAD~1"]).is_err() {
        println!("skipped: this clone has no commit before the last one");
        return Ok(());
    }
    let diff = git(&["diff", "HEAD~1", "HEAD", "--", "crates"])?;
    let commit = git(&["rev-parse", "HEAD"])?;
    let path = target().join("change.diff");
    fs::write(&path, &diff).map_err(|error| error.to_string())?;
    let mut tried = false;
    for scope in &SCOPES {
        if !diff.contains(&format!("crates/{}/src", scope.package)) {
            continue;
        }
        let list = text(mutants(scope)?.arg("--in-diff").arg(&path).arg("--list"))?;
        let count = list.lines().count();
        if count == 0 {
            continue;
        }
        let shards = count.div_ceil(MOST);
        // Another shard with every commit, but the same one whenever it is tried again.
        let number = commit.get(..8).and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let shard = number.unwrap_or_default().checked_rem(shards).unwrap_or_default();
        println!("{}: {count} mutants of this change, shard {shard} of {shards}", scope.name);
        let mut command = mutants(scope)?;
        command.arg("--in-diff").arg(&path);
        command.args(["--sharding", "round-robin", "--shard", &format!("{shard}/{shards}")]);
        let output = target().join("mutants-of-change").join(scope.name);
        judge(&mut command, &output, LEAST_OF_CHANGE)?;
        tried = true;
    }
    if !tried {
        println!("skipped: the last commit changes no code that is mutated");
    }
    Ok(())
}

/// Runs the mutants, and fails if tests caught too few of those that compile.
fn judge(command: &mut Command, output: &Path, least: usize) -> Result<(), String> {
    fs::create_dir_all(output).map_err(|error| error.to_string())?;
    let outcome = run(command.arg("--output").arg(output));
    let count = |name: &str| {
        let path = output.join("mutants.out").join(name);
        fs::read_to_string(path).map(|text| text.lines().count())
    };
    let error = |error: std::io::Error| format!("{}: {error}", output.display());
    let caught = count("caught.txt").map_err(error)? + count("timeout.txt").map_err(error)?;
    // With --iterate, what was caught before is listed here.
    let caught = caught + count("previously_caught.txt").unwrap_or_default();
    let missed = count("missed.txt").map_err(error)?;
    let all = caught + missed;
    println!("{caught} of {all} mutants were caught");
    if all == 0 {
        // Without a single mutant, only the tests themselves can have failed.
        return outcome;
    }
    if caught * 100 < least * all {
        return Err(format!("{missed} of {all} mutants were missed; see {}", output.display()));
    }
    Ok(())
}

/// Returns what a command prints.
fn text(command: &mut Command) -> Result<String, String> {
    let output = command.current_dir(root()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

fn mutants(scope: &Scope) -> Result<Command, String> {
    let tools = tool::install("cargo-mutants", "27.1.0")?;
    let mut command = Command::new(tools.join("cargo-mutants"));
    command.args(["mutants", "--package", scope.package, "--no-shuffle"]);
    // Without features, files would be changed that are not compiled.
    command.args(["--all-features", "--minimum-test-timeout", "120", "--colors", "never"]);
    command.args(["--test-package", &scope.tests.join(",")]);
    for file in scope.files {
        command.args(["--file", file]);
    }
    // The dependencies are built already, wherever the changed copy is.
    command.env("CARGO_TARGET_DIR", target());
    command.current_dir(root());
    Ok(command)
}
