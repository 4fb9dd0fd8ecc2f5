//! Part plans: the division of a multipart upload into parts that can be encrypted in any order.

use meta_codec::{Dialect, LayoutError, PartLayout};

/// The parts of one multipart upload: disjoint, without gaps, each starting at a block boundary.
///
/// ```
/// use envelope_core::{Dialect, PartPlan};
///
/// let plan = PartPlan::new(2_500_000, 1 << 20, Dialect::COS_V2)?;
/// let lens: Vec<u64> = plan.parts().map(|part| part.len()).collect();
/// assert_eq!(lens, [1_048_576, 1_048_576, 402_848]);
/// # Ok::<(), meta_codec::LayoutError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartPlan {
    data_size: u64,
    layout: PartLayout,
}

impl PartPlan {
    /// Creates a plan for `data_size` bytes in parts of `part_size` bytes.
    ///
    /// # Errors
    /// See [`PartLayout::new`].
    pub fn new(data_size: u64, part_size: u64, dialect: Dialect) -> Result<Self, LayoutError> {
        Ok(Self { data_size, layout: dialect.layout(data_size, part_size)? })
    }

    /// Returns the sizes as they are written into metadata.
    #[must_use]
    pub const fn layout(&self) -> PartLayout {
        self.layout
    }

    /// Returns the parts in order. An empty object has one empty part.
    #[must_use]
    pub fn parts(&self) -> impl ExactSizeIterator<Item = Part> + use<> {
        let (data_size, part_size) = (self.data_size, self.layout.part_size());
        // The layout has checked that there are at most PartLayout::MAX_PARTS.
        let count = u16::try_from(self.layout.part_count().unwrap_or(1)).unwrap_or(u16::MAX);
        (0..count).map(move |index| {
            let start = u64::from(index).saturating_mul(part_size);
            let len = data_size.saturating_sub(start).min(part_size);
            Part { number: index.saturating_add(1), start, len }
        })
    }
}

/// One part of a [`PartPlan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::len_without_is_empty, reason = "only the part of an empty object is empty")]
pub struct Part {
    number: u16,
    start: u64,
    len: u64,
}

impl Part {
    /// Returns the part number, counted from 1.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// Returns the offset of the part in the object, a multiple of 16.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Returns the length of the part, in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_tile_the_object(size in 0_u64..50_000_000, blocks in 6_400_u64..100_000) {
            let plan = PartPlan::new(size, blocks * 16, Dialect::OSS_V2).unwrap();
            let mut end = 0;
            for (index, part) in plan.parts().enumerate() {
                prop_assert_eq!(usize::from(part.number()), index + 1);
                prop_assert_eq!(part.start(), end);
                prop_assert_eq!(part.start() % 16, 0);
                prop_assert!(part.len() > 0 || size == 0);
                end += part.len();
            }
            prop_assert_eq!(end, size);
        }
    }

    #[test]
    fn the_most_parts() {
        let plan = PartPlan::new(1_024_000_000, 102_400, Dialect::OSS_V2).unwrap();
        let last = plan.parts().last().unwrap();
        assert_eq!((last.number(), last.start() + last.len()), (10_000, 1_024_000_000));
        assert!(PartPlan::new(1_024_000_001, 102_400, Dialect::OSS_V2).is_err());
    }
}
