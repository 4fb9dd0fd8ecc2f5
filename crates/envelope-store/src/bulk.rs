//! Work on many objects.

mod deletions;
mod filter;
mod inventory;
mod mark;
mod mtime;
mod outcome;
mod queue;
mod report;
mod summary;
mod sync;
mod target_folder;
mod tree;

use std::{
    error::Error, fmt, num::NonZeroUsize, panic::AssertUnwindSafe, sync::Arc, time::SystemTime,
};

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::task::JoinSet;

use self::queue::Queue;
pub use self::{
    deletions::Deletions,
    filter::{Filter, PatternError},
    inventory::{Inventory, InventoryError, Row},
    mtime::{is_same_time, listed, modified, mtime_header},
    outcome::{Outcome, describe},
    report::{Report, ReportError},
    summary::{BulkError, Summary},
    sync::{Pair, Verdict, compare_download, compare_upload, pairs},
    target_folder::{KeyFault, TargetFolder},
    tree::{Found, Tree, TreeFile},
};
use crate::{RateLimit, StopSignal};

/// One of many objects to work on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item<T> {
    /// Its key, or its path in a tree, with slashes. It names the object in the report.
    pub key: String,
    /// About how many bytes will be moved.
    pub len: u64,
    /// What else names the version of its source, such as the time of a file. An object whose
    /// report has another one is worked on again.
    pub version: Option<String>,
    /// When the object was written, as the store says. It is worked on again if that was after the
    /// line of its report.
    pub modified: Option<SystemTime>,
    /// Whether it is worked on whatever the report says.
    pub always: bool,
    /// What the work needs.
    pub source: T,
}

impl<T> Item<T> {
    /// Creates an item.
    #[must_use]
    pub fn new(key: impl Into<String>, len: u64, source: T) -> Self {
        Self { key: key.into(), len, version: None, modified: None, always: false, source }
    }

    /// Sets what else names the version of its source.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets when the object was written, as the store says.
    #[must_use]
    pub const fn with_modified(mut self, modified: Option<SystemTime>) -> Self {
        self.modified = modified;
        self
    }

    /// Sets whether it is worked on even if the report says that it is done.
    #[must_use]
    pub const fn with_always(mut self, always: bool) -> Self {
        self.always = always;
        self
    }

    /// Changes what the work needs.
    #[must_use]
    pub fn map_source<U>(self, map: impl FnOnce(T) -> U) -> Item<U> {
        let Self { key, len, version, modified, always, source } = self;
        Item { key, len, version, modified, always, source: map(source) }
    }

    fn is_done(&self, report: &Report) -> bool {
        !self.always && report.is_done(&self.key, self.version.as_deref(), self.modified)
    }
}

/// A step of work on many objects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BulkEvent {
    /// One more object with about this many bytes is to be worked on.
    Found(u64),
    /// The source is at its end, so that all objects are known.
    AllFound,
    /// The work on an object has ended. It may have failed.
    Ended {
        /// Its key.
        key: String,
        /// What became of it.
        outcome: Outcome,
        /// About how many bytes it was [found](Self::Found) with.
        len: u64,
    },
}

/// The engine for many objects: what is to be done comes from a stream of [items](Item), and is
/// done for several at once. An object that fails does not stop the others.
///
/// Objects wait in a queue of bounded length, from which large ones and small ones are taken in
/// turn. How many requests are in flight, and how much memory they take, is the matter of a
/// [`Budget`](crate::Budget) that is given to the transfers.
///
/// ```
/// use std::sync::Arc;
///
/// use envelope_store::{
///     MemoryStore, PutOptions, Store,
///     bulk::{Bulk, Item, Outcome, Report},
///     list_all,
/// };
/// use futures_util::TryStreamExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
/// for key in ["a/1", "a/2", "b/3"] {
///     store.put(key, "some bytes".into(), &Vec::new(), PutOptions::default()).await?;
/// }
/// let items = list_all(store.clone(), "a/").map_ok(|it| Item::new(it.key, it.len, ()));
/// let delete = move |item: Item<()>| {
///     let store = store.clone();
///     async move {
///         match store.delete(&item.key).await {
///             Ok(()) => Outcome::new("deleted"),
///             Err(error) => Outcome::failed(&error),
///         }
///     }
/// };
/// let summary = Bulk::new(4).run(items, &mut Report::none(), delete).await?;
/// assert_eq!(summary.of("deleted"), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Bulk {
    parallel: NonZeroUsize,
    rate: Option<RateLimit>,
    stop: StopSignal,
    listeners: Vec<Listener>,
}

/// A function that is called with every event.
type Listener = Arc<dyn Fn(&BulkEvent) + Send + Sync>;

impl fmt::Debug for Bulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulk").field("parallel", &self.parallel).finish_non_exhaustive()
    }
}

