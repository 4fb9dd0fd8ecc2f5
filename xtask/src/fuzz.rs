//! Short runs of every fuzz target.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{root, run::run, target, tool};

const TARGETS: [&str; 12] = [
    "answer",
    "decrypt",
    "header_list",
    "instruction",
    "journal",
    "key_file",
    "key_file_passphrase",
    "keystream",
    "parse",
    "ranges",
    "seal",
    "sealed_decrypt",
];
/// Targets whose inputs nobody recorded: the fuzzer starts from what it has found before.
const MADE_UP: [&str; 5] = ["answer", "journal", "ranges", "seal", "sealed_decrypt"];
const CARGO_FUZZ: &str = "0.13.2";

/// Runs every target, or only this one.
pub(crate) fn run_all(seconds: u32, only: Option<&str>) -> Result<(), String> {
    if let Some(only) = only.filter(|only| !TARGETS.contains(only)) {
        return Err(format!("no target is called {only}"));
    }
    let tools = tool::install("cargo-fuzz", CARGO_FUZZ)?;
    for name in TARGETS.into_iter().filter(|name| only.is_none_or(|only| only == *name)) {
        let mut cargo_fuzz = command(&tools);
        cargo_fuzz.arg("--target-dir").arg(target().join("fuzz"));
        run_one(cargo_fuzz, name, seconds)?;
    }
    Ok(())
}

/// Runs the target of the keystream on an emulated processor.
pub(crate) fn run_emulated(
    seconds: u32,
    triple: &str,
    folder: &Path,
    environment: &[(&str, &str)],
) -> Result<(), String> {
    let mut cargo_fuzz = command(&tool::install("cargo-fuzz", CARGO_FUZZ)?);
    cargo_fuzz
        .args(["--target", triple, "--target-dir"])
        .arg(folder)
        // The address sanitizer does not work in the emulator.
        .args(["--sanitizer", "none"])
        .envs(environment.iter().copied());
    run_one(cargo_fuzz, "keystream", seconds)
}

/// `cargo fuzz run`, through rustup, so that nightly is found whichever toolchain runs this
/// program.
fn command(tools: &Path) -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly"])
        .arg(tools.join("cargo-fuzz"))
        .args(["run", "--fuzz-dir", "fuzz"])
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN");
    command
}

fn run_one(mut cargo_fuzz: Command, name: &str, seconds: u32) -> Result<(), String> {
    let corpus = target().join("fuzz-corpus").join(name);
    let (seeds, found) = (seeds(name)?, root().join("fuzz/corpus").join(name));
    fs::create_dir_all(&found).map_err(|error| error.to_string())?;
    fs::create_dir_all(&corpus).map_err(|error| error.to_string())?;
    run(cargo_fuzz
        .arg(name)
        .args([&corpus, &seeds, &found])
        .args(["--", "-verbosity=0", "-print_final_stats=1", "-max_len=20000"])
        .arg(format!("-max_total_time={seconds}")))
}

/// Collects the recorded objects and test keys as the initial corpus.
fn seeds(name: &str) -> Result<PathBuf, String> {
    let folder = target().join("fuzz-seeds").join(name);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let wanted = |file: &Path| match name {
        made_up if MADE_UP.contains(&made_up) => false,
        "decrypt" | "header_list" | "parse" => file.ends_with("headers.json"),
        "instruction" => file.ends_with("instruction.json"),
        "keystream" => file.ends_with("cipher.bin"),
        _ => file.extension().is_some_and(|ending| ending == "pem" || ending == "der"),
    };
    let mut folders = vec![root().join("fixtures")];
    let mut count = 0;
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(&below).map_err(|error| error.to_string())? {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&path) {
                let mut seed = fs::read(&path).map_err(|error| error.to_string())?;
                if name == "decrypt" {
                    // The headers of an object, and its body.
                    let body = fs::read(path.with_file_name("cipher.bin")).unwrap_or_default();
                    seed = [b"@", seed.trim_ascii_end(), b"\n\n", &body].concat();
                }
                fs::write(folder.join(count.to_string()), seed)
                    .map_err(|error| error.to_string())?;
                count += 1;
            }
        }
    }
    if count == 0 && !MADE_UP.contains(&name) {
        return Err(format!("no seeds found for {name}"));
    }
    Ok(folder)
}
