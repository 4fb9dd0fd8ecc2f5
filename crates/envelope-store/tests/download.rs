//! Downloads from a store whose responses may be wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "support/liar.rs"]
mod liar;
#[path = "support/retry.rs"]
mod retry;

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use envelope_core::{
    AesKeyWrapper, ByteRange, Decryptor, Dialect, Encryptor, IntegrityError, Keyring, PlainDigest,
    Policy,
};
use envelope_store::{
    Copy, Event, Get, Headers, MemoryStore, OutputFile, OutputOptions, Put, PutOptions,
    RetryPolicy, Store, StoreError, TransferError,
};
use futures_util::TryStreamExt as _;

use self::{
    liar::{Liar, Lie},
    retry::RETRY,
};

/// Downloads to a file that an earlier run may have begun.
async fn to_file(
    get: &Get,
    decryptor: &Decryptor,
    path: &Path,
    resumable: bool,
) -> Result<(), TransferError> {
    let output = OutputFile::create(path, OutputOptions::new().with_resumable(resumable))?;
    get.to_file(decryptor, &output).await?;
    Ok(output.commit()?)
}

#[tokio::test]
async fn a_body_of_another_length_is_noticed_whatever_the_store() {
    let key = AesKeyWrapper::generate().unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    for wrong in [-1, 1] {
        let store: Arc<dyn Store> = Arc::new(Liar::new(Lie::Body(wrong)));
        // cos-v1 says no length of its own.
        let encryptor = Encryptor::new(&key, Dialect::COS_V1).allow_weak_wrap();
        Put::new(store.clone(), "key").stream(&b"plain"[..], None, &encryptor).await.unwrap();
        let lax = decryptor.clone().with_policy(Policy::every_algorithm());
        let get = Get::new(store, "key").with_retry(RetryPolicy::ONCE);
        let outcome = get.decrypt(&lax).await.unwrap().read_to_end().await;
        assert!(matches!(outcome, Err(TransferError::Store(_))), "{wrong}: {outcome:?}");
    }
}

#[tokio::test]
async fn the_policy_decides_what_a_download_accepts() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let options = PutOptions::default();
    store.put("key", Bytes::from("plain"), &Headers::new(), options).await.unwrap();
    let decryptor = Decryptor::new(&Keyring::new());
    let get = Get::new(store, "key");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let whole = get.decrypt(&decryptor).await.map(|_| ());
    let range = get.decrypt_range(&decryptor, ByteRange::suffix(2)).await.map(|_| ());
    let file = to_file(&get, &decryptor, &path, false).await;
    for outcome in [whole, range, file] {
        assert!(outcome.is_err_and(|error| error.is_not_encrypted()));
    }
    assert!(!path.exists());
    let lax = decryptor.with_policy(Policy::default().allow_plaintext());
    assert_eq!(get.decrypt(&lax).await.unwrap().read_to_end().await.unwrap(), b"plain");
    to_file(&get, &lax, &path, false).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"plain");
}

#[tokio::test]
async fn a_range_of_another_version_or_another_range_is_refused() {
    let key = AesKeyWrapper::generate().unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    let folder = tempfile::tempdir().unwrap();
    for lie in [Lie::Range, Lie::Etag, Lie::Len, Lie::None] {
        let liar = Arc::new(Liar::new(Lie::None));
        let encryptor = Encryptor::new(&key, Dialect::COS_V2);
        let put = Put::new(liar.clone(), "key");
        put.stream(&[7; 5000][..], None, &encryptor).await.unwrap();
        liar.lie(lie);
        let get = Get::new(liar, "key").with_part_size(1024);
        let range = ByteRange::bounded(1000..2000);
        let outcome = match get.decrypt_range(&decryptor, range).await {
            Ok(result) => result.read_to_end().await,
            Err(error) => Err(error),
        };
        assert_eq!(outcome.is_ok(), lie == Lie::None, "{lie:?}: {outcome:?}");
        let path = folder.path().join(format!("{lie:?}"));
        let outcome = to_file(&get, &decryptor, &path, false).await;
        assert_eq!(outcome.is_ok(), lie == Lie::None, "{lie:?}: {outcome:?}");
        assert_eq!(path.exists(), lie == Lie::None, "{lie:?}");
    }
}

