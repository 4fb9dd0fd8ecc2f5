//! Which profile is used.

use std::path::PathBuf;

/// The choice of a profile.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct ProfileChoice {
    /// The file of profiles; by default ~/.config/envelope/config.toml. `envelope help profiles`
    /// says what is in it.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// The profile to use, which holds keys, regions, access keys and more; by default `default`.
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) profile: Option<String>,
    /// Use no profile, not even the default one.
    #[arg(long, global = true, conflicts_with_all = ["profile", "config"])]
    pub(crate) no_profile: bool,
}
