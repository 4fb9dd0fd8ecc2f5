//! The progress bar.

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a progress bar, which is shown on standard error only if that is a terminal.
pub(crate) fn bar(expected: Option<u64>) -> ProgressBar {
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
