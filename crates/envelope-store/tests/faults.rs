//! Injects a fault or a lie into each request in turn. Whatever happens: an object is absent or
//! right afterwards, nothing that was there before is lost, no upload is left open, and the outcome
//! is true.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "support/retry.rs"]
mod retry;
#[path = "support/bucket.rs"]
mod support;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use envelope_core::{Decryptor, Encryptor, Keyring, RsaKeyWrapper};
use envelope_store::{
    Event, FolderStore, Get, GetOptions, OutputError, OutputFile, OutputOptions, Put, Rewrap,
    Rewrapped, Store, StoreError, TransferError, UploadResult, blocking::Runtime,
};
use envelope_testkit::bucket::{Fault, LoopbackBucket};
use meta_codec::Dialect;
use support::bucket;

use self::retry::RETRY;

const PART: u64 = 1 << 20;
const DIALECTS: [Dialect; 2] = [Dialect::OSS_V2, Dialect::COS_V2];
const OLDER: &[u8] = b"what was here before";

/// What is at the key before an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Older,
    /// The bucket keeps versions.
    OlderVersion,
}

struct World {
    server: LoopbackBucket,
    store: Arc<dyn Store>,
    dialect: Dialect,
    keyring: Keyring,
    wrapper: RsaKeyWrapper,
    folder: tempfile::TempDir,
    runtime: Runtime,
    plain: Vec<u8>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl World {
    fn new(dialect: Dialect) -> Self {
        let server = LoopbackBucket::start();
        let key = |name: &str| std::fs::read(envelope_testkit::folder("keys").join(name)).unwrap();
        let private = RsaKeyWrapper::read(&key("private_key.pem"), None).unwrap();
        let wrapper = RsaKeyWrapper::read(&key("public_key.pem"), None).unwrap();
        let plain: Vec<u8> =
            (0..2 * PART + 12_345).map(|n| (n * n / 251).to_le_bytes()[0]).collect();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plain"), &plain).unwrap();
        Self {
            store: Arc::new(bucket(&server, dialect).with_retry(RETRY)),
            server,
            dialect,
            keyring: Keyring::new().with(private),
            wrapper,
            folder,
            runtime: Runtime::new().unwrap(),
            plain,
            events: Arc::default(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("plain")
    }

    fn encryptor(&self) -> Encryptor {
        Encryptor::new(&self.wrapper, self.dialect).with_key_check()
    }

    fn decryptor(&self) -> Decryptor {
        Decryptor::new(&self.keyring)
    }

    fn new_put(&self) -> Put {
        let events = Arc::clone(&self.events);
        Put::new(self.store.clone(), "key")
            .with_threshold(PART)
            .with_part_size(PART)
            .with_retry(RETRY)
            .with_progress(move |event| events.lock().unwrap().push(event))
    }

    fn upload(&self, journal: Option<&Path>) -> Result<UploadResult, TransferError> {
        let put = match journal {
            Some(journal) => self.new_put().with_journal(journal),
            None => self.new_put(),
        };
        let (path, decryptor) = (self.path(), self.decryptor());
        self.runtime.block_on(put.file(&path, &self.encryptor(), Some(&decryptor)))
    }

    fn download(&self) -> Result<Vec<u8>, TransferError> {
        self.download_with(&self.decryptor())
    }

    fn download_with(&self, decryptor: &Decryptor) -> Result<Vec<u8>, TransferError> {
        let get = Get::new(self.store.clone(), "key").with_retry(RETRY);
        self.runtime.block_on(async { get.decrypt(decryptor).await?.read_to_end().await })
    }

    /// Writes another object to the key.
    fn write(&self, put: &Put, bytes: &[u8]) {
        self.runtime.block_on(put.stream(bytes, None, &self.encryptor())).unwrap();
    }

    /// Puts what is there before.
    fn prepare(&self, before: Before) {
        self.server.heal();
        self.events.lock().unwrap().clear();
        self.delete();
        if before != Before::Nothing {
            self.write(&self.new_put(), OLDER);
        }
    }

    /// Asserts that an upload has left what it may leave.
    fn check(&self, before: Before, outcome: &Result<UploadResult, TransferError>, what: &str) {
        self.server.heal();
        let found = self.download();
        match (outcome, found) {
            (Ok(_), Ok(plain)) => assert!(plain == self.plain, "{what}: wrong"),
            (Err(_), Ok(plain)) => {
                assert!(
                    plain == self.plain || (before != Before::Nothing && plain == OLDER),
                    "{what}"
                );
            }
            (Err(_), Err(TransferError::Store(StoreError::NotFound))) => {
                assert_eq!(before, Before::Nothing, "{what}: the older object is lost");
            }
            // Where there are no versions, what was replaced is gone, and deleting more would be a
            // guess. It must be said.
            (Err(TransferError::Damaged { removed: false, .. }), Err(_)) => {
                assert_ne!(before, Before::OlderVersion, "{what}");
            }
            (outcome, found) => panic!("{what}: {outcome:?}, {:?}", found.map(|it| it.len())),
        }
        self.check_uploads(what);
    }

    /// Asserts that no upload is open. Where the response to its creation was lost, COS gives no
    /// proof of whose it is; then the owner is told.
    fn check_uploads(&self, what: &str) {
        let warned = |event: &Event| match event {
            Event::Warning(words) => words.contains("may have been left open"),
            _ => false,
        };
        let told = self.events.lock().unwrap().iter().any(warned);
        let open = self.server.open_uploads();
        assert!(open == 0 || (told && self.dialect == Dialect::COS_V2), "{what}: {open} open");
        for upload in self.runtime.block_on(self.store.list_multipart_uploads("key")).unwrap() {
            self.runtime.block_on(self.store.abort(&upload)).unwrap();
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

    /// Runs an upload with every fault at every request, over everything that may be there before.
    fn every_fault(&self, what: &str, upload: impl Fn() -> Result<UploadResult, TransferError>) {
        for before in [Before::Nothing, Before::Older, Before::OlderVersion] {
            if before == Before::OlderVersion {
                self.server.keep_versions();
            }
            self.prepare(before);
            let count = self.requests(|| assert!(upload().is_ok()));
            self.check(before, &upload(), what);
            for fault in Fault::ANYWHERE {
                for n in 0..count {
                    let what = format!("{} {what} {before:?} {fault:?} at {n}", self.dialect);
                    self.prepare(before);
                    self.server.fail(n, fault);
                    let outcome = upload();
                    self.check(before, &outcome, &what);
                }
            }
        }
    }
}

#[test]
fn an_upload_in_parts() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        let count = world.requests(|| assert_eq!(world.upload(None).unwrap().parts, 3));
        assert_eq!(count, 6, "{:?}", world.server.requests());
        world.every_fault("in parts", || world.upload(None));
    }
}

#[test]
fn an_upload_in_one_request() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        let put = world.new_put().with_threshold(u64::MAX);
        world.every_fault("in one request", || {
            world.runtime.block_on(put.file(&world.path(), &world.encryptor(), None))
        });
    }
}

#[test]
fn an_upload_of_a_stream() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        let put = world.new_put();
        world.every_fault("as a stream", || {
            world.runtime.block_on(put.stream(&world.plain[..], None, &world.encryptor()))
        });
    }
}

