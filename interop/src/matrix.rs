//! The run: every writer writes, then every reader reads what was written.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use envelope_core::RsaKeyWrapper;
use envelope_testkit::{bucket::LoopbackBucket, folder, kms::LoopbackKms};
use meta_codec::{ContentAlgorithm, Envelope as Metadata, Vendor, WrapAlgorithm};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    case::{self, Case, PART_SIZE, Shape},
    crafted,
    driver::{Build, Driver},
    envelope::{self, Envelope},
    key_file,
    outcome::Outcome,
    recorded,
    results::{Object, Results},
    table,
};

/// The SDKs that run at once. Each is a process of its own.
const AT_ONCE: usize = 3;
/// The ranges that every reader is asked for.
const RANGES: [&str; 3] = ["100-199", "17-", "-16"];

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

    /// Lets everybody write.
    fn write(&self) -> Result<Vec<Written>, String> {
        let tasks: Vec<_> = self.participants().into_iter().enumerate().collect();
        let written = Mutex::new(self.given()?);
        at_once(tasks, |(number, (name, mut participant))| {
            let cases = match &participant {
                Participant::Sdk(_) => case::of_sdks(self.vendor),
                Participant::Envelope(_) => case::of_envelope(self.vendor),
            };
            for (index, case) in cases.iter().enumerate() {
                let key = format!("w{number}-{index}");
                if let Some(object) = self.write_one(&name, &mut participant, case, &key)? {
                    lock(&written).push(object);
                }
            }
            if name.starts_with("hadoop-cos") {
                self.copy_tree(&name, &mut participant)?;
            }
            Ok(())
        })?;
        let mut written = written.into_inner().unwrap_or_else(PoisonError::into_inner);
        written.sort_by(|a, b| (&a.writer, &a.case).cmp(&(&b.writer, &b.case)));
        Ok(written)
    }

    fn write_one(
        &self,
        writer: &str,
        participant: &mut Participant,
        case: &Case,
        key: &str,
    ) -> Result<Option<Written>, String> {
        let plain = self.plain(case.len());
        let file = self.file(&format!("plain-{}", case.len()), plain)?;
        let mut request = self.request("write", key);
        request.insert("file".to_owned(), json!(file));
        request.insert("how".to_owned(), json!(case.how));
        request.insert("part_size".to_owned(), json!(PART_SIZE));
        request.insert("content".to_owned(), json!(case.content));
        request.insert("storage".to_owned(), json!(case.storage));
        request.insert("master".to_owned(), self.master(case.wrap, case.shape));
        if let Some(dialect) = case.dialect {
            request.insert("dialect".to_owned(), json!(dialect));
        }
        if case.shape == Shape::KeyCheck {
            request.insert("key_check".to_owned(), json!(true));
        }
        let mut outcome = participant.ask(&Value::Object(request))?;
        let metadata = self.metadata(key);
        if outcome == Outcome::Works && metadata.is_none() {
            // Uploaded, but without an envelope, or with one that nobody can parse.
            outcome = Outcome::Wrong;
        }
        let says = metadata.as_ref().map(says).unwrap_or_default();
        let works = outcome == Outcome::Works;
        self.record(writer, &case.name(), |object| {
            object.written = outcome;
            object.says = says;
        });
        let Some(envelope) = metadata.filter(|_| works) else { return Ok(None) };
        let wrap = match envelope.wrap_algorithm() {
            WrapAlgorithm::RsaOaepSha1 if self.vendor == Vendor::Oss => "rsa-oaep",
            _ => case.wrap.split('-').next().unwrap_or_default(),
        };
        let mut written = Written {
            writer: writer.to_owned(),
            case: case.name(),
            key: key.to_owned(),
            plain_sha256: hex(&Sha256::digest(plain)),
            len: Some(plain.len()),
            envelope,
            master: self.master(wrap, case.shape),
            content: case.content,
            storage: case.storage,
            is_damaged: false,
        };
        let mut reader = Participant::Envelope(self.envelope());
        let out = self.folder.join(format!("check-{}", key.replace('/', "-")));
        written.is_damaged = self.read_one(&mut reader, &written, "whole", &out)? != Outcome::Works;
        Ok(Some(written))
    }

    /// Lets Hadoop's DistCp copy a small tree, and sees whether the copies have their names.
    fn copy_tree(&self, writer: &str, participant: &mut Participant) -> Result<(), String> {
        let case = Case::new("rsa", "gcm", "put");
        for name in ["one", "sub/two"] {
            let written = self.write_one("", participant, &case, &format!("tree/{name}"))?;
            written.ok_or_else(|| format!("{writer} did not write tree/{name}"))?;
        }
        lock(&self.results).0.remove("");
        let mut request = self.request("distcp", "");
        request.insert("from".to_owned(), json!("tree/"));
        request.insert("to".to_owned(), json!("copies/"));
        request.insert("master".to_owned(), self.master("rsa", Shape::Plain));
        let mut outcome = participant.ask(&Value::Object(request))?;
        let is_there = |name| self.bucket.object(self.bucket_name(), name).is_some();
        if outcome == Outcome::Works && !["copies/one", "copies/sub/two"].into_iter().all(is_there)
        {
            outcome = Outcome::Wrong;
        }
        self.record(writer, "rsa gcm distcp", |object| object.written = outcome);
        Ok(())
    }

    /// Stores the objects that nobody writes now: those with a chosen IV, and recorded ones.
    fn given(&self) -> Result<Vec<Written>, String> {
        let mut all = Vec::new();
        let plain = self.plain(case::SHORT);
        let key = fs::read(shared_key("private_key.pem")).map_err(|error| error.to_string())?;
        let key = RsaKeyWrapper::read(&key, None).map_err(|error| error.to_string())?;
        for (index, object) in crafted::objects(self.vendor, &key, plain)?.into_iter().enumerate() {
            let key = format!("crafted-{index}");
            self.bucket.store_with(self.bucket_name(), &key, &object.body, object.headers);
            let sha256 = hex(&Sha256::digest(plain));
            all.push(self.stored(crafted::NAME, object.name, key, sha256, plain.len())?);
        }
        for (index, object) in recorded::objects(self.vendor, &self.kms)?.into_iter().enumerate() {
            let key = format!("recorded-{index}");
            let bucket = self.bucket_name();
            self.bucket.store_with(bucket, &key, &object.body, object.headers);
            if let Some(text) = object.instruction {
                let file = format!("{key}.instruction");
                let headers = vec![("x-cos-meta-crypto-instr-file".to_owned(), String::new())];
                self.bucket.store_with(bucket, &file, text.as_bytes(), headers);
            }
            let (name, sha256) = (object.name, object.plain_sha256);
            let mut written = self.stored(recorded::NAME, name, key, sha256, object.plain_len)?;
            if let (Some(path), Some(master)) = (&object.key, written.master.as_object_mut()) {
                if master.contains_key("key") {
                    let path = key_file::aes(path, &self.folder, &written.key)?;
                    master.insert("key".to_owned(), json!(path));
                } else {
                    let [private, public] = key_file::rsa_pair(path, &self.folder, &written.key)?;
                    master.insert("private_key".to_owned(), json!(private));
                    master.insert("public_key".to_owned(), json!(public));
                }
            }
            all.push(written);
        }
        Ok(all)
    }

    /// Describes an object that is in the store.
    fn stored(
        &self,
        writer: &str,
        case: String,
        key: String,
        plain_sha256: String,
        len: usize,
    ) -> Result<Written, String> {
        let metadata =
            self.metadata(&key).ok_or_else(|| format!("{writer} {case}: no metadata"))?;
        let wrap = match metadata.wrap_algorithm() {
            WrapAlgorithm::RsaOaepSha1 if self.vendor == Vendor::Oss => "rsa-oaep",
            algorithm if algorithm.id().starts_with("rsa") => "rsa",
            algorithm if algorithm.id().starts_with("kms") => "kms",
            _ => "aes",
        };
        let content = content(metadata.content_algorithm());
        let in_file = metadata.dialect().id() == "cos-instruction";
        let mut master = self.master(wrap, Shape::Plain);
        let description: Map<String, Value> = metadata
            .description()
            .map()
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        if !description.is_empty()
            && let Some(master) = master.as_object_mut()
        {
            master.insert("description".to_owned(), Value::Object(description));
        }
        let says = says(&metadata);
        self.record(writer, &case, |object| object.says.clone_from(&says));
        let is_ours = hex(&Sha256::digest(self.plain(len))) == plain_sha256;
        Ok(Written {
            writer: writer.to_owned(),
            case,
            key,
            plain_sha256,
            len: is_ours.then_some(len),
            envelope: metadata,
            master,
            content,
            storage: if in_file { "instruction" } else { "header" },
            is_damaged: false,
        })
    }

    /// Lets everybody read.
    fn read(&self, written: &[Written]) -> Result<(), String> {
        let tasks: Vec<_> = self.participants().into_iter().enumerate().collect();
        at_once(tasks, |(number, (reader, mut participant))| {
            let (out, begun) = (self.folder.join(format!("out-{number}")), Instant::now());
            for object in written {
                let mut reads = BTreeMap::new();
                for kind in kinds(object) {
                    let outcome = self.read_one(&mut participant, object, kind, &out)?;
                    reads.insert(kind.to_owned(), outcome);
                }
                let row = self.builds().find(|build| build.name() == reader);
                let row = row.and_then(|build| table::reader(&build.sdk, &build.version));
                if let Some(row) = row.filter(|_| !object.is_damaged) {
                    let is_empty = object.len == Some(0);
                    let mistake =
                        table::mistake(row, &object.envelope, &object.case, is_empty, &reads);
                    lock(&self.mistakes).extend(mistake);
                }
                self.record(&object.writer, &object.case, |it| {
                    it.readers.insert(reader.clone(), reads);
                });
            }
            eprintln!("{reader}: {} objects read in {:.0?}", written.len(), begun.elapsed());
            Ok(())
        })
    }

    fn read_one(
        &self,
        participant: &mut Participant,
        object: &Written,
        kind: &str,
        out: &Path,
    ) -> Result<Outcome, String> {
        let _ = fs::remove_file(out);
        let mut request = self.request("read", &object.key);
        request.insert("out".to_owned(), json!(out));
        request.insert("content".to_owned(), json!(object.content));
        request.insert("storage".to_owned(), json!(object.storage));
        let (mut main, mut others) = (object.master.clone(), Vec::new());
        match kind {
            "whole" => {}
            "keys" => {
                let [private, public] = &self.other_key;
                let description = json!({ "team": "other" });
                let other = json!({ "wrap": "rsa", "private_key": private, "public_key": public,
                    "description": description });
                others.push(std::mem::replace(&mut main, other));
            }
            range => {
                request.insert("range".to_owned(), json!(range));
            }
        }
        request.insert("master".to_owned(), main);
        request.insert("others".to_owned(), json!(others));
        let outcome = participant.ask(&Value::Object(request))?;
        if outcome != Outcome::Works {
            return Ok(outcome);
        }
        let bytes = fs::read(out).unwrap_or_default();
        Ok(if self.is_right(object, kind, &bytes) { Outcome::Works } else { Outcome::Wrong })
    }

    /// Returns whether bytes that were read are the right ones.
    fn is_right(&self, object: &Written, kind: &str, bytes: &[u8]) -> bool {
        if !RANGES.contains(&kind) {
            return hex(&Sha256::digest(bytes)) == object.plain_sha256;
        }
        let plain = object.len.map(|len| self.plain(len)).unwrap_or_default();
        let wanted = match kind {
            "100-199" => plain.get(100..200),
            "17-" => plain.get(17..),
            _ => plain.get(plain.len().saturating_sub(16)..),
        };
        wanted == Some(bytes)
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

/// Returns the ways in which an object is read.
fn kinds(object: &Written) -> Vec<&'static str> {
    let mut kinds = vec!["whole"];
    if object.is_damaged {
        return kinds;
    }
    if object.len.is_some_and(|len| len >= case::SHORT) {
        kinds.extend(RANGES);
    }
    let has_description = object.master.get("description").is_some();
    if has_description && object.master.get("wrap") == Some(&json!("rsa")) {
        kinds.push("keys");
    }
    kinds
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
