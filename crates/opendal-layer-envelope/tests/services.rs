//! The layer over services that keep metadata, and over those that lose it.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::{net::SocketAddr, time::Duration};

use envelope_core::{
    AesKeyWrapper, ContentAlgorithm, Decryptor, Dialect, Encryptor, Keyring, PartPlan, Policy,
    RsaKeyWrapper, SealOptions, Vendor,
};
use envelope_testkit::bucket::{ACCESS_KEY, Fault, LoopbackBucket, SECRET};
use opendal_core::{ErrorKind, HttpTransporter, Operator, services::Memory};
use opendal_http_transport_reqwest::ReqwestTransport;
use opendal_layer_envelope::{EnvelopeLayer, Error};
use opendal_layer_retry::RetryLayer;
use opendal_service_cos::Cos;
use opendal_service_fs::Fs;
use opendal_service_oss::Oss;
use opendal_service_s3::S3;

fn film() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn oss(server: &LoopbackBucket) -> Operator {
    opendal_http_transport_reqwest::install_default();
    let builder = Oss::default()
        .endpoint(&server.url())
        .addressing_style("path")
        .bucket("films")
        .root("/archive/")
        .access_key_id(ACCESS_KEY)
        .access_key_secret(SECRET);
    Operator::new(builder).unwrap()
}

fn s3(server: &LoopbackBucket) -> Operator {
    opendal_http_transport_reqwest::install_default();
    let builder = S3::default()
        .endpoint(&server.url())
        .region("loop")
        .bucket("films")
        .access_key_id(ACCESS_KEY)
        .secret_access_key(SECRET)
        .disable_config_load()
        .disable_ec2_metadata();
    Operator::new(builder).unwrap()
}

/// The bucket is in the name of the host, which no resolver knows.
fn cos(server: &LoopbackBucket) -> Operator {
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let client = reqwest::Client::builder().no_proxy().resolve("films.localhost", here);
    let transport = HttpTransporter::new(ReqwestTransport::from(client.build().unwrap()));
    let builder = Cos::default()
        .endpoint(&server.url().replace("127.0.0.1", "localhost"))
        .bucket("films")
        .root("/archive/")
        .secret_id(ACCESS_KEY)
        .secret_key(SECRET)
        .disable_config_load();
    let operator = Operator::new(builder).unwrap();
    let context = operator.base_context().with_http_transport(transport);
    operator.with_context(context)
}

struct Keys {
    aes: AesKeyWrapper,
    decryptor: Decryptor,
}

fn keys() -> Keys {
    let aes = AesKeyWrapper::generate().unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(aes.clone()));
    Keys { aes, decryptor }
}

async fn layer(operator: &Operator, keys: &Keys) -> opendal_core::Result<EnvelopeLayer> {
    let encryptor = Encryptor::new(&keys.aes, Dialect::COS_V2);
    EnvelopeLayer::new(operator, encryptor, keys.decryptor.clone()).await
}

fn source(error: &opendal_core::Error) -> &Error {
    let source = std::error::Error::source(error).expect("a source");
    source.downcast_ref().unwrap_or_else(|| panic!("{source}"))
}

