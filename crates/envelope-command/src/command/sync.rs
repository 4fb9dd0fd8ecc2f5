//! `envelope sync`: makes a folder of keys the same as a local folder, or the other way round.

use std::{
    convert::Infallible,
    error::Error,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf, absolute},
    sync::{Arc, Mutex, PoisonError},
};

use envelope_core::{Crc64, Decryptor};
use envelope_store::{
    Address, Entry, Store, StoreError, TransferError,
    blocking::Runtime,
    bulk::{
        Deletions, Item, Outcome, Pair, Summary, Tree, TreeFile, Verdict, compare_download,
        compare_upload, pairs,
    },
    envelope_of, list_all,
};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, future, stream};
use meta_codec::ContentAlgorithm;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::{
    get_tree::{self, Downloads},
    put_tree::{self, FileUploads},
};
use crate::{
    args::SyncArgs,
    command::get::{decryptor, describe},
    failure::{Failure, Status},
    many::{self, Engine},
    progress::set_json,
    store::{address, folder, is_instruction, refuse_overlap, runtime},
    uploads::{self, Uploads},
};

/// The number of bytes read from a file at a time.
const CHUNK: usize = 256 << 10;

pub(crate) fn run(args: SyncArgs) -> Result<(), Failure> {
    set_json(args.json);
    for path in [&args.from, &args.to] {
        // A folder of such a name is more likely a slip.
        if let Some(text) = path.to_str().filter(|text| text.contains("://")) {
            text.parse::<Address>().map_err(|error| {
                Failure::usage(format_args!("{text}: {error}"), "check the address")
            })?;
        }
    }
    match (address(&args.from), address(&args.to)) {
        (None, Some(to)) => upload(args, &folder(&to)),
        (Some(from), None) => download(args, &folder(&from)),
        _ => Err(Failure::usage(
            "one of the two is a local folder, and the other the address of a folder of keys",
            "such as `envelope sync photos/ oss://bucket/photos/`",
        )),
    }
}

/// How much is compared, and what becomes of what only the target has.
#[derive(Clone, Copy)]
struct Mode {
    deletes: bool,
    deletes_all: bool,
    checksum: bool,
    /// Whether nothing is done. Then nobody wants to see what is the same.
    is_plan: bool,
}

impl Mode {
    const fn of(args: &SyncArgs) -> Self {
        let SyncArgs { delete, force, checksum, .. } = args;
        let is_plan = args.many.dry_run;
        Self { deletes: *delete, deletes_all: *force, checksum: *checksum, is_plan }
    }
}

