//! The chores of this repository: `cargo xtask test`, `cargo xtask fuzz`, `cargo xtask bench`.

mod bench;
mod fuzz;
mod run;
mod sdks;

use std::{path::PathBuf, process::ExitCode};

const USAGE: &str = "\
cargo xtask test            all tests: Rust, the real SDKs of PyPI and npm, recorded objects
cargo xtask fuzz [SECONDS]  every fuzz target for so long, 30 by default (needs a nightly)
cargo xtask bench           speed beside the peers, in benches/RESULTS.md (needs their headers)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => test(),
        ["bench"] => bench::gate(),
        ["fuzz"] => fuzz::run_all(30),
        ["fuzz", seconds] => match seconds.parse() {
            Ok(seconds) => fuzz::run_all(seconds),
            Err(_) => Err("SECONDS must be a number".to_owned()),
        },
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

fn test() -> Result<(), String> {
    run::cargo(["build", "--bin", "envelope"])?;
    run::cargo(["build", "--package", "envelope-testkit", "--features", "servers"])?;
    run::cargo(["test", "--workspace", "--all-features"])?;
    // Above, the command's features are everybody's; here RSA and GCM are those of pure Rust.
    run::cargo(["test", "--package", "envelope-core"])?;
    sdks::read_back()?;
    sdks::key_management()?;
    sdks::buckets()?;
    sdks::node()?;
    sdks::recorded_objects()
}

/// The repository's root.
fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map_or(own.clone(), PathBuf::from)
}

/// Where everything that is made goes.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
