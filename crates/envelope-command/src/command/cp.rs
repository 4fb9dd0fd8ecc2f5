//! `envelope cp` and `mv`: copy and move objects.

use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use envelope_core::{Decryptor, Encryptor};
use envelope_store::{
    Address, Copy, CopyResult, CopyTarget, CopyWay, Headers, Location, RetryPolicy, StopSignal,
    Store, StoreError, TransferError,
    bulk::{Item, Outcome},
    head_unless_gone, is_instruction_file,
};
use meta_codec::{Vendor, WrapAlgorithm};
use serde_json::{Value, json};

use crate::{
    args::{Bucket, Cp},
    cleanup,
    failure::{Code, Failure},
    input::check_one_stdin,
    key_file::{self, MasterKey},
    many::{self, Engine, ManyProgress, Named},
    progress::{ProgressReporter, say},
    store::{folder, has_any, is_instruction, object, runtime},
    weakness::WarnedKinds,
};

/// The time that an interrupted copy may take to end in an orderly way.
const PATIENCE: Duration = Duration::from_secs(10);
/// The size of a part in memory, where the arguments say nothing else.
const PART: u64 = 16 << 20;

pub(crate) fn run(args: &Cp, moves: bool) -> Result<(), Failure> {
    let mut inputs: Vec<&Path> = args.keys.key.iter().map(PathBuf::as_path).collect();
    inputs.extend(args.to_key.as_deref());
    inputs.extend(args.origin.path());
    inputs.extend(args.bucket.sse_key.as_deref());
    inputs.extend(args.source_sse_key.as_deref());
    check_one_stdin(inputs, &args.keys.passphrase)?;
    if args.recursive { tree(args, moves) } else { one(args, moves) }
}

/// Copies one object.
fn one(args: &Cp, moves: bool) -> Result<(), Failure> {
    args.many.refuse(&args.patterns)?;
    let (key, mut to) = (object(&args.from)?, args.to.clone());
    if to.key.is_empty() || to.key.ends_with('/') {
        to.key.push_str(key.rsplit('/').next().unwrap_or(key));
    }
    let to_key = object(&to)?;
    // An older version of an object may well become the current one again.
    let is_older = !moves && args.version.version_id.is_some();
    if place(&args.from) == place(&to) && !is_older {
        return Err(Failure::usage("both addresses are that of the same object", "change one"));
    }
    let stores = stores(args, &to.location)?;
    let copies = Copies::new(args, &stores)?;
    let stop = StopSignal::new();
    let interrupted = stop.clone();
    cleanup::on_interrupt(move || interrupted.stop());
    let reporter = ProgressReporter::new(None);
    let told = reporter.clone();
    let copy = copies
        .copy(stores, key, to_key)
        .with_concurrency(args.parallel.requests.into())
        .with_stop(stop.clone())
        .with_progress(move |event| told.notify(event));
    let outcome = runtime()?.block_on(async {
        let patience = async {
            stop.stopped().await;
            tokio::time::sleep(PATIENCE).await;
        };
        if !args.force && !args.create_only {
            let target = tokio::select! {
                target = copy.target() => target?,
                // Nothing was begun that would have to be ended.
                () = stop.stopped() => return Err(TransferError::Stopped),
            };
            if target == CopyTarget::Other {
                return Err(StoreError::Exists.into());
            }
        }
        let result = tokio::select! {
            outcome = copy.run() => outcome?,
            () = patience => return Err(TransferError::Stopped),
        };
        if moves && stop.is_stopped() {
            return Err(TransferError::Stopped);
        }
        if moves {
            // Whoever interrupts it now waits for its end, and is told the truth about it.
            copy.delete_source(&result).await?;
        }
        Ok(result)
    });
    reporter.finish();
    let result = outcome.map_err(|error| match error {
        error @ TransferError::Store(StoreError::Exists) => failure(error).about(&to),
        error => failure(error).about(&args.from),
    })?;
    if args.json {
        let way = word(moves, &result);
        let line = json!({ "object": to.to_string(), "from": args.from.to_string(),
            "bytes": result.len, "status": way, "rewrapped": result.rewrapped });
        say(&line, "");
    }
    Ok(())
}

