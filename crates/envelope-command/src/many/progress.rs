//! The progress of work on many objects.

use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use envelope_store::{Event, bulk::BulkEvent};
use indicatif::ProgressBar;
use serde_json::json;

use crate::{
    failure::{one_line, warn},
    progress::{NOT_ENFORCED, is_json, many_bar, say, say_wait, show},
};

/// The number of failures that are said, if there is a report that has all of them.
const MOST_SAID: u64 = 20;
/// The number of different warnings that are remembered.
const MOST_WORDS: usize = 1000;
/// The time between two lines for programs.
const PERIOD: Duration = Duration::from_secs(1);

/// Shows the progress of many objects, as one bar for people or as lines of JSON for programs, and
/// says which objects failed.
pub(crate) struct ManyProgress {
    bar: Option<ProgressBar>,
    found: AtomicU64,
    found_bytes: AtomicU64,
    ended: AtomicU64,
    failed: AtomicU64,
    /// The bytes that moved, as far as somebody tells.
    moved: AtomicU64,
    said: Mutex<Instant>,
    /// The warnings that were given, without the object.
    warned: Mutex<HashSet<String>>,
    pub(super) has_report: AtomicBool,
}

impl ManyProgress {
    pub(super) fn new() -> Self {
        let bar = (!is_json()).then(many_bar);
        show(bar.as_ref());
        Self {
            bar,
            found: AtomicU64::new(0),
            found_bytes: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            said: Mutex::new(Instant::now()),
            warned: Mutex::default(),
            has_report: AtomicBool::new(false),
        }
    }

    pub(super) fn notify(&self, event: &BulkEvent) {
        match event {
            BulkEvent::Found(bytes) => {
                self.found.fetch_add(1, Relaxed);
                self.found_bytes.fetch_add(*bytes, Relaxed);
            }
            BulkEvent::Ended { key, outcome, .. } => {
                let (status, error) = (outcome.status, outcome.error.as_deref());
                tracing::debug!(key, status, error, bytes = outcome.bytes, "ended");
                self.ended.fetch_add(1, Relaxed);
                if let Some(error) = &outcome.error {
                    let before = self.failed.fetch_add(1, Relaxed);
                    self.say_failure(before, key, error);
                }
            }
            _ => {}
        }
        self.update();
    }

    /// Says that an object failed. Where all of them are in a report, the first few are enough.
    fn say_failure(&self, before: u64, key: &str, error: &str) {
        let is_enough = self.has_report.load(Relaxed) && before >= MOST_SAID;
        if !is_enough {
            let words = format!("{}: {error}", one_line(key));
            say(&json!({ "failed": key, "error": error }), &words);
        } else if before == MOST_SAID {
            say(&json!({ "more": true }), "more objects failed; the report has all of them");
        }
    }

    /// Notes an event of a transfer of one object.
    pub(crate) fn transfer(&self, key: &str, event: Event) {
        match event {
            Event::Transferred(bytes) | Event::Resumed(bytes) => {
                self.moved.fetch_add(bytes, Relaxed);
                self.update();
            }
            Event::Waiting { delay, reason } => say_wait(delay, &reason),
            Event::NotEnforced => self.warn_once(key, NOT_ENFORCED),
            Event::Warning(words) => self.warn_once(key, &words),
            Event::Kept(path) => say(
                &json!({ "kept": path, "key": key }),
                &format!("{key} is kept in {} until its replacement is verified", path.display()),
            ),
            _ => {}
        }
    }

    /// Warns about one object of what may be so for all of them.
    fn warn_once(&self, key: &str, words: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() >= MOST_WORDS || warned.insert(words.to_owned()) {
            warn(format_args!("{}: {words}", one_line(key)));
        }
    }

    fn update(&self) {
        let [found, of, ended, moved] =
            [&self.found, &self.found_bytes, &self.ended, &self.moved].map(|it| it.load(Relaxed));
        let failed = self.failed.load(Relaxed);
        if let Some(bar) = &self.bar {
            let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
            bar.set_message(format!("{ended} of {found} objects{failed}"));
            // Where no bytes move, the objects are what is left to be done.
            let (position, len) = if of > 0 { (moved, of) } else { (ended, found) };
            bar.set_length(len.max(position));
            bar.set_position(position);
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.elapsed() >= PERIOD {
            *said = Instant::now();
            let line = json!({ "objects": ended, "found": found, "failed": failed, "moved": moved,
                "total": of });
            say(&line, "");
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        show(None);
    }
}
