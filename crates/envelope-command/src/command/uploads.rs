//! `envelope uploads`: lists and aborts uploads that were begun and not completed.

use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use envelope_store::{
    Address, Store, StoreError, Upload,
    bulk::{Filter, Item, Outcome},
    list_uploads,
};
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream::BoxStream};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    args::{Uploads, UploadsAbort, UploadsCommand, UploadsLs},
    failure::{Failure, one_line},
    many::{self, Engine},
    output::{json_line, write_line},
    store::{folder, runtime},
};

/// The number of requests in flight.
const PARALLEL: u16 = 16;

pub(crate) fn run(args: &Uploads) -> Result<(), Failure> {
    match &args.command {
        UploadsCommand::Ls(args) => ls(args),
        UploadsCommand::Abort(args) => abort(args),
    }
}

/// Returns the open uploads below a folder of keys that began longer ago than this. One whose time
/// is not known may have begun a moment ago.
fn open_uploads(
    store: Arc<dyn Store>,
    from: &Address,
    older_than: Option<Duration>,
    filter: Filter,
) -> BoxStream<'static, Result<Upload, StoreError>> {
    let (prefix, now) = (from.key.len(), SystemTime::now());
    let is_old = move |upload: &Upload| {
        let Some(least) = older_than else { return true };
        let begun = upload.created.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        begun.and_then(|begun| now.duration_since(begun).ok()).is_some_and(|age| age > least)
    };
    list_uploads(store, from.key.clone())
        .try_filter(move |upload| {
            let path = upload.key.get(prefix..).unwrap_or_default();
            future::ready(is_old(upload) && filter.admits(path))
        })
        .boxed()
}

/// Returns when an upload began, in RFC 3339.
fn begun(upload: &Upload) -> String {
    let seconds = upload.created.and_then(|seconds| i64::try_from(seconds).ok());
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map(|time| time.to_string()).unwrap_or_default()
}

fn ls(args: &UploadsLs) -> Result<(), Failure> {
    let from = folder(&args.from);
    let store = args.bucket.store(&from.location)?;
    let mut uploads = open_uploads(store, &from, args.older_than, Filter::new());
    let (runtime, mut stdout) = (runtime()?, io::stdout().lock());
    while let Some(upload) =
        runtime.block_on(uploads.try_next()).map_err(|error| Failure::from(error).about(&from))?
    {
        let begun = begun(&upload);
        let line = match args.json {
            true => json_line(&json!({ "key": upload.key, "id": upload.id, "begun": begun })),
            false => {
                let (id, key) = (one_line(&upload.id), one_line(&upload.key));
                format!("{begun:<20}  {id}  {key}")
            }
        };
        write_line(&mut stdout, &line)?;
    }
    Ok(())
}

fn abort(args: &UploadsAbort) -> Result<(), Failure> {
    let from = folder(&args.from);
    let store = args.bucket.store(&from.location)?;
    let filter = args.patterns.filter()?;
    let engine = Engine::new(&args.many, PARALLEL, 0);
    let items = open_uploads(Arc::clone(&store), &from, Some(args.older_than), filter)
        .map_ok(|upload| Item::new(upload.key.clone(), 0, upload.clone()).with_version(upload.id));
    let runtime = runtime()?;
    let summary = if args.many.dry_run {
        engine.plan(&runtime, items, |_| Outcome::new("to abort"))?
    } else {
        let job = json!({ "abort": from.to_string() });
        let report = many::report(args.many.report.as_deref(), &job)?;
        let report = report.with_location(format!("{}/", from.location));
        let store = engine.store(store);
        engine.run(&runtime, items, report, move |item: Item<Upload>| {
            let store = Arc::clone(&store);
            async move {
                match store.abort(&item.source).await {
                    Ok(()) => Outcome::new("aborted"),
                    Err(error) => Outcome::failed(&error),
                }
            }
        })?
    };
    many::check(&summary, "aborted")
}
