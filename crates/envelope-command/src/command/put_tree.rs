//! `envelope put -r`: encrypts and uploads all files of a folder.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use envelope_store::{
    Address, Location, ObjectMeta, Store, StoreError, TransferError,
    bulk::{Found, Item, Outcome, Tree, TreeFile, is_same_time, modified, mtime_header},
    envelope_of, head_unless_gone,
};
use futures_util::{Stream, StreamExt as _};
use meta_codec::parse;
use serde_json::json;

use crate::{
    args::Put,
    failure::Failure,
    many::{self, Engine, ManyProgress},
    store::{folder, has_any, refuse_overlap, runtime},
    uploads::{self, Uploads},
};

/// The number of requests in flight.
const PARALLEL: u16 = 16;
/// The size of a part in memory, where the arguments say nothing else.
const PART: u64 = 8 << 20;

/// How often a file is uploaded that changes meanwhile.
const MAX_CHANGES: u32 = 3;

/// What is at a path.
enum Source {
    File(PathBuf, Option<SystemTime>),
    /// It is passed over, for a reason in one word.
    PassedOver(&'static str),
    Unreadable(String),
}

pub(crate) fn run(args: Put) -> Result<(), Failure> {
    let args = Arc::new(args);
    let many = &args.many;
    let to = folder(&args.to);
    let tree = Tree::open(&args.plain).map_err(|error| Failure::io(&args.plain, &error))?;
    let tree = tree.with_filter(args.patterns.filter()?).with_links(args.follow_links);
    refuse_overlap(&to.location, &args.plain)?;
    let store = args.bucket.store(&to.location)?;
    let uploads = Uploads::new(&args, &*store)?;
    let engine = engine(&args);
    let runtime = runtime()?;
    let items = items(tree, &to);
    let summary = if many.dry_run {
        engine.plan(&runtime, items, |item| match &item.source {
            Source::File(..) => Outcome::new("to upload").with_bytes(item.len),
            Source::PassedOver(what) => Outcome::new(what),
            Source::Unreadable(error) => Outcome::refused(error.as_str()),
        })?
    } else {
        let root = std::path::absolute(&args.plain).unwrap_or_else(|_| args.plain.clone());
        let job = json!({ "put": root.display().to_string(), "to": to.to_string(),
            "as": many::described(many, || uploads::describe(&args))? });
        let report = many::report(many.report.as_deref(), &job)?;
        let report = report.with_location(format!("{}/", to.location));
        // Where there is nothing at all, no object is looked at before it is written.
        let looks = !args.force && !args.create_only && has_any(&runtime, &*store, &to)?;
        let work = FileUploads::new(Arc::clone(&args), &to, uploads, store, &engine);
        let work = Arc::new(FileUploads { looks, ..work });
        engine.run(&runtime, items, report, move |item| {
            let work = Arc::clone(&work);
            async move { work.outcome(item).await }
        })?
    };
    if summary.objects() == 0 && summary.earlier() == 0 && !summary.is_stopped() {
        let path = args.plain.display();
        return Err(Failure::usage(
            format_args!("{path}: there is no file that is to be uploaded"),
            "check the folder and the patterns",
        ));
    }
    many::check(&summary, "uploaded")
}

fn items(
    tree: Tree,
    to: &Address,
) -> impl Stream<Item = Result<Item<Source>, Infallible>> + Send + use<> {
    let prefix = to.key.clone();
    tree.walk().map(move |found| {
        // What is passed over today may be something else tomorrow.
        let item =
            |key: &str, source| Item::new(format!("{prefix}{key}"), 0, source).with_always(true);
        Ok(match found {
            Found::File(file) => {
                let version = version(&file);
                let TreeFile { key, path, len, modified, .. } = file;
                let mut item = item(&key, Source::File(path, modified));
                item.len = len;
                item.with_version(version).with_always(false)
            }
            Found::Link(key) => item(&key, Source::PassedOver("link")),
            Found::Special(key) => item(&key, Source::PassedOver("special file")),
            Found::Unreadable(key, error) => item(&key, Source::Unreadable(error.to_string())),
            found => item("", Source::Unreadable(format!("{found:?}"))),
        })
    })
}

/// Returns the engine for uploads.
pub(super) fn engine(args: &Put) -> Engine {
    let parallel = args.parallel.unwrap_or(PARALLEL);
    Engine::new(&args.many, parallel, args.part_size.unwrap_or(PART))
}

/// Returns the version of a file.
pub(super) fn version(file: &TreeFile) -> String {
    let since = file.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{} bytes at {}", file.len, since.unwrap_or_default().as_nanos())
}

/// Uploads of files.
pub(super) struct FileUploads {
    args: Arc<Put>,
    location: Location,
    store: Arc<dyn Store>,
    uploads: Uploads,
    parallel: u16,
    progress: Arc<ManyProgress>,
    /// `true` if an object that exists is looked at, and left alone.
    looks: bool,
}

impl FileUploads {
    pub(super) fn new(
        args: Arc<Put>,
        to: &Address,
        uploads: Uploads,
        store: Arc<dyn Store>,
        engine: &Engine,
    ) -> Self {
        let parallel = args.parallel.unwrap_or(PARALLEL);
        let (store, progress) = (engine.store(store), Arc::clone(&engine.progress));
        Self {
            args,
            location: to.location.clone(),
            store,
            uploads,
            parallel,
            progress,
            looks: false,
        }
    }

