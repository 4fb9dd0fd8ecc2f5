//! `envelope put`: encrypts and uploads a file.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use envelope_store::{
    Address, StopSignal, Store, StoreError, TransferError, UploadResult, head_unless_gone,
};
use serde_json::{Value, json};

use crate::{
    args::Put,
    cleanup,
    command::put_tree,
    contents::Contents,
    failure::{Code, Failure},
    input::is_dash,
    output::print_json,
    progress::{ProgressReporter, say},
    readers,
    store::{object, runtime},
    uploads::{self, Uploads},
};

/// The time that an interrupted upload may take to end in an orderly way.
const PATIENCE: Duration = Duration::from_secs(10);
/// The number of parts in flight.
const PARALLEL: u16 = 4;

/// The plaintext.
enum Source {
    /// A regular file, and its length.
    File(u64),
    /// A pipe or the like.
    Stream(fs::File),
    Stdin,
}

pub(crate) fn run(mut args: Put) -> Result<(), Failure> {
    let (vendor, piped) = (args.to.location.vendor(), readers::is_piped(&args.plain));
    readers::settle(&mut args, vendor, piped)?;
    if args.recursive {
        return put_tree::run(args);
    }
    let args = &args;
    args.many.refuse(&args.patterns)?;
    let to = target(args)?;
    let key = object(&to)?;
    let store = args.bucket.store(&to.location)?;
    let uploads = Uploads::new(args, &*store)?;
    let source = open(&args.plain)?;
    if args.plaintext && !matches!(source, Source::File(_)) {
        return Err(Failure::usage(
            "--plain uploads regular files only",
            "write it to a file first, or encrypt it",
        ));
    }
    let (len, state) = match source {
        Source::File(len) => (Some(len), uploads::journal(args, &args.plain, &to)?),
        Source::Stream(_) | Source::Stdin => (None, None),
    };
    if !args.force && !args.create_only {
        let there = runtime()?.block_on(there(&store, key, &args.plain, &uploads));
        match there.map_err(|error| Failure::from(error).about(&to))? {
            There::Nothing => {}
            // An upload that was completed before it was interrupted ends in order.
            There::Same if state.as_ref().is_some_and(|state| state.exists()) => {}
            There::Same if args.json => {
                return print_json(&json!({ "object": to.to_string(), "status": "already" }));
            }
            There::Same => {
                say(&Value::Null, &format!("{to}: the file is there already"));
                return Ok(());
            }
            There::Other => return Err(Failure::from(StoreError::Exists).about(&to)),
        }
    }
    let stop = StopSignal::new();
    let interrupted = stop.clone();
    cleanup::on_interrupt(move || interrupted.stop());
    let reporter = ProgressReporter::new(len);
    let told = reporter.clone();
    let parallel = args.parallel.unwrap_or(PARALLEL);
    let mut put = uploads
        .put(args, store, key, parallel)?
        .with_stop(stop.clone())
        .with_progress(move |event| told.notify(event));
    if let Some(state) = &state {
        put = put.with_journal(state);
    }
    let outcome = runtime()?.block_on(async {
        let patience = async {
            stop.stopped().await;
            tokio::time::sleep(PATIENCE).await;
        };
        tokio::select! {
            outcome = upload(&put, source, &args.plain, &uploads, key) => Some(outcome),
            () = patience => None,
        }
    });
    reporter.finish();
    let outcome = outcome.ok_or_else(|| {
        Failure::new(
            Code::Interrupted,
            "interrupted, but the store does not respond",
            "an upload may be left open; the same command resumes it or starts over",
        )
    })?;
    let outcome = outcome.map_err(|error| {
        // Only uploads in parts have a journal, and they remove it if they abort the upload.
        let resumable = uploads.resumes() && state.is_some_and(|state| state.exists());
        let single = len.is_some_and(|len| len <= args.threshold);
        failure(error, args, resumable, single).about(&to)
    })?;
    if args.json {
        let line = json!({ "object": to.to_string(), "bytes": outcome.len, "etag": outcome.etag,
            "crc64": outcome.crc64.to_string(), "parts": outcome.parts,
            "readers": readers::json(&outcome) });
        print_json(&line)?;
    } else if let Some(line) = readers::line(&outcome, !args.plaintext) {
        say(&Value::Null, &format!("{to}: {line}"));
    }
    Ok(())
}

