//! `envelope rewrap` for objects in a store, one or many.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use envelope_core::{Crc64, Decryptor, Encryptor, Keyring, OriginKey, SealOptions};
use envelope_store::{
    Address, RetryPolicy, Rewrap as RewrapObject, Rewrapped, Store, StoreError, TransferError,
    blocking::Runtime,
    bulk::{Filter, Item, Outcome, Report, Summary, listed},
    list_all, list_versions,
};
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream, stream::BoxStream};
use meta_codec::{Vendor, WrapAlgorithm};
use serde_json::json;

use crate::{
    args::Rewrap,
    failure::{Failure, warn},
    input::check_one_stdin,
    key_file::{self, MasterKey},
    many::{self, Engine, Found, ManyProgress},
    store::{object, runtime, warn_of_old_keys},
    weakness::WarnedKinds,
};

/// The most memory that the part of an object takes that is uploaded again.
const PART: u64 = 16 << 20;

pub(crate) fn run(args: &Rewrap, to: &Address) -> Result<(), Failure> {
    let bulk = &args.bulk;
    check(args)?;
    let store = bulk.bucket.store(&to.location)?;
    let engine = Engine::new(&bulk.many, bulk.parallel.requests, PART);
    let work = Arc::new(work(args, to, engine.store(Arc::clone(&store)), &engine)?);
    let runtime = runtime()?;
    // Opened before anything is changed.
    let report = if bulk.many.dry_run { Report::none() } else { report(args, to, &work)? };
    let is_one = !bulk.prefix && bulk.inventory.is_none();
    let items = match is_one {
        true => {
            let item = Item::new(object(to)?, 0, None);
            stream::iter([Ok(item)]).boxed()
        }
        false => items(args, to, store)?,
    };
    if is_one && !bulk.patterns.is_empty() {
        return Err(Failure::usage("--include and --exclude are for many objects", "omit them"));
    }
    if is_one && !bulk.many.dry_run {
        return one(&work, engine, &runtime, to, items, report);
    }
    let summary = if bulk.many.dry_run {
        engine.plan(&runtime, items, |item| many::planned(item, "to rewrap"))?
    } else {
        let each = Arc::clone(&work);
        engine.run(&runtime, items, report, move |item| {
            let work = Arc::clone(&each);
            async move { work.outcome(item).await }
        })?
    };
    outcome(args, to, &summary)
}

fn check(args: &Rewrap) -> Result<(), Failure> {
    let bulk = &args.bulk;
    if args.metadata_out.is_some() || args.instruction.is_some() {
        return Err(Failure::usage(
            "--metadata-out and --instruction are only valid with headers in a file",
            "omit them",
        ));
    }
    if bulk.all_versions && (args.seal_body || args.no_seal) {
        return Err(Failure::usage(
            "--all-versions keeps the seals as they are",
            "omit --seal-body and --no-seal",
        ));
    }
    if args.sealed.name.is_some() && (bulk.prefix || bulk.inventory.is_some()) {
        return Err(Failure::usage(
            "--name is the name of one object",
            "omit it; the name of an object in a store is its key",
        ));
    }
    let mut inputs: Vec<&Path> = args.key.iter().map(PathBuf::as_path).collect();
    inputs.extend(args.sealed.origin.path());
    inputs.extend(args.to_key.as_deref());
    check_one_stdin(inputs, &args.passphrase)
}

/// Says what the outcome of many objects means.
fn outcome(args: &Rewrap, to: &Address, summary: &Summary) -> Result<(), Failure> {
    let (objects, earlier) = (summary.objects(), summary.earlier());
    if objects == 0 && earlier == 0 && !summary.is_stopped() {
        let words = match &args.bulk.inventory {
            Some(path) => format!("{}: the inventory names no objects", path.display()),
            None => format!("{to}: no object has such a key"),
        };
        // A share may well be empty.
        if args.bulk.shard.is_none() {
            return Err(Failure::usage(words, "check that it is the right file or address"));
        }
    }
    warn_of_old_keys();
    if summary.of("gone") > 0 && summary.of("gone") == objects {
        warn("none of these objects exists; are the keys in the inventory URL-encoded?");
    }
    many::check(summary, "rewrapped")
}

