//! Client-side encryption as a layer of OpenDAL, in the formats of the official SDKs of Aliyun OSS
//! and Tencent COS.
//!
//! ```no_run
//! use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
//! use opendal_core::Operator;
//! use opendal_layer_envelope::EnvelopeLayer;
//!
//! # async fn example(operator: Operator) -> Result<(), Box<dyn std::error::Error>> {
//! let key = AesKeyWrapper::generate()?;
//! let encryptor = Encryptor::new(&key, Dialect::COS_V2);
//! let decryptor = Decryptor::new(&Keyring::new().with(key));
//! let layer = EnvelopeLayer::new(&operator, encryptor, decryptor).await?;
//! let operator = operator.layer(layer);
//!
//! operator.write("films/film.mkv", "a film").await?;
//! assert_eq!(operator.read_with("films/film.mkv").range(2..6).await?.to_vec(), b"film");
//! # Ok(())
//! # }
//! ```
//!
//! # The self-test
//!
//! The content key of an object travels in its user metadata. Some services drop metadata without
//! a word: OpenDAL 0.59 that of every multipart upload to OSS, and everything in memory. No list
//! says which, because that changes with every version of a service. [`EnvelopeLayer::new`] writes
//! an object in every way that the operator has, looks at its metadata, and deletes it. What loses
//! metadata is then refused.

mod checked_copier;
mod decrypted_reader;
mod encrypted_service;
mod encrypted_writer;
mod envelope_layer;
mod error;
mod self_test;
mod user_metadata;
mod written_object;

pub use envelope_core;
pub use envelope_layer::EnvelopeLayer;
pub use error::Error;
pub use opendal_core;

/// The examples in the README, which are compiled as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
