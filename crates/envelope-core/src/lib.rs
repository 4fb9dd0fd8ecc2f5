//! Client-side encryption for Aliyun OSS and Tencent COS, compatible with everything that their
//! SDKs wrote.
//!
//! **The formats are AES-CTR without authentication.** Anyone who can write to the bucket can flip
//! any bit of a plaintext, swap two objects, or substitute a key of their own choosing, and other
//! readers do not notice. This one does if the object is [sealed](Encryptor::with_seal), with one
//! more header that the others pass over, and the [`Policy`] insists on it. See [`PlainCheck`] for
//! what can be checked without.
//!
//! ```text
//!  encrypt   ContentKey --wrap--> Envelope --emit--> headers --+
//!               |                                              +--> bucket
//!             plain  ---apply keystream---> ciphertext --------+
//!
//!  decrypt   ContentKey <--unwrap-- Envelope <--parse-- headers <-- bucket
//! ```
//!
//! Start with [`Encryptor`] and [`Decryptor`]. This crate uses no runtime and no network, and
//! its only source of randomness is the operating system.

pub mod hazmat;
pub mod io;
pub mod kms;

mod body;
mod body_digest;
mod cbc;
mod check;
mod content_cipher;
mod crc64;
mod ctr;
mod decryptor;
mod encrypted_object;
mod encryptor;
mod gcm;
mod key;
mod key_cache;
mod key_check;
mod keyring;
mod origin_key;
mod part_cipher;
mod plan;
mod policy;
mod range;
mod seal;
mod transcript;
mod wrap;

pub use body::{BodyDecryptor, BodyEncryptor};
pub use body_digest::{BodyDigest, BodyHasher, Stretch, StretchHasher, WholeHasher};
pub use cbc::CbcCipher;
pub use check::{IntegrityError, PlainCheck, PlainDigest, check_body_len, plain_len};
pub use content_cipher::ContentCipher;
pub use crc64::Crc64;
pub use ctr::{CtrCipher, Keystream, KeystreamEnd, NotCtr};
pub use decryptor::{DecryptError, Decryptor, RewrapError};
pub use encrypted_object::{EncryptedObject, NoPlan};
pub use encryptor::{EncryptError, Encryptor};
pub use gcm::{GcmOpener, GcmSealer};
pub use key::{ContentKey, NoRandomness};
pub use key_cache::KeyCacheLimits;
pub use keyring::{Keyring, KeyringError};
pub use meta_codec;
pub use meta_codec::{
    ContentAlgorithm, DescriptionError, Dialect, EmitError, Envelope, IvForm, LayoutError,
    MaterialDescription, ParseError, PartLayout, Seal, SealTerms, SealedBody, Vendor,
    WrapAlgorithm, parse, parse_user_metadata,
};
pub use origin_key::OriginKey;
pub use part_cipher::{PartCipher, PartLengthError};
pub use plan::{Part, PartPlan};
pub use policy::{Policy, PolicyError};
pub use range::{ByteRange, RangeError, RangeSyntax};
pub use seal::{SealError, SealOptions};
pub use wrap::{
    AsyncKeyWrapper, BoxFuture, KeyWrapper, UnwrapError, WrapError, WrappedKey,
    aes::{AesKeyError, AesKeyWrapper},
    kms::KmsKeyWrapper,
    rsa::RsaKeyWrapper,
    rsa_key::RsaKeyError,
};
/// The wrapper of secrets in this crate's interfaces, such as [`kms::Kms::decrypt`].
pub use zeroize::Zeroizing;

/// The examples in the README, which are compiled as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
