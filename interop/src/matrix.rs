//! The run: every writer writes, then every reader reads what was written.

mod given;
mod read;
mod write;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread,
};

use envelope_testkit::{bucket::LoopbackBucket, folder, kms::LoopbackKms};
use meta_codec::{ContentAlgorithm, Envelope as Metadata, Vendor};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    case::{self, Shape},
    driver::{Build, Driver},
    envelope::{self, Envelope},
    key_file,
    outcome::Outcome,
    results::{Object, Results},
};

/// The SDKs that run at once. Each is a process of its own.
const AT_ONCE: usize = 3;
/// The ranges that every reader is asked for.
/// Everything that a run needs.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) builds: Vec<Build>,
    /// The command `envelope`.
    pub(crate) program: PathBuf,
}

/// A program that writes or reads.
enum Participant {
    Sdk(Driver),
    Envelope(Envelope),
}

impl Participant {
    fn ask(&mut self, request: &Value) -> Result<Outcome, String> {
        match self {
            Self::Sdk(driver) => driver.ask(request),
            Self::Envelope(envelope) => envelope.ask(request),
        }
    }
}

/// An object in the store.
struct Written {
    writer: String,
    case: String,
    key: String,
    plain_sha256: String,
    /// The length, if the plaintext is a part of [`data`].
    len: Option<usize>,
    envelope: Metadata,
    /// The reader's master key.
    master: Value,
    content: &'static str,
    storage: &'static str,
    /// The writer damaged it, so that whatever is read is wrong, by chance here or there.
    is_damaged: bool,
}

/// The servers and files of one vendor's part of the run.
struct Run<'a> {
    setup: &'a Setup,
    vendor: Vendor,
    bucket: LoopbackBucket,
    kms: LoopbackKms,
    folder: PathBuf,
    other_key: [PathBuf; 2],
    aes_key: PathBuf,
    results: Mutex<Results>,
    /// What `meta-codec` says wrongly about readers.
    mistakes: Mutex<Vec<String>>,
    data: &'a [u8],
}

/// Runs everything. Returns the results, and what `meta-codec`'s table of readers says wrongly.
pub(crate) fn run(setup: &Setup) -> Result<(Results, Vec<String>), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let other_key = envelope::other_key(&setup.program, &folder.path().join("other"))?;
    let aes_key = key_file::aes(&shared_key("aes-256.key"), folder.path(), "master")?;
    let (mut all, mut all_mistakes, data) = (Results::default(), Vec::new(), data(case::LONG));
    for vendor in Vendor::ALL {
        let run = Run {
            setup,
            vendor,
            bucket: LoopbackBucket::start(),
            kms: LoopbackKms::start(),
            folder: folder.path().join(vendor.id()),
            other_key: other_key.clone(),
            aes_key: aes_key.clone(),
            results: Mutex::default(),
            mistakes: Mutex::default(),
            data: &data,
        };
        fs::create_dir_all(&run.folder).map_err(|error| error.to_string())?;
        if vendor == Vendor::Cos {
            // COS Java sends an empty map where COS Go sends no context.
            run.kms.tell_empty_contexts_apart();
        }
        let written = run.write()?;
        run.read(&written)?;
        let mistakes = run.mistakes.into_inner().unwrap_or_else(PoisonError::into_inner);
        all_mistakes.extend(mistakes);
        // Those that are not SDKs write for both vendors.
        for (writer, objects) in run.results.into_inner().unwrap_or_else(PoisonError::into_inner).0
        {
            all.0.entry(writer).or_default().extend(objects);
        }
    }
    Ok((all, all_mistakes))
}

