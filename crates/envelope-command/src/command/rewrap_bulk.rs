//! `envelope rewrap` for objects in a store, one or many.

use std::{
    collections::{BTreeMap, HashSet},
    error::Error as _,
    fmt,
    fs::File,
    io::{self, BufRead as _, BufReader, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use envelope_core::{Crc64, Decryptor, Keyring, OriginKey, SealOptions};
use envelope_store::{
    Address, Event, Location, Rewrap as RewrapObject, Rewrapped, Store, StoreError, TransferError,
    blocking::Runtime, list_all,
};
use futures_util::TryStreamExt as _;
use meta_codec::{ContentAlgorithm, Dialect, Envelope, Vendor, WrapAlgorithm};
use serde_json::{Value, json};

use crate::{
    args::{BulkArgs, Rewrap},
    failure::{Failure, Status, warn},
    input::check_one_stdin,
    key_file::{self, MasterKey},
    progress::{say, say_wait},
    store::{object, runtime, warn_of_old_keys},
    weakness::warn_before_reading,
};

/// The number of objects by their outcome.
#[derive(Default)]
struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn count(&mut self, status: &'static str) {
        let count = self.0.entry(status).or_default();
        *count = count.saturating_add(1);
    }

    fn of(&self, status: &str) -> u64 {
        self.0.get(status).copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> =
            self.0.iter().map(|(status, count)| format!("{count} {status}")).collect();
        f.write_str(if counts.is_empty() { "no objects" } else { "" })?;
        f.write_str(&counts.join(", "))
    }
}

pub(crate) fn run(args: &Rewrap, to: &Address) -> Result<(), Failure> {
    if args.metadata_out.is_some() || args.instruction.is_some() {
        return Err(Failure::usage(
            "--metadata-out and --instruction are only valid with headers in a file",
            "omit them",
        ));
    }
    let bulk = &args.bulk;
    if args.sealed.name.is_some() && (bulk.prefix || bulk.inventory.is_some()) {
        return Err(Failure::usage(
            "--name is the name of one object",
            "omit it; the name of an object in a store is its key",
        ));
    }
    let mut inputs: Vec<&Path> = args.key.iter().map(PathBuf::as_path).collect();
    inputs.extend(args.sealed.origin.path());
    inputs.extend(args.to_key.as_deref());
    check_one_stdin(inputs, &args.passphrase)?;
    let store = bulk.bucket.store(&to.location)?;
    let default = || store.vendor().unwrap_or(Vendor::DEFAULT).default_dialect();
    let dialect = args.wrapping.dialect.unwrap_or_else(default);
    let passphrase = args.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    let old = key_file::keyring(&args.key, passphrase, args.kms.key()?, key_file::Purpose::Wrap)?;
    let (path, kms) = (args.to_key.as_deref(), args.to_kms.key()?);
    let master = MasterKey::one(path, passphrase, kms, args.style, dialect)?;
    let new = master.keyring();
    let master = master.with_description(args.wrapping.description(dialect)?);
    let folder = bulk.state.folder().unwrap_or_else(std::env::temp_dir);
    let warned = Arc::default();
    let origin = args.sealed.origin.key()?;
    let job = Job { args, store, old, new, master, dialect, origin, warned, folder };

    let runtime = runtime()?;
    // Opened before anything is changed.
    let mut report = report(bulk)?;
    if !bulk.prefix && bulk.inventory.is_none() {
        let outcome = runtime.block_on(job.rewrap(object(to)?));
        let told = outcome.as_ref().map(|it| *it).map_err(Cause::of);
        let reported = line(&mut *report, to, &to.key, &told);
        // What became of the object matters more than the report.
        outcome.map_err(|error| Failure::from(error).about(to))?;
        reported?;
        warn_of_old_keys();
        return Ok(());
    }
    let mut tally = Tally::default();
    let outcome = job.all(&runtime, to, &mut *report, &mut tally);
    say(&json!({ "counts": tally.0 }), &format!("{tally}"));
    outcome?;
    warn_of_old_keys();
    if tally.of("gone") > 0 && tally.of("gone") == tally.0.values().sum::<u64>() {
        warn("none of these objects exists; are the keys in the inventory URL-encoded?");
    }
    if tally.of("failed") > 0 {
        return Err(Failure::new(
            Status::Io,
            format_args!("not all objects were rewrapped: {tally}"),
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
    origin: Option<OriginKey>,
    warned: Arc<Warned>,
    /// The folder for copies of objects that are being replaced.
    folder: PathBuf,
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

fn say_event(key: &str, event: Event) {
    match event {
        Event::Kept(path) => say(
            &json!({ "kept": path, "key": key }),
            &format!("{key} is kept in {} until its replacement is verified", path.display()),
        ),
        Event::Waiting { delay, reason } => say_wait(delay, &reason),
        Event::Warning(words) => warn(words),
        _ => {}
    }
}

impl Job<'_> {
    async fn rewrap(&self, key: &str) -> Result<Rewrapped, TransferError> {
        let policy = self.args.require.policy();
        let knowing = |keyring: &Keyring| {
            let mut decryptor = Decryptor::new(keyring).with_policy(policy.clone());
            if let Some(name) = &self.args.sealed.name {
                decryptor = decryptor.with_name(name.as_str());
            }
            if let Some(origin) = &self.origin {
                decryptor = decryptor.with_origin_key(origin.clone());
            }
            decryptor
        };
        let (old, new) = (knowing(&self.old), knowing(&self.new));
        let mut encryptor = self.args.wrapping.encryptor(&self.master, self.dialect);
        if self.args.no_seal {
            encryptor = encryptor.without_seal();
        } else if self.args.seal_body {
            let mut options = SealOptions::new();
            if let Some(origin) = &self.origin {
                options = options.with_origin_key(origin.clone());
            }
            encryptor = encryptor.with_seal(options);
        }
        RewrapObject::new(Arc::clone(&self.store), key)
            .with_reupload(self.args.bulk.reupload)
            .with_seal_body(self.args.seal_body)
            .with_folder(self.folder.clone())
            .with_retry(self.args.bulk.bucket.retry())
            .with_progress({
                let key = key.to_owned();
                move |event| say_event(&key, event)
            })
            .with_new_keys(&new)
            .with_inspector({
                let warned = Arc::clone(&self.warned);
                move |envelope| warn_once(&warned, envelope)
            })
            .run(&old, &encryptor)
            .await
    }

    /// Rewraps all objects of a prefix or an inventory. If this returns `Ok`, none was passed over.
    fn all(
        &self,
        runtime: &Runtime,
        to: &Address,
        report: &mut dyn Write,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let Some(path) = &self.args.bulk.inventory else {
            let mut entries = list_all(Arc::clone(&self.store), to.key.as_str());
            loop {
                let entry = runtime.block_on(entries.try_next());
                match entry.map_err(|error| Failure::from(error).about(to))? {
                    Some(entry) => self.one(runtime, to, &entry.key, report, tally)?,
                    None => return Ok(()),
                }
            }
        };
        let (mut seen, mut rows) = (HashSet::new(), 0_u64);
        for row in inventory(path, &to.location)? {
            rows = rows.saturating_add(1);
            match row? {
                Row::Key(key) => {
                    if !seen.contains(&key) {
                        self.one(runtime, to, &key, report, tally)?;
                        seen.insert(key);
                    }
                }
                Row::Foreign { bucket, key } => {
                    tally.count("failed");
                    let cause = Cause {
                        status: "failed",
                        error: format!("it belongs to another bucket: {bucket}"),
                    };
                    line(report, to, &key, &Err(cause))?;
                }
            }
        }
        if rows == 0 {
            let words =
                format_args!("{}: the inventory names no objects", path.display()).to_string();
            return Err(Failure::usage(words, "check that it is the right file"));
        }
        Ok(())
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
        let mut outcome = outcome.map_err(|error| Cause::of(&error));
        if let Err(cause) = &mut outcome
            && cause.status == "plain"
            && self.args.require.demands_encryption()
        {
            cause.status = "failed";
        }
        tally.count(status(&outcome));
        line(report, to, key, &outcome).map_err(|failure| match &outcome {
            Err(cause) => Failure::new(
                failure.status(),
                format_args!("{key}: {}; {}", cause.error, failure.cause()),
                failure.advice(),
            ),
            Ok(_) => failure,
        })
    }
}

/// Why an object was not rewrapped.
struct Cause {
    /// `plain` and `gone` are no failures.
    status: &'static str,
    error: String,
}

impl Cause {
    fn of(error: &TransferError) -> Self {
        let status = match error {
            error if error.is_not_encrypted() => "plain",
            TransferError::Store(StoreError::NotFound) => "gone",
            _ => "failed",
        };
        let mut words = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_words = cause.to_string();
            if !words.contains(&cause_words) {
                words.push_str(": ");
                words.push_str(&cause_words);
            }
            source = cause.source();
        }
        Self { status, error: words }
    }
}

const fn status(outcome: &Result<Rewrapped, Cause>) -> &'static str {
    match outcome {
        Ok(Rewrapped::Already) => "already",
        Ok(Rewrapped::Reuploaded) => "reuploaded",
        Ok(_) => "rewrapped",
        Err(cause) => cause.status,
    }
}

fn report(bulk: &BulkArgs) -> Result<Box<dyn Write>, Failure> {
    let Some(path) = &bulk.report else { return Ok(Box::new(io::stdout())) };
    let file = File::options().create(true).append(true).open(path);
    Ok(Box::new(file.map_err(|error| Failure::io(path, &error))?))
}

fn line(
    report: &mut dyn Write,
    to: &Address,
    key: &str,
    outcome: &Result<Rewrapped, Cause>,
) -> Result<(), Failure> {
    let object = Address::new(to.location.clone(), key).to_string();
    let mut line = json!({ "object": object, "key": key, "status": status(outcome) });
    if let (Err(cause), Some(line)) = (outcome, line.as_object_mut())
        && cause.status == "failed"
    {
        line.insert("error".to_owned(), cause.error.as_str().into());
    }
    writeln!(report, "{line}").map_err(|error| Failure::io("the report".as_ref(), &error))
}

impl Row {
    /// The row of a key in the bucket `of`, if that is known, for work on the bucket `wanted`.
    fn of(key: &str, of: Option<&str>, wanted: Option<&str>) -> Self {
        match (of, wanted) {
            (Some(of), Some(wanted)) if of != wanted => {
                Self::Foreign { bucket: of.to_owned(), key: key.to_owned() }
            }
            _ => Self::Key(key.to_owned()),
        }
    }
}

/// Returns whether the cell before a cell `key` could be a bucket, so that nobody can tell whether
/// these are names of columns.
fn is_perhaps_bucket(cell: Option<&str>) -> bool {
    const COLUMNS: [&str; 5] = ["bucket", "etag", "id", "name", "size"];
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    cell.is_some_and(|cell| cell.bytes().all(plain) && !COLUMNS.contains(&cell))
}

/// A row of an inventory.
enum Row {
    Key(String),
    /// The object is in another bucket than the one that is worked on.
    Foreign {
        bucket: String,
        key: String,
    },
}

/// Returns an iterator over the rows of an inventory.
fn inventory<'a>(
    path: &'a Path,
    place: &'a Location,
) -> Result<Box<dyn Iterator<Item = Result<Row, Failure>> + 'a>, Failure> {
    let file = File::open(path).map_err(|error| Failure::io(path, &error))?;
    let mut file = BufReader::new(file);
    let start = file.fill_buf().map_err(|error| Failure::io(path, &error))?;
    let bad = |line: usize| {
        Failure::usage(
            format_args!("{}: entry {} is malformed", path.display(), line.saturating_add(1)),
            "use CSV of bucket and key, CSV with a column `key`, or lines of JSON with a `key`",
        )
    };
    let bucket = match place {
        Location::Bucket(_, bucket) => Some(bucket.as_str()),
        _ => None,
    };
    if start.trim_ascii_start().starts_with(b"{") {
        let lines = file
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
        return Ok(Box::new(lines.map(move |(n, line)| {
            let line = line.map_err(|error| Failure::io(path, &error))?;
            let value: Value = serde_json::from_str(&line).map_err(|_| bad(n))?;
            let field = |name: &str, other: &str| {
                value.get(name).or_else(|| value.get(other)).and_then(Value::as_str)
            };
            let of = field("bucket", "Bucket");
            field("key", "Key").map(|key| Row::of(key, of, bucket)).ok_or_else(|| bad(n))
        })));
    }
    let (mut column, mut bucket_column) = (None, None);
    let rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let rows = rows.into_records().enumerate();
    Ok(Box::new(rows.filter_map(move |(n, row)| {
        let Ok(row) = row else { return Some(Err(bad(n))) };
        // The first row has the names of columns, unless it is an object of this bucket already.
        if n == 0 && (bucket.is_none() || bucket != row.get(0)) {
            column = row.iter().position(|name| name.eq_ignore_ascii_case("key"));
            match column {
                Some(1) if is_perhaps_bucket(row.get(0)) => return Some(Err(bad(n))),
                Some(_) => {
                    bucket_column = row.iter().position(|it| it.eq_ignore_ascii_case("bucket"));
                    return None;
                }
                None => {}
            }
        }
        Some(match column {
            Some(at) => {
                let of = bucket_column.and_then(|column| row.get(column));
                row.get(at).map(|key| Row::of(key, of, bucket)).ok_or_else(|| bad(n))
            }
            // The format of the stores: bucket, then URL-encoded key. A COS bucket includes its
            // APPID.
            None => match (row.get(0), row.get(1)) {
                (Some(of), Some(key)) => match envelope_store::decode_key(key) {
                    Some(key) => Ok(Row::of(&key, Some(of), bucket)),
                    None => Err(bad(n)),
                },
                (Some(key), None) => Ok(Row::Key(key.to_owned())),
                _ => Err(bad(n)),
            },
        })
    })))
}