/// Rewraps the only object, whose failure is that of the command.
fn one(
    work: &Arc<Work>,
    engine: Engine,
    runtime: &Runtime,
    to: &Address,
    items: BoxStream<'static, Found>,
    report: Report,
) -> Result<(), Failure> {
    let failure: Arc<Mutex<Option<TransferError>>> = Arc::default();
    let (slot, only) = (Arc::clone(&failure), Arc::clone(work));
    let summary = engine.quiet().run(runtime, items, report, move |item: Item<Option<String>>| {
        let (work, slot) = (Arc::clone(&only), Arc::clone(&slot));
        async move {
            let outcome = work.rewrap(&item.key).await;
            let told = work.told(&outcome);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = outcome.err();
            told
        }
    });
    // What became of the object matters more than the report.
    if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(Failure::from(error).about(to));
    }
    many::check(&summary?, "rewrapped")?;
    warn_of_old_keys();
    Ok(())
}

/// Returns the objects to rewrap.
fn items(
    args: &Rewrap,
    to: &Address,
    store: Arc<dyn Store>,
) -> Result<BoxStream<'static, Found>, Failure> {
    let (bulk, filter) = (&args.bulk, args.bulk.patterns.filter()?);
    // Only then do bytes move.
    let moves = bulk.reupload || args.seal_body;
    let items = match &bulk.inventory {
        None if bulk.all_versions => keys_of_versions(store, to, filter),
        Some(path) => many::inventory(path, to, filter)?,
        None => {
            let prefix = to.key.clone();
            list_all(store, to.key.as_str())
                .map_err(Into::into)
                .try_filter(move |entry| {
                    let path = many::path_below(&entry.key, &prefix);
                    future::ready(path.is_some_and(|path| filter.admits(path)))
                })
                .map_ok(move |entry| {
                    let modified = entry.modified.as_deref().and_then(listed);
                    let len = if moves { entry.len } else { 0 };
                    Item::new(entry.key, len, None).with_modified(modified)
                })
                .boxed()
        }
    };
    let Some((index, count)) = bulk.shard else { return Ok(items) };
    let is_in_share = move |item: &Found| {
        let Ok(Item { key, source: None, .. }) = item else { return true };
        Crc64::of(key.as_bytes()).checked_rem(count) == index.checked_sub(1)
    };
    Ok(items.filter(move |item| future::ready(is_in_share(item))).boxed())
}

/// Returns all keys that have versions, also those of objects that are deleted now.
fn keys_of_versions(
    store: Arc<dyn Store>,
    to: &Address,
    filter: Filter,
) -> BoxStream<'static, Found> {
    let (prefix, mut last) = (to.key.clone(), None);
    list_versions(store, to.key.as_str())
        .map_err(Into::into)
        .try_filter_map(move |version| {
            let key = version.entry.key;
            let is_new = last.as_ref() != Some(&key);
            last = Some(key.clone());
            let path = many::path_below(&key, &prefix);
            let is_wanted = is_new && path.is_some_and(|path| filter.admits(path));
            // An object may have got another version since an earlier run.
            let item = || Item::new(key, 0, None).with_always(true);
            future::ready(Ok(is_wanted.then(item)))
        })
        .boxed()
}

/// What is done with each object.
struct Work {
    store: Arc<dyn Store>,
    old: Decryptor,
    new: Decryptor,
    encryptor: Encryptor,
    reupload: bool,
    seal_body: bool,
    all_versions: bool,
    demands_encryption: bool,
    /// The folder for copies of objects that are being replaced.
    folder: PathBuf,
    /// The folder for journals, and where the objects are.
    journals: Option<(PathBuf, String)>,
    retry: RetryPolicy,
    warned: Arc<WarnedKinds>,
    progress: Arc<ManyProgress>,
}

fn work(
    args: &Rewrap,
    to: &Address,
    store: Arc<dyn Store>,
    engine: &Engine,
) -> Result<Work, Failure> {
    let default = || store.vendor().unwrap_or(Vendor::DEFAULT).default_dialect();
    let dialect = args.wrapping.dialect.unwrap_or_else(default);
    let passphrase = args.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    let old = key_file::keyring(&args.key, passphrase, args.kms.key()?, key_file::Purpose::Wrap)?;
    let (path, kms) = (args.to_key.as_deref(), args.to_kms.key()?);
    let master = MasterKey::one(path, passphrase, kms, args.style, dialect)?;
    let new = master.keyring();
    let master = master.with_description(args.wrapping.description(dialect)?);
    let origin = args.sealed.origin.key()?;
    let knowing = |keyring: &Keyring| {
        let mut decryptor = Decryptor::new(keyring).with_policy(args.require.policy());
        if let Some(name) = &args.sealed.name {
            decryptor = decryptor.with_name(name.as_str());
        }
        match &origin {
            Some(origin) => decryptor.with_origin_key(origin.clone()),
            None => decryptor,
        }
    };
    let (old, new) = (knowing(&old), knowing(&new));
    Ok(Work {
        store,
        old,
        new,
        encryptor: sealing(args, origin, args.wrapping.encryptor(&master, dialect)),
        reupload: args.bulk.reupload,
        seal_body: args.seal_body,
        all_versions: args.bulk.all_versions,
        demands_encryption: args.require.demands_encryption(),
        folder: args.bulk.state.folder().unwrap_or_else(std::env::temp_dir),
        journals: args.bulk.state.folder().map(|folder| (folder, to.location.to_string())),
        retry: args.bulk.bucket.retry(),
        warned: Arc::default(),
        progress: Arc::clone(&engine.progress),
    })
}

