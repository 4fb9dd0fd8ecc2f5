//! Arguments of the subcommands that list, look at and delete objects.

use std::{path::PathBuf, time::Duration};

use clap::builder::NonEmptyStringValueParser;
use envelope_store::Address;

use super::{
    Bucket, CustomerMode, InventoryFile, Keys, Many, Origin, Parallel, Patterns, Require,
    store::age,
};

/// Look at all objects below a folder of keys, and tell which of them could be decrypted, with
/// which key, and how they are protected. No body is read.
///
/// Each object gets one line of JSON, on standard output or in the report, with its state: `opens`
/// (with the key that is named), `locked` (no given key opens it), `encrypted` (no key is given),
/// `plain`, `invalid` (its metadata is rejected), or `gone`. The exit status is 1 if an object is
/// locked, is invalid or could not be looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    /// The bucket, and a folder of keys in it.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    #[command(flatten)]
    pub(crate) mode: CustomerMode,
    #[command(flatten)]
    pub(crate) require: Require,
    #[command(flatten)]
    pub(crate) origin: Origin,
    /// Look at the objects that this file lists, instead of those of a listing.
    #[arg(long, value_name = "FILE")]
    pub(crate) inventory: Option<PathBuf>,
    /// Write a page for people: totals, charts, and a table of objects. It is one file that needs
    /// no others. All objects are looked at again, whatever the report says.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
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

/// List the objects and folders of one level, or all objects.
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// The bucket, and what the keys to list begin with. If it ends with a slash, that is what is
    /// in a folder.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    #[command(flatten)]
    pub(crate) mode: CustomerMode,
    /// List all objects, in all folders.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Look at the metadata of each object, too, and show the length of its plaintext, its dialect
    /// and what protects it: `sealed`, `adopted` (a seal made for a body that was already there),
    /// `metadata` (a seal that does not cover the body), `gcm`, `none`, or `plain`; or else
    /// `invalid` metadata, or an object that was `denied` or is `gone`. One more request for each
    /// object.
    #[arg(long, short)]
    pub(crate) long: bool,
    /// List all versions of all objects in all folders, the newest of each first, with their IDs:
    /// `latest` is the current one, and `deleted` says that the object was deleted then.
    #[arg(long, conflicts_with = "long")]
    pub(crate) versions: bool,
    /// Show lengths in KiB, MiB and so on.
    #[arg(long, short = 'H')]
    pub(crate) human: bool,
    /// Show the number of objects and their bytes at the end, on standard error.
    #[arg(long)]
    pub(crate) total: bool,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print one line of JSON for each object and folder.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Delete objects.
#[derive(Debug, clap::Args)]
pub(crate) struct Rm {
    /// The addresses of the objects, or with -r of folders of keys.
    #[arg(required = true)]
    pub(crate) objects: Vec<Address>,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Delete all objects below a folder of keys.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Do not ask before deleting many objects. Without a terminal to ask on, it is required.
    #[arg(long, short, requires = "recursive")]
    pub(crate) yes: bool,
    /// Delete this version for good, and no other. If it is the current one, the one before it is
    /// from then on. For one object.
    #[arg(
        long,
        value_name = "ID",
        conflicts_with = "recursive",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub(crate) version_id: Option<String>,
    /// An object that does not exist is no failure.
    #[arg(long, short)]
    pub(crate) force: bool,
    /// The number of requests that are in flight at once, each for a thousand objects.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=64),
        help_heading = "Many objects"
    )]
    pub(crate) parallel: u16,
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

/// List or abort uploads in parts that were begun and not completed. Their parts are stored, and
/// paid for, until then.
#[derive(Debug, clap::Args)]
pub(crate) struct Uploads {
    #[command(subcommand)]
    pub(crate) command: UploadsCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum UploadsCommand {
    /// List open uploads: when each began, its ID and its key.
    Ls(UploadsLs),
    /// Abort open uploads, and discard their parts. One that is going on fails.
    Abort(UploadsAbort),
}

impl UploadsCommand {
    pub(crate) const fn bucket_mut(&mut self) -> &mut Bucket {
        match self {
            Self::Ls(args) => &mut args.bucket,
            Self::Abort(args) => &mut args.bucket,
        }
    }
}

/// A choice of open uploads.
#[derive(Debug, clap::Args)]
pub(crate) struct UploadsLs {
    /// The bucket, and a folder of keys in it.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Only uploads that began longer ago than this: a number, followed by `s`, `m`, `h` or `d`.
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub(crate) older_than: Option<Duration>,
    /// Print lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Uploads to abort.
#[derive(Debug, clap::Args)]
pub(crate) struct UploadsAbort {
    /// The bucket, and a folder of keys in it.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Only uploads that began longer ago than this: a number, followed by `s`, `m`, `h` or `d`. A
    /// younger one may be going on.
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub(crate) older_than: Duration,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print progress and the outcome as lines of JSON on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show how many objects there are below a folder of keys, and how many bytes they take.
#[derive(Debug, clap::Args)]
pub(crate) struct Du {
    /// The bucket, and a folder of keys in it.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Show numbers of bytes as they are.
    #[arg(long, short)]
    pub(crate) bytes: bool,
    /// Print lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
