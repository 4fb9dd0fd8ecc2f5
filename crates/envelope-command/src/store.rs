//! Access to stores, blocking until they answer.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use envelope_core::{EncryptError, Keyring};
use envelope_store::{
    Address, Connection, Location, RetryPolicy, Settings, SettingsError, Signature, Store,
    StoreError, TransferError, blocking::Runtime,
};

use meta_codec::Vendor;

use crate::{
    args::{AtVersion, Bucket, Keys, OssSignature, customer_key},
    failure::{Failure, Status, warn},
    input::warn_if_exposed,
    key_file::{self, Purpose},
    progress::say_wait,
};

impl Bucket {
    /// Opens the store at a location.
    pub(crate) fn store(&self, location: &Location) -> Result<Arc<dyn Store>, Failure> {
        Ok(location.open(&self.settings()?)?)
    }

    /// Opens the store of an object, whose key means this version there, if one is given.
    pub(crate) fn store_of(
        &self,
        object: &Address,
        version: &AtVersion,
    ) -> Result<Arc<dyn Store>, Failure> {
        let mut settings = self.settings()?;
        if let Some(id) = &version.version_id {
            settings = settings.with_version(&object.key, id);
        }
        Ok(object.location.open(&settings)?)
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let mut settings = Settings::new()
            .with_signature(match self.oss_signature {
                OssSignature::V1 => Signature::V1,
                OssSignature::V4 => Signature::V4,
            })
            .with_retry(self.retry())
            .with_wait_listener(|delay, error| say_wait(delay, &error.to_string()));
        let named = self.config.is_some() || self.profile.is_some();
        let path = self.config.clone().or_else(|| {
            let home = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
            let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".config")));
            Some(home?.join("envelope/config.toml"))
        });
        // The file is optional, unless it or a profile was named.
        if let Some(path) = path.filter(|path| named || path.exists()) {
            let profile = self.profile.as_deref().unwrap_or("default");
            settings = settings.with_profile(&path, profile)?;
            if fs::read_to_string(&path).is_ok_and(|text| text.contains("access_key_secret")) {
                warn_if_exposed(&path);
            }
        }
        if let Some(region) = &self.region {
            settings = settings.with_region(region);
        }
        if let Some(endpoint) = &self.endpoint {
            settings = settings.with_endpoint(endpoint.clone());
        }
        settings = settings.with_connection(self.connection()?);
        if let Some(path) = &self.sse_key {
            settings = settings.with_customer_key(customer_key(path)?);
        }
        Ok(settings)
    }

    /// Returns the way to the services.
    fn connection(&self) -> Result<Connection, Failure> {
        let mut connection = Connection::new();
        if let Some(path) = &self.ca_file {
            let pem = fs::read(path).map_err(|error| Failure::io(path, &error))?;
            let refused = |error| {
                let words = format_args!("{}: {error}", path.display()).to_string();
                Failure::usage(words, "--ca-file takes certificates in PEM")
            };
            connection = connection.with_authorities(&pem).map_err(refused)?;
        }
        if let Some(url) = &self.proxy {
            let refused = |error| Failure::usage(error, "use --proxy http://HOST:PORT");
            connection = connection.with_proxy(url).map_err(refused)?;
        }
        Ok(connection)
    }
}

impl Bucket {
    /// Returns how long and how often a request is repeated.
    pub(crate) fn retry(&self) -> RetryPolicy {
        let attempts = self.retries.map_or(u32::MAX, |retries| retries.saturating_add(1));
        RetryPolicy::default().with_attempts(attempts).with_budget(self.timeout)
    }
}

impl Keys {
    pub(crate) fn keyring(&self) -> Result<Keyring, Failure> {
        let passphrase = self.passphrase.read()?;
        let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
        key_file::keyring(&self.key, passphrase, self.kms.key()?, Purpose::Unwrap)
    }
}

impl AtVersion {
    /// Refuses the choice where there are many objects.
    pub(crate) fn refuse(&self) -> Result<(), Failure> {
        match self.version_id {
            None => Ok(()),
            Some(_) => Err(Failure::usage("--version-id is that of one object", "omit it or -r")),
        }
    }
}

/// Returns a runtime for blocking calls.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().map_err(|error| Failure::io("starting a thread".as_ref(), &error))
}

/// Parses a path as an address, if it is one.
pub(crate) fn address(path: &Path) -> Option<Address> {
    path.to_str()?.parse().ok()
}

/// Returns the key of an address that names a single object.
pub(crate) fn object(address: &Address) -> Result<&str, Failure> {
    if address.key.is_empty() || address.key.ends_with('/') {
        return Err(Failure::usage(
            format_args!("{address} does not name an object"),
            "specify the full key, such as oss://bucket/folder/name",
        ));
    }
    Ok(&address.key)
}

