//! Copies: by the service where it can, through memory where it cannot, and never less than the
//! object was.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "support/retry.rs"]
mod retry;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use envelope_store::{
    Attributes, Bucket, Copy, CopyWay, Credentials, Event, FolderStore, Get, Headers, MemoryStore,
    Put, PutOptions, Signature, StopSignal, Store, StoreError, TransferError,
    blocking::Runtime,
    envelope_core::{
        ContentAlgorithm, Decryptor, Encryptor, Keyring, Policy, RsaKeyWrapper, SealOptions, Vendor,
    },
};
use envelope_testkit::bucket::{ACCESS_KEY, Fault, LoopbackBucket, SECRET};

use self::retry::RETRY;

const MIB: usize = 1 << 20;

struct World {
    server: LoopbackBucket,
    key: RsaKeyWrapper,
    runtime: Runtime,
}

impl World {
    fn new() -> Self {
        let (server, runtime) = (LoopbackBucket::start(), Runtime::new().unwrap());
        let file = std::fs::read(envelope_testkit::folder("keys").join("private_key.pem"));
        let key = RsaKeyWrapper::read(&file.unwrap(), None).unwrap();
        Self { server, key, runtime }
    }

    fn bucket(&self, vendor: Vendor, name: &str) -> Arc<dyn Store> {
        let (endpoint, key) =
            (self.server.url().parse().unwrap(), Credentials::new(ACCESS_KEY, SECRET));
        let bucket = match vendor {
            Vendor::Cos => Bucket::cos(name, endpoint, key),
            Vendor::Oss => Bucket::oss(name, "cn-x", endpoint, key, Signature::V4),
        };
        Arc::new(bucket.unwrap().with_retry(RETRY))
    }

    fn encryptor(&self, vendor: Vendor) -> Encryptor {
        Encryptor::new(&self.key, vendor.default_dialect()).with_seal(SealOptions::new())
    }

    fn decryptor(&self) -> Decryptor {
        Decryptor::new(&Keyring::new().with(self.key.clone()))
    }

    fn put(&self, store: &Arc<dyn Store>, key: &str, plain: &[u8], encryptor: &Encryptor) {
        let put = Put::new(Arc::clone(store), key).with_headers(attributes(encryptor));
        let file = tempfile(plain);
        let put = put.with_threshold(2 << 20).with_part_size(1 << 20);
        self.runtime.block_on(put.file(file.path(), encryptor, None)).unwrap();
    }

    fn read(&self, store: &Arc<dyn Store>, key: &str) -> Vec<u8> {
        let policy = Policy::default().require_seal();
        let decryptor = self.decryptor().with_policy(policy);
        self.runtime.block_on(async {
            let result = Get::new(Arc::clone(store), key).decrypt(&decryptor).await.unwrap();
            result.read_to_end().await.unwrap()
        })
    }

    fn header(&self, bucket: &str, key: &str, name: &str) -> Option<String> {
        let (_, headers) = self.server.object(bucket, key).unwrap();
        headers.into_iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Returns the requests since then that are of this method and contain these words.
    fn requests(&self, since: usize, method: &str, words: &str) -> usize {
        let all = self.server.requests();
        let wanted = |it: &&String| it.starts_with(method) && it.contains(words);
        all[since..].iter().filter(wanted).count()
    }
}

fn attributes(encryptor: &Encryptor) -> Headers {
    let attributes = Attributes::new()
        .with_content_type("text/x-test")
        .with_metadata("owner", "me")
        .with_access("public-read")
        .with_tag("project", "a & b");
    attributes.headers(encryptor.dialect().vendor()).unwrap()
}

fn tempfile(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

fn plain(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n * n / 251).to_le_bytes()[0]).collect()
}

