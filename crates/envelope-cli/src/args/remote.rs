//! The arguments of what works on buckets.

use std::path::PathBuf;

use clap::ValueEnum;
use envelope_core::ByteRange;
use envelope_store::{Address, Endpoint};

use super::{Content, Kms, KmsStyle, Passphrase, Wrapping, size};

/// How a bucket is reached.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Bucket {
    /// The region; otherwise OSS_REGION, TENCENTCLOUD_REGION, or that of the profile.
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Another way to the service: https://HOST or https://HOST:PORT, or http:// on this machine.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<Endpoint>,
    /// The file of profiles, with regions, endpoints and access keys; by default
    /// ~/.config/envelope/config.toml. The environment goes before it: OSS_ACCESS_KEY_ID,
    /// OSS_ACCESS_KEY_SECRET; TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The profile.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The signature that OSS gets.
    #[arg(long, value_name = "VERSION", default_value = "v4")]
    pub(crate) oss_signature: OssSignature,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OssSignature {
    V1,
    #[default]
    V4,
}

/// The master keys that open objects.
#[derive(Debug, clap::Args)]
pub(crate) struct Keys {
    /// A master key: an RSA private key or an AES key. Several may be given.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
}

/// Encrypt a file into a bucket: `oss://BUCKET/KEY`, `cos://BUCKET-APPID/KEY` or `file:FOLDER/KEY`.
///
/// A long file goes in parts, in parallel. If it is interrupted, the same command goes on where it
/// ended: the state, with the wrapped content key, is kept in a file until then.
#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    /// The file to encrypt; `-` is standard input.
    pub(crate) plain: PathBuf,
    /// Where it goes. If it ends with a slash, the file keeps its name.
    pub(crate) to: Address,
    /// The master key: an RSA key (public is enough, but an interrupted upload goes on only with the private
    /// one) or an AES key.
    #[arg(long, value_name = "FILE", required_unless_present = "kms", conflicts_with = "kms")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) style: KmsStyle,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    #[command(flatten)]
    pub(crate) wrapping: Wrapping,
    /// The content cipher. `gcm` notices tampering, but only cos-v2 has it.
    #[arg(long, default_value = "ctr")]
    pub(crate) content: Content,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Parts of this many bytes: a multiple of 16, at least 102400 for OSS and 1048576 for COS. By
    /// default 8 MiB, or what ten thousand parts need.
    #[arg(long, value_name = "N", value_parser = size)]
    pub(crate) part_size: Option<u64>,
    /// Up to this many bytes go in one request.
    #[arg(long, value_name = "N", value_parser = size, default_value = "16MiB")]
    pub(crate) threshold: u64,
    /// So many parts are in memory and under way at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) parallel: u16,
    /// The Content-Type of the object.
    #[arg(long, value_name = "TYPE", default_value = "application/octet-stream")]
    pub(crate) content_type: String,
    /// Where the state of uploads is kept; by default $XDG_STATE_HOME/envelope.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state: Option<PathBuf>,
    /// Keep no state: an interrupted upload is aborted.
    #[arg(long)]
    pub(crate) no_resume: bool,
    /// Refuse to overwrite an object.
    #[arg(long)]
    pub(crate) only_new: bool,
    /// Print progress and outcome as lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Fetch an object and decrypt it into a file.
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// The object.
    pub(crate) from: Address,
    /// Where the plaintext goes; `-` is standard output. A file appears only after all checks. If it
    /// is a folder, the object keeps its name.
    #[arg(long, short, value_name = "PLAIN")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) read: Read,
    /// So many ranges are in memory and under way at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) parallel: u16,
    /// Ranges of this many bytes.
    #[arg(long, value_name = "N", value_parser = size, default_value = "8MiB")]
    pub(crate) part_size: u64,
    /// Overwrite an existing file.
    #[arg(long)]
    pub(crate) force: bool,
    /// Print progress and outcome as lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Decrypt an object to standard output.
#[derive(Debug, clap::Args)]
pub(crate) struct Cat {
    /// The object.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) read: Read,
}

/// Decrypt an object and check everything that can be checked, without writing it anywhere.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The object.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) read: Read,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How an object is read.
#[derive(Debug, clap::Args)]
pub(crate) struct Read {
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Only these bytes of the plaintext: `A-B` (both included), `A-` or `-N`. Nothing can then be
    /// checked but that they are of one version of the object.
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) range: Option<ByteRange>,
    /// Allow a range of an AES-GCM object, whose tag is then not checked.
    #[arg(long, requires = "range")]
    pub(crate) unauthenticated_range: bool,
    /// Let an AES-GCM object out on a pipe as it is decrypted; whether it was tampered with is known
    /// only at the end (exit status 5). Without this, up to 64 MiB are held back until then.
    #[arg(long)]
    pub(crate) delayed: bool,
    /// Take an object without encryption metadata as it is. Whoever can strip metadata can then pass
    /// off whatever they like.
    #[arg(long)]
    pub(crate) allow_plaintext: bool,
}

/// List objects.
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// The bucket, and the beginning of the keys.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Print lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Delete objects.
#[derive(Debug, clap::Args)]
pub(crate) struct Rm {
    /// The objects.
    #[arg(required = true)]
    pub(crate) objects: Vec<Address>,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
}

/// Which objects of a bucket are rewrapped, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Many {
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// All objects whose keys begin with that of the address.
    #[arg(long)]
    pub(crate) prefix: bool,
    /// The objects of the bucket that this file lists: an inventory as the stores write it (CSV: bucket,
    /// key), a list with a column `key`, or lines of JSON with a `key`.
    #[arg(long, value_name = "FILE", conflicts_with = "prefix")]
    pub(crate) inventory: Option<PathBuf>,
    /// Only the I-th of N shares of them, from 1/N to N/N; the same objects are always in the same share.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub(crate) shard: Option<(u64, u64)>,
    /// At most so many objects a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: Option<u32>,
    /// Where OSS refuses to change the metadata of an encrypted object, send its ciphertext once more.
    #[arg(long)]
    pub(crate) reupload: bool,
    /// Where the report goes, a line of JSON for each object; standard output by default.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    text.split_once('/')
        .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)))
        .filter(|(index, count)| (1..=*count).contains(index))
        .ok_or_else(|| "it must be I/N, with I from 1 to N".to_owned())
}
