//! Bytes on their way from an input to an output, with a progress bar where a person looks on.

use std::{
    io::{self, Read, Write as _},
    path::Path,
};

use indicatif::{ProgressBar, ProgressStyle};
use zeroize::Zeroizing;

use crate::{failure::Failure, output::Output};

/// Fits the second-level cache of a core.
const CHUNK: usize = 256 * 1024;

/// Copies all of `from`, which is read from `path`, into `to`; gives the number of bytes.
pub(crate) fn pump(
    mut from: impl Read,
    path: &Path,
    to: &mut Output,
    expected: Option<u64>,
) -> Result<u64, Failure> {
    let bar = bar(expected);
    let mut buffer = Zeroizing::new(vec![0; CHUNK]);
    let mut total: u64 = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::stream(path, &error)),
        };
        let data = buffer.get(..read).unwrap_or_default();
        to.write_all(data).map_err(|error| Failure::io(to.path(), &error))?;
        total = total.saturating_add(read as u64);
        bar.set_position(total);
    }
    bar.finish_and_clear();
    Ok(total)
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