/// Every fault at every request of a run with a journal, and a second run without faults.
#[test]
fn an_upload_that_is_run_again() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        let journal = world.folder.path().join("journal");
        for fault in Fault::ANYWHERE {
            for n in 0..6 {
                let what = format!("{dialect} again after {fault:?} at {n}");
                world.prepare(Before::Nothing);
                world.server.fail(n, fault);
                let outcome = world.upload(Some(&journal));
                world.server.heal();
                let arrived = world.server.arrived();
                if outcome.is_ok() {
                    assert!(!journal.exists(), "{what}");
                    world.check_uploads(&what);
                    continue;
                }
                let (before, kept) = (world.server.requests().len(), journal.exists());
                world.upload(Some(&journal)).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(world.download().unwrap() == world.plain, "{what}");
                assert!(!journal.exists(), "{what}");
                world.check_uploads(&what);
                // What has arrived is not sent again.
                for number in arrived.into_iter().filter(|_| kept) {
                    let name = format!("partNumber={number}&");
                    let again = world.server.requests().split_off(before);
                    assert!(!again.iter().any(|it| it.contains(&name)), "{what}: {name}");
                }
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
        for n in 0..6 {
            let what = format!("{dialect} away from {n}");
            world.prepare(Before::Nothing);
            for later in n..n + 60 {
                world.server.fail(later, Fault::Error);
            }
            world.upload(Some(&journal)).unwrap_err();
            world.server.heal();
            let arrived = world.server.arrived();
            let before = world.server.requests().len();
            let outcome = world.upload(Some(&journal));
            world.check(Before::Nothing, &outcome, &what);
            outcome.unwrap();
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

/// Leaves an upload with two parts, and returns its journal.
fn interrupted(world: &World) -> PathBuf {
    let journal = world.folder.path().join("journal");
    world.prepare(Before::Nothing);
    for later in 3..60 {
        world.server.fail(later, Fault::Error);
    }
    world.upload(Some(&journal)).unwrap_err();
    world.server.heal();
    assert_eq!(world.server.open_uploads(), 1);
    journal
}

#[test]
fn a_changed_file_starts_again_and_a_touched_one_goes_on() {
    for dialect in DIALECTS {
        let mut world = World::new(dialect);
        let journal = interrupted(&world);
        // One byte changes but the modification time does not: resuming would encrypt different
        // bytes with the same keystream.
        let file = std::fs::File::options().write(true).open(world.path()).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        let times = |at| std::fs::FileTimes::new().set_modified(at);
        std::os::unix::fs::FileExt::write_all_at(&file, b"!", 2 * PART).unwrap();
        file.set_times(times(modified)).unwrap();
        world.plain[2 << 20] = b'!';
        let old = std::fs::read_to_string(&journal).unwrap();
        let outcome = world.upload(Some(&journal));
        world.check(Before::Nothing, &outcome, "changed");
        assert!(outcome.is_ok() && !journal.exists());
        let said = world.events.lock().unwrap().clone();
        assert!(said.contains(&Event::Restarted("the file changed after its upload began")));
        let (_, headers) = world.server.object("b-1", "key").unwrap();
        let key = headers.iter().find(|(name, _)| name.ends_with("-encryption-key")).unwrap();
        assert!(!old.contains(&key.1), "the same content key");

        // Another time does not mean another file.
        let journal = interrupted(&world);
        file.set_times(times(modified - Duration::from_secs(1000))).unwrap();
        let outcome = world.upload(Some(&journal));
        world.check(Before::Nothing, &outcome, "touched");
        assert!(outcome.is_ok());
        let said = world.events.lock().unwrap().clone();
        assert!(said.iter().any(|event| matches!(event, Event::Resumed(bytes) if *bytes > 0)));
    }
}

#[test]
fn an_upload_goes_on_in_the_parts_with_which_it_began() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        let journal = interrupted(&world);
        let put = world.new_put().with_part_size(PART / 2).with_journal(&journal);
        let (path, encryptor, decryptor) = (world.path(), world.encryptor(), world.decryptor());
        let outcome = world.runtime.block_on(put.file(&path, &encryptor, Some(&decryptor)));
        world.check(Before::Nothing, &outcome, "other parts");
        assert_eq!(outcome.unwrap().parts, 3);
        let said = world.events.lock().unwrap().clone();
        assert!(said.iter().any(|event| matches!(event, Event::Resumed(bytes) if *bytes > 0)));
    }
}

/// The upload was completed, its answer was lost, and the next run cannot find out at once.
#[test]
fn a_completed_upload_keeps_its_journal_until_it_is_recognized() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        let journal = world.folder.path().join("journal");
        world.prepare(Before::Nothing);
        let requests = world.requests(|| {
            world.upload(None).unwrap();
        });
        let completed_at = (0..requests)
            .find(|n| {
                world.prepare(Before::Nothing);
                world.server.fail(*n, Fault::CutAfter);
                for later in n + 1..n + 60 {
                    world.server.fail(later, Fault::Error);
                }
                let outcome = world.upload(Some(&journal));
                world.server.heal();
                let complete = outcome.is_err() && world.server.object("b-1", "key").is_some();
                if !complete {
                    drop(std::fs::remove_file(&journal));
                }
                complete
            })
            .expect("a request that completes");
        assert!(journal.exists(), "{dialect}: after request {completed_at}");

        // The list of parts says that there is no such upload, and nobody answers after that.
        for later in 1..60 {
            world.server.fail(later, Fault::Error);
        }
        world.upload(Some(&journal)).unwrap_err();
        world.server.heal();
        assert!(journal.exists(), "{dialect}: what it was is not known yet");

        let before = world.server.requests().len();
        let outcome = world.upload(Some(&journal));
        outcome.unwrap();
        assert!(world.download().unwrap() == world.plain);
        assert!(!journal.exists());
        let sent = world.server.requests().split_off(before);
        assert!(!sent.iter().any(|it| it.contains("PUT ") || it.contains("POST ")), "{sent:?}");
    }
}

