//! `envelope audit`: tells which objects could be decrypted, with which key, and how they are
//! protected.

mod findings;
mod page;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use envelope_core::{Decryptor, Keyring, KeyringError, Policy, check_body_len};
use envelope_store::{
    Address, ObjectMeta, Store, TransferError,
    bulk::{BulkEvent, Item, Outcome, Report, describe, listed},
    envelope_of, head_unless_gone, is_instruction_file,
};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use meta_codec::{Deviation, Envelope};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use self::findings::Findings;
use crate::{
    args::Audit,
    failure::Failure,
    input::check_one_stdin,
    key_file::{self, Purpose},
    many::{self, Engine},
    output::{Output, Secrecy},
    protection::Protection,
    store::{folder, runtime},
    weakness::weaknesses,
};

pub(crate) fn run(args: &Audit) -> Result<(), Failure> {
    let keys_read = args.keys.key.iter().map(PathBuf::as_path);
    let kms_passphrase = args.keys.kms.kms_passphrase_file.as_deref();
    let inputs = keys_read.chain(kms_passphrase).chain(args.origin.path());
    check_one_stdin(inputs, &args.keys.passphrase)?;
    let from = folder(&args.from);
    let store = args.bucket.store(&from.location)?;
    let engine = Engine::new(&args.many, args.parallel.requests, 0);
    let work = Arc::new(Work {
        store: engine.store(Arc::clone(&store)),
        keys: keys(args)?,
        policy: args.require.policy(),
    });
    // Before anything is looked at.
    let page = match &args.html {
        Some(path) if !args.many.dry_run => {
            let mut inputs: Vec<&Path> = args.keys.key.iter().map(PathBuf::as_path).collect();
            inputs.extend(
                [args.inventory.as_deref(), args.many.report.as_deref()].into_iter().flatten(),
            );
            inputs.extend(args.origin.path());
            Some(Output::create(path, Secrecy::Public, true, &inputs)?)
        }
        _ => None,
    };
    let findings = Arc::new(Mutex::new(Findings::default()));
    let told = Arc::clone(&findings);
    let engine = engine.with_listener(move |event| {
        if let BulkEvent::Ended { key, outcome, .. } = event {
            lock(&told).add(key, outcome);
        }
    });
    let report = if args.many.dry_run { Report::none() } else { report(args, &from)? };
    let items = match &args.inventory {
        None => many::objects(store, &from, args.patterns.filter()?)
            .map(|item| item.map(|item| item.map_source(|_| None)).map_err(Into::into))
            .boxed(),
        Some(path) => many::inventory(path, &from, args.patterns.filter()?)?,
    };
    // A page is about all objects as they are now.
    let looks_again = page.is_some();
    let again = move |item: Item<_>| if looks_again { item.with_always(true) } else { item };
    let items = items.map(move |item| item.map(again));
    let summary = if args.many.dry_run {
        engine.plan(&runtime()?, items, |item| many::planned(item, "to look at"))?
    } else {
        engine.run(&runtime()?, items, report, move |item| {
            let work = Arc::clone(&work);
            async move { work.outcome(item).await }
        })?
    };
    many::check_any(&summary, &from)?;
    if let Some(mut page) = page.filter(|_| !summary.is_stopped()) {
        page::write(&from.to_string(), &lock(&findings), &mut page)?;
        page.commit()?;
    }
    many::check(&summary, "sound")
}

fn lock(findings: &Mutex<Findings>) -> MutexGuard<'_, Findings> {
    findings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A master key, and what the report calls it.
struct NamedKey {
    name: String,
    decryptor: Decryptor,
}

/// Reads the master keys, each of which is tried alone, so that it is known which one opens what.
fn keys(args: &Audit) -> Result<Vec<NamedKey>, Failure> {
    let passphrase = args.keys.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    let origin = args.origin.key()?;
    let named = |name: String, keyring: &Keyring| {
        // Whether the protection is the one that is required is asked once, not for each key.
        let decryptor = Decryptor::new(keyring).with_policy(Policy::lenient());
        let decryptor = match &origin {
            Some(origin) => decryptor.with_origin_key(origin.clone()),
            None => decryptor,
        };
        NamedKey { name, decryptor }
    };
    let mut keys = Vec::new();
    for path in &args.keys.key {
        let only = std::slice::from_ref(path);
        let purpose = if args.keys.from_profile { Purpose::Profile } else { Purpose::Unwrap };
        let keyring = key_file::keyring(only, passphrase, None, purpose)?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        keys.push(named(name.to_string_lossy().into_owned(), &keyring));
    }
    if let Some(kms) = args.keys.kms.key()? {
        let keyring = key_file::keyring(&[], None, Some(kms), Purpose::Unwrap)?;
        keys.push(named(key_file::describe(None, args.keys.kms.kms.as_ref())?, &keyring));
    }
    Ok(keys)
}

fn report(args: &Audit, from: &Address) -> Result<Report, Failure> {
    let report = match &args.many.report {
        None => many::printed(),
        Some(path) => {
            let keys = args.keys.key.iter().map(|path| key_file::fingerprint(Some(path)));
            let job = json!({ "audit": from.to_string(),
                "keys": keys.collect::<Result<Vec<String>, Failure>>()?,
                "kms": key_file::describe(None, args.keys.kms.kms.as_ref())?,
                "origin": key_file::fingerprint(args.origin.path())?,
                "require": format!("{:?}", args.require) });
            Report::open(path, &job)?
        }
    };
    Ok(report.with_location(format!("{}/", from.location)))
}

