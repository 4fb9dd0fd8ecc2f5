//! Work on many objects: what all commands that do it have in common.

use std::{
    convert::Infallible,
    error::Error,
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use envelope_store::{
    Address, Budget, Entry, Event, RateLimit, StopSignal, Store, StoreError,
    blocking::Runtime,
    bulk::{
        Bulk, BulkError, BulkEvent, Filter, Inventory, InventoryError, Item, Outcome, Report,
        ReportError, Row, Summary, describe, listed,
    },
    list_all,
};
use futures_util::{
    Stream, StreamExt as _, TryStreamExt as _, future,
    stream::{self, BoxStream},
};
use indicatif::{HumanBytes, ProgressBar};
use serde_json::{Value, json};

use crate::{
    args::Many,
    cleanup,
    failure::{Failure, Status, one_line},
    progress::{is_json, many_bar, say, say_wait, show},
};

/// The number of failures that are said, if there is a report that has all of them.
const MOST_SAID: u64 = 20;
/// The time between two lines for programs.
const PERIOD: Duration = Duration::from_secs(1);

/// The engine for a command, with its budget and its progress.
pub(crate) struct Engine {
    bulk: Bulk,
    pub(crate) budget: Budget,
    pub(crate) progress: Arc<ManyProgress>,
    quiet: bool,
}

impl Engine {
    /// Creates the engine for up to `parallel` requests in flight, each of which holds at most
    /// `part` bytes in memory.
    pub(crate) fn new(many: &Many, parallel: u16, part: u64) -> Self {
        let mut budget = Budget::new(parallel.into(), part.saturating_mul(parallel.into()));
        if let Some(line) = many.line() {
            budget = budget.with_line(RateLimit::per_second(line));
        }
        let (stop, progress) = (StopSignal::new(), Arc::new(ManyProgress::new()));
        let given = stop.clone();
        cleanup::on_interrupt(move || {
            given.stop();
            say(
                &json!({ "interrupted": true }),
                "interrupted; what has begun is being finished. Interrupt once more to end at once",
            );
        });
        let told = Arc::clone(&progress);
        let mut bulk = Bulk::new(parallel.into())
            .with_stop(stop)
            .with_listener(move |event| told.notify(event));
        if let Some(rate) = many.rate() {
            bulk = bulk.with_rate(RateLimit::per_second(rate));
        }
        Self { bulk, budget, progress, quiet: false }
    }

    /// Sets the number of objects that are worked on at once, where several share a request.
    pub(crate) fn with_objects(mut self, objects: usize) -> Self {
        self.bulk = self.bulk.with_parallel(objects);
        self
    }

    /// Adds a function that is called with every event.
    pub(crate) fn with_listener(
        mut self,
        notify: impl Fn(&BulkEvent) + Send + Sync + 'static,
    ) -> Self {
        self.bulk = self.bulk.with_listener(notify);
        self
    }

    /// Makes it keep to itself what became of the objects.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Returns a store within the budget.
    pub(crate) fn store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        self.budget.store(store)
    }

    /// Does the work, and says what became of the objects.
    pub(crate) fn run<T, E, F>(
        &self,
        runtime: &Runtime,
        items: impl Stream<Item = Result<Item<T>, E>> + Send,
        mut report: Report,
        work: impl Fn(Item<T>) -> F,
    ) -> Result<Summary, Failure>
    where
        T: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Outcome> + Send + 'static,
    {
        self.progress.has_report.store(report.is_written(), Relaxed);
        let outcome = runtime.block_on(self.bulk.run(items, &mut report, work));
        self.end(outcome)
    }

    /// Does the work on `items`, and then on those that `then` returns, if the first work was neither
    /// stopped nor broken off. Says what became of all of them together.
    pub(crate) fn run_then<T, E, F>(
        &self,
        runtime: &Runtime,
        items: impl Stream<Item = Result<Item<T>, E>> + Send,
        mut report: Report,
        work: impl Fn(Item<T>) -> F,
        then: impl FnOnce(&Summary) -> Result<Vec<Item<T>>, Failure>,
    ) -> Result<Summary, Failure>
    where
        T: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Outcome> + Send + 'static,
    {
        self.progress.has_report.store(report.is_written(), Relaxed);
        let first = runtime.block_on(self.bulk.run(items, &mut report, &work));
        let first = match first {
            Ok(first) if !first.is_stopped() => first,
            outcome => return self.end(outcome),
        };
        let rest = match then(&first) {
            Ok(rest) => stream::iter(rest.into_iter().map(Ok::<_, Infallible>)),
            Err(failure) => {
                self.end(Ok(first))?;
                return Err(failure);
            }
        };
        let second = runtime.block_on(self.bulk.run(rest, &mut report, &work));
        self.end(second.map(|second| first.and(&second)))
    }

    /// Prints what would become of each object, and does nothing.
    pub(crate) fn plan<T, E>(
        &self,
        runtime: &Runtime,
        items: impl Stream<Item = Result<Item<T>, E>> + Send,
        plan: impl Fn(&Item<T>) -> Outcome,
    ) -> Result<Summary, Failure>
    where
        T: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        // One after the other, so that the plan is in the order of the keys.
        let bulk = self.bulk.clone().with_parallel(1);
        let outcome = runtime
            .block_on(bulk.run(items, &mut Report::to(Plan), |item| future::ready(plan(&item))));
        self.end(outcome)
    }

    fn end(&self, outcome: Result<Summary, BulkError>) -> Result<Summary, Failure> {
        self.progress.finish();
        let summary = match &outcome {
            Ok(summary) => summary,
            Err(error) => &error.summary,
        };
        if !self.quiet {
            say_summary(summary);
        }
        Ok(outcome?)
    }
}

