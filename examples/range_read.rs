//! Reads byte ranges of an encrypted object, as a video player does.
//!
//! Only the bytes of a range are fetched. The master key is in a key management service; with
//! [`Decryptor::with_cache`], the service is asked once for all ranges of an object.
//!
//! `cargo run --release --example range_read`

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use envelope_core::{
    ByteRange, Decryptor, Dialect, Encryptor, KeyCacheLimits, Keyring, KmsKeyWrapper,
    WrapAlgorithm,
    kms::{Kms, KmsError, MemoryKms},
};
use envelope_store::{Get, MemoryStore, Put, Store};
use zeroize::Zeroizing;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // In a real program: a `Bucket`, and a `Client` of the crate `envelope-kms`.
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let kms = Arc::new(CountedKms::new());
    let key = KmsKeyWrapper::new(kms.clone());

    let film: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let encryptor = Encryptor::new(&key, Dialect::OSS_V2);
    Put::new(store.clone(), "film").stream(&film[..], None, &encryptor).await?;
    let before = kms.calls();

    let limits = KeyCacheLimits::new(100, Duration::from_secs(300));
    let decryptor = Decryptor::new(&Keyring::new().with(key)).with_cache(limits);
    let get = Get::new(store, "film");
    let ranges = [
        (ByteRange::bounded(0..1024), 0..1024),
        (ByteRange::bounded(1_234_567..9_999_999), 1_234_567..film.len()),
        ("3000000-3000999".parse()?, 3_000_000..3_001_000), // as in a `Range` header
        (ByteRange::starting_at(3_999_000), 3_999_000..film.len()),
        (ByteRange::suffix(10), film.len() - 10..film.len()),
    ];
    for (range, expected) in &ranges {
        let plain = get.decrypt_range(&decryptor, *range).await?.read_to_end().await?;
        assert_eq!(Some(&plain[..]), film.get(expected.clone()));
    }
    // Two calls: one for the key, one for the IV.
    assert_eq!(kms.calls() - before, 2);
    println!("{} ranges were read; the KMS unwrapped one content key", ranges.len());
    Ok(())
}

/// A key management service that counts how often it decrypts.
struct CountedKms {
    inner: MemoryKms,
    calls: AtomicUsize,
}

impl CountedKms {
    fn new() -> Self {
        Self { inner: MemoryKms::new(WrapAlgorithm::KmsAliyun), calls: AtomicUsize::new(0) }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Kms for CountedKms {
    fn algorithm(&self) -> WrapAlgorithm {
        self.inner.algorithm()
    }

    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        self.inner.encrypt(plaintext, context)
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.decrypt(blob, context)
    }
}