/// Whole objects, ranges, metadata, and what is stored.
async fn round_trip(plain: &Operator, encrypted: &Operator) {
    let film = film();
    encrypted.write("a/film", film.clone()).await.unwrap();
    assert_eq!(encrypted.stat("a/film").await.unwrap().content_length(), film.len() as u64);
    assert_eq!(encrypted.read("a/film").await.unwrap().to_vec(), film);
    for range in [0..1, 15..17, 16..300_000, 1..299_999, 299_999..300_000] {
        let (start, end) = (range.start as usize, range.end as usize);
        let part = encrypted.read_with("a/film").range(range).await.unwrap();
        assert_eq!(part.to_vec(), film[start..end]);
    }
    let reader = encrypted.reader_with("a/film").chunk(70_001).concurrent(3).await.unwrap();
    assert_eq!(reader.read(..).await.unwrap().to_vec(), film);
    let stored = plain.read("a/film").await.unwrap().to_vec();
    assert!(stored.len() == film.len() && stored != film);
    for beyond in [300_001..300_002, 299_999..300_001, 0..300_100] {
        let error = encrypted.read_with("a/film").range(beyond.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RangeNotSatisfied, "{beyond:?} {error}");
    }

    encrypted.write("empty", "").await.unwrap();
    assert_eq!(encrypted.stat("empty").await.unwrap().content_length(), 0);
    assert!(encrypted.read("empty").await.unwrap().is_empty());

    encrypted.write_with("own", "x").user_metadata([("owner".into(), "me".into())]).await.unwrap();
    let metadata = encrypted.stat("own").await.unwrap();
    let own: Vec<_> = metadata.user_metadata().into_iter().flatten().collect();
    assert_eq!(own, [("owner", "me")]);
    let reserved = [("Client-Side-Encryption-Key".to_owned(), "x".to_owned())];
    let error = encrypted.write_with("own", "x").user_metadata(reserved).await.unwrap_err();
    assert!(matches!(source(&error), Error::ReservedName { .. }), "{error}");

    let capability = encrypted.info().capability();
    assert!(!capability.presign && !capability.write_can_append && !capability.compose);
    assert!(encrypted.presign_read("own", Duration::from_secs(9)).await.is_err());
    assert!(encrypted.writer_with("own").append(true).await.is_err());
    assert_eq!(encrypted.read("own").await.unwrap().to_vec(), b"x");
    // What is not encrypted is not passed on.
    plain.write("plain", "x").await.unwrap();
    for error in
        [encrypted.read("plain").await.unwrap_err(), encrypted.stat("plain").await.unwrap_err()]
    {
        assert!(matches!(source(&error), Error::Policy(_)), "{error}");
    }
}

/// Nothing of the self-test is left.
async fn is_clean(operator: &Operator) -> bool {
    let listed = operator.list_with("").recursive(true).await.unwrap();
    listed.iter().all(|entry| !entry.path().contains("self-test"))
}

#[tokio::test]
async fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Operator::new(Fs::default().root(folder.path().to_str().unwrap())).unwrap();
    let keys = keys();
    let encrypted = match layer(&plain, &keys).await {
        Ok(layer) => plain.clone().layer(layer),
        // A file system without extended attributes.
        Err(error) => {
            assert!(plain.list("").await.unwrap().len() < 2, "{error}");
            eprintln!("skipped: {error}");
            return;
        }
    };
    assert!(is_clean(&plain).await);
    round_trip(&plain, &encrypted).await;
    let film = film();
    let mut writer = encrypted.writer("chunks").await.unwrap();
    for chunk in film.chunks(77_777) {
        writer.write(chunk.to_vec()).await.unwrap();
    }
    writer.close().await.unwrap();
    assert_eq!(encrypted.read("chunks").await.unwrap().to_vec(), film);
    // A folder replaces files piece by piece, and has no entity tags.
    for path in ["chunks", "a/film"] {
        let error = encrypted.write(path, "x").await.unwrap_err();
        assert!(matches!(source(&error), Error::NotReplaceable { .. }), "{error}");
    }
    assert_eq!(encrypted.read("chunks").await.unwrap().to_vec(), film);
    let reader = encrypted.reader("chunks").await.unwrap();
    assert_eq!(reader.read(7..99).await.unwrap().to_vec(), film[7..99]);
    let mut changed = plain.read("chunks").await.unwrap().to_vec();
    changed.push(0);
    std::fs::write(folder.path().join("chunks"), &changed).unwrap();
    let error = reader.read(7..99).await.unwrap_err();
    assert!(matches!(source(&error), Error::Replaced), "{error}");
    std::fs::write(folder.path().join("chunks"), &changed[..film.len()]).unwrap();
    // Whether a copy keeps the metadata is not for us to know.
    for moves in [false, true] {
        let outcome = match moves {
            true => encrypted.rename("chunks", "moved").await,
            false => encrypted.copy("chunks", "copied").await.map(|_| ()),
        };
        let path = if moves { "moved" } else { "copied" };
        match outcome {
            Ok(()) => assert_eq!(encrypted.read(path).await.unwrap().to_vec(), film),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                assert_eq!(encrypted.read("chunks").await.unwrap().to_vec(), film);
            }
        }
    }
}

