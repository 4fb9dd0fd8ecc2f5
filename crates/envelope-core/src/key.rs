//! The content key: one object's CEK and IV, in the clear.

use meta_codec::{ContentAlgorithm, IvForm};
use rand::{TryRng as _, rngs::SysRng};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::Zeroizing;

/// The operating system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct NoRandomness;

/// One object's content key: a 32-byte CEK and an IV. Wiped when dropped; never printed, never copied.
///
/// It is born in [`Encryptor`](crate::Encryptor), fresh for each object, or unwrapped by a
/// [`KeyWrapper`](crate::KeyWrapper), and ends in a [`ContentCipher`](crate::ContentCipher).
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct ContentKey {
    algorithm: ContentAlgorithm,
    cek: Zeroizing<[u8; 32]>,
    iv: Zeroizing<[u8; 16]>,
}

impl ContentKey {
    /// A fresh content key.
    ///
    /// For CTR, bytes 8 to 11 of the IV are zero: the SDKs seek with 64-bit (COS Go, OSS C++) or even
    /// 32-bit (OSS Java) arithmetic on the last bytes, which is right only as long as nothing carries
    /// out of them (oss-dialects, section 3).
    pub(crate) fn generate(algorithm: ContentAlgorithm) -> Result<Self, NoRandomness> {
        let mut key = Self { algorithm, cek: Zeroizing::new([0; 32]), iv: Zeroizing::new([0; 16]) };
        // In one system call, which is what a small object's key costs.
        let mut random = Zeroizing::new([0; 48]);
        SysRng.try_fill_bytes(&mut random[..]).map_err(|_| NoRandomness)?;
        let (cek, iv) = random.split_at(key.cek.len());
        key.cek.copy_from_slice(cek);
        key.iv.copy_from_slice(iv);
        if algorithm == ContentAlgorithm::Aes256Ctr {
            let [.., _, _, _, _, a, b, c, d, _, _, _, _] = &mut *key.iv;
            [*a, *b, *c, *d] = [0; 4];
        }
        Ok(key)
    }

    /// The content algorithm that the key is for.
    #[must_use]
    pub const fn algorithm(&self) -> ContentAlgorithm {
        self.algorithm
    }

    pub(crate) fn cek(&self) -> &[u8; 32] {
        &self.cek
    }

    /// The IV: 16 bytes, or 12 for GCM.
    pub(crate) fn iv(&self) -> &[u8] {
        self.iv.get(..self.algorithm.iv_len()).unwrap_or(&self.iv[..])
    }

    /// The IV in the form in which a dialect wraps it.
    pub(crate) fn iv_plain(&self, form: IvForm) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match form {
            IvForm::WrappedDecimal => u128::from_be_bytes(*self.iv).to_string().into_bytes(),
            _ => self.iv().to_vec(),
        })
    }
}

/// What came out of an unwrap, before anyone knows whether it is right.
///
/// Both values are looked at in full before the one decision at the end, so that whoever forges
/// wrapped values learns nothing from *which* check failed.
pub(crate) struct Candidate {
    good: Choice,
    cek: Zeroizing<[u8; 32]>,
    iv: Zeroizing<[u8; 16]>,
}

impl Candidate {
    /// Judges an unwrapped CEK and IV; `None` is an unwrap that failed.
    pub(crate) fn new(
        algorithm: ContentAlgorithm,
        form: IvForm,
        cek: Option<&[u8]>,
        iv: Option<&[u8]>,
    ) -> Self {
        let (cek_good, cek) = fixed::<32>(cek, 32);
        let (iv_good, iv) = match form {
            // A decimal counter has 16 bytes, and so suits only what takes 16.
            IvForm::WrappedDecimal => {
                let (good, iv) = counter(iv);
                (good & Choice::from(u8::from(algorithm.iv_len() == iv.len())), iv)
            }
            _ => fixed::<16>(iv, algorithm.iv_len()),
        };
        Self { good: cek_good & iv_good, cek, iv }
    }

