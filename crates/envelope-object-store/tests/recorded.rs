//! Every object that an official SDK wrote, read through object_store, whole and in ranges.

#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::{fmt::Write as _, sync::LazyLock};

use envelope_core::{
    AesKeyWrapper, ContentAlgorithm, Decryptor, Encryptor, Envelope, Keyring, KmsKeyWrapper,
    Policy, RsaKeyWrapper, Vendor, WrapAlgorithm, kms::MemoryKms, meta_codec::read_headers,
};
use envelope_object_store::EncryptedStore;
use envelope_testkit::{Case, Outcome, all_cases};
use object_store::{Attribute, Attributes, ObjectStore as _, ObjectStoreExt as _, path::Path};
use sha2::{Digest as _, Sha256};

use self::common::Memory;

fn keyring(case: &Case) -> Keyring {
    let Some(path) = case.key() else {
        let algorithm = match case.kms().as_deref() {
            Some("aliyun") => WrapAlgorithm::KmsAliyun,
            _ => WrapAlgorithm::KmsTencent,
        };
        let kms = case.kms_answers().into_iter().fold(MemoryKms::new(algorithm), |kms, answer| {
            kms.with_answer(&answer.blob, &answer.plaintext, answer.context.as_deref())
        });
        return Keyring::new().with(KmsKeyWrapper::new(kms));
    };
    let (file, passphrase) = (std::fs::read(path).unwrap(), case.passphrase());
    match AesKeyWrapper::read_text(&file) {
        Ok(aes) => Keyring::new().with(aes),
        Err(_) => Keyring::new()
            .with(RsaKeyWrapper::read(&file, passphrase.as_deref().map(str::as_bytes)).unwrap()),
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// Stores a recorded object as object_store would.
async fn store(case: &Case, path: &Path) -> EncryptedStore<Memory> {
    let headers = read_headers(case.headers().as_bytes()).unwrap();
    let is_oss = headers.iter().any(|(name, _)| name.starts_with("x-oss-"));
    let vendor = if is_oss { Vendor::Oss } else { Vendor::Cos };
    let attributes: Attributes = headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let name = name.strip_prefix(vendor.metadata_prefix())?.to_owned();
            let value = String::from_utf8(value.clone()).unwrap();
            Some((Attribute::Metadata(name.into()), value))
        })
        .collect();
    let memory = Memory::default();
    memory.put_opts(path, case.body().into(), attributes.into()).await.unwrap();
    if let Some(file) = case.instruction() {
        let path = Path::from(format!("{path}.instruction"));
        memory.put(&path, file.into_bytes().into()).await.unwrap();
    }
    let policy = Policy::every_algorithm().allow_unauthenticated_ranges();
    let decryptor = Decryptor::new(&keyring(case)).with_policy(policy);
    // What it would write with is not used here, but it may rename.
    static WRITER: LazyLock<RsaKeyWrapper> =
        LazyLock::new(|| RsaKeyWrapper::generate(2048).unwrap());
    EncryptedStore::new(memory, Encryptor::new(&*WRITER, vendor.default_dialect()), decryptor)
}

#[tokio::test]
async fn every_recorded_object_opens() {
    let path = Path::from("films/film.mkv");
    let (mut opened, mut ranges, mut instructed) = (0, 0, 0);
    for case in all_cases().iter().filter(|case| case.outcome() == Outcome::Plain) {
        let (name, store) = (case.name(), store(case, &path).await);
        let found = store.get(&path).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let content = found.extensions.get::<Envelope>().unwrap().content_algorithm();
        assert_eq!((found.meta.size, found.range.clone()), (case.len(), 0..case.len()), "{name}");
        assert_eq!(store.head(&path).await.unwrap().size, case.len(), "{name}");
        let plain = found.bytes().await.unwrap();
        assert_eq!(sha256(&plain), case.plain_sha256(), "{name}");
        opened += 1;
        instructed += usize::from(case.instruction().is_some());
        if content == ContentAlgorithm::Aes256Cbc || case.is_empty() {
            continue;
        }
        for start in [0, 1, 15, 16, case.len() / 2, case.len() - 1] {
            let range = start.min(case.len() - 1)..case.len().min(start + 40).max(1);
            let (from, to) = (range.start as usize, range.end as usize);
            let part = store.get_range(&path, range.clone()).await.unwrap();
            assert_eq!(part, plain.slice(from..to), "{name} {range:?}");
            ranges += 1;
        }
        if case.instruction().is_some() {
            let error = store.rename(&path, &Path::from("b")).await.unwrap_err();
            assert!(error.to_string().contains("instruction file"), "{name}: {error}");
        }
    }
    assert_eq!((opened, instructed), (76, 7));
    assert!(ranges >= 390, "{ranges}");
}
