//! Dialects: how each SDK family represents an envelope in headers.

use std::{fmt, str::FromStr};

use crate::{ContentAlgorithm, LayoutError, PartLayout, Vendor, WrapAlgorithm, encoding::Md5Form};

mod cos_android;
mod cos_instruction;
mod cos_legacy;
mod cos_v1;
mod cos_v2;
mod oss_v1;
mod oss_v2;

/// One SDK family's header format for an envelope, defined by a table of names and algorithms.
///
/// ```
/// use meta_codec::Dialect;
///
/// let dialect: Dialect = "cos-legacy".parse()?;
/// assert_eq!(dialect.writers(), "COS Java 5.4.3 to 5.6.49");
/// assert!(!dialect.is_writable());
/// # Ok::<(), meta_codec::UnknownDialect>(())
/// ```
#[derive(Clone, Copy)]
pub struct Dialect(&'static Table);

impl Dialect {
    /// COS Android >= 5.7.0: the names of `cos-v2`, but an unwrapped IV. Read only.
    pub const COS_ANDROID: Self = Self(&cos_android::TABLE);
    /// The instruction file of COS Java, a separate object that holds the envelope. Read only.
    pub const COS_INSTRUCTION: Self = Self(&cos_instruction::TABLE);
    /// COS Java 5.4.3 to 5.6.49. Read only.
    pub const COS_LEGACY: Self = Self(&cos_legacy::TABLE);
    /// COS Python >= 1.8.5.
    pub const COS_V1: Self = Self(&cos_v1::TABLE);
    /// COS Java >= 5.6.50, COS Go, hadoop-cos. The default for COS.
    pub const COS_V2: Self = Self(&cos_v2::TABLE);
    /// oss2 (Python) 2.5 to 2.10, for compatibility with old readers.
    pub const OSS_V1: Self = Self(&oss_v1::TABLE);
    /// Every OSS SDK with client-side encryption. The default for OSS.
    pub const OSS_V2: Self = Self(&oss_v2::TABLE);

    /// Every dialect.
    pub const ALL: [Self; 7] = [
        Self::OSS_V2,
        Self::OSS_V1,
        Self::COS_V2,
        Self::COS_V1,
        Self::COS_ANDROID,
        Self::COS_LEGACY,
        Self::COS_INSTRUCTION,
    ];

    /// Returns the name of the dialect, such as `oss-v2`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        self.0.id
    }

    /// Describes the SDKs that write this dialect.
    #[must_use]
    pub const fn writers(self) -> &'static str {
        self.0.writers
    }

    /// Returns the vendor whose objects use this dialect.
    #[must_use]
    pub const fn vendor(self) -> Vendor {
        self.0.vendor
    }

    /// Returns the representation of the IV in the headers.
    #[must_use]
    pub const fn iv_form(self) -> IvForm {
        self.0.iv
    }

    /// Returns `true` if this dialect can be written.
    #[must_use]
    pub fn is_writable(self) -> bool {
        self.0.wraps.iter().any(|row| row.write)
    }

    /// Returns the IDs of the writable dialects, for help texts and error messages.
    pub fn writable_ids() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(|dialect| dialect.is_writable()).map(Self::id)
    }

    /// Returns the writable wrap algorithms, with the default for each kind of key first.
    pub fn wrap_algorithms(self) -> impl Iterator<Item = WrapAlgorithm> {
        self.0.wraps.iter().filter(|row| row.write).map(|row| row.algorithm)
    }

    /// Returns the writable content algorithms, with the default first.
    pub fn content_algorithms(self) -> impl Iterator<Item = ContentAlgorithm> {
        self.0.contents.iter().filter(|row| row.write).map(|row| row.algorithm)
    }

    /// Returns `true` if the dialect has a header for the material description.
    #[must_use]
    pub fn has_description(self) -> bool {
        self.0.header(Field::Description).is_some()
    }

    /// Returns `true` if the dialect has headers for the part layout.
    #[must_use]
    pub fn has_layout(self) -> bool {
        self.0.header(Field::PartSize).is_some()
    }

    /// Returns `true` if the dialect has a header for the plaintext length.
    #[must_use]
    pub fn has_plain_len(self) -> bool {
        self.0.header(Field::PlainLen).is_some()
    }

    /// Returns the names of all headers of this dialect, in lower case.
    pub fn header_names(self) -> impl Iterator<Item = &'static str> {
        self.0.fields.iter().map(|(_, name)| *name)
    }

    /// Returns `true` if the dialect has a header for the MD5 of the plaintext.
    #[must_use]
    pub fn has_plain_md5(self) -> bool {
        self.0.header(Field::PlainMd5).is_some()
    }

    /// Returns the part layout of an upload in this dialect, subject to the vendor's limits.
    ///
    /// # Errors
    /// See [`PartLayout::new`].
    pub fn layout(self, data_size: u64, part_size: u64) -> Result<PartLayout, LayoutError> {
        PartLayout::new(self.vendor(), data_size, part_size)
    }

    pub(crate) const fn table(self) -> &'static Table {
        self.0
    }
}