/// What is to be done about a path, or why nothing is.
#[derive(Clone, Debug)]
enum Step {
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

type Steps = Result<Item<Step>, Box<dyn Error + Send + Sync>>;

/// Uploads what is different.
fn upload(args: SyncArgs, to: &Address) -> Result<(), Failure> {
    let (mode, from) = (Mode::of(&args), args.from.clone());
    if args.accept.is_given() {
        return Err(Failure::usage("--require is for downloads", "omit it"));
    }
    refuse_overlap(&to.location, &from)?;
    let tree = open(&from, &args)?;
    let args = Arc::new(args.into_put(to.clone()));
    let filter = args.patterns.filter()?;
    let store = args.bucket.store(&to.location)?;
    let uploads = Uploads::new(&args, &*store)?;
    let decryptor = uploads.decryptor.clone();
    let content = args.content.algorithm();
    let objects = list_all(Arc::clone(&store), to.key.clone()).try_filter({
        let prefix = to.key.len();
        move |entry| future::ready(filter.admits(entry.key.get(prefix..).unwrap_or_default()))
    });
    let prefix = to.key.clone();
    let own_store = Arc::clone(&store);
    let (steps, extras) = steps(pairs(tree.walk(), objects.boxed(), &prefix), mode, move |pair| {
        let key = |path: &str| format!("{prefix}{path}");
        match pair {
            Pair::Local(file) => item(key(&file.key), Step::Upload(file, "new")),
            Pair::Both(file, object) => {
                let step = match compare_upload(&file, &object, content) {
                    Verdict::Changed(why) => Step::Upload(file, why),
                    Verdict::Same if !mode.checksum => Step::Same,
                    _ => Step::UploadUnlessSame(file),
                };
                item(object.key, step)
            }
            // It stands for a folder, which may well be there, or belongs to another object.
            Pair::Remote(object)
                if object.key.ends_with('/') || is_instruction(&*own_store, &object.key) =>
            {
                Planned::Nothing
            }
            Pair::Remote(object) => {
                let path = object.key.get(prefix.len()..).unwrap_or_default().to_owned();
                Planned::Extra(path, Item::new(object.key, 0, Step::DeleteObject))
            }
            pair => passed_over(pair, &key),
        }
    });
    let engine = put_tree::engine(&args);
    let job = json!({ "sync": absolute(&from).unwrap_or(from.clone()).display().to_string(),
        "to": to.to_string(), "as": uploads::describe(&args)? });
    let files = FileUploads::new(Arc::clone(&args), to, uploads, Arc::clone(&store), &engine);
    let store = engine.store(store);
    let work = Arc::new(UploadWork {
        deletions: Deletions::new(Arc::clone(&store)),
        files,
        content: mode.checksum.then_some(Contents { store, decryptor }),
    });
    let summary =
        run_steps(&engine, mode, (steps, extras), to, args.many.report.as_deref(), &job, {
            move |item| {
                let work = Arc::clone(&work);
                async move { work.outcome(item).await.unwrap_or_else(|outcome| outcome) }
            }
        })?;
    many::check(&summary, "uploaded or deleted")
}

/// Downloads what is different.
fn download(args: SyncArgs, from: &Address) -> Result<(), Failure> {
    let (mode, to) = (Mode::of(&args), args.to.clone());
    if args.follow_links {
        // Whatever is behind a link is not in the target.
        return Err(Failure::usage("--follow-links is for uploads", "omit it"));
    }
    let tree = match open(&to, &args) {
        // It will be created.
        Err(_) if !to.exists() => None,
        tree => Some(tree?),
    };
    let args = args.into_get(from.clone());
    let filter = args.patterns.filter()?;
    let store = args.read.bucket.store(&from.location)?;
    let decryptor = decryptor(&args.read)?;
    let prefix = from.key.clone();
    let objects = list_all(Arc::clone(&store), prefix.clone()).try_filter({
        let prefix = prefix.len();
        move |entry| {
            let path = entry.key.get(prefix..).unwrap_or_default();
            future::ready(!path.is_empty() && filter.admits(path))
        }
    });
    let files = match tree {
        Some(tree) => tree.walk().boxed(),
        None => stream::empty().boxed(),
    };
    let pairs = pairs(files, objects.boxed(), &prefix);
    let (steps, extras) = steps(pairs, mode, move |pair| match pair {
        Pair::Remote(object) => item(object.key.clone(), Step::Download(object, "new")),
        Pair::Both(file, object) => {
            let step = match compare_download(&file, &object) {
                Verdict::Changed(why) => Step::Download(object.clone(), why),
                _ => Step::DownloadUnlessSame(object.clone(), file),
            };
            item(object.key, step)
        }
        Pair::Local(file) => {
            let key = format!("{prefix}{}", file.key);
            Planned::Extra(file.key, Item::new(key, 0, Step::DeleteFile(file.path)))
        }
        // An object whose place is taken by a link.
        Pair::PassedOver(_, _, Some(object)) => {
            item(object.key.clone(), Step::Download(object, "new"))
        }
        Pair::PassedOver(..) => Planned::Nothing,
        pair => passed_over(pair, &|path| format!("{prefix}{path}")),
    });
    let engine = get_tree::engine(&args);
    let job = json!({ "sync": from.to_string(),
        "to": absolute(&to).unwrap_or(to.clone()).display().to_string(),
        "as": describe(&args.read)? });
    let contents = mode.checksum.then(|| Contents {
        store: engine.store(Arc::clone(&store)),
        decryptor: decryptor.clone(),
    });
    let report = args.many.report.clone();
    let downloads = match mode.is_plan {
        true => None,
        false => Some(Arc::new(Downloads::new(&args, from, decryptor, store, &engine)?)),
    };
    if mode.deletes && downloads.as_ref().is_some_and(|downloads| downloads.folds_case()) {
        return Err(Failure::usage(
            "this file system does not tell names apart that differ only in case, so that nobody \
             knows what only the target has",
            "omit --delete",
        ));
    }
    let work = Arc::new(DownloadWork { downloads, contents });
    let summary = run_steps(&engine, mode, (steps, extras), from, report.as_deref(), &job, {
        move |item| {
            let work = Arc::clone(&work);
            async move { work.outcome(item).await.unwrap_or_else(|outcome| outcome) }
        }
    })?;
    many::check(&summary, "downloaded or deleted")
}

fn open(path: &Path, args: &SyncArgs) -> Result<Tree, Failure> {
    let tree = Tree::open(path).map_err(|error| Failure::io(path, &error))?;
    Ok(tree.with_filter(args.patterns.filter()?).with_links(args.follow_links))
}

/// Runs the steps, or prints them. What only the target has is deleted when all others have ended
/// well.
fn run_steps<F: Future<Output = Outcome> + Send + 'static>(
    engine: &Engine,
    mode: Mode,
    (steps, extras): (impl Stream<Item = Steps> + Send, Arc<Mutex<Extras>>),
    place: &Address,
    report: Option<&Path>,
    job: &Value,
    work: impl Fn(Item<Step>) -> F,
) -> Result<Summary, Failure> {
    let runtime: Runtime = runtime()?;
    let extras = move |failed: u64| {
        let mut extras = extras.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *extras).take(failed, mode)
    };
    if mode.is_plan {
        let summary = engine.plan(&runtime, steps, plan)?;
        let rest = stream::iter(extras(0)?.into_iter().map(Ok::<_, Infallible>));
        return Ok(summary.and(&engine.plan(&runtime, rest, plan)?));
    }
    let report = many::report(report, job)?.with_location(format!("{}/", place.location));
    engine.run_then(&runtime, steps, report, work, |summary| extras(summary.failed()))
}