/// Copies all objects below a folder of keys.
fn tree(args: &Cp, moves: bool) -> Result<(), Failure> {
    args.version.refuse()?;
    let (from, to) = (folder(&args.from), folder(&args.to));
    let (one, other) = (place(&from), place(&to));
    if one.0 == other.0 && (one.1.starts_with(&other.1) || other.1.starts_with(&one.1)) {
        return Err(Failure::usage(
            "one of the folders is in the other, or both are the same",
            "choose a folder of its own",
        ));
    }
    let (source, target) = stores(args, &to.location)?;
    let part = args.part_size.unwrap_or(PART);
    let engine = Engine::new(&args.many, args.parallel.requests, part);
    let runtime = runtime()?;
    let filter = args.patterns.filter()?;
    let items = many::named(Arc::clone(&source), &from, filter, &args.named)?;
    let (doing, done) = match moves {
        true => ("to move", "moved"),
        false => ("to copy", "copied"),
    };
    let summary = if args.many.dry_run {
        engine.plan(&runtime, items, |item| Named::planned(item, doing))?
    } else {
        let verb = if moves { "mv" } else { "cp" };
        let job = json!({ verb: from.to_string(), "to": to.to_string(),
            "as": many::described(&args.many, || describe(args))? });
        let report = many::report(args.many.report.as_deref(), &job)?;
        let report = report.with_location(format!("{}/", from.location));
        // Where there is nothing at all, no object is looked for before it is written.
        let looks = !args.force && !args.create_only && has_any(&runtime, &*target, &to)?;
        let stores = (engine.store(source), engine.store(target));
        let work = Arc::new(Work {
            copies: Copies::new(args, &stores)?,
            stores,
            prefix: from.key.len(),
            to,
            moves,
            looks,
            parallel: args.parallel.requests,
            progress: Arc::clone(&engine.progress),
        });
        engine.run(&runtime, items, report, move |item| {
            let work = Arc::clone(&work);
            async move { work.outcome(&item).await }
        })?
    };
    many::check_any(&summary, &from)?;
    many::check(&summary, done)
}

/// Returns a place in a form in which the same places are equal, and places in a folder begin with
/// it: a bucket and a key, or nothing and the real path of a file.
fn place(address: &Address) -> (Option<&Location>, String) {
    let Location::Folder(folder) = &address.location else {
        return (Some(&address.location), address.key.clone());
    };
    let mut real = real_path(&folder.join(&address.key)).display().to_string();
    if address.key.is_empty() || address.key.ends_with('/') {
        real.push('/');
    }
    (None, real)
}

/// Returns a path without links and without `..`, as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut real = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                real.pop();
            }
            part => real.push(part),
        }
        // What does not exist is no link.
        if let Ok(there) = std::fs::canonicalize(&real) {
            real = there;
        }
    }
    real
}

type Stores = (Arc<dyn Store>, Arc<dyn Store>);

/// Opens the source and the target.
fn stores(args: &Cp, to: &Location) -> Result<Stores, Failure> {
    let own = &args.bucket;
    let source = Bucket {
        region: args.source_region.clone().or_else(|| own.region.clone()),
        endpoint: args.source_endpoint.clone().or_else(|| own.endpoint.clone()),
        sse_key: args.source_sse_key.clone(),
        ..own.clone()
    };
    Ok((source.store_of(&args.from, &args.version)?, own.store(to)?))
}

/// The settings that all copies of a command share.
struct Copies {
    keys: Option<CopyKeys>,
    allow_plaintext: bool,
    has_new_envelope: bool,
    headers: Headers,
    server_side: Option<Headers>,
    /// `true` if it is no error that an object exists, and is left alone.
    create_only: bool,
    part_size: Option<u64>,
    retry: RetryPolicy,
    warned: Arc<WarnedKinds>,
}

impl Copies {
    fn new(args: &Cp, stores: &Stores) -> Result<Self, Failure> {
        let vendors = (stores.0.vendor(), stores.1.vendor());
        // A folder has the headers of any vendor.
        let vendor = vendors.1.or(vendors.0).unwrap_or(Vendor::DEFAULT);
        let headers = args.attributes.given().headers(vendor)?;
        let server_side = args.server_side.headers(vendor, args.bucket.sse_key.as_deref())?;
        let is_asked = args.server_side.is_given() || args.bucket.sse_key.is_some();
        let has_new_envelope = args.to_key.is_some()
            || args.to_kms.to_kms.is_some()
            || args.wrapping.dialect.is_some();
        Ok(Self {
            keys: keys(args, vendor)?,
            allow_plaintext: args.allow_plaintext,
            has_new_envelope,
            headers,
            server_side: is_asked.then_some(server_side),
            create_only: args.create_only,
            part_size: args.part_size,
            retry: args.bucket.retry(),
            warned: Arc::default(),
        })
    }

    fn copy(&self, (source, target): Stores, from: &str, to: &str) -> Copy {
        let warned = Arc::clone(&self.warned);
        let mut copy = Copy::new((source, from), (target, to))
            .with_headers(self.headers.clone())
            .with_create_only(self.create_only)
            .with_plaintext(self.allow_plaintext)
            .with_retry(self.retry)
            .with_inspector(move |envelope| warned.warn_once(envelope));
        if let Some(keys) = &self.keys {
            copy = copy
                .with_keys(&keys.decryptor, &keys.encryptor)
                .with_keys_of_copies(&keys.of_copies)
                .with_new_envelope(self.has_new_envelope);
        }
        if let Some(server_side) = &self.server_side {
            copy = copy.with_server_side(server_side.clone());
        }
        match self.part_size {
            Some(bytes) => copy.with_part_size(bytes),
            None => copy,
        }
    }
}

