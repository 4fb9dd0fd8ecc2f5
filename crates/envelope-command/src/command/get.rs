//! `envelope get`, `cat` and `verify`: read objects from a bucket.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use envelope_core::Decryptor;
use envelope_store::{
    Address, Event, GetResult, Location, ObjectMeta, OutputFile, OutputOptions, Store,
    TransferError,
};
use futures_util::TryStreamExt as _;
use meta_codec::Envelope;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::{
    args::{Cat, Get, Read, Verify},
    cleanup,
    command::{get_tree, verify_tree},
    failure::{Failure, warn},
    input::{check_one_stdin, is_dash, standard},
    key_file,
    output::{MAX_HELD_BACK, print_json, print_line},
    own_files,
    progress::{ProgressReporter, say_wait},
    protection::Protection,
    store::{explain, object, runtime},
    weakness::warn_before_reading,
};

/// The number of ranges in flight.
const PARALLEL: u16 = 4;

pub(crate) fn run(args: Get) -> Result<(), Failure> {
    check_keys(&args.read)?;
    if args.recursive {
        return get_tree::run(args);
    }
    args.many.refuse(&args.patterns)?;
    one(&args)
}

fn one(args: &Get) -> Result<(), Failure> {
    if is_dash(args.output()) {
        return print(&args.from, &args.read);
    }
    let key = object(&args.from)?;
    let mut path = args.output().to_owned();
    if path.is_dir() {
        path.push(key.rsplit('/').next().unwrap_or(key));
    }
    let options = OutputOptions::new()
        .with_replace(args.force)
        .with_private(true)
        .with_resumable(true)
        .with_inputs(inputs(args).iter().map(PathBuf::as_path));
    let output = OutputFile::create(&path, options)?;
    let (meta, len) = if output.is_held_back() {
        let registered = cleanup::register_output(&output);
        let done = download(args, key, &output)?;
        output.commit()?;
        drop(registered);
        done
    } else {
        // A device or a pipe, which cannot be taken back.
        let file = fs::OpenOptions::new().write(true).open(&path);
        stream(&args.from, &args.read, file.map_err(|error| Failure::io(&path, &error))?)?
    };
    if args.json {
        let line = json!({ "object": args.from.to_string(), "bytes": len, "etag": meta.etag });
        print_json(&line)?;
    }
    Ok(())
}

/// Returns the files that are read, and must not be overwritten.
pub(super) fn inputs(args: &Get) -> Vec<PathBuf> {
    let keys = &args.read.keys;
    let mut inputs: Vec<PathBuf> = keys.key.clone();
    inputs.extend(keys.kms.kms_passphrase_file.clone());
    inputs.extend(keys.passphrase.path().map(Path::to_owned));
    inputs.extend(args.read.sealed.origin.path().map(Path::to_owned));
    inputs.extend(args.many.report.clone());
    inputs.extend(args.named.inventory.clone());
    inputs.extend(args.read.bucket.sse_key.clone());
    inputs.extend(args.read.bucket.ca_file.clone());
    inputs.extend(own_files::all().map(Path::to_owned));
    if let Location::Folder(folder) = &args.from.location {
        inputs.push(folder.join(&args.from.key));
    }
    inputs
}

