//! The object stores and their differences.

use crate::Dialect;

/// An object store whose objects carry envelopes.
///
/// All differences between the stores are methods of this type. The enum is deliberately
/// exhaustive: code that depends on the store does not compile for a third one until it handles it.
///
/// ```
/// use meta_codec::{Dialect, Vendor};
///
/// assert_eq!(Vendor::Cos.metadata_prefix(), "x-cos-meta-");
/// assert_eq!(Vendor::Oss.default_dialect(), Dialect::OSS_V2);
/// assert_eq!(Vendor::Oss.min_part_size(), 100 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a new vendor must be handled everywhere")]
pub enum Vendor {
    /// Tencent Cloud Object Storage.
    Cos,
    /// Aliyun Object Storage Service.
    Oss,
}

impl Vendor {
    /// Every vendor.
    pub const ALL: [Self; 2] = [Self::Cos, Self::Oss];

    /// The vendor whose default dialect is written where nothing names a vendor, such as in a
    /// folder.
    pub const DEFAULT: Self = Self::Oss;

    /// Returns the name used in addresses, such as `oss` in `oss://bucket/key`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Cos => "cos",
            Self::Oss => "oss",
        }
    }

    /// Returns the prefix of the vendor's own header names.
    #[must_use]
    pub const fn header_prefix(self) -> &'static str {
        match self {
            Self::Cos => "x-cos-",
            Self::Oss => "x-oss-",
        }
    }

    /// Returns the prefix of user metadata names. Storage libraries such as `object_store` and
    /// OpenDAL return user metadata without it.
    #[must_use]
    pub const fn metadata_prefix(self) -> &'static str {
        match self {
            Self::Cos => "x-cos-meta-",
            Self::Oss => "x-oss-meta-",
        }
    }

    /// Returns the dialect that is written by default.
    #[must_use]
    pub const fn default_dialect(self) -> Dialect {
        match self {
            Self::Cos => Dialect::COS_V2,
            Self::Oss => Dialect::OSS_V2,
        }
    }

    /// Returns `true` if an envelope may be in an instruction file next to the object (COS Java).
    #[must_use]
    pub const fn has_instruction_files(self) -> bool {
        match self {
            Self::Cos => true,
            Self::Oss => false,
        }
    }

    /// Returns `true` if a multipart upload of an encrypted object must state its plaintext length
    /// when it is created, and repeat the encryption headers with every part (OSS, EC
    /// 0005-00000406).
    #[must_use]
    pub const fn needs_encryption_headers_on_parts(self) -> bool {
        match self {
            Self::Cos => false,
            Self::Oss => true,
        }
    }

    /// Returns `true` if the metadata of an encrypted object cannot be replaced without uploading
    /// its body again (OSS, EC 0005-00000421).
    #[must_use]
    pub const fn forbids_new_metadata(self) -> bool {
        match self {
            Self::Cos => false,
            Self::Oss => true,
        }
    }

    /// Returns a header that has to accompany a range request, so that a range beyond the end is
    /// refused or cut. By default, OSS ignores such a range and sends the whole object.
    #[must_use]
    pub const fn range_header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Cos => None,
            Self::Oss => Some(("x-oss-range-behavior", "standard")),
        }
    }

    /// Returns the names of the vendor's own headers that a copy of an object has to repeat,
    /// besides user metadata: its storage class and server-side encryption.
    #[must_use]
    pub const fn copied_headers(self) -> &'static [&'static str] {
        match self {
            Self::Cos => &[
                "x-cos-server-side-encryption",
                "x-cos-server-side-encryption-cos-kms-key-id",
                "x-cos-storage-class",
            ],
            Self::Oss => &[
                "x-oss-server-side-data-encryption",
                "x-oss-server-side-encryption",
                "x-oss-server-side-encryption-key-id",
                "x-oss-storage-class",
            ],
        }
    }

    /// Returns the header that says who may access an object, in one word such as `private` or
    /// `public-read`.
    #[must_use]
    pub const fn access_header(self) -> &'static str {
        match self {
            Self::Cos => "x-cos-acl",
            Self::Oss => "x-oss-object-acl",
        }
    }

    /// Returns whether a header is that of the access, and the service takes it with the request
    /// that completes a multipart upload, and not with the one that creates it (OSS: all official
    /// SDKs send it so).
    #[must_use]
    pub fn wants_access_at_end(self, name: &str) -> bool {
        match self {
            Self::Cos => false,
            Self::Oss => name == self.access_header(),
        }
    }

    /// Returns the length of the longest object that the service is asked to copy in one request,
    /// in bytes: 1 GiB. OSS copies no longer one; COS copies up to 5 GiB, which takes it so long
    /// that parts are better.
    #[must_use]
    pub const fn longest_copy(self) -> u64 {
        match self {
            Self::Cos | Self::Oss => 1 << 30,
        }
    }

    /// Returns `true` if parts may be copied from an encrypted object. OSS refuses it (EC
    /// 0042-00000309).
    #[must_use]
    pub const fn copies_parts_of_encrypted(self) -> bool {
        match self {
            Self::Cos => true,
            Self::Oss => false,
        }
    }

    /// Returns the minimum size of every part of a multipart upload except the last, in bytes.
    #[must_use]
    pub const fn min_part_size(self) -> u64 {
        match self {
            Self::Cos => 1024 * 1024,
            Self::Oss => 100 * 1024,
        }
    }

    /// Returns the maximum size of a part of a multipart upload, in bytes: 5 GiB.
    #[must_use]
    pub const fn max_part_size(self) -> u64 {
        match self {
            Self::Cos | Self::Oss => 5 << 30,
        }
    }

    /// Returns the maximum number of parts of a multipart upload.
    #[must_use]
    pub const fn max_parts(self) -> u64 {
        match self {
            Self::Cos | Self::Oss => crate::PartLayout::MAX_PARTS,
        }
    }

    /// Returns the maximum size of an object's user metadata, names and values together, in bytes.
    ///
    /// OSS: 8 KiB (error 0011-00000002). COS: 2 KiB (`CryptoStorageMode` of COS Java 5.6.269).
    #[must_use]
    pub const fn header_budget(self) -> usize {
        match self {
            Self::Cos => 2 * 1024,
            Self::Oss => 8 * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_differ() {
        assert!(Vendor::Oss.forbids_new_metadata() && !Vendor::Cos.forbids_new_metadata());
    }

    #[test]
    fn all_are_listed() {
        for (index, vendor) in Vendor::ALL.into_iter().enumerate() {
            // A third vendor does not compile here, until it is listed.
            let at = match vendor {
                Vendor::Cos => 0,
                Vendor::Oss => 1,
            };
            assert_eq!(at, index);
        }
    }
}
