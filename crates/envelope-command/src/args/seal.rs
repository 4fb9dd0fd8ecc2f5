//! Arguments about the seal, which lets readers notice that an object was tampered with.

use std::path::{Path, PathBuf};

use envelope_core::{Decryptor, OriginKey, Policy, SealOptions};

use crate::{failure::Failure, key_file};

/// Options for sealing an object that is written.
#[derive(Debug, clap::Args)]
pub(crate) struct Sealing {
    /// Write no seal: the header, specific to `envelope`, that lets it notice every change of the
    /// object. Other readers ignore it.
    #[arg(long, conflicts_with = "origin_key")]
    pub(crate) no_seal: bool,
    #[command(flatten)]
    pub(crate) origin: Origin,
}

/// The secret that tells objects of one's own from those that anybody could have written.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Origin {
    /// A file with a secret that those who write and those who read share, as written by `keygen
    /// origin`. Without one, anyone who has a public RSA key can write whole new objects, with a
    /// seal. Whoever reads with it accepts only objects that were sealed with it.
    #[arg(long, value_name = "FILE")]
    pub(crate) origin_key: Option<PathBuf>,
}

/// Facts about a seal that a reader has to be told.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Sealed {
    /// The name of the object, for a seal that is bound to it: the key under which it was stored,
    /// without the bucket. For an object in a store, it is its key by default.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) origin: Origin,
}

impl Sealing {
    /// Returns how to seal an object, or `None` if it is not to be sealed.
    pub(crate) fn options(&self, name: Option<&str>) -> Result<Option<SealOptions>, Failure> {
        if self.no_seal {
            return Ok(None);
        }
        let mut options = SealOptions::new();
        if let Some(name) = name {
            options = options.with_name(name);
        }
        if let Some(key) = self.origin.key()? {
            options = options.with_origin_key(key);
        }
        Ok(Some(options))
    }
}

impl Origin {
    /// Reads the key, if one is given.
    pub(crate) fn key(&self) -> Result<Option<OriginKey>, Failure> {
        self.origin_key.as_deref().map(key_file::origin_key).transpose()
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.origin_key.as_deref()
    }
}

impl Sealed {
    /// Returns a policy that also requires what these options promise: an origin key that proved
    /// nothing would be a trap, and so would a first read that verifies nothing.
    pub(crate) fn required_by(&self, mut policy: Policy, verify_first: bool) -> Policy {
        if self.origin.origin_key.is_some() {
            policy = policy.require_origin();
        }
        if verify_first { policy.authenticated_only() } else { policy }
    }

    /// Tells a decryptor the name and the origin key.
    pub(crate) fn known_to(&self, mut decryptor: Decryptor) -> Result<Decryptor, Failure> {
        if let Some(name) = &self.name {
            decryptor = decryptor.with_name(name.as_str());
        }
        if let Some(key) = self.origin.key()? {
            decryptor = decryptor.with_origin_key(key);
        }
        Ok(decryptor)
    }
}
