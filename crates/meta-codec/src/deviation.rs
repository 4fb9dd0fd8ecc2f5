//! Deviations from a dialect that some SDKs read past.

use std::fmt;

/// A deviation of metadata from its dialect that at least one SDK reads past, and that leaves no
/// doubt about the meaning of the rest.
///
/// [`parse`](crate::parse) refuses all of them. [`parse_tolerant`](crate::parse_tolerant) records
/// them in the [envelope](crate::Envelope::deviations), and leaves it to the reader's policy
/// whether the object may be read.
///
/// Metadata with a key check or a seal was written by this library, which does not deviate;
/// deviations of such metadata are always refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Deviation {
    /// No content algorithm is named, and the dialect has only one. Read by alibabacloud-oss-v2 for
    /// Java and PHP, and by oss2, for `oss-v2`.
    ContentUnnamed,
    /// The material description is not a JSON object of strings: it is empty, `null`, base64 (a
    /// fork of the OSS SDK for iOS), or nested. Read past by the OSS SDKs V2 for Go, Java, PHP and
    /// Python. The description then identifies no master key.
    DescriptionUnreadable,
    /// The name of the wrap algorithm is in another case. Read by the OSS SDKs for C++ and for
    /// Java V1.
    WrapNameCase,
}

impl Deviation {
    /// Every deviation.
    pub const ALL: [Self; 3] =
        [Self::ContentUnnamed, Self::DescriptionUnreadable, Self::WrapNameCase];

    /// Returns a stable name for programs, such as `description-unreadable`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::ContentUnnamed => "content-unnamed",
            Self::DescriptionUnreadable => "description-unreadable",
            Self::WrapNameCase => "wrap-name-case",
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ContentUnnamed => "the metadata does not name the content algorithm",
            Self::DescriptionUnreadable => {
                "the material description is not a JSON object of strings"
            }
            Self::WrapNameCase => "the name of the wrap algorithm is in another case",
        })
    }
}
