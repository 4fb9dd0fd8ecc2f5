//! Injects a fault into each request in turn: the object must be absent or correct afterwards, and
//! no upload may be left open.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail loudly")]

use std::{path::Path, sync::Arc, time::Duration};

use envelope_core::{AesKeyWrapper, Decryptor, Encryptor, Keyring, RsaKeyWrapper};
use envelope_store::{
    Bucket, Credentials, Get, GetOptions, Put, RetryPolicy, Rewrap, Signature, Store, StoreError,
    TransferError, UploadResult, blocking::Runtime,
};
use envelope_testkit::bucket::{ACCESS_KEY, Fault, LoopbackBucket, SECRET};
use meta_codec::Dialect;

const RETRY: RetryPolicy =
    RetryPolicy::ONCE.with_attempts(3).with_initial_backoff(Duration::from_millis(2));
const PART: u64 = 1 << 20;
const FAULTS: [Fault; 9] = [
    Fault::Error,
    Fault::ErrorAfter,
    Fault::Cut,
    Fault::CutAfter,
    Fault::CutBody,
    Fault::Slow(30),
    Fault::WrongChecksum,
    Fault::LoseMetadata,
    Fault::ChangeByte,
];

struct World {
    server: LoopbackBucket,
    store: Arc<dyn Store>,
    dialect: Dialect,
    keyring: Keyring,
    wrapper: RsaKeyWrapper,
    folder: tempfile::TempDir,
    runtime: Runtime,
    plain: Vec<u8>,
}

