//! Uploads that are resumed with the journal of an interrupted run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

#[path = "support/odd_key.rs"]
mod odd_key;
#[path = "support/bucket.rs"]
mod support;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use envelope_core::{
    AesKeyWrapper, Decryptor, Dialect, Encryptor, KeyWrapper, Keyring, UnwrapError, kms::KmsError,
};
use envelope_store::{Event, FolderStore, Get, Put, StopSignal, Store, TransferError, Upload};
use envelope_testkit::bucket::LoopbackBucket;

use self::{odd_key::OddKey, support::bucket};

const PART: u64 = 1 << 20;

/// A file that is uploaded to a store.
struct Job {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    encryptor: Encryptor,
    plain: Vec<u8>,
}

impl Job {
    fn new(store: Arc<dyn Store>, key: &AesKeyWrapper) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plain: Vec<u8> = (0..=250).cycle().take(5 << 19).collect();
        std::fs::write(folder.path().join("file"), &plain).unwrap();
        Self { folder, store, encryptor: Encryptor::new(key, Dialect::COS_V2), plain }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn put(&self) -> Put {
        Put::new(self.store.clone(), "key")
            .with_threshold(1000)
            .with_part_size(PART)
            .with_concurrency(1)
            .with_journal(self.journal())
    }

    /// Uploads a part or two, and is interrupted. Returns the upload and how many bytes arrived.
    async fn interrupt(&self) -> (Upload, u64) {
        let stop = StopSignal::new();
        let given = stop.clone();
        let put = self.put().with_stop(stop).with_progress(move |_| given.stop());
        let outcome = put.file(&self.path(), &self.encryptor, None).await;
        assert!(matches!(outcome, Err(TransferError::Stopped)), "{outcome:?}");
        assert!(self.journal().exists());
        let [upload] = &*self.store.list_multipart_uploads("key").await.unwrap() else { panic!() };
        let parts = self.store.list_parts(upload).await.unwrap();
        let arrived: u64 = parts.iter().map(|part| part.len).sum();
        assert!(arrived >= PART);
        (upload.clone(), arrived)
    }

    /// Goes on, and returns what happened.
    async fn resume(&self, key: impl KeyWrapper + 'static) -> Result<Vec<Event>, TransferError> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let put = self.put().with_progress(move |event| told.lock().unwrap().push(event));
        let decryptor = Decryptor::new(&Keyring::new().with(key));
        put.file(&self.path(), &self.encryptor, Some(&decryptor)).await?;
        let events = std::mem::take(&mut *events.lock().unwrap());
        Ok(events)
    }

    async fn check(&self, key: &AesKeyWrapper) {
        let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
        let get = Get::new(self.store.clone(), "key");
        let read = get.decrypt(&decryptor).await.unwrap().read_to_end().await.unwrap();
        assert!(read == self.plain);
        assert!(!self.journal().exists());
        assert!(self.store.list_multipart_uploads("key").await.unwrap().is_empty());
    }
}

/// Removes the lines of the parts that were uploaded.
fn forget_parts(journal: &Path) {
    let text = std::fs::read_to_string(journal).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("{\"part\"")).collect();
    assert_ne!(kept.len(), text.lines().count(), "{text}");
    std::fs::write(journal, kept.join("\n") + "\n").unwrap();
}

/// Between the arrival of a part and its line in the journal, a run may end. In a bucket, its tag
/// is the MD5 of the part, and in a folder, its checksum and length.
#[tokio::test]
async fn a_part_that_the_journal_does_not_name_is_recognized_by_its_tag() {
    let key = AesKeyWrapper::generate().unwrap();
    let (server, folder) = (LoopbackBucket::start(), tempfile::tempdir().unwrap());
    let stores: [Arc<dyn Store>; 2] =
        [Arc::new(FolderStore::new(folder.path())), Arc::new(bucket(&server, Dialect::COS_V2))];
    for store in stores {
        let job = Job::new(store, &key);
        let (_, arrived) = job.interrupt().await;
        forget_parts(&job.journal());
        let events = job.resume(key.clone()).await.unwrap();
        assert!(events.contains(&Event::Resumed(arrived)), "{arrived} {events:?}");
        job.check(&key).await;

        // A part of other bytes is not taken for one of this file.
        let (upload, arrived) = job.interrupt().await;
        forget_parts(&job.journal());
        job.store.upload_part(&upload, 1, vec![8; 1 << 20].into(), &vec![]).await.unwrap();
        let events = job.resume(key.clone()).await.unwrap();
        assert!(events.contains(&Event::Resumed(arrived - PART)), "{arrived} {events:?}");
        job.check(&key).await;
    }
}

/// A key that does not open the upload begins anew. One of which that is not known yet, because a
/// KMS does not answer, loses nothing.
#[tokio::test]
async fn an_upload_is_given_up_only_if_the_key_is_known_to_be_another() {
    let key = AesKeyWrapper::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let job = Job::new(Arc::new(FolderStore::new(folder.path())), &key);
    job.interrupt().await;
    let shut = |error| OddKey { key: key.clone(), delay: Duration::ZERO, error: Some(error) };
    let away = KmsError::Unavailable("it is away".to_owned());
    let outcome = job.resume(shut(UnwrapError::Kms(away))).await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert!(job.journal().exists());
    assert_eq!(job.store.list_multipart_uploads("key").await.unwrap().len(), 1);

    let events = job.resume(shut(UnwrapError::Failed)).await.unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::Restarted(_))), "{events:?}");
    job.check(&key).await;
}
