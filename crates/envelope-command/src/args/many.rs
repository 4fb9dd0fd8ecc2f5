//! Options for work on many objects.

use std::{fmt, num::NonZeroU32, path::PathBuf};

use envelope_store::bulk::Filter;

use super::size;
use crate::failure::Failure;

/// The most requests that may be in flight.
pub(crate) const MAX_PARALLEL: i64 = 1024;

/// Options for work on many objects.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Many objects")]
pub(crate) struct Many {
    /// The output file for the report, one line of JSON for each object. The same command with the
    /// same report goes on with what is missing or has failed.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// The maximum number of objects per second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: Option<u32>,
    /// The maximum number of bytes per second, sent and received together. Accepts the suffixes
    /// `KiB`, `MiB` and `GiB`.
    #[arg(long, value_name = "N", value_parser = size)]
    pub(crate) bandwidth: Option<u64>,
    /// Print what would be done, and do nothing. Neither what a report says nor, but for `sync`,
    /// what is at the target is considered.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

impl Many {
    /// Refuses these options where there is only one object.
    pub(crate) fn refuse(&self, patterns: &Patterns) -> Result<(), Failure> {
        let is_given = self.report.is_some()
            || self.rate.is_some()
            || self.bandwidth.is_some()
            || self.dry_run
            || !patterns.is_empty();
        if is_given {
            return Err(Failure::usage(
                "--report, --rate, --bandwidth, --dry-run, --include and --exclude are for many \
                 objects",
                "omit them, or work on a whole folder with -r",
            ));
        }
        Ok(())
    }

    /// Returns the maximum speed, in units of 1024 bytes a second.
    pub(crate) fn line(&self) -> Option<NonZeroU32> {
        let units = u32::try_from(self.bandwidth?.div_ceil(1024)).unwrap_or(u32::MAX);
        Some(NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN))
    }

    pub(crate) fn rate(&self) -> Option<NonZeroU32> {
        self.rate.and_then(NonZeroU32::new)
    }
}

/// Objects that a file names.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Many objects")]
pub(crate) struct InventoryFile {
    /// Work on the objects that this file lists, instead of those of a listing: an inventory as
    /// written by the stores (CSV of bucket and key), CSV with a column `key`, or lines of JSON
    /// with a `key`. Only those below the folder of the address are meant.
    #[arg(long, value_name = "FILE", requires = "recursive")]
    pub(crate) inventory: Option<PathBuf>,
}

/// How much is done at once.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Many objects")]
pub(crate) struct Parallel {
    /// The number of requests that are in flight at once, for as many objects.
    #[arg(
        long = "parallel",
        value_name = "N",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=MAX_PARALLEL)
    )]
    pub(crate) requests: u16,
}

/// The choice among many objects.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Many objects")]
pub(crate) struct Patterns {
    /// Work only on what matches this pattern: `*` is any part of a name, `**` any number of
    /// folders. A pattern without a slash is that of a name in any folder; one that begins with a
    /// slash begins at the top; one that ends with a slash is all that is in a folder. May be
    /// repeated.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Pass over what matches this pattern, even if it is included. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
}

/// Formats the patterns as words of a question.
impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |verb: &str, patterns: &[String]| match patterns {
            [] => String::new(),
            patterns => format!(" that {verb} {}", patterns.join(" or ")),
        };
        f.write_str(&each("match", &self.include))?;
        f.write_str(&each("do not match", &self.exclude))
    }
}

impl Patterns {
    pub(crate) const fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    pub(crate) fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = Filter::new();
        let bad = |error| Failure::usage(error, "quote the pattern, so that the shell keeps it");
        for pattern in &self.include {
            filter = filter.with_include(pattern).map_err(bad)?;
        }
        for pattern in &self.exclude {
            filter = filter.with_exclude(pattern).map_err(bad)?;
        }
        Ok(filter)
    }
}
