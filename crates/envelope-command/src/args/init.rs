//! Arguments of `envelope init`.

/// Write a profile, after asking what is to be in it.
///
/// The answers are read from standard input, one line each. A new profile is added to the file of
/// profiles (--config); an existing one is never changed. Secrets are not asked for: `envelope help
/// profiles` says where access keys are looked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {}