#[test]
fn a_damaged_journal_does_not_block_its_file() {
    let world = World::new(Dialect::COS_V2);
    for damage in [&b"not a journal"[..], b"\xff\xfe\n", b"{}\n", b"\n\n", b"null\n[]\n"] {
        let journal = interrupted(&world);
        let text = std::fs::read_to_string(&journal).unwrap();
        let rest: String = text.split_inclusive('\n').skip(1).collect();
        std::fs::write(&journal, [damage, b"\n", rest.as_bytes()].concat()).unwrap();
        let outcome = world.upload(Some(&journal));
        world.check(Before::Nothing, &outcome, "damaged");
        assert!(outcome.is_ok() && !journal.exists());
        // The upload was found all the same.
        assert_eq!(world.server.open_uploads(), 0, "{damage:?}");
    }
}

#[test]
fn the_upload_of_somebody_else_is_left_alone() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        let headers = [("x-oss-meta-client-side-encryption-key".to_owned(), "theirs".to_owned())];
        let created = if dialect == Dialect::COS_V2 {
            Vec::new()
        } else {
            let more = ["start", "cek-alg", "wrap-alg", "data-size", "part-size"];
            let more = more.map(|name| {
                (format!("x-oss-meta-client-side-encryption-{name}"), "102400".to_owned())
            });
            headers.into_iter().chain(more).collect()
        };
        let create = world.store.create_multipart("key", &created, Default::default());
        let theirs = world.runtime.block_on(create).unwrap();
        world.server.fail(0, Fault::Error);
        world.upload(None).unwrap();
        // It was empty and just begun, as ours would be.
        assert!(world.runtime.block_on(world.store.list_parts(&theirs)).is_ok());
        // A response that was lost leaves nothing behind where the store can prove whose it is.
        world.server.fail(0, Fault::CutAfter);
        world.upload(None).unwrap();
        let open = if dialect == Dialect::COS_V2 { 2 } else { 1 };
        assert_eq!(world.server.open_uploads(), open);
    }
}