impl Run<'_> {
    /// Returns the bucket's name. COS's names end with the number of an account.
    const fn bucket_name(&self) -> &'static str {
        match self.vendor {
            Vendor::Oss => "bkt",
            Vendor::Cos => "bkt-1250000000",
        }
    }

    fn builds(&self) -> impl Iterator<Item = &Build> {
        let vendor = self.vendor.id();
        self.setup
            .builds
            .iter()
            .filter(move |build| build.vendor == vendor && build.skipped.is_none())
    }

    fn envelope(&self) -> Envelope {
        Envelope {
            program: self.setup.program.clone(),
            state: self.folder.join("state"),
            vendor: self.vendor,
        }
    }

    /// Returns the participants, by name.
    fn participants(&self) -> Vec<(String, Participant)> {
        let envelope = self.envelope();
        let sdks =
            self.builds().map(|build| (build.name(), Participant::Sdk(Driver::new(build.clone()))));
        sdks.chain([(envelope::NAME.to_owned(), Participant::Envelope(envelope))]).collect()
    }

    /// Returns a plaintext.
    fn plain(&self, len: usize) -> &[u8] {
        self.data.get(..len).unwrap_or_default()
    }

    fn request(&self, what: &str, key: &str) -> Map<String, Value> {
        let request = json!({ "do": what, "endpoint": self.bucket.url(), "kms": self.kms.url(),
            "bucket": self.bucket_name(), "key": key });
        request.as_object().cloned().unwrap_or_default()
    }

    /// Returns a master key that opens the objects, as the protocol describes it.
    fn master(&self, wrap: &str, shape: Shape) -> Value {
        let mut master = match wrap.split('-').next() {
            Some("rsa") => json!({ "wrap": wrap, "private_key": shared_key("private_key.pem"),
                "public_key": shared_key("public_key.pem") }),
            Some("aes") => json!({ "wrap": wrap, "key": self.aes_key }),
            _ => json!({ "wrap": wrap, "key_id": "key-1" }),
        };
        if let (Some((name, value)), Some(master)) = (shape.description(), master.as_object_mut()) {
            master.insert("description".to_owned(), json!({ name: value }));
        }
        master
    }

    /// Parses the envelope of an object in the store.
    fn metadata(&self, key: &str) -> Option<Metadata> {
        let (_, headers) = self.bucket.object(self.bucket_name(), key)?;
        let file = self.bucket.object(self.bucket_name(), &format!("{key}.instruction"));
        match file {
            Some((text, _)) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                meta_codec::parse_instruction(headers, &text).ok()
            }
            None => meta_codec::parse(headers).ok().flatten(),
        }
    }

    fn record(&self, writer: &str, case: &str, change: impl FnOnce(&mut Object)) {
        let mut results = lock(&self.results);
        let object = results.0.entry(writer.to_owned()).or_default().entry(case.to_owned());
        change(object.or_insert_with(|| Object {
            written: Outcome::Works,
            says: String::new(),
            readers: BTreeMap::new(),
        }));
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, String> {
        let path = self.folder.join(name);
        if fs::metadata(&path).is_ok_and(|file| file.len() == bytes.len() as u64) {
            return Ok(path);
        }
        // Written under another name first: another thread may be about to use it.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(|e| e.to_string())?;
        std::io::Write::write_all(&mut file, bytes).map_err(|error| error.to_string())?;
        file.persist(&path).map_err(|error| error.to_string())?;
        Ok(path)
    }
}

/// Returns the path of a key of the fixtures.
fn shared_key(name: &str) -> PathBuf {
    folder("keys").join(name)
}

/// Returns what metadata say about the algorithms.
fn says(metadata: &Metadata) -> String {
    let wrap = metadata.wrap_algorithm().id();
    format!("{} {wrap} {}", metadata.dialect().id(), content(metadata.content_algorithm()))
}

/// Returns the word of the protocol for a content algorithm.
const fn content(algorithm: ContentAlgorithm) -> &'static str {
    match algorithm {
        ContentAlgorithm::Aes256Gcm => "gcm",
        ContentAlgorithm::Aes256Cbc => "cbc",
        _ => "ctr",
    }
}

/// Bytes in which no block is like another. Every plaintext is the beginning of them; recorded ones
/// also are, where `fixtures/make/record.py` made them.
fn data(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        (0..=len / 32).flat_map(|number| Sha256::digest(number.to_string())).collect();
    bytes.truncate(len);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a function for every task, with a few threads.
fn at_once<T: Send>(
    tasks: Vec<T>,
    work: impl Fn(T) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let tasks = Mutex::new(tasks);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(task) = lock(&tasks).pop() else { break };
                    if let Err(words) = work(task) {
                        lock(&failures).push(words);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
