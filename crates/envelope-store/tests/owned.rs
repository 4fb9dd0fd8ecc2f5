//! What callers can do with uploads and downloads: move them, hand them on, and keep the runtime
//! free.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

#[path = "support/odd_key.rs"]
mod odd_key;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use envelope_core::{AesKeyWrapper, ContentAlgorithm, Decryptor, Dialect, Encryptor, Keyring};
use envelope_store::{Get, MemoryStore, Put, Rewrap, Store, TransferError};
use futures_util::{Stream, StreamExt as _};

use self::odd_key::OddKey;

/// Counts how often another task of the same thread gets its turn, while `work` runs.
async fn turns(work: impl Future<Output = ()>) -> u32 {
    let mut turns = 0;
    let ticking = async {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            turns += 1;
        }
    };
    tokio::select! {
        () = work => {}
        () = ticking => {}
    }
    turns
}

#[tokio::test(flavor = "current_thread")]
async fn a_slow_master_key_blocks_no_task() {
    let slow = || {
        let delay = Duration::from_millis(150);
        OddKey { key: AesKeyWrapper::generate().unwrap(), delay, error: None }
    };
    let (old, new) = (slow(), slow());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let encryptor = Encryptor::new(&old, Dialect::COS_V2);
    let decryptor = Decryptor::new(&Keyring::new().with(old));
    let put = Put::new(store.clone(), "key");
    let upload = async { drop(put.stream(&b"plain"[..], None, &encryptor).await.unwrap()) };
    let get = Get::new(store.clone(), "key");
    let download = async { drop(get.decrypt(&decryptor).await.unwrap()) };
    let target = Encryptor::new(&new, Dialect::COS_V2);
    let rewrap = Rewrap::new(store, "key");
    let rewrap = async {
        rewrap.run(&decryptor, &target).await.unwrap();
    };
    for turns in [turns(upload).await, turns(download).await, turns(rewrap).await] {
        assert!(turns >= 5, "{turns}");
    }
}

/// The shape of a handler of a web server: it returns a body that borrows nothing.
async fn handler(
    store: Arc<dyn Store>,
    decryptor: Decryptor,
) -> Result<impl Stream<Item = Result<Bytes, TransferError>> + Send + 'static, TransferError> {
    let object = Get::new(store, "key").decrypt(&decryptor).await?;
    Ok(object.into_stream())
}

#[tokio::test]
async fn a_body_outlives_everything_that_opened_it() {
    let key = AesKeyWrapper::generate().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let encryptor = Encryptor::new(&key, Dialect::COS_V2);
    Put::new(store.clone(), "key").stream(&b"plain"[..], None, &encryptor).await.unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(key));
    let body = tokio::spawn(handler(store, decryptor)).await.unwrap().unwrap();
    let chunks: Vec<_> = body.map(Result::unwrap).collect().await;
    assert_eq!(chunks.concat(), b"plain");
}

#[tokio::test]
async fn a_stream_of_another_length_than_announced_is_refused() {
    let key = AesKeyWrapper::generate().unwrap();
    for content in [ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm] {
        let encryptor = match content {
            ContentAlgorithm::Aes256Gcm => {
                let file = std::fs::read(envelope_testkit::folder("keys/private_key.pem")).unwrap();
                let key = envelope_core::RsaKeyWrapper::read(&file, None).unwrap();
                Encryptor::new(&key, Dialect::COS_V2)
            }
            _ => Encryptor::new(&key, Dialect::COS_V2),
        };
        for threshold in [0, 1000, 1 << 20] {
            for announced in [0, 4999, 5000, 5001, 1 << 30] {
                let store = Arc::new(MemoryStore::new());
                let put =
                    Put::new(store.clone(), "key").with_content(content).with_threshold(threshold);
                let outcome = put.stream(&[7; 5000][..], Some(announced), &encryptor).await;
                let case = format!("{content} {threshold} {announced}");
                assert_eq!(outcome.is_ok(), announced == 5000, "{case}: {outcome:?}");
                assert_eq!(store.head("key").await.is_ok(), announced == 5000, "{case}");
            }
        }
    }
}
