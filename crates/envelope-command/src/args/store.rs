//! Arguments of the subcommands that work on buckets.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;
use envelope_core::ByteRange;
use envelope_store::{Address, Endpoint};

use super::{
    Accept, Content, Kms, KmsStyle, MAX_PARALLEL, Many, ObjectAttributes, Origin, Passphrase,
    Patterns, Require, Sealed, Sealing, ServerSide, Wrapping, size,
};

/// Returns the largest file that is uploaded in a single request: 16 MiB.
pub(super) const fn default_threshold() -> u64 {
    16 << 20
}

/// Returns the size of a range of a download: 8 MiB.
pub(super) const fn default_part_size() -> u64 {
    8 << 20
}

/// Options for reaching a bucket.
#[derive(Debug, clap::Args)]
pub(crate) struct Bucket {
    /// The region; by default OSS_REGION or TENCENTCLOUD_REGION, or else the region of the profile.
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// The endpoint to use instead of the default one: https://HOST or https://HOST:PORT, or
    /// http:// on this machine.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<Endpoint>,
    /// The file of profiles, with regions, endpoints and access keys; by default
    /// ~/.config/envelope/config.toml. The environment takes precedence: OSS_ACCESS_KEY_ID and
    /// OSS_ACCESS_KEY_SECRET; TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The name of the profile to use.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The version of the request signature for OSS.
    #[arg(long, value_name = "VERSION", default_value = "v4")]
    pub(crate) oss_signature: OssSignature,
    /// How often a failed request is repeated; by default, as often as --timeout allows.
    #[arg(long, value_name = "N")]
    pub(crate) retries: Option<u32>,
    /// How long a request is repeated while the store fails or cannot be reached: a number,
    /// optionally followed by `s` (the default), `m` or `h`. A slow line is no failure as long as
    /// bytes move.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub(crate) timeout: Duration,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            config: None,
            profile: None,
            oss_signature: OssSignature::default(),
            retries: None,
            timeout: Duration::from_secs(300),
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) if text.ends_with('d') => (digits, 24 * 3600),
        Some(digits) if text.ends_with('m') => (digits, 60),
        Some(digits) if text.ends_with('h') => (digits, 3600),
        Some(digits) => (digits, 1),
        None => (text, 1),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "expected a time such as 90s, 5m or 1h".to_owned())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OssSignature {
    V1,
    #[default]
    V4,
}

/// The folder for what must survive an interruption.
#[derive(Debug, clap::Args)]
pub(crate) struct State {
    /// The folder for the state of uploads, and for copies of objects that are being replaced; by
    /// default $XDG_STATE_HOME/envelope.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state: Option<PathBuf>,
}

impl State {
    /// Returns the folder. `None` if the environment names none.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        if self.state.is_some() {
            return self.state.clone();
        }
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let home = set("XDG_STATE_HOME").map(PathBuf::from);
        let own = || Some(Path::new(&set("HOME")?).join(".local/state"));
        home.or_else(own).map(|home| home.join("envelope"))
    }
}

/// Master keys that open objects.
#[derive(Debug, clap::Args)]
pub(crate) struct Keys {
    /// A master key: an RSA private key or an AES key. Accepts several.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
}

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
    /// The content cipher. `gcm` authenticates itself, but only cos-v2 supports it.
    #[arg(long, default_value = "ctr")]
    pub(crate) content: Content,
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
    /// Refuse to overwrite an existing object. In a bucket that keeps versions, or once did, the
    /// store does not enforce it: there, the command only looks before it uploads, and warns. With
    /// -r, an existing object is passed over.
    #[arg(long = "only-new")]
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

