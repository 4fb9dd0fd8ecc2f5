//! The part layout of a multipart object (`data-size`, `part-size`).

use crate::Vendor;

/// The part layout of a multipart upload: every part except the last has `part_size` bytes.
///
/// On parsed objects this is a hint, which most readers ignore. Nothing is ever allocated based on
/// it, and the minimum part size is not checked, because SDKs write objects with smaller parts to
/// stores that allow them.
///
/// ```
/// use meta_codec::{LayoutError, PartLayout, Vendor};
///
/// let layout = PartLayout::new(Vendor::Oss, 1_000_000, 300_000)?;
/// assert_eq!(layout.part_count(), Some(4));
/// let unaligned = PartLayout::new(Vendor::Oss, 1_000_000, 300_001);
/// assert_eq!(unaligned, Err(LayoutError::PartNotAligned));
/// # Ok::<(), LayoutError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLayout {
    data_size: Option<u64>,
    part_size: u64,
}

impl PartLayout {
    /// Maximum number of parts that OSS and COS accept.
    pub const MAX_PARTS: u64 = 10_000;

    /// Creates the layout of an upload to `vendor`: `data_size` bytes of plaintext in parts of
    /// `part_size` bytes.
    ///
    /// # Errors
    /// Fails if the part size is not a multiple of 16 (the keystream of a part must start at a
    /// block boundary) or outside the vendor's limits, or if there would be more than
    /// [`MAX_PARTS`](Self::MAX_PARTS) parts.
    pub fn new(vendor: Vendor, data_size: u64, part_size: u64) -> Result<Self, LayoutError> {
        let (least, most) = (vendor.min_part_size(), vendor.max_part_size());
        if part_size < least {
            return Err(LayoutError::PartTooSmall { least });
        }
        if part_size > most {
            return Err(LayoutError::PartTooLarge { most });
        }
        Self::read(Some(data_size), part_size)
    }

    /// Creates the layout described by headers. `data_size` is `None` if unknown to the writer.
    pub(crate) fn read(data_size: Option<u64>, part_size: u64) -> Result<Self, LayoutError> {
        if part_size == 0 || !part_size.is_multiple_of(16) {
            return Err(LayoutError::PartNotAligned);
        }
        let layout = Self { data_size, part_size };
        match layout.part_count() {
            Some(count) if count > Self::MAX_PARTS => Err(LayoutError::TooManyParts { count }),
            _ => Ok(layout),
        }
    }

    /// Returns the plaintext length in bytes, or `None` if the writer did not know it.
    #[must_use]
    pub const fn data_size(&self) -> Option<u64> {
        self.data_size
    }

    /// Returns the size in bytes of every part except the last, which is a multiple of 16.
    #[must_use]
    pub const fn part_size(&self) -> u64 {
        self.part_size
    }

    /// Returns the number of parts, if the data size is known. An empty object has one empty part.
    #[must_use]
    pub const fn part_count(&self) -> Option<u64> {
        match self.data_size {
            Some(0) => Some(1),
            Some(size) => Some(size.div_ceil(self.part_size)),
            None => None,
        }
    }
}

/// An error for sizes that do not form a valid part layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The part size is zero or not a multiple of 16.
    #[error("the part size must be a nonzero multiple of 16")]
    PartNotAligned,
    /// The part size is above the vendor's maximum.
    #[error("the part size must be at most {most} bytes")]
    PartTooLarge {
        /// The vendor's maximum part size, in bytes.
        most: u64,
    },
    /// The part size is below the vendor's minimum for every part except the last.
    #[error("the part size must be at least {least} bytes")]
    PartTooSmall {
        /// The vendor's minimum part size, in bytes.
        least: u64,
    },
    /// More parts than the services accept.
    #[error("{count} parts exceed the limit of 10000")]
    TooManyParts {
        /// The number of parts.
        count: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_the_vendors() {
        assert!(PartLayout::new(Vendor::Oss, 1, 102_400).is_ok());
        assert_eq!(
            PartLayout::new(Vendor::Oss, 1, 102_384),
            Err(LayoutError::PartTooSmall { least: 102_400 })
        );
        assert_eq!(
            PartLayout::new(Vendor::Cos, 1, 102_400),
            Err(LayoutError::PartTooSmall { least: 1 << 20 })
        );
        assert_eq!(PartLayout::new(Vendor::Oss, 1, 102_401), Err(LayoutError::PartNotAligned));
        let full = PartLayout::new(Vendor::Oss, 1_024_000_000, 102_400).unwrap();
        assert_eq!(full.part_count(), Some(10_000));
        assert_eq!(
            PartLayout::new(Vendor::Oss, 1_024_000_001, 102_400),
            Err(LayoutError::TooManyParts { count: 10_001 })
        );
    }

    #[test]
    fn an_empty_object_has_one_part() {
        assert_eq!(PartLayout::read(Some(0), 16).unwrap().part_count(), Some(1));
        assert_eq!(PartLayout::read(None, 16).unwrap().part_count(), None);
        assert_eq!(PartLayout::read(Some(u64::MAX), u64::MAX - 15).unwrap().part_count(), Some(2));
    }
}