#[test]
fn only_new_is_kept_to_in_parts_too() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        let journal = world.folder.path().join("journal");
        let put = world.new_put().with_create_only(true).with_journal(&journal);
        let run = || {
            let (path, decryptor) = (world.path(), world.decryptor());
            world.runtime.block_on(put.file(&path, &world.encryptor(), Some(&decryptor)))
        };
        // Another writer comes before each request of the upload: HEAD, the creation, three parts,
        // HEAD, the completion.
        for n in 0..7 {
            world.prepare(Before::Nothing);
            world.server.fail(n, Fault::Hang);
            std::thread::scope(|scope| {
                let running = scope.spawn(run);
                if world.server.wait_hung(Duration::from_secs(30)) {
                    world.write(&world.new_put(), OLDER);
                    world.server.release();
                }
                let outcome = running.join().unwrap();
                // Only after the object was completed is it our own.
                assert!(outcome.is_err(), "{dialect} {n}");
            });
            assert!(world.download().unwrap() == OLDER, "{dialect} {n}");
            world.check_uploads(&format!("{dialect} {n}"));
            let _ = std::fs::remove_file(&journal);
        }
        // Killed behind the completion: it is our own object that is there.
        world.prepare(Before::Nothing);
        for later in 6..60 {
            world.server.fail(later, if later == 6 { Fault::CutAfter } else { Fault::Error });
        }
        run().unwrap_err();
        world.server.heal();
        assert!(journal.exists());
        run().unwrap_or_else(|error| panic!("{dialect}: {error}"));
        assert!(world.download().unwrap() == world.plain);
        assert!(matches!(run(), Err(TransferError::Store(StoreError::Exists))));
    }
}

