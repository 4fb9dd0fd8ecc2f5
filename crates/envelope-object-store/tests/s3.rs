//! The S3 client of object_store against the loopback server, which checks its signatures.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, KeyCacheLimits, Keyring};
use envelope_object_store::EncryptedStore;
use envelope_testkit::bucket::{ACCESS_KEY, LoopbackBucket, SECRET};
use object_store::{
    ObjectStoreExt as _,
    aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut, S3CopyIfNotExists},
    integration,
    path::Path,
};

fn client(server: &LoopbackBucket) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(server.url())
        .with_allow_http(true)
        .with_bucket_name("films")
        .with_region("loop")
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
        .build()
        .unwrap()
}

fn encrypted(server: &LoopbackBucket) -> EncryptedStore<AmazonS3> {
    let key = AesKeyWrapper::generate().unwrap();
    let encryptor = Encryptor::new(&key, Dialect::COS_V2);
    let limits = KeyCacheLimits::new(100, Duration::from_secs(60));
    let decryptor = Decryptor::new(&Keyring::new().with(key)).with_cache(limits);
    EncryptedStore::new(client(server), encryptor, decryptor)
}

#[tokio::test]
async fn the_integration_suite() {
    let server = LoopbackBucket::start();
    let store = encrypted(&server);
    integration::put_get_delete_list(&store).await;
    integration::put_get_attributes(&store).await;
    integration::get_opts(&store).await;
    integration::put_opts(&store, true).await;
    integration::list_uses_directories_correctly(&store).await;
    integration::list_with_delimiter(&store).await;
    integration::list_with_offset_exclusivity(&store).await;
    integration::list_paginated(&store, &store).await;
    integration::rename_and_copy(&store).await;
    integration::copy_rename_nonexistent_object(&store).await;
    integration::get_nonexistent_object(&store, None).await.unwrap_err();
    integration::multipart_race_condition(&store, true).await;
    integration::multipart_out_of_order(&store).await;
    let other = encrypted(&LoopbackBucket::start());
    integration::stream_get(&other).await;
}

/// As many requests as without encryption, and one more for every object that is written.
#[tokio::test]
async fn the_requests() {
    let server = LoopbackBucket::start();
    let (store, path) = (encrypted(&server), Path::from("a"));
    store.put(&path, "a film".into()).await.unwrap();
    store.get_range(&path, 2..6).await.unwrap();
    store.get(&path).await.unwrap().bytes().await.unwrap();
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part("a film".into()).await.unwrap();
    upload.complete().await.unwrap();
    let methods: Vec<String> = server
        .requests()
        .iter()
        .filter_map(|request| request.split_whitespace().next().map(str::to_owned))
        .collect();
    assert_eq!(methods, ["PUT", "HEAD", "GET", "GET", "POST", "PUT", "POST", "HEAD"]);
}

#[tokio::test]
async fn the_server_checks_signatures() {
    let server = LoopbackBucket::start();
    server.set_secret("another");
    let error = encrypted(&server).put(&Path::from("a"), "a film".into()).await.unwrap_err();
    assert!(matches!(error, object_store::Error::PermissionDenied { .. }), "{error}");
    assert!(server.object("films", "a").is_none());
}

/// S3 copies in parts where nothing may be overwritten, and parts have no metadata. The envelope
/// would be lost, and `rename` would go on to delete the source.
#[tokio::test]
async fn a_copy_that_loses_the_envelope_is_found() {
    let server = LoopbackBucket::start();
    let store = encrypted(&server);
    let (from, to) = (Path::from("a"), Path::from("b"));
    store.put(&from, "a film".into()).await.unwrap();
    let error = store.rename_if_not_exists(&from, &to).await.unwrap_err();
    assert!(error.to_string().contains("has not kept its metadata"), "{error}");
    assert_eq!(store.get(&from).await.unwrap().bytes().await.unwrap(), "a film");
}