#[tokio::test]
async fn a_download_is_not_resumed_with_another_content_key() {
    let (key, wrong) = (AesKeyWrapper::generate().unwrap(), AesKeyWrapper::generate().unwrap());
    let decryptor = |key: &AesKeyWrapper| {
        Decryptor::new(&Keyring::new().with(key.clone())).with_policy(Policy::every_algorithm())
    };
    let liar = Arc::new(Liar::new(Lie::None));
    // The AES wrap of cos-v1 opens with any key.
    let encryptor = Encryptor::new(&key, Dialect::COS_V1).allow_weak_wrap();
    let put = Put::new(liar.clone(), "key");
    put.stream(&[7; 5000][..], None, &encryptor).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let get = Get::new(liar.clone(), "key").with_part_size(1024).with_concurrency(1);
    liar.lie(Lie::LaterRanges);
    to_file(&get, &decryptor(&wrong), &path, true).await.unwrap_err();
    // The working file and its journal.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    liar.lie(Lie::None);
    to_file(&get, &decryptor(&key), &path, true).await.unwrap();
    assert!(std::fs::read(&path).unwrap() == [7; 5000]);
}

/// Whatever the store answers the second time, only what was verified the first time is released.
#[tokio::test]
async fn the_second_read_is_compared_with_the_first() {
    const PIECE: usize = 1 << 20;
    let key = AesKeyWrapper::generate().unwrap();
    let plain: Vec<u8> = (0..=250).cycle().take(3 * PIECE + 5).collect();
    for at in [0, PIECE - 1, PIECE, 2 * PIECE + 7, 3 * PIECE + 4] {
        let store = Arc::new(Liar::new(Lie::None));
        let encryptor = Encryptor::new(&key, Dialect::COS_V2);
        let put = Put::new(store.clone(), "key").with_threshold(u64::MAX);
        put.stream(&plain[..], None, &encryptor).await.unwrap();
        store.lie(Lie::SecondRead(at));
        let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
        let result = Get::new(store, "key").decrypt_verified(&decryptor).await.unwrap();
        let (mut body, mut released) = (result.into_stream(), Vec::new());
        let error = loop {
            match body.try_next().await {
                Ok(Some(chunk)) => released.extend_from_slice(&chunk),
                Ok(None) => panic!("a changed body was released"),
                Err(error) => break error,
            }
        };
        let changed = IntegrityError::Changed;
        assert!(matches!(error, TransferError::Integrity(error) if error == changed));
        assert!(plain.starts_with(&released), "{at}");
        assert!(released.len() <= at / PIECE * PIECE, "{at}");
    }
}

/// Uploads an object to a liar.
async fn upload(liar: &Arc<Liar>, key: &AesKeyWrapper, plain: &[u8]) -> Decryptor {
    let encryptor = Encryptor::new(key, Dialect::COS_V2);
    Put::new(liar.clone(), "key").stream(plain, None, &encryptor).await.unwrap();
    Decryptor::new(&Keyring::new().with(key.clone()))
}

#[tokio::test]
async fn every_size_and_number_of_ranges_will_do() {
    let (key, plain) = (AesKeyWrapper::generate().unwrap(), [7; 100]);
    let liar = Arc::new(Liar::new(Lie::None));
    let decryptor = upload(&liar, &key, &plain).await;
    let folder = tempfile::tempdir().unwrap();
    for size in [0, 1, 15, 16, 17, 33, 99, 100, u64::MAX] {
        for concurrency in [0, 1, 3, usize::MAX] {
            let get = Get::new(liar.clone(), "key").with_part_size(size);
            let path = folder.path().join(format!("{size} {concurrency}"));
            to_file(&get.with_concurrency(concurrency), &decryptor, &path, false).await.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), plain, "{size} {concurrency}");
        }
    }
}

/// A time says which version it is only where no entity tag does: a rewrap in place changes it.
#[tokio::test]
async fn another_time_is_another_version_only_without_a_tag() {
    let key = AesKeyWrapper::generate().unwrap();
    let range = ByteRange::bounded(100..200);
    for lie in [Lie::Time, Lie::TimeAndNoEtag] {
        let liar = Arc::new(Liar::new(Lie::None));
        let decryptor = upload(&liar, &key, &[7; 5000]).await;
        liar.lie(lie);
        let outcome = Get::new(liar, "key").decrypt_range(&decryptor, range).await;
        match outcome.map(|_| ()) {
            Ok(()) => assert_eq!(lie, Lie::Time),
            Err(TransferError::Store(StoreError::Changed)) => assert_eq!(lie, Lie::TimeAndNoEtag),
            Err(error) => panic!("{lie:?}: {error}"),
        }
    }
}

