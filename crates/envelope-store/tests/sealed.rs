//! Sealed objects in buckets: how they get there, what is noticed when they are read, and what
//! becomes of the seal when they are rewrapped.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "support/bucket.rs"]
mod support;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use envelope_core::{
    ContentAlgorithm, DecryptError, Decryptor, Dialect, EmitError, Encryptor, Envelope,
    IntegrityError, Keyring, OriginKey, Policy, RsaKeyWrapper, SealError, SealOptions, parse,
};
use envelope_store::{
    Event, Get, OutputFile, OutputOptions, Put, Rewrap, Rewrapped, Store, TransferError,
    blocking::Runtime,
};
use envelope_testkit::bucket::{Fault, LoopbackBucket};

use support::bucket;

const PART: u64 = 1 << 20;
const DIALECTS: [Dialect; 2] = [Dialect::COS_V2, Dialect::OSS_V2];

struct World {
    server: LoopbackBucket,
    store: Arc<dyn Store>,
    dialect: Dialect,
    key: RsaKeyWrapper,
    folder: tempfile::TempDir,
    runtime: Runtime,
    plain: Vec<u8>,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new(dialect: Dialect) -> Self {
        let server = LoopbackBucket::start();
        let file = std::fs::read(envelope_testkit::folder("keys/private_key.pem")).unwrap();
        let plain: Vec<u8> =
            (0..2 * PART + 12_345).map(|n| (n * n / 251).to_le_bytes()[0]).collect();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plain"), &plain).unwrap();
        Self {
            store: Arc::new(bucket(&server, dialect)),
            server,
            dialect,
            key: RsaKeyWrapper::read(&file, None).unwrap(),
            folder,
            runtime: Runtime::new().unwrap(),
            plain,
            warnings: Arc::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn unsealing(&self) -> Encryptor {
        Encryptor::new(&self.key, self.dialect)
    }

    fn sealing(&self) -> Encryptor {
        self.unsealing().with_seal(SealOptions::new().with_name("key"))
    }

    fn decryptor(&self) -> Decryptor {
        Decryptor::new(&Keyring::new().with(self.key.clone()))
    }

    fn put(&self) -> Put {
        let warnings = Arc::clone(&self.warnings);
        Put::new(self.store.clone(), "key").with_threshold(PART).with_part_size(PART).with_progress(
            move |event| {
                if let Event::Warning(words) = event {
                    warnings.lock().unwrap().push(words);
                }
            },
        )
    }

    fn put_file(&self, put: &Put, encryptor: &Encryptor) -> Result<(), TransferError> {
        self.runtime.block_on(put.file(&self.path("plain"), encryptor, None)).map(|_| ())
    }

    fn put_stream(&self, put: &Put, len: Option<u64>) {
        let encryptor = self.sealing();
        self.runtime.block_on(put.stream(&self.plain[..], len, &encryptor)).unwrap();
    }

    fn get(&self) -> Get {
        Get::new(self.store.clone(), "key").with_part_size(256 << 10)
    }

    fn read(&self, decryptor: &Decryptor) -> Result<Vec<u8>, TransferError> {
        let get = self.get();
        self.runtime.block_on(async { get.decrypt(decryptor).await?.read_to_end().await })
    }

    fn read_twice(&self) -> Result<Vec<u8>, TransferError> {
        let (get, decryptor) = (self.get(), self.decryptor());
        self.runtime.block_on(async { get.decrypt_verified(&decryptor).await?.read_to_end().await })
    }

    fn envelope(&self) -> Envelope {
        let (_, headers) = self.server.object("b-1", "key").unwrap();
        parse(headers).unwrap().unwrap()
    }

    /// Changes the stored object, and nothing that the store says of it.
    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let (body, headers) = self.server.object("b-1", "key").unwrap();
        let mut body = body.to_vec();
        change(&mut body);
        self.server.store_with("b-1", "key", &body, headers);
    }

    /// Runs something, and returns the methods of its requests for the object itself, and not for
    /// its tags or its access.
    fn requests(&self, work: impl FnOnce()) -> Vec<String> {
        let before = self.server.requests().len();
        work();
        let requests = self.server.requests();
        let is_about = |line: &&String| !line.ends_with("?acl") && !line.ends_with("?tagging");
        let own = requests[before..].iter().filter(is_about);
        let methods = own.filter_map(|line| line.split(' ').next());
        methods.map(str::to_owned).collect()
    }
}

fn is_integrity<T>(outcome: Result<T, TransferError>, want: IntegrityError) -> bool {
    matches!(outcome, Err(TransferError::Integrity(error)) if error == want)
}

#[test]
fn a_sealed_file_is_read_in_every_way() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        for threshold in [PART, u64::MAX] {
            world.put_file(&world.put().with_threshold(threshold), &world.sealing()).unwrap();
            let seal = world.envelope().seal().unwrap();
            assert!(seal.is_full() && !seal.terms().adopted && seal.terms().name_bound);
            assert_eq!(seal.terms().body.stated_len(), Some(world.plain.len() as u64));
            let policy = Policy::default().authenticated_only().require_seal();
            let strict = world.decryptor().with_policy(policy);
            assert!(world.read(&strict).unwrap() == world.plain);
            assert!(world.read_twice().unwrap() == world.plain);
            for resumable in [false, true] {
                let options = OutputOptions::new().with_resumable(resumable).with_replace(true);
                let output = OutputFile::create(&world.path("back"), options).unwrap();
                world.runtime.block_on(world.get().to_file(&strict, &output)).unwrap();
                output.commit().unwrap();
                assert!(std::fs::read(world.path("back")).unwrap() == world.plain);
            }
        }
        assert_eq!(world.server.open_uploads(), 0);
        let renamed = world.read(&world.decryptor().with_name("other"));
        let mismatch = DecryptError::Seal(SealError::Mismatch { name_bound: true, origin: false });
        assert!(matches!(renamed, Err(TransferError::Decrypt(error)) if error == mismatch));
    }
}

