//! Lets every SDK read what every SDK writes: `cargo xtask interop` builds the drivers and runs
//! this program.

mod case;
mod crafted;
mod defect;
mod driver;
mod envelope;
mod key_file;
mod matrix;
mod outcome;
mod page;
mod recorded;
mod results;
mod table;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{driver::Build, matrix::Setup, results::Results};

const USAGE: &str = "\
usage: envelope-interop check|publish DRIVERS.json ENVELOPE
       envelope-interop pages DRIVERS.json

Runs the matrix with the drivers that `cargo xtask interop` built, and compares its results with the
published ones, or publishes them; or makes the pages anew from the published results.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["check", drivers, program] => check(drivers, program),
        ["publish", drivers, program] => publish(drivers, program),
        ["pages", drivers] => {
            Results::read(&results_path()).and_then(|results| pages(&results, &builds(drivers)?))
        }
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("{words}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the matrix, and fails if a result differs from the published ones, or if the published
/// pages are not made from them.
fn check(drivers: &str, program: &str) -> Result<(), String> {
    let builds = builds(drivers)?;
    let published = Results::read(&results_path())?;
    let defects = defect::all()?;
    let explained = defect::explain(&published, &defects)?;
    page::check(&page::pages(&published, &explained, &defects, &builds)?)?;

    let skipped: Vec<String> =
        builds.iter().filter(|build| build.skipped.is_some()).map(Build::name).collect();
    let setup = Setup { builds, program: PathBuf::from(program) };
    let run = || -> Result<Vec<String>, String> {
        let (results, mistakes) = matrix::run(&setup)?;
        summarize(&results, &setup.builds);
        let changes = results.changes(&published, &|name| !skipped.iter().any(|it| it == name));
        Ok(changes.into_iter().chain(mistakes).collect())
    };
    let mut changes = run()?;
    if !changes.is_empty() {
        // What changed for good changes again; a request that took too long does not.
        println!("once more, because of:\n{}", changes.join("\n"));
        let again = run()?;
        changes.retain(|change| again.contains(change));
    }
    if changes.is_empty() {
        return Ok(());
    }
    Err(format!("{}\nIf this is right, run `cargo xtask interop`.", changes.join("\n")))
}

/// Runs the matrix and writes its results and the pages.
fn publish(drivers: &str, program: &str) -> Result<(), String> {
    let builds = builds(drivers)?;
    if let Some(build) = builds.iter().find(|build| build.skipped.is_some()) {
        return Err(format!("{} did not run, and would be missing", build.name()));
    }
    let setup = Setup { builds, program: PathBuf::from(program) };
    let (results, mistakes) = matrix::run(&setup)?;
    let path = results_path();
    fs::write(&path, results.to_json()?).map_err(|error| format!("{}: {error}", path.display()))?;
    summarize(&results, &setup.builds);
    if !mistakes.is_empty() {
        return Err(mistakes.join("\n"));
    }
    pages(&results, &setup.builds)
}

/// Writes the pages.
fn pages(results: &Results, builds: &[Build]) -> Result<(), String> {
    let defects = defect::all()?;
    let explained = defect::explain(results, &defects)?;
    page::write(&page::pages(results, &explained, &defects, builds)?)
}

fn builds(drivers: &str) -> Result<Vec<Build>, String> {
    let text = fs::read_to_string(drivers).map_err(|error| format!("{drivers}: {error}"))?;
    let builds: Vec<Build> =
        serde_json::from_str(&text).map_err(|error| format!("{drivers}: {error}"))?;
    for build in &builds {
        if let Some(why) = &build.skipped {
            println!("skipped: {}: {why}", build.name());
        }
    }
    Ok(builds)
}

/// Prints the matrix, and how many attempts there were, by outcome.
fn summarize(results: &Results, builds: &[Build]) {
    println!("{}", page::summary(results, builds));
    let mut counts = BTreeMap::<&str, usize>::new();
    for cell in results.cells() {
        *counts.entry(cell.outcome.kind()).or_default() += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    println!("interop: {}", counts.join(", "));
}

/// Returns the path of the published results.
fn results_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results.json")
}
