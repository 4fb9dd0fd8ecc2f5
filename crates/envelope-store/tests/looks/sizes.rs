//! The number of parts of an upload, and the dialects that a store takes.

use std::sync::Arc;

use envelope_core::{
    AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring, PartPlan, RsaKeyWrapper,
};
use envelope_store::{Get, Put, Rewrap, Rewrapped, Store, StoreError, TransferError};
use envelope_testkit::bucket::LoopbackBucket;
use meta_codec::Vendor;

use super::{mirror::Mirror, support::bucket};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn what_is_longer_than_the_threshold_is_uploaded_in_parts() {
    let key = AesKeyWrapper::generate().unwrap();
    let encryptor = Encryptor::new(&key, Dialect::COS_V2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    // By default, the threshold is 16 MiB, the parts of a stream are as long, and those of a file
    // have 8 MiB.
    let sizes = [(16 * MIB, 0, 0), (16 * MIB + 1, 2, 3), (33 * MIB, 3, 5)];
    for (len, of_stream, of_file) in sizes {
        let plain = vec![7; len];
        std::fs::write(&path, &plain).unwrap();
        let mirror = Mirror::new(&key).await;
        for concurrency in [0, 4] {
            let put = Put::new(mirror.clone(), "key").with_concurrency(concurrency);
            let parts = [
                put.stream(&plain[..], None, &encryptor).await.unwrap().parts,
                put.file(&path, &encryptor, None).await.unwrap().parts,
                put.stored(&path).await.unwrap().parts,
            ];
            assert_eq!(parts, [of_stream, of_file, of_file], "{len}");
        }
    }
}

#[tokio::test]
async fn a_store_takes_the_dialects_of_its_vendor() {
    let key = AesKeyWrapper::generate().unwrap();
    let encryptor = Encryptor::new(&key, Dialect::OSS_V2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, b"a file").unwrap();
    let mirror = Mirror::new(&key).await;
    let put = Put::new(mirror.clone(), "other");
    for outcome in [
        put.stream(&b"a file"[..], None, &encryptor).await,
        put.file(&path, &encryptor, None).await,
    ] {
        let (dialect, vendor) = (Dialect::OSS_V2, Vendor::Cos);
        let is_refused = match outcome {
            Err(TransferError::Vendor { dialect: of, vendor: at }) => (of, at) == (dialect, vendor),
            _ => false,
        };
        assert!(is_refused);
        assert!(matches!(mirror.head("other").await, Err(StoreError::NotFound)));
    }
}

/// OSS compares the parts with those that the metadata states, and each has to fit into memory.
#[tokio::test]
async fn stated_parts_are_used_if_they_are_small_enough() {
    let server = LoopbackBucket::start();
    let store = Arc::new(bucket(&server, Dialect::OSS_V2));
    let file = std::fs::read(envelope_testkit::folder("keys/private_key.pem")).unwrap();
    let key = RsaKeyWrapper::read(&file, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let len = 3 * MIB as u64;
    std::fs::write(&path, vec![7; 3 * MIB]).unwrap();
    for part_size in [1 << 20, 512 << 20, (512 << 20) + 16] {
        let plan = PartPlan::new(len, part_size, Dialect::OSS_V2).unwrap();
        let object = Encryptor::new(&key, Dialect::OSS_V2).with_parts(plan).encrypt().unwrap();
        let headers = object.headers().iter();
        let put = Put::new(store.clone(), "key")
            .with_threshold(1000)
            .with_headers(headers.map(|(name, value)| ((*name).to_owned(), value.clone())));
        match put.stored(&path).await {
            Ok(result) => {
                assert!(part_size <= 512 << 20);
                assert_eq!(u64::from(result.parts), len.div_ceil(part_size));
            }
            Err(TransferError::PartSize(size)) => {
                assert_eq!((size, part_size), (part_size, (512 << 20) + 16));
            }
            Err(error) => panic!("{part_size}: {error}"),
        }
    }
}

/// OSS wants to know the parts of what is uploaded in parts, and of nothing else.
#[tokio::test]
async fn an_object_in_one_piece_states_no_parts_when_it_is_rewrapped() {
    let server = LoopbackBucket::start();
    let store: Arc<dyn Store> = Arc::new(bucket(&server, Dialect::OSS_V2));
    let file = std::fs::read(envelope_testkit::folder("keys/private_key.pem")).unwrap();
    let key = RsaKeyWrapper::read(&file, None).unwrap();
    let encryptor = Encryptor::new(&key, Dialect::OSS_V2);
    let old = Decryptor::new(&Keyring::new().with(key));
    for (len, parts) in [(3000, false), (17 * MIB, true)] {
        let put = Put::new(store.clone(), "key").with_threshold(u64::MAX);
        put.stream(&vec![7; len][..], None, &encryptor).await.unwrap();
        let rewrap = Rewrap::new(store.clone(), "key").with_reupload(true);
        assert_eq!(rewrap.run(&old, &encryptor).await.unwrap(), Rewrapped::Reuploaded);
        let headers = store.head("key").await.unwrap().headers;
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let envelope = meta_codec::parse(headers).unwrap().unwrap();
        assert_eq!(envelope.layout().is_some(), parts, "{len}");
        let get = Get::new(store.clone(), "key");
        assert_eq!(get.decrypt(&old).await.unwrap().read_to_end().await.unwrap().len(), len);
    }
}
