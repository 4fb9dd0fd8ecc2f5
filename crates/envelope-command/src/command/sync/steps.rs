//! The steps of a sync: what is to be transferred, and then what is to be deleted.

use std::{
    error::Error,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use envelope_store::{
    Entry, StoreError,
    bulk::{Item, Outcome, Pair, TreeFile},
};
use futures_util::{Stream, TryStreamExt as _, future};

use crate::{
    args::SyncArgs,
    failure::{Code, Failure},
};

/// How much is compared, and what becomes of what only the target has.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    pub(super) deletes: bool,
    deletes_all: bool,
    pub(super) checksum: bool,
    /// Whether nothing is done. Then nobody wants to see what is the same.
    pub(super) is_plan: bool,
}

impl Mode {
    pub(super) const fn of(args: &SyncArgs) -> Self {
        let SyncArgs { delete, force, checksum, .. } = args;
        let is_plan = args.many.dry_run;
        Self { deletes: *delete, deletes_all: *force, checksum: *checksum, is_plan }
    }
}

/// What is to be done about a path, or why nothing is.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Upload the file, for this reason.
    Upload(TreeFile, &'static str),
    /// Upload the file, unless its object has its content or its time.
    UploadUnlessSame(TreeFile),
    /// Download the object, for this reason.
    Download(Entry, &'static str),
    /// Download the object, unless the file has its content or its time.
    DownloadUnlessSame(Entry, TreeFile),
    DeleteObject,
    DeleteFile(PathBuf),
    Same,
    /// What it is, and its path.
    PassedOver(&'static str, String),
    Unreadable(String),
}

pub(super) type Steps = Result<Item<Step>, Box<dyn Error + Send + Sync>>;

/// What follows from a pair.
pub(super) enum Planned {
    Item(Item<Step>),
    /// Only the target has it. The text is its path.
    Extra(String, Item<Step>),
    Nothing,
}

pub(super) fn item(key: String, step: Step) -> Planned {
    let len = match &step {
        Step::Upload(file, _) | Step::UploadUnlessSame(file) => file.len,
        Step::Download(object, _) | Step::DownloadUnlessSame(object, _) => object.len,
        _ => 0,
    };
    // What is the same now need not be in the report twice. What is not is done again, whatever
    // the report says: it is about another day.
    let always = !matches!(step, Step::Same);
    Planned::Item(Item::new(key, len, step).with_always(always))
}

pub(super) fn passed_over(pair: Pair, key: &dyn Fn(&str) -> String) -> Planned {
    Planned::Item(match pair {
        Pair::PassedOver(path, what, _) => {
            Item::new(key(&path), 0, Step::PassedOver(what, path)).with_always(true)
        }
        Pair::Unreadable(path, error) => {
            Item::new(key(&path), 0, Step::Unreadable(error.to_string())).with_always(true)
        }
        other => Item::new("", 0, Step::Unreadable(format!("{other:?}"))),
    })
}

/// Returns the steps of all pairs, but for what only the target has, which is collected.
pub(super) fn steps(
    pairs: impl Stream<Item = Result<Pair, StoreError>> + Send + Unpin + 'static,
    mode: Mode,
    step: impl Fn(Pair) -> Planned + Send + 'static,
) -> (impl Stream<Item = Steps> + Send, Arc<Mutex<Extras>>) {
    let extras: Arc<Mutex<Extras>> = Arc::default();
    let collected = Arc::clone(&extras);
    let steps = pairs.map_err(Into::into).try_filter_map(move |pair| {
        let mut extras = collected.lock().unwrap_or_else(PoisonError::into_inner);
        let item = match step(pair) {
            Planned::Extra(path, item) => {
                if mode.deletes {
                    extras.items.push((path, item));
                }
                None
            }
            Planned::Nothing => None,
            Planned::Item(item) => {
                match &item.source {
                    Step::PassedOver(_, path) => extras.passed_over.push(path.clone()),
                    Step::Unreadable(_) => extras.is_incomplete = true,
                    // A folder alone is no source.
                    _ => extras.has_source |= !item.key.ends_with('/'),
                }
                // Nobody wants to see what is the same, where nothing is done.
                Some(item).filter(|it| !(mode.is_plan && matches!(it.source, Step::Same)))
            }
        };
        future::ready(Ok(item))
    });
    (steps, extras)
}

/// What only the target has, and whether it may be deleted.
#[derive(Default)]
pub(super) struct Extras {
    /// By their paths.
    items: Vec<(String, Item<Step>)>,
    /// The paths of the source that are no files. What is below them may be there all the same.
    passed_over: Vec<String>,
    /// Whether the source has a file or an object.
    has_source: bool,
    is_incomplete: bool,
}

impl Extras {
    /// Returns what is to be deleted.
    pub(super) fn take(self, failed: u64, mode: Mode) -> Result<Vec<Item<Step>>, Failure> {
        let is_below = |path: &str| {
            self.passed_over.iter().any(|passed| {
                path.strip_prefix(passed.as_str()).is_some_and(|rest| rest.starts_with('/'))
            })
        };
        let items = self.items.into_iter().filter(|(path, _)| !is_below(path));
        let items: Vec<Item<Step>> = items.map(|(_, item)| item.with_always(true)).collect();
        let refuse = |words: &str, advice: &str| Err(Failure::new(Code::Io, words, advice));
        if items.is_empty() {
            return Ok(items);
        }
        if self.is_incomplete {
            let words = "not all of the source could be read, so nothing is deleted";
            return refuse(words, "see which files cannot be read, or exclude them");
        }
        if failed > 0 {
            let words = "not everything was transferred, so nothing is deleted";
            return refuse(words, "see the reasons; the same command can be run again");
        }
        if !self.has_source && !mode.deletes_all {
            let words = "the source is empty, so nothing is deleted";
            return refuse(words, "check the source; --force deletes all the same");
        }
        Ok(items)
    }
}

/// Returns what would become of an object.
pub(super) fn plan(item: &Item<Step>) -> Outcome {
    let why =
        |status, why: &str| Outcome::new(status).with_bytes(item.len).with_detail("reason", why);
    match &item.source {
        Step::Upload(_, reason) => why("to upload", reason),
        Step::UploadUnlessSame(_) => why("to compare", "time or content"),
        Step::Download(_, reason) => why("to download", reason),
        Step::DownloadUnlessSame(..) => why("to compare", "time or content"),
        Step::DeleteObject | Step::DeleteFile(_) => Outcome::new("to delete"),
        Step::Same => Outcome::new(Outcome::SAME),
        Step::PassedOver(what, _) => Outcome::new(what),
        Step::Unreadable(error) => Outcome::refused(error.as_str()),
    }
}
