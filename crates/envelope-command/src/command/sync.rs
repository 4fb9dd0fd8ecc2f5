//! `envelope sync`: makes a folder of keys the same as a local folder, or the other way round.

mod steps;
mod work;

use std::{
    path::{Path, absolute},
    sync::{Arc, Mutex, PoisonError},
};

use envelope_store::{
    Address,
    blocking::Runtime,
    bulk::{
        Deletions, Item, Outcome, Pair, Summary, Tree, Verdict, compare_download, compare_upload,
        pairs,
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Value, json};

use self::{
    steps::{Extras, Mode, Planned, Step, Steps, item, passed_over, plan, steps},
    work::{DownloadWork, UploadWork},
};
use super::{
    get_tree::{self, Downloads},
    put_tree::{self, FileUploads},
};
use crate::{
    args::SyncArgs,
    command::get::{decryptor, describe},
    contents::Contents,
    failure::Failure,
    many::{self, Engine},
    readers,
    store::{address, folder, is_instruction, refuse_overlap, runtime},
    uploads::{self, Uploads},
};

pub(crate) fn run(args: SyncArgs) -> Result<(), Failure> {
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

/// Uploads what is different.
fn upload(args: SyncArgs, to: &Address) -> Result<(), Failure> {
    let (mode, from) = (Mode::of(&args), args.from.clone());
    if args.accept.is_given() {
        return Err(Failure::usage("--require is for downloads", "omit it"));
    }
    refuse_overlap(&to.location, &from)?;
    let tree = open(&from, &args)?;
    let mut args = args.into_put(to.clone());
    readers::settle(&mut args, to.location.vendor(), false)?;
    let args = Arc::new(args);
    let filter = args.patterns.filter()?;
    let store = args.bucket.store(&to.location)?;
    let uploads = Uploads::new(&args, &*store)?;
    if mode.checksum && !uploads.can_compare() {
        return Err(Failure::usage(
            "--checksum encrypts each file again as its object was, with AES-CTR",
            "use a key that decrypts and AES-CTR, or omit --checksum",
        ));
    }
    let decryptor = uploads.decryptor().cloned().filter(|_| mode.checksum);
    let content = args.content();
    // A listing does not say how the store encrypts.
    let asks_store = uploads.asks_store() || args.bucket.sse_key.is_some();
    let objects = many::entries(Arc::clone(&store), to, filter);
    let prefix = to.key.clone();
    let own_store = Arc::clone(&store);
    let (steps, extras) = steps(pairs(tree.walk(), objects, &prefix), mode, move |pair| {
        let key = |path: &str| format!("{prefix}{path}");
        match pair {
            Pair::Local(file) => item(key(&file.key), Step::Upload(file, "new")),
            Pair::Both(file, object) => {
                let step = match compare_upload(&file, &object, content) {
                    Verdict::Changed(why) => Step::Upload(file, why),
                    Verdict::Same if !mode.checksum && !asks_store => Step::Same,
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
        "to": to.to_string(), "as": many::described(&args.many, || uploads::describe(&args))? });
    let files = FileUploads::new(Arc::clone(&args), to, uploads, Arc::clone(&store), &engine);
    let store = engine.store(store);
    let work = Arc::new(UploadWork {
        deletions: Deletions::new(Arc::clone(&store)),
        files,
        content: decryptor.map(|decryptor| Contents { store, decryptor }),
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
    let objects = many::entries(Arc::clone(&store), from, filter);
    let files = match tree {
        Some(tree) => tree.walk().boxed(),
        None => stream::empty().boxed(),
    };
    let pairs = pairs(files, objects, &prefix);
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
        "as": many::described(&args.many, || describe(&args.read))? });
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
        return engine.plan_then(&runtime, steps, plan, |_| extras(0));
    }
    let report = many::report(report, job)?.with_location(format!("{}/", place.location));
    engine.run_then(&runtime, steps, report, work, |summary| extras(summary.failed()))
}
