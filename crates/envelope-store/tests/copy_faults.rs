//! Injects a fault or a lie into each request of a copy in turn. Whatever happens: the object is at
//! its old place or, if it was moved, at its new one; what must not be replaced is not; no upload
//! is left open; and the outcome is true.

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

use std::sync::{Arc, Mutex};

use envelope_core::{Decryptor, Encryptor, Keyring, RsaKeyWrapper};
use envelope_store::{
    Copy, CopyResult, CopyWay, Event, Get, Put, Store, StoreError, TransferError, blocking::Runtime,
};
use envelope_testkit::bucket::{Fault, LoopbackBucket};
use meta_codec::Dialect;
use support::bucket;

use self::retry::RETRY;

const PART: usize = 1 << 20;
const DIALECTS: [Dialect; 2] = [Dialect::OSS_V2, Dialect::COS_V2];
const THEIRS: &[u8] = b"what was at the new place before";

const FORMS: [Form; 3] = [Form::Short, Form::Long, Form::Rewrapped];

/// The ways to make a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Short,
    /// In parts: by COS itself, and through memory on OSS.
    Long,
    /// With another envelope: by COS itself, and through memory on OSS.
    Rewrapped,
}

struct World {
    server: LoopbackBucket,
    store: Arc<dyn Store>,
    dialect: Dialect,
    key: RsaKeyWrapper,
    runtime: Runtime,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new(dialect: Dialect) -> Self {
        let server = LoopbackBucket::start();
        server.set_longest_copy(PART);
        let file = std::fs::read(envelope_testkit::folder("keys/private_key.pem")).unwrap();
        Self {
            store: Arc::new(bucket(&server, dialect).with_retry(RETRY)),
            server,
            dialect,
            key: RsaKeyWrapper::read(&file, None).unwrap(),
            runtime: Runtime::new().unwrap(),
            warnings: Arc::default(),
        }
    }

    fn decryptor(&self) -> Decryptor {
        Decryptor::new(&Keyring::new().with(self.key.clone()))
    }

    fn write(&self, key: &str, bytes: &[u8]) {
        let encryptor = Encryptor::new(&self.key, self.dialect);
        let put = Put::new(Arc::clone(&self.store), key)
            .with_threshold(PART as u64)
            .with_part_size(PART as u64);
        self.runtime.block_on(put.stream(bytes, None, &encryptor)).unwrap();
    }

    fn read(&self, key: &str) -> Result<Vec<u8>, TransferError> {
        let (get, decryptor) = (Get::new(Arc::clone(&self.store), key), self.decryptor());
        self.runtime.block_on(async { get.decrypt(&decryptor).await?.read_to_end().await })
    }

    fn copy(&self, form: Form, creates: bool) -> Copy {
        let warnings = Arc::clone(&self.warnings);
        let copy = Copy::new((Arc::clone(&self.store), "old"), (Arc::clone(&self.store), "new"))
            .with_create_only(creates)
            .with_part_size(PART as u64)
            .with_longest_copy(PART as u64)
            .with_retry(RETRY)
            .with_progress(move |event| {
                if let Event::Warning(words) = event {
                    warnings.lock().unwrap().push(words);
                }
            });
        let encryptor = Encryptor::new(&self.key, self.dialect);
        match form {
            Form::Rewrapped => {
                copy.with_keys(&self.decryptor(), &encryptor).with_new_envelope(true)
            }
            _ => copy,
        }
    }

    /// Makes the copy with the nth request failing.
    fn attempt(
        &self,
        copy: &Copy,
        moves: bool,
        failing: Option<(usize, Fault)>,
    ) -> Result<CopyResult, TransferError> {
        self.warnings.lock().unwrap().clear();
        if let Some((n, fault)) = failing {
            self.server.fail(n, fault);
        }
        let outcome = self
            .runtime
            .block_on(async { if moves { copy.run_and_delete().await } else { copy.run().await } });
        self.server.heal();
        outcome
    }