impl World {
    fn new(dialect: Dialect) -> Self {
        let server = LoopbackBucket::start();
        let endpoint = server.url().parse().unwrap();
        let credentials = Credentials::new(ACCESS_KEY, SECRET);
        let store = if dialect == Dialect::COS_V2 {
            Bucket::cos("b-1", endpoint, credentials)
        } else {
            Bucket::oss("b-1", "cn-x", endpoint, credentials, Signature::V4)
        };
        let key = |name: &str| std::fs::read(envelope_testkit::folder("keys").join(name)).unwrap();
        let private = RsaKeyWrapper::read(&key("private_key.pem"), None).unwrap();
        let wrapper = RsaKeyWrapper::read(&key("public_key.pem"), None).unwrap();
        let plain: Vec<u8> =
            (0..4 * PART + 12_345).map(|n| (n * n / 251).to_le_bytes()[0]).collect();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plain"), &plain).unwrap();
        Self {
            server,
            store: Arc::new(store.unwrap().with_retry(RETRY)),
            dialect,
            keyring: Keyring::new().with(private),
            wrapper,
            folder,
            runtime: Runtime::new().unwrap(),
            plain,
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("plain")
    }

    fn upload(&self, journal: Option<&Path>) -> Result<UploadResult, TransferError> {
        let encryptor = Encryptor::new(&self.wrapper, self.dialect).with_key_check();
        let decryptor = Decryptor::new(&self.keyring);
        let mut put = Put::new(self.store.clone(), "key")
            .with_threshold(PART)
            .with_part_size(PART)
            .with_retry(RETRY);
        if let Some(journal) = journal {
            put = put.with_journal(journal);
        }
        self.runtime.block_on(put.file(&self.path(), &encryptor, Some(&decryptor)))
    }

    fn download(&self) -> Result<Vec<u8>, TransferError> {
        let decryptor = Decryptor::new(&self.keyring);
        let get = Get::new(self.store.clone(), "key").with_retry(RETRY);
        self.runtime.block_on(async { get.decrypt(&decryptor).await?.read_to_end().await })
    }

    /// Asserts that the object is correct or, unless it was uploaded, absent.
    fn check(&self, uploaded: bool, what: &str) {
        self.server.heal();
        match self.download() {
            Ok(plain) => assert!(plain == self.plain, "{what}: wrong"),
            Err(TransferError::Store(StoreError::NotFound)) => assert!(!uploaded, "{what}: absent"),
            Err(error) => panic!("{what}: {error}"),
        }
    }

    fn delete(&self) {
        self.runtime.block_on(self.store.delete("key")).unwrap();
    }

    /// Returns the number of requests that `work` makes without faults.
    fn requests(&self, work: impl Fn()) -> usize {
        let before = self.server.requests().len();
        work();
        self.server.requests().len() - before
    }
}

#[test]
fn an_upload_of_five_parts() {
    for dialect in [Dialect::OSS_V2, Dialect::COS_V2] {
        let world = World::new(dialect);
        let count = world.requests(|| assert_eq!(world.upload(None).unwrap().parts, 5));
        assert_eq!(count, 8, "{:?}", world.server.requests());
        for fault in FAULTS {
            for n in 0..count {
                let what = format!("{dialect} {fault:?} at {n}");
                world.delete();
                world.server.fail(n, fault);
                let outcome = world.upload(None);
                world.check(outcome.is_ok(), &what);
                assert_eq!(world.server.open_uploads(), 0, "{what}");
            }
        }
    }
}

#[test]
fn an_upload_that_goes_on() {
    for dialect in [Dialect::OSS_V2, Dialect::COS_V2] {
        let world = World::new(dialect);
        let journal = world.folder.path().join("journal");
        // The server is unavailable from the nth request on, and then recovers.
        for n in 0..8 {
            let what = format!("{dialect} away from {n}");
            world.delete();
            for later in n..n + 60 {
                world.server.fail(later, Fault::Error);
            }
            world.upload(Some(&journal)).unwrap_err();
            world.server.heal();
            let arrived = world.server.arrived();
            let before = world.server.requests().len();
            world.upload(Some(&journal)).unwrap();
            world.check(true, &what);
            assert_eq!(world.server.open_uploads(), 0, "{what}");
            assert!(!journal.exists(), "{what}");
            for number in arrived {
                let name = format!("partNumber={number}&");
                let again = world.server.requests().split_off(before);
                assert!(!again.iter().any(|request| request.contains(&name)), "{what}: {name}");
            }
        }
    }
}

#[test]
fn a_changed_file_does_not_go_on() {
    let world = World::new(Dialect::OSS_V2);
    let journal = world.folder.path().join("journal");
    for later in 4..60 {
        world.server.fail(later, Fault::Error);
    }
    world.upload(Some(&journal)).unwrap_err();
    world.server.heal();
    // One byte changes but the modification time does not: resuming would encrypt different bytes
    // with the same keystream.
    let file = std::fs::File::options().write(true).open(world.path()).unwrap();
    let times =
        std::fs::FileTimes::new().set_modified(file.metadata().unwrap().modified().unwrap());
    std::os::unix::fs::FileExt::write_all_at(&file, b"!", 4 * PART).unwrap();
    file.set_times(times).unwrap();
    assert!(matches!(world.upload(Some(&journal)), Err(TransferError::SourceChanged)));
    assert!(world.server.object("b-1", "key").is_none());
}

#[test]
fn a_lost_upload_begins_anew_with_another_key() {
    let world = World::new(Dialect::COS_V2);
    let journal = world.folder.path().join("journal");
    for later in 4..60 {
        world.server.fail(later, Fault::Error);
    }
    world.upload(Some(&journal)).unwrap_err();
    world.server.heal();
    let old = std::fs::read_to_string(&journal).unwrap();
    for upload in world.runtime.block_on(world.store.list_multipart_uploads("key")).unwrap() {
        world.runtime.block_on(world.store.abort(&upload)).unwrap();
    }
    world.upload(Some(&journal)).unwrap();
    world.check(true, "begun anew");
    let (_, headers) = world.server.object("b-1", "key").unwrap();
    let key = headers.iter().find(|(name, _)| name.ends_with("-encryption-key")).unwrap();
    assert!(!old.contains(&key.1), "the same content key");
}

#[test]
fn without_the_private_key_it_begins_anew() {
    let world = World::new(Dialect::OSS_V2);
    let journal = world.folder.path().join("journal");
    for later in 4..60 {
        world.server.fail(later, Fault::Error);
    }
    world.upload(Some(&journal)).unwrap_err();
    world.server.heal();
    let encryptor = Encryptor::new(&world.wrapper, world.dialect);
    let put = Put::new(world.store.clone(), "key")
        .with_threshold(PART)
        .with_part_size(PART)
        .with_journal(&journal);
    world.runtime.block_on(put.file(&world.path(), &encryptor, None)).unwrap();
    world.check(true, "begun anew");
    assert_eq!(world.server.open_uploads(), 0);
}

#[test]
fn a_stream() {
    for dialect in [Dialect::OSS_V2, Dialect::COS_V2] {
        let world = World::new(dialect);
        let encryptor = Encryptor::new(&world.wrapper, dialect);
        let put = Put::new(world.store.clone(), "key")
            .with_threshold(PART)
            .with_part_size(PART)
            .with_retry(RETRY);
        for n in 0..8 {
            for fault in FAULTS {
                let what = format!("{dialect} stream {fault:?} at {n}");
                world.delete();
                world.server.fail(n, fault);
                let outcome =
                    world.runtime.block_on(put.stream(&world.plain[..], None, &encryptor));
                world.check(outcome.is_ok(), &what);
                assert_eq!(world.server.open_uploads(), 0, "{what}");
            }
        }
    }
}

#[test]
fn one_request() {
    let world = World::new(Dialect::OSS_V2);
    let encryptor = Encryptor::new(&world.wrapper, world.dialect);
    let put = Put::new(world.store.clone(), "key").with_threshold(u64::MAX);
    for n in 0..2 {
        for fault in FAULTS {
            let what = format!("{fault:?} at {n}");
            world.delete();
            world.server.fail(n, fault);
            let outcome = world.runtime.block_on(put.file(&world.path(), &encryptor, None));
            world.check(outcome.is_ok(), &what);
        }
    }
}

#[test]
fn a_download() {
    for dialect in [Dialect::OSS_V2, Dialect::COS_V2] {
        let world = World::new(dialect);
        world.upload(None).unwrap();
        let decryptor = Decryptor::new(&world.keyring);
        let get = Get::new(world.store.clone(), "key").with_part_size(PART).with_retry(RETRY);
        let (out, journal) = (world.folder.path().join("out"), world.folder.path().join("state"));
        for journal in [None, Some(&*journal)] {
            for fault in FAULTS.into_iter().chain([Fault::IgnoreRange]) {
                for n in 0..6 {
                    let what = format!("{dialect} {fault:?} at {n}");
                    world.server.fail(n, fault);
                    let outcome = world.runtime.block_on(get.to_file(&decryptor, &out, journal));
                    world.server.heal();
                    if outcome.is_err() {
                        // A second run resumes or starts over, and must succeed.
                        let again = world.runtime.block_on(get.to_file(&decryptor, &out, journal));
                        again.unwrap_or_else(|error| panic!("{what}: {error}"));
                    }
                    assert!(std::fs::read(&out).unwrap() == world.plain, "{what}");
                    assert!(journal.is_none_or(|journal| !journal.exists()), "{what}");
                }
                world.server.fail(0, fault);
                let outcome = world.download();
                world.server.heal();
                if let Ok(plain) = outcome {
                    assert!(plain == world.plain, "{fault:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_somebody_elses_is_not_taken_for_ours() {
    let world = World::new(Dialect::COS_V2);
    world.upload(None).unwrap();
    let decryptor = Decryptor::new(&world.keyring);
    let get = Get::new(world.store.clone(), "key").with_part_size(PART);
    let head = world.runtime.block_on(world.store.head("key")).unwrap();
    // The object is overwritten between HEAD and GET.
    world.upload(None).unwrap();
    let old = world.runtime.block_on(
        world.store.get("key", GetOptions::default().with_range(0..16).with_if_match(&head.etag)),
    );
    assert!(matches!(old, Err(StoreError::Changed)));
    // Another user could have planted a symbolic link at the target.
    let (out, journal) = (world.folder.path().join("out"), world.folder.path().join("state"));
    std::os::unix::fs::symlink(world.path(), &out).unwrap();
    let followed = world.runtime.block_on(get.to_file(&decryptor, &out, Some(&journal)));
    assert!(matches!(followed, Err(TransferError::Io(_))));
    assert!(std::fs::read(world.path()).unwrap() == world.plain);
}

#[test]
fn a_rewrap() {
    let world = World::new(Dialect::COS_V2);
    world.upload(None).unwrap();
    let new = AesKeyWrapper::generate().unwrap();
    let encryptor = Encryptor::new(&new, Dialect::COS_V2);
    let old = Decryptor::new(&world.keyring);

    let rewrap = Rewrap::new(world.store.clone(), "key").with_reupload(true);
    world.runtime.block_on(rewrap.run(&old, &encryptor)).unwrap();
    let keyring = Keyring::new().with(new);
    let decryptor = Decryptor::new(&keyring);
    let get = Get::new(world.store.clone(), "key");
    let plain =
        world.runtime.block_on(async { get.decrypt(&decryptor).await?.read_to_end().await });
    assert!(plain.unwrap() == world.plain);
}