    /// This one if it is good, else the other.
    pub(crate) fn or(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.cek.iter_mut().zip(other.cek.iter()) {
            mine.conditional_assign(theirs, !self.good);
        }
        for (mine, theirs) in self.iv.iter_mut().zip(other.iv.iter()) {
            mine.conditional_assign(theirs, !self.good);
        }
        self.good |= other.good;
        self
    }

    /// The content key, if it is good.
    pub(crate) fn decide(self, algorithm: ContentAlgorithm) -> Option<ContentKey> {
        bool::from(self.good).then_some(ContentKey { algorithm, cek: self.cek, iv: self.iv })
    }
}

/// The first `N` bytes, and whether there are exactly `want`.
fn fixed<const N: usize>(bytes: Option<&[u8]>, want: usize) -> (Choice, Zeroizing<[u8; N]>) {
    let bytes = bytes.unwrap_or_default();
    let mut out = Zeroizing::new([0; N]);
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    ((bytes.len() as u64).ct_eq(&(want as u64)), out)
}

/// A 128-bit counter in 1 to 39 decimal digits, as oss2 2.5 to 2.10 wrap it.
///
/// Python's `int()` also takes signs, spaces and underscores; no writer makes them.
fn counter(text: Option<&[u8]>) -> (Choice, Zeroizing<[u8; 16]>) {
    let text = text.unwrap_or_default();
    let mut good = Choice::from(u8::from(matches!(text.len(), 1..=39)));
    let mut value = 0_u128;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        let (tenfold, over) = value.overflowing_mul(10);
        let (sum, carry) = tenfold.overflowing_add(u128::from(digit));
        value = sum;
        good &= Choice::from(u8::from((digit < 10) & !over & !carry));
    }
    (good, Zeroizing::new(value.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CTR: ContentAlgorithm = ContentAlgorithm::Aes256Ctr;

    #[test]
    fn fresh_keys_differ_and_leave_room_to_count() {
        let (a, b) = (ContentKey::generate(CTR).unwrap(), ContentKey::generate(CTR).unwrap());
        assert_ne!(a.cek(), b.cek());
        assert_ne!(a.iv(), b.iv());
        assert_eq!(&a.iv()[8..12], [0; 4]);
        assert_eq!(ContentKey::generate(ContentAlgorithm::Aes256Gcm).unwrap().iv().len(), 12);
    }

    #[test]
    fn lengths_decide() {
        let key = |cek: &[u8], iv: &[u8]| {
            Candidate::new(CTR, IvForm::Wrapped, Some(cek), Some(iv)).decide(CTR)
        };
        assert!(key(&[1; 32], &[2; 16]).is_some());
        for (cek, iv) in [(31, 16), (33, 16), (0, 16), (16, 16), (32, 0), (32, 15), (32, 17)] {
            assert!(key(&vec![1; cek], &vec![2; iv]).is_none(), "{cek} {iv}");
        }
        assert!(Candidate::new(CTR, IvForm::Wrapped, None, Some(&[2; 16])).decide(CTR).is_none());
    }

    #[test]
    fn the_better_candidate_wins() {
        let bad = || Candidate::new(CTR, IvForm::Wrapped, None, None);
        let good = |n| Candidate::new(CTR, IvForm::Wrapped, Some(&[n; 32]), Some(&[n; 16]));
        assert_eq!(bad().or(&good(3)).decide(CTR).unwrap().cek(), &[3; 32]);
        assert_eq!(good(4).or(&good(3)).decide(CTR).unwrap().cek(), &[4; 32]);
        assert_eq!(good(4).or(&bad()).decide(CTR).unwrap().iv(), &[4; 16]);
        assert!(bad().or(&bad()).decide(CTR).is_none());
    }

    #[test]
    fn counters_are_plain_decimal() {
        let read = |text: &str| {
            let (good, value) = counter(Some(text.as_bytes()));
            bool::from(good).then(|| u128::from_be_bytes(*value))
        };
        assert_eq!(read("8"), Some(8));
        assert_eq!(read("340282366920938463463374607431768211455"), Some(u128::MAX));
        for bad in ["", "-1", "+8", " 8", "8\n", "1_0", "340282366920938463463374607431768211456"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        let long = "9".repeat(40);
        assert_eq!(read(&long), None);
    }
}
