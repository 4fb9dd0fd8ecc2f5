//! Arguments of the subcommands that work on buckets.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ValueEnum, builder::NonEmptyStringValueParser};
use envelope_core::ByteRange;
use envelope_store::{Endpoint, Profile};

use super::{Accept, CustomerMode, Kms, Passphrase, Sealed};

/// Returns the largest file that is uploaded in a single request: 16 MiB.
pub(super) const fn default_threshold() -> u64 {
    16 << 20
}

/// Returns the size of a range of a download: 8 MiB.
pub(super) const fn default_part_size() -> u64 {
    8 << 20
}

/// Options for reaching a bucket.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Bucket {
    /// The region; by default OSS_REGION or TENCENTCLOUD_REGION, or else the region of the profile.
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// The endpoint to use instead of the default one: https://HOST or https://HOST:PORT, or
    /// http:// on this machine.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<Endpoint>,
    /// The profile in effect.
    #[arg(skip)]
    pub(crate) profile: Profile,
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
    /// A file of certificates in PEM, whose authorities are trusted besides those of the system.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// A proxy for the store: http://HOST:PORT or https://HOST:PORT; by default HTTPS_PROXY.
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// The customer key (SSE-C of COS) of objects that were uploaded with `--sse customer`: 32
    /// bytes or their base64 text, as written by `keygen aes`. It is sent with every request, over
    /// HTTPS only, and the store forgets it.
    #[arg(long, value_name = "FILE")]
    pub(crate) sse_key: Option<PathBuf>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            profile: Profile::default(),
            oss_signature: OssSignature::default(),
            retries: None,
            timeout: Duration::from_secs(300),
            ca_file: None,
            proxy: None,
            sse_key: None,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h']) {
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

/// Parses how old something is, which may be days.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let Some(digits) = text.strip_suffix('d') else { return duration(text) };
    let seconds = digits.parse::<u64>().ok().and_then(|days| days.checked_mul(24 * 3600));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "expected a time such as 90s, 5m, 1h or 7d".to_owned())
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
    /// A master key: an RSA private key or an AES key. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    /// `true` if a profile names these keys.
    #[arg(skip)]
    pub(crate) from_profile: bool,
}

/// The choice of an older version.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct AtVersion {
    /// Take this version of the object instead of the current one; `ls --versions` shows the IDs.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) version_id: Option<String>,
}

/// Options for reading an object.
#[derive(Debug, clap::Args)]
pub(crate) struct Read {
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    #[command(flatten)]
    pub(crate) mode: CustomerMode,
    #[command(flatten)]
    pub(crate) version: AtVersion,
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
