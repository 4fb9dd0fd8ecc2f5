//! Arguments of `envelope doctor`.

use envelope_store::Address;

use super::{Bucket, CustomerMode, Keys};

/// Check that everything works: the key files, the access key, the region, the clock, the rights in
/// a bucket, the KMS, and whether an object opens.
///
/// The rights are tried with a small object of a random name, `.envelope-doctor-…`, which is
/// deleted again; a bucket that keeps versions keeps that one, too. The exit status is 1 if
/// anything does not work.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// The folder of keys to try; or an object, which is opened, too.
    pub(crate) address: Address,
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    #[command(flatten)]
    pub(crate) mode: CustomerMode,
    /// Only read: write no probe object.
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Print lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
