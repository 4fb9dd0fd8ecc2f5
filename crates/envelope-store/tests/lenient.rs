//! Objects that follow no dialect, in a store.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

#[path = "support/bucket.rs"]
mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use envelope_core::{
    ContentAlgorithm, Decryptor, Dialect, EncryptError, Encryptor, Envelope, IvForm, KeyWrapper,
    Keyring, Policy, RsaKeyWrapper, WrapAlgorithm, hazmat,
};
use envelope_store::{
    Event, Get, GetOptions, MemoryStore, OutputFile, OutputOptions, PutOptions, Rewrap, Store,
    TransferError,
};
use envelope_testkit::bucket::LoopbackBucket;
use futures_util::TryStreamExt as _;

use self::support::bucket;

const CTR: ContentAlgorithm = ContentAlgorithm::Aes256Ctr;
const PLAIN: &[u8] = b"forty-two bytes of a text, more or less...";

/// A store with an object whose content key has 16 bytes.
async fn store(key: &RsaKeyWrapper) -> Arc<dyn Store> {
    let content = hazmat::content_key(CTR, IvForm::Wrapped, Some(&[3; 16]), Some(&[9; 16]));
    let content = content.unwrap();
    let (dialect, wrap) = (Dialect::OSS_V2, WrapAlgorithm::RsaPkcs1v15);
    let wrapped = key.wrap(&content, wrap, dialect.iv_form()).unwrap();
    let headers = Envelope::new(dialect, CTR, wrap, wrapped.cek, wrapped.iv).emit(dialect).unwrap();
    let mut body = PLAIN.to_vec();
    hazmat::ctr_cipher(&content).unwrap().at(0).apply(&mut body);
    let store = MemoryStore::new();
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    store.put("key", body.into(), &headers, PutOptions::default()).await.unwrap();
    Arc::new(store)
}

#[tokio::test]
async fn a_short_content_key_is_told_of() {
    let key = RsaKeyWrapper::generate(2048).unwrap();
    let store = store(&key).await;
    let strict = Decryptor::new(&Keyring::new().with(key));
    assert!(Get::new(Arc::clone(&store), "key").decrypt(&strict).await.is_err());

    let lenient = strict.with_policy(Policy::lenient());
    let folder = tempfile::tempdir().unwrap();
    for way in 0..3 {
        let said = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&said);
        let get =
            Get::new(Arc::clone(&store), "key").with_part_size(16).with_progress(move |event| {
                if let Event::Warning(words) = event {
                    own.lock().unwrap().push(words);
                }
            });
        let plain = match way {
            0 => get.decrypt(&lenient).await.unwrap().read_to_end().await.unwrap(),
            1 => {
                let range = envelope_core::ByteRange::starting_at(0);
                let read = get.decrypt_range(&lenient, range).await.unwrap();
                read.read_to_end().await.unwrap()
            }
            _ => {
                let path = folder.path().join("plain");
                let output = OutputFile::create(&path, OutputOptions::new()).unwrap();
                get.to_file(&lenient, &output).await.unwrap();
                output.commit().unwrap();
                std::fs::read(path).unwrap()
            }
        };
        assert_eq!(plain, PLAIN, "{way}");
        let said = said.lock().unwrap();
        assert!(said.len() == 1 && said.iter().all(|it| it.contains("only 128 bits")), "{said:?}");
    }
}

/// A short content key is not wrapped again, in no version of an object, and nothing is written.
#[tokio::test]
async fn versions_with_a_short_content_key_stay_as_they_are() {
    let (old, new) =
        (RsaKeyWrapper::generate(2048).unwrap(), RsaKeyWrapper::generate(2048).unwrap());
    let made = store(&old).await;
    let (headers, body) =
        (made.head("key").await.unwrap().headers, made.get("key", GetOptions::default()));
    let body: Vec<Bytes> = body.await.unwrap().body.try_collect().await.unwrap();
    let server = LoopbackBucket::start();
    server.keep_versions();
    let bucket: Arc<dyn Store> = Arc::new(bucket(&server, Dialect::OSS_V2));
    let headers = headers.into_iter().filter(|(name, _)| name.starts_with("x-oss-meta-")).collect();
    bucket.put("key", body.concat().into(), &headers, PutOptions::default()).await.unwrap();
    let encryptor = Encryptor::new(&new, Dialect::OSS_V2);
    let old = Decryptor::new(&Keyring::new().with(old)).with_policy(Policy::lenient());
    let new = Decryptor::new(&Keyring::new().with(new)).with_policy(Policy::lenient());
    let before = bucket.head("key").await.unwrap();
    let rewrap = Rewrap::new(bucket.clone(), "key").with_new_keys(&new);
    let outcome = rewrap.run_all_versions(&old, &encryptor).await;
    let short = EncryptError::ShortContentKey;
    assert!(
        matches!(&outcome, Err(TransferError::Encrypt(error)) if *error == short),
        "{outcome:?}"
    );
    assert_eq!(bucket.head("key").await.unwrap().version_id, before.version_id);
}