#[test]
fn within_a_service_no_bytes_pass_by_here() {
    let world = World::new();
    for vendor in Vendor::ALL {
        let (from, to) = (world.bucket(vendor, "b-1"), world.bucket(vendor, "b-2"));
        for (name, len) in [("empty", 0), ("small", 1000), ("large", 3 * MIB + 5)] {
            let bytes = plain(len);
            world.put(&from, name, &bytes, &world.encryptor(vendor));
            let before = world.server.requests().len();
            let copy = Copy::new((Arc::clone(&from), name), (Arc::clone(&to), "a copy"));
            let result = world.runtime.block_on(copy.run()).unwrap();
            assert_eq!((result.way, result.rewrapped), (CopyWay::Service, false));
            assert_eq!(world.requests(before, "GET", name), 1, "only its access is asked for");
            assert_eq!(world.requests(before, "PUT", "copy"), 1);
            assert!(world.read(&to, "a copy") == bytes);
            let own = |name: &str| format!("{}{name}", vendor.header_prefix());
            let header = |name: &str| world.header("b-2", "a copy", name);
            assert_eq!(header("content-type").as_deref(), Some("text/x-test"));
            assert_eq!(header(&own("meta-owner")).as_deref(), Some("me"));
            assert_eq!(header(&own("tagging")).as_deref(), Some("project=a%20%26%20b"));
            assert_eq!(header(vendor.access_header()).as_deref(), Some("public-read"));
        }
    }
}

#[test]
fn what_is_too_long_is_copied_in_parts_or_passes_through_memory() {
    let world = World::new();
    world.server.set_longest_copy(MIB);
    let bytes = plain(3 * MIB + 5);
    for vendor in Vendor::ALL {
        let (from, to) = (world.bucket(vendor, "b-1"), world.bucket(vendor, "b-2"));
        world.put(&from, "large", &bytes, &world.encryptor(vendor));
        let before = world.server.requests().len();
        let copy = Copy::new((Arc::clone(&from), "large"), (Arc::clone(&to), "a copy"))
            .with_longest_copy(MIB as u64)
            .with_part_size(MIB as u64);
        let result = world.runtime.block_on(copy.run()).unwrap();
        let (way, reads) = match vendor {
            Vendor::Cos => (CopyWay::Service, 0),
            Vendor::Oss => (CopyWay::Streamed, 4),
        };
        assert_eq!((result.way, result.rewrapped), (way, false));
        // Besides, it is asked for its access and its tags.
        assert_eq!(world.requests(before, "GET", "large"), reads + 2);
        assert_eq!(world.requests(before, "PUT", "partNumber"), 4);
        assert!(world.read(&to, "a copy") == bytes);
        let tags = format!("{}tagging", vendor.header_prefix());
        assert_eq!(world.header("b-2", "a copy", &tags).as_deref(), Some("project=a%20%26%20b"));
        let access = world.header("b-2", "a copy", vendor.access_header());
        assert_eq!(access.as_deref(), Some("public-read"));
        // The parts are the same, because its metadata states them.
        let same = |name: &str| name.contains("-meta-");
        let of = |bucket, key| {
            let (_, headers) = world.server.object(bucket, key).unwrap();
            headers.into_iter().filter(|(name, _)| same(name)).collect::<Vec<_>>()
        };
        assert_eq!(of("b-1", "large"), of("b-2", "a copy"));
        assert_eq!(world.server.open_uploads(), 0);
    }
}

#[test]
fn to_another_service_the_envelope_is_translated() {
    let world = World::new();
    for vendor in Vendor::ALL {
        let other = if vendor == Vendor::Cos { Vendor::Oss } else { Vendor::Cos };
        let (from, to) = (world.bucket(vendor, "b-1"), world.bucket(other, "b-2"));
        for (name, len, part) in [
            ("empty", 0, MIB),
            ("small", 1000, MIB),
            ("large", 3 * MIB, MIB),
            ("x", 3 * MIB, 8 * MIB),
        ] {
            let bytes = plain(len);
            world.put(&from, name, &bytes, &world.encryptor(vendor));
            let copy = Copy::new((Arc::clone(&from), name), (Arc::clone(&to), "a copy"))
                .with_part_size(part as u64);
            let refused = world.runtime.block_on(copy.run()).unwrap_err();
            assert!(matches!(refused, TransferError::NeedsKey(_)), "{refused}");
            let new = Encryptor::new(&world.key, other.default_dialect());
            let copy = copy.with_keys(&world.decryptor(), &new);
            let result = world.runtime.block_on(copy.run()).unwrap();
            assert_eq!((result.way, result.rewrapped), (CopyWay::Streamed, true));
            assert!(world.read(&to, "a copy") == bytes, "{name}");
            let own = |name: &str| format!("{}{name}", other.header_prefix());
            let header = |name: &str| world.header("b-2", "a copy", name);
            assert_eq!(header(&own("meta-owner")).as_deref(), Some("me"));
            assert_eq!(header(&own("tagging")).as_deref(), Some("project=a%20%26%20b"));
            // Another account decides anew who may read it.
            assert_eq!(header(other.access_header()), None);
            let (_, headers) = world.server.object("b-2", "a copy").unwrap();
            assert!(!headers.iter().any(|(name, _)| name.starts_with(vendor.header_prefix())));
        }
    }
}

