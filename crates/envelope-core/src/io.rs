//! `std::io` adapters: streams that encrypt or decrypt what passes through them.
//!
//! Each takes whatever cipher it is given. A plain keystream is applied in place; GCM and CBC hold
//! back their last bytes, and tell at the end whether the body was whole: a reader with an error
//! instead of the end of file, a writer in `finish`. Until then what has come out is unchecked.

mod reader;
mod writer;

use std::io;

pub use reader::{DecryptReader, EncryptReader};
pub use writer::{DecryptWriter, EncryptWriter};

use crate::IntegrityError;

/// Fits the second-level cache beside whatever else is there.
const CHUNK: usize = 64 * 1024;

/// After an error in the middle the position is unknown; going on could pair data with the wrong
/// keystream.
fn poisoned() -> io::Error {
    io::Error::other("an earlier error left this stream unusable")
}

fn invalid(error: IntegrityError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