#[tokio::test]
async fn memory_keeps_no_metadata() {
    let memory = Operator::new(Memory::default()).unwrap();
    let error = layer(&memory, &keys()).await.unwrap_err();
    assert!(matches!(source(&error), Error::MetadataLost { .. }), "{error}");
    assert!(is_clean(&memory).await);
}

/// OpenDAL 0.59 loses the metadata of multipart uploads to OSS.
#[tokio::test]
async fn multipart_uploads_to_oss_are_refused() {
    let (server, keys) = (LoopbackBucket::start(), keys());
    let plain = oss(&server);
    let layer = layer(&plain, &keys).await.unwrap();
    assert!(is_clean(&plain).await);
    let encrypted = plain.clone().layer(layer);
    round_trip(&plain, &encrypted).await;
    assert!(!encrypted.info().capability().write_can_multi);

    let mut writer = encrypted.writer("chunks").await.unwrap();
    writer.write(vec![1; 200_000]).await.unwrap();
    let error = writer.write(vec![2; 200_000]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    // What was refused once must not be forgotten.
    for _ in 0..2 {
        let error = writer.close().await.unwrap_err();
        assert!(matches!(source(&error), Error::Incomplete), "{error}");
    }
    writer.abort().await.unwrap();
    let error = encrypted.stat("chunks").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(server.open_uploads(), 0);

    encrypted.copy("a/film", "copied").await.unwrap();
    assert_eq!(encrypted.read("copied").await.unwrap().to_vec(), film());
    // OpenDAL looks at the source itself, before the layer does.
    server.fail(3, Fault::LoseMetadata);
    let error = encrypted.copy("a/film", "lost").await.unwrap_err();
    assert!(matches!(source(&error), Error::EnvelopeLost { .. }), "{error}");
    assert!(encrypted.copy("plain", "copied").await.is_err(), "it is not encrypted");
    // The same key as another program sees, below the root.
    let name = "archive/sealed";
    let sealing =
        Encryptor::new(&keys.aes, Dialect::COS_V2).with_seal(SealOptions::new().with_name(name));
    let object = sealing.encrypt().unwrap();
    let headers = object
        .headers()
        .iter()
        .map(|(name, value)| (name.replace("x-cos-meta-", "x-oss-meta-"), value.clone()));
    let mut body = b"a film".to_vec();
    object.cipher().at(0).apply(&mut body);
    server.store_with("films", name, &body, headers.collect());
    assert_eq!(encrypted.read("sealed").await.unwrap().to_vec(), b"a film");
    let error = encrypted.copy("sealed", "other").await.unwrap_err();
    assert!(matches!(source(&error), Error::NameBound), "{error}");
}

#[tokio::test]
async fn a_bucket_of_cos() {
    let (server, keys) = (LoopbackBucket::start(), keys());
    let plain = cos(&server);
    let layer = layer(&plain, &keys).await.unwrap();
    assert!(is_clean(&plain).await);
    let encrypted = plain.clone().layer(layer);
    round_trip(&plain, &encrypted).await;

    assert!(encrypted.info().capability().write_can_multi);
    let film: Vec<u8> = film().into_iter().cycle().take(5 << 20).collect();
    let mut writer = encrypted.writer_with("chunks").chunk(2 << 20).await.unwrap();
    for chunk in film.chunks(777_777) {
        writer.write(chunk.to_vec()).await.unwrap();
    }
    writer.close().await.unwrap();
    assert_eq!(encrypted.read("chunks").await.unwrap().to_vec(), film);
    let middle = encrypted.read_with("chunks").range(2_000_000..3_000_000).await.unwrap();
    assert_eq!(middle.to_vec(), film[2_000_000..3_000_000]);
    assert_eq!(server.open_uploads(), 0);

    encrypted.copy("chunks", "copied").await.unwrap();
    assert_eq!(encrypted.read("copied").await.unwrap().to_vec(), film);
}

/// Whatever fails in the self-test, nothing of it is left, and no upload is open.
#[tokio::test]
async fn a_self_test_that_fails_leaves_nothing() {
    let (server, keys) = (LoopbackBucket::start(), keys());
    let plain = s3(&server);
    for n in 0..10 {
        server.fail(n, Fault::Denied);
        let outcome = layer(&plain, &keys).await;
        server.heal();
        assert!(outcome.is_err() || n > 6, "{n}");
        assert_eq!(server.open_uploads(), 0, "{n}");
        // What could not be deleted is there.
        assert!(is_clean(&plain).await || n > 5, "{n}");
    }
}

#[tokio::test]
async fn multipart_uploads_and_retries() {
    let (server, keys) = (LoopbackBucket::start(), keys());
    let plain = s3(&server);
    let layer = layer(&plain, &keys).await.unwrap();
    let retry = || RetryLayer::new().with_min_delay(Duration::from_millis(1)).with_max_times(3);
    let encrypted = plain.clone().layer(layer.clone());
    round_trip(&plain, &encrypted).await;
    assert!(encrypted.copy_with("a/film", "b").chunk(5 << 20).await.is_err(), "copies in parts");
    assert!(plain.stat("b").await.is_err());
    let film: Vec<u8> = film().into_iter().cycle().take(11 << 20).collect();
    // On either side of what encrypts, with every request failing once, before and after.
    for outside in [true, false] {
        let encrypted = match outside {
            true => plain.clone().layer(layer.clone()).layer(retry()),
            false => plain.clone().layer(retry()).layer(layer.clone()),
        };
        for n in 0..8 {
            for fault in [Fault::Error, Fault::ErrorAfter, Fault::CutAfter] {
                server.fail(n, fault);
                let path = format!("chunks-{outside}-{n}-{fault:?}");
                let mut writer = encrypted.writer(&path).await.unwrap();
                let mut outcome = Ok(());
                for chunk in film.chunks(5 << 20) {
                    outcome = writer.write(chunk.to_vec()).await;
                    if outcome.is_err() {
                        break;
                    }
                }
                let outcome = match outcome {
                    Ok(()) => writer.close().await.map(|_| ()),
                    Err(error) => Err(error),
                };
                server.heal();
                // What was reported as written is there, and is right.
                if outcome.is_ok() {
                    assert_eq!(encrypted.read(&path).await.unwrap().to_vec(), film, "{path}");
                } else {
                    let _ = writer.abort().await;
                }
                assert!(outcome.is_ok() || fault != Fault::Error, "{path}: {outcome:?}");
            }
        }
    }
}

/// The keystream of a chunk that may have arrived is not used for another.
#[tokio::test]
async fn a_failed_write_is_not_repeated_with_other_contents() {
    let (server, keys) = (LoopbackBucket::start(), keys());
    let plain = s3(&server);
    let encrypted = plain.clone().layer(layer(&plain, &keys).await.unwrap());
    let mut writer = encrypted.writer("chunks").await.unwrap();
    writer.write(vec![1; 5 << 20]).await.unwrap();
    server.fail(1, Fault::ErrorAfter);
    writer.write(vec![2; 5 << 20]).await.unwrap_err();
    let error = writer.write(vec![3; 5 << 20]).await.unwrap_err();
    assert!(matches!(source(&error), Error::OtherContents), "{error}");
    let error = writer.close().await.unwrap_err();
    assert!(matches!(source(&error), Error::Incomplete), "{error}");
    writer.write(vec![2; 5 << 20]).await.unwrap();
    writer.close().await.unwrap();
    let want = [vec![1; 5 << 20], vec![2; 5 << 20]].concat();
    assert_eq!(encrypted.read("chunks").await.unwrap().to_vec(), want);
}

#[tokio::test]
async fn what_a_service_loses_or_changes_is_noticed() {
    let (server, keys) = (LoopbackBucket::start(), keys());
    let plain = s3(&server);
    let encrypted = plain.clone().layer(layer(&plain, &keys).await.unwrap());
    server.fail(0, Fault::LoseMetadata);
    let error = encrypted.write("a", film()).await.unwrap_err();
    assert!(matches!(source(&error), Error::EnvelopeLost { .. }), "{error}");
    encrypted.write("a", film()).await.unwrap();

    // A reader is of one version.
    let reader = encrypted.reader("a").await.unwrap();
    assert_eq!(reader.read(0..5).await.unwrap().to_vec(), film()[..5]);
    encrypted.write("a", vec![7; 300_000]).await.unwrap();
    let error = reader.read(5..10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConditionNotMatch, "{error}");
    assert_eq!(encrypted.read("a").await.unwrap().to_vec(), vec![7; 300_000]);
}

#[tokio::test]
async fn other_content_and_other_policies() {
    let server = LoopbackBucket::start();
    let key = RsaKeyWrapper::generate(2048).unwrap();
    let keyring = Keyring::new().with(key.clone());
    let plain = s3(&server);
    let object = Encryptor::new(&key, Dialect::COS_V2).encrypt_gcm().unwrap();
    let headers: Vec<_> = object
        .headers()
        .iter()
        .map(|(name, value)| (name.replace("x-cos-meta-", "x-amz-meta-"), value.clone()))
        .collect();
    assert_eq!(object.envelope().content_algorithm(), ContentAlgorithm::Aes256Gcm);
    let body = object.into_cipher().seal(film()).unwrap();
    server.store_with("films", "gcm", &body, headers.clone());
    let strict = EnvelopeLayer::read_only(Vendor::Cos, Decryptor::new(&keyring));
    let strict = plain.clone().layer(strict);
    assert_eq!(strict.stat("gcm").await.unwrap().content_length(), 300_000);
    assert_eq!(strict.read("gcm").await.unwrap().to_vec(), film());
    let error = strict.read_with("gcm").range(3..9).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let policy = Policy::default().allow_unauthenticated_ranges();
    let lax = Decryptor::new(&keyring).with_policy(policy);
    let lax = plain.clone().layer(EnvelopeLayer::read_only(Vendor::Cos, lax));
    let end = lax.read_with("gcm").range(299_990..).await.unwrap();
    assert_eq!(end.to_vec(), film()[299_990..]);
    // A changed byte, and a body that was cut.
    let mut changed = body.clone();
    changed[5] ^= 1;
    server.store_with("films", "changed", &changed, headers.clone());
    let error = strict.read("changed").await.unwrap_err();
    assert!(matches!(source(&error), Error::Integrity(_)), "{error}");
    for n in 0..2 {
        server.fail(n, Fault::CutBody);
        assert!(strict.read("gcm").await.is_err() || n == 0, "{n}");
        server.heal();
    }
    // Nothing is written, and an envelope of another vendor is not plaintext.
    for error in [
        strict.write("x", "x").await.unwrap_err(),
        strict.delete("gcm").await.unwrap_err(),
        strict.copy("gcm", "x").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    assert!(server.object("films", "gcm").is_some());
    let names = vec![("x-amz-meta-oss-crypto-key".to_owned(), "AAAA".to_owned())];
    server.store_with("films", "other", b"x", names);
    let open = Decryptor::new(&keyring).with_policy(Policy::default().allow_plaintext());
    let open = plain.clone().layer(EnvelopeLayer::read_only(Vendor::Cos, open));
    let error = open.read("other").await.unwrap_err();
    assert!(matches!(source(&error), Error::OtherVendor { .. }), "{error}");
    plain.write("plain", "x").await.unwrap();
    assert_eq!(open.read("plain").await.unwrap().to_vec(), b"x");

    let keys = keys();
    let named = Encryptor::new(&keys.aes, Dialect::COS_V2)
        .with_seal(SealOptions::new().with_name("one name"));
    let error = EnvelopeLayer::new(&plain, named, keys.decryptor.clone()).await.unwrap_err();
    assert!(matches!(source(&error), Error::NameBound), "{error}");
    let plan = PartPlan::new(5 << 20, 1 << 20, Dialect::COS_V2).unwrap();
    let of_one = Encryptor::new(&keys.aes, Dialect::COS_V2).with_parts(plan);
    let error = EnvelopeLayer::new(&plain, of_one, keys.decryptor.clone()).await.unwrap_err();
    assert!(matches!(source(&error), Error::OneObject), "{error}");
    let sealed = keys.decryptor.with_policy(Policy::default().require_seal());
    let encryptor = Encryptor::new(&keys.aes, Dialect::COS_V2);
    let error = EnvelopeLayer::new(&plain, encryptor, sealed).await.unwrap_err();
    assert!(matches!(source(&error), Error::Policy(_)), "{error}");
}
