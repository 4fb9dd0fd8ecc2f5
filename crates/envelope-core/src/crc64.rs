//! CRC-64, as OSS and COS answer with it.

use crc_fast::{CrcAlgorithm, Digest, checksum_combine};

/// The CRC-64/XZ of some bytes: the reflected ECMA-182 polynomial, as `x-oss-hash-crc64ecma` and
/// `x-cos-hash-crc64ecma` carry it, in decimal.
///
/// It finds accidents of transport and storage. It proves nothing against an attacker.
///
/// ```
/// let mut sum = envelope_core::Crc64::new();
/// sum.update(b"123456789");
/// assert_eq!(sum.to_string(), "11051210869376104954"); // 0x995dc9bbdf1939fa
/// ```
#[derive(Clone, Debug)]
pub struct Crc64(Digest);

impl Crc64 {
    /// The checksum of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Xz))
    }

    /// The checksum of these bytes.
    #[must_use]
    pub fn of(data: &[u8]) -> u64 {
        let mut sum = Self::new();
        sum.update(data);
        sum.value()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The checksum of all bytes taken.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.finalize()
    }

    /// How many bytes were taken.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.get_amount()
    }

    /// Whether no byte was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The checksum of two pieces together, from theirs and the length of the second, in bytes.
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

    /// Puts another piece behind, which was summed apart.
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

/// In decimal, as the stores write it.
impl std::fmt::Display for Crc64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bit by bit, from the definition.
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
            // And goes on.
            one.update(b"more");
            whole.update(b"more");
            prop_assert_eq!(one, whole);
        }
    }
}