impl Bulk {
    /// Creates an engine that works on up to `parallel` objects at once.
    #[must_use]
    pub fn new(parallel: usize) -> Self {
        let (rate, stop, listeners) = (None, StopSignal::new(), Vec::new());
        Self { parallel: NonZeroUsize::MIN, rate, stop, listeners }.with_parallel(parallel)
    }

    /// Sets the number of objects that are worked on at once.
    #[must_use]
    pub const fn with_parallel(mut self, parallel: usize) -> Self {
        self.parallel = match NonZeroUsize::new(parallel) {
            Some(parallel) => parallel,
            None => NonZeroUsize::MIN,
        };
        self
    }

    /// Limits the number of objects a second.
    #[must_use]
    pub fn with_rate(mut self, rate: RateLimit) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Sets the signal that makes the engine begin nothing new. What has begun is finished, and
    /// [`Summary::is_stopped`] says that the rest is missing.
    #[must_use]
    pub fn with_stop(mut self, stop: StopSignal) -> Self {
        self.stop = stop;
        self
    }

    /// Adds a function that is called with every event.
    #[must_use]
    pub fn with_listener(mut self, notify: impl Fn(&BulkEvent) + Send + Sync + 'static) -> Self {
        self.listeners.push(Arc::new(notify));
        self
    }

    /// Waits until one more object may begin.
    async fn turn(&self) {
        if let Some(rate) = &self.rate {
            rate.take(1).await;
        }
    }

    fn notify(&self, event: &BulkEvent) {
        self.listeners.iter().for_each(|listener| listener(event));
    }

    /// Does `work` for every item, but for those that are done according to the report. What became
    /// of each object is in the report before it is in the summary. If the future is dropped, the
    /// work in progress is, too.
    ///
    /// # Errors
    /// [`BulkError`] if the stream of items ends with an error, or if the report cannot be written.
    /// What had begun is finished before, and is in its summary.
    pub async fn run<T, E, F>(
        &self,
        items: impl Stream<Item = Result<Item<T>, E>> + Send,
        report: &mut Report,
        work: impl Fn(Item<T>) -> F,
    ) -> Result<Summary, BulkError>
    where
        T: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut items = std::pin::pin!(items);
        let (mut queue, mut running) = (Queue::new(), JoinSet::new());
        let (mut summary, mut is_ended, mut broken) = (Summary::default(), false, None);
        let (mut may_begin, mut turn) = (self.rate.is_none(), Box::pin(self.turn()));
        loop {
            let stopped = self.stop.is_stopped() || broken.is_some();
            while !stopped
                && running.len() < self.parallel.get()
                && may_begin
                && let Some(item) = queue.pop()
            {
                may_begin = self.rate.is_none();
                let (key, len, version) = (item.key.clone(), item.len, item.version.clone());
                running.spawn(done(key, len, version, work(item)));
            }
            let takes = !stopped && !is_ended && !queue.is_full();
            let waits = !stopped && !may_begin && !queue.is_empty();
            tokio::select! {
                () = turn.as_mut(), if waits => {
                    may_begin = true;
                    turn.set(self.turn());
                }
                ended = running.join_next(), if !running.is_empty() => {
                    let Some(Ok(Done { key, version, len, outcome })) = ended else { continue };
                    summary.count(&outcome);
                    if let Err(error) = report.write(&key, version.as_deref(), &outcome) {
                        let cause = BulkError::report(error, &key, &outcome);
                        broken.get_or_insert(cause);
                    }
                    self.notify(&BulkEvent::Ended { key, outcome, len });
                }
                item = items.next(), if takes => match item {
                    Some(Ok(item)) if item.is_done(report) => {
                        summary.count_earlier();
                    }
                    Some(Ok(item)) => {
                        self.notify(&BulkEvent::Found(item.len));
                        queue.push(item);
                    }
                    Some(Err(error)) => {
                        broken.get_or_insert(BulkError::source(error.into()));
                    }
                    None => {
                        is_ended = true;
                        self.notify(&BulkEvent::AllFound);
                    }
                },
                () = self.stop.stopped(), if takes || waits => {}
                else => break,
            }
        }
        summary.end(self.stop.is_stopped() && !(is_ended && queue.is_empty()), queue.len());
        match broken {
            Some(error) => Err(error.with_summary(summary)),
            None => Ok(summary),
        }
    }
}

/// Does the work on one item.
async fn done(
    key: String,
    len: u64,
    version: Option<String>,
    work: impl Future<Output = Outcome> + Send,
) -> Done {
    // A defect must not pass over the object in silence.
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| Outcome::panicked());
    Done { key, version, len, outcome }
}

/// An object on which the work has ended.
struct Done {
    key: String,
    version: Option<String>,
    len: u64,
    outcome: Outcome,
}
