//! Arguments of `envelope put`.

use std::path::PathBuf;

use envelope_store::Address;
use meta_codec::ContentAlgorithm;

use super::{
    Bucket, Content, Kms, KmsStyle, MAX_PARALLEL, Many, ObjectAttributes, Passphrase, Patterns,
    Readers, Sealing, ServerSide, Wrapping, size,
    store::{State, default_threshold},
};

/// Encrypt and upload a file, or with -r all files of a folder: to `oss://BUCKET/KEY`,
/// `cos://BUCKET-APPID/KEY` or `file:FOLDER/KEY`.
///
/// A large file is uploaded in parts, several at once. If the upload is interrupted, the same
/// command resumes it: until the upload is complete, its state, including the wrapped content key,
/// is kept in a file.
#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    /// The file to encrypt; `-` is standard input. With -r, a folder.
    pub(crate) plain: PathBuf,
    /// The address to upload to. If it ends with a slash, the name of the file is appended. With
    /// -r, it is that of a folder, and the files keep their paths below the local one.
    pub(crate) to: Address,
    /// Upload all files of a folder, and of the folders in it. Their times are kept in the metadata
    /// of the objects (`mtime`, as rclone does).
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// The master key: an RSA key or an AES key. A public RSA key is enough to upload, but only the
    /// private key can resume an interrupted upload.
    #[arg(long, value_name = "FILE", conflicts_with = "kms")]
    pub(crate) key: Option<PathBuf>,
    /// Upload the file as it is. Nothing encrypts it, but perhaps the store, with --sse: whoever
    /// can read the bucket can read it. `get --allow-plaintext` downloads it.
    #[arg(
        long = "plain",
        conflicts_with_all = [
            "key", "kms", "dialect", "wrap", "matdesc", "key_check", "content", "bind_name",
            "no_seal", "origin_key", "spool", "allow_weak_wrap", "readers",
        ]
    )]
    pub(crate) plaintext: bool,
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
    /// Write a long stream to an encrypted temporary file first, so that the seal can cover its
    /// body. On OSS that is always so.
    #[arg(long)]
    pub(crate) spool: bool,
    /// The content cipher, `ctr` by default. `gcm` authenticates itself, but only cos-v2 supports
    /// it.
    #[arg(long)]
    pub(crate) content: Option<Content>,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// The size of a part in bytes: a multiple of 16, at least 102400 for OSS and 1048576 for COS.
    /// The default is 8 MiB, or more if the file would otherwise need more than ten thousand parts.
    #[arg(long, value_name = "N", value_parser = size)]
    pub(crate) part_size: Option<u64>,
    /// The largest file, in bytes, that is uploaded in a single request.
    #[arg(long, value_name = "N", value_parser = size, default_value_t = default_threshold())]
    pub(crate) threshold: u64,
    /// The number of parts, and with -r of objects and parts together, that are in memory and in
    /// flight at once; 4 by default, and 16 with -r. They share the line: where it is slower than
    /// 64 KB/s in all, use 1.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_PARALLEL))]
    pub(crate) parallel: Option<u16>,
    #[command(flatten)]
    pub(crate) attributes: ObjectAttributes,
    #[command(flatten)]
    pub(crate) server_side: ServerSide,
    #[command(flatten)]
    pub(crate) state: State,
    /// Keep no state, and abort the upload if it is interrupted.
    #[arg(long)]
    pub(crate) no_resume: bool,
    /// Overwrite an existing object. Without this, the command looks first, and refuses. With -r,
    /// an object that has the length and the time of its file, and opens with the key, is taken for
    /// the same; a folder in which there was nothing at the beginning is not looked at again.
    #[arg(long)]
    pub(crate) force: bool,
    /// Let the store, too, refuse to overwrite an existing object, whoever writes it meanwhile. In
    /// a bucket that keeps versions, or once did, no store enforces that, and the command warns.
    /// With -r, an existing object is passed over.
    #[arg(long = "only-new", conflicts_with = "force")]
    pub(crate) create_only: bool,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// With -r, follow symbolic links. Otherwise, they are passed over, and counted.
    #[arg(long, requires = "recursive", help_heading = "Many objects")]
    pub(crate) follow_links: bool,
    /// Print progress and the outcome as lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Put {
    /// Returns the content algorithm.
    pub(crate) fn content(&self) -> ContentAlgorithm {
        self.content.unwrap_or(Content::Ctr).algorithm()
    }
}
