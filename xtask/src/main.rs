//! Development tasks: `cargo xtask` lists them.

mod bench;
mod coverage;
mod cross;
mod dist;
mod fixtures;
mod fuzz;
mod instructions;
mod integrations;
mod interop;
mod mutants;
mod package;
mod run;
mod sdks;
mod tool;
mod wasm;
mod wheel;

use std::{path::PathBuf, process::ExitCode};

const USAGE: &str = "\
cargo xtask test [all]      run all tests: Rust, the SDKs of four languages, recorded objects; SDKs
                            whose language or registry is missing are skipped, unless `all` is given
cargo xtask interop         let every SDK read what every SDK writes; writes docs/interop.md
cargo xtask fixtures --check
                            compare the recorded objects with their schemas and with each other
cargo xtask fuzz [SECONDS [TARGET]]
                            run each fuzz target, or one, for SECONDS, 30 by default (requires
                            nightly)
cargo xtask bench [seal | many | python]
                            compare speed with the peers; writes benches/RESULTS.md (requires
                            the headers of OpenSSL and libgcrypt); or only what the seal costs; or
                            work on many objects, or the Python package (after `cargo xtask wheel`),
                            beside the SDKs
cargo xtask kills [N]       kill each command that transfers N times at random moments, 200 by
                            default
cargo xtask tampering       change every bit of an object in every dialect, and compare what is
                            noticed with the table in SECURITY.md