#[test]
fn only_new_is_a_look_where_versions_are_kept() {
    let world = World::new(Dialect::OSS_V2);
    world.server.keep_versions();
    world.prepare(Before::Older);
    for threshold in [0, u64::MAX] {
        let put = world.new_put().with_create_only(true).with_threshold(threshold);
        let run = || world.runtime.block_on(put.file(&world.path(), &world.encryptor(), None));
        assert!(matches!(run(), Err(TransferError::Store(StoreError::Exists))));
        world.delete();
        world.events.lock().unwrap().clear();
        run().unwrap();
        let said = world.events.lock().unwrap().clone();
        assert!(said.contains(&Event::NotEnforced), "{said:?}");
    }
}

#[test]
fn a_lost_upload_begins_anew_with_another_key() {
    let world = World::new(Dialect::COS_V2);
    let journal = interrupted(&world);
    let old = std::fs::read_to_string(&journal).unwrap();
    for upload in world.runtime.block_on(world.store.list_multipart_uploads("key")).unwrap() {
        world.runtime.block_on(world.store.abort(&upload)).unwrap();
    }
    let outcome = world.upload(Some(&journal));
    world.check(Before::Nothing, &outcome, "begun anew");
    assert!(outcome.is_ok());
    let (_, headers) = world.server.object("b-1", "key").unwrap();
    let key = headers.iter().find(|(name, _)| name.ends_with("-encryption-key")).unwrap();
    assert!(!old.contains(&key.1), "the same content key");

    // What begins anew because the old upload is gone can be resumed, too.
    let journal = interrupted(&world);
    for upload in world.runtime.block_on(world.store.list_multipart_uploads("key")).unwrap() {
        world.runtime.block_on(world.store.abort(&upload)).unwrap();
    }
    for later in 8..60 {
        world.server.fail(later, Fault::Error);
    }
    world.upload(Some(&journal)).unwrap_err();
    world.server.heal();
    assert!(journal.exists() && world.server.open_uploads() == 1);
    world.events.lock().unwrap().clear();
    world.upload(Some(&journal)).unwrap();
    let said = world.events.lock().unwrap().clone();
    assert!(
        said.iter().any(|event| matches!(event, Event::Resumed(bytes) if *bytes > 0)),
        "{said:?}"
    );
}

/// The file changes while its upload goes on, and is what it was when the next run looks at it.
#[test]
fn no_part_meets_other_bytes_than_the_digest() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        let journal = world.folder.path().join("journal");
        let put = world.new_put().with_journal(&journal).with_concurrency(1);
        let run = || {
            let (path, decryptor) = (world.path(), world.decryptor());
            world.runtime.block_on(put.file(&path, &world.encryptor(), Some(&decryptor)))
        };
        world.prepare(Before::Nothing);
        world.server.fail(1, Fault::Hang);
        let outcome = std::thread::scope(|scope| {
            let running = scope.spawn(run);
            assert!(world.server.wait_hung(Duration::from_secs(30)));
            let mut other = world.plain.clone();
            other[(1 << 20) + 7] ^= 1;
            std::fs::write(world.path(), &other).unwrap();
            world.server.release();
            running.join().unwrap()
        });
        assert!(matches!(outcome, Err(TransferError::SourceChanged)), "{outcome:?}");
        assert!(!world.server.requests().join("\n").contains("partNumber=2&"), "it was sent");
        std::fs::write(world.path(), &world.plain).unwrap();
        run().unwrap();
        assert!(world.download().unwrap() == world.plain);
    }
}

/// Another Content-Type, or another dialect, is what this run asks for.
#[test]
fn a_run_that_asks_for_other_headers_begins_anew() {
    let world = World::new(Dialect::COS_V2);
    let journal = interrupted(&world);
    let put = world.new_put().with_journal(&journal).with_header("content-type", "text/plain");
    let decryptor = world.decryptor();
    let (path, encryptor) = (world.path(), world.encryptor());
    world.runtime.block_on(put.file(&path, &encryptor, Some(&decryptor))).unwrap();
    let (_, headers) = world.server.object("b-1", "key").unwrap();
    assert!(headers.contains(&("content-type".to_owned(), "text/plain".to_owned())));
    assert_eq!(world.server.open_uploads(), 0);
}

