//! `envelope rewrap` for objects in a store, one or many.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead as _, BufReader, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use envelope_core::{Crc64, Decryptor, Keyring};
use envelope_store::{
    Address, Location, Rewrap as RewrapObject, Rewrapped, Store, StoreError, TransferError,
    blocking::Runtime,
};
use meta_codec::{ContentAlgorithm, Dialect, Envelope, Vendor, WrapAlgorithm};
use serde_json::{Value, json};

use crate::{
    args::{BulkArgs, Rewrap},
    failure::{Failure, Status, warn},
    key_file::{self, MasterKey},
    store::{object, runtime, warn_of_old_keys},
    weakness::warn_before_reading,
};

/// Counts of processed and failed objects.
#[derive(Default)]
struct Tally {
    done: u64,
    failed: u64,
}

pub(crate) fn run(args: &Rewrap, to: &Address) -> Result<(), Failure> {
    if args.metadata_out.is_some() || args.instruction.is_some() {
        return Err(Failure::usage(
            "--metadata-out and --instruction are only valid with headers in a file",
            "omit them",
        ));
    }
    let bulk = &args.bulk;
    let store = bulk.bucket.store(&to.location)?;
    let default = || store.vendor().unwrap_or(Vendor::DEFAULT).default_dialect();
    let dialect = args.wrapping.dialect.unwrap_or_else(default);
    let passphrase = args.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    let old = key_file::keyring(&args.key, passphrase, args.kms.key()?)?;
    let (path, kms) = (args.to_key.as_deref(), args.to_kms.key()?);
    let master = MasterKey::one(path, passphrase, kms, args.style, dialect)?;
    let new = master.keyring();
    let master = master.with_description(args.wrapping.description(dialect)?);
    let job = Job { args, store, old, new, master, dialect, warned: Arc::default() };

    let runtime = runtime()?;
    if !bulk.prefix && bulk.inventory.is_none() {
        let outcome = runtime.block_on(job.rewrap(object(to)?));
        let outcome = outcome.map_err(|error| Failure::from(error).about(to))?;
        let mut report = report(bulk)?;
        line(&mut *report, to, &to.key, &Ok(outcome))?;
        warn_of_old_keys();
        return Ok(());
    }
    let mut report = report(bulk)?;
    let mut tally = Tally::default();
    match &bulk.inventory {
        Some(path) => {
            let mut seen = HashSet::new();
            for key in inventory(path, &to.location)? {
                let key = key?;
                if seen.insert(Crc64::of(key.as_bytes())) {
                    job.one(&runtime, to, &key, &mut *report, &mut tally)?;
                }
            }
        }
        None => {
            let mut after = None;
            loop {
                let page = runtime.block_on(job.store.list(&to.key, after.as_deref()))?;
                for entry in page.entries {
                    job.one(&runtime, to, &entry.key, &mut *report, &mut tally)?;
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
    }
    warn_of_old_keys();
    if tally.failed > 0 {
        return Err(Failure::new(
            Status::Io,
            format_args!("{} of {} objects were not rewrapped", tally.failed, tally.done),
            "see the report for the reasons; the same command can be run again",
        ));
    }
    Ok(())
}

struct Job<'a> {
    args: &'a Rewrap,
    store: Arc<dyn Store>,
    old: Keyring,
    new: Keyring,
    master: MasterKey,
    dialect: Dialect,
    warned: Arc<Warned>,
}

/// The kinds of objects that the user was warned of.
type Warned = Mutex<HashSet<(&'static str, WrapAlgorithm, ContentAlgorithm)>>;

/// Warns of what the user should know of an object, once for each kind of object.
fn warn_once(warned: &Warned, envelope: &Envelope) {
    let kind = (envelope.dialect().id(), envelope.wrap_algorithm(), envelope.content_algorithm());
    if warned.lock().unwrap_or_else(PoisonError::into_inner).insert(kind) {
        warn_before_reading(envelope);
    }
}

impl Job<'_> {
    async fn rewrap(&self, key: &str) -> Result<Rewrapped, TransferError> {
        let policy = self.args.require.policy();
        let old = Decryptor::new(&self.old).with_policy(policy.clone());
        let new = Decryptor::new(&self.new).with_policy(policy);
        let encryptor = self.args.wrapping.encryptor(&self.master, self.dialect);
        RewrapObject::new(Arc::clone(&self.store), key)
            .with_reupload(self.args.bulk.reupload)
            .with_new_keys(&new)
            .with_inspector({
                let warned = Arc::clone(&self.warned);
                move |envelope| warn_once(&warned, envelope)
            })
            .run(&old, &encryptor)
            .await
    }

    fn one(
        &self,
        runtime: &Runtime,
        to: &Address,
        key: &str,
        report: &mut dyn Write,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let bulk = &self.args.bulk;
        if bulk.shard.is_some_and(|(index, count)| {
            Crc64::of(key.as_bytes()).checked_rem(count) != index.checked_sub(1)
        }) {
            return Ok(());
        }
        if let Some(rate) = bulk.rate {
            std::thread::sleep(Duration::from_secs(1) / rate);
        }
        let outcome = runtime.block_on(self.rewrap(key));
        tally.done = tally.done.saturating_add(1);
        // Objects that are not encrypted, or have since been deleted, are not failures.
        let passed = match &outcome {
            Ok(_) | Err(TransferError::Store(StoreError::NotFound)) => true,
            Err(error) => error.is_not_encrypted(),
        };
        tally.failed = tally.failed.saturating_add(u64::from(!passed));
        line(report, to, key, &outcome)
    }
}

fn report(bulk: &BulkArgs) -> Result<Box<dyn Write>, Failure> {
    Ok(match &bulk.report {
        Some(path) => Box::new(File::create(path).map_err(|error| Failure::io(path, &error))?),
        None => Box::new(io::stdout()),
    })
}

fn line(
    report: &mut dyn Write,
    to: &Address,
    key: &str,
    outcome: &Result<Rewrapped, TransferError>,
) -> Result<(), Failure> {
    let object = Address::new(to.location.clone(), key).to_string();
    let (status, error) = match outcome {
        Ok(Rewrapped::Already) => ("already", None),
        Ok(Rewrapped::Reuploaded) => ("reuploaded", None),
        Ok(_) => ("rewrapped", None),
        Err(error) if error.is_not_encrypted() => ("plain", None),
        Err(TransferError::Store(StoreError::NotFound)) => ("gone", None),
        Err(error) => ("failed", Some(error.to_string())),
    };
    let mut line = json!({ "object": object, "key": key, "status": status });
    if let (Some(error), Some(line)) = (error, line.as_object_mut()) {
        line.insert("error".to_owned(), error.into());
    }
    writeln!(report, "{line}").map_err(|error| Failure::io("the report".as_ref(), &error))
}

/// Returns an iterator over the keys of an inventory.
fn inventory<'a>(
    path: &'a Path,
    place: &'a Location,
) -> Result<Box<dyn Iterator<Item = Result<String, Failure>> + 'a>, Failure> {
    let file = File::open(path).map_err(|error| Failure::io(path, &error))?;
    let mut file = BufReader::new(file);
    let start = file.fill_buf().map_err(|error| Failure::io(path, &error))?;
    let bad = |line: usize| {
        Failure::usage(
            format_args!("{}: entry {} is malformed", path.display(), line.saturating_add(1)),
            "use CSV of bucket and key, CSV with a column `key`, or lines of JSON with a `key`",
        )
    };
    if start.trim_ascii_start().starts_with(b"{") {
        let lines = file
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
        return Ok(Box::new(lines.map(move |(n, line)| {
            let line = line.map_err(|error| Failure::io(path, &error))?;
            let value: Value = serde_json::from_str(&line).map_err(|_| bad(n))?;
            let key = value.get("key").or_else(|| value.get("Key")).and_then(Value::as_str);
            key.map(str::to_owned).ok_or_else(|| bad(n))
        })));
    }
    let bucket = match place {
        Location::Bucket(_, bucket) => Some(bucket.as_str()),
        _ => None,
    };
    let mut column = None;
    let rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let rows = rows.into_records().enumerate();
    Ok(Box::new(rows.filter_map(move |(n, row)| {
        let Ok(row) = row else { return Some(Err(bad(n))) };
        if n == 0 {
            column = row.iter().position(|name| name.eq_ignore_ascii_case("key"));
            if column.is_some() {
                return None;
            }
        }
        Some(match column {
            Some(at) => row.get(at).map(str::to_owned).ok_or_else(|| bad(n)),
            // The format of the stores: bucket, then URL-encoded key. A COS bucket includes its
            // APPID.
            None => match (row.get(0), row.get(1)) {
                (Some(of), Some(key)) if bucket.is_none_or(|bucket| bucket == of) => {
                    envelope_store::decode_key(key).ok_or_else(|| bad(n))
                }
                (Some(_), Some(_)) => {
                    warn(format_args!("entry {} belongs to another bucket", n.saturating_add(1)));
                    return None;
                }
                (Some(key), None) => Ok(key.to_owned()),
                _ => Err(bad(n)),
            },
        })
    })))
}
