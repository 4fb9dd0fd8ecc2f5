//! Byte ranges: the requested bytes of the plaintext, and the bytes of the object to fetch for
//! them.

use std::{ops::Range, str::FromStr};

/// A range of bytes of an object. Positions are in bytes and refer to the plaintext.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
/// use envelope_core::ByteRange;
///
/// # let key = AesKeyWrapper::generate()?;
/// # let (envelope, cipher) = Encryptor::new(&key, Dialect::COS_V2).encrypt()?.into_inner();
/// # let mut object = *b"the bytes of an object";
/// # cipher.at(0).apply(&mut object);
/// # let decryptor = Decryptor::new(&Keyring::new().with(key));
/// // `Range: bytes=4-8` of an object of 22 bytes: fetch the same bytes of the ciphertext.
/// let wanted = "4-8".parse::<ByteRange>()?.resolve(22)?;
/// let mut fetched = object[4..9].to_vec();
/// decryptor.decrypt_range(&envelope)?.at(wanted.start).apply(&mut fetched);
/// assert_eq!(fetched, b"bytes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

#[cfg(test)]
mod tests {
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
    }
}