/// The standard output, on which a plan is lines of JSON for programs, and words for people.
struct Plan;

impl Write for Plan {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut out = io::stdout().lock();
        let value: Value = serde_json::from_slice(line)?;
        let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        if is_json() {
            out.write_all(line)?;
        } else {
            let (status, key) = (field("status"), one_line(field("key")));
            let bytes = value.get("bytes").and_then(Value::as_u64);
            let bytes = bytes.map(|bytes| HumanBytes(bytes).to_string()).unwrap_or_default();
            let reason = match field("reason") {
                "" => String::new(),
                reason => format!(" ({reason})"),
            };
            writeln!(out, "{status:<12} {bytes:>12}  {key}{reason}")?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

fn say_summary(summary: &Summary) {
    let bytes = match summary.bytes() {
        0 => String::new(),
        bytes => format!(" ({})", HumanBytes(bytes)),
    };
    say(
        &json!({ "counts": summary.counts(), "bytes": summary.bytes(), "failed": summary.failed(),
            "done_before": summary.earlier() }),
        &format!("{summary}{bytes}"),
    );
}

/// Returns an error if objects failed or are missing. `verb` says what was not done to them.
pub(crate) fn check(summary: &Summary, verb: &str) -> Result<(), Failure> {
    if summary.is_stopped() {
        let waiting = summary.waiting();
        return Err(Failure::new(
            Status::Interrupted,
            format_args!("interrupted: {waiting} objects were found and not {verb}"),
            "the same command does the rest; with --report, it does no object twice",
        ));
    }
    if summary.failed() > 0 {
        return Err(Failure::new(
            Status::Io,
            format_args!("not all objects were {verb}: {summary}"),
            "see the report for the reasons; the same command can be run again",
        ));
    }
    Ok(())
}

/// Returns an error if there is no object below a folder of keys.
pub(crate) fn check_any(summary: &Summary, from: &Address) -> Result<(), Failure> {
    if summary.objects() > 0 || summary.earlier() > 0 || summary.is_stopped() {
        return Ok(());
    }
    Err(no_objects(from))
}

pub(crate) fn no_objects(from: &Address) -> Failure {
    Failure::usage(
        format_args!("{from}: there is no such object"),
        "check the address and the patterns; a key must match exactly",
    )
}

/// Returns the objects below a folder of keys whose paths there a filter admits.
pub(crate) fn objects(
    store: Arc<dyn Store>,
    from: &Address,
    filter: Filter,
) -> BoxStream<'static, Result<Item<Entry>, StoreError>> {
    let prefix = from.key.len();
    list_all(store, from.key.clone())
        .try_filter(move |entry| {
            // The marker of the folder itself is none of the objects below it.
            let path = entry.key.get(prefix..).unwrap_or_default();
            future::ready(!path.is_empty() && filter.admits(path))
        })
        .map_ok(|entry| {
            let modified = entry.modified.as_deref().and_then(listed);
            Item::new(entry.key.clone(), entry.len, entry.clone())
                .with_version(entry.etag)
                .with_modified(modified)
        })
        .boxed()
}

/// An object, with the bucket that it belongs to if that is another one; or the reason that not all
/// can be found.
pub(crate) type Found = Result<Item<Option<String>>, Box<dyn Error + Send + Sync>>;

/// Returns the objects of an inventory whose paths below a folder of keys a filter admits.
pub(crate) fn inventory(
    path: &Path,
    from: &Address,
    filter: Filter,
) -> Result<BoxStream<'static, Found>, Failure> {
    let prefix = from.key.clone();
    let rows = Inventory::open(path, &from.location)?;
    let items = stream::iter(rows.map(|row| match row? {
        Row::Foreign { bucket, key } => Ok(Item::new(key, 0, Some(bucket))),
        Row::Key(key) => Ok(Item::new(key, 0, None)),
        row => Err(format!("{row:?}: such rows are not supported").into()),
    }));
    let wanted = move |item: &Found| match item {
        Ok(Item { key, source: None, .. }) => {
            filter.admits(key.strip_prefix(&prefix).unwrap_or(key))
        }
        _ => true,
    };
    Ok(items.filter(move |item| future::ready(wanted(item))).boxed())
}