/// Many requests at once are all denied for the same wrong clock.
#[test]
fn a_wrong_clock_ends_no_upload_in_parts() {
    let world = World::new(Dialect::OSS_V2);
    world.upload(None).unwrap();
    world.server.set_skew(7200);
    world.upload(None).unwrap();
    let store = bucket(&world.server, Dialect::OSS_V2).with_retry(RETRY);
    let heads = (0..8).map(|_| store.head("key"));
    let outcomes = world.runtime.block_on(futures_util::future::join_all(heads));
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[test]
fn without_the_private_key_it_begins_anew() {
    let world = World::new(Dialect::OSS_V2);
    let journal = interrupted(&world);
    let put = world.new_put().with_journal(&journal);
    let outcome = world.runtime.block_on(put.file(&world.path(), &world.encryptor(), None));
    world.check(Before::Nothing, &outcome, "begun anew");
    assert!(outcome.is_ok());
}

/// Downloads to a file that stays resumable.
fn get_file(world: &World, get: &Get, path: &Path, resumable: bool) -> Result<(), TransferError> {
    let options = OutputOptions::new().with_replace(true).with_resumable(resumable);
    let output = OutputFile::create(path, options)?;
    world.runtime.block_on(get.to_file(&world.decryptor(), &output))?;
    Ok(output.commit()?)
}

#[test]
fn a_download() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        world.upload(None).unwrap();
        let get = Get::new(world.store.clone(), "key").with_part_size(PART).with_retry(RETRY);
        let out = world.folder.path().join("out");
        for resumable in [false, true] {
            for fault in Fault::ANYWHERE.into_iter().chain([Fault::IgnoreRange]) {
                for n in 0..4 {
                    let what = format!("{dialect} {fault:?} at {n}");
                    world.server.fail(n, fault);
                    let outcome = get_file(&world, &get, &out, resumable);
                    world.server.heal();
                    if outcome.is_err() {
                        assert!(!out.exists(), "{what}");
                        // A second run resumes or starts over, and must succeed.
                        let again = get_file(&world, &get, &out, resumable);
                        again.unwrap_or_else(|error| panic!("{what}: {error}"));
                    }
                    assert!(std::fs::read(&out).unwrap() == world.plain, "{what}");
                    std::fs::remove_file(&out).unwrap();
                    // Neither a working file nor a journal is left.
                    let left = std::fs::read_dir(world.folder.path()).unwrap().count();
                    assert_eq!(left, 1, "{what}");
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
fn a_resumed_download_trusts_the_disk_and_not_its_journal() {
    let world = World::new(Dialect::OSS_V2);
    world.upload(None).unwrap();
    let get = Get::new(world.store.clone(), "key")
        .with_part_size(PART)
        .with_retry(RETRY)
        .with_concurrency(1);
    let out = world.folder.path().join("out");
    for changed in [None, Some(0), Some(PART - 1), Some(PART + 5)] {
        for later in 3..60 {
            world.server.fail(later, Fault::Error);
        }
        get_file(&world, &get, &out, true).unwrap_err();
        world.server.heal();
        let part = std::fs::read_dir(world.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|it| it == "part"))
            .unwrap();
        if let Some(at) = changed {
            let file = std::fs::File::options().write(true).open(part).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"fourteen bytes", at).unwrap();
        }
        let before = world.server.requests().len();
        get_file(&world, &get, &out, true).unwrap();
        assert!(std::fs::read(&out).unwrap() == world.plain, "{changed:?}");
        // Only what is missing or wrong comes again: HEAD, the last range, and the changed ones.
        let again = world.server.requests().len() - before;
        let want = match changed {
            None => 2,
            Some(at) if at == PART - 1 => 4,
            Some(_) => 3,
        };
        assert_eq!(again, want, "{changed:?}");
    }
}

#[test]
fn what_is_somebody_elses_is_not_taken_for_ours() {
    let world = World::new(Dialect::COS_V2);
    world.upload(None).unwrap();
    let head = world.runtime.block_on(world.store.head("key")).unwrap();
    // The object is overwritten between HEAD and GET.
    world.upload(None).unwrap();
    let old = world.runtime.block_on(
        world.store.get("key", GetOptions::default().with_range(0..16).with_if_match(&head.etag)),
    );
    assert!(matches!(old, Err(StoreError::Changed)));
    // Another user could have planted a symbolic link where the working file should be.
    let out = world.folder.path().join("out");
    let options = OutputOptions::new().with_resumable(true);
    let output = OutputFile::create(&out, options.clone()).unwrap();
    let working = output.working_path().unwrap().to_owned();
    drop(output);
    std::os::unix::fs::symlink(world.path(), &working).unwrap();
    assert!(matches!(OutputFile::create(&out, options), Err(OutputError::Io { .. })));
    assert!(std::fs::read(world.path()).unwrap() == world.plain);
}

/// Every fault at every request of a rewrap, in place (COS) and by uploading again (OSS).
#[test]
fn a_rewrap() {
    let new = RsaKeyWrapper::generate(2048).unwrap();
    let new_keyring = Keyring::new().with(new.clone());
    for (dialect, len, threshold) in [
        (Dialect::COS_V2, 3000, u64::MAX),
        (Dialect::OSS_V2, 3000, u64::MAX),
        // In parts of another size than the default, as EC 419 demands.
        (Dialect::OSS_V2, 20 << 20, PART),
        // In parts, although it was written in one request and states none, as EC 406 demands.
        (Dialect::OSS_V2, 20 << 20, u64::MAX),
    ] {
        let world = World::new(dialect);
        let kept = world.folder.path().join("kept");
        let encryptor = Encryptor::new(&new, dialect);
        let rewrap = Rewrap::new(world.store.clone(), "key")
            .with_reupload(true)
            .with_folder(&kept)
            .with_retry(RETRY);
        let old = world.decryptor();
        let plain = vec![7; len];
        let (new, is_long) = (Decryptor::new(&new_keyring), len > 3000);
        let write = || {
            world.server.heal();
            let put = world.new_put().with_threshold(threshold);
            world.write(&put.with_part_size(3 * PART), &plain);
        };
        write();
        let count = world.requests(|| {
            let outcome = world.runtime.block_on(rewrap.run(&old, &encryptor)).unwrap();
            let in_place = dialect == Dialect::COS_V2;
            assert_eq!(outcome == Rewrapped::InPlace, in_place);
        });
        assert!(world.download_with(&new).unwrap() == plain);
        // A long object takes a second each time.
        let step = if is_long && std::env::var_os("ENVELOPE_LONG").is_none() { 7 } else { 1 };
        for (turn, fault) in Fault::ANYWHERE.iter().enumerate() {
            for n in (turn % step..count).step_by(step) {
                let what = format!("{dialect} rewrap of {len}, {threshold}, {fault:?} at {n}");
                write();
                world.server.fail(n, *fault);
                let outcome = world.runtime.block_on(rewrap.run(&old, &encryptor));
                world.server.heal();
                let with_new = world.download_with(&new);
                match outcome {
                    // A job passes over what is gone, and this is not.
                    Err(TransferError::Store(StoreError::NotFound)) => panic!("{what}: gone"),
                    Ok(_) => assert!(with_new.unwrap() == plain, "{what}"),
                    Err(TransferError::Kept { path, .. }) => {
                        recovered(&world, &path, &plain, &what);
                    }
                    // The service itself lost the bytes, which must be said.
                    Err(TransferError::Damaged { .. }) => assert_eq!(*fault, Fault::ChangeByte),
                    Err(_) if with_new.is_ok() => assert!(with_new.unwrap() == plain, "{what}"),
                    Err(error) => {
                        let found = world.download_with(&old);
                        let found =
                            found.unwrap_or_else(|other| panic!("{what}: {error}; {other}"));
                        assert!(found == plain, "{what}");
                    }
                }
                world.check_uploads(&what);
                let left = std::fs::read_dir(&kept).map_or(0, Iterator::count);
                assert_eq!(left, 0, "{what}: copies that nobody needs");
            }
        }
    }
}

/// Asserts that the copy of an object opens with the old key, and removes it.
fn recovered(world: &World, path: &Path, plain: &[u8], what: &str) {
    let (folder, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
    if name.ends_with(".headers.json") {
        // Only the headers were replaced, and the old ones are here.
        let headers = std::fs::read_to_string(path).unwrap();
        assert!(headers.contains("client-side-encryption-key"), "{what}");
    } else {
        let get = Get::new(Arc::new(FolderStore::new(folder)), name);
        let old = world.decryptor();
        let found = world.runtime.block_on(async { get.decrypt(&old).await?.read_to_end().await });
        assert!(found.unwrap() == plain, "{what}");
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        } else {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
}

/// The number of requests of a rewrap after which nothing was replaced yet, or only in place.
fn world_requests(dialect: Dialect) -> usize {
    // HEAD, COPY, HEAD; or HEAD, a COPY that is refused, GET, HEAD, PUT.
    if dialect == Dialect::COS_V2 { 3 } else { 4 }
}

#[test]
fn a_rewrap_does_not_replace_what_a_colleague_has_written() {
    for dialect in DIALECTS {
        let world = World::new(dialect);
        let encryptor = Encryptor::new(&RsaKeyWrapper::generate(2048).unwrap(), dialect);
        for n in 1..world_requests(dialect) {
            world.prepare(Before::Older);
            world.server.fail(n, Fault::Hang);
            let rewrap = Rewrap::new(world.store.clone(), "key").with_reupload(true);
            let old = world.decryptor();
            let outcome = std::thread::scope(|scope| {
                let running = scope.spawn(|| world.runtime.block_on(rewrap.run(&old, &encryptor)));
                assert!(world.server.wait_hung(Duration::from_secs(30)));
                world.write(&world.new_put(), b"theirs");
                world.server.release();
                running.join().unwrap()
            });
            // On COS, the copy is done with the second request, and the third only looks.
            let done = dialect == Dialect::COS_V2 && n > 1;
            assert_eq!(world.download().unwrap(), b"theirs", "{dialect} {n}: {outcome:?}");
            assert!(outcome.is_err() || done, "{dialect} {n}: {outcome:?}");
        }
    }
}

/// A request that replaces an object is not sent again without another look at what is there.
#[test]
fn no_attempt_replaces_what_a_colleague_has_written() {
    for len in [3000, 20 << 20] {
        let world = World::new(Dialect::OSS_V2);
        let plain = vec![7; len];
        let encryptor = Encryptor::new(&RsaKeyWrapper::generate(2048).unwrap(), world.dialect);
        let (colleague, old) = (bucket(&world.server, world.dialect), world.decryptor());
        let colleague: Arc<dyn Store> = Arc::new(colleague);
        let theirs = Put::new(colleague, "key");
        let of_colleague = world.encryptor();
        let put = world.new_put().with_threshold(PART).with_part_size(3 * PART);
        let mut waited = 0;
        // Where the last attempts are, and nothing fails any more.
        for n in 0..20 {
            world.server.heal();
            world.write(&put, &plain);
            let (theirs, of_colleague) = (theirs.clone(), of_colleague.clone());
            let written = Arc::new(Mutex::new(false));
            let wrote = Arc::clone(&written);
            let rewrap = Rewrap::new(world.store.clone(), "key")
                .with_reupload(true)
                .with_folder(world.folder.path().join("kept"))
                .with_retry(RETRY)
                .with_progress(move |event| {
                    if !matches!(event, Event::Waiting { .. })
                        || std::mem::replace(&mut *wrote.lock().unwrap(), true)
                    {
                        return;
                    }
                    // Somebody else writes between two attempts.
                    std::thread::scope(|scope| {
                        let write = || {
                            let put = theirs.stream(&b"theirs"[..], None, &of_colleague);
                            Runtime::new().unwrap().block_on(put).unwrap();
                        };
                        scope.spawn(write).join().unwrap();
                    });
                });
            world.server.fail(n, Fault::Error);
            let outcome = world.runtime.block_on(rewrap.run(&old, &encryptor));
            if *written.lock().unwrap() {
                waited += 1;
                assert!(outcome.is_err(), "{len} at {n}: {outcome:?}");
                assert_eq!(world.download().unwrap(), b"theirs", "{len} at {n}");
            }
        }
        assert!(waited > 0, "{len}: no attempt was repeated here");
    }
}
