//! `envelope doctor`: checks that everything works, and says what to do.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use envelope_core::{Decryptor, Dialect, Encryptor};
use envelope_store::{
    PutOptions, Store, StoreError, TransferError, blocking::Runtime, bulk::listed, envelope_of,
};
use meta_codec::Vendor;
use serde_json::json;

use crate::{
    args::{Doctor, KmsStyle, Require},
    cleanup,
    failure::{Code, Failure, one_line},
    key_file::{MasterKey, Purpose},
    output::{print_json, print_line},
    store::runtime,
};

/// The most that the clocks may be apart: half of what both services accept.
const SKEW: Duration = Duration::from_secs(450);

/// The findings, which are printed line by line.
struct Findings {
    json: bool,
    failed: u32,
}

impl Findings {
    /// Prints the outcome of a check, and returns whether it was good.
    fn note(&mut self, check: &str, outcome: Result<String, Failure>) -> Result<bool, Failure> {
        let is_good = outcome.is_ok();
        self.failed += u32::from(!is_good);
        match (outcome, self.json) {
            (Ok(words), true) => {
                print_json(&json!({ "check": check, "ok": true, "found": words }))?;
            }
            (Ok(words), false) => {
                print_line(&format_args!("ok      {check}: {}", one_line(&words)))?;
            }
            (Err(failure), true) => print_json(&json!({ "check": check, "ok": false,
                "code": failure.code().word(), "error": failure.cause(),
                "advice": failure.advice() }))?,
            (Err(failure), false) => {
                print_line(&format_args!("FAILED  {check}: {}", one_line(failure.cause())))?;
                print_line(&format_args!("        {}", one_line(failure.advice())))?;
            }
        }
        Ok(is_good)
    }
}

pub(crate) fn run(args: &Doctor) -> Result<(), Failure> {
    let mut findings = Findings { json: args.json, failed: 0 };
    keys(args, &mut findings)?;
    let runtime = runtime()?;
    let store = args.bucket.store(&args.address.location);
    match store {
        Err(failure) => {
            findings.note("access key and region", Err(failure))?;
        }
        Ok(store) => {
            bucket(args, &runtime, &*store, &mut findings)?;
            if !args.address.key.is_empty() && !args.address.key.ends_with('/') {
                let outcome = runtime.block_on(opens(args, &*store));
                let outcome = outcome.map_err(|failure| failure.about(&args.address));
                findings.note("object", outcome)?;
            }
        }
    }
    match findings.failed {
        0 => Ok(()),
        1 => Err(Failure::new(Code::Incomplete, "one check failed", "see the line that says so")),
        n => {
            let words = format_args!("{n} checks failed");
            Err(Failure::new(Code::Incomplete, words, "begin with the first line that says so"))
        }
    }
}

/// The key files and the KMS.
fn keys(args: &Doctor, findings: &mut Findings) -> Result<(), Failure> {
    let passphrase = args.keys.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    for path in &args.keys.key {
        // What others can read is warned about on the way.
        let outcome = MasterKey::read(path, passphrase, Purpose::Unwrap).and_then(|key| {
            let summary = key.summary()?;
            Ok(match key.is_public() {
                true => format!("{}: {summary}; it encrypts only", path.display()),
                false => format!("{}: {summary}", path.display()),
            })
        });
        findings.note("key", outcome)?;
    }
    if let Some(kms) = &args.keys.kms.kms {
        let outcome = match kms.key_id.is_some() {
            true => wraps(args),
            false => args.keys.kms.key().map(|_| "no key ID is named: it is not asked".to_owned()),
        };
        findings.note("KMS", outcome)?;
    }
    if args.keys.key.is_empty() && args.keys.kms.kms.is_none() {
        let failure = Failure::new(
            Code::Key,
            "no master key is named",
            "name one with --key or --kms, or in a profile: see `envelope init`",
        );
        findings.note("key", Err(failure))?;
    }
    Ok(())
}

/// Wraps a content key with the KMS, which unwraps it again.
fn wraps(args: &Doctor) -> Result<String, Failure> {
    let vendor = args.address.location.vendor().unwrap_or(Vendor::DEFAULT);
    let dialect = vendor.default_dialect();
    let kms = args.keys.kms.key()?;
    let master = MasterKey::one(None, None, kms, KmsStyle::default(), dialect)?;
    let object = Encryptor::new(&master.wrapper(), dialect).encrypt()?;
    let decryptor = Decryptor::new(&master.keyring()).with_policy(Require::default().policy());
    decryptor.decrypt(object.envelope())?;
    Ok("it wraps and unwraps a content key".to_owned())
}