#[test]
fn an_object_without_parts_gets_them_where_the_store_wants_to_know() {
    let world = World::new();
    world.server.set_longest_copy(MIB);
    let (from, to) = (world.bucket(Vendor::Oss, "b-1"), world.bucket(Vendor::Oss, "b-2"));
    let (bytes, file) = (plain(3 * MIB), tempfile(&plain(3 * MIB)));
    let put = Put::new(Arc::clone(&from), "single");
    world.runtime.block_on(put.file(file.path(), &world.encryptor(Vendor::Oss), None)).unwrap();
    let copy = Copy::new((from, "single"), (Arc::clone(&to), "a copy"))
        .with_longest_copy(MIB as u64)
        .with_part_size(MIB as u64);
    let refused = world.runtime.block_on(copy.run()).unwrap_err();
    assert!(matches!(refused, TransferError::NeedsKey(_)), "{refused}");
    let copy = copy.with_keys(&world.decryptor(), &world.encryptor(Vendor::Oss));
    let result = world.runtime.block_on(copy.run()).unwrap();
    assert_eq!((result.way, result.rewrapped), (CopyWay::Streamed, true));
    assert!(world.read(&to, "a copy") == bytes);
    let parts = "x-oss-meta-client-side-encryption-part-size";
    assert_eq!(world.header("b-2", "a copy", parts).as_deref(), Some("1048576"));
}

#[test]
fn a_seal_that_is_bound_to_a_name_gets_the_new_one() {
    let world = World::new();
    for vendor in Vendor::ALL {
        let store = world.bucket(vendor, "b-1");
        let seal = SealOptions::new().with_name("old name");
        let encryptor = Encryptor::new(&world.key, vendor.default_dialect()).with_seal(seal);
        world.put(&store, "old name", b"content", &encryptor);
        let to = |name: &str| {
            Copy::new((Arc::clone(&store), "old name"), (Arc::clone(&store), name.to_owned()))
        };
        let refused = world.runtime.block_on(to("new name").run()).unwrap_err();
        assert!(matches!(refused, TransferError::NeedsKey(_)), "{refused}");
        let new = Encryptor::new(&world.key, vendor.default_dialect());
        let copy = to("new name").with_keys(&world.decryptor(), &new);
        assert!(world.runtime.block_on(copy.run()).unwrap().rewrapped);
        assert_eq!(world.read(&store, "new name"), b"content");
        // In another bucket under the same name, nothing is bound anew.
        let other = world.bucket(vendor, "b-2");
        let copy = Copy::new((Arc::clone(&store), "old name"), (Arc::clone(&other), "old name"));
        assert!(!world.runtime.block_on(copy.run()).unwrap().rewrapped);
        assert_eq!(world.read(&other, "old name"), b"content");
    }
}

#[test]
fn folders_and_gcm() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let (cos, folder): (_, Arc<dyn Store>) =
        (world.bucket(Vendor::Cos, "b-1"), Arc::new(FolderStore::new(folder.path())));
    let bytes = plain(3 * MIB);
    let put = Put::new(Arc::clone(&cos), "gcm")
        .with_content(ContentAlgorithm::Aes256Gcm)
        .with_threshold(MIB as u64)
        .with_part_size(MIB as u64);
    let file = tempfile(&bytes);
    world.runtime.block_on(put.file(file.path(), &world.encryptor(Vendor::Cos), None)).unwrap();
    for (from, to) in [(&cos, &folder), (&folder, &folder), (&folder, &cos)] {
        let copy = Copy::new((Arc::clone(from), "gcm"), (Arc::clone(to), "a copy"))
            .with_part_size(MIB as u64);
        let result = world.runtime.block_on(copy.run()).unwrap();
        assert_eq!((result.way, result.rewrapped), (CopyWay::Streamed, false));
        assert!(world.read(to, "a copy") == bytes);
        let copy = Copy::new((Arc::clone(to), "a copy"), (Arc::clone(to), "gcm"));
        world.runtime.block_on(copy.run_and_delete()).unwrap();
        assert!(world.read(to, "gcm") == bytes);
    }
}

