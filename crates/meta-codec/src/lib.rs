//! Metadata of client-side-encrypted objects in Aliyun OSS and Tencent COS.
//!
//! Each object that an SDK encrypts before upload carries its wrapped content key in
//! `x-oss-meta-…` or `x-cos-meta-…` headers. Each SDK family formats them slightly differently;
//! each such format is a [`Dialect`]. This crate parses headers into an [`Envelope`] ([`parse`])
//! and emits an envelope as headers ([`Envelope::emit`]).
//!
//! It handles no master keys and performs no encryption or I/O, so all of its values can safely be
//! printed, except [customer keys](sse::CustomerKey) for server-side encryption, which implement
//! neither `Debug` nor `Display`. It accepts hostile input: anything that does not follow a dialect
//! exactly is rejected with the header and the reason ([`ParseError`]), and nothing panics.
//!
//! ```
//! let headers = [
//!     ("X-Cos-Meta-Client-Side-Encryption-Key", "qCNQEMqkKN6WIMPfRwV1WlfKgxrV8uLseQb8xycs3g0="),
//!     ("X-Cos-Meta-Client-Side-Encryption-Iv", "s7ZSLhVjHwszfODRFoSmCA=="),
//!     ("Content-Type", "image/jpeg"),
//! ];
//! let envelope = meta_codec::parse(headers)?.expect("the object is encrypted");
//! assert_eq!(envelope.dialect().id(), "cos-v1");
//! assert_eq!(envelope.wrapped_key().len(), 32);
//! # Ok::<(), meta_codec::ParseError>(())
//! ```

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod sse;

mod algorithm;
mod description;
mod deviation;
mod dialect;
mod emit;
mod encoding;
mod envelope;
mod error;
mod header_list;
mod kms_convention;
mod layout;
mod parse;
mod reader;
mod seal;
mod user_metadata;
mod vendor;

pub use algorithm::{ContentAlgorithm, WrapAlgorithm};
pub use description::{DescriptionError, MaterialDescription};
pub use deviation::Deviation;
pub use dialect::{Dialect, IvForm, UnknownDialect};
pub use emit::EmitError;
pub use envelope::Envelope;
pub use error::{Base64Fault, Excerpt, NumberFault, ParseError, Reason};
pub use header_list::{HeaderListError, read_headers};
pub use kms_convention::{BlobForm, KmsContext, KmsConvention};
pub use layout::{LayoutError, PartLayout};
pub use parse::{parse, parse_instruction, parse_tolerant};
pub use reader::{Form, Reach, Reader, UnknownReader};
pub use seal::{Seal, SealFault, SealTerms, SealedBody};
pub use user_metadata::{
    is_envelope_metadata, parse_user_metadata, parse_user_metadata_tolerant, user_metadata_name,
};
pub use vendor::Vendor;

/// The examples in the README, which are compiled as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