/// The region, the access key and what it may do.
fn bucket(
    args: &Doctor,
    runtime: &Runtime,
    store: &dyn Store,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let folder = match args.address.key.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/"),
        None => String::new(),
    };
    let found = runtime.block_on(store.list(&folder, None)).map(|page| {
        let more = if page.next.is_some() { " and more" } else { "" };
        format!("{} objects{more}", page.entries.len())
    });
    findings.note("list", found.map_err(Into::into))?;
    if args.read_only {
        return Ok(());
    }
    // Everything is done before anything is said of it, so that nothing stays if nobody listens.
    cleanup::on_interrupt(|| {});
    for (check, outcome) in runtime.block_on(probe(store, &folder)) {
        findings.note(check, outcome)?;
    }
    Ok(())
}

/// Writes an object, looks at it and deletes it, and begins an upload in parts and aborts it.
async fn probe(store: &dyn Store, folder: &str) -> Vec<(&'static str, Result<String, Failure>)> {
    let mut outcomes = Vec::new();
    let key = format!("{folder}.envelope-doctor-{:016x}", number());
    let (bytes, none) = (Bytes::from_static(b"envelope doctor"), Vec::new());
    let written = store.put(&key, bytes, &none, PutOptions::default()).await;
    let is_written = written.is_ok();
    // Without a clear answer, it may be there.
    let is_refused = matches!(
        written,
        Err(StoreError::Denied(_)
            | StoreError::NoBucket(_)
            | StoreError::Refused(_)
            | StoreError::WrongEndpoint { .. }
            | StoreError::UnknownHost(_))
    );
    outcomes.push(("put", written.map(|_| key.clone()).map_err(Failure::from)));
    if is_written {
        let head = store.head(&key).await;
        let date = head.as_ref().ok().and_then(|meta| listed(meta.header("date")?));
        let head = head.map(|meta| format!("{} bytes", meta.len));
        outcomes.push(("head", head.map_err(Failure::from)));
        outcomes.extend(date.map(|theirs| ("clock", clock(theirs))));
    }
    let begun = async {
        let upload = store.create_multipart(&key, &none, PutOptions::default()).await?;
        store.abort(&upload).await
    };
    let begun = begun.await.map(|()| "begun and aborted".to_owned());
    outcomes.push(("upload in parts", begun.map_err(Failure::from)));
    if !is_refused {
        let deleted = store.delete(&key).await.map(|()| "the probe is gone".to_owned());
        outcomes.push(("delete", deleted.map_err(|error| Failure::from(error).about(&key))));
    }
    outcomes
}

/// Compares the time in an answer of the store with this machine's.
fn clock(theirs: SystemTime) -> Result<String, Failure> {
    let ours = SystemTime::now();
    let apart = ours.duration_since(theirs).or_else(|_| theirs.duration_since(ours));
    let apart = apart.unwrap_or_default();
    let words = format!("{} seconds from the store's", apart.as_secs());
    match apart > SKEW {
        false => Ok(words),
        true => Err(Failure::new(
            Code::ClockSkew,
            format_args!("this machine's clock is {words}"),
            "set the clock, such as with NTP; the services refuse what is 15 minutes off",
        )),
    }
}

/// Opens the object's envelope with the keys.
async fn opens(args: &Doctor, store: &dyn Store) -> Result<String, Failure> {
    let key = &args.address.key;
    let envelope = async {
        let meta = store.head(key).await?;
        envelope_of(store, key, &meta).await
    };
    let envelope = envelope.await.map_err(|error: TransferError| Failure::from(error))?;
    let Some(envelope) = envelope else {
        return Err(envelope_core::PolicyError::NotEncrypted.into());
    };
    let decryptor = Decryptor::new(&args.keys.keyring()?)
        .with_policy(Require::default().policy())
        .with_name(key.clone());
    let dialect: Dialect = envelope.dialect();
    tokio::task::block_in_place(|| decryptor.decrypt(&envelope).map(|_| ()))?;
    Ok(format!("{dialect}; the key opens it"))
}

/// Returns a number that no other probe has.
fn number() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}
