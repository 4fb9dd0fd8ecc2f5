//! Byte ranges: the requested bytes of the plaintext, and the bytes of the object to fetch for
//! them.

use std::{ops::Range, str::FromStr};

/// A range of bytes of an object. Positions are in bytes and refer to the plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange(Form);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The first byte, and one past the last byte.
    Bounded(u64, u64),
    From(u64),
    Suffix(u64),
}

impl ByteRange {
    /// Creates a range of the bytes from `range.start` up to but not including `range.end`.
    #[must_use]
    pub const fn bounded(range: Range<u64>) -> Self {
        Self(Form::Bounded(range.start, range.end))
    }

    /// Creates a range of the bytes from `start` to the end of the object.
    #[must_use]
    pub const fn starting_at(start: u64) -> Self {
        Self(Form::From(start))
    }

    /// Creates a range of the last `len` bytes.
    #[must_use]
    pub const fn suffix(len: u64) -> Self {
        Self(Form::Suffix(len))
    }

    /// Returns the bytes that the range selects in an object of `len` bytes. A range that extends
    /// past the end is cut there; a suffix longer than the object selects the whole object, as in
    /// RFC 9110.
    ///
    /// # Errors
    /// [`RangeError`] if no byte is selected: the range starts at or past the end, or it is empty
    /// or inverted.
    pub fn resolve(self, len: u64) -> Result<Range<u64>, RangeError> {
        let (start, end) = match self.0 {
            Form::Bounded(start, end) if start >= end => return Err(RangeError::Empty),
            Form::Bounded(start, end) => (start, end.min(len)),
            Form::From(start) => (start, len),
            Form::Suffix(0) => return Err(RangeError::Empty),
            Form::Suffix(suffix) => (len.saturating_sub(suffix), len),
        };
        if start < end { Ok(start..end) } else { Err(RangeError::PastEnd { len }) }
    }

    /// Returns the bytes to fetch for this range of an AES-CTR object of `len` bytes, aligned to
    /// cipher blocks.
    ///
    /// # Errors
    /// See [`resolve`](Self::resolve).
    pub fn align(self, len: u64) -> Result<Fetch, RangeError> {
        let wanted = self.resolve(len)?;
        let start = wanted.start & !15;
        // Near u64::MAX, there is no next block boundary.
        let end = wanted.end.checked_next_multiple_of(16).map_or(len, |end| end.min(len));
        Ok(Fetch { start, end, wanted })
    }
}

/// Parses `A-B` (both inclusive), `A-` or `-N`, as in an HTTP `Range` header.
impl FromStr for ByteRange {
    type Err = RangeSyntax;

    fn from_str(text: &str) -> Result<Self, RangeSyntax> {
        let number = |digits: &str| {
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(RangeSyntax);
            }
            digits.parse::<u64>().map_err(|_| RangeSyntax)
        };
        let (first, last) = text.split_once('-').ok_or(RangeSyntax)?;
        match (first, last) {
            ("", suffix) => Ok(Self::suffix(number(suffix)?)),
            (start, "") => Ok(Self::starting_at(number(start)?)),
            (start, last) => {
                let (start, last) = (number(start)?, number(last)?);
                if last < start {
                    return Err(RangeSyntax);
                }
                // A last byte of u64::MAX has no successor; "to the end" means the same.
                Ok(last
                    .checked_add(1)
                    .map_or(Self::starting_at(start), |end| Self::bounded(start..end)))
            }
        }
    }
}

/// The error returned for a text that is not a byte range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a range must be A-B, A- or -N, in bytes, with A no greater than B")]
pub struct RangeSyntax;

/// The error returned for a range that selects no byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// The range itself is empty or inverted.
    #[error("the range is empty")]
    Empty,
    /// The range starts at or past the end of the object.
    #[error("the range starts past the end of the object ({len} bytes)")]
    PastEnd {
        /// The length of the object, in bytes.
        len: u64,
    },
}

/// The bytes to fetch for a range, and the requested bytes among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    start: u64,
    end: u64,
    wanted: Range<u64>,
}

impl Fetch {
    /// Returns the first byte to fetch, a multiple of 16.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Returns one past the last byte to fetch.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Returns the value of a `Range` header that requests these bytes.
    #[must_use]
    pub fn http_range(&self) -> String {
        format!("bytes={}-{}", self.start, self.end.saturating_sub(1))
    }

    /// Returns the position of the requested bytes *within the fetched ones*.
    ///
    /// # Panics
    /// If the range is longer than the machine's address space. Such a range cannot be in memory.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a slice of that length cannot exist")]
    pub fn wanted(&self) -> Range<usize> {
        let within = |position: u64| {
            usize::try_from(position.saturating_sub(self.start)).expect("a range in memory")
        };
        within(self.wanted.start)..within(self.wanted.end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts() {
        let range = |text: &str| text.parse::<ByteRange>();
        assert_eq!(range("0-0"), Ok(ByteRange::bounded(0..1)));
        assert_eq!(range("5-"), Ok(ByteRange::starting_at(5)));
        assert_eq!(range("-5"), Ok(ByteRange::suffix(5)));
        assert_eq!(range("3-18446744073709551615"), Ok(ByteRange::starting_at(3)));
        for bad in ["", "-", "5", "9-8", "+1-2", "1-+2", " 1-2", "1-2-3", "a-b", "--5", "0x1-2"] {
            assert_eq!(range(bad), Err(RangeSyntax), "{bad:?}");
        }
    }

    #[test]
    fn edges() {
        assert_eq!(ByteRange::bounded(5..5).resolve(10), Err(RangeError::Empty));
        assert_eq!(ByteRange::suffix(0).resolve(10), Err(RangeError::Empty));
        assert_eq!(ByteRange::starting_at(10).resolve(10), Err(RangeError::PastEnd { len: 10 }));
        assert_eq!(ByteRange::starting_at(0).resolve(0), Err(RangeError::PastEnd { len: 0 }));
        assert_eq!(ByteRange::suffix(5).resolve(0), Err(RangeError::PastEnd { len: 0 }));
        assert_eq!(ByteRange::suffix(50).resolve(10), Ok(0..10));
        assert_eq!(ByteRange::bounded(8..99).resolve(10), Ok(8..10));
        let top = ByteRange::starting_at(u64::MAX - 3).align(u64::MAX).unwrap();
        assert_eq!((top.start(), top.end(), top.wanted()), (u64::MAX - 15, u64::MAX, 12..15));
    }

    proptest! {
        #[test]
        fn a_fetch_covers_what_is_wanted(len in 1_u64..5000, a in 0_u64..5000, b in 0_u64..5000) {
            let range = ByteRange::bounded(a.min(b)..a.max(b));
            if let Ok(wanted) = range.resolve(len) {
                let fetch = range.align(len).unwrap();
                prop_assert!(fetch.start().is_multiple_of(16) && fetch.start() <= wanted.start);
                prop_assert!(wanted.end <= fetch.end() && fetch.end() <= len);
                prop_assert!(wanted.start - fetch.start() < 16 && fetch.end() - wanted.end < 16);
                let within = fetch.wanted();
                prop_assert_eq!(fetch.start() + within.start as u64, wanted.start);
                prop_assert_eq!(within.len() as u64, wanted.end - wanted.start);
            }
        }
    }
}