#[test]
fn a_changed_body_is_noticed_in_every_way() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        for at in [0, 300_000, world.plain.len() - 1] {
            world.put_file(&world.put(), &world.sealing()).unwrap();
            world.change(|body| body[at] ^= 1);
            assert!(is_integrity(world.read(&world.decryptor()), IntegrityError::Seal));
            assert!(is_integrity(world.read_twice(), IntegrityError::Seal));
            for resumable in [false, true] {
                let options = OutputOptions::new().with_resumable(resumable);
                let output = OutputFile::create(&world.path("back"), options).unwrap();
                let got = world.runtime.block_on(world.get().to_file(&world.decryptor(), &output));
                assert!(is_integrity(got, IntegrityError::Seal), "{dialect} {at}");
                drop(output);
                let left = std::fs::read_dir(world.folder.path()).unwrap().count();
                assert_eq!(left, 1, "only the plaintext is left");
            }
            // A range ends as it always did, unless the policy says otherwise.
            let range = "0-9".parse().unwrap();
            let get = world.get();
            let read = |decryptor: Decryptor| {
                let get = &get;
                world.runtime.block_on(async move {
                    get.decrypt_range(&decryptor, range).await?.read_to_end().await
                })
            };
            assert!(read(world.decryptor()).is_ok());
            for policy in [Policy::default().require_seal(), Policy::default().authenticated_only()]
            {
                assert!(read(world.decryptor().with_policy(policy)).is_err());
            }
        }
        world.put_file(&world.put(), &world.sealing()).unwrap();
        world.change(|body| body.truncate(1_000_000));
        let (want, got) = (world.plain.len() as u64, 1_000_000);
        let shorter = IntegrityError::BodyLength { want, got };
        assert!(is_integrity(world.read(&world.decryptor()), shorter));
    }
}

#[test]
fn a_download_that_goes_on_is_verified_as_a_whole() {
    let world = World::new(Dialect::COS_V2);
    world.put_file(&world.put(), &world.sealing()).unwrap();
    let options = || OutputOptions::new().with_resumable(true);
    // The line breaks after some of the ranges.
    let interrupted = |change: bool| {
        let output = OutputFile::create(&world.path("back"), options()).unwrap();
        let get = world.get().with_concurrency(1);
        world.server.fail(4, Fault::Denied);
        let outcome = world.runtime.block_on(get.to_file(&world.decryptor(), &output));
        assert!(outcome.is_err());
        drop(output);
        world.server.heal();
        if change {
            world.change(|body| body[1_900_000] ^= 1);
        }
        let output = OutputFile::create(&world.path("back"), options()).unwrap();
        let outcome = world.runtime.block_on(get.to_file(&world.decryptor(), &output));
        outcome.map(|_| output.commit().unwrap())
    };
    interrupted(false).unwrap();
    assert!(std::fs::read(world.path("back")).unwrap() == world.plain);
    std::fs::remove_file(world.path("back")).unwrap();
    assert!(is_integrity(interrupted(true), IntegrityError::Seal));
    assert!(!world.path("back").exists());
}

