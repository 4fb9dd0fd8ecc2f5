//! Encrypted uploads to and downloads from Aliyun OSS, Tencent COS and local folders.
//!
//! Objects are encrypted and decrypted on this machine; the store sees only ciphertext and a
//! wrapped content key. [`Put`] uploads an object, [`Get`] downloads one, and [`rewrap`] changes
//! the master key in place. They work with any [`Store`]: [`Bucket`], [`FolderStore`] and
//! [`MemoryStore`] are provided. The [`blocking`] module is for programs without an async runtime.
//!
//! ```
//! use envelope_core::{AesKeyWrapper, Decryptor, Encryptor, Keyring};
//! use envelope_store::{Get, MemoryStore, Put};
//! use meta_codec::Dialect;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (store, wrapper) = (MemoryStore::new(), AesKeyWrapper::generate()?);
//! let encryptor = Encryptor::new(&wrapper, Dialect::COS_V2);
//! Put::new(&store, "a/key").stream(&b"a file"[..], None, &encryptor).await?;
//!
//! let keyring = Keyring::new().with(wrapper);
//! let object = Get::new(&store, "a/key").open(&Decryptor::new(&keyring)).await?;
//! assert_eq!(object.read_to_end().await?, b"a file");
//! # Ok(())
//! # }
//! ```
//!
//! Keys are wrapped and unwrapped on the calling task: a key in a KMS blocks it for one call.

pub mod blocking;

mod address;
mod bucket;
mod credentials;
mod endpoint;
mod error;
mod folder;
mod get;
mod memory;
mod private;
mod put;
mod retry;
mod rewrap;
mod settings;
mod store;
mod transfer;
mod xml;

pub use address::{Address, AddressError, Place};
pub use bucket::{Bucket, Signature, decode_key};
pub use credentials::Credentials;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Refusal, StoreError};
pub use folder::FolderStore;
pub use get::{Get, Opened};
pub use memory::MemoryStore;
pub use private::create_private;
pub use put::{Put, PutOutcome};
pub use retry::Retry;
pub use rewrap::{Rewrapped, rewrap};
pub use settings::{Settings, SettingsError};
pub use store::{ArrivedPart, Body, Entry, Head, Headers, Object, Page, Store, Stored, Upload};
pub use transfer::{Event, TransferError, envelope_of};