/// Downloads an object to a file that is kept if a later run can resume it.
fn download(args: &Get, key: &str, output: &OutputFile) -> Result<(ObjectMeta, u64), Failure> {
    let failed = |error: TransferError| match error {
        TransferError::Io(error) => Failure::io(output.path(), &error),
        error => Failure::from(error).about(&args.from),
    };
    let store = args.read.bucket.store_of(&args.from, &args.read.version)?;
    let decryptor = decryptor(&args.read)?;
    let runtime = runtime()?;
    let meta = runtime.block_on(store.head(key));
    let meta = meta.map_err(|error| explain(failed(error.into()), &*store, &args.from))?;
    let total = Some(meta.len).filter(|_| args.read.range.is_none());
    let reporter = ProgressReporter::new(total);
    let told = reporter.clone();
    let get = reader(store, key, &args.read)
        .with_part_size(args.part_size)
        .with_concurrency(args.parallel.unwrap_or(PARALLEL).into())
        .with_inspector(warn_before_reading)
        .with_progress(move |event| told.notify(event));
    let outcome = runtime.block_on(async {
        match args.read.range {
            Some(range) => {
                let result = get.decrypt_range(&decryptor, range).await?;
                output.restart()?;
                let file = output.file().map(fs::File::try_clone).transpose()?;
                let Some(file) = file else { return Err(io::Error::other("no file").into()) };
                write(result, &mut tokio::fs::File::from_std(file)).await
            }
            None => {
                let meta = get.to_file(&decryptor, output).await?;
                let len = output.file().map(fs::File::metadata).transpose()?;
                Ok((meta, len.map_or(0, |metadata| metadata.len())))
            }
        }
    });
    reporter.finish();
    outcome.map_err(failed)
}

pub(crate) fn cat(args: &Cat) -> Result<(), Failure> {
    print(&args.from, &args.read)
}

pub(crate) fn verify(args: &Verify) -> Result<(), Failure> {
    check_keys(&args.read)?;
    if args.recursive {
        return verify_tree::run(args);
    }
    args.many.refuse(&args.patterns)?;
    let store = args.read.bucket.store_of(&args.from, &args.read.version)?;
    let get = reader(Arc::clone(&store), object(&args.from)?, &args.read);
    let decryptor = decryptor(&args.read)?;
    let outcome = runtime()?.block_on(async {
        let result = get.decrypt(&decryptor).await?;
        let envelope = result.envelope.clone();
        let (meta, len) = write(result, &mut tokio::io::sink()).await?;
        Ok::<_, TransferError>((meta, envelope, len))
    });
    let failed = |error| explain(Failure::from(error).about(&args.from), &*store, &args.from);
    let (meta, envelope, len) = outcome.map_err(failed)?;
    let checks = checks(&meta, envelope.as_ref());
    if args.json {
        let protection = envelope.as_ref().map(|envelope| Protection::of(envelope).word());
        let line = json!({ "object": args.from.to_string(), "bytes": len, "checked": checks,
            "protection": protection });
        print_json(&line)?;
    } else {
        print_line(&format_args!("{}: {len} bytes, checked: {}", args.from, checks.join(", ")))?;
    }
    if let Some(envelope) = &envelope {
        warn_before_reading(envelope);
        let content = envelope.content_algorithm();
        match Protection::of(envelope) {
            Protection::None | Protection::Metadata => warn(format_args!(
                "{content} does not detect tampering by anyone who can write to the bucket"
            )),
            Protection::Adopted => warn(
                "the seal was adopted: it vouches for what was there when it was made, whoever \
                 wrote it",
            ),
            Protection::Sealed | Protection::Gcm => {}
        }
    }
    Ok(())
}

/// Returns what can be checked of a whole object.
pub(super) fn checks(meta: &ObjectMeta, envelope: Option<&Envelope>) -> Vec<&'static str> {
    let says = |what: fn(&Envelope) -> bool| envelope.is_some_and(what);
    [
        ("length", says(|it| it.plain_len().is_some())),
        ("store checksum", meta.crc64.is_some()),
        ("key check", says(|it| it.key_check().is_some())),
        ("seal", says(|it| it.seal().is_some_and(|seal| seal.is_full()))),
        ("seal of the metadata", says(|it| it.seal().is_some_and(|seal| !seal.is_full()))),
        ("tag", says(|it| it.content_algorithm().is_authenticated())),
        ("md5", says(|it| it.plain_md5().is_some())),
    ]
    .into_iter()
    .filter_map(|(name, done)| done.then_some(name))
    .collect()
}

