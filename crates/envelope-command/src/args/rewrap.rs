//! Arguments of `envelope rewrap` for objects in a store.

use std::path::PathBuf;

use super::{Bucket, CustomerMode, Many, Parallel, Patterns, store::State};

/// Selection of the objects in a bucket to rewrap, and options for doing so.
#[derive(Debug, clap::Args)]
pub(crate) struct BulkArgs {
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    #[command(flatten)]
    pub(crate) mode: CustomerMode,
    /// Rewrap every object whose key begins with that of the address.
    #[arg(long, short = 'r', visible_alias = "recursive")]
    pub(crate) prefix: bool,
    /// Rewrap all versions of each object, in a bucket that keeps versions, so that the old key
    /// opens none of them. Versions cannot be changed: each is written again, with a new ID and a
    /// new time, and the old ones are deleted for good after all of them are there again.
    /// Meanwhile, older versions are the current one for a moment each, so that nothing should read
    /// the objects.
    #[arg(long, conflicts_with_all = ["inventory", "reupload"])]
    pub(crate) all_versions: bool,
    /// Rewrap the objects listed in this file: an inventory as written by the stores (CSV of bucket
    /// and key), CSV with a column `key`, or lines of JSON with a `key`.
    #[arg(long, value_name = "FILE", conflicts_with = "prefix")]
    pub(crate) inventory: Option<PathBuf>,
    /// Rewrap only the I-th of N shares of these objects, from 1/N to N/N; an object is always in
    /// the same share.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub(crate) shard: Option<(u64, u64)>,
    /// Upload the ciphertext again where OSS refuses to change the metadata of an encrypted object.
    /// A copy is kept in the folder of --state until the new object is verified.
    #[arg(long)]
    pub(crate) reupload: bool,
    #[command(flatten)]
    pub(crate) state: State,
    #[command(flatten)]
    pub(crate) parallel: Parallel,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print progress and the outcome as lines of JSON on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    text.split_once('/')
        .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)))
        .filter(|(index, count)| (1..=*count).contains(index))
        .ok_or_else(|| "expected I/N, with I from 1 to N".to_owned())
}
