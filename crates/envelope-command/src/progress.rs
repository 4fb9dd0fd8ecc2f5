//! Progress, on standard error.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use envelope_store::Event;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::{json_lines, one_line, warn};

/// The shortest wait that is worth a line.
const WAIT: Duration = Duration::from_secs(2);

/// What is said of [`Event::NotEnforced`].
pub(crate) const NOT_ENFORCED: &str = "the bucket keeps versions, or once did: nothing was at \
    this key when it was looked at, but the store does not guarantee it";

/// Whether what is said on standard error is for programs.
static JSON: AtomicBool = AtomicBool::new(false);
/// The bar that is shown, which lines must not run into.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Sets whether what is said on standard error is lines of JSON.
pub(crate) fn set_json(json: bool) {
    JSON.store(json, Ordering::Relaxed);
}

/// Returns whether what is said on standard error is lines of JSON.
pub(crate) fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Says something on standard error, for people or for programs.
pub(crate) fn say(json: &Value, words: &str) {
    if is_json() {
        return print(&json_lines(&json.to_string()));
    }
    beside_bar(|| print(&one_line(words)));
}

/// Runs something that writes lines to the terminal, so that they do not run into the bar.
pub(crate) fn beside_bar<T>(write: impl FnOnce() -> T) -> T {
    match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// The standard output, each write to which is of whole lines.
pub(crate) struct OutputLines;

impl Write for OutputLines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(lines);
        beside_bar(|| io::stdout().lock().write_all(json_lines(&text).as_bytes()))?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// Prints a line on standard error. Nobody may be listening, which is no reason to end a transfer.
fn print(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Says that the store is waited for, if it takes a while.
pub(crate) fn say_wait(delay: Duration, reason: &str) {
    if delay > WAIT {
        let seconds = delay.as_secs_f64();
        say(
            &json!({ "waiting": seconds, "reason": reason }),
            &format!("waiting {seconds:.0} s before the next attempt: {reason}"),
        );
    }
}

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

/// Returns the bar of many objects, whose message says how many there are.
pub(crate) fn many_bar() -> ProgressBar {
    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
    match ProgressStyle::with_template(template) {
        Ok(style) => ProgressBar::new(0).with_style(style),
        Err(_) => ProgressBar::new(0),
    }
}

/// Makes this bar, or none, the one that lines must not run into.
pub(crate) fn show(bar: Option<&ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar.cloned();
}

/// Reports progress, as a bar for people or as lines of JSON for programs.
#[derive(Clone)]
pub(crate) struct ProgressReporter {
    bar: Option<ProgressBar>,
    total: Option<u64>,
    state: Arc<Mutex<(u64, Instant)>>,
}

impl ProgressReporter {
    pub(crate) fn new(total: Option<u64>) -> Self {
        let bar = (!is_json()).then(|| bar(total));
        show(bar.as_ref());
        Self { bar, total, state: Arc::new(Mutex::new((0, Instant::now()))) }
    }

    pub(crate) fn notify(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Transferred(bytes) => {
                state.0 = state.0.saturating_add(bytes);
                if let Some(bar) = &self.bar {
                    bar.set_position(state.0);
                } else if state.1.elapsed() >= Duration::from_secs(1) || Some(state.0) == self.total
                {
                    state.1 = Instant::now();
                    print(&json!({ "moved": state.0, "total": self.total }).to_string());
                }
            }
            Event::Resumed(bytes) => {
                state.0 = state.0.saturating_add(bytes);
                if let Some(bar) = &self.bar {
                    bar.set_position(state.0);
                }
                say(
                    &json!({ "resumed": bytes }),
                    &format!("resuming: {} already transferred", HumanBytes(bytes)),
                );
            }
            Event::Restarted(why) => {
                state.0 = 0;
                if let Some(bar) = &self.bar {
                    bar.set_position(0);
                }
                say(&json!({ "restarted": why }), &format!("starting over: {why}"));
            }
            Event::Waiting { delay, reason } => say_wait(delay, &reason),
            Event::NotEnforced => warn(NOT_ENFORCED),
            Event::Warning(words) => warn(words),
            _ => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
