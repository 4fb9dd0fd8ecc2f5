//! Multipart uploads that are gone, or whose answers are lost.

use std::{
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use envelope_core::{AesKeyWrapper, Dialect, Encryptor};
use envelope_store::{Event, Put, Store as _, StoreError, TransferError};

use super::{
    RETRY,
    mirror::{Mirror, Shows},
};

const LEN: usize = 3 << 20;

/// Returns an upload in parts, and the warnings that it will give.
fn put(mirror: &Arc<Mirror>) -> (Put, Arc<Mutex<Vec<String>>>) {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&warnings);
    let put = Put::new(mirror.clone(), "key")
        .with_threshold(1000)
        .with_part_size(1 << 20)
        .with_retry(RETRY)
        .with_progress(move |event| {
            if let Event::Warning(words) = event {
                told.lock().unwrap().push(words);
            }
        });
    (put, warnings)
}

#[tokio::test]
async fn an_upload_whose_creation_was_lost_is_aborted_if_it_is_ours() {
    let key = AesKeyWrapper::generate().unwrap();
    let encryptor = Encryptor::new(&key, Dialect::COS_V2);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (shows, warns) in [
        (Shows::LostCreation, false),
        (Shows::LostCreationWithoutProof(None), true),
        (Shows::LostCreationWithoutProof(Some(now)), true),
        // Clocks differ.
        (Shows::LostCreationWithoutProof(Some(now - 600)), true),
        // It was there before.
        (Shows::LostCreationWithoutProof(Some(now - 2000)), false),
    ] {
        let mirror = Mirror::new(&key).await;
        mirror.show(shows);
        let (put, warnings) = put(&mirror);
        put.stream(&vec![7; LEN][..], None, &encryptor).await.unwrap();
        let open = mirror.store.list_multipart_uploads("key").await.unwrap();
        assert_eq!(open.is_empty(), shows == Shows::LostCreation, "{shows:?}");
        let warnings = warnings.lock().unwrap();
        let words = "may have been left open";
        assert_eq!(warnings.iter().any(|it| it.contains(words)), warns, "{shows:?} {warnings:?}");
    }
}

/// Without a content key that was wrapped for it, an upload of anybody may look like ours.
#[tokio::test]
async fn an_upload_that_may_be_of_somebody_else_is_left_alone() {
    let key = AesKeyWrapper::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, vec![7; LEN]).unwrap();
    let mirror = Mirror::new(&key).await;
    mirror.show(Shows::LostCreation);
    let (put, warnings) = put(&mirror);
    put.stored(&path).await.unwrap();
    assert_eq!(mirror.store.list_multipart_uploads("key").await.unwrap().len(), 1);
    assert_eq!(warnings.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_completion_is_believed_only_if_the_object_shows_it() {
    let key = AesKeyWrapper::generate().unwrap();
    let encryptor = Encryptor::new(&key, Dialect::COS_V2);
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = (folder.path().join("file"), folder.path().join("journal"));
    std::fs::write(&path, vec![7; LEN]).unwrap();
    for shows in [
        Shows::LostCompletion,
        Shows::LostCompletionAndLook,
        Shows::GoneUpload,
        Shows::GoneUploadAndColleague,
        Shows::DeniedUpload,
    ] {
        for way in 0..3 {
            let mirror = Mirror::new(&key).await;
            let seen = mirror.head("key").await.unwrap();
            mirror.show(shows);
            let (put, _) = put(&mirror);
            let outcome = match way {
                0 => put.stream(&vec![7; LEN][..], None, &encryptor).await,
                1 => {
                    let put = put.with_journal(&journal);
                    put.file(&path, &encryptor, None).await
                }
                _ => put.with_expected(seen).file(&path, &encryptor, None).await,
            };
            let case = format!("{shows:?} {way}: {outcome:?}");
            match shows {
                Shows::LostCompletion => assert!(outcome.is_ok(), "{case}"),
                // Only an upload that expects a version looks again.
                Shows::LostCompletionAndLook => assert_eq!(outcome.is_ok(), way == 2, "{case}"),
                Shows::GoneUpload | Shows::GoneUploadAndColleague => {
                    let gone = matches!(outcome, Err(TransferError::Store(StoreError::NoUpload)));
                    assert!(gone, "{case}");
                }
                _ => {
                    let said =
                        matches!(outcome, Err(TransferError::Store(StoreError::Malformed(_))));
                    assert!(said, "{case}");
                }
            }
            let _ = std::fs::remove_file(&journal);
        }
    }
}
