//! In how many parts an upload is made, and of which dialect.

use envelope_core::{AesKeyWrapper, Dialect, Encryptor};
use envelope_store::{Put, Store as _, StoreError, TransferError};
use meta_codec::Vendor;

use super::mirror::Mirror;

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
