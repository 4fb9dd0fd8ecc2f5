//! Arguments of `envelope sync`.

use std::path::PathBuf;

use envelope_store::Address;

use super::{
    Accept, AtVersion, Bucket, Content, CustomerMode, Get, InventoryFile, Keys, Kms, KmsStyle,
    Many, ObjectAttributes, Origin, Parallel, Passphrase, Patterns, Put, Read, Readers, Sealed,
    Sealing, ServerSide, Wrapping, size,
    store::{State, default_part_size, default_threshold},
};

/// Make a folder of keys the same as a local folder, or the other way round, by transferring what
/// is different.
///
/// An object is different from its file if it is missing, has another length, or is older, as a
/// listing says; where that does not decide, and always for a download, the time of the file in the
/// metadata of the object does. A listing does not say whether an object is encrypted: `audit`
/// does. With --checksum, the content decides. What only the target has is left alone, unless
/// --delete is given.
#[derive(Debug, clap::Args)]
pub(crate) struct SyncArgs {
    /// The source: a local folder, or the address of a folder of keys.
    pub(crate) from: PathBuf,
    /// The target: the address of a folder of keys, or a local folder.
    pub(crate) to: PathBuf,
    /// The master key: an RSA key or an AES key. A public RSA key is enough to upload.
    #[arg(long, value_name = "FILE", conflicts_with = "kms")]
    pub(crate) key: Option<PathBuf>,
    /// More keys that open objects, which a profile names.
    #[arg(skip)]
    pub(crate) other_keys: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) style: KmsStyle,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    #[command(flatten)]
    pub(crate) readers: Readers,
    #[command(flatten)]
    pub(crate) wrapping: Wrapping,
    #[command(flatten)]
    pub(crate) sealing: Sealing,
    /// Bind the seal to the key of the object. Readers then notice if it was swapped with another
    /// one, or renamed.
    #[arg(long, conflicts_with = "no_seal")]
    pub(crate) bind_name: bool,
    /// The content cipher, `ctr` by default. `gcm` authenticates itself, but only cos-v2 supports
    /// it.
    #[arg(long)]
    pub(crate) content: Option<Content>,
    #[command(flatten)]
    pub(crate) attributes: ObjectAttributes,
    #[command(flatten)]
    pub(crate) server_side: ServerSide,
    #[command(flatten)]
    pub(crate) accept: SyncAccept,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Delete what only the target has, after everything was transferred. Nothing is deleted if
    /// anything failed, or if the source is empty or cannot be read completely.
    #[arg(long)]
    pub(crate) delete: bool,
    /// With --delete, delete everything even if the source is empty.
    #[arg(long, requires = "delete")]
    pub(crate) force: bool,
    /// Compare contents: an object is the same as its file if encrypting the file with the content
    /// key of the object gives the checksum that the store reports. One more request for each
    /// object, and for an RSA key the private half is required.
    #[arg(long)]
    pub(crate) checksum: bool,
    /// The size of a part or a range in bytes.
    #[arg(long, value_name = "N", value_parser = size)]
    pub(crate) part_size: Option<u64>,
    #[command(flatten)]
    pub(crate) parallel: Parallel,
    #[command(flatten)]
    pub(crate) state: State,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Follow symbolic links. Otherwise, they are passed over, and what has their paths in the
    /// target is left alone.
    #[arg(long, help_heading = "Many objects")]
    pub(crate) follow_links: bool,
    /// Print progress and the outcome as lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What downloads accept.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SyncAccept {
    #[command(flatten)]
    pub(crate) require: super::Require,
}

impl SyncAccept {
    pub(crate) const fn is_given(&self) -> bool {
        self.require.demands_encryption()
    }
}

impl SyncArgs {
    /// Returns the uploads to an address that these arguments describe.
    pub(crate) fn into_put(self, to: Address) -> Put {
        Put {
            plain: self.from,
            to,
            recursive: true,
            key: self.key,
            plaintext: false,
            kms: self.kms,
            style: self.style,
            passphrase: self.passphrase,
            readers: self.readers,
            wrapping: self.wrapping,
            sealing: self.sealing,
            bind_name: self.bind_name,
            spool: false,
            content: self.content,
            bucket: self.bucket,
            part_size: self.part_size,
            threshold: default_threshold(),
            parallel: Some(self.parallel.requests),
            attributes: self.attributes,
            server_side: self.server_side,
            state: self.state,
            no_resume: false,
            force: true,
            create_only: false,
            many: self.many,
            patterns: self.patterns,
            follow_links: self.follow_links,
            json: self.json,
        }
    }

    /// Returns the downloads from an address that these arguments describe.
    pub(crate) fn into_get(self, from: Address) -> Get {
        let Self { key, kms, passphrase, .. } = self;
        let from_profile = !self.other_keys.is_empty();
        let keys = key.into_iter().chain(self.other_keys).collect();
        let origin = Origin { origin_key: self.sealing.origin.origin_key };
        let read = Read {
            mode: CustomerMode::default(),
            version: AtVersion::default(),
            keys: Keys { key: keys, kms, passphrase, from_profile },
            bucket: self.bucket,
            range: None,
            accept: Accept::requiring(self.accept.require),
            sealed: Sealed { name: None, origin },
            verify_first: false,
            delayed: false,
        };
        Get {
            from,
            to: Some(self.to),
            output: None,
            recursive: true,
            read,
            parallel: Some(self.parallel.requests),
            part_size: self.part_size.unwrap_or_else(default_part_size),
            force: true,
            many: self.many,
            named: InventoryFile::default(),
            patterns: self.patterns,
            json: self.json,
        }
    }
}
