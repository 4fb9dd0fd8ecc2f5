//! `std::io` adapters: streams that encrypt or decrypt the data passing through them.
//!
//! Each adapter accepts any cipher. A plain keystream is applied in place. GCM and CBC hold back
//! their last bytes and report at the end whether the body was intact: a reader by returning an
//! error instead of the end of file, a writer in `finish`. Until then, the output is unverified.

mod reader;
mod writer;

use std::io;

pub use reader::{DecryptReader, EncryptReader};
pub use writer::{DecryptWriter, EncryptWriter};

use crate::IntegrityError;

/// The chunk size, small enough to share the second-level cache with other data.
const CHUNK: usize = 64 * 1024;

/// Returns the error for using a stream after a failure. The position is then unknown, so
/// continuing could pair data with the wrong keystream.
fn poisoned() -> io::Error {
    io::Error::other("an earlier error left this stream unusable")
}

fn invalid(error: IntegrityError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
