//! Adapters that encrypt or decrypt the data passing through them: for `std::io`; with the feature
//! `bytes` for streams of byte buffers; with the feature `tokio` for `tokio::io::AsyncRead`.
//!
//! Each adapter accepts any cipher. A plain keystream is applied in place. Where there is anything
//! to verify, the last bytes are held back, and the verdict comes at the end: a reader returns an
//! error instead of them, a writer in `finish`. So even a caller who reads exactly the length of
//! the plaintext cannot miss it. Until then, the output is unverified.

#[cfg(feature = "tokio")]
mod async_reader;
#[cfg(any(unix, windows))]
mod file_pass;
#[cfg(any(unix, windows))]
mod positioned;
mod reader;
mod second_read;
#[cfg(feature = "bytes")]
mod stream;
mod writer;

use std::io;

#[cfg(feature = "tokio")]
pub use async_reader::{AsyncDecryptReader, AsyncEncryptReader};
#[cfg(any(unix, windows))]
pub use file_pass::{FilePass, FilePassError, PassSums};
#[cfg(any(unix, windows))]
pub use positioned::PositionedFile;
pub use reader::{DecryptReader, EncryptReader};
pub use second_read::{FirstRead, SecondRead, SecondReader};
#[cfg(feature = "bytes")]
pub use stream::{DecryptStream, EncryptStream};
pub use writer::{DecryptWriter, EncryptWriter};

use crate::IntegrityError;

/// The chunk size, small enough to share the second-level cache with other data.
const CHUNK: usize = 64 * 1024;

/// Room for what the transforms hold back, so that a buffer does not grow, which would leave a copy
/// of its content behind.
const ROOM: usize = 64;

/// Returns the error for using a stream after a failure. The position is then unknown, so
/// continuing could pair data with the wrong keystream.
fn poisoned() -> io::Error {
    io::Error::other("an earlier error left this stream unusable")
}

fn invalid(error: IntegrityError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
