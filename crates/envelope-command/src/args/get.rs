//! Arguments of `envelope get`, `cat` and `verify`.

use std::path::{Path, PathBuf};

use envelope_store::Address;

use super::{
    InventoryFile, MAX_PARALLEL, Many, Parallel, Patterns, Read, size, store::default_part_size,
};

/// Download an object and decrypt it to a file, or with -r all objects below a folder of keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// The address of the object. With -r, that of a folder of keys.
    pub(crate) from: Address,
    /// The output file for the plaintext; `-` is standard output. A file appears only once all
    /// checks have passed. If it is a folder, the file in it is named after the object. With -r, it
    /// is the folder, created if necessary.
    #[arg(value_name = "PLAIN", required_unless_present = "output")]
    pub(crate) to: Option<PathBuf>,
    /// The output file for the plaintext, too.
    #[arg(long, short, value_name = "PLAIN", conflicts_with = "to")]
    pub(super) output: Option<PathBuf>,
    /// Download all objects below a folder of keys. The files get the times that the metadata of
    /// the objects keeps (`mtime`), or those at which the objects were written. A file that is
    /// there already, with the length and the time of the object, is passed over.
    #[arg(long, short, conflicts_with_all = ["range", "name", "delayed", "verify_first"])]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) read: Read,
    /// The number of ranges, and with -r of objects and ranges together, that are in memory and in
    /// flight at once; 4 by default, and 16 with -r.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_PARALLEL))]
    pub(crate) parallel: Option<u16>,
    /// The size of a range in bytes.
    #[arg(long, value_name = "N", value_parser = size, default_value_t = default_part_size())]
    pub(crate) part_size: u64,
    /// Overwrite an existing file.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) named: InventoryFile,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print progress and the outcome as lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Get {
    /// Returns the output, of which one form is required.
    pub(crate) fn output(&self) -> &Path {
        self.to.as_deref().or(self.output.as_deref()).unwrap_or_else(|| Path::new("-"))
    }
}

/// Decrypt an object to standard output.
#[derive(Debug, clap::Args)]
pub(crate) struct Cat {
    /// The address of the object.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) read: Read,
}

/// Decrypt an object and run every possible check, without writing the plaintext anywhere.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The address of the object. With -r, that of a folder of keys.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) read: Read,
    /// Verify all objects below a folder of keys.
    #[arg(long, short, conflicts_with_all = ["range", "name"])]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) parallel: Parallel,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) named: InventoryFile,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
