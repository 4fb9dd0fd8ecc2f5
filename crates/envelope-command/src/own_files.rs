//! The files that every subcommand may read or write, whatever else it works on. Nothing that is
//! downloaded takes their place, and no `--delete` removes them.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::{args::Args, profile};

static FILES: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// Notes the files that the arguments name.
pub(crate) fn note(args: &Args) {
    let config = args.profile.config.clone().or_else(profile::default_path);
    let files = config.into_iter().chain(args.log.log_file.clone());
    // It is the first, and the only one.
    let _ = FILES.set(files.collect());
}

/// Returns the files.
pub(crate) fn all<'a>() -> impl Iterator<Item = &'a Path> {
    FILES.get().into_iter().flatten().map(PathBuf::as_path)
}
