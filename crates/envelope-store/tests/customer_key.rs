//! A key of the customer (SSE-C): it goes with every request about an object, over TLS only, and
//! the answers must show it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use std::sync::Arc;

use bytes::Bytes;
use envelope_store::{
    Bucket, Connection, CopyOptions, Credentials, Get, GetOptions, Headers, Put, PutOptions,
    Restore, RetryPolicy, Rewrap, Signature, Store, StoreError,
    blocking::Runtime,
    envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring},
};
use envelope_testkit::bucket::{ACCESS_KEY, Fault, LoopbackBucket, SECRET};
use meta_codec::sse::CustomerKey;

const KEY: &[u8; 32] = b"00000000000000000000000000000001";
const OTHER: &[u8; 32] = b"00000000000000000000000000000002";

fn plain_bucket(server: &LoopbackBucket) -> Bucket {
    let endpoint = server.url().parse().unwrap();
    let connection = match server.certificate() {
        Some(pem) => Connection::new().with_authorities(pem.as_bytes()).unwrap(),
        None => Connection::new(),
    };
    Bucket::cos("b-1", endpoint, Credentials::new(ACCESS_KEY, SECRET))
        .unwrap()
        .with_retry(RetryPolicy::ONCE)
        .with_connection(&connection)
        .unwrap()
}

fn bucket(server: &LoopbackBucket, key: &[u8; 32]) -> Arc<dyn Store> {
    Arc::new(plain_bucket(server).with_customer_key(CustomerKey::new(key)).unwrap())
}

#[test]
fn it_goes_with_every_request_about_an_object() {
    let server = LoopbackBucket::start_tls();
    let (store, other, none) =
        (bucket(&server, KEY), bucket(&server, OTHER), plain_bucket(&server));
    let headers: Headers = vec![("x-cos-storage-class".to_owned(), "ARCHIVE".to_owned())];
    Runtime::new().unwrap().block_on(async {
        let body = Bytes::from_static(b"some bytes");
        store.put("a", body.clone(), &Headers::new(), PutOptions::default()).await.unwrap();
        let upload = store.create_multipart("b", &headers, PutOptions::default()).await.unwrap();
        let part = store.upload_part(&upload, 1, body.clone(), &headers).await.unwrap();
        store
            .complete(&upload, &[(1, part.etag)], &Headers::new(), PutOptions::default())
            .await
            .unwrap();
        let head = store.head("a").await.unwrap();
        let range = GetOptions::default().with_range(5..10);
        assert_eq!(store.get("a", range.clone()).await.unwrap().bytes, 5..10);
        store.restore("b", &Restore::new(1)).await.unwrap();
        let source = store.copy_source("a", &head).unwrap();
        store.copy(&source, "c", &Headers::new(), CopyOptions::default()).await.unwrap();
        other.copy(&source, "d", &Headers::new(), CopyOptions::default()).await.unwrap();
        none.copy(&source, "e", &Headers::new(), CopyOptions::default()).await.unwrap();
        let upload =
            other.create_multipart("f", &Headers::new(), PutOptions::default()).await.unwrap();
        let part = other.copy_part(&source, 0..10, &upload, 1).await.unwrap();
        other
            .complete(&upload, &[(1, part.etag)], &Headers::new(), PutOptions::default())
            .await
            .unwrap();
        let changed = vec![("x-cos-meta-a".to_owned(), "b".to_owned())];
        store.copy_replace_metadata("c", &head.etag, &changed).await.unwrap();
        assert_eq!(store.head("c").await.unwrap().header("x-cos-meta-a"), Some("b"));
        for (key, opens, refused) in
            [("c", &store, &other), ("d", &other, &store), ("f", &other, &store)]
        {
            opens.get(key, GetOptions::default()).await.unwrap();
            for refused in [&**refused, &none] {
                refused.head(key).await.unwrap_err();
                assert!(refused.get(key, range.clone()).await.is_err(), "{key}");
            }
        }
        none.head("e").await.unwrap();
        store.head("e").await.unwrap_err();
    });
    // Nothing of it is in an address.
    assert!(!server.requests().iter().any(|request| request.contains("MDAwMD")));
}

#[test]
fn it_is_not_sent_in_the_clear_nor_to_a_store_without_it() {
    let server = LoopbackBucket::start();
    let refused = plain_bucket(&server).with_customer_key(CustomerKey::new(KEY)).unwrap_err();
    assert!(matches!(refused, StoreError::CustomerKey(_)), "{refused}");
    let endpoint = "https://oss-cn-x.example.com".parse().unwrap();
    let key = Credentials::new(ACCESS_KEY, SECRET);
    let oss = Bucket::oss("b", "cn-x", endpoint, key, Signature::V4).unwrap();
    let refused = oss.with_customer_key(CustomerKey::new(KEY)).unwrap_err();
    assert!(matches!(refused, StoreError::Unsupported(_)), "{refused}");
    // The key of the source neither.
    let tls = LoopbackBucket::start_tls();
    Runtime::new().unwrap().block_on(async {
        let store = bucket(&tls, KEY);
        let body = Bytes::from_static(b"some bytes");
        store.put("a", body, &Headers::new(), PutOptions::default()).await.unwrap();
        let source = store.copy_source("a", &store.head("a").await.unwrap()).unwrap();
        let to = plain_bucket(&server);
        let refused = to.copy(&source, "b", &Headers::new(), CopyOptions::default()).await;
        // It may be another service, which is not told the key.
        assert!(matches!(refused, Err(StoreError::Unsupported(_))), "{refused:?}");
        assert!(server.requests().is_empty());
    });
}

#[test]
fn a_store_that_does_not_show_it_is_not_believed() {
    let server = LoopbackBucket::start_tls();
    let store = bucket(&server, KEY);
    let bytes = || Bytes::from_static(b"some bytes");
    let wrapper = AesKeyWrapper::generate().unwrap();
    let encryptor = Encryptor::new(&wrapper, Dialect::COS_V2);
    let decryptor = Decryptor::new(&Keyring::new().with(wrapper));
    Runtime::new().unwrap().block_on(async {
        let none = plain_bucket(&server);
        none.put("a", bytes(), &Headers::new(), PutOptions::default()).await.unwrap();
        store.put("b", bytes(), &Headers::new(), PutOptions::default()).await.unwrap();
        server.fail(0, Fault::NoServerSide);
        let refused = store.head("b").await.unwrap_err();
        assert!(matches!(refused, StoreError::CustomerKey(_)), "{refused}");
        server.fail(0, Fault::NoServerSide);
        let refused = store.get("b", GetOptions::default()).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, StoreError::CustomerKey(_)), "{refused}");
        // A whole upload, of which only the last look tells. It is looked at twice.
        server.fail(1, Fault::NoServerSide);
        let put = Put::new(Arc::clone(&store), "c");
        put.stream(&b"a file"[..], None, &encryptor).await.unwrap_err();
        // And everything that is made of these requests.
        put.stream(&b"a file"[..], None, &encryptor).await.unwrap();
        let get = Get::new(Arc::clone(&store), "c");
        let read = get.decrypt(&decryptor).await.unwrap().read_to_end().await.unwrap();
        assert_eq!(read, b"a file");
        let range = "1-2".parse().unwrap();
        let read = get.decrypt_range(&decryptor, range).await.unwrap().read_to_end().await;
        assert_eq!(read.unwrap(), b" f");
        let new = Encryptor::new(&AesKeyWrapper::generate().unwrap(), Dialect::COS_V2);
        Rewrap::new(store, "c").run(&decryptor, &new).await.unwrap();
    });
}
