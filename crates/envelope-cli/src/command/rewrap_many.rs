//! `envelope rewrap` for objects in a store, one or many.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead as _, BufReader, Write},
    path::Path,
    time::Duration,
};

use envelope_core::{Crc64, Decryptor, Keyring, Policy};
use envelope_store::{
    Address, Place, Rewrapped, Store, StoreError, TransferError, blocking::Waiter,
};
use meta_codec::{Dialect, Vendor};
use serde_json::{Value, json};

use crate::{
    args::{Many, Rewrap},
    failure::{Failure, Status, warn},
    key_file::{self, MasterKey},
    remote::{object, waiter, warn_of_old_keys},
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
    let many = &args.many;
    let store = many.bucket.store(&to.place)?;
    let vendor = store.vendor();
    let dialect = args.wrapping.dialect.unwrap_or(match vendor {
        Some(Vendor::Cos) => Dialect::COS_V2,
        _ => Dialect::OSS_V2,
    });
    let passphrase = args.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    let old = key_file::keyring(&args.key, passphrase, args.kms.key()?)?;
    let (path, kms) = (args.to_key.as_deref(), args.to_kms.key()?);
    let master = MasterKey::one(path, passphrase, kms, args.style, dialect)?
        .with_description(args.wrapping.description(dialect)?);
    let paths: Vec<_> = args.to_key.iter().cloned().collect();
    let new = key_file::keyring(&paths, passphrase, args.to_kms.key()?)?;
    let job = Job { args, store: store.as_ref(), old, new, master, dialect };

    let waiter = waiter()?;
    if !many.prefix && many.inventory.is_none() {
        let outcome = waiter.wait(job.rewrap(object(to)?))?;
        let mut report = report(many)?;
        line(&mut *report, to, &to.key, &Ok(outcome))?;
        warn_of_old_keys();
        return Ok(());
    }
    let mut report = report(many)?;
    let mut tally = Tally::default();
    match &many.inventory {
        Some(path) => {
            let mut seen = HashSet::new();
            for key in inventory(path, &to.place)? {
                let key = key?;
                if seen.insert(Crc64::of(key.as_bytes())) {
                    job.one(&waiter, to, &key, &mut *report, &mut tally)?;
                }
            }
        }
        None => {
            let mut after = None;
            loop {
                let page = waiter.wait(store.list(&to.key, after.as_deref()))?;
                for entry in page.entries {
                    job.one(&waiter, to, &entry.key, &mut *report, &mut tally)?;
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
    store: &'a dyn Store,
    old: Keyring,
    new: Keyring,
    master: MasterKey,
    dialect: Dialect,
}

impl Job<'_> {
    async fn rewrap(&self, key: &str) -> Result<Rewrapped, TransferError> {
        let policy = Policy::every_algorithm();
        let old = Decryptor::new(&self.old).with_policy(policy.clone());
        let new = Decryptor::new(&self.new).with_policy(policy);
        let encryptor = self.args.wrapping.encryptor(&self.master, self.dialect);
        let reupload = self.args.many.reupload;
        envelope_store::rewrap(self.store, key, &old, Some(&new), &encryptor, reupload).await
    }

    fn one(
        &self,
        waiter: &Waiter,
        to: &Address,
        key: &str,
        report: &mut dyn Write,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let many = &self.args.many;
        if many.shard.is_some_and(|(index, count)| {
            Crc64::of(key.as_bytes()).checked_rem(count) != index.checked_sub(1)
        }) {
            return Ok(());
        }
        if let Some(rate) = many.rate {
            std::thread::sleep(Duration::from_secs(1) / rate);
        }
        let outcome = waiter.wait(self.rewrap(key));
        tally.done = tally.done.saturating_add(1);
        // Objects that are not encrypted, or have since been deleted, are not failures.
        let passed = matches!(
            outcome,
            Ok(_) | Err(TransferError::NotEncrypted | TransferError::Store(StoreError::NotFound))
        );
        tally.failed = tally.failed.saturating_add(u64::from(!passed));
        line(report, to, key, &outcome)
    }
}

fn report(many: &Many) -> Result<Box<dyn Write>, Failure> {
    Ok(match &many.report {
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
    let object = Address { place: to.place.clone(), key: key.to_owned() }.to_string();
    let (status, error) = match outcome {
        Ok(Rewrapped::Already) => ("already", None),
        Ok(Rewrapped::Reuploaded) => ("reuploaded", None),
        Ok(_) => ("rewrapped", None),
        Err(TransferError::NotEncrypted) => ("plain", None),
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
    place: &'a Place,
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
        Place::Oss(bucket) | Place::Cos(bucket) => Some(bucket.as_str()),
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