#[test]
fn a_stream_is_sealed_as_far_as_it_can_be() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        let len = world.plain.len() as u64;
        for (announced, spool) in [(None, false), (Some(len), false), (None, true)] {
            world.warnings.lock().unwrap().clear();
            world.put_stream(&world.put().with_spool(spool), announced);
            let body = world.envelope().seal().unwrap().terms().body;
            let is_full = spool || dialect == Dialect::OSS_V2;
            assert_eq!(body.digest().is_some(), is_full, "{dialect} {announced:?}");
            assert_eq!(body.stated_len(), if is_full { Some(len) } else { announced });
            assert_eq!(world.warnings.lock().unwrap().len(), usize::from(!is_full));
            assert!(world.read(&world.decryptor()).unwrap() == world.plain);
        }
        // What fits into one request is sealed in any case.
        world.put_stream(&world.put().with_threshold(u64::MAX), None);
        assert!(world.envelope().seal().unwrap().is_full());
    }
    let world = World::new(Dialect::COS_V2);
    world.put_stream(&world.put().with_content(ContentAlgorithm::Aes256Gcm), None);
    let envelope = world.envelope();
    assert!(envelope.seal().is_some_and(|seal| !seal.is_full()));
    assert!(world.warnings.lock().unwrap().is_empty());
    let strict = world.decryptor().with_policy(Policy::default().require_seal());
    assert!(world.read(&strict).unwrap() == world.plain);
}

#[test]
fn cos_rewraps_and_translates_a_seal_without_the_body() {
    let world = World::new(Dialect::COS_V2);
    world.put_file(&world.put(), &world.sealing()).unwrap();
    let new = RsaKeyWrapper::generate(2048).unwrap();
    let strict = Policy::default().authenticated_only().require_seal();
    let mut key = world.key.clone();
    for dialect in [Dialect::COS_V2, Dialect::COS_V1, Dialect::COS_V2] {
        let old = Decryptor::new(&Keyring::new().with(key.clone()));
        let encryptor = Encryptor::new(&new, dialect);
        let methods = world.requests(|| {
            let rewrap = Rewrap::new(world.store.clone(), "key");
            let outcome = world.runtime.block_on(rewrap.run(&old, &encryptor)).unwrap();
            assert_eq!(outcome, Rewrapped::InPlace);
        });
        assert_eq!(methods, ["HEAD", "PUT", "HEAD"], "there is no GET");
        let envelope = world.envelope();
        assert_eq!(envelope.dialect(), dialect);
        assert!(envelope.seal().is_some_and(|seal| seal.is_full() && !seal.terms().adopted));
        let decryptor = Decryptor::new(&Keyring::new().with(new.clone()));
        assert!(world.read(&decryptor.with_policy(strict.clone())).unwrap() == world.plain);
        key = new.clone();
    }
}

#[test]
fn oss_uploads_again_with_one_get_and_seals_the_body() {
    let new = RsaKeyWrapper::generate(2048).unwrap();
    let strict = Policy::default().authenticated_only().require_seal();
    let origin = OriginKey::generate().unwrap();
    let options = SealOptions::new().with_origin_key(origin.clone());
    for (was_sealed, seals) in [(true, false), (false, true), (false, false)] {
        let world = World::new(Dialect::OSS_V2);
        let before = if was_sealed { world.sealing() } else { world.unsealing() };
        world.put_file(&world.put(), &before).unwrap();
        let mut encryptor = Encryptor::new(&new, Dialect::OSS_V2);
        if seals {
            encryptor = encryptor.with_seal(options.clone());
        }
        let methods = world.requests(|| {
            let rewrap = Rewrap::new(world.store.clone(), "key")
                .with_reupload(true)
                .with_folder(world.path("kept"));
            let outcome = world.runtime.block_on(rewrap.run(&world.decryptor(), &encryptor));
            assert_eq!(outcome.unwrap(), Rewrapped::Reuploaded);
        });
        assert_eq!(methods.iter().filter(|method| *method == "GET").count(), 1, "{methods:?}");
        let seal = world.envelope().seal();
        assert_eq!(seal.is_some_and(|seal| seal.is_full()), was_sealed || seals);
        assert_eq!(seal.is_some_and(|seal| seal.terms().adopted), seals);
        assert_eq!(seal.is_some_and(|seal| seal.terms().origin), seals);
        let decryptor = Decryptor::new(&Keyring::new().with(new.clone()));
        let decryptor = decryptor.with_origin_key(origin.clone());
        let read = world.read(&decryptor.with_policy(strict.clone()));
        assert_eq!(read.is_ok_and(|plain| plain == world.plain), was_sealed || seals);
    }
}