/// What only the target has, and whether it may be deleted.
#[derive(Default)]
struct Extras {
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
    fn take(self, failed: u64, mode: Mode) -> Result<Vec<Item<Step>>, Failure> {
        let is_below = |path: &str| {
            self.passed_over.iter().any(|passed| {
                path.strip_prefix(passed.as_str()).is_some_and(|rest| rest.starts_with('/'))
            })
        };
        let items = self.items.into_iter().filter(|(path, _)| !is_below(path));
        let items: Vec<Item<Step>> = items.map(|(_, item)| item.with_always(true)).collect();
        let refuse = |words: &str, advice: &str| Err(Failure::new(Status::Io, words, advice));
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
fn plan(item: &Item<Step>) -> Outcome {
    let why =
        |status, why: &str| Outcome::new(status).with_bytes(item.len).with_detail("reason", why);
    match &item.source {
        Step::Upload(_, reason) => why("to upload", reason),
        Step::UploadUnlessSame(_) => why("to compare", "time or content"),
        Step::Download(_, reason) => why("to download", reason),
        Step::DownloadUnlessSame(..) => why("to compare", "time or content"),
        Step::DeleteObject | Step::DeleteFile(_) => Outcome::new("to delete"),
        Step::Same => Outcome::new("same"),
        Step::PassedOver(what, _) => Outcome::new(what),
        Step::Unreadable(error) => Outcome::refused(error.as_str()),
    }
}

/// What follows from a pair.
enum Planned {
    Item(Item<Step>),
    /// Only the target has it. The text is its path.
    Extra(String, Item<Step>),
    Nothing,
}

fn item(key: String, step: Step) -> Planned {
    let (len, version) = match &step {
        Step::Upload(file, _) | Step::UploadUnlessSame(file) => (file.len, None),
        Step::Download(object, _) | Step::DownloadUnlessSame(object, _) => (object.len, None),
        _ => (0, Some("same")),
    };
    let is_done_before = version.is_some();
    let item = Item::new(key, len, step);
    // What is the same now need not be in the report twice. What is not is done again, whatever
    // the report says: it is about another day.
    Planned::Item(item.with_always(!is_done_before))
}

fn passed_over(pair: Pair, key: &dyn Fn(&str) -> String) -> Planned {
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
fn steps(
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

/// Objects and files whose contents are compared.
struct Contents {
    store: Arc<dyn Store>,
    decryptor: Decryptor,
}

impl Contents {
    /// Returns whether encrypting a file gives the object, by the checksum that the store reports.
    /// `false` also if nobody can tell: another cipher than AES-CTR, or no checksum.
    async fn are_same(&self, key: &str, path: &Path) -> Result<bool, TransferError> {
        let meta = self.store.head(key).await?;
        let envelope = envelope_of(&*self.store, key, &meta).await?;
        let (Some(envelope), Some(crc64)) = (envelope, meta.crc64) else { return Ok(false) };
        if envelope.content_algorithm() != ContentAlgorithm::Aes256Ctr {
            return Ok(false);
        }
        let decryptor = match self.decryptor.name() {
            Some(_) => self.decryptor.clone(),
            None => self.decryptor.clone().with_name(key),
        };
        let path = path.to_owned();
        let compared = spawn_blocking(move || {
            let cipher = decryptor.decrypt_ctr(&envelope)?;
            let (mut file, mut keystream, mut sum) =
                (File::open(path)?, cipher.at(0), Crc64::new());
            let mut chunk = Zeroizing::new(vec![0; CHUNK]);
            loop {
                let read = file.read(&mut chunk)?;
                let Some(plain) = chunk.get_mut(..read).filter(|plain| !plain.is_empty()) else {
                    return Ok(sum.value() == crc64 && sum.len() == meta.len);
                };
                keystream.apply(plain);
                sum.update(plain);
            }
        });
        match compared.await.map_err(io::Error::other)? {
            // It is another object than one that this key has encrypted.
            Err(TransferError::Decrypt(_)) => Ok(false),
            outcome => outcome,
        }
    }
}

/// What is done in an upload.
struct UploadWork {
    files: FileUploads,
    deletions: Deletions,
    content: Option<Contents>,
}

impl UploadWork {
    async fn outcome(&self, item: Item<Step>) -> Result<Outcome, Outcome> {
        match item.source {
            Step::UploadUnlessSame(file) => {
                let is_same = match &self.content {
                    Some(contents) => contents
                        .are_same(&item.key, &file.path)
                        .await
                        .map_err(|error| Outcome::failed(&error))?,
                    None => self.files.is_same(&item.key, file.modified).await?,
                };
                match is_same {
                    true => Ok(Outcome::new("same")),
                    false => self.files.upload(&item.key, &file.path, file.modified).await,
                }
            }
            Step::Upload(file, _) => self.files.upload(&item.key, &file.path, file.modified).await,
            Step::DeleteObject => match self.deletions.delete(item.key).await {
                Ok(()) => Ok(Outcome::new("deleted")),
                Err(error) => Err(Outcome::failed(&*error)),
            },
            step => still(step),
        }
    }
}

/// What is done in a download.
struct DownloadWork {
    downloads: Option<Arc<Downloads>>,
    contents: Option<Contents>,
}

impl DownloadWork {
    async fn outcome(&self, item: Item<Step>) -> Result<Outcome, Outcome> {
        let Some(downloads) = &self.downloads else { return still(item.source) };
        match item.source {
            Step::DownloadUnlessSame(object, file) => {
                let Some(contents) = &self.contents else {
                    let outcome = downloads.download(&item.key, object.len, true).await?;
                    let is_same = outcome.status == "already";
                    return Ok(if is_same { Outcome::new("same") } else { outcome });
                };
                let is_same = contents.are_same(&item.key, &file.path).await;
                match is_same.map_err(|error| Outcome::failed(&error))? {
                    true => Ok(Outcome::new("same")),
                    false => downloads.download(&item.key, object.len, false).await,
                }
            }
            Step::Download(object, _) if object.key.ends_with('/') && object.len == 0 => {
                let len = object.len;
                Ok(downloads.outcome(Item::new(item.key, len, object)).await)
            }
            Step::Download(object, _) => downloads.download(&item.key, object.len, false).await,
            Step::DeleteFile(path) if downloads.is_input(&path) => {
                Ok(Outcome::new("kept, as this command reads it"))
            }
            Step::DeleteFile(path) => match tokio::fs::remove_file(&path).await {
                Ok(()) => Ok(Outcome::new("deleted")),
                Err(error) => Err(Outcome::failed(&error)),
            },
            step => still(step),
        }
    }
}

/// Returns the outcome of a step that does nothing.
fn still(step: Step) -> Result<Outcome, Outcome> {
    match step {
        Step::PassedOver(what, _) => Ok(Outcome::new(what)),
        Step::Unreadable(error) => Err(Outcome::refused(error)),
        _ => Ok(Outcome::new("same")),
    }
}