/// What is done with each object.
struct Work {
    store: Arc<dyn Store>,
    keys: Vec<NamedKey>,
    policy: Policy,
}

impl Work {
    async fn outcome(self: &Arc<Self>, item: Item<Option<String>>) -> Outcome {
        if let Some(bucket) = item.source {
            return many::of_another_bucket(&bucket, &item.key);
        }
        let meta = match head_unless_gone(&*self.store, &item.key).await {
            Ok(Some(meta)) => meta,
            // Whoever writes it anew may have been about to.
            Ok(None) => return Outcome::new("gone").again(),
            Err(error) => return Outcome::failed(&error),
        };
        let envelope = envelope_of(&*self.store, &item.key, &meta).await;
        let outcome = match envelope {
            Ok(Some(envelope)) => self.encrypted(&item.key, &meta, envelope).await,
            Ok(None) => match is_instruction_file(&*self.store, &item.key).await {
                Ok(true) => Outcome::new("instruction file"),
                Ok(false) => match self.policy.admit(None) {
                    Err(error) if self.demands() => invalid("plain", &error),
                    _ => Outcome::new("plain"),
                },
                Err(error) => Outcome::failed(&error),
            },
            Err(TransferError::Parse(error)) => invalid("invalid", &error),
            Err(error) => Outcome::failed(&error),
        };
        let outcome = outcome.with_detail("stored", meta.len);
        match written(&meta) {
            Some(time) => outcome.with_detail("modified", time),
            None => outcome,
        }
    }

    /// Returns whether more is required than that an object can be decrypted.
    fn demands(&self) -> bool {
        self.policy != Policy::lenient()
    }

    async fn encrypted(
        self: &Arc<Self>,
        key: &str,
        meta: &ObjectMeta,
        envelope: Envelope,
    ) -> Outcome {
        let facts = facts(&envelope);
        let told = |outcome: Outcome| {
            facts
                .iter()
                .fold(outcome, |outcome, (name, value)| outcome.with_detail(name, value.clone()))
        };
        if let Err(error) = check_body_len(&envelope, meta.len) {
            return told(invalid("invalid", &error));
        }
        if let Err(error) = self.policy.admit(Some(&envelope)) {
            return told(invalid("unprotected", &error));
        }
        if self.keys.is_empty() {
            return told(Outcome::new("encrypted"));
        }
        let (own, name, len) = (Arc::clone(self), key.to_owned(), meta.len);
        let plain_len = envelope.content_algorithm().plain_len(len).or(envelope.plain_len());
        let opened = spawn_blocking(move || own.open(&name, &envelope)).await;
        match opened {
            Ok(Ok(Open { key, bits })) => {
                let bytes = plain_len.unwrap_or_default();
                let outcome = Outcome::new("opens").with_bytes(bytes);
                told(outcome).with_detail("opened_by", key).with_detail("content_key_bits", bits)
            }
            Ok(Err(Closed { words, is_known })) => {
                let mut outcome = Outcome::refused(words);
                if is_known {
                    outcome.status = "locked";
                }
                told(outcome)
            }
            Err(error) => Outcome::failed(&error),
        }
    }

    /// Returns the first key that opens an envelope, or why none does.
    fn open(&self, key: &str, envelope: &Envelope) -> Result<Open, Closed> {
        if envelope.deviations().contains(&Deviation::DescriptionUnreadable) && self.keys.len() > 1
        {
            // As for every reader.
            let words = describe(&KeyringError::Unidentified);
            return Err(Closed { words, is_known: true });
        }
        let (mut reasons, mut is_known): (Vec<String>, bool) = (Vec::new(), true);
        for candidate in &self.keys {
            let decryptor = candidate.decryptor.clone().with_name(key);
            match decryptor.decrypt(envelope) {
                Ok(cipher) => {
                    return Ok(Open { key: candidate.name.clone(), bits: cipher.key_bits() });
                }
                Err(error) => {
                    is_known &= !error.is_undecided();
                    let reason = describe(&error);
                    if !reasons.contains(&reason) {
                        reasons.push(reason);
                    }
                }
            }
        }
        Err(Closed { words: reasons.join("; "), is_known })
    }
}

/// What opens an envelope.
struct Open {
    /// The name of the master key.
    key: String,
    /// The length of the content key.
    bits: usize,
}

/// Why no key opens an envelope.
struct Closed {
    words: String,
    /// Whether that is known. A KMS that does not answer leaves it open.
    is_known: bool,
}

/// Returns the outcome of an object that has a fault.
fn invalid(status: &'static str, error: &dyn std::error::Error) -> Outcome {
    let mut outcome = Outcome::failed(error);
    outcome.status = status;
    outcome
}

/// Returns what the metadata says.
fn facts(envelope: &Envelope) -> Vec<(&'static str, Value)> {
    let mut facts: Vec<(&'static str, Value)> = vec![
        ("dialect", envelope.dialect().id().into()),
        ("wrap", envelope.wrap_algorithm().id().into()),
        ("content", envelope.content_algorithm().to_string().into()),
        ("protection", Protection::of(envelope).word().into()),
    ];
    match envelope.description().text() {
        "" | "{}" => {}
        description => facts.push(("description", description.into())),
    }
    let found: Vec<&str> = weaknesses(envelope).iter().map(|weakness| weakness.id).collect();
    facts.push(("weaknesses", found.into()));
    facts
}

/// Returns when an object was written, in RFC 3339.
fn written(meta: &ObjectMeta) -> Option<String> {
    let time = Timestamp::try_from(listed(meta.modified.as_deref()?)?).ok()?;
    Some(time.to_string())
}
