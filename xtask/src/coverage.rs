//! The share of lines that tests run.

use std::process::Command;

use crate::{run::run, tool};

/// The least share of lines of `meta-codec` and `envelope-core`, in percent.
const LEAST: &str = "95";

pub(crate) fn measure() -> Result<(), String> {
    let tools = tool::install("cargo-llvm-cov", "0.9.1")?;
    run(Command::new(tools.join("cargo-llvm-cov"))
        .args(["llvm-cov", "--package", "meta-codec", "--package", "envelope-core"])
        .args(["--all-features", "--summary-only", "--fail-under-lines", LEAST])
        .args(["--ignore-filename-regex", "(ctr-kernel|envelope-testkit)/"])
        .env("LLVM_COV", tool::llvm("llvm-cov")?)
        .env("LLVM_PROFDATA", tool::llvm("llvm-profdata")?))
}