#[test]
fn an_object_is_deleted_only_after_its_copy_was_proven() {
    let world = World::new();
    for vendor in Vendor::ALL {
        let store = world.bucket(vendor, "b-1");
        let to = |fault: Option<(usize, Fault)>| {
            world.put(&store, "old", b"content", &world.encryptor(vendor));
            if let Some((n, fault)) = fault {
                // Head, access, the copy, and two looks at it.
                world.server.fail(n, fault);
                world.server.fail(n + 1, fault);
                world.server.fail(n + 2, fault);
            }
            let copy = Copy::new((Arc::clone(&store), "old"), (Arc::clone(&store), "new"));
            let outcome = world.runtime.block_on(copy.run_and_delete());
            world.server.heal();
            outcome
        };
        for fault in [Fault::ChangeByte, Fault::LoseMetadata, Fault::WrongChecksum] {
            let failed = to(Some((2, fault)));
            assert!(failed.is_err(), "{fault:?}");
            assert_eq!(world.read(&store, "old"), b"content");
        }
        assert_eq!(to(None).unwrap().way, CopyWay::Service);
        assert_eq!(world.read(&store, "new"), b"content");
        assert!(world.server.object("b-1", "old").is_none());
        // What somebody else wrote meanwhile is not deleted.
        world.put(&store, "old", b"content", &world.encryptor(vendor));
        let (own, written) = (world.server.clone(), Mutex::new(false));
        let copy = Copy::new((Arc::clone(&store), "old"), (Arc::clone(&store), "new"))
            .with_progress(move |event| {
                if matches!(event, Event::Transferred(_)) {
                    own.store("b-1", "old", b"by somebody else");
                    *written.lock().unwrap() = true;
                }
            });
        let failed = world.runtime.block_on(copy.run_and_delete()).unwrap_err();
        assert!(matches!(failed, TransferError::Store(StoreError::Changed)), "{failed}");
        assert_eq!(&world.server.object("b-1", "old").unwrap().0[..], b"by somebody else");
    }
}

#[test]
fn nothing_is_replaced_that_must_not_be() {
    let world = World::new();
    for vendor in Vendor::ALL {
        let store = world.bucket(vendor, vendor.id());
        world.put(&store, "old", b"content", &world.encryptor(vendor));
        world.put(&store, "new", b"another", &world.encryptor(vendor));
        let copy = |to: &str| {
            Copy::new((Arc::clone(&store), "old"), (Arc::clone(&store), to.to_owned()))
                .with_create_only(true)
        };
        let refused = world.runtime.block_on(copy("new").run()).unwrap_err();
        assert!(matches!(refused, TransferError::Store(StoreError::Exists)), "{refused}");
        assert_eq!(world.read(&store, "new"), b"another");
        let ways: Vec<CopyWay> =
            (0..2).map(|_| world.runtime.block_on(copy("newer").run()).unwrap().way).collect();
        assert_eq!(ways, [CopyWay::Service, CopyWay::Already]);
    }
}

#[test]
fn what_is_not_encrypted_stays_with_its_service() {
    let world = World::new();
    let (cos, oss) = (world.bucket(Vendor::Cos, "b-1"), world.bucket(Vendor::Oss, "b-1"));
    let headers = vec![("x-cos-meta-a".to_owned(), "b".to_owned())];
    let body = Bytes::from(plain(MIB));
    let put = cos.put("plain", body, &headers, PutOptions::default());
    world.runtime.block_on(put).unwrap();
    let within = Copy::new((Arc::clone(&cos), "plain"), (Arc::clone(&cos), "copy"));
    assert_eq!(world.runtime.block_on(within.run()).unwrap().way, CopyWay::Service);
    let across = Copy::new((cos, "plain"), (oss, "copy"));
    let refused = world.runtime.block_on(across.run()).unwrap_err();
    assert!(refused.is_not_encrypted(), "{refused}");
    let encryptor = world.encryptor(Vendor::Oss);
    let strict = across.clone().with_keys(&world.decryptor(), &encryptor);
    assert!(world.runtime.block_on(strict.run()).unwrap_err().is_not_encrypted());
    let lax = world.decryptor().with_policy(Policy::default().allow_plaintext());
    let allowed = across.with_keys(&lax, &encryptor);
    assert_eq!(world.runtime.block_on(allowed.run()).unwrap().way, CopyWay::Streamed);
    assert_eq!(world.header("b-1", "copy", "x-oss-meta-a").as_deref(), Some("b"));
}