    /// Asserts that no upload is open. Where the response to its creation was lost, nobody can
    /// prove whose it is; then the owner is told.
    fn check_uploads(&self, what: &str) {
        let warnings = self.warnings.lock().unwrap();
        let told = warnings.iter().any(|words| words.contains("may have been left open"));
        let open = self.server.open_uploads();
        assert!(open == 0 || told, "{what}: {open} open");
        for upload in self.runtime.block_on(self.store.list_multipart_uploads("new")).unwrap() {
            self.runtime.block_on(self.store.abort(&upload)).unwrap();
        }
    }
}

#[test]
fn a_copy_leaves_the_object_and_what_it_says() {
    for dialect in DIALECTS {
        for form in FORMS {
            every_fault(dialect, form, false);
        }
    }
}

#[test]
fn a_move_leaves_the_object_at_one_place_or_the_other() {
    for dialect in DIALECTS {
        for form in FORMS.into_iter().filter(|form| *form == Form::Short || is_long()) {
            every_fault(dialect, form, true);
        }
    }
}

fn is_long() -> bool {
    std::env::var_os("ENVELOPE_LONG").is_some()
}

fn every_fault(dialect: Dialect, form: Form, moves: bool) {
    let world = World::new(dialect);
    let len = if form == Form::Short { 3000 } else { 2 * PART + 77 };
    let plain: Vec<u8> = (0..len as u64).map(|n| (n * n / 251).to_le_bytes()[0]).collect();
    let copy = world.copy(form, false);
    world.write("old", &plain);
    let before = world.server.requests().len();
    let result = world.attempt(&copy, moves, None);
    let result = result.unwrap_or_else(|error| panic!("{dialect} {form:?}: {error}"));
    let by_service = form == Form::Short || dialect == Dialect::COS_V2;
    assert_eq!(result.way == CopyWay::Service, by_service, "{dialect} {form:?}");
    let count = world.server.requests().len() - before;
    // A move takes more than a second, in which it makes sure that the copy is another object.
    let step = match (moves, form) {
        _ if is_long() => 1,
        (false, Form::Short) => 1,
        (false, _) => 5,
        (true, _) => 9,
    };
    for (turn, fault) in Fault::ANYWHERE.into_iter().enumerate() {
        for n in (turn % step..count).step_by(step) {
            let what = format!("{dialect} {form:?} moves: {moves} {fault:?} at {n}");
            world.write("old", &plain);
            world.write("new", THEIRS);
            let outcome = world.attempt(&copy, moves, Some((n, fault)));
            let (old, new) = (world.read("old"), world.read("new"));
            let is_moved = matches!(old, Err(TransferError::Store(StoreError::NotFound)));
            match &outcome {
                Ok(_) => {
                    assert!(new.unwrap() == plain, "{what}: another copy");
                    assert_eq!(is_moved, moves, "{what}: it says that all is done");
                }
                Err(error) if is_moved => {
                    assert!(moves && new.unwrap() == plain, "{what}: lost, {error}");
                }
                Err(_) => {}
            }
            if !is_moved {
                assert!(old.unwrap() == plain, "{what}: another object");
            }
            world.check_uploads(&what);
        }
    }
}

#[test]
fn no_copy_replaces_what_it_must_not() {
    for dialect in DIALECTS {
        for form in FORMS {
            let world = World::new(dialect);
            let len = if form == Form::Short { 3000 } else { 2 * PART + 77 };
            let plain = vec![7; len];
            world.write("old", &plain);
            world.write("new", THEIRS);
            let copy = world.copy(form, true);
            // Whatever one answer says of what is there: the condition is the service's.
            for fault in [Fault::NotFound, Fault::NotFoundAfter, Fault::ErrorAfter, Fault::CutAfter]
            {
                for n in 0..8 {
                    let what = format!("{dialect} {form:?} {fault:?} at {n}");
                    world.attempt(&copy, false, Some((n, fault))).unwrap_err();
                    assert!(world.read("new").unwrap() == THEIRS, "{what}: replaced");
                    world.check_uploads(&what);
                }
            }
        }
    }
}
