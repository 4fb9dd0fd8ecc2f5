//! The public integration suite of object_store, over stores of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use envelope_core::{Decryptor, Dialect, Encryptor, Keyring, Policy, RsaKeyWrapper, SealOptions};
use envelope_object_store::EncryptedStore;
use object_store::{ObjectStore, integration, memory::InMemory};

/// Runs everything that the suite has for stores without upload identifiers of their own.
async fn suite<S: ObjectStore>(make: impl Fn() -> EncryptedStore<S>) {
    let store = make();
    integration::put_get_delete_list(&store).await;
    integration::put_get_attributes(&store).await;
    integration::get_opts(&store).await;
    integration::put_opts(&store, true).await;
    integration::list_uses_directories_correctly(&store).await;
    integration::list_with_delimiter(&store).await;
    integration::list_with_offset_exclusivity(&store).await;
    integration::rename_and_copy(&store).await;
    integration::copy_if_not_exists(&store).await;
    integration::copy_rename_nonexistent_object(&store).await;
    integration::get_nonexistent_object(&store, None).await.unwrap_err();
    integration::multipart_race_condition(&store, true).await;
    integration::multipart_out_of_order(&store).await;
    integration::stream_get(&make()).await;
}

#[tokio::test]
async fn over_memory_in_every_dialect_that_is_written() {
    let key = RsaKeyWrapper::generate(2048).unwrap();
    for dialect in Dialect::ALL.into_iter().filter(|dialect| dialect.is_writable()) {
        let make = || {
            let encryptor = Encryptor::new(&key, dialect);
            let encryptor = encryptor.with_seal(SealOptions::new()).with_key_check();
            let policy = Policy::every_algorithm().require_seal();
            let policy = policy.allow_unauthenticated_ranges();
            let decryptor = Decryptor::new(&Keyring::new().with(key.clone())).with_policy(policy);
            EncryptedStore::new(InMemory::new(), encryptor, decryptor)
        };
        suite(make).await;
    }
}