#[test]
fn other_attributes_and_another_key() {
    let world = World::new();
    for vendor in Vendor::ALL {
        let store = world.bucket(vendor, "b-1");
        world.put(&store, "old", b"content", &world.encryptor(vendor));
        let place = Attributes::new().with_storage_class("IA").with_tag("x", "y");
        let copy = Copy::new((Arc::clone(&store), "old"), (Arc::clone(&store), "new"))
            .with_headers(place.headers(vendor).unwrap());
        assert_eq!(world.runtime.block_on(copy.run()).unwrap().way, CopyWay::Service);
        let own = |name: &str| format!("{}{name}", vendor.header_prefix());
        assert_eq!(world.header("b-1", "new", &own("storage-class")).as_deref(), Some("IA"));
        assert_eq!(world.header("b-1", "new", &own("tagging")).as_deref(), Some("x=y"));
        assert_eq!(world.header("b-1", "new", &own("meta-owner")).as_deref(), Some("me"));
        let kind = Attributes::new().with_content_type("image/png");
        let copy = copy.with_headers(kind.headers(vendor).unwrap());
        let way = match vendor {
            Vendor::Cos => CopyWay::Service,
            // It does not change the metadata of encrypted objects.
            Vendor::Oss => CopyWay::Streamed,
        };
        assert_eq!(world.runtime.block_on(copy.run()).unwrap().way, way);
        assert_eq!(world.header("b-1", "new", "content-type").as_deref(), Some("image/png"));
        assert_eq!(world.header("b-1", "new", &own("meta-owner")).as_deref(), Some("me"));
        assert_eq!(world.header("b-1", "new", &own("tagging")).as_deref(), Some("x=y"));
        let other = RsaKeyWrapper::generate(2048).unwrap();
        let new = Encryptor::new(&other, vendor.default_dialect());
        let copy = copy.with_keys(&world.decryptor(), &new).with_new_envelope(true);
        assert!(world.runtime.block_on(copy.run()).unwrap().rewrapped);
        let decryptor = Decryptor::new(&Keyring::new().with(other));
        let read = Get::new(Arc::clone(&store), "new");
        let read = world.runtime.block_on(async {
            read.decrypt(&decryptor).await.unwrap().read_to_end().await.unwrap()
        });
        assert_eq!(read, b"content");
    }
}

#[test]
fn access_that_may_not_be_read_is_told_to_be_lost() {
    let world = World::new();
    let store = world.bucket(Vendor::Cos, "b-1");
    world.put(&store, "old", b"content", &world.encryptor(Vendor::Cos));
    let told = Arc::<Mutex<Vec<Event>>>::default();
    let heard = Arc::clone(&told);
    let copy = Copy::new((Arc::clone(&store), "old"), (Arc::clone(&store), "new"))
        .with_progress(move |event| heard.lock().unwrap().push(event));
    // The look at the object comes first.
    world.server.fail(1, Fault::Denied);
    world.runtime.block_on(copy.run()).unwrap();
    let told = told.lock().unwrap();
    assert!(matches!(&told[0], Event::Warning(words) if words.contains("ACL")), "{told:?}");
    assert_eq!(world.header("b-1", "new", "x-cos-acl"), None);
}

#[test]
fn a_copy_that_is_stopped_leaves_no_upload() {
    let world = World::new();
    world.server.set_longest_copy(MIB);
    for vendor in Vendor::ALL {
        let store = world.bucket(vendor, "b-1");
        world.put(&store, "old", &plain(4 * MIB), &world.encryptor(vendor));
        let stop = StopSignal::new();
        stop.stop();
        let copy = Copy::new((Arc::clone(&store), "old"), (store, "new"))
            .with_longest_copy(MIB as u64)
            .with_part_size(MIB as u64)
            .with_stop(stop);
        let stopped = world.runtime.block_on(copy.run()).unwrap_err();
        assert!(matches!(stopped, TransferError::Stopped), "{stopped}");
        assert_eq!(world.server.open_uploads(), 0);
        assert!(world.server.object("b-1", "new").is_none());
    }
}

