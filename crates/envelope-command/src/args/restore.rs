//! Arguments of `envelope restore`.

use clap::ValueEnum;
use envelope_store::{Address, RestoreTier};

use super::{Bucket, CustomerMode, InventoryFile, Many, Parallel, Patterns};

/// Restore archived objects, so that they can be read for some days. It takes the store from
/// minutes to days until they can; --status shows whether it is done.
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The address of the object. With -r, that of a folder of keys.
    pub(crate) object: Address,
    /// Restore all objects below a folder of keys. Those that are not archived are passed over.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Only show, on standard output, what the store says about the object: `not restored`,
    /// `restoring`, or until when it is `restored`.
    #[arg(long, conflicts_with = "recursive")]
    pub(crate) status: bool,
    /// For how many days.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=365)
    )]
    pub(crate) days: u16,
    /// The urgency: the sooner, the more it costs. By default, the store decides. Not all storage
    /// classes have all of them.
    #[arg(long, value_name = "TIER", ignore_case = true)]
    pub(crate) tier: Option<Tier>,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    #[command(flatten)]
    pub(crate) mode: CustomerMode,
    #[command(flatten)]
    pub(crate) parallel: Parallel,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) named: InventoryFile,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print progress and the outcome as lines of JSON on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tier {
    Expedited,
    Standard,
    Bulk,
}

impl Restore {
    /// Returns what is asked of the store.
    pub(crate) fn request(&self) -> envelope_store::Restore {
        let restore = envelope_store::Restore::new(self.days);
        match self.tier {
            None => restore,
            Some(Tier::Expedited) => restore.with_tier(RestoreTier::Expedited),
            Some(Tier::Standard) => restore.with_tier(RestoreTier::Standard),
            Some(Tier::Bulk) => restore.with_tier(RestoreTier::Bulk),
        }
    }
}