fn sealing(args: &Rewrap, origin: Option<OriginKey>, encryptor: Encryptor) -> Encryptor {
    if args.no_seal {
        return encryptor.without_seal();
    }
    if !args.seal_body {
        return encryptor;
    }
    let mut options = SealOptions::new();
    if let Some(origin) = origin {
        options = options.with_origin_key(origin);
    }
    encryptor.with_seal(options)
}

impl Work {
    async fn rewrap(&self, key: &str) -> Result<Rewrapped, TransferError> {
        let (warned, progress) = (Arc::clone(&self.warned), Arc::clone(&self.progress));
        let name = key.to_owned();
        let rewrap = RewrapObject::new(Arc::clone(&self.store), key)
            .with_reupload(self.reupload)
            .with_seal_body(self.seal_body)
            .with_folder(self.folder.clone())
            .with_retry(self.retry)
            .with_progress(move |event| progress.transfer(&name, event))
            .with_new_keys(&self.new)
            .with_inspector(move |envelope| warned.warn_once(envelope));
        let rewrap = match &self.journals {
            Some((folder, location)) => {
                // Not the endpoint: a bucket is the same by whatever endpoint.
                let name = Crc64::of(format!("{location}/{key}").as_bytes());
                rewrap.with_journal(folder.join(format!("rewrap-{name:016x}.json")))
            }
            None => rewrap,
        };
        match self.all_versions {
            true => rewrap.run_all_versions(&self.old, &self.encryptor).await,
            false => rewrap.run(&self.old, &self.encryptor).await,
        }
    }

    async fn outcome(&self, item: Item<Option<String>>) -> Outcome {
        match item.source {
            None => self.told(&self.rewrap(&item.key).await),
            Some(bucket) => many::of_another_bucket(&bucket, &item.key),
        }
    }

    /// Returns what the report says. An object that is not encrypted, or is gone, is no failure.
    fn told(&self, outcome: &Result<Rewrapped, TransferError>) -> Outcome {
        match outcome {
            Ok(Rewrapped::Already) => Outcome::new("already"),
            Ok(Rewrapped::Reuploaded) => Outcome::new("reuploaded"),
            Ok(Rewrapped::Versions(count)) => {
                Outcome::new("rewrapped").with_detail("versions", *count)
            }
            Ok(_) => Outcome::new("rewrapped"),
            Err(error) if error.is_not_encrypted() && !self.demands_encryption => {
                Outcome::new("plain")
            }
            // Whoever writes it anew may have been about to.
            Err(TransferError::Store(StoreError::NotFound)) => Outcome::new("gone").again(),
            Err(error) => Outcome::failed(error),
        }
    }
}

/// Opens the report, by default standard output.
fn report(args: &Rewrap, to: &Address, work: &Work) -> Result<Report, Failure> {
    let Some(path) = &args.bulk.many.report else {
        return Ok(many::printed().with_location(format!("{}/", to.location)));
    };
    // All that makes it superfluous to rewrap an object again.
    let key = key_file::describe(args.to_key.as_deref(), args.to_kms.to_kms.as_ref())?;
    let job = json!({ "rewrap": to.to_string(), "to": key,
        "dialect": work.encryptor.dialect().id(), "matdesc": args.wrapping.matdesc,
        "wrap": args.wrapping.wrap.map(WrapAlgorithm::id), "seal": !args.no_seal,
        "seal_body": args.seal_body, "all_versions": args.bulk.all_versions,
        "require": format!("{:?}", args.require),
        "origin": key_file::fingerprint(args.sealed.origin.path())? });
    let report = many::report(Some(path), &job)?;
    Ok(report.with_location(format!("{}/", to.location)))
}
