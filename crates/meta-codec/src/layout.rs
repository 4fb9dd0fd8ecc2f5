//! The part layout of a multipart object (`data-size`, `part-size`).

use crate::Vendor;

/// How a multipart upload was, or will be, cut: every part but the last is `part_size` bytes.
///
/// On objects that we read this is a hint, which most readers ignore: nothing is ever allocated from
/// it, and the smallest part size is not checked, because SDKs write objects with smaller parts to
/// stores that allow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLayout {
    data_size: Option<u64>,
    part_size: u64,
}

impl PartLayout {
    /// The most parts that OSS and COS take.
    pub const MAX_PARTS: u64 = 10_000;

    /// The layout of an upload to `vendor`: `data_size` bytes of plaintext in parts of `part_size`.
    ///
    /// # Errors
    /// A part size that is not a multiple of 16 (the keystream of a part must start at a block) or
    /// that is below the vendor's smallest part, or more than [`MAX_PARTS`](Self::MAX_PARTS) parts.
    pub fn new(vendor: Vendor, data_size: u64, part_size: u64) -> Result<Self, LayoutError> {
        let least = vendor.min_part_size();
        if part_size < least {
            return Err(LayoutError::PartTooSmall { least });
        }
        Self::read(Some(data_size), part_size)
    }

    /// The layout that headers describe. `data_size` is absent where the writer did not know it.
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

    /// Bytes of plaintext in all parts; `None` where the writer did not know.
    #[must_use]
    pub const fn data_size(&self) -> Option<u64> {
        self.data_size
    }

    /// Bytes of plaintext in every part but the last. A multiple of 16.
    #[must_use]
    pub const fn part_size(&self) -> u64 {
        self.part_size
    }

    /// How many parts there are, if the data size is known. An empty object has one, empty, part.
    #[must_use]
    pub const fn part_count(&self) -> Option<u64> {
        match self.data_size {
            Some(0) => Some(1),
            Some(size) => Some(size.div_ceil(self.part_size)),
            None => None,
        }
    }
}

/// Sizes that do not make a part layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Zero, or not a multiple of 16.
    #[error("the part size must be a multiple of 16, and not 0")]
    PartNotAligned,
    /// Below what the service takes for any part but the last.
    #[error("the part size must be at least {least} bytes")]
    PartTooSmall {
        /// The vendor's smallest part, in bytes.
        least: u64,
    },
    /// More parts than the services take.
    #[error("{count} parts, more than 10000")]
    TooManyParts {
        /// How many there would be.
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