/// The keys of a copy: those of the objects, the one that wraps anew, and those of the copies.
struct CopyKeys {
    decryptor: Decryptor,
    encryptor: Encryptor,
    of_copies: Decryptor,
}

/// Returns the keys, if there are any. Those of a profile may be of no use here, which matters only
/// if the copies need them.
fn keys(args: &Cp, vendor: Vendor) -> Result<Option<CopyKeys>, Failure> {
    let needs_keys = args.to_key.is_some()
        || args.to_kms.to_kms.is_some()
        || args.require.demands_encryption()
        || args.origin.path().is_some()
        || args.wrapping.dialect.is_some();
    match given_keys(args, vendor) {
        Err(_) if args.keys.from_profile && !needs_keys => Ok(None),
        outcome => outcome,
    }
}

fn given_keys(args: &Cp, vendor: Vendor) -> Result<Option<CopyKeys>, Failure> {
    let (key, kms) = (&args.keys.key, &args.keys.kms);
    let has_new = args.to_key.is_some() || args.to_kms.to_kms.is_some();
    if key.is_empty() && kms.kms.is_none() {
        let is_checked = args.require.demands_encryption() || args.origin.path().is_some();
        if has_new || is_checked || args.wrapping.dialect.is_some() {
            return Err(Failure::usage(
                "--to-key, --to-kms, --dialect, --require and --origin-key take the master key of \
                 the objects",
                "give it with --key or --kms",
            ));
        }
        return Ok(None);
    }
    let mut policy = args.require.policy();
    if args.origin.path().is_some() {
        policy = policy.require_origin();
    }
    let mut decryptor = Decryptor::new(&args.keys.keyring()?).with_policy(policy);
    if let Some(origin) = args.origin.key()? {
        decryptor = decryptor.with_origin_key(origin);
    }
    let dialect = args.wrapping.dialect.unwrap_or_else(|| vendor.default_dialect());
    let passphrase = args.keys.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    let master = match (args.to_key.as_deref(), args.to_kms.key()?, key.as_slice()) {
        (None, None, []) => MasterKey::one(None, passphrase, kms.key()?, args.style, dialect)?,
        (None, None, [only]) if kms.kms.is_none() => {
            MasterKey::one(Some(only), passphrase, None, args.style, dialect)?
        }
        // The first key of a profile is the one that encrypts.
        (None, None, [first, ..]) if args.keys.from_profile => {
            MasterKey::one(Some(first), passphrase, None, args.style, dialect)?
        }
        (None, None, _) => {
            return Err(Failure::usage(
                "there are several master keys, and it is not said which the copies get",
                "give it with --to-key or --to-kms",
            ));
        }
        (path, kms, _) => MasterKey::one(path, passphrase, kms, args.style, dialect)?,
    };
    let master = master.with_description(args.wrapping.description(dialect)?);
    let mut of_copies = Decryptor::new(&master.keyring());
    if let Some(origin) = args.origin.key()? {
        of_copies = of_copies.with_origin_key(origin);
    }
    let encryptor = args.wrapping.encryptor(&master, dialect);
    Ok(Some(CopyKeys { decryptor, encryptor, of_copies }))
}

/// The work on each object.
struct Work {
    copies: Copies,
    stores: Stores,
    prefix: usize,
    to: Address,
    moves: bool,
    parallel: u16,
    progress: Arc<ManyProgress>,
    /// `true` if an object that exists is looked at, and left alone if it is another one.
    looks: bool,
}

