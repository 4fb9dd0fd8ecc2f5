//! Work on many objects: what all commands that do it have in common.

mod plan;
mod progress;
mod source;

use std::{
    convert::Infallible,
    error::Error,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use envelope_store::{
    Address, Budget, RateLimit, StopSignal, Store, StoreError,
    blocking::Runtime,
    bulk::{
        Bulk, BulkError, BulkEvent, InventoryError, Item, Outcome, Report, ReportError, Summary,
        describe,
    },
};
use futures_util::{Stream, future, stream};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use self::plan::Plan;
pub(crate) use self::{
    progress::ManyProgress,
    source::{
        Found, Named, entries, inventory, named, named_with_own, objects, of_another_bucket,
        path_below, planned,
    },
};
use crate::{
    args::Many,
    cleanup,
    failure::{Code, Failure},
    progress::{OutputLines, say},
};

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
        Self::stopped_by(interrupts(), many, parallel, part)
    }

    /// Creates an engine that does no more once a signal is given.
    pub(crate) fn stopped_by(stop: StopSignal, many: &Many, parallel: u16, part: u64) -> Self {
        let mut budget = Budget::new(parallel.into(), part.saturating_mul(parallel.into()));
        if let Some(line) = many.line() {
            budget = budget.with_line(RateLimit::per_second(line));
        }
        let progress = Arc::new(ManyProgress::new());
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

    /// Does the work on `items`, and then on those that `then` returns, if the first work was
    /// neither stopped nor broken off. Says what became of all of them together.
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
        self.in_turn(&self.bulk, runtime, items, &mut report, work, then)
    }

    /// Plans the work on `items`, and then on those that `then` returns. Does nothing.
    pub(crate) fn plan_then<T, E>(
        &self,
        runtime: &Runtime,
        items: impl Stream<Item = Result<Item<T>, E>> + Send,
        plan: impl Fn(&Item<T>) -> Outcome,
        then: impl FnOnce(&Summary) -> Result<Vec<Item<T>>, Failure>,
    ) -> Result<Summary, Failure>
    where
        T: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let plan = |item| future::ready(plan(&item));
        self.in_turn(&self.one_by_one(), runtime, items, &mut Report::to(Plan), plan, then)
    }

    fn in_turn<T, E, F>(
        &self,
        bulk: &Bulk,
        runtime: &Runtime,
        items: impl Stream<Item = Result<Item<T>, E>> + Send,
        report: &mut Report,
        work: impl Fn(Item<T>) -> F,
        then: impl FnOnce(&Summary) -> Result<Vec<Item<T>>, Failure>,
    ) -> Result<Summary, Failure>
    where
        T: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let first = match runtime.block_on(bulk.run(items, report, &work)) {
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
        let second = runtime.block_on(bulk.run(rest, report, &work));
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
        let plan = |item| future::ready(plan(&item));
        let outcome = runtime.block_on(self.one_by_one().run(items, &mut Report::to(Plan), plan));
        self.end(outcome)
    }

    /// Works on one object after the other, so that a plan is in the order of the keys.
    fn one_by_one(&self) -> Bulk {
        self.bulk.clone().with_parallel(1)
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

/// Returns the signal that is given when somebody interrupts this program for the first time.
pub(crate) fn interrupts() -> StopSignal {
    let stop = StopSignal::new();
    let given = stop.clone();
    cleanup::on_interrupt(move || {
        given.stop();
        say(
            &json!({ "interrupted": true }),
            "interrupted; what has begun is being finished. Interrupt once more to end at once",
        );
    });
    stop
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
            Code::Interrupted,
            format_args!("interrupted: {waiting} objects were found and not {verb}"),
            "the same command does the rest; with --report, it does no object twice",
        ));
    }
    if summary.failed() > 0 {
        return Err(Failure::new(
            Code::Incomplete,
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

/// Returns what becomes of an object that would replace another one.
pub(crate) fn another_exists() -> Outcome {
    Outcome::refused(
        "the object exists and is another one; --force overwrites it, and --only-new passes over \
         it",
    )
}

pub(crate) fn no_objects(from: &Address) -> Failure {
    Failure::usage(
        format_args!("{from}: there is no such object"),
        "check the address and the patterns; a key must match exactly",
    )
}

/// Returns what makes this job another one, which only a report asks for.
pub(crate) fn described(
    many: &Many,
    describe: impl FnOnce() -> Result<Value, Failure>,
) -> Result<Value, Failure> {
    if many.report.is_some() { describe() } else { Ok(Value::Null) }
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
            Err(Ok(error)) => Self::new(Code::Io, words, Self::from(*error).advice()),
            Err(Err(_)) => Self::new(Code::Io, words, "the same command can be run again"),
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
            error => Self::new(Code::Io, error, "choose another --report"),
        }
    }
}

/// Returns the standard output as a report.
pub(crate) fn printed() -> Report {
    Report::to(OutputLines)
}