impl PartialEq for Dialect {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Dialect {}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dialect({})", self.id())
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(id: &str) -> Result<Self, UnknownDialect> {
        Self::ALL.into_iter().find(|dialect| dialect.id() == id).ok_or(UnknownDialect)
    }
}

/// An error for a name that matches no dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown dialect")]
pub struct UnknownDialect;

/// The representation of the initialization vector in the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IvForm {
    /// Base64 of the unwrapped bytes.
    Clear,
    /// The bytes, wrapped like the CEK.
    Wrapped,
    /// The 128-bit counter as ASCII decimal digits, wrapped like the CEK (`oss-v1`).
    WrappedDecimal,
}

/// The meaning of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    ContentAlgorithm,
    DataSize,
    Description,
    Iv,
    Key,
    /// An extension, see `Envelope::key_check`. Other readers ignore it.
    KeyCheck,
    PartSize,
    PlainLen,
    PlainMd5,
    /// An extension, see `Envelope::seal`. Other readers ignore it.
    Seal,
    TagLen,
    WrapAlgorithm,
}

/// The definition of a dialect.
pub(crate) struct Table {
    pub(crate) id: &'static str,
    pub(crate) writers: &'static str,
    pub(crate) vendor: Vendor,
    pub(crate) iv: IvForm,
    pub(crate) md5: Md5Form,
    /// The placeholder that writers put in `data-size` when it is unknown, if any.
    pub(crate) unknown_data_size: Option<&'static str>,
    /// `true` if the fields are headers, `false` if they are in a separate JSON object.
    pub(crate) in_headers: bool,
    /// Lower-case header names, in the order in which they are emitted.
    pub(crate) fields: &'static [(Field, &'static str)],
    /// The default comes first. A dialect without a field for the algorithm has one row.
    pub(crate) contents: &'static [Row<ContentAlgorithm>],
    /// The default for each kind of key comes first. In a dialect without a field for the
    /// algorithm, the length of the wrapped key determines the row.
    pub(crate) wraps: &'static [Row<WrapAlgorithm>],
}

/// An algorithm, its name in the dialect, and a flag that is `false` if it is only read.
pub(crate) struct Row<A: 'static> {
    pub(crate) algorithm: A,
    pub(crate) name: &'static str,
    pub(crate) write: bool,
}

impl<A> Row<A> {
    pub(crate) const fn read(algorithm: A, name: &'static str) -> Self {
        Self { algorithm, name, write: false }
    }

    pub(crate) const fn write(algorithm: A, name: &'static str) -> Self {
        Self { algorithm, name, write: true }
    }
}

impl Table {
    /// Returns the header that holds `field`.
    pub(crate) fn header(&self, field: Field) -> Option<&'static str> {
        self.fields.iter().find(|(each, _)| *each == field).map(|(_, name)| *name)
    }

    /// Returns the header of the wrapped key, which every dialect has.
    pub(crate) fn key_header(&self) -> &'static str {
        self.header(Field::Key).unwrap_or(self.id)
    }

    /// Returns the header of the IV, which every dialect has.
    pub(crate) fn iv_header(&self) -> &'static str {
        self.header(Field::Iv).unwrap_or(self.id)
    }

    /// Returns the field that `header` holds, and the header name as spelled in the table.
    pub(crate) fn field(&self, header: &str) -> Option<(Field, &'static str)> {
        self.fields.iter().find(|(_, name)| name.eq_ignore_ascii_case(header)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_and_unique() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.id().parse(), Ok(dialect));
            assert_eq!(Dialect::ALL.iter().filter(|other| other.id() == dialect.id()).count(), 1);
        }
        assert_eq!("oss-v3".parse::<Dialect>(), Err(UnknownDialect));
    }

    #[test]
    fn tables_are_complete() {
        for dialect in Dialect::ALL {
            let table = dialect.table();
            assert!(table.header(Field::Key).is_some() && table.header(Field::Iv).is_some());
            for (_, name) in table.fields {
                assert_eq!(*name, name.to_ascii_lowercase());
                assert_eq!(table.fields.iter().filter(|(_, other)| other == name).count(), 1);
            }
            if table.header(Field::ContentAlgorithm).is_none() {
                assert_eq!(table.contents.len(), 1);
            }
            assert!(
                table.header(Field::PartSize).is_some() == table.header(Field::DataSize).is_some()
            );
        }
    }
}