/// A body that breaks off is continued from the same version. Without an entity tag, nothing would
/// tell that version from another.
#[tokio::test]
async fn a_body_that_breaks_off_goes_on_with_the_same_version() {
    let (key, plain) = (AesKeyWrapper::generate().unwrap(), [7; 5000]);
    for at in [0, 1, 4999, 5000] {
        for lie in [Lie::BreaksOff(at), Lie::BreaksOffAndNoEtag(at)] {
            let liar = Arc::new(Liar::new(Lie::None));
            let decryptor = upload(&liar, &key, &plain).await;
            liar.lie(lie);
            let get = Get::new(liar.clone(), "key").with_retry(RETRY);
            let outcome = get.decrypt(&decryptor).await.unwrap().read_to_end().await;
            match outcome {
                Ok(read) => {
                    assert!(read == plain, "{lie:?}");
                    // Where all of it is here, an error at the end does not matter.
                    assert!(!lie.hides_etag() || at == plain.len(), "{lie:?}");
                }
                Err(TransferError::Store(StoreError::Unavailable(_))) => {
                    assert!(lie.hides_etag() && at < plain.len(), "{lie:?}");
                }
                Err(error) => panic!("{lie:?}: {error}"),
            }
        }
    }
}

/// A listener counts the bytes that arrive for the caller, and is not told of a key that is long
/// enough. An inspector sees the envelope once.
#[tokio::test]
async fn a_listener_counts_every_byte_once() {
    let (key, plain) = (AesKeyWrapper::generate().unwrap(), [7; 5000]);
    let liar = Arc::new(Liar::new(Lie::None));
    let decryptor = upload(&liar, &key, &plain).await;
    let folder = tempfile::tempdir().unwrap();
    for way in 0..4 {
        let events = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&events);
        let get = Get::new(liar.clone(), "key").with_part_size(1024);
        let get = get.with_progress(move |event| own.lock().unwrap().push(event));
        let seen = Arc::new(Mutex::new(0));
        let inspected = Arc::clone(&seen);
        let get = get.with_inspector(move |_| *inspected.lock().unwrap() += 1);
        let result = match way {
            0 => get.decrypt(&decryptor).await,
            1 => get.decrypt_verified(&decryptor).await,
            2 => get.decrypt_range(&decryptor, ByteRange::bounded(0..5000)).await,
            _ => {
                to_file(&get, &decryptor, &folder.path().join("out"), false).await.unwrap();
                get.decrypt_range(&decryptor, ByteRange::bounded(0..1)).await
            }
        };
        let result = result.unwrap();
        assert_eq!(result.plain_len(), Some(if way == 3 { 1 } else { 5000 }));
        assert!(way == 3 || result.read_to_end().await.unwrap() == plain);
        let counted = events.lock().unwrap().iter().fold(0, |sum, event| match event {
            Event::Transferred(bytes) => sum + bytes,
            other => panic!("{way}: {other:?}"),
        });
        assert_eq!(counted, 5000, "{way}");
        assert_eq!(*seen.lock().unwrap(), if way == 3 { 2 } else { 1 }, "{way}");
    }
}

#[tokio::test]
async fn a_small_object_of_a_listing_takes_one_request() {
    let key = AesKeyWrapper::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // With its length from a listing, it is fetched as a whole or in ranges of 1024 bytes.
    for (listed, requests) in [(None, 1 + 5), (Some(5000), 1 + 5), (Some(1024), 1), (Some(1), 1)] {
        let liar = Arc::new(Liar::new(Lie::None));
        let decryptor = upload(&liar, &key, &[7; 5000]).await;
        let before = liar.requests();
        let get = Get::new(liar.clone(), "key").with_part_size(1024);
        let get = listed.iter().fold(get, |get, len| get.with_listed_len(*len));
        to_file(&get, &decryptor, &folder.path().join("out"), false).await.unwrap();
        assert_eq!(liar.requests() - before, requests, "{listed:?}");
        std::fs::remove_file(folder.path().join("out")).unwrap();
    }
}

