//! Failures of stores and of transfers, with what helps.

use std::io;

use envelope_core::EncryptError;
use envelope_store::{OutputError, SettingsError, StoreError, TransferError};

use super::{Code, Failure};

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        let (code, advice) = match error {
            SettingsError::Store(error) => return error.into(),
            SettingsError::Missing { what: "region", .. } => {
                (Code::Usage, "or name it with --region, such as --region cn-hangzhou")
            }
            SettingsError::Missing { .. } => (
                Code::NoCredentials,
                "`envelope help profiles` lists the places where access keys are looked for; \
                 --kms has one of its own",
            ),
            SettingsError::Endpoint(_) => {
                (Code::Usage, "check --region and --endpoint, or OSS_REGION and the like")
            }
            _ => (Code::Usage, "see `envelope help profiles` for what a profile may hold"),
        };
        Self::error(code, &error, advice)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (code, advice) = match &error {
            StoreError::Io(error) => return Self::local(error),
            StoreError::WrongEndpoint { endpoint, .. } => {
                return Self::new(Code::WrongRegion, &error, way_to(endpoint));
            }
            StoreError::Denied(_) => (
                Code::Denied,
                "check the access key, its permissions, and --sse-key if the object has a \
                 customer key",
            ),
            StoreError::OtherServer(_) => {
                (Code::Io, "check --endpoint, the network and the proxy, then retry")
            }
            StoreError::ClockSkew(_) => {
                (Code::ClockSkew, "set the clock of this machine, such as with NTP")
            }
            StoreError::CustomerKey(_) => (
                Code::Io,
                "--sse-key is the key that the object was uploaded with, sent over https:// only",
            ),
            StoreError::NotFound => (
                Code::NoSuchObject,
                "check the address with `envelope ls`; the key must match \
                                      exactly",
            ),
            StoreError::NoBucket(_) => (
                Code::NoSuchBucket,
                "check the name of the bucket, the region and the account; on COS, the name ends \
                 with the APPID",
            ),
            StoreError::Changed => {
                (Code::Io, "another process may be writing the object; look at it, then retry")
            }
            StoreError::Exists => {
                (Code::ObjectExists, "choose another key, or use --force to overwrite the object")
            }
            StoreError::NoUpload => (Code::Io, "run the same command again; it starts afresh"),
            StoreError::Key(_) => (
                Code::Usage,
                "use a key without `.` and `..`; an object that has one can be copied with the \
                 vendor's tool",
            ),
            StoreError::BucketName => {
                (Code::Usage, "an address has the form oss://BUCKET/KEY or cos://BUCKET-APPID/KEY")
            }
            StoreError::UnknownHost(_) => (
                Code::UnknownHost,
                "check the region, the endpoint and the name of the bucket, which are parts of \
                 the host's name",
            ),
            StoreError::Unreachable { .. } => {
                (Code::Unreachable, "check --endpoint, the network and the proxy, then retry")
            }
            StoreError::Unavailable(_) | StoreError::Busy { .. } => (
                Code::Unreachable,
                "the service or the network fails; retry later, with a longer --timeout if need be",
            ),
            error if error.is_of_archive() => {
                (Code::Io, "an archived object is read after `envelope restore`, and only then")
            }
            error if error.forbids_new_metadata() => (
                Code::Io,
                "OSS does not allow changing the metadata of an encrypted object; use --reupload \
                 to upload its ciphertext again",
            ),
            StoreError::Refused(refusal) if refusal.status == 400 => (
                Code::Io,
                "check the address and the endpoint; an object that has a customer key takes \
                 --sse-key, and no other object does",
            ),
            _ => (Code::Io, "check the address and the endpoint"),
        };
        Self::error(code, &error, advice)
    }
}

/// Returns how to reach the region that a service names.
fn way_to(host: &str) -> String {
    let region = host.strip_prefix("oss-").and_then(|rest| rest.strip_suffix(".aliyuncs.com"));
    let is_word =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match region.map(|region| region.strip_suffix("-internal").unwrap_or(region)) {
        // Not `oss-accelerate`, which is no region.
        Some(region) if is_word(region) && region.contains('-') => format!("use --region {region}"),
        _ if host.is_empty() => {
            "use the region of the bucket, which the vendor's console shows, with --region"
                .to_owned()
        }
        _ => format!("use --endpoint https://{host}"),
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Decrypt(error) => error.into(),
            TransferError::Emit(error) => EncryptError::from(error).into(),
            TransferError::Encrypt(error) => error.into(),
            TransferError::Integrity(error) => error.into(),
            TransferError::Io(error) => Self::local(&error),
            TransferError::Parse(error) => error.into(),
            TransferError::Rewrap(error) => error.into(),
            TransferError::Store(error) => error.into(),
            TransferError::Corrupt(_) => Self::new(
                Code::Integrity,
                error,
                "fetch it again; discard any output already written",
            ),
            TransferError::Damaged { .. } => {
                Self::new(Code::Integrity, error, "upload it again from its source or a copy")
            }
            TransferError::Kept { path, source } => {
                let only_headers = path.extension().is_some_and(|ending| ending == "json");
                let words = format!("what the object was before is kept in {}", path.display());
                let inner = Self::from(*source);
                let cause = format!("{}; {words}", inner.cause());
                let advice = if only_headers {
                    "these are its headers; with its body, `envelope decrypt --metadata` reads them"
                } else {
                    "compare the object with the copy before you remove it: the copy can be read \
                     as an object with the address file:FOLDER/NAME"
                };
                Self::new(inner.code(), cause, advice)
            }
            TransferError::Locked => {
                Self::new(Code::Io, error, "wait for the other process, or end it")
            }
            TransferError::NeedsKey(_) => Self::new(Code::Key, error, "name the key with --key"),
            TransferError::OldInstruction => Self::new(
                Code::Metadata,
                error,
                "only the current version can be read; look at the versions of both with \
                 `envelope ls --versions`",
            ),
            TransferError::Output(error) => error.into(),
            TransferError::ServerSide { .. } => Self::new(
                Code::Integrity,
                error,
                "check the rules of the bucket and the master key; the object is there",
            ),
            TransferError::SourceChanged => {
                Self::new(Code::Io, error, "retry when nothing is writing to it")
            }
            TransferError::Unverified(_) => {
                Self::new(Code::Io, error, "look at it with `envelope verify`, or upload it again")
            }
            TransferError::Layout(_) | TransferError::Range(_) | TransferError::TooLong => {
                Self::usage(error, "choose another --part-size or --range")
            }
            TransferError::Vendor { .. } => Self::usage(error, "omit --dialect, or choose another"),
            error => Self::error(Code::Io, &error, "run the same command again"),
        }
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        match &error {
            OutputError::Exists(_) => Self::new(
                Code::FileExists,
                error,
                "use --force to overwrite it, or choose another file",
            ),
            OutputError::IsInput(_) => Self::usage(error, "write to another file"),
            OutputError::Io { path, source } => {
                let missing = source.kind() == io::ErrorKind::NotFound;
                let folder = path.parent().filter(|folder| missing && !folder.exists());
                match folder {
                    Some(folder) => {
                        let words = format!("the folder {} does not exist", folder.display());
                        let words = format!("{} cannot be written: {words}", path.display());
                        let advice = format!("make it first: mkdir -p {}", folder.display());
                        Self::new(Code::NoSuchFile, words, advice)
                    }
                    None => {
                        let local = Self::local(source);
                        Self::error(local.code(), &error, local.advice())
                    }
                }
            }
            _ => Self::error(Code::Io, &error, "check the folder and its permissions"),
        }
    }
}
