//! Uploads in one request that arrive damaged, or whose answer is lost.

use std::sync::{Arc, Mutex, atomic::Ordering};

use envelope_core::{AesKeyWrapper, Dialect, Encryptor};
use envelope_store::{Event, Put, Store, StoreError, TransferError, UploadResult};

use super::{
    RETRY,
    mirror::{Mirror, PLAIN, SERVER_SIDE, Shows},
};

/// Uploads an object to a mirror that shows something.
async fn upload(
    mirror: &Arc<Mirror>,
    shows: Shows,
    key: &AesKeyWrapper,
    put: Put,
) -> Result<UploadResult, TransferError> {
    mirror.show(shows);
    let encryptor = Encryptor::new(key, Dialect::COS_V2);
    put.with_retry(RETRY).stream(PLAIN, None, &encryptor).await
}

#[tokio::test]
async fn a_lost_answer_is_no_failure_if_the_object_is_there() {
    let (key, other) = (AesKeyWrapper::generate().unwrap(), AesKeyWrapper::generate().unwrap());
    for shows in [
        Shows::LostAnswer,
        Shows::LostAnswerOfDamage,
        Shows::LostAnswerOfColleague,
        Shows::NoUpload,
    ] {
        for create_only in [false, true] {
            let mirror = Mirror::new(&other).await;
            if create_only {
                mirror.store.delete("key").await.unwrap();
            }
            let put = Put::new(mirror.clone(), "key").with_create_only(create_only);
            let outcome = upload(&mirror, shows, &key, put).await;
            let case = format!("{shows:?} {create_only}: {outcome:?}");
            match outcome {
                Ok(result) => {
                    assert_eq!(shows, Shows::LostAnswer, "{case}");
                    let there = mirror.store.head("key").await.unwrap();
                    assert_eq!((result.len, result.etag), (there.len, there.etag), "{case}");
                    assert!(mirror.opens_with(&key).await, "{case}");
                }
                // The store says that it took nothing, and it did not.
                Err(TransferError::Store(StoreError::Refused(_))) => {
                    assert_eq!(shows, Shows::NoUpload, "{case}");
                    assert_eq!(mirror.opens_with(&other).await, !create_only, "{case}");
                }
                Err(TransferError::Store(StoreError::Unavailable(_))) => {
                    assert_ne!(shows, Shows::LostAnswer, "{case}");
                }
                Err(_) => panic!("{case}"),
            }
        }
    }
}

/// An answer that says no is no lost answer, even if the same object is there by now.
#[tokio::test]
async fn a_refusal_is_a_refusal() {
    let key = AesKeyWrapper::generate().unwrap();
    let mirror = Mirror::new(&key).await;
    let put = Put::new(mirror.clone(), "key");
    let outcome = upload(&mirror, Shows::RefusedAnswer, &key, put).await;
    let refused = matches!(outcome, Err(TransferError::Store(StoreError::Refused(_))));
    assert!(refused, "{outcome:?}");
}