/// Returns whether a key is that of an instruction file of COS Java, which is no object of its own.
pub(crate) fn is_instruction(store: &dyn Store, key: &str) -> bool {
    store.vendor().is_some_and(Vendor::has_instruction_files) && key.ends_with(".instruction")
}

/// Refuses a local tree that is in the folder of a store, or the other way round: plaintext and
/// ciphertext would take the place of each other.
pub(crate) fn refuse_overlap(location: &Location, tree: &Path) -> Result<(), Failure> {
    let Location::Folder(folder) = location else { return Ok(()) };
    let real = |path: &Path| fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let (folder, tree) = (real(folder), real(tree));
    if let (Ok(folder), Ok(tree)) = (folder, tree)
        && (folder.starts_with(&tree) || tree.starts_with(&folder))
    {
        return Err(Failure::usage(
            "the files and the objects are in the same folder",
            "choose a folder for the files that is not in that of the store, nor around it",
        ));
    }
    Ok(())
}

/// Returns an address as that of a folder, whose keys begin with its own and a slash.
pub(crate) fn folder(address: &Address) -> Address {
    let mut folder = address.clone();
    if !folder.key.is_empty() && !folder.key.ends_with('/') {
        folder.key.push('/');
    }
    folder
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Store(error) => error.into(),
            error => Self::error(
                Status::Usage,
                &error,
                "see `envelope help put` for the sources of regions and access keys",
            ),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let advice = match &error {
            StoreError::Denied(_) => {
                "check the access key, its permissions, the clock of this machine, and --sse-key \
                 if the object has a customer key"
            }
            StoreError::CustomerKey(_) => {
                "--sse-key is the key that the object was uploaded with, sent over https:// only"
            }
            StoreError::NotFound => "check the address; the key must match exactly",
            StoreError::Changed => "another process may be writing the object; retry",
            StoreError::Exists => "choose another key, or omit --only-new",
            StoreError::NoUpload => "retry",
            StoreError::Key(_) => {
                "use a key without `.` and `..`; an object that has one can be copied with the \
                 vendor's tool"
            }
            error if error.is_of_archive() => {
                "an archived object is read after `envelope restore`, and only then"
            }
            error if error.forbids_new_metadata() => {
                "OSS does not allow changing the metadata of an encrypted object; use --reupload \
                 to upload its ciphertext again"
            }
            StoreError::Refused(refusal) if refusal.status == 400 => {
                "check the address and the endpoint; an object that has a customer key takes \
                 --sse-key, and no other object does"
            }
            _ => "check the address, the endpoint and the network, then retry",
        };
        Self::error(Status::Io, &error, advice)
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Decrypt(error) => error.into(),
            TransferError::Emit(error) => EncryptError::from(error).into(),
            TransferError::Encrypt(error) => error.into(),
            TransferError::Integrity(error) => error.into(),
            TransferError::Parse(error) => error.into(),
            TransferError::Rewrap(error) => error.into(),
            TransferError::Store(error) => error.into(),
            TransferError::Corrupt(_) => {
                Self::new(Status::Integrity, error, "retry; discard any output already written")
            }
            TransferError::Damaged { .. } => {
                Self::new(Status::Integrity, error, "upload it again from its source or a copy")
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
                Self::new(inner.status(), cause, advice)
            }
            TransferError::OldInstruction => Self::new(
                Status::Metadata,
                error,
                "only the current version can be read; look at the versions of both with \
                 `envelope ls --versions`",
            ),
            TransferError::Output(error) => error.into(),
            TransferError::ServerSide { .. } => Self::new(
                Status::Integrity,
                error,
                "check the rules of the bucket and the master key; the object is there",
            ),
            TransferError::SourceChanged => {
                Self::new(Status::Io, error, "retry when nothing is writing to it")
            }
            TransferError::Unverified(_) => Self::new(
                Status::Io,
                error,
                "look at it with `envelope verify`, or upload it again",
            ),
            TransferError::Layout(_) | TransferError::Range(_) | TransferError::TooLong => {
                Self::usage(error, "choose another --part-size or --range")
            }
            TransferError::Vendor { .. } => Self::usage(error, "omit --dialect, or choose another"),
            error => Self::error(Status::Io, &error, "retry"),
        }
    }
}

/// Warns that rewrapping does not revoke the old master key.
pub(crate) fn warn_of_old_keys() {
    warn(
        "rewrapping does not revoke the old master key: anyone who has it, along with the old \
         metadata or an old version of the object, can still decrypt the object",
    );
}
