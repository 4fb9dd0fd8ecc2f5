//! What is handed out with a release: an archive and a Debian package with the command, a list of
//! the parts that they are made of, and the sums of all of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{root, run::run, sdks, target, tool};

/// Builds everything into `target/dist`.
pub(crate) fn build() -> Result<(), String> {
    let folder = target().join("dist");
    let _ = fs::remove_dir_all(&folder);
    create(&folder)?;
    // What is built must be what the lock file says.
    run(Command::new(env!("CARGO")).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "envelope-command",
    ]))?;
    let name = format!("envelope-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    archive(&folder, &name)?;
    debian(&folder)?;
    parts(&folder, &name)?;
    sums(&folder)
}

/// Records an interrupted upload, for the README.
pub(crate) fn record() -> Result<(), String> {
    crate::run::build_all()?;
    let python = sdks::environment(&root().join("docs/requirements.txt"))?;
    run(Command::new(python)
        .arg(root().join("docs/record.py"))
        .args(["envelope", "loopback-bucket"].map(|name| target().join("debug").join(name)))
        .arg(root().join("docs/put.svg")))
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map_err(|error| format!("{}: {error}", from.display())).map(|_| ())
}

/// The binary, its manual pages and completions. The same files make the same archive.
fn archive(folder: &Path, name: &str) -> Result<(), String> {
    let content = target().join("archive").join(name);
    let _ = fs::remove_dir_all(&content);
    create(&content.join("completions"))?;
    let binary = target().join("release/envelope");
    copy(&binary, &content.join("envelope"))?;
    for file in ["README.md", "README.zh-CN.md", "CHANGELOG.md", "SECURITY.md"] {
        copy(&root().join(file), &content.join(file))?;
    }
    for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root().join(file), &content.join(file))?;
    }
    run(Command::new(&binary).arg("man").arg(content.join("man")))?;
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(&binary).args(["completions", shell]).output();
        let output = output.map_err(|error| format!("{}: {error}", binary.display()))?;
        let path = content.join("completions").join(format!("envelope.{shell}"));
        fs::write(&path, output.stdout).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    run(Command::new("tar")
        .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--use-compress-program", "gzip -n -9", "-cf"])
        .arg(folder.join(format!("{name}.tar.gz")))
        .arg("-C")
        .arg(target().join("archive"))
        .arg(name))
}

/// The Debian package, whose description is in the manifest of the command.
fn debian(folder: &Path) -> Result<(), String> {
    let tools = tool::install("cargo-deb", "3.8.0")?;
    run(Command::new(tools.join("cargo-deb"))
        .args(["deb", "--package", "envelope-command", "--no-build", "--output"])
        .arg(folder))
}

/// The list of all crates in the binary, in the format of CycloneDX.
fn parts(folder: &Path, name: &str) -> Result<(), String> {
    let tools = tool::install("cargo-cyclonedx", "0.5.9")?;
    let file = format!("{name}.cdx");
    run(Command::new(tools.join("cargo-cyclonedx"))
        .args(["cyclonedx", "--format", "json", "--spec-version", "1.5"])
        .args(["--no-build-deps", "--override-filename", &file])
        .arg("--manifest-path")
        .arg(root().join("crates/envelope-command/Cargo.toml")))?;
    let name = format!("{file}.json");
    copy(&root().join("crates/envelope-command").join(&name), &folder.join(&name))?;
    // It writes one for each package of the workspace, beside its manifest.
    let crates = fs::read_dir(root().join("crates")).map_err(|error| error.to_string())?;
    let crates = crates.filter_map(|entry| Some(entry.ok()?.path()));
    for package in crates.chain(["examples", "interop", "xtask"].map(|it| root().join(it))) {
        let _ = fs::remove_file(package.join(&name));
    }
    Ok(())
}

/// The sums, for `sha256sum --check`.
fn sums(folder: &Path) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in entries {
        names.push(entry.map_err(|error| error.to_string())?.file_name().into());
    }
    names.sort();
    let output = Command::new("sha256sum").current_dir(folder).args(&names).output();
    let output = output.map_err(|error| format!("sha256sum: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let path = folder.join("SHA256SUMS");
    fs::write(&path, output.stdout).map_err(|error| format!("{}: {error}", path.display()))
}