/// A stop that comes once the copy is there leaves the object at both places.
#[test]
fn a_move_that_is_stopped_deletes_nothing() {
    let world = World::new();
    let store = world.bucket(Vendor::Cos, "b-1");
    world.put(&store, "old", b"content", &world.encryptor(Vendor::Cos));
    let (stop, memory): (_, Arc<dyn Store>) = (StopSignal::new(), Arc::new(MemoryStore::new()));
    let given = stop.clone();
    let copy = Copy::new((Arc::clone(&store), "old"), (Arc::clone(&memory), "new"))
        .with_stop(stop)
        .with_progress(move |event| {
            if matches!(event, Event::Transferred(_)) {
                given.stop();
            }
        });
    let outcome = world.runtime.block_on(copy.run_and_delete());
    assert!(matches!(outcome, Err(TransferError::Stopped)), "{outcome:?}");
    for (store, key) in [(&store, "old"), (&memory, "new")] {
        assert!(world.read(store, key) == b"content", "{key}");
    }
}

#[test]
fn a_source_that_changes_is_noticed() {
    let world = World::new();
    let store = world.bucket(Vendor::Oss, "b-1");
    world.put(&store, "old", &plain(4 * MIB), &world.encryptor(Vendor::Oss));
    let (own, memory): (_, Arc<dyn Store>) = (world.server.clone(), Arc::new(MemoryStore::new()));
    let copy = Copy::new((store, "old"), (Arc::clone(&memory), "new"))
        .with_part_size(MIB as u64)
        .with_concurrency(1)
        .with_progress(move |event| {
            if matches!(event, Event::Transferred(_)) {
                own.store("b-1", "old", &plain(4 * MIB)[1..]);
            }
        });
    let failed = world.runtime.block_on(copy.run()).unwrap_err();
    assert!(matches!(failed, TransferError::Store(StoreError::Changed)), "{failed}");
    let gone = world.runtime.block_on(memory.head("new"));
    assert!(matches!(gone, Err(StoreError::NotFound)));
}

#[test]
fn what_may_be_the_object_itself_is_not_deleted() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let bucket = world.bucket(Vendor::Oss, "b-1");
    let same: [Arc<dyn Store>; 2] = [
        Arc::new(FolderStore::new(folder.path())),
        Arc::new(FolderStore::new(folder.path().join("."))),
    ];
    for [one, other] in [[Arc::clone(&bucket), bucket], same] {
        world.put(&one, "a", b"content", &world.encryptor(Vendor::Oss));
        for create_only in [true, false] {
            let copy = Copy::new((Arc::clone(&one), "a"), (Arc::clone(&other), "a"))
                .with_create_only(create_only);
            let refused = world.runtime.block_on(copy.run_and_delete());
            assert!(
                matches!(
                    refused,
                    Err(TransferError::SameObject | TransferError::Store(StoreError::Changed))
                ),
                "{refused:?}"
            );
            assert_eq!(world.read(&one, "a"), b"content");
        }
        // A real copy in the same second is another object.
        let copy = Copy::new((Arc::clone(&one), "a"), (Arc::clone(&other), "b"));
        world.runtime.block_on(copy.run_and_delete()).unwrap();
        assert_eq!(world.read(&one, "b"), b"content");
        assert!(world.runtime.block_on(one.head("a")).is_err());
    }
}

#[test]
fn a_copy_whose_answer_was_lost_is_recognized() {
    for fault in [Fault::CutAfter, Fault::ErrorAfter] {
        for vendor in Vendor::ALL {
            let world = World::new();
            let store = world.bucket(vendor, "b-1");
            world.put(&store, "old", b"content", &world.encryptor(vendor));
            for create_only in [true, false] {
                let to = format!("new {create_only}");
                let copy = Copy::new((Arc::clone(&store), "old"), (Arc::clone(&store), to))
                    .with_create_only(create_only);
                // Before it: two or four requests that look at both.
                world.server.fail(if create_only { 4 } else { 2 }, fault);
                let result = world.runtime.block_on(copy.run());
                assert_eq!(result.unwrap().way, CopyWay::Service, "{fault:?}");
            }
            // One that was there before is no proof that this one was made.
            let other = Attributes::new().with_access("private").headers(vendor).unwrap();
            let copy =
                Copy::new((Arc::clone(&store), "old"), (store, "new false")).with_headers(other);
            for n in 2..8 {
                world.server.fail(n, Fault::Error);
            }
            let failed = world.runtime.block_on(copy.run_and_delete());
            assert!(matches!(failed, Err(TransferError::Store(StoreError::Unavailable(_)))));
            world.server.heal();
            let access = world.header("b-1", "new false", vendor.access_header());
            assert_eq!(access.as_deref(), Some("public-read"));
            assert!(world.server.object("b-1", "old").is_some());
        }
    }
}

