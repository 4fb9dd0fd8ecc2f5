//! `envelope put`: encrypts and uploads a file.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use envelope_core::{Crc64, Decryptor, Encryptor};
use envelope_store::{Address, Location, StopSignal, TransferError, UploadResult};
use meta_codec::{ContentAlgorithm, Dialect, Vendor};
use serde_json::json;

use crate::{
    args::{Put, Require},
    cleanup,
    failure::{Failure, Status},
    input::{check_one_stdin, is_dash},
    key_file::MasterKey,
    output::print_line,
    progress::{ProgressReporter, set_json},
    store::{object, runtime},
};

/// The time that an interrupted upload may take to end in an orderly way.
const PATIENCE: Duration = Duration::from_secs(10);

/// The plaintext.
enum Source {
    /// A regular file, and its length.
    File(u64),
    /// A pipe or the like.
    Stream(fs::File),
    Stdin,
}

pub(crate) fn run(args: &Put) -> Result<(), Failure> {
    set_json(args.json);
    let mut inputs = vec![args.plain.as_path()];
    inputs.extend(args.key.as_deref());
    inputs.extend(args.kms.kms_passphrase_file.as_deref());
    inputs.extend(args.sealing.origin.path());
    check_one_stdin(inputs, &args.passphrase)?;
    let to = target(args)?;
    let key = object(&to)?;
    let store = args.bucket.store(&to.location)?;
    let content = args.content.algorithm();
    let dialect = args.wrapping.dialect.unwrap_or_else(|| default(store.vendor(), content));
    let passphrase = args.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    let (path, kms) = (args.key.as_deref(), args.kms.key()?);
    let master = MasterKey::one(path, passphrase, kms, args.style, dialect)?;
    // Without a description, it is tried on whatever the journal of an earlier run says.
    let mut decryptor = Decryptor::new(&master.keyring()).with_policy(Require::default().policy());
    let master = master.with_description(args.wrapping.description(dialect)?);
    let mut encryptor = args.wrapping.encryptor(&master, dialect);
    if let Some(options) = args.sealing.options(args.bind_name.then_some(key))? {
        encryptor = encryptor.with_seal(options);
    }
    if let Some(origin) = args.sealing.origin.key()? {
        decryptor = decryptor.with_origin_key(origin);
    }

    let source = open(&args.plain)?;
    let state = match source {
        Source::File(_) if content == ContentAlgorithm::Aes256Ctr && !args.no_resume => {
            state(args, &to)?
        }
        _ => None,
    };
    let len = match source {
        Source::File(len) => Some(len),
        Source::Stream(_) | Source::Stdin => None,
    };
    let stop = StopSignal::new();
    let interrupted = stop.clone();
    cleanup::on_interrupt(move || interrupted.stop());
    let reporter = ProgressReporter::new(len);
    let told = reporter.clone();
    let mut put = envelope_store::Put::new(store, key)
        .with_header("content-type", &args.content_type)
        .with_content(content)
        .with_threshold(args.threshold)
        .with_concurrency(args.parallel.into())
        .with_create_only(args.create_only)
        .with_spool(args.spool)
        .with_retry(args.bucket.retry())
        .with_stop(stop.clone())
        .with_progress(move |event| told.notify(event));
    if let Some(part_size) = args.part_size {
        put = put.with_part_size(part_size);
    }
    if let Some(state) = &state {
        put = put.with_journal(state);
    }
    let outcome = runtime()?.block_on(async {
        let patience = async {
            stop.stopped().await;
            tokio::time::sleep(PATIENCE).await;
        };
        tokio::select! {
            outcome = upload(&put, source, &args.plain, &encryptor, &decryptor) => Some(outcome),
            () = patience => None,
        }
    });
    reporter.finish();
    let outcome = outcome.ok_or_else(|| {
        Failure::new(
            Status::Io,
            "interrupted, but the store does not respond",
            "an upload may be left open; the same command resumes it or starts over",
        )
    })?;
    let outcome = outcome.map_err(|error| {
        // Only uploads in parts have a journal, and they remove it if they abort the upload.
        let resumable = state.is_some_and(|state| state.exists());
        let single = len.is_some_and(|len| len <= args.threshold);
        failure(error, args, resumable, single).about(&to)
    })?;
    if args.json {
        let line = json!({ "object": to.to_string(), "bytes": outcome.len, "etag": outcome.etag,
            "crc64": outcome.crc64.to_string(), "parts": outcome.parts });
        print_line(&line)?;
    }
    Ok(())
}

/// The dialect to write if the caller names none: that of the store, unless it cannot say the
/// content algorithm.
fn default(vendor: Option<Vendor>, content: ContentAlgorithm) -> Dialect {
    let vendors = vendor.into_iter().chain([Vendor::DEFAULT]).chain(Vendor::ALL);
    let mut dialects = vendors.map(Vendor::default_dialect);
    let first = dialects.next().unwrap_or(Vendor::DEFAULT.default_dialect());
    let says = |dialect: &Dialect| dialect.content_algorithms().any(|each| each == content);
    [first].into_iter().chain(dialects).find(says).unwrap_or(first)
}

fn open(path: &Path) -> Result<Source, Failure> {
    if is_dash(path) {
        return Ok(Source::Stdin);
    }
    let opened = || -> io::Result<Source> {
        let file = fs::File::open(path)?;
        let metadata = file.metadata()?;
        Ok(if metadata.is_file() { Source::File(metadata.len()) } else { Source::Stream(file) })
    };
    opened().map_err(|error| Failure::io(path, &error))
}

async fn upload(
    put: &envelope_store::Put,
    source: Source,
    path: &Path,
    encryptor: &Encryptor,
    decryptor: &Decryptor,
) -> Result<UploadResult, TransferError> {
    match source {
        Source::File(_) => put.file(path, encryptor, Some(decryptor)).await,
        Source::Stream(file) => put.stream(tokio::fs::File::from_std(file), None, encryptor).await,
        Source::Stdin => put.stream(tokio::io::stdin(), None, encryptor).await,
    }
}

fn failure(error: TransferError, args: &Put, resumable: bool, single: bool) -> Failure {
    let resumable = resumable && error.is_resumable();
    match error {
        TransferError::Io(error) => Failure::io(&args.plain, &error),
        TransferError::Stopped if resumable => Failure::new(
            Status::Io,
            "interrupted; the upload was left open",
            "run the same command again to resume it",
        ),
        TransferError::Stopped if single => Failure::new(
            Status::Io,
            "interrupted in the only request of the upload",
            "the object may or may not have been written",
        ),
        TransferError::Stopped => Failure::new(
            Status::Io,
            "interrupted; the upload was aborted",
            "none of it remains in the store",
        ),
        error if resumable => {
            let failure = Failure::from(error);
            Failure::new(
                failure.status(),
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

/// Returns the path of the journal for uploading this file to this object.
fn state(args: &Put, to: &Address) -> Result<Option<PathBuf>, Failure> {
    let Some(folder) = args.state.folder() else { return Ok(None) };
    let path = fs::canonicalize(&args.plain).map_err(|error| Failure::io(&args.plain, &error))?;
    let mut to = to.clone();
    if let Location::Folder(folder) = &to.location {
        to.location =
            Location::Folder(std::path::absolute(folder).unwrap_or_else(|_| folder.clone()));
    }
    // Not the endpoint: a bucket is the same by whatever endpoint, and so are its uploads.
    let name = format!("{path:?} {to}");
    Ok(Some(folder.join(format!("put-{:016x}.json", Crc64::of(name.as_bytes())))))
}
