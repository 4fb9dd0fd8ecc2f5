//! `std::io` adapters: streams that encrypt or decrypt what passes through them.

mod reader;
mod writer;

pub use reader::{DecryptReader, EncryptReader};
pub use writer::{DecryptWriter, EncryptWriter};

use std::io;

/// After an error in the middle the position is unknown; going on could pair data with the wrong
/// keystream.
fn poisoned() -> io::Error {
    io::Error::other("an earlier error left this stream unusable")
}