#[test]
fn what_is_demanded_is_verified() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let folder: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let oss = world.bucket(Vendor::Oss, "b-1");
    let encryptor = world.encryptor(Vendor::Oss);
    world.put(&folder, "good", b"content", &encryptor);
    let head = world.runtime.block_on(folder.head("good")).unwrap();
    let forged: Headers = head
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-oss-meta-"))
        .map(|(name, value)| {
            let mut value = value.clone();
            if name.ends_with("envelope-seal") {
                // In the tag, which is at its end.
                let at = value.len() - 8;
                let other = if value[at..].starts_with('A') { "B" } else { "A" };
                value.replace_range(at..=at, other);
            }
            (name.clone(), value)
        })
        .collect();
    let body = Bytes::from_static(b"content");
    for store in [&folder, &oss] {
        let put = store.put("forged", body.clone(), &forged, PutOptions::default());
        world.runtime.block_on(put).unwrap();
        let copy = |from: &str| {
            Copy::new((Arc::clone(store), from.to_owned()), (Arc::clone(&oss), "copy"))
        };
        let strict = world.decryptor().with_policy(Policy::default().require_seal());
        let refused = world.runtime.block_on(copy("forged").with_keys(&strict, &encryptor).run());
        assert!(matches!(refused, Err(TransferError::Decrypt(_))), "{refused:?}");
        let other = Decryptor::new(&Keyring::new().with(RsaKeyWrapper::generate(2048).unwrap()))
            .with_policy(Policy::default().require_seal());
        let refused = world.runtime.block_on(copy("forged").with_keys(&other, &encryptor).run());
        assert!(refused.is_err());
        assert!(world.server.object("b-1", "copy").is_none());
        // Whoever demands nothing copies what there is.
        world.runtime.block_on(copy("forged").run()).unwrap();
        world.runtime.block_on(oss.delete("copy")).unwrap();
    }
}

#[test]
fn plaintext_leaves_no_folder_unasked() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plain"), b"content").unwrap();
    let folder: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let oss = world.bucket(Vendor::Oss, "b-1");
    let copy = Copy::new((Arc::clone(&folder), "plain"), (Arc::clone(&oss), "copy"));
    let keys = (world.decryptor(), world.encryptor(Vendor::Oss));
    for copy in [copy.clone(), copy.clone().with_keys(&keys.0, &keys.1)] {
        let refused = world.runtime.block_on(copy.run()).unwrap_err();
        assert!(refused.is_not_encrypted(), "{refused}");
    }
    world.runtime.block_on(copy.with_plaintext(true).run()).unwrap();
    let back = Copy::new((oss, "copy"), (Arc::clone(&folder), "back"));
    assert!(world.runtime.block_on(back.run()).unwrap_err().is_not_encrypted());
    let within = Copy::new((Arc::clone(&folder), "plain"), (folder, "copy"));
    world.runtime.block_on(within.run()).unwrap();
}

#[test]
fn another_endpoint_may_be_another_service() {
    let (one, other) = (World::new(), World::new());
    for vendor in Vendor::ALL {
        let (from, to) = (one.bucket(vendor, "b-1"), other.bucket(vendor, "b-1"));
        one.put(&from, "a", b"content", &one.encryptor(vendor));
        let copy = Copy::new((from, "a"), (Arc::clone(&to), "a"));
        assert_eq!(one.runtime.block_on(copy.run()).unwrap().way, CopyWay::Streamed);
        assert_eq!(other.read(&to, "a"), b"content");
        let tags = format!("{}tagging", vendor.header_prefix());
        assert_eq!(other.header("b-1", "a", &tags).as_deref(), Some("project=a%20%26%20b"));
    }
}

