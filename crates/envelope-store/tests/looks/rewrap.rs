//! Rewraps of an object that looks wrong afterwards.

use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
};

use bytes::Bytes;
use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
use envelope_store::{
    Event, FolderStore, Get, GetOptions, Put, PutOptions, Rewrap, Rewrapped, StopSignal, Store,
    StoreError, TransferError,
};
use futures_util::TryStreamExt as _;

use super::{
    RETRY,
    mirror::{Mirror, PLAIN, Shows},
};

/// Rewraps the object of a mirror that shows something, and leaves copies in a folder.
async fn rewrap(
    mirror: &Arc<Mirror>,
    shows: Shows,
    (old, new): (&AesKeyWrapper, &AesKeyWrapper),
    rewrap: Rewrap,
) -> Result<Rewrapped, TransferError> {
    mirror.show(shows);
    let old = Decryptor::new(&Keyring::new().with(old.clone()));
    let encryptor = Encryptor::new(new, Dialect::COS_V2);
    rewrap.with_retry(RETRY).run(&old, &encryptor).await
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn headers_are_replaced_only_if_the_object_shows_it() {
    let keys = (&AesKeyWrapper::generate().unwrap(), &AesKeyWrapper::generate().unwrap());
    for shows in [
        Shows::Truth,
        Shows::OtherTag,
        Shows::OtherSum,
        Shows::OtherSumAndTag,
        Shows::OtherLen,
        Shows::Before,
        Shows::BeforeButLen,
        Shows::NoEnvelope,
        Shows::NoEnvelopeNorBytes,
        Shows::OtherEnvelope,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(keys.0).await;
        let job = Rewrap::new(mirror.clone(), "key").with_folder(folder.path());
        let outcome = rewrap(&mirror, shows, keys, job.clone()).await;
        let copies = mirror.copies.load(Ordering::Relaxed);
        match shows {
            // The checksum or the tag is enough to know the bytes.
            Shows::Truth | Shows::OtherTag | Shows::OtherSum => {
                assert_eq!(outcome.unwrap(), Rewrapped::InPlace, "{shows:?}");
            }
            Shows::OtherSumAndTag | Shows::OtherLen => {
                let is_kept = matches!(outcome, Err(TransferError::Damaged { removed: false, .. }));
                assert!(is_kept, "{shows:?}: {outcome:?}");
            }
            Shows::Before => {
                assert!(matches!(outcome, Err(TransferError::Corrupt(_))), "{outcome:?}");
            }
            Shows::NoEnvelope => {
                let Err(TransferError::Kept { path, .. }) = outcome else { panic!("{outcome:?}") };
                assert_eq!(copies, 3);
                let kept = std::fs::read_to_string(&path).unwrap();
                assert!(kept.contains("client-side-encryption-key"), "{kept}");
                let name = path.file_name().unwrap().to_str().unwrap();
                assert!(name.starts_with("rewrap-"), "{name}");

                // With a journal, the copy tells of which object it is.
                assert!(!mirror.opens_with(keys.0).await);
                let mirror = Mirror::new(keys.0).await;
                let job = Rewrap::new(mirror.clone(), "key").with_folder(folder.path());
                let job = job.with_journal(folder.path().join("of-the-object.json"));
                rewrap(&mirror, shows, keys, job).await.unwrap_err();
                let is_named = |name: &String| name.starts_with("of-the-object-");
                assert_eq!(names(folder.path()).iter().filter(|it| is_named(it)).count(), 1);
                continue;
            }
            _ => {
                let changed = matches!(outcome, Err(TransferError::Store(StoreError::Changed)));
                assert!(changed, "{shows:?}: {outcome:?}");
            }
        }
        assert_eq!(copies, 1, "{shows:?}");
        assert!(names(folder.path()).is_empty(), "{shows:?}");
        // What really happened: the mirror has the new headers.
        assert!(mirror.opens_with(keys.1).await, "{shows:?}");
    }
}

#[tokio::test]
async fn an_old_look_is_not_believed() {
    let keys = (&AesKeyWrapper::generate().unwrap(), &AesKeyWrapper::generate().unwrap());
    let (alone, shared) = (Mirror::new(keys.0).await, Mirror::new(keys.0).await);
    let job = |mirror: &Arc<Mirror>| Rewrap::new(mirror.clone(), "key");
    let (alone_outcome, shared_outcome) = tokio::join!(
        rewrap(&alone, Shows::SlowAccess, keys, job(&alone)),
        rewrap(&shared, Shows::SlowAccessAndColleague, keys, job(&shared)),
    );
    assert_eq!(alone_outcome.unwrap(), Rewrapped::InPlace);
    let changed = matches!(shared_outcome, Err(TransferError::Store(StoreError::Changed)));
    assert!(changed, "{shared_outcome:?}");
    assert_eq!(shared.copies.load(Ordering::Relaxed), 0);
    let there = shared.store.head("key").await.unwrap();
    assert_eq!(there.header("x-cos-meta-note"), Some("theirs"));
}

#[tokio::test]
async fn a_copy_stays_if_an_upload_may_have_replaced_the_object() {
    let keys = (&AesKeyWrapper::generate().unwrap(), &AesKeyWrapper::generate().unwrap());
    let old = Decryptor::new(&Keyring::new().with(keys.0.clone()));
    for shows in [Shows::NoUpload, Shows::HalfUpload] {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(keys.0).await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&told);
        let job = Rewrap::new(mirror.clone(), "key")
            .with_reupload(true)
            .with_folder(folder.path())
            .with_progress(move |event| own.lock().unwrap().push(event));
        let outcome = rewrap(&mirror, shows, keys, job).await;
        let told = told.lock().unwrap().iter().find_map(|event| match event {
            Event::Kept(path) => Some(path.clone()),
            _ => None,
        });
        match outcome {
            // The object is what it was.
            Err(TransferError::Store(StoreError::Refused(_))) => {
                assert_eq!(shows, Shows::NoUpload);
                assert!(names(folder.path()).is_empty());
                assert!(mirror.opens_with(keys.0).await);
            }
            Err(TransferError::Kept { path, .. }) => {
                assert_eq!(shows, Shows::HalfUpload);
                assert_eq!(told, Some(path.clone()));
                let name = path.file_name().unwrap().to_str().unwrap();
                let get = Get::new(Arc::new(FolderStore::new(folder.path())), name);
                let kept = get.decrypt(&old).await.unwrap().read_to_end().await.unwrap();
                assert_eq!(kept, PLAIN);
            }
            other => panic!("{shows:?}: {other:?}"),
        }
    }
}