/// What is at the key of an upload.
enum There {
    Nothing,
    /// The file itself, as after an interruption behind the last request.
    Same,
    Other,
}

/// Looks at what is at the key of an upload.
async fn there(
    store: &Arc<dyn Store>,
    key: &str,
    path: &Path,
    uploads: &Uploads,
) -> Result<There, TransferError> {
    let meta = match head_unless_gone(&**store, key).await {
        Ok(Some(meta)) => meta,
        Ok(None) => return Ok(There::Nothing),
        Err(error) if error.is_of_other_key() => return Ok(There::Other),
        Err(error) => return Err(error.into()),
    };
    let Some(decryptor) = uploads.decryptor().filter(|_| path.is_file()) else {
        return Ok(There::Other);
    };
    if !tokio::task::block_in_place(|| uploads.is_as_asked(key, &meta)) {
        return Ok(There::Other);
    }
    let contents = Contents { store: Arc::clone(store), decryptor: decryptor.clone() };
    // Whatever keeps it from being compared, it is there.
    match contents.are_same(key, path).await {
        Ok(true) => Ok(There::Same),
        _ => Ok(There::Other),
    }
}

fn open(path: &Path) -> Result<Source, Failure> {
    if is_dash(path) {
        return Ok(Source::Stdin);
    }
    let opened = || -> io::Result<Source> {
        let file = fs::File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(if metadata.is_file() { Source::File(metadata.len()) } else { Source::Stream(file) })
    };
    opened().map_err(|error| match error.kind() {
        io::ErrorKind::IsADirectory => {
            let advice = "use -r to upload all files of a folder";
            Failure::new(Code::IsFolder, "this is a folder", advice).about(&path.display())
        }
        _ => Failure::io(path, &error),
    })
}

async fn upload(
    put: &envelope_store::Put,
    source: Source,
    path: &Path,
    uploads: &Uploads,
    key: &str,
) -> Result<UploadResult, TransferError> {
    match source {
        Source::File(_) => uploads.upload(put, path, key).await,
        Source::Stream(file) => {
            uploads.upload_stream(put, tokio::fs::File::from_std(file), key).await
        }
        Source::Stdin => uploads.upload_stream(put, tokio::io::stdin(), key).await,
    }
}

fn failure(error: TransferError, args: &Put, resumable: bool, single: bool) -> Failure {
    let resumable = resumable && error.is_resumable();
    match error {
        // Only the journal is written.
        TransferError::Io(error) if matches!(error.kind(), io::ErrorKind::StorageFull) => {
            let folder = args.state.folder().unwrap_or_default();
            Failure::io(&folder, &error)
        }
        TransferError::Io(error) => Failure::io(&args.plain, &error),
        TransferError::Stopped if resumable => Failure::new(
            Code::Interrupted,
            "interrupted; the upload was left open",
            "run the same command again to resume it",
        ),
        TransferError::Stopped if single => Failure::new(
            Code::Interrupted,
            "interrupted in the only request of the upload",
            "the object may or may not have been written",
        ),
        TransferError::Stopped => Failure::new(
            Code::Interrupted,
            "interrupted; the upload was aborted",
            "none of it remains in the store",
        ),
        error if resumable => {
            let failure = Failure::from(error);
            Failure::new(
                failure.code(),
                failure.cause(),
                format_args!(
                    "{}; the upload was left open, and the same command resumes it",
                    failure.advice()
                )
                .to_string(),
            )
        }
        error => error.into(),
    }
}

/// Returns the address of the object. A key that ends with a slash is a folder for the file.
fn target(args: &Put) -> Result<Address, Failure> {
    let mut to = args.to.clone();
    if (to.key.is_empty() || to.key.ends_with('/')) && !is_dash(&args.plain) {
        let name = args.plain.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Failure::usage("the file's name is not UTF-8 text", "specify the object's key")
        })?;
        to.key.push_str(name);
    }
    Ok(to)
}