    async fn outcome(&self, item: Item<Source>) -> Outcome {
        match item.source {
            Source::File(path, modified) => {
                match self.there(&item.key, item.len, modified).await {
                    Ok(None) => {}
                    Ok(Some(outcome)) | Err(outcome) => return outcome,
                }
                let outcome = self.upload(&item.key, &path, modified).await;
                outcome.unwrap_or_else(|outcome| outcome)
            }
            Source::PassedOver(what) => Outcome::new(what),
            Source::Unreadable(error) => Outcome::refused(error),
        }
    }

    /// Returns what becomes of a file whose object exists: nothing, if it looks the same, as after
    /// an interruption; otherwise an error.
    async fn there(
        &self,
        key: &str,
        len: u64,
        modified_here: Option<SystemTime>,
    ) -> Result<Option<Outcome>, Outcome> {
        if !self.looks {
            return Ok(None);
        }
        let meta = match head_unless_gone(&*self.store, key).await {
            Ok(Some(meta)) => meta,
            Ok(None) => return Ok(None),
            Err(error) if error.is_of_other_key() => return Err(many::another_exists()),
            Err(error) => return Err(Outcome::failed(&error)),
        };
        let headers = meta.headers.iter().map(|(name, value)| (name, value));
        let envelope = parse(headers).ok().flatten();
        let content = envelope.map(|envelope| envelope.content_algorithm());
        let there = content.map_or(Some(meta.len), |content| content.plain_len(meta.len));
        let is_same = there == Some(len)
            && is_time_of(modified_here, &meta)
            && tokio::task::block_in_place(|| self.uploads.is_as_asked(key, &meta));
        match is_same {
            true => Ok(Some(Outcome::new(Outcome::SAME))),
            false => Err(many::another_exists()),
        }
    }

    /// Returns whether an object is encrypted and its metadata keeps the time of a file. Their
    /// lengths are those that they should be.
    pub(super) async fn is_same(
        &self,
        key: &str,
        modified_here: Option<SystemTime>,
    ) -> Result<bool, Outcome> {
        let meta = match self.store.head(key).await {
            Err(error) if error.is_of_other_key() => return Ok(false),
            outcome => outcome.map_err(|error| Outcome::failed(&error))?,
        };
        // An envelope that not everybody can read is none.
        let is_encrypted = envelope_of(&*self.store, key, &meta)
            .await
            .is_ok_and(|envelope| envelope.is_some_and(|it| it.refusal().is_none()));
        let is_as_asked = is_encrypted && self.uploads.is_server_side_as_asked(&meta);
        Ok(is_as_asked && is_time_of(modified_here, &meta))
    }

    /// Uploads a file to a key, and once more if it changed meanwhile: the object would have the
    /// time at which the file was found, and would be taken for a newer one from then on.
    pub(super) async fn upload(
        &self,
        key: &str,
        path: &Path,
        mut time: Option<SystemTime>,
    ) -> Result<Outcome, Outcome> {
        for _ in 0..MAX_CHANGES {
            let outcome = self.upload_once(key, path, time).await?;
            let now = modified_now(path);
            if time.is_none() || time == now {
                return Ok(outcome);
            }
            time = now;
        }
        Err(Outcome::refused("the file changes all the time; the object is one of its states"))
    }

    async fn upload_once(
        &self,
        key: &str,
        path: &Path,
        time: Option<SystemTime>,
    ) -> Result<Outcome, Outcome> {
        let to = Address::new(self.location.clone(), key);
        // A key that could be another one on its way.
        to.to_string().parse::<Address>().map_err(|error| Outcome::failed(&error))?;
        let progress = Arc::clone(&self.progress);
        let name = key.to_owned();
        let (store, vendor) = (Arc::clone(&self.store), self.uploads.vendor());
        let mut put = self
            .uploads
            .put(&self.args, store, key, self.parallel)
            .map_err(|error| Outcome::failed(&error))?
            .with_progress(move |event| progress.transfer(&name, event));
        if let Some((name, value)) = time.and_then(|it| mtime_header(vendor, it)) {
            put = put.with_header(name, value);
        }
        let journal = uploads::journal(&self.args, path, &to);
        if let Some(journal) = journal.map_err(|error| Outcome::refused(error.cause()))? {
            put = put.with_journal(journal);
        }
        match self.uploads.upload(&put, path, key).await {
            Ok(result) => Ok(Outcome::new("uploaded").with_bytes(result.len)),
            Err(TransferError::Store(StoreError::Exists)) if self.args.create_only => {
                Ok(Outcome::new("exists").again())
            }
            Err(error) => Err(Outcome::failed(&error)),
        }
    }
}

/// Returns whether the time of a file is the one that its object keeps.
fn is_time_of(file: Option<SystemTime>, meta: &ObjectMeta) -> bool {
    file.zip(modified(meta)).is_some_and(|(file, kept)| is_same_time(file, kept, None))
}

/// Returns the time of the last modification of a file.
fn modified_now(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}
