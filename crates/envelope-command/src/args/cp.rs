//! Arguments of `envelope cp` and `envelope mv`.

use std::path::PathBuf;

use envelope_store::{Address, Endpoint};

use super::{
    AtVersion, Bucket, InventoryFile, Keys, KmsStyle, Many, ObjectAttributes, Origin, Parallel,
    Patterns, Require, ServerSide, ToKms, Wrapping, size,
};

/// Copy objects to another key, another bucket or another service. Nothing is decrypted.
///
/// Within one service, the service copies. Where it cannot, and to another service, the ciphertext
/// passes through memory. To another service, the metadata is translated to its dialect, which
/// takes the master key; so does an object whose seal is bound to a name that the copy does not
/// have.
///
/// A copy keeps the metadata, the storage class, the encryption by the store, the tags and the
/// access; another service gets the metadata and the tags only. Access keys and regions of both
/// services come from the environment or the profile.
#[derive(Debug, clap::Args)]
pub(crate) struct Cp {
    /// The address of the object. With -r, that of a folder of keys.
    pub(crate) from: Address,
    /// The address of the copy. If it ends with a slash, the name of the object is appended. With
    /// -r, it is that of a folder, and the objects keep their paths below the other one.
    pub(crate) to: Address,
    /// Copy all objects below a folder of keys.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) require: Require,
    #[command(flatten)]
    pub(crate) origin: Origin,
    /// Copy objects that are not encrypted to another service, too, and between a folder and a
    /// service.
    #[arg(long)]
    pub(crate) allow_plaintext: bool,
    /// The master key of the copies; by default, the one of the objects.
    #[arg(long, value_name = "FILE", conflicts_with = "to_kms")]
    pub(crate) to_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) to_kms: ToKms,
    #[command(flatten)]
    pub(crate) style: KmsStyle,
    #[command(flatten)]
    pub(crate) wrapping: Wrapping,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    #[command(flatten)]
    pub(crate) version: AtVersion,
    /// The region of the source, if it is another one.
    #[arg(long, value_name = "REGION")]
    pub(crate) source_region: Option<String>,
    /// The endpoint of the source, if it is another one.
    #[arg(long, value_name = "URL")]
    pub(crate) source_endpoint: Option<Endpoint>,
    /// The customer key of the source. --sse-key is that of the copy.
    #[arg(long, value_name = "FILE")]
    pub(crate) source_sse_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) attributes: ObjectAttributes,
    #[command(flatten)]
    pub(crate) server_side: ServerSide,
    /// Overwrite existing objects. Without this, one that is not the same copy already is left
    /// alone, and is an error.
    #[arg(long)]
    pub(crate) force: bool,
    /// Leave existing objects alone. With -r, they are passed over, and no error.
    #[arg(long = "only-new", conflicts_with = "force")]
    pub(crate) create_only: bool,
    /// The size in bytes of the parts of an object that passes through memory, where its metadata
    /// does not state it.
    #[arg(long, value_name = "N", value_parser = size)]
    pub(crate) part_size: Option<u64>,
    #[command(flatten)]
    pub(crate) parallel: Parallel,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) named: InventoryFile,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print progress and the outcome as lines of JSON on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Move objects to another key, another bucket or another service: copy them as `cp` does, and
/// delete each after its copy was looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct Mv {
    #[command(flatten)]
    pub(crate) copy: Cp,
}
