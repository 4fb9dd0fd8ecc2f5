//! The stores, and the locations that name them. A new store is a file below, and its lines here.

pub(crate) mod bucket;
pub(crate) mod folder;
pub(crate) mod memory;

use std::{fmt, path::PathBuf, sync::Arc};

use meta_codec::Vendor;

pub use self::{
    bucket::{Bucket, Connection, Signature, decode_key},
    folder::FolderStore,
    memory::MemoryStore,
};
use crate::{Settings, SettingsError, Store, StoreError};

/// A store that an [`Address`](crate::Address) can name.
///
/// ```
/// use envelope_store::{Address, Location};
///
/// let address: Address = "file:backup/a/key".parse()?;
/// assert_eq!(address.location, Location::Folder("backup/a".into()));
/// assert_eq!(address.key, "key");
/// # Ok::<(), envelope_store::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Location {
    /// A bucket of a vendor; that of COS ends with its APPID.
    Bucket(Vendor, String),
    /// A local folder.
    Folder(PathBuf),
}

impl Location {
    /// Returns the vendor of a bucket. A folder has none.
    #[must_use]
    pub const fn vendor(&self) -> Option<Vendor> {
        match self {
            Self::Bucket(vendor, _) => Some(*vendor),
            Self::Folder(_) => None,
        }
    }

    /// Splits an address into a location and a key. `None` if no store has such addresses.
    pub(crate) fn parse(text: &str) -> Option<(Self, &str)> {
        if let Some(path) = text.strip_prefix("file:") {
            // The last component is the key; a folder ends with a slash.
            let (folder, key) = path.rsplit_once('/')?;
            let folder = if folder.is_empty() { "/" } else { folder };
            return Some((Self::Folder(folder.into()), key));
        }
        let (scheme, rest) = text.split_once("://")?;
        let vendor = Vendor::ALL.into_iter().find(|vendor| vendor.id() == scheme)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Some((Self::Bucket(vendor, bucket.to_owned()), key))
    }

    /// Opens the store.
    ///
    /// # Errors
    /// If an access key or a region is missing, or the endpoint is invalid.
    pub fn open(&self, settings: &Settings) -> Result<Arc<dyn Store>, SettingsError> {
        match self {
            Self::Bucket(vendor, name) => {
                Ok(Arc::new(Bucket::open(*vendor, name, settings.account(*vendor)?)?))
            }
            Self::Folder(_) if settings.has_customer_key() => {
                Err(StoreError::Unsupported("a key of the customer (SSE-C)").into())
            }
            Self::Folder(_) if settings.has_version() => {
                Err(StoreError::Unsupported("versions").into())
            }
            Self::Folder(folder) => Ok(Arc::new(FolderStore::new(folder))),
        }
    }
}

/// Formats what stands before the key in an address.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket(vendor, name) => write!(f, "{}://{name}", vendor.id()),
            Self::Folder(folder) => {
                let folder = folder.display().to_string();
                write!(f, "file:{}", folder.trim_end_matches('/'))
            }
        }
    }
}
