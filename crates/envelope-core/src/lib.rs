//! Client-side encryption for Aliyun OSS and Tencent COS, compatible with everything that their
//! SDKs wrote.
//!
//! **The formats are AES-CTR without authentication.** Anyone who can write to the bucket can flip
//! any bit of a plaintext, swap two objects, or substitute a key of their own choosing, and a
//! reader does not notice. Encryption here keeps the store from *reading* your data, and nothing
//! more. See [`PlainCheck`] for what can be checked.
//!
//! ```text
//!  encrypt   ContentKey --wrap--> Envelope --emit--> headers --+
//!               |                                              +--> bucket
//!             plain  ---apply keystream---> ciphertext --------+
//!
//!  decrypt   ContentKey <--unwrap-- Envelope <--parse-- headers <-- bucket
//! ```
//!
//! Start with [`Encryptor`] and [`Decryptor`]. This crate uses no runtime, network or clock, and
//! its only source of randomness is the operating system.

pub mod hazmat;
pub mod io;
pub mod kms;

mod body;
mod cbc;
mod check;
mod cipher;
mod crc64;
mod decryptor;
mod encryptor;
mod gcm;
mod key;
mod key_check;
mod keyring;
mod parallel;
mod plan;
mod policy;
mod range;
mod wrap;

pub use body::{BodyCipher, Decrypting, Encrypting};
pub use cbc::CbcCipher;
pub use check::{IntegrityError, PlainCheck, PlainDigest};
pub use cipher::{ContentCipher, Keystream, NotCtr, PartCipher, PartOverrun};
pub use crc64::Crc64;
pub use decryptor::{DecryptError, Decryptor, RewrapError};
pub use encryptor::{EncryptError, Encryptor};
pub use gcm::GcmCipher;
pub use key::{ContentKey, NoRandomness};
pub use keyring::{Keyring, KeyringError};
pub use plan::{Part, PartPlan};
pub use policy::{Policy, PolicyError};
pub use range::{ByteRange, Fetch, RangeError, RangeSyntax};
pub use wrap::{
    KeyWrapper, UnwrapError, WrapError, WrappedKey,
    aes::{AesKeyError, AesKeyWrapper},
    kms::KmsKeyWrapper,
    rsa::RsaKeyWrapper,
    rsa_key::RsaKeyError,
};

/// Compiles the example in the README as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
