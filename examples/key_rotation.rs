//! Rotates an RSA master key: the old key is replaced in the metadata of every object.
//!
//! No object is encrypted again. Its content key is unwrapped with the old master key and wrapped
//! with the new one, and its bytes stay where they are. Whoever has both the old key and a copy of
//! the old metadata can still open the object.
//!
//! `cargo run --release --example key_rotation`

use std::{error::Error, sync::Arc};

use envelope_core::{Decryptor, Dialect, Encryptor, Keyring, MaterialDescription, RsaKeyWrapper};
use envelope_store::{Get, GetOptions, MemoryStore, Put, Rewrap, Rewrapped, Store, StoreError};
use futures_util::TryStreamExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The description in the metadata says which key opens an object.
    let generate = |year: &str| -> Result<RsaKeyWrapper, Box<dyn Error>> {
        let description = MaterialDescription::new([("key", year)])?;
        Ok(RsaKeyWrapper::generate(2048)?.with_description(description))
    };
    let (old, new) = (generate("2025")?, generate("2026")?);
    let (old_encryptor, encryptor) =
        (Encryptor::new(&old, Dialect::COS_V2), Encryptor::new(&new, Dialect::COS_V2));
    let old_decryptor = Decryptor::new(&Keyring::new().with(old));
    let decryptor = Decryptor::new(&Keyring::new().with(new));

    let store: Arc<dyn Store> = Arc::new(MemoryStore::new()); // or a `Bucket`, or a `FolderStore`
    for key in ["letters/1", "letters/2", "letters/3"] {
        Put::new(store.clone(), key).stream(key.as_bytes(), None, &old_encryptor).await?;
    }

    let (mut after, mut count) = (None, 0);
    loop {
        let page = store.list("letters/", after.as_deref()).await?;
        for entry in page.entries {
            let before = stored_bytes(&*store, &entry.key).await?;
            // With the new keys, an interrupted rotation can be run again.
            let rewrap = Rewrap::new(store.clone(), &entry.key).with_new_keys(&decryptor);
            assert_eq!(rewrap.run(&old_decryptor, &encryptor).await?, Rewrapped::InPlace);
            assert_eq!(rewrap.run(&old_decryptor, &encryptor).await?, Rewrapped::Already);

            let get = Get::new(store.clone(), &entry.key);
            assert!(get.decrypt(&old_decryptor).await.is_err());
            let plain = get.decrypt(&decryptor).await?.read_to_end().await?;
            assert_eq!(plain, entry.key.as_bytes());
            assert_eq!(stored_bytes(&*store, &entry.key).await?, before);
            count += 1;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(count, 3);
    println!("{count} objects have a new master key, and the same bytes as before");
    Ok(())
}

/// Returns the ciphertext of an object.
async fn stored_bytes(store: &dyn Store, key: &str) -> Result<Vec<u8>, StoreError> {
    let object = store.get(key, GetOptions::default()).await?;
    let chunks: Vec<_> = object.body.try_collect().await?;
    Ok(chunks.concat())
}