/// Download an object and decrypt it to a file, or with -r all objects below a folder of keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// The address of the object. With -r, that of a folder of keys.
    pub(crate) from: Address,
    /// The output file for the plaintext; `-` is standard output. A file appears only once all
    /// checks have passed. If it is a folder, the file in it is named after the object. With -r, it
    /// is the folder, created if necessary.
    #[arg(value_name = "PLAIN", required_unless_present = "output")]
    pub(crate) to: Option<PathBuf>,
    /// The output file for the plaintext, too.
    #[arg(long, short, value_name = "PLAIN", conflicts_with = "to")]
    pub(super) output: Option<PathBuf>,
    /// Download all objects below a folder of keys. The files get the times that the metadata of
    /// the objects keeps (`mtime`), or those at which the objects were written. A file that is
    /// there already, with the length and the time of the object, is passed over.
    #[arg(long, short, conflicts_with_all = ["range", "name", "delayed", "verify_first"])]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) read: Read,
    /// The number of ranges, and with -r of objects and ranges together, that are in memory and in
    /// flight at once; 4 by default, and 16 with -r.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_PARALLEL))]
    pub(crate) parallel: Option<u16>,
    /// The size of a range in bytes.
    #[arg(long, value_name = "N", value_parser = size, default_value_t = default_part_size())]
    pub(crate) part_size: u64,
    /// Overwrite an existing file.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print progress and the outcome as lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Get {
    /// Returns the output, of which one form is required.
    pub(crate) fn output(&self) -> &Path {
        self.to.as_deref().or(self.output.as_deref()).unwrap_or_else(|| Path::new("-"))
    }
}

/// Decrypt an object to standard output.
#[derive(Debug, clap::Args)]
pub(crate) struct Cat {
    /// The address of the object.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) read: Read,
}

/// Decrypt an object and run every possible check, without writing the plaintext anywhere.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The address of the object. With -r, that of a folder of keys.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) read: Read,
    /// Verify all objects below a folder of keys.
    #[arg(long, short, conflicts_with_all = ["range", "name"])]
    pub(crate) recursive: bool,
    /// The number of requests that are in flight at once, for as many objects.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=MAX_PARALLEL),
        help_heading = "Many objects"
    )]
    pub(crate) parallel: u16,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Look at all objects below a folder of keys, and tell which of them could be decrypted, with which
/// key, and how they are protected. No body is read.
///
/// Each object gets one line of JSON, on standard output or in the report, with its state: `opens`
/// (with the key that is named), `locked` (no given key opens it), `encrypted` (no key is given),
/// `plain`, `invalid` (its metadata is rejected), or `gone`. The exit status is 1 if an object is
/// locked, is invalid or could not be looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    /// The bucket, and a folder of keys in it.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    #[command(flatten)]
    pub(crate) require: Require,
    #[command(flatten)]
    pub(crate) origin: Origin,
    /// Look at the objects that this file lists, instead of those of a listing.
    #[arg(long, value_name = "FILE")]
    pub(crate) inventory: Option<PathBuf>,
    /// Write a page for people: totals, charts, and a table of objects. It is one file that needs
    /// no others. All objects are looked at again, whatever the report says.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The number of requests that are in flight at once, for as many objects.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=MAX_PARALLEL),
        help_heading = "Many objects"
    )]
    pub(crate) parallel: u16,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print progress and the outcome as lines of JSON on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options for reading an object.
#[derive(Debug, clap::Args)]
pub(crate) struct Read {
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Read only these bytes of the plaintext: `A-B` (inclusive), `A-` or `-N`. The only possible
    /// check for a range is that its bytes belong to a single version of the object.
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) range: Option<ByteRange>,
    #[command(flatten)]
    pub(crate) accept: Accept,
    #[command(flatten)]
    pub(crate) sealed: Sealed,
    /// Read the object twice, and write nothing before the first time has verified all of it. Only
    /// an object whose body is authenticated is accepted.
    #[arg(long, conflicts_with_all = ["range", "delayed"])]
    pub(crate) verify_first: bool,
    /// Write an AES-GCM object to a pipe while it is being decrypted; tampering is then detected
    /// only at the end (exit status 5). Without this, up to 64 MiB are held back until the object
    /// is verified.
    #[arg(long)]
    pub(crate) delayed: bool,
}

/// List the objects and folders of one level, or all objects.
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// The bucket, and what the keys to list begin with. If it ends with a slash, that is what is in
    /// a folder.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// List all objects, in all folders.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Look at the metadata of each object, too, and show the length of its plaintext, its dialect
    /// and what protects it: `sealed`, `adopted` (a seal made for a body that was already there),
    /// `metadata` (a seal that does not cover the body), `gcm`, `none`, or `plain`; or else
    /// `invalid` metadata, or an object that was `denied` or is `gone`. One more request for each
    /// object.
    #[arg(long, short)]
    pub(crate) long: bool,
    /// Show lengths in KiB, MiB and so on.
    #[arg(long, short = 'H')]
    pub(crate) human: bool,
    /// Show the number of objects and their bytes at the end, on standard error.
    #[arg(long)]
    pub(crate) total: bool,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print one line of JSON for each object and folder.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Delete objects.
