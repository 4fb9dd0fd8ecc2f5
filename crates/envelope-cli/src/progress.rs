//! Bytes on their way from an input to an output, with a progress bar where a person looks on.

use std::{
    io::{self, Read, Write as _},
    path::Path,
};

use envelope_core::PlainDigest;
use indicatif::{ProgressBar, ProgressStyle};
use zeroize::Zeroizing;

use crate::{failure::Failure, output::Output};

/// Fits the second-level cache of a core.
const CHUNK: usize = 256 * 1024;

/// Copies all of `from`, which is read from `path`, into `to`; gives the number of bytes.
pub(crate) fn pump(
    from: impl Read,
    path: &Path,
    to: &mut Output,
    expected: Option<u64>,
) -> Result<u64, Failure> {
    let bar = bar(expected);
    let mut total: u64 = 0;
    each_chunk(from, path, |data| {
        to.write_all(data).map_err(|error| Failure::io(to.path(), &error))?;
        total = total.saturating_add(data.len() as u64);
        bar.set_position(total);
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(total)
}

/// Hands over all of `from`, which is read from `path`, chunk by chunk.
pub(crate) fn each_chunk(
    mut from: impl Read,
    path: &Path,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut buffer = Zeroizing::new(vec![0; CHUNK]);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => take(buffer.get(..read).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::stream(path, &error)),
        }
    }
}

/// The MD5 of all of `from`, which is read from `path`.
pub(crate) fn md5(from: impl Read, path: &Path) -> Result<[u8; 16], Failure> {
    let mut digest = PlainDigest::new();
    each_chunk(from, path, |data| {
        digest.update(data);
        Ok(())
    })?;
    Ok(digest.finish())
}

/// On standard error, and only if that is a terminal.
fn bar(expected: Option<u64>) -> ProgressBar {
    let (bar, template) = match expected {
        Some(len) => {
            (ProgressBar::new(len), "{wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {binary_bytes_per_sec}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