#[test]
fn a_changed_body_is_not_uploaded_again() {
    let world = World::new(Dialect::OSS_V2);
    world.put_file(&world.put(), &world.sealing()).unwrap();
    world.change(|body| body[700_000] ^= 1);
    let (before, _) = world.server.object("b-1", "key").unwrap();
    let envelope = world.envelope();
    let new = RsaKeyWrapper::generate(2048).unwrap();
    let encryptor = Encryptor::new(&new, Dialect::OSS_V2);
    let rewrap =
        Rewrap::new(world.store.clone(), "key").with_reupload(true).with_folder(world.path("kept"));
    let outcome = world.runtime.block_on(rewrap.run(&world.decryptor(), &encryptor));
    assert!(is_integrity(outcome, IntegrityError::Seal));
    // Not without a seal, either: nobody would notice any more.
    let encryptor = encryptor.without_seal();
    let outcome = world.runtime.block_on(rewrap.run(&world.decryptor(), &encryptor));
    assert!(is_integrity(outcome, IntegrityError::Seal));
    assert_eq!(world.server.object("b-1", "key").unwrap().0, before);
    assert_eq!(world.envelope(), envelope);
    assert_eq!(std::fs::read_dir(world.path("kept")).unwrap().count(), 0);
}

#[test]
fn the_body_of_an_unsealed_object_is_adopted_on_demand() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        world.put_file(&world.put(), &world.unsealing()).unwrap();
        let encryptor = world.unsealing().with_seal(SealOptions::new());
        let rewrap = || {
            Rewrap::new(world.store.clone(), "key")
                .with_reupload(true)
                .with_folder(world.path("kept"))
                .with_seal_body(true)
        };
        let gets = |world: &World| {
            let methods = world.requests(|| {
                world.runtime.block_on(rewrap().run(&world.decryptor(), &encryptor)).unwrap();
            });
            methods.iter().filter(|method| *method == "GET").count()
        };
        assert_eq!(gets(&world), 1, "{dialect}");
        let seal = world.envelope().seal().unwrap();
        assert!(seal.is_full() && seal.terms().adopted, "{dialect}");
        assert!(world.read(&world.decryptor()).unwrap() == world.plain);
        // It is not read again to be sealed.
        let in_place = usize::from(dialect == Dialect::OSS_V2);
        assert_eq!(gets(&world), in_place, "{dialect}");
        // A seal of the metadata only becomes one of the body, and is adopted, too.
        if dialect == Dialect::COS_V2 {
            world.put_stream(&world.put(), None);
            assert_eq!(gets(&world), 1);
            let seal = world.envelope().seal().unwrap();
            assert!(seal.is_full() && seal.terms().adopted && seal.terms().name_bound);
        }
    }
}

/// Nobody asked for the body to be uploaded again, and there is no other way.
#[test]
fn a_store_that_keeps_metadata_refuses_a_new_seal() {
    let world = World::new(Dialect::OSS_V2);
    world.put_file(&world.put(), &world.unsealing()).unwrap();
    let (before, headers) = world.server.object("b-1", "key").unwrap();
    let encryptor = world.unsealing().with_seal(SealOptions::new());
    let rewrap = Rewrap::new(world.store.clone(), "key").with_seal_body(true);
    let methods = world.requests(|| {
        let outcome = world.runtime.block_on(rewrap.run(&world.decryptor(), &encryptor));
        let refused = matches!(&outcome, Err(TransferError::Store(error))
            if error.forbids_new_metadata());
        assert!(refused, "{outcome:?}");
    });
    assert!(!methods.iter().any(|method| method == "GET"), "the body was read: {methods:?}");
    assert_eq!(world.server.object("b-1", "key").unwrap(), (before, headers));
}

