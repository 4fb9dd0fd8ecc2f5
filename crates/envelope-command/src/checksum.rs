//! Checksums of the body, for comparison with those of a store.

use std::io::{self, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use envelope_core::{BodyDigest, BodyHasher, Crc64, WholeHasher};
use md5::{Digest as _, Md5};
use meta_codec::Dialect;

use crate::failure::Failure;

/// A checksum that stores support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Checksum {
    /// Returned by the store; nearly free to compute
    Crc64,
    /// Accepted with an upload; takes 24 times as long as the encryption
    Md5,
}

/// The requested checksums of a body.
#[derive(Default)]
pub(crate) struct Checksums {
    pub(crate) crc64: Option<Crc64>,
    pub(crate) md5: Option<Md5>,
    /// The hash of the body for its seal, which is never printed.
    seal: Option<WholeHasher>,
}

impl Checksums {
    pub(crate) fn new(wanted: &[Checksum]) -> Self {
        Self {
            crc64: wanted.contains(&Checksum::Crc64).then(Crc64::new),
            md5: wanted.contains(&Checksum::Md5).then(Md5::new),
            seal: None,
        }
    }

    /// Hashes the body for its seal, too.
    pub(crate) fn hash_with(&mut self, hasher: &BodyHasher) {
        self.seal = Some(hasher.whole());
    }

    /// Returns the hash of the body for its seal, if it was asked for.
    pub(crate) fn digest(&self) -> Option<BodyDigest> {
        self.seal.as_ref().map(WholeHasher::finish)
    }

    /// Adds the next bytes of a body, in order.
    pub(crate) fn update(&mut self, data: &[u8]) {
        if let Some(crc64) = &mut self.crc64 {
            crc64.update(data);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(data);
        }
        if let Some(seal) = &mut self.seal {
            seal.update(data);
        }
    }

    /// Prints the checksums as HTTP headers.
    pub(crate) fn print(self, dialect: Dialect) -> Result<(), Failure> {
        let prefix = dialect.vendor().header_prefix();
        let lines = [
            self.crc64.map(|crc64| format!("{prefix}hash-crc64ecma: {crc64}\n")),
            self.md5.map(|md5| format!("Content-MD5: {}\n", STANDARD.encode(md5.finalize()))),
        ];
        let text: String = lines.into_iter().flatten().collect();
        io::stdout()
            .lock()
            .write_all(text.as_bytes())
            .map_err(|error| Failure::io("-".as_ref(), &error))
    }
}