cargo xtask coverage        measure the lines of meta-codec and envelope-core that tests run
                            (installs Debian's llvm-22)
cargo xtask mutants [SCOPE [I/N]]
                            change the code of a crate, or a few of the lines that the last commit
                            changed, and see that a test notices
cargo xtask deny            check the licences and the sources of all dependencies
cargo xtask forgery         unwrap 100 000 forged RSA wraps of each kind, and compare the outcomes
cargo xtask faults          inject every fault into every request of every transfer
cargo xtask slow            carry 40 MiB up and down over a line of 100 kB/s
cargo xtask man             write the manual pages of the command to target/man
cargo xtask record          record an interrupted upload; writes docs/put.svg
cargo xtask dist            build the archive and the Debian package of a release, with their sums
                            and the list of their parts, into target/dist
cargo xtask cross [fuzz SECONDS]
                            test on an emulated aarch64, and count the instructions of its kernel;
                            or fuzz the kernel (installs Debian's packages)
cargo xtask integrations    test the crates for object_store and OpenDAL, which are workspaces
                            of their own
cargo xtask wasm            build the page of examples/wasm, and test it in a browser (installs
                            Debian's chromium, and wasm-bindgen)
cargo xtask wheel           build the wheel of the Python package, and test it installed
cargo xtask spark [OBJECTS] audit and rewrap 20 000 objects on a Spark cluster of this machine,
                            whose driver is killed in the middle (after `cargo xtask wheel`)
cargo xtask package         build the packages as they would be published, and test their examples";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => test(false),
        ["test", "all"] => test(true),
        ["interop"] => interop::publish(),
        ["fixtures", "--check"] => fixtures::check(),
        ["bench"] => bench::gate(),
        ["bench", "seal"] => bench::seal(),
        ["bench", "many"] => bench::many(),
        ["bench", "python"] => bench::python(),
        ["man"] => man(),
        ["record"] => dist::record(),
        ["dist"] => dist::build(),
        ["cross"] => cross::test(),
        ["cross", "fuzz", seconds] => number(seconds).and_then(cross::fuzz),
        ["integrations"] => integrations::test(),
        ["wasm"] => wasm::test(),
        ["wheel"] => wheel::build(),
        ["spark"] => wheel::spark("20000"),
        ["spark", objects] => wheel::spark(objects),
        ["package"] => package::check(),
        ["deny"] => deny(),
        ["coverage"] => coverage::measure(),
        ["mutants"] => mutants::of_change(),
        ["mutants", scope] => mutants::of_scope(scope, None),
        ["mutants", scope, shard] => mutants::of_scope(scope, Some(shard)),
        ["kills"] => kills("200"),
        ["kills", times] => kills(times),
        ["forgery"] => long("envelope-core", "forgery", &[])
            .and_then(|()| long("envelope-core", "forgery", &["--features", "aws-lc"])),
        ["faults"] => long("envelope-store", "faults", &[])
            .and_then(|()| long("envelope-store", "copy_faults", &[])),
        ["slow"] => long("envelope-store", "slow_line", &[]),
        ["tampering"] => long("envelope-core", "tampering", &[]),
        ["fuzz"] => fuzz::run_all(30, None),
        ["fuzz", seconds, only @ ..] if only.len() < 2 => {
            number(seconds).and_then(|seconds| fuzz::run_all(seconds, only.first().copied()))
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

fn number(seconds: &str) -> Result<u32, String> {
    seconds.parse().map_err(|_| "SECONDS must be a number".to_owned())
}

/// Checks licences, sources and duplicates of all dependencies.
fn deny() -> Result<(), String> {
    let tools = tool::install("cargo-deny", "0.20.2")?;
    let others = integrations::CRATES.map(|name| format!("crates/{name}"));
    // What is published or shown, in workspaces of its own, too.
    for folder in [".", "examples/wasm"].into_iter().chain(others.iter().map(String::as_str)) {
        run::run(
            std::process::Command::new(tools.join("cargo-deny"))
                .args(["--all-features", "--manifest-path"])
                .arg(root().join(folder).join("Cargo.toml"))
                .arg("--config")
                .arg(root().join("deny.toml"))
                .args(["check", "bans", "licenses", "sources"]),
        )?;
    }
    Ok(())
}

/// Runs the long form of a test, which prints what it found.
fn long(package: &str, name: &str, features: &[&str]) -> Result<(), String> {
    run::run(
        std::process::Command::new("cargo")
            .args(["test", "--release", "--package", package, "--test", name])
            .args(features)
            .args(["--", "--nocapture"])
            .env("ENVELOPE_LONG", "1"),
    )
}

/// Writes the manual pages of the command.
fn man() -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let folder = target().join("man");
    run::run(
        std::process::Command::new(cargo)
            .current_dir(root())
            .args([
                "run",
                "--quiet",
                "--package",
                "envelope-command",
                "--bin",
                "envelope",
                "--",
                "man",
            ])
            .arg(folder),
    )
}

fn kills(times: &str) -> Result<(), String> {
    run::run(
        std::process::Command::new("cargo")
            .args([
                "test",
                "--package",
                "envelope-command",
                "--test",
                "kills",
                "--test",
                "kills_many",
            ])
            .args(["--", "--nocapture"])
            .env("ENVELOPE_KILLS", times),
    )
}

fn test(all: bool) -> Result<(), String> {
    fixtures::check()?;
    run::build_all()?;
    run::cargo(["test", "--workspace", "--all-features"])?;
    examples()?;
    // Above, all features are enabled; without them, RSA and GCM are the pure Rust implementations.
    run::cargo(["test", "--package", "envelope-core"])?;
    run::cargo(["test", "--package", "ctr-kernel", "--test", "wiping"])?;
    sdks::read_back()?;
    sdks::key_management()?;
    sdks::buckets()?;
    sdks::examples()?;
    sdks::readme()?;
    wheel::test()?;
    sdks::node()?;
    interop::check(all)?;
    sdks::recorded_objects()
}

/// Runs the examples, which check their own results.
fn examples() -> Result<(), String> {
    let examples = std::fs::read_dir(root().join("examples")).map_err(|error| error.to_string())?;
    for example in examples {
        let path = example.map_err(|error| error.to_string())?.path();
        if let Some(name) = path.file_stem().filter(|_| path.extension() == Some("rs".as_ref())) {
            let examples = target().join("debug/examples");
            run::run(&mut std::process::Command::new(examples.join(name)))?;
        }
    }
    Ok(())
}

/// Returns the root of the repository.
fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map_or(own.clone(), PathBuf::from)
}

/// Returns the directory for build products.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
