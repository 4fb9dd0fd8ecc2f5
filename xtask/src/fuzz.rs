//! Short runs of every fuzz target.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{root, run::run, target};

const TARGETS: [&str; 4] = ["parse", "instruction", "key_file", "keystream"];
const CARGO_FUZZ: &str = "0.13.2";

pub(crate) fn run_all(seconds: u32) -> Result<(), String> {
    let tools = target().join("tools");
    run(Command::new("cargo")
        .args(["install", "cargo-fuzz", "--version", CARGO_FUZZ, "--locked", "--quiet", "--root"])
        .arg(&tools))?;
    for name in TARGETS {
        let corpus = target().join("fuzz-corpus").join(name);
        let seeds = seeds(name)?;
        fs::create_dir_all(&corpus).map_err(|error| error.to_string())?;
        // Through rustup, so that nightly is found whichever toolchain runs this program.
        run(Command::new("rustup")
            .args(["run", "nightly"])
            .arg(tools.join("bin/cargo-fuzz"))
            .args(["run", "--fuzz-dir", "fuzz", "--target-dir"])
            .arg(target().join("fuzz"))
            .arg(name)
            .args([&corpus, &seeds])
            .args(["--", "-verbosity=0", "-print_final_stats=1", "-max_len=20000"])
            .arg(format!("-max_total_time={seconds}"))
            .env_remove("CARGO")
            .env_remove("RUSTUP_TOOLCHAIN"))?;
    }
    Ok(())
}

/// Collects the recorded objects and test keys as the initial corpus.
fn seeds(name: &str) -> Result<PathBuf, String> {
    let folder = target().join("fuzz-seeds").join(name);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let wanted = |file: &Path| match name {
        "parse" => file.ends_with("headers.json"),
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
                fs::copy(&path, folder.join(count.to_string()))
                    .map_err(|error| error.to_string())?;
                count += 1;
            }
        }
    }
    if count == 0 { Err(format!("no seeds found for {name}")) } else { Ok(folder) }
}
