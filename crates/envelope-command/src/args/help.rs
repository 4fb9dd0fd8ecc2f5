//! Arguments of `envelope help` and of what is made from the same definitions.

use std::path::PathBuf;

use clap_complete::Shell;

/// Explain a command, or what a profile is.
#[derive(Debug, clap::Args)]
pub(crate) struct Help {
    /// The command, such as `put` or `uploads ls`; or `profiles`.
    pub(crate) topic: Vec<String>,
    /// Show all options and everything about them.
    #[arg(long)]
    pub(crate) all: bool,
}

/// Print a script that completes the commands and options in a shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: Shell,
}

/// Write the manual pages to a folder.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The folder, created if necessary.
    pub(crate) folder: PathBuf,
}