/// A run that was killed while it uploaded the object again leaves an upload open, and its journal.
#[tokio::test]
async fn the_upload_of_an_earlier_run_is_ended() {
    let keys = (&AesKeyWrapper::generate().unwrap(), &AesKeyWrapper::generate().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (file, journal) = (folder.path().join("file"), folder.path().join("journal"));
    std::fs::write(&file, vec![7; 3 << 20]).unwrap();
    let mirror = Mirror::new(keys.0).await;
    let encryptor = Encryptor::new(keys.1, Dialect::COS_V2);
    let stop = StopSignal::new();
    let given = stop.clone();
    let put = Put::new(mirror.clone(), "key")
        .with_threshold(1000)
        .with_part_size(1 << 20)
        .with_concurrency(1)
        .with_journal(&journal)
        .with_stop(stop)
        .with_progress(move |_| given.stop());
    let stopped = put.file(&file, &encryptor, None).await;
    assert!(matches!(stopped, Err(TransferError::Stopped)), "{stopped:?}");
    assert_eq!(mirror.list_multipart_uploads("key").await.unwrap().len(), 1);

    // One that replaces headers leaves it alone.
    let job = Rewrap::new(mirror.clone(), "key").with_folder(folder.path()).with_journal(&journal);
    rewrap(&mirror, Shows::Truth, keys, job.clone()).await.unwrap();
    assert_eq!(mirror.list_multipart_uploads("key").await.unwrap().len(), 1);
    let job = job.with_reupload(true);
    rewrap(&mirror, Shows::Truth, (keys.1, keys.0), job).await.unwrap();
    assert_eq!(mirror.list_multipart_uploads("key").await.unwrap(), []);
    assert!(!journal.exists());
}

#[tokio::test]
async fn debug_output_names_the_new_keys_and_shows_none() {
    let key = AesKeyWrapper::new(b"0123456789abcdef0123456789abcdef").unwrap();
    let new = Decryptor::new(&Keyring::new().with(key));
    let mirror = Mirror::new(&AesKeyWrapper::generate().unwrap()).await;
    let shown = format!("{:?}", Rewrap::new(mirror, "key").with_new_keys(&new));
    assert!(shown.contains("new: Some(NewKeys)"), "{shown}");
    assert!(!shown.contains("0123456789") && !shown.contains("48, 49, 50"), "{shown}");
}

/// What killed runs have left in the folder of the copies is removed if the object has the same
/// bytes, or if it is no whole copy.
#[tokio::test]
async fn abandoned_copies_go_once_they_are_not_needed() {
    let keys = (&AesKeyWrapper::generate().unwrap(), &AesKeyWrapper::generate().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let job = |mirror: &Arc<Mirror>| {
        let job = Rewrap::new(mirror.clone(), "key").with_reupload(true);
        job.with_folder(folder.path()).with_journal(folder.path().join("of-key.journal"))
    };
    let mirror = Mirror::new(keys.0).await;
    let body = mirror.store.get("key", GetOptions::default()).await.unwrap().body;
    let body: Vec<Bytes> = body.try_collect().await.unwrap();
    let headers = mirror.store.head("key").await.unwrap().headers;
    let outcome = rewrap(&mirror, Shows::HalfUpload, keys, job(&mirror)).await;
    let Err(TransferError::Kept { path, .. }) = outcome else { panic!("{outcome:?}") };
    let others = ["of-key-half", "of-key-locked", "of-key-a.b", "of-other-half"];
    for name in others {
        std::fs::write(folder.path().join(name), b"half").unwrap();
    }
    let locked = std::fs::File::open(folder.path().join("of-key-locked")).unwrap();
    locked.lock().unwrap();

    // An object of the same length, but with other bytes.
    let other = Mirror::new(keys.0).await;
    rewrap(&other, Shows::Truth, keys, job(&other)).await.unwrap();
    assert!(path.exists());
    let is_left = |name: &&&str| folder.path().join(name).exists();
    let left: Vec<_> = others.iter().filter(is_left).collect();
    assert_eq!(left, [&"of-key-locked", &"of-key-a.b", &"of-other-half"]);

    let options = PutOptions::default();
    mirror.store.put("key", body.concat().into(), &headers, options).await.unwrap();
    rewrap(&mirror, Shows::Truth, keys, job(&mirror)).await.unwrap();
    assert!(!path.exists());
    assert_eq!(names(folder.path()).iter().filter(|it| it.starts_with("of-key-")).count(), 2);
}