/// Our own wrong bytes are replaced, thrice at most, but not where nothing may be replaced.
#[tokio::test]
async fn what_arrived_damaged_is_sent_again() {
    let key = AesKeyWrapper::generate().unwrap();
    for damages in 0..5 {
        for way in 0..3 {
            let mirror = Mirror::new(&key).await;
            let there = mirror.store.head("key").await.unwrap();
            let told = Arc::new(Mutex::new(0));
            let own = Arc::clone(&told);
            let put = Put::new(mirror.clone(), "key").with_progress(move |event| {
                if let Event::Transferred(bytes) = event {
                    *own.lock().unwrap() += bytes;
                }
            });
            let put = match way {
                0 => put,
                1 => put.with_expected(there),
                _ => {
                    mirror.store.delete("key").await.unwrap();
                    put.with_create_only(true)
                }
            };
            let outcome = upload(&mirror, Shows::Damages(damages), &key, put).await;
            let most = if way == 0 { 3 } else { 1 };
            let case = format!("{damages} {way}: {outcome:?}");
            let sent = mirror.copies.load(Ordering::Relaxed);
            assert_eq!(sent, (damages + 1).min(most), "{case}");
            if damages < most {
                assert!(outcome.is_ok(), "{case}");
                assert_eq!(*told.lock().unwrap(), PLAIN.len() as u64, "{case}");
                assert!(mirror.opens_with(&key).await, "{case}");
            } else {
                assert!(matches!(outcome, Err(TransferError::Damaged { .. })), "{case}");
                assert_eq!(*told.lock().unwrap(), 0, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn an_upload_succeeds_only_if_the_object_shows_it() {
    let key = AesKeyWrapper::generate().unwrap();
    for shows in [
        Shows::Truth,
        Shows::OtherTag,
        Shows::OtherSum,
        Shows::OtherLen,
        Shows::OtherLenOnce,
        Shows::NoEnvelope,
        Shows::NoEnvelopeNorBytes,
        Shows::OtherEnvelope,
        Shows::AlteredEnvelope,
    ] {
        let mirror = Mirror::new(&key).await;
        let outcome = upload(&mirror, shows, &key, Put::new(mirror.clone(), "key")).await;
        let is_as_expected = match shows {
            Shows::Truth | Shows::OtherLenOnce => outcome.is_ok(),
            Shows::OtherSum | Shows::OtherLen | Shows::NoEnvelope | Shows::NoEnvelopeNorBytes => {
                matches!(outcome, Err(TransferError::Damaged { removed: false, .. }))
            }
            Shows::AlteredEnvelope => matches!(outcome, Err(TransferError::Corrupt(_))),
            // Somebody else has written meanwhile.
            _ => matches!(outcome, Err(TransferError::Store(StoreError::Changed))),
        };
        assert!(is_as_expected, "{shows:?}: {outcome:?}");
        // What looks wrong is looked at again, and nothing else is.
        let looks = mirror.looks.load(Ordering::Relaxed);
        assert_eq!(looks == 1, shows == Shows::Truth, "{shows:?}: {looks} looks");
        // Nothing was deleted, and what is there is what was sent.
        assert!(mirror.opens_with(&key).await, "{shows:?}");
    }
}

/// Neither an upload in one request nor one in parts replaces another version than the expected
/// one.
#[tokio::test]
async fn only_the_expected_version_is_replaced() {
    let (key, other) = (AesKeyWrapper::generate().unwrap(), AesKeyWrapper::generate().unwrap());
    for threshold in [u64::MAX, 1000] {
        let mirror = Mirror::new(&key).await;
        let seen = mirror.head("key").await.unwrap();
        let encryptor = Encryptor::new(&other, Dialect::COS_V2);
        let put = Put::new(mirror.clone(), "key").with_expected(seen.clone());
        let put = put.with_threshold(threshold).with_retry(RETRY);
        put.stream(&[7; 5000][..], None, &encryptor).await.unwrap();
        let theirs = mirror.head("key").await.unwrap();
        let outcome = put.stream(&[8; 5000][..], None, &encryptor).await;
        let changed = matches!(outcome, Err(TransferError::Store(StoreError::Changed)));
        assert!(changed, "{threshold}: {outcome:?}");
        assert_eq!(mirror.head("key").await.unwrap().etag, theirs.etag);
        assert!(mirror.list_multipart_uploads("key").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_the_store_was_asked_to_encrypt_must_be() {
    let key = AesKeyWrapper::generate().unwrap();
    for shows in [Shows::Truth, Shows::NoServerSide] {
        for asks in [true, false] {
            let mirror = Mirror::new(&key).await;
            let mut put = Put::new(mirror.clone(), "key");
            if asks {
                put = put.with_header(SERVER_SIDE, "AES256");
            }
            let outcome = upload(&mirror, shows, &key, put).await;
            let is_missed = matches!(outcome, Err(TransferError::ServerSide { .. }));
            assert_eq!(is_missed, asks && shows == Shows::NoServerSide, "{outcome:?}");
            assert_eq!(outcome.is_ok(), !is_missed, "{outcome:?}");
        }
    }
}