impl Work {
    async fn outcome(&self, item: &Item<Named>) -> Outcome {
        if let Err(outcome) = item.source.check(&item.key) {
            return outcome;
        }
        let (source, target) = (Arc::clone(&self.stores.0), Arc::clone(&self.stores.1));
        match is_instruction_file(&*source, &item.key).await {
            // It goes with the object that it belongs to, whose copy has none.
            Ok(true) => return Outcome::new("instruction file"),
            Ok(false) => {}
            Err(StoreError::NotFound) if self.moves => {
                return moved_together(&*source, &item.key).await;
            }
            Err(error) => return Outcome::failed(&error),
        }
        if target.vendor().is_none() && source.vendor().is_some() {
            match Named::is_folder(item, &*source).await {
                // In a folder, it is there as soon as a file is in it.
                Ok(true) => return Outcome::new("folder"),
                Ok(false) => {}
                Err(error) => return Outcome::failed(&error),
            }
        }
        let path = item.key.get(self.prefix..).unwrap_or(&item.key);
        let key = format!("{}{path}", self.to.key);
        let (progress, name) = (Arc::clone(&self.progress), item.key.clone());
        let copy = self
            .copies
            .copy((source, target), &item.key, &key)
            .with_concurrency(self.parallel.into())
            .with_progress(move |event| progress.transfer(&name, event));
        if self.looks {
            match copy.target().await {
                Ok(CopyTarget::Other) => {
                    return many::another_exists();
                }
                Ok(_) => {}
                Err(TransferError::Store(StoreError::NotFound)) if self.moves => {
                    return moved_together(&*self.stores.0, &item.key).await;
                }
                Err(error) => return Outcome::failed(&error),
            }
        }
        match copied(&copy, self.moves).await {
            Ok(result) => Outcome::new(word(self.moves, &result))
                .with_bytes(result.len)
                .with_detail("rewrapped", result.rewrapped),
            Err(TransferError::Store(StoreError::Exists)) if self.copies.create_only => {
                Outcome::new("exists").again()
            }
            Err(TransferError::Store(StoreError::NotFound)) if self.moves => {
                moved_together(&*self.stores.0, &item.key).await
            }
            Err(error) => match self.passes_over(item, &error).await {
                Ok(true) => Outcome::new("folder"),
                Ok(false) => Outcome::failed(&error),
                Err(error) => Outcome::failed(&error),
            },
        }
    }

    /// Returns whether an object is an empty one that stands for a folder, and cannot be copied to
    /// another cloud because it is not encrypted. Nobody asked for such.
    async fn passes_over(
        &self,
        item: &Item<Named>,
        error: &TransferError,
    ) -> Result<bool, StoreError> {
        let is_between_clouds = self.stores.0.vendor() != self.stores.1.vendor();
        Ok(is_between_clouds
            && error.is_not_encrypted()
            && Named::is_folder(item, &*self.stores.0).await?)
    }
}

/// Returns what becomes of an object that was listed and is not there: an instruction file was
/// moved together with its object. One answer alone is not believed.
async fn moved_together(source: &dyn Store, key: &str) -> Outcome {
    let is_gone = match is_instruction(source, key) {
        true => head_unless_gone(source, key).await.map(|found| found.is_none()),
        false => Ok(false),
    };
    match is_gone {
        Ok(true) => Outcome::new("instruction file"),
        Ok(false) => Outcome::failed(&StoreError::NotFound),
        Err(error) => Outcome::failed(&error),
    }
}

async fn copied(copy: &Copy, moves: bool) -> Result<CopyResult, TransferError> {
    if moves { copy.run_and_delete().await } else { copy.run().await }
}

/// Returns what became of an object in one word.
const fn word(moves: bool, result: &CopyResult) -> &'static str {
    match (moves, result.way) {
        (true, _) => "moved",
        (false, CopyWay::Already) => "already",
        (false, _) => "copied",
    }
}

fn failure(error: TransferError) -> Failure {
    match error {
        TransferError::NeedsKey(_) => {
            Failure::new(Code::Usage, error, "give it with --key or --kms")
        }
        TransferError::Stopped => Failure::new(
            Code::Interrupted,
            "interrupted",
            "the same command begins anew; nothing was deleted",
        ),
        TransferError::SameObject => Failure::new(
            Code::Io,
            error,
            "the object is there; look whether the other name is that of another object",
        ),
        TransferError::Decrypt(_) if error.is_not_encrypted() => {
            Failure::new(Code::Metadata, error, "--allow-plaintext copies it all the same")
        }
        error => error.into(),
    }
}

/// Returns what makes two copies of the same objects different jobs.
fn describe(args: &Cp) -> Result<Value, Failure> {
    let wrapping = &args.wrapping;
    let to = match (&args.to_key, &args.to_kms.to_kms) {
        (None, None) => Value::Null,
        (path, kms) => key_file::describe(path.as_deref(), kms.as_ref())?.into(),
    };
    let keys = args.keys.key.iter().map(|path| key_file::fingerprint(Some(path)));
    Ok(json!({ "keys": keys.collect::<Result<Vec<String>, Failure>>()?, "to": to,
        "kms": key_file::describe(None, args.keys.kms.kms.as_ref())?,
        "dialect": wrapping.dialect.map(meta_codec::Dialect::id), "matdesc": wrapping.matdesc,
        "wrap": wrapping.wrap.map(WrapAlgorithm::id), "key_check": wrapping.key_check,
        "require": format!("{:?}", args.require), "plain": args.allow_plaintext,
        "origin": key_file::fingerprint(args.origin.path())?,
        "attributes": format!("{:?}", args.attributes),
        "server_side": format!("{:?}", args.server_side),
        "sse_key": key_file::fingerprint(args.bucket.sse_key.as_deref())? }))
}