/// A rewrap under the key that the object has already is no reason to pass over a failure.
#[test]
fn what_cannot_be_adopted_is_not_said_to_be_done() {
    let world = World::new(Dialect::COS_V2);
    let put = world.put().with_header("x-cos-meta-note", "x".repeat(1000));
    world.put_file(&put, &world.unsealing()).unwrap();
    let encryptor = world.unsealing().with_seal(SealOptions::new());
    let rewrap = Rewrap::new(world.store.clone(), "key")
        .with_seal_body(true)
        .with_new_keys(&world.decryptor());
    let methods = world.requests(|| {
        let outcome = world.runtime.block_on(rewrap.run(&world.decryptor(), &encryptor));
        let refused = matches!(
            outcome,
            Err(TransferError::Emit(EmitError::HeaderBudget { limit: 2048, .. }))
        );
        assert!(refused, "{outcome:?}");
    });
    assert_eq!(methods, ["HEAD"], "nothing was read or written");
    assert!(world.envelope().seal().is_none());
}

/// A job that is run again with another wish about seals is not done yet.
#[test]
fn an_object_under_the_new_key_is_done_only_with_the_seal_that_is_asked_for() {
    let world = World::new(Dialect::COS_V2);
    world.put_file(&world.put(), &world.unsealing()).unwrap();
    let new = RsaKeyWrapper::generate(2048).unwrap();
    let opened = Decryptor::new(&Keyring::new().with(new.clone()));
    let run = |encryptor: &Encryptor, seal_body: bool| {
        let rewrap = Rewrap::new(world.store.clone(), "key")
            .with_seal_body(seal_body)
            .with_new_keys(&opened);
        world.runtime.block_on(rewrap.run(&world.decryptor(), encryptor)).unwrap()
    };
    let plain = Encryptor::new(&new, Dialect::COS_V2);
    assert_eq!(run(&plain, false), Rewrapped::InPlace);
    assert_eq!(run(&plain, false), Rewrapped::Already);
    let sealing = plain.clone().with_seal(SealOptions::new());
    assert_eq!(run(&sealing, true), Rewrapped::InPlace);
    assert!(world.envelope().seal().is_some_and(|seal| seal.is_full()));
    assert_eq!(run(&sealing, true), Rewrapped::Already);
    let dropping = plain.without_seal();
    assert_eq!(run(&dropping, false), Rewrapped::InPlace);
    assert!(world.envelope().seal().is_none());
    assert_eq!(run(&dropping, false), Rewrapped::Already);
}

/// The limit of COS is for all metadata, not for the envelope alone.
#[test]
fn metadata_that_does_not_fit_is_refused_before_the_upload() {
    let world = World::new(Dialect::COS_V2);
    for (len, fits) in [(896, true), (897, false)] {
        let put = world.put().with_header("x-cos-meta-note", "x".repeat(len));
        let methods = world.requests(|| {
            let outcome = world.put_file(&put, &world.sealing());
            let size = match outcome {
                Ok(()) => None,
                Err(TransferError::Emit(EmitError::HeaderBudget { size, limit: 2048 })) => {
                    Some(size)
                }
                Err(error) => panic!("{error}"),
            };
            assert_eq!(size.is_none(), fits, "{size:?}");
        });
        assert_eq!(methods.is_empty(), !fits, "{methods:?}");
    }
}

#[test]
fn objects_of_every_kind_can_be_read_twice() {
    let world = World::new(Dialect::COS_V2);
    for content in [ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm] {
        let put = world.put().with_content(content);
        world.runtime.block_on(put.stream(&world.plain[..], None, &world.unsealing())).unwrap();
        assert!(world.read_twice().unwrap() == world.plain);
    }
    // Who looks at the envelope sees it once, although the body is read twice.
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let get = world.get().with_inspector(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    world.runtime.block_on(get.decrypt_verified(&world.decryptor())).unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    // Nothing at all, of an empty object.
    let put = world.put();
    world.runtime.block_on(put.stream(&b""[..], None, &world.sealing())).unwrap();
    assert!(world.read_twice().unwrap().is_empty());
}
