//! Encrypted uploads to and downloads from Aliyun OSS, Tencent COS and local folders.
//!
//! Data is encrypted and decrypted on this machine; the store sees only ciphertext and a wrapped
//! key. [`Put`] writes, [`Get`] reads and [`Rewrap`] changes the master key in place. [`Store`] is
//! the interface that they need; [`Bucket`], [`FolderStore`] and [`MemoryStore`] implement it.
//! [`blocking`] is for programs without an async runtime.
//!
//! ```
//! use std::sync::Arc;
//!
//! use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
//! use envelope_store::{Get, MemoryStore, Put, Store};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (store, key) = (MemoryStore::new(), AesKeyWrapper::generate()?);
//! let store: Arc<dyn Store> = Arc::new(store);
//! let encryptor = Encryptor::new(&key, Dialect::COS_V2);
//! Put::new(store.clone(), "a/key").stream(&b"a file"[..], None, &encryptor).await?;
//!
//! let decryptor = Decryptor::new(&Keyring::new().with(key));
//! let object = Get::new(store, "a/key").decrypt(&decryptor).await?;
//! assert_eq!(object.read_to_end().await?, b"a file");
//! # Ok(())
//! # }
//! ```
//!
//! # Platforms
//! Where there are no Unix permissions, files that should be private have those of their folder.

pub mod blocking;
pub mod bulk;

mod address;
mod attributes;
mod body;
mod budget;
mod copy;
mod copy_source;
mod credentials;
mod error;
mod get;
mod inspector;
mod journal;
mod kept_headers;
mod listing;
mod object_envelope;
mod object_name;
mod output;
mod private_file;
mod profile;
mod progress;
mod put;
mod rate_limit;
mod restore;
mod retry;
mod rewrap;
mod settings;
mod stop_signal;
mod store;
mod stores;
mod transfer_error;

pub use address::{Address, AddressError};
pub use attributes::{AttributeError, Attributes};
pub use body::Body;
pub use budget::Budget;
pub use copy::{Copy, CopyResult, CopyTarget, CopyWay};
pub use copy_source::CopySource;
pub use envelope_cloud::{
    Credentials, Endpoint, EndpointError, Environment, ProvideCredential, RetryPolicy,
    SharedCredentials,
};
pub use envelope_core;
pub use error::{ErrorResponse, StoreError};
pub use get::{Get, GetResult};
pub use listing::{Listed, list_all, list_folder, list_uploads, list_versions};
pub use object_envelope::{envelope_of, is_instruction_file};
pub use output::{OutputError, OutputFile, OutputOptions, is_same_file};
pub use private_file::create_private;
pub use profile::Profile;
pub use progress::Event;
pub use put::{Put, UploadResult};
pub use rate_limit::RateLimit;
pub use restore::{Restore, RestoreTier};
pub use rewrap::{Rewrap, Rewrapped};
pub use settings::{Settings, SettingsError};
pub use stop_signal::StopSignal;
pub use store::{
    CopyOptions, Entry, GetOptions, Headers, Object, ObjectMeta, Page, PresignedMethod, PutOptions,
    PutResult, Store, Upload, UploadedPart, Version, VersionMarker, VersionPage, head_unless_gone,
};
pub use stores::*;
pub use transfer_error::TransferError;

/// What fuzz targets call, because it is not public.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz {
    /// Reads an answer of a store as every document that is expected anywhere.
    pub fn answer(text: &str) {
        crate::stores::bucket::fuzz(text);
    }

    /// Reads the journal of an upload, and that of a download.
    pub fn journal(text: &str) {
        crate::put::fuzz(text);
        crate::get::fuzz(text);
    }
}

/// The examples in the README, which are compiled as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
