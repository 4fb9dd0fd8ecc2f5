//! Stores that lose, change and mix up what they are given, and users that ask for what cannot be.

#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use envelope_core::{
    AesKeyWrapper, ContentAlgorithm, Decryptor, Dialect, Encryptor, Envelope, Keyring, PartPlan,
    Policy, RsaKeyWrapper, SealOptions, Vendor, WrapAlgorithm,
};
use envelope_object_store::{EncryptedStore, Error};
use futures_util::{StreamExt as _, TryStreamExt as _, future::join_all, stream};
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt as _,
    PutPayload, limit::LimitStore, local::LocalFileSystem, path::Path,
};

use self::common::{Lie, Memory};

struct Bench {
    key: AesKeyWrapper,
    store: EncryptedStore<Memory>,
}

fn bench() -> Bench {
    let key = AesKeyWrapper::generate().unwrap();
    let encryptor = Encryptor::new(&key, Dialect::COS_V2);
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    Bench { store: EncryptedStore::new(Memory::default(), encryptor, decryptor), key }
}

fn film() -> Bytes {
    (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn source(error: object_store::Error) -> Error {
    match error {
        object_store::Error::Generic { source, .. }
        | object_store::Error::NotSupported { source } => *source.downcast().unwrap(),
        error => panic!("{error}"),
    }
}

async fn body(store: &impl ObjectStore, path: &Path) -> object_store::Result<Bytes> {
    store.get(path).await?.bytes().await
}

#[tokio::test]
async fn metadata_that_is_not_kept_is_noticed() {
    let path = Path::from("a");
    for lie in [Lie::DropOnPut, Lie::CutValues] {
        let Bench { store, .. } = bench();
        store.inner().tell(lie);
        let error = store.put(&path, film().into()).await.unwrap_err();
        assert!(error.to_string().contains("at a now"), "{error}");
        assert!(matches!(source(error), Error::EnvelopeLost { .. }), "{lie:?}");
        // Who does not want to know is not told.
        store.clone().without_checked_writes().put(&path, film().into()).await.unwrap();
    }
    for lie in [Lie::DropOnMultipart, Lie::CutValues] {
        let Bench { store, .. } = bench();
        store.inner().tell(lie);
        let mut upload = store.put_multipart(&path).await.unwrap();
        upload.put_part(film().into()).await.unwrap();
        let error = upload.complete().await.unwrap_err();
        assert!(matches!(source(error), Error::EnvelopeLost { .. }), "{lie:?}");
    }
    // What was there before is left over, or is all that is there, whatever the length.
    for (lie, len) in [(Lie::Merge, 9), (Lie::KeepOld, 1000), (Lie::KeepOld, 9)] {
        let Bench { store, .. } = bench();
        let encrypted = Path::from("encrypted");
        store.put(&encrypted, film().slice(..len).into()).await.unwrap();
        if lie == Lie::KeepOld {
            // Even if what was kept is an envelope.
            store.inner().tell(Lie::KeepOldTag);
            let error = store.put(&encrypted, film().slice(..len).into()).await.unwrap_err();
            assert!(matches!(source(error), Error::EnvelopeLost { .. }), "{len}");
            store.inner().tell(Lie::UpperCase);
        }
        let stale = Attribute::Metadata("client-side-encryption-unencrypted-content-md5".into());
        let stale: Attributes = [(stale, "x")].into_iter().collect();
        store.inner().put_opts(&path, "old".into(), stale.into()).await.unwrap();
        store.inner().tell(lie);
        let error = store.put(&path, film().slice(..len).into()).await.unwrap_err();
        assert!(matches!(source(error), Error::EnvelopeLost { .. }), "{lie:?} {len}");
    }
}

#[tokio::test]
async fn a_source_is_deleted_only_for_a_whole_copy_of_it() {
    let (path, other) = (Path::from("a"), Path::from("b"));
    for lie in [Lie::DropOnCopy, Lie::CutCopy, Lie::Denied] {
        let Bench { store, .. } = bench();
        store.put(&path, film().into()).await.unwrap();
        // Not even whoever trusts the store loses an object.
        for store in [store.clone(), store.clone().without_checked_writes()] {
            store.inner().tell(lie);
            store.rename(&path, &other).await.unwrap_err();
            assert!(store.inner().inner.head(&path).await.is_ok(), "{lie:?}");
        }
    }
    let Bench { store, .. } = bench();
    store.put(&path, film().into()).await.unwrap();
    store.inner().tell(Lie::ReplaceSource);
    let error = store.rename(&path, &other).await.unwrap_err();
    assert!(!matches!(error, object_store::Error::NotFound { .. }), "{error}");
    let kept = body(&store.inner().inner, &path).await.unwrap();
    assert_eq!(kept, "another", "what somebody else wrote is still there");
    assert_eq!(body(&store, &other).await.unwrap(), film());
}

#[tokio::test]
async fn a_body_of_another_length_is_noticed_after_it_was_written() {
    let path = Path::from("a");
    let Bench { store, .. } = bench();
    store.inner().tell(Lie::OtherLen);
    let error = store.put(&path, film().into()).await.unwrap_err();
    assert!(matches!(source(error), Error::OtherBytes { .. }));
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part(film().into()).await.unwrap();
    let error = upload.complete().await.unwrap_err();
    assert!(matches!(source(error), Error::OtherBytes { .. }));
    // It is told again, and not completed again; and nothing is left to abort.
    let error = upload.complete().await.unwrap_err();
    assert!(matches!(source(error), Error::OtherBytes { .. }));
    upload.abort().await.unwrap();
    store.inner().tell(Lie::UpperCase);
    upload.complete().await.unwrap();
    assert_eq!(body(&store, &path).await.unwrap(), film());

    store.inner().tell(Lie::Denied);
    let error = store.put(&path, film().into()).await.unwrap_err();
    assert!(error.to_string().contains("was written to a"), "{error}");
    assert!(matches!(source(error), Error::NotChecked { .. }));
}

#[tokio::test]
async fn an_upload_without_parts_is_an_empty_object() {
    let path = Path::from("a");
    let Bench { store, .. } = bench();
    store.put_multipart(&path).await.unwrap().complete().await.unwrap();
    assert_eq!(store.head(&path).await.unwrap().size, 0);
    assert!(body(&store, &path).await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_is_written_that_could_not_be_read() {
    let path = Path::from("a");
    let key = AesKeyWrapper::generate().unwrap();
    let keyring = Keyring::new().with(key.clone());
    let encryptor = || Encryptor::new(&key, Dialect::COS_V2);
    let plan = PartPlan::new(5 << 20, 1 << 20, Dialect::COS_V2).unwrap();
    let of_one = [
        encryptor().with_plain_len(9),
        encryptor().with_parts(plan),
        encryptor().with_plain_md5([7; 16]),
    ];
    for (n, encryptor) in of_one.into_iter().enumerate() {
        let store = EncryptedStore::new(Memory::default(), encryptor, Decryptor::new(&keyring));
        let upload = store.put_multipart(&path).await;
        assert!(matches!(source(upload.unwrap_err()), Error::OneObject), "{n}");
        match store.put(&path, film().into()).await {
            // The length of every object is set anew.
            Ok(_) => assert_eq!((n, body(&store, &path).await.unwrap()), (0, film())),
            Err(error) => assert!(n > 0 && matches!(source(error), Error::OneObject), "{n}"),
        }
    }
    for policy in [
        Policy::default().require_seal(),
        Policy::default().require_key_check(),
        Policy::default().authenticated_only(),
        Policy::default().deny_wrap(WrapAlgorithm::AesKeyWrap),
    ] {
        let decryptor = Decryptor::new(&keyring).with_policy(policy);
        let store = EncryptedStore::new(Memory::default(), encryptor(), decryptor);
        let error = store.put(&path, film().into()).await.unwrap_err();
        assert!(matches!(source(error), Error::Policy(_)));
        let error = store.put_multipart(&path).await.unwrap_err();
        assert!(matches!(source(error), Error::Policy(_)));
        assert!(store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty());
    }
    // The seal of a whole body satisfies the strictest, that of an upload in parts does not.
    let strict = Policy::default().authenticated_only().require_seal();
    let decryptor = Decryptor::new(&keyring).with_policy(strict);
    let store = EncryptedStore::new(Memory::default(), encryptor(), decryptor);
    let store = store.with_seal(SealOptions::new());
    store.put(&path, film().into()).await.unwrap();
    assert_eq!(body(&store, &path).await.unwrap(), film());
    assert!(matches!(source(store.put_multipart(&path).await.unwrap_err()), Error::Policy(_)));
}

/// A store that allows one request at a time.
#[tokio::test]
async fn no_request_waits_for_another() {
    let (path, plain) = (Path::from("a"), Path::from("plain"));
    let Bench { key, .. } = bench();
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    let encryptor = Encryptor::new(&key, Dialect::COS_V2);
    let store = EncryptedStore::new(LimitStore::new(Memory::default(), 1), encryptor, decryptor);
    store.inner().put(&plain, film().into()).await.unwrap();
    let work = async {
        store.put(&path, film().into()).await.unwrap();
        store.copy(&path, &Path::from("b")).await.unwrap();
        store.rename(&path, &Path::from("c")).await.unwrap();
        body(&store, &Path::from("c")).await.unwrap();
        store.get_range(&Path::from("b"), 3..9).await.unwrap();
        store.get(&plain).await.unwrap_err();
        store.head(&plain).await.unwrap_err();
        store.copy(&plain, &path).await.unwrap_err();
        store.rename(&plain, &path).await.unwrap_err();
        store.delete(&Path::from("b.instruction")).await.unwrap();
        store.delete(&Path::from("b")).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it waits for itself");
}

/// COS Java keeps the only key of some objects in another one.
#[tokio::test]
async fn an_instruction_file_is_not_lost() {
    let (path, file) = (Path::from("a"), Path::from("a.instruction"));
    let Bench { key, store } = bench();
    store.inner().put(&path, film().into()).await.unwrap();
    store.inner().put(&file, "{}".into()).await.unwrap();
    let policy = Policy::default().allow_plaintext();
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone())).with_policy(policy);
    let memory = Arc::new(Memory::default());
    for from in [&path, &file] {
        let bytes = body(&store.inner().inner, from).await.unwrap();
        memory.put(from, bytes.into()).await.unwrap();
    }
    let lax = EncryptedStore::new(memory, Encryptor::new(&key, Dialect::COS_V2), decryptor);
    let kept = |error| matches!(source(error), Error::InstructionFile { .. });
    assert!(kept(store.put(&file, "x".into()).await.unwrap_err()));
    assert!(kept(store.put_multipart(&file).await.unwrap_err()));
    assert!(kept(store.delete(&file).await.unwrap_err()));
    assert!(kept(lax.rename(&file, &Path::from("b")).await.unwrap_err()));
    assert!(kept(lax.copy(&Path::from("a.instruction"), &file).await.unwrap_err()));
    assert_eq!(body(&store.inner().inner, &file).await.unwrap(), "{}");
    // What is deleted beside it is deleted, and in order: it goes with its object.
    for name in ["x", "y"] {
        store.put(&Path::from(name), "x".into()).await.unwrap();
    }
    let paths = ["x", "a.instruction", "y"].map(|path| Ok(Path::from(path)));
    let outcomes: Vec<_> = store.delete_stream(stream::iter(paths).boxed()).collect().await;
    assert_eq!(outcomes.len(), 3);
    assert!(outcomes[0].is_ok() && outcomes[1].is_err() && outcomes[2].is_ok());
    let both = ["a", "a.instruction"].map(|path| Ok(Path::from(path)));
    let outcomes: Vec<_> = store.delete_stream(stream::iter(both).boxed()).collect().await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!(store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty());
    store.inner().put(&path, film().into()).await.unwrap();
    store.inner().put(&file, "{}".into()).await.unwrap();
    // Once the object has an envelope of its own, the file is one like any other.
    store.put(&path, film().into()).await.unwrap();
    store.delete(&file).await.unwrap();
    store.put(&Path::from(".instruction"), "x".into()).await.unwrap();

    // It belongs to the current version of its object, if at all.
    lax.inner().put(&path, film().into()).await.unwrap();
    let old = GetOptions::new().with_version(Some("1"));
    let error = lax.get_opts(&path, old).await.unwrap_err();
    assert!(matches!(source(error), Error::OldInstruction));
}

/// Another name for the same things, which must not be taken for the absence of encryption.
#[tokio::test]
async fn an_envelope_of_the_other_vendor_is_not_plaintext() {
    let path = Path::from("a");
    let key = RsaKeyWrapper::generate(2048).unwrap();
    let policy = Policy::every_algorithm().allow_plaintext();
    let decryptor = Decryptor::new(&Keyring::new().with(key)).with_policy(policy);
    for (vendor, name) in [(Vendor::Cos, "oss-crypto-key"), (Vendor::Oss, "x-cos-key-v2")] {
        let store = EncryptedStore::read_only(Memory::default(), vendor, decryptor.clone());
        let attributes: Attributes =
            [(Attribute::Metadata(name.into()), "AAAA")].into_iter().collect();
        store.inner().put_opts(&path, film().into(), attributes.into()).await.unwrap();
        for error in [
            store.get(&path).await.unwrap_err(),
            store.head(&path).await.unwrap_err(),
            store.get_range(&path, 0..9).await.unwrap_err(),
        ] {
            assert!(matches!(source(error), Error::OtherVendor { .. }), "{vendor:?}");
        }
    }
}

#[tokio::test]
async fn a_store_without_metadata_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let inner = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let key = AesKeyWrapper::generate().unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    let store = EncryptedStore::new(inner, Encryptor::new(&key, Dialect::COS_V2), decryptor);
    let path = Path::from("a");
    let error = store.put(&path, film().into()).await.unwrap_err();
    assert!(matches!(error, object_store::Error::NotImplemented { .. }), "{error}");
    assert!(store.put_multipart(&path).await.is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // Nor does it pass on what is not encrypted.
    store.inner().put(&path, film().into()).await.unwrap();
    assert!(matches!(source(store.get(&path).await.unwrap_err()), Error::Policy(_)));
}

#[tokio::test]
async fn bodies_that_are_not_what_was_asked_for() {
    let path = Path::from("a");
    let Bench { store, .. } = bench();
    store.put(&path, film().into()).await.unwrap();
    // Nothing states the length of what was uploaded in parts.
    let parts = Path::from("parts");
    let mut upload = store.put_multipart(&parts).await.unwrap();
    upload.put_part(film().into()).await.unwrap();
    upload.complete().await.unwrap();
    for lie in [Lie::EndEarly, Lie::EndLate] {
        store.inner().tell(lie);
        let error = body(&store, &parts).await.unwrap_err();
        assert!(matches!(source(error), Error::OtherBytes { .. }), "{lie:?}");
        // A whole object is checked by what the envelope says, too.
        assert!(body(&store, &path).await.is_err(), "{lie:?}");
        let error = store.get_range(&path, 50..5000).await.unwrap_err();
        assert!(matches!(source(error), Error::OtherBytes { .. }), "{lie:?}");
    }
    store.inner().tell(Lie::OtherLen);
    assert!(matches!(source(store.get(&path).await.unwrap_err()), Error::OtherBytes { .. }));
    assert!(matches!(source(store.head(&path).await.unwrap_err()), Error::Integrity(_)));
    assert!(matches!(source(store.get_range(&path, 0..9).await.unwrap_err()), Error::Integrity(_)));
    store.inner().tell(Lie::OtherRange);
    for range in [GetRange::Bounded(50..60), GetRange::Offset(99_000), GetRange::Suffix(10)] {
        let options = GetOptions::new().with_range(Some(range.clone()));
        let error = store.get_opts(&path, options).await.unwrap_err();
        assert!(matches!(source(error), Error::OtherBytes { .. }), "{range:?}");
    }
}

#[tokio::test]
async fn a_seal_notices_what_was_changed_and_swapped() {
    let (a, b) = (Path::from("a"), Path::from("b"));
    let Bench { key, store } = bench();
    let store = store.with_seal(SealOptions::new());
    store.put(&a, film().into()).await.unwrap();
    assert_eq!(body(&store, &a).await.unwrap(), film());
    assert_eq!(store.get_range(&a, 3..70_000).await.unwrap(), film().slice(3..70_000));

    // The service copies seals as they are.
    assert!(matches!(source(store.copy(&a, &b).await.unwrap_err()), Error::NameBound));
    assert!(matches!(source(store.rename(&a, &b).await.unwrap_err()), Error::NameBound));
    store.inner().inner.copy(&a, &b).await.unwrap();
    assert!(matches!(source(body(&store, &b).await.unwrap_err()), Error::Decrypt(_)));
    assert!(matches!(source(store.get_range(&b, 0..9).await.unwrap_err()), Error::Decrypt(_)));

    store.inner().tell(Lie::Flip);
    let mut stream = store.get(&a).await.unwrap().into_stream();
    let mut end = None;
    while let Some(chunk) = stream.next().await {
        end = Some(chunk);
    }
    assert!(matches!(source(end.unwrap().unwrap_err()), Error::Integrity(_)));
    // Without a seal, it is not noticed.
    let unsealed = EncryptedStore::new(
        Memory::default(),
        Encryptor::new(&key, Dialect::COS_V2),
        Decryptor::new(&Keyring::new().with(key)),
    );
    unsealed.put(&a, film().into()).await.unwrap();
    unsealed.inner().tell(Lie::Flip);
    assert_ne!(body(&unsealed, &a).await.unwrap(), film());

    // The seal of an upload in parts covers its metadata and its name.
    let mut upload = store.put_multipart(&b).await.unwrap();
    upload.put_part("a film".into()).await.unwrap();
    upload.complete().await.unwrap();
    let found = store.get(&b).await.unwrap();
    let seal = found.extensions.get::<Envelope>().unwrap().seal().unwrap();
    assert!(seal.terms().name_bound && !seal.is_full());
}

#[tokio::test]
async fn parts_of_any_length_in_any_order() {
    let (path, film) = (Path::from("a"), film());
    let Bench { store, .. } = bench();
    let lens = [1, 0, 15, 16, 17, 4095, 50_000, 3, 45_000, 853];
    let mut upload = store.put_multipart(&path).await.unwrap();
    let mut at = 0;
    let mut sent: Vec<_> = lens
        .iter()
        .map(|len| {
            // A part in pieces.
            let part = film.slice(at..at + len);
            at += len;
            let middle = part.len() / 3;
            let payload = PutPayload::from_iter([part.slice(..middle), part.slice(middle..)]);
            upload.put_part(payload)
        })
        .collect();
    sent.reverse();
    join_all(sent).await.into_iter().collect::<object_store::Result<()>>().unwrap();
    upload.complete().await.unwrap();
    assert_eq!(at, film.len());
    assert_eq!(body(&store, &path).await.unwrap(), film);
    for range in [0..1, 15..17, 16..32, 31..4200, 99_999..100_000] {
        let (start, end) = (range.start as usize, range.end as usize);
        assert_eq!(store.get_range(&path, range).await.unwrap(), film.slice(start..end));
    }
    let many = [5..9, 70_000..70_001, 99_000..100_000, 6..7];
    let slices = store.get_ranges(&path, &many).await.unwrap();
    for (range, slice) in many.into_iter().zip(slices) {
        assert_eq!(slice, film.slice(range.start as usize..range.end as usize));
    }
    let stored = body(&store.inner().inner, &path).await.unwrap();
    assert!(stored.len() == film.len() && stored != film);
}

/// AES-GCM is written by others: its plaintext ends before the body does.
#[tokio::test]
async fn sizes_and_ranges_of_the_plaintext() {
    let (path, film) = (Path::from("a"), film());
    let key = RsaKeyWrapper::generate(2048).unwrap();
    let keyring = Keyring::new().with(key.clone());
    let strict = Decryptor::new(&keyring);
    let store = EncryptedStore::read_only(Memory::default(), Vendor::Cos, strict);
    let object = Encryptor::new(&key, Dialect::COS_V2).encrypt_gcm().unwrap();
    let attributes: Attributes = object
        .headers()
        .iter()
        .map(|(name, value)| {
            let name = name.strip_prefix("x-cos-meta-").unwrap();
            (Attribute::Metadata(name.into()), value.clone())
        })
        .collect();
    let sealed = object.into_cipher().seal(film.to_vec()).unwrap();
    store.inner().put_opts(&path, sealed.into(), attributes.into()).await.unwrap();

    assert_eq!(store.head(&path).await.unwrap().size, film.len() as u64);
    let found = store.get(&path).await.unwrap();
    assert_eq!((found.meta.size, found.range.clone()), (100_000, 0..100_000));
    assert!(found.attributes.is_empty(), "none of the user's");
    let content = found.extensions.get::<Envelope>().unwrap().content_algorithm();
    assert_eq!(content, ContentAlgorithm::Aes256Gcm);
    assert_eq!(found.bytes().await.unwrap(), film);

    let error = store.get_range(&path, 0..9).await.unwrap_err();
    assert!(matches!(error, object_store::Error::NotSupported { .. }), "{error}");
    let policy = Policy::default().allow_unauthenticated_ranges();
    let decryptor = Decryptor::new(&keyring).with_policy(policy);
    let lax = EncryptedStore::read_only(Arc::new(Memory::default()), Vendor::Cos, decryptor);
    let inner = lax.inner();
    let (stored, extra) = {
        let found = store.inner().inner.get(&path).await.unwrap();
        (found.attributes.clone(), found.bytes().await.unwrap())
    };
    inner.put_opts(&path, extra.into(), stored.into()).await.unwrap();
    let cases = [
        (GetRange::Suffix(0), 100_000..100_000),
        (GetRange::Bounded(17..99), 17..99),
        (GetRange::Bounded(99_990..200_000), 99_990..100_000),
        (GetRange::Offset(99_990), 99_990..100_000),
        (GetRange::Suffix(10), 99_990..100_000),
        (GetRange::Suffix(1_000_000), 0..100_000),
    ];
    for (range, want) in cases {
        let options = GetOptions::new().with_range(Some(range.clone()));
        let found = lax.get_opts(&path, options).await.unwrap();
        assert_eq!((found.range.clone(), found.meta.size), (want.clone(), 100_000), "{range:?}");
        let want = film.slice(want.start as usize..want.end as usize);
        assert_eq!(found.bytes().await.unwrap(), want, "{range:?}");
    }
    // A second request must be for the same object.
    for lie in [Lie::ReplaceAfterGet, Lie::NoTags] {
        let kept = inner.inner.get(&path).await.unwrap();
        let attributes = kept.attributes.clone();
        let bytes = kept.bytes().await.unwrap();
        inner.tell(lie);
        let suffix = GetOptions::new().with_range(Some(GetRange::Suffix(10)));
        let error = lax.get_opts(&path, suffix).await.unwrap_err();
        assert!(matches!(error, object_store::Error::Precondition { .. }), "{lie:?} {error}");
        inner.inner.put_opts(&path, bytes.into(), attributes.into()).await.unwrap();
        inner.tell(Lie::UpperCase);
    }
    for range in [GetRange::Bounded(100_000..100_010), GetRange::Offset(100_003)] {
        let options = GetOptions::new().with_range(Some(range.clone()));
        assert!(lax.get_opts(&path, options).await.is_err(), "{range:?}");
    }
}

#[tokio::test]
async fn names_of_the_envelope_are_not_the_users() {
    let path = Path::from("a");
    let Bench { store, .. } = bench();
    let names = [
        "client-side-encryption-key",
        "Client-Side-Encryption-Key",
        "client-side-encryption-data-size",
        "ENVELOPE-SEAL",
        "x-cos-key-v2",
    ];
    for name in names {
        let attributes: Attributes =
            [(Attribute::Metadata(name.into()), "x")].into_iter().collect();
        let error = store.put_opts(&path, film().into(), attributes.clone().into()).await;
        assert!(matches!(source(error.unwrap_err()), Error::ReservedName { .. }), "{name}");
        let upload = store.put_multipart_opts(&path, attributes.into()).await;
        assert!(matches!(source(upload.unwrap_err()), Error::ReservedName { .. }), "{name}");
    }
    for (name, value) in [("name", "é"), ("name", "a\nb"), ("name", "\u{7f}")] {
        let attributes: Attributes =
            [(Attribute::Metadata(name.into()), value)].into_iter().collect();
        let error = store.put_opts(&path, film().into(), attributes.into()).await.unwrap_err();
        assert!(matches!(source(error), Error::AttributeValue { .. }), "{value:?}");
    }
    assert!(store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_policy_decides() {
    let path = Path::from("a");
    let Bench { key, store } = bench();
    store.inner().put(&path, film().into()).await.unwrap();
    for outcome in [
        store.get(&path).await.err(),
        store.head(&path).await.err(),
        store.get_range(&path, 0..1).await.err(),
        store.copy(&path, &Path::from("b")).await.err(),
        store.rename(&path, &path).await.err(),
    ] {
        assert!(matches!(source(outcome.unwrap()), Error::Policy(_)));
    }
    let keyring = Keyring::new().with(key.clone());
    let lax = Decryptor::new(&keyring).with_policy(Policy::default().allow_plaintext());
    let inner = Arc::new(Memory::default());
    inner.put(&path, film().into()).await.unwrap();
    let lax = EncryptedStore::read_only(Arc::clone(&inner), Vendor::Oss, lax);
    assert_eq!(body(&lax, &path).await.unwrap(), film());
    assert_eq!(lax.get_range(&path, 3..9).await.unwrap(), film().slice(3..9));
    assert!(matches!(source(lax.put(&path, "".into()).await.unwrap_err()), Error::ReadOnly));
    assert!(matches!(source(lax.put_multipart(&path).await.unwrap_err()), Error::ReadOnly));
    let other = Path::from("b");
    assert!(matches!(source(lax.copy(&path, &other).await.unwrap_err()), Error::ReadOnly));
    assert!(matches!(source(lax.rename(&path, &other).await.unwrap_err()), Error::ReadOnly));
    assert!(matches!(source(lax.delete(&path).await.unwrap_err()), Error::ReadOnly));
    assert_eq!(body(&lax, &path).await.unwrap(), film());

    // With another key, nothing is returned at all.
    store.put(&path, film().into()).await.unwrap();
    let other = Keyring::new().with(AesKeyWrapper::generate().unwrap());
    let inner = Arc::new(Memory::default());
    let found = store.inner().inner.get(&path).await.unwrap();
    let attributes = found.attributes.clone();
    inner.put_opts(&path, found.bytes().await.unwrap().into(), attributes.into()).await.unwrap();
    let locked = EncryptedStore::read_only(inner, Vendor::Cos, Decryptor::new(&other));
    assert!(matches!(source(locked.get(&path).await.unwrap_err()), Error::Decrypt(_)));
    assert!(matches!(source(locked.get_range(&path, 0..1).await.unwrap_err()), Error::Decrypt(_)));
    // Sizes need no key, and have no body.
    let head = GetOptions::new().with_head(true).with_range(Some(0..5));
    let head = locked.get_opts(&path, head).await.unwrap();
    assert_eq!(head.range, 0..film().len() as u64);
    assert!(head.bytes().await.unwrap().is_empty());
    assert_eq!(locked.head(&path).await.unwrap().size, film().len() as u64);
}

#[tokio::test]
async fn an_object_renamed_to_itself_is_still_there() {
    let path = Path::from("a");
    let Bench { store, .. } = bench();
    store.put(&path, film().into()).await.unwrap();
    store.rename(&path, &path).await.unwrap();
    let error = store.rename_if_not_exists(&path, &path).await.unwrap_err();
    assert!(matches!(error, object_store::Error::AlreadyExists { .. }), "{error}");
    assert_eq!(body(&store, &path).await.unwrap(), film());
    let none = Path::from("none");
    let error = store.rename(&none, &none).await.unwrap_err();
    assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn one_request_reads_and_two_write() {
    let path = Path::from("a");
    let Bench { store, .. } = bench();
    store.put(&path, film().into()).await.unwrap();
    assert_eq!(store.inner().heads.load(Relaxed), 1);
    store.get_range(&path, 3..9).await.unwrap();
    body(&store, &path).await.unwrap();
    assert_eq!((store.inner().heads.load(Relaxed), store.inner().gets.load(Relaxed)), (1, 2));
    let shown = format!("{store:?} {store}");
    assert!(shown.contains("cos-v2") && shown.ends_with("EncryptedStore(Memory)"), "{shown}");
}
