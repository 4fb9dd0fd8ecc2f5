//! The cipher of one part of a multipart upload.

use crate::{Crc64, CtrCipher, Keystream, Part};

/// The cipher of one part of a multipart upload. It belongs to the part that it was made for: it
/// starts where that part starts and ends where it ends, so that a part cannot run into the
/// keystream of its neighbour. It comes only from
/// [`EncryptedObject::parts`](crate::EncryptedObject::parts).
///
/// ```
/// use envelope_core::{AesKeyWrapper, Dialect, Encryptor, PartPlan};
///
/// let key = AesKeyWrapper::generate()?;
/// let plan = PartPlan::new(3_000_000, 1 << 20, Dialect::COS_V2)?;
/// let object = Encryptor::new(&key, Dialect::COS_V2).with_parts(plan).encrypt()?;
/// let second = object.part(2)?;
/// assert_eq!((second.part().start(), second.part().len()), (1 << 20, 1 << 20));
/// let mut data = vec![7; 1 << 20];
/// second.encrypt_in_place(&mut data)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct PartCipher {
    part: Part,
    keystream: Keystream,
    remaining: u64,
}

impl PartCipher {
    pub(crate) fn new(cipher: &CtrCipher, part: Part) -> Self {
        Self { part, keystream: cipher.at(part.start()), remaining: part.len() }
    }

    /// Returns the part.
    #[must_use]
    pub const fn part(&self) -> Part {
        self.part
    }

    /// Encrypts the whole part, in place.
    ///
    /// # Errors
    /// [`PartLengthError`] if `data` is not as long as what is left of the part, which is all of it
    /// unless [`update`](Self::update) was called. `data` is then left unchanged.
    pub fn encrypt_in_place(mut self, data: &mut [u8]) -> Result<(), PartLengthError> {
        if data.len() as u64 != self.remaining {
            return Err(self.error(data.len()));
        }
        self.update(data)
    }

    /// As [`encrypt_in_place`](Self::encrypt_in_place); also feeds the resulting ciphertext to
    /// `sum` in the same pass.
    ///
    /// # Errors
    /// [`PartLengthError`], as there.
    pub fn encrypt_summed(
        mut self,
        data: &mut [u8],
        sum: &mut Crc64,
    ) -> Result<(), PartLengthError> {
        if data.len() as u64 != self.remaining {
            return Err(self.error(data.len()));
        }
        self.keystream.encrypt_summed(data, sum);
        Ok(())
    }

    /// Encrypts the next bytes of the part, in place.
    ///
    /// # Errors
    /// [`PartLengthError`] if `data` goes beyond the end of the part. `data` is then left
    /// unchanged.
    pub fn update(&mut self, data: &mut [u8]) -> Result<(), PartLengthError> {
        let after = self.remaining.checked_sub(data.len() as u64);
        self.remaining = after.ok_or_else(|| self.error(data.len()))?;
        self.keystream.apply(data);
        Ok(())
    }

    const fn error(&self, got: usize) -> PartLengthError {
        PartLengthError { number: self.part.number(), want: self.remaining, got: got as u64 }
    }
}

/// The error returned for data that is not as long as its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("part {number} has {want} bytes left, not {got}")]
#[non_exhaustive]
pub struct PartLengthError {
    /// The part number, counted from 1.
    pub number: u16,
    /// Bytes of the part that are not encrypted yet.
    pub want: u64,
    /// Bytes given.
    pub got: u64,
}

#[cfg(test)]
mod tests {
    use meta_codec::{ContentAlgorithm, Dialect, IvForm};

    use super::*;
    use crate::PartPlan;

    #[test]
    fn a_part_ends() {
        let content = ContentAlgorithm::Aes256Ctr;
        let (cek, iv) = (Some(&[7; 32][..]), Some(&[1; 16][..]));
        let key = crate::hazmat::content_key(content, IvForm::Wrapped, cek, iv).unwrap();
        let cipher = CtrCipher::new(&key).unwrap();
        let plan = PartPlan::new(200_005, 102_400, Dialect::OSS_V2).unwrap();
        let last = plan.parts().last().unwrap();
        let mut part = PartCipher::new(&cipher, last);
        let mut data = vec![0; 97_605];
        part.update(&mut data[..97_000]).unwrap();
        part.update(&mut data[97_000..]).unwrap();
        assert!(part.update(&mut [0]).is_err());
        let mut want = vec![0; 97_605];
        cipher.at(102_400).apply(&mut want);
        assert!(data == want);

        let mut data = vec![0; 97_605];
        let mut sum = Crc64::new();
        PartCipher::new(&cipher, last).encrypt_summed(&mut data, &mut sum).unwrap();
        assert!(data == want);
        assert_eq!(sum.value(), Crc64::of(&want));
        for len in [0, 97_604, 97_606] {
            let mut data = vec![0; len];
            let part = || PartCipher::new(&cipher, last);
            assert!(part().encrypt_in_place(&mut data).is_err());
            assert!(part().encrypt_summed(&mut data, &mut sum).is_err());
            assert!(data.iter().all(|byte| *byte == 0));
        }
    }
}