#[test]
fn encryption_by_the_store_is_asked_for_as_a_whole() {
    let world = World::new();
    let store = world.bucket(Vendor::Cos, "b-1");
    world.put(&store, "old", b"content", &world.encryptor(Vendor::Cos));
    let context = ("x-cos-server-side-encryption-context", "eyJhIjoiYiJ9");
    let kms = ("x-cos-server-side-encryption", "cos/kms");
    let own = |pair: (&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
    let before = world.server.requests().len();
    let copy = Copy::new((Arc::clone(&store), "old"), (Arc::clone(&store), "new"))
        .with_server_side([own(kms), own(context)]);
    assert_eq!(world.runtime.block_on(copy.run()).unwrap().way, CopyWay::Service);
    assert_eq!(world.requests(before, "PUT", "new"), 1);
    assert_eq!(world.header("b-1", "new", kms.0).as_deref(), Some(kms.1));
    assert_eq!(world.server.last_header(context.0).as_deref(), Some(context.1));
}

#[test]
fn an_object_in_one_piece_passes_through_in_parts() {
    let world = World::new();
    let store = world.bucket(Vendor::Oss, "b-1");
    let (bytes, file) = (plain(3 * MIB), tempfile(&plain(3 * MIB)));
    let put = Put::new(Arc::clone(&store), "single");
    world.runtime.block_on(put.file(file.path(), &world.encryptor(Vendor::Oss), None)).unwrap();
    // OSS copies it, unless the copy is to have other metadata.
    let other = Attributes::new().with_metadata("a", "b").headers(Vendor::Oss).unwrap();
    let copy = Copy::new((Arc::clone(&store), "single"), (Arc::clone(&store), "a copy"))
        .with_part_size(MIB as u64)
        .with_headers(other);
    let refused = world.runtime.block_on(copy.run()).unwrap_err();
    assert!(matches!(refused, TransferError::NeedsKey(_)), "{refused}");
    let copy = copy.with_keys(&world.decryptor(), &world.encryptor(Vendor::Oss));
    let result = world.runtime.block_on(copy.run()).unwrap();
    assert_eq!((result.way, result.rewrapped), (CopyWay::Streamed, true));
    assert!(world.read(&store, "a copy") == bytes);
}

#[test]
fn a_file_that_is_written_meanwhile_is_noticed() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, plain(4 * MIB)).unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let copy = Copy::new((store, "file"), (Arc::clone(&memory), "copy"))
        .with_part_size(MIB as u64)
        .with_concurrency(1)
        .with_progress(move |event| {
            if matches!(event, Event::Transferred(_)) {
                let time = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(time).unwrap();
            }
        });
    let failed = world.runtime.block_on(copy.run()).unwrap_err();
    assert!(matches!(failed, TransferError::Store(StoreError::Changed)), "{failed}");
    assert!(world.runtime.block_on(memory.head("copy")).is_err());
}

#[test]
fn parts_that_the_object_states_do_not_fill_the_memory() {
    let world = World::new();
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let bytes = plain(3 * MIB);
    world.put(&memory, "large", &bytes, &world.encryptor(Vendor::Oss));
    // Where nobody compares the parts, they are ours.
    let cos = world.bucket(Vendor::Cos, "b-1");
    let copy = Copy::new((Arc::clone(&memory), "large"), (Arc::clone(&cos), "copy"))
        .with_keys(&world.decryptor(), &world.encryptor(Vendor::Cos))
        .with_part_size(2 * MIB as u64);
    let before = world.server.requests().len();
    world.runtime.block_on(copy.run()).unwrap();
    assert_eq!(world.requests(before, "PUT", "partNumber"), 2);
    assert!(world.read(&cos, "copy") == bytes);
}

/// The object that was copied is looked at before every attempt to delete it.
#[test]
fn no_attempt_deletes_what_a_colleague_has_written() {
    let world = World::new();
    for vendor in Vendor::ALL {
        let encryptor = world.encryptor(vendor);
        let (from, to) = (world.bucket(vendor, "b-1"), world.bucket(vendor, "b-2"));
        let theirs = Put::new(world.bucket(vendor, "b-1"), "key");
        let mut waited = 0;
        for n in 0..12 {
            world.server.heal();
            world.put(&from, "key", b"a file", &encryptor);
            let (put, of_colleague) = (theirs.clone(), encryptor.clone());
            let written = Arc::new(Mutex::new(false));
            let wrote = Arc::clone(&written);
            let copy = Copy::new((Arc::clone(&from), "key"), (Arc::clone(&to), "key"))
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
                            let put = put.stream(&b"theirs"[..], None, &of_colleague);
                            Runtime::new().unwrap().block_on(put).unwrap();
                        };
                        scope.spawn(write).join().unwrap();
                    });
                });
            world.server.fail(n, Fault::Error);
            let outcome = world.runtime.block_on(copy.run_and_delete());
            if *written.lock().unwrap() {
                waited += 1;
                assert!(outcome.is_err(), "{vendor:?} at {n}: {outcome:?}");
                assert_eq!(world.read(&from, "key"), b"theirs", "{vendor:?} at {n}");
            }
        }
        assert!(waited > 0, "{vendor:?}: no attempt was repeated here");
    }
}