/// No store has longer objects than ten thousand parts of 5 GiB, so that a length cannot make a
/// file of any size.
#[tokio::test]
async fn a_length_is_believed_only_up_to_that_of_the_longest_object() {
    const MAX_LEN: u64 = 53_687_091_200_000;
    let key = AesKeyWrapper::generate().unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    let decryptor = decryptor.with_policy(Policy::every_algorithm());
    let folder = tempfile::tempdir().unwrap();
    for len in [MAX_LEN, MAX_LEN + 1] {
        let liar = Arc::new(Liar::new(Lie::None));
        // cos-v1 says no length of its own.
        let encryptor = Encryptor::new(&key, Dialect::COS_V1).allow_weak_wrap();
        Put::new(liar.clone(), "key").stream(&[7; 5000][..], None, &encryptor).await.unwrap();
        liar.lie(Lie::Long(len));
        let get = Get::new(liar, "key").with_part_size(5 << 30).with_retry(RETRY);
        let outcome = to_file(&get, &decryptor, &folder.path().join("out"), false).await;
        // Some file systems have no files of the greatest length, either.
        let is_refused = matches!(outcome, Err(TransferError::Corrupt(_)));
        assert_eq!(is_refused, len > MAX_LEN, "{len}: {outcome:?}");
        assert!(outcome.is_err(), "{len}");
    }
}

#[tokio::test]
async fn a_download_in_ranges_verifies_the_md5_of_the_plaintext() {
    let (key, plain) = (AesKeyWrapper::generate().unwrap(), [7; 5000]);
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    let folder = tempfile::tempdir().unwrap();
    for is_right in [true, false] {
        let mut digest = PlainDigest::new();
        digest.update(if is_right { &plain } else { b"another text" });
        let encryptor = Encryptor::new(&key, Dialect::COS_V2).with_plain_md5(digest.finish());
        let liar = Arc::new(Liar::new(Lie::None));
        Put::new(liar.clone(), "key").stream(&plain[..], None, &encryptor).await.unwrap();
        let get = Get::new(liar, "key").with_part_size(1024);
        let path = folder.path().join(is_right.to_string());
        let outcome = to_file(&get, &decryptor, &path, false).await;
        assert_eq!(outcome.is_ok(), is_right, "{outcome:?}");
        assert_eq!(path.exists(), is_right);
    }
}

#[tokio::test]
async fn a_resumed_download_fetches_only_what_is_missing() {
    let (key, plain) = (AesKeyWrapper::generate().unwrap(), [7; 5000]);
    let liar = Arc::new(Liar::new(Lie::None));
    let decryptor = upload(&liar, &key, &plain).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let events = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&events);
    let get = Get::new(liar.clone(), "key").with_part_size(1024).with_concurrency(1);
    let get = get.with_progress(move |event| own.lock().unwrap().push(event));
    liar.lie(Lie::LaterRanges);
    to_file(&get, &decryptor, &path, true).await.unwrap_err();
    assert_eq!(*events.lock().unwrap(), [Event::Transferred(1024)]);
    events.lock().unwrap().clear();
    liar.lie(Lie::None);
    let before = liar.requests();
    to_file(&get, &decryptor, &path, true).await.unwrap();
    assert_eq!(liar.requests() - before, 1 + 4);
    let events = events.lock().unwrap();
    assert_eq!(events[..2], [Event::Resumed(1024), Event::Transferred(1024)]);
    assert!(std::fs::read(&path).unwrap() == plain);
}

/// A copy from one store to another compares the bytes with the checksum that the first reports.
#[tokio::test]
async fn a_copy_compares_the_bytes_with_their_checksum() {
    let key = AesKeyWrapper::generate().unwrap();
    // In one request, and in parts.
    for len in [5000, 17 << 20] {
        for lie in [Lie::None, Lie::SecondRead(3)] {
            let liar = Arc::new(Liar::new(Lie::None));
            let encryptor = Encryptor::new(&key, Dialect::COS_V2);
            let put = Put::new(liar.clone(), "key").with_threshold(u64::MAX);
            put.stream(&vec![7; len][..], None, &encryptor).await.unwrap();
            liar.lie(lie);
            let target: Arc<dyn Store> = Arc::new(MemoryStore::new());
            let copy = Copy::new((liar, "key"), (Arc::clone(&target), "copy"));
            let outcome = copy.run().await;
            let case = format!("{len} {lie:?}: {outcome:?}");
            if lie == Lie::None {
                assert!(outcome.is_ok(), "{case}");
            } else {
                assert!(matches!(outcome, Err(TransferError::Corrupt(_))), "{case}");
                assert!(target.head("copy").await.is_err(), "{case}");
                assert!(target.list_multipart_uploads("copy").await.unwrap().is_empty(), "{case}");
            }
        }
    }
}
