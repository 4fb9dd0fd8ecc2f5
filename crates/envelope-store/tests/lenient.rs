//! Objects that follow no dialect, in a store.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use std::sync::{Arc, Mutex};

use envelope_core::{
    ContentAlgorithm, Decryptor, Dialect, Envelope, IvForm, KeyWrapper, Keyring, Policy,
    RsaKeyWrapper, WrapAlgorithm, hazmat,
};
use envelope_store::{Event, Get, MemoryStore, OutputFile, OutputOptions, PutOptions, Store};

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
