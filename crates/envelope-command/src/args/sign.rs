//! Arguments of `envelope sign`.

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;
use envelope_store::{Address, PresignedMethod};

use super::{Bucket, store::age};

/// The longest time for which OSS signs, with version 4 of its signature.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Print a URL with which anybody can download an object for some time, or upload one, without an
/// access key.
///
/// A download returns the ciphertext: `decrypt` opens it with its headers, which the same answer
/// has. What is uploaded is the output of `encrypt`, with its headers, which --metadata names.
#[derive(Debug, clap::Args)]
pub(crate) struct Sign {
    /// The address of the object.
    pub(crate) object: Address,
    /// The request that the URL is for.
    #[arg(long, default_value = "get")]
    pub(crate) method: Method,
    /// For how long: a number, followed by `s`, `m`, `h` or `d`; a week at most.
    #[arg(long, value_name = "TIME", value_parser = validity, default_value = "1h")]
    pub(crate) expires: Duration,
    /// The headers that must come with the upload, as `encrypt --metadata-out` writes them. OSS
    /// takes no other `x-oss-` headers with the URL; COS takes others, too.
    #[arg(long, value_name = "HEADERS.json")]
    pub(crate) metadata: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    Get,
    Put,
}

impl From<Method> for PresignedMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::Get,
            Method::Put => Self::Put,
        }
    }
}

fn validity(text: &str) -> Result<Duration, String> {
    let time = age(text)?;
    match time {
        Duration::ZERO => Err("expected at least one second".to_owned()),
        time if time > LONGEST => Err("expected a week at most".to_owned()),
        time => Ok(time),
    }
}
