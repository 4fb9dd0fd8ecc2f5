//! The packages as the registry would receive them: built, and their examples run.

use std::{fs, path::Path, process::Command};

use crate::{
    root,
    run::{cargo, run},
    target,
};

/// The packages that are published, in the order of their dependencies.
const PUBLISHED: [&str; 7] = [
    "meta-codec",
    "ctr-kernel",
    "envelope-cloud",
    "envelope-core",
    "envelope-kms",
    "envelope-store",
    "envelope-command",
];

/// Builds every package from what would be uploaded, and runs the documentation tests in it.
pub(crate) fn check() -> Result<(), String> {
    // Cargo's own build of the packages takes a version as immutable, and would use what it built
    // of another commit with the same version. They are built below.
    cargo(["publish", "--workspace", "--dry-run", "--no-verify", "--allow-dirty", "--quiet"])?;
    // A dry run keeps no packages. Those that are never published may depend on each other without
    // a version.
    let names = PUBLISHED.iter().flat_map(|name| ["--package", name]);
    cargo(["package", "--no-verify", "--allow-dirty", "--quiet"].into_iter().chain(names))?;
    let folder = target().join("published");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for name in PUBLISHED {
        unpack(name, &folder)?;
    }
    // The packages depend on each other by version, and no registry has them.
    let members = PUBLISHED.map(|name| format!("\"{name}\""));
    let patches = PUBLISHED.map(|name| format!("{name} = {{ path = \"{name}\" }}\n"));
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[patch.crates-io]\n{}\n{}",
        members.join(", "),
        patches.concat(),
        profile()?
    );
    let path = folder.join("Cargo.toml");
    fs::write(&path, manifest).map_err(|error| format!("{}: {error}", path.display()))?;
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock"))
        .map_err(|error| format!("Cargo.lock: {error}"))?;
    for words in [&["build"][..], &["test", "--doc"]] {
        run(Command::new(env!("CARGO"))
            .args(words)
            .args(["--workspace", "--all-features", "--manifest-path"])
            .arg(&path)
            .env("CARGO_TARGET_DIR", target()))?;
    }
    Ok(())
}

/// Returns how the workspace is built for tests, so that the dependencies are built once for both.
fn profile() -> Result<String, String> {
    let manifest = root().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|error| error.to_string())?;
    let (_, profile) = text.split_once("[profile.dev]").ok_or("Cargo.toml has no [profile.dev]")?;
    Ok(format!("[profile.dev]{profile}"))
}

/// Unpacks a package that `cargo package` has made. Its files get new times of modification, so
/// that they are built again.
fn unpack(name: &str, folder: &Path) -> Result<(), String> {
    let packed = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
    let archive = target().join("package").join(format!("{packed}.crate"));
    run(Command::new("tar").arg("-xzmf").arg(&archive).arg("-C").arg(folder))?;
    fs::rename(folder.join(&packed), folder.join(name))
        .map_err(|error| format!("{}: {error}", archive.display()))
}
