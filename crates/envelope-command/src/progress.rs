//! Progress, on standard error.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use envelope_store::Event;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;

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

/// Reports progress, as a bar for people or as lines of JSON for programs.
#[derive(Clone)]
pub(crate) struct ProgressReporter {
    bar: Option<ProgressBar>,
    json: bool,
    total: Option<u64>,
    state: Arc<Mutex<(u64, Instant)>>,
}

impl ProgressReporter {
    pub(crate) fn new(total: Option<u64>, json: bool) -> Self {
        let bar = (!json).then(|| bar(total));
        Self { bar, json, total, state: Arc::new(Mutex::new((0, Instant::now()))) }
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
                    eprintln!("{}", json!({ "moved": state.0, "total": self.total }));
                }
            }
            Event::Resumed(bytes) => {
                state.0 = state.0.saturating_add(bytes);
                if let Some(bar) = &self.bar {
                    bar.set_position(state.0);
                }
                self.say(
                    &json!({ "resumed": bytes }),
                    &format!("resuming: {} already transferred", HumanBytes(bytes)),
                );
            }
            Event::Restarted(why) => {
                self.say(&json!({ "restarted": why }), &format!("starting over: {why}"));
            }
            _ => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, json: &serde_json::Value, words: &str) {
        if self.json {
            eprintln!("{json}");
        } else if let Some(bar) = &self.bar {
            bar.suspend(|| eprintln!("{words}"));
        }
    }
}