#[derive(Debug, clap::Args)]
pub(crate) struct Rm {
    /// The addresses of the objects, or with -r of folders of keys.
    #[arg(required = true)]
    pub(crate) objects: Vec<Address>,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Delete all objects below a folder of keys.
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Do not ask before deleting many objects. Without a terminal to ask on, it is required.
    #[arg(long, short, requires = "recursive")]
    pub(crate) yes: bool,
    /// An object that does not exist is no failure.
    #[arg(long, short)]
    pub(crate) force: bool,
    /// The number of requests that are in flight at once, each for a thousand objects.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=64),
        help_heading = "Many objects"
    )]
    pub(crate) parallel: u16,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print progress and the outcome as lines of JSON on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// List or abort uploads in parts that were begun and not completed. Their parts are stored, and
/// paid for, until then.
#[derive(Debug, clap::Args)]
pub(crate) struct Uploads {
    #[command(subcommand)]
    pub(crate) command: UploadsCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum UploadsCommand {
    /// List open uploads: when each began, its ID and its key.
    Ls(UploadsLs),
    /// Abort open uploads, and discard their parts. One that is going on fails.
    Abort(UploadsAbort),
}

/// A choice of open uploads.
#[derive(Debug, clap::Args)]
pub(crate) struct UploadsLs {
    /// The bucket, and a folder of keys in it.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Only uploads that began longer ago than this: a number, followed by `s`, `m`, `h` or `d`.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) older_than: Option<Duration>,
    /// Print lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Uploads to abort.
#[derive(Debug, clap::Args)]
pub(crate) struct UploadsAbort {
    /// The bucket, and a folder of keys in it.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Only uploads that began longer ago than this: a number, followed by `s`, `m`, `h` or `d`. A
    /// younger one may be going on.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) older_than: Duration,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print progress and the outcome as lines of JSON on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show how many objects there are below a folder of keys, and how many bytes they take.
#[derive(Debug, clap::Args)]
pub(crate) struct Du {
    /// The bucket, and a folder of keys in it.
    pub(crate) from: Address,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Show numbers of bytes as they are.
    #[arg(long, short)]
    pub(crate) bytes: bool,
    /// Print lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Selection of the objects in a bucket to rewrap, and options for doing so.
#[derive(Debug, clap::Args)]
pub(crate) struct BulkArgs {
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// Rewrap every object whose key begins with that of the address.
    #[arg(long, short = 'r', visible_alias = "recursive")]
    pub(crate) prefix: bool,
    /// Rewrap the objects listed in this file: an inventory as written by the stores (CSV of bucket
    /// and key), CSV with a column `key`, or lines of JSON with a `key`.
    #[arg(long, value_name = "FILE", conflicts_with = "prefix")]
    pub(crate) inventory: Option<PathBuf>,
    /// Rewrap only the I-th of N shares of these objects, from 1/N to N/N; an object is always in
    /// the same share.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub(crate) shard: Option<(u64, u64)>,
    /// Upload the ciphertext again where OSS refuses to change the metadata of an encrypted object.
    /// A copy is kept in the folder of --state until the new object is verified.
    #[arg(long)]
    pub(crate) reupload: bool,
    #[command(flatten)]
    pub(crate) state: State,
    /// The number of requests that are in flight at once, for as many objects.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=MAX_PARALLEL),
        help_heading = "Many objects"
    )]
    pub(crate) parallel: u16,
    #[command(flatten)]
    pub(crate) many: Many,
    #[command(flatten)]
    pub(crate) patterns: Patterns,
    /// Print progress and the outcome as lines of JSON on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    text.split_once('/')
        .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)))
        .filter(|(index, count)| (1..=*count).contains(index))
        .ok_or_else(|| "expected I/N, with I from 1 to N".to_owned())
}
