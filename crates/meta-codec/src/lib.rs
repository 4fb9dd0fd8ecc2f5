//! The metadata of client-side-encrypted objects in Aliyun OSS and Tencent COS.
//!
//! Each object that an SDK encrypts before upload carries its wrapped content key in
//! `x-oss-meta-…` or `x-cos-meta-…` headers. Every SDK family spells them a little differently; each
//! spelling is a [`Dialect`]. This crate turns headers into an [`Envelope`] ([`parse`]) and an
//! envelope into headers ([`Envelope::emit`]).
//!
//! It knows no master keys, does no encryption and no I/O, so everything in it may be printed (but for
//! [customer keys](sse::CustomerKey) of server-side encryption, which cannot be). It takes
//! hostile text: whatever does not follow a dialect to the letter is refused, with the header and the
//! reason ([`ParseError`]), and nothing in it panics.
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
mod dialect;
mod emit;
mod encoding;
mod envelope;
mod error;
mod header_list;
mod layout;
mod parse;
mod vendor;

pub use algorithm::{ContentAlgorithm, WrapAlgorithm};
pub use description::{DescriptionError, MaterialDescription};
pub use dialect::{Dialect, IvForm, UnknownDialect};
pub use emit::EmitError;
pub use envelope::Envelope;
pub use error::{Base64Fault, Excerpt, NumberFault, ParseError, Reason};
pub use header_list::{HeaderListError, read_headers};
pub use layout::{LayoutError, PartLayout};
pub use parse::{parse, parse_instruction, parse_user_metadata};
pub use vendor::Vendor;
