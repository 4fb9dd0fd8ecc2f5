//! Options for the log.

use std::path::PathBuf;

/// Options for the log, which every subcommand has.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Log {
    /// Say on standard error what is sent to stores and key management services, and what they
    /// answer. No secret and no content is among it.
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// Append the same to a file, which only its owner can read.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) log_file: Option<PathBuf>,
}
