//! The page that decrypts objects in a browser: built for WebAssembly, and tested in Chromium.

use std::{fs, path::Path, process::Command};

use crate::{root, run::run, target, tool};

/// As in `examples/wasm/Cargo.toml`: the program understands what this version has compiled.
const WASM_BINDGEN: &str = "0.2.130";
const WASM: &str = "wasm32-unknown-unknown";

/// Builds the page in `target/wasm`, and decrypts recorded objects with it.
pub(crate) fn test() -> Result<(), String> {
    let page = build()?;
    let chromium = tool::debian("chromium", "/usr/bin/chromium")?;
    run(Command::new("node")
        .arg(root().join("examples/wasm/test.mjs"))
        .arg(chromium)
        .arg(page)
        .arg(root().join("fixtures")))
}

fn build() -> Result<std::path::PathBuf, String> {
    run(Command::new("rustup").args(["target", "add", WASM]))?;
    let source = root().join("examples/wasm");
    run(Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--target", WASM, "--manifest-path"])
        .arg(source.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", target()))?;
    let page = target().join("wasm");
    fs::create_dir_all(&page).map_err(|error| format!("{}: {error}", page.display()))?;
    let tools = tool::install_newest_dependencies("wasm-bindgen-cli", WASM_BINDGEN)?;
    run(Command::new(tools.join("wasm-bindgen"))
        .args(["--target", "web", "--no-typescript", "--out-dir"])
        .arg(page.join("pkg"))
        .arg(target().join(WASM).join("release/envelope_wasm.wasm")))?;
    for name in ["index.html", "page.js", "start.js"] {
        copy(&source.join(name), &page.join(name))?;
    }
    Ok(page)
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(|_| ()).map_err(|error| format!("{}: {error}", to.display()))
}
