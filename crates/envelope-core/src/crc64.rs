//! CRC-64 as reported by OSS and COS.

use crc_fast::{CrcAlgorithm, Digest, checksum_combine};

/// A CRC-64/XZ checksum: the reflected ECMA-182 polynomial, carried in decimal by
/// `x-oss-hash-crc64ecma` and `x-cos-hash-crc64ecma`.
///
/// It detects accidental damage in transport and storage, but does not protect against an attacker.
///
/// ```
/// let mut sum = envelope_core::Crc64::new();
/// sum.update(b"123456789");
/// assert_eq!(sum.to_string(), "11051210869376104954"); // 0x995dc9bbdf1939fa
/// ```
#[derive(Clone, Debug)]
pub struct Crc64(Digest);

impl Crc64 {
    /// Creates the checksum of no bytes.
    #[must_use]
    pub fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Xz))
    }

    /// Computes the checksum of `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> u64 {
        let mut sum = Self::new();
        sum.update(data);
        sum.value()
    }

    /// Feeds the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// Returns the checksum of all bytes fed.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.finalize()
    }

    /// Returns the number of bytes fed.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.get_amount()
    }

    /// Returns whether no bytes were fed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Computes the checksum of two consecutive pieces from their checksums and the length of the
    /// second piece, in bytes.
    ///
    /// ```
    /// use envelope_core::Crc64;
    /// let (front, back) = (Crc64::of(b"one "), Crc64::of(b"object"));
    /// assert_eq!(Crc64::combined(front, back, 6), Crc64::of(b"one object"));
    /// ```
    #[must_use]
    pub fn combined(front: u64, back: u64, back_len: u64) -> u64 {
        checksum_combine(CrcAlgorithm::Crc64Xz, front, back, back_len)
    }

    /// Appends another piece that was checksummed separately.
    ///
    /// ```
    /// use envelope_core::Crc64;
    /// let (mut front, mut back, mut whole) = (Crc64::new(), Crc64::new(), Crc64::new());
    /// front.update(b"one ");
    /// back.update(b"object");
    /// whole.update(b"one object");
    /// front.append(&back);
    /// assert_eq!(front, whole);
    /// ```
    pub fn append(&mut self, next: &Self) {
        self.0.combine(&next.0);
    }
}

impl Default for Crc64 {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Crc64 {
    fn eq(&self, other: &Self) -> bool {
        (self.value(), self.len()) == (other.value(), other.len())
    }
}

impl Eq for Crc64 {}

/// Formats the checksum in decimal, as the stores do.
impl std::fmt::Display for Crc64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Computes the checksum bit by bit, following the definition.
    fn slowly(data: &[u8]) -> u64 {
        !data.iter().fold(u64::MAX, |sum, byte| {
            (0..8).fold(sum ^ u64::from(*byte), |sum, _| {
                if sum & 1 == 1 { sum >> 1 ^ 0xc96c_5795_d787_0f42 } else { sum >> 1 }
            })
        })
    }

    proptest! {
        #[test]
        fn any_split_is_the_definition(
            data in prop::collection::vec(any::<u8>(), 0..3000),
            cut in 0_usize..3000,
        ) {
            let (front, back) = data.split_at(cut.min(data.len()));
            let (mut one, mut other, mut whole) = (Crc64::new(), Crc64::new(), Crc64::new());
            one.update(front);
            other.update(back);
            whole.update(front);
            whole.update(back);
            prop_assert_eq!(whole.value(), slowly(&data));
            prop_assert_eq!(whole.len(), data.len() as u64);
            one.append(&other);
            prop_assert_eq!(&one, &whole);
            // A combined checksum can be fed more bytes.
            one.update(b"more");
            whole.update(b"more");
            prop_assert_eq!(one, whole);
        }
    }
}