/// Opens the report of a job, or returns one that is only shown where objects fail.
pub(crate) fn report(path: Option<&Path>, job: &Value) -> Result<Report, Failure> {
    Ok(path.map_or_else(|| Ok(Report::none()), |path| Report::open(path, job))?)
}

impl From<BulkError> for Failure {
    fn from(error: BulkError) -> Self {
        let words = describe(&error);
        match error.source.downcast::<InventoryError>().map_err(|it| it.downcast::<StoreError>()) {
            Ok(error) => (*error).into(),
            Err(Ok(error)) => Self::new(Status::Io, words, Self::from(*error).advice()),
            Err(Err(_)) => Self::new(Status::Io, words, "the same command can be run again"),
        }
    }
}

impl From<InventoryError> for Failure {
    fn from(error: InventoryError) -> Self {
        match error {
            InventoryError::Io { path, source } => Self::io(&path, &source),
            error => Self::usage(
                error,
                "use CSV of bucket and key, CSV with a column `key`, or lines of JSON with a `key`",
            ),
        }
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Io { path, source } => Self::io(&path, &source),
            error => Self::new(Status::Io, error, "choose another --report"),
        }
    }
}

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
    has_report: AtomicBool,
}

impl ManyProgress {
    fn new() -> Self {
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
            has_report: AtomicBool::new(false),
        }
    }

    fn notify(&self, event: &BulkEvent) {
        match event {
            BulkEvent::Found(bytes) => {
                self.found.fetch_add(1, Relaxed);
                self.found_bytes.fetch_add(*bytes, Relaxed);
            }
            BulkEvent::Ended { key, outcome, .. } => {
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
            Event::Warning(words) => {
                crate::failure::warn(format_args!("{}: {words}", one_line(key)));
            }
            Event::Kept(path) => say(
                &json!({ "kept": path, "key": key }),
                &format!("{key} is kept in {} until its replacement is verified", path.display()),
            ),
            _ => {}
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

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        show(None);
    }
}

/// Returns the standard output as a report.
pub(crate) fn printed() -> Report {
    Report::to(io::stdout())
}
