//! Client-side encryption over any [`ObjectStore`](object_store::ObjectStore), in the formats of
//! the official SDKs of Aliyun OSS and Tencent COS.
//!
//! [`EncryptedStore`] encrypts objects before they leave the machine, and decrypts them, or any
//! range of them, as they are read. Everything that is written for `object_store` can be used with
//! it: Parquet readers, DataFusion, Lance, Delta Lake. The content key of each object is wrapped by
//! your master key, and travels in the object's [`Attributes`](object_store::Attributes).
//!
//! ```
//! use std::time::Duration;
//!
//! use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, KeyCacheLimits, Keyring};
//! use envelope_object_store::EncryptedStore;
//! use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = AesKeyWrapper::generate()?;
//! let encryptor = Encryptor::new(&key, Dialect::COS_V2);
//! // Ranges of one object then cost one unwrap, or as many as are asked for at once at first.
//! let limits = KeyCacheLimits::new(1000, Duration::from_secs(60));
//! let decryptor = Decryptor::new(&Keyring::new().with(key)).with_cache(limits);
//! let store = EncryptedStore::new(InMemory::new(), encryptor, decryptor);
//!
//! let path = Path::from("films/film.mkv");
//! store.put(&path, "a film".into()).await?;
//! assert_eq!(store.get_range(&path, 2..6).await?, "film");
//! assert_ne!(store.inner().get(&path).await?.bytes().await?, "a film");
//! # Ok(())
//! # }
//! ```
//!
//! # What the store underneath has to do
//!
//! It must keep user metadata, for single and for multipart uploads. Where it does not, the content
//! key is lost and the object with it. Some stores refuse metadata (`LocalFileSystem`), and writing
//! then fails; some drop it without a word. Therefore every object that is written is looked at,
//! with one more request, before the write is reported as done; see
//! [`without_checked_writes`](EncryptedStore::without_checked_writes).
//!
//! # What is encrypted
//!
//! The contents of objects, with AES-256-CTR, which keeps their length: sizes, ranges and listings
//! mean the same as without encryption. Names, sizes and the other attributes are not encrypted.
//! AES-CTR does not notice changes; see [`with_seal`](EncryptedStore::with_seal) for what does.

mod attributes;
mod encrypted_store;
mod encrypted_upload;
mod error;
mod stored_body;
mod stored_object;
mod written_object;

pub use encrypted_store::EncryptedStore;
pub use envelope_core;
pub use error::Error;
pub use object_store;

/// The examples in the README, which are compiled as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