fn print(from: &Address, read: &Read) -> Result<(), Failure> {
    check_keys(read)?;
    let stdout = standard(io::stdout()).map_err(|error| Failure::io("-".as_ref(), &error))?;
    stream(from, read, stdout).map(|_| ())
}

/// Decrypts an object to something that cannot be taken back.
fn stream(from: &Address, read: &Read, to: fs::File) -> Result<(ObjectMeta, u64), Failure> {
    let store = read.bucket.store_of(from, &read.version)?;
    let get = reader(Arc::clone(&store), object(from)?, read).with_inspector(warn_before_reading);
    let decryptor = decryptor(read)?;
    let mut to = tokio::fs::File::from_std(to);
    let failed = |error: TransferError| Failure::from(error).about(from);
    let outcome = runtime()?.block_on(async {
        let result = match read.range {
            Some(range) => get.decrypt_range(&decryptor, range).await,
            None if read.verify_first => get.decrypt_verified(&decryptor).await,
            None => get.decrypt(&decryptor).await,
        }
        .map_err(failed)?;
        let content = result.envelope.as_ref().map(Envelope::content_algorithm);
        let content = content.filter(|content| content.is_authenticated());
        let released = read.delayed || read.verify_first || read.range.is_some();
        let Some(content) = content.filter(|_| !released) else {
            return write(result, &mut to).await.map_err(failed);
        };
        if content.plain_len(result.meta.len).is_some_and(|len| len > MAX_HELD_BACK) {
            return Err(Failure::usage(
                "the object is too large to hold back until its authentication tag is verified",
                "download it to a file, or use --verify-first, which reads it twice",
            ));
        }
        let meta = result.meta.clone();
        let plain = zeroize::Zeroizing::new(result.read_to_end().await.map_err(failed)?);
        let written = async {
            to.write_all(&plain).await?;
            to.flush().await
        };
        written.await.map_err(|error| failed(error.into()))?;
        Ok((meta, plain.len() as u64))
    });
    outcome.map_err(|failure| explain(failure, &*store, from))
}

async fn write(
    result: GetResult,
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
) -> Result<(ObjectMeta, u64), TransferError> {
    let (meta, mut len) = (result.meta.clone(), 0_u64);
    let mut body = result.into_stream();
    while let Some(chunk) = body.try_next().await? {
        len = len.saturating_add(chunk.len() as u64);
        to.write_all(&chunk).await?;
    }
    to.flush().await?;
    Ok((meta, len))
}

/// Returns a download that repeats what fails as the arguments say, and tells of it.
fn reader(store: Arc<dyn Store>, key: &str, read: &Read) -> envelope_store::Get {
    envelope_store::Get::new(store, key).with_retry(read.bucket.retry()).with_progress(|event| {
        match event {
            Event::Waiting { delay, reason } => say_wait(delay, &reason),
            Event::Warning(words) => warn(words),
            _ => {}
        }
    })
}

pub(super) fn decryptor(read: &Read) -> Result<Decryptor, Failure> {
    let policy = read.sealed.required_by(read.accept.policy(), read.verify_first);
    read.sealed.known_to(Decryptor::new(&read.keys.keyring()?).with_policy(policy))
}

/// Returns what makes two readings of the same objects different jobs.
pub(super) fn describe(read: &Read) -> Result<Value, Failure> {
    let keys = read.keys.key.iter().map(|path| key_file::fingerprint(Some(path)));
    Ok(json!({ "keys": keys.collect::<Result<Vec<String>, Failure>>()?,
        "kms": key_file::describe(None, read.keys.kms.kms.as_ref())?,
        "accept": format!("{:?}", read.accept),
        "origin": key_file::fingerprint(read.sealed.origin.path())? }))
}

fn check_keys(read: &Read) -> Result<(), Failure> {
    let keys = read.keys.key.iter().map(PathBuf::as_path);
    let kms = read.keys.kms.kms_passphrase_file.as_deref();
    check_one_stdin(keys.chain(kms).chain(read.sealed.origin.path()), &read.keys.passphrase)
}
