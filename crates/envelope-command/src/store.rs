//! Access to stores, blocking until they answer.

use std::{fs, path::Path, sync::Arc};

use envelope_core::Keyring;
use envelope_store::{
    Address, Connection, Location, RetryPolicy, Settings, Signature, Store, StoreError,
    blocking::Runtime,
};

use meta_codec::Vendor;

use crate::{
    args::{AtVersion, Bucket, Keys, OssSignature, customer_key},
    failure::{Code, Failure, warn},
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
        settings = settings.with_profile(self.profile.clone());
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
        let purpose = if self.from_profile { Purpose::Profile } else { Purpose::Unwrap };
        key_file::keyring(&self.key, passphrase, self.kms.key()?, purpose)
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

/// Returns whether there is anything below a folder of keys.
pub(crate) fn has_any(
    runtime: &Runtime,
    store: &dyn Store,
    folder: &Address,
) -> Result<bool, Failure> {
    let page = runtime.block_on(store.list(&folder.key, None));
    let page = page.map_err(|error| Failure::from(error).about(folder))?;
    Ok(!page.entries.is_empty() || page.next.is_some())
}

/// Tells a missing bucket from a missing object, which the answer of COS to HEAD, having no body,
/// does not.
pub(crate) fn explain(failure: Failure, store: &dyn Store, object: &Address) -> Failure {
    if failure.code() != Code::NoSuchObject {
        return failure;
    }
    let Ok(runtime) = runtime() else { return failure };
    match runtime.block_on(store.list(&object.key, None)) {
        Err(error @ StoreError::NoBucket(_)) => Failure::from(error).about(object),
        _ => failure,
    }
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

/// Warns that rewrapping does not revoke the old master key.
pub(crate) fn warn_of_old_keys() {
    warn(
        "rewrapping does not revoke the old master key: anyone who has it, along with the old \
         metadata or an old version of the object, can still decrypt the object",
    );
}
