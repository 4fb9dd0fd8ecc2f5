//! The seal, with which a reader notices that an object was tampered with. `docs/format/seal.md`
//! describes it byte by byte.

use crate::{ContentAlgorithm, encoding, error::Reason};

/// The only version.
const VERSION: u8 = 1;

const LENGTH: u8 = 1;
const DIGEST: u8 = 1 << 1;
const NAME: u8 = 1 << 2;
const ADOPTED: u8 = 1 << 3;
const ORIGIN: u8 = 1 << 4;
/// All of them.
const KNOWN: u8 = 0b1_1111;

/// The statement of a seal about the body of its object, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "another kind of seal needs another version")]
pub enum SealedBody {
    /// Nothing: its length was not known when the seal was made.
    Unknown,
    /// Its length in bytes.
    Length(u64),
    /// Its length in bytes and the keyed hash of all of them.
    Digest {
        /// The length in bytes.
        len: u64,
        /// BLAKE3, keyed with a key derived from the content key.
        digest: [u8; 32],
    },
}

impl SealedBody {
    /// Returns the length of the body in bytes, if the seal states it.
    #[must_use]
    pub const fn stated_len(self) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::Length(len) | Self::Digest { len, .. } => Some(len),
        }
    }

    /// Returns the keyed hash of the body, if the seal has it.
    #[must_use]
    pub const fn digest(self) -> Option<[u8; 32]> {
        match self {
            Self::Digest { digest, .. } => Some(digest),
            Self::Unknown | Self::Length(_) => None,
        }
    }
}

/// Everything that a seal states, without its proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealTerms {
    /// The statement about the body.
    pub body: SealedBody,
    /// Whether the name of the object is part of what is sealed.
    pub name_bound: bool,
    /// Whether it was made for a body that somebody else had written, and so vouches only for what
    /// was there at the time.
    pub adopted: bool,
    /// Whether it was made with an origin key, which those who write and read share.
    pub origin: bool,
}

impl SealTerms {
    /// Creates terms for a body, with nothing else stated.
    #[must_use]
    pub const fn new(body: SealedBody) -> Self {
        Self { body, name_bound: false, adopted: false, origin: false }
    }

    /// Returns the bytes in which the header states the terms: the flags, then the length in 8
    /// big-endian bytes and the digest, if it has them.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut flags = 0;
        for (bit, set) in [
            (LENGTH, self.body.stated_len().is_some()),
            (DIGEST, self.body.digest().is_some()),
            (NAME, self.name_bound),
            (ADOPTED, self.adopted),
            (ORIGIN, self.origin),
        ] {
            flags |= if set { bit } else { 0 };
        }
        let mut bytes = vec![flags];
        bytes.extend(self.body.stated_len().iter().flat_map(|len| len.to_be_bytes()));
        bytes.extend(self.body.digest().iter().flatten());
        bytes
    }
}

/// A seal: terms, and the proof that someone who had the content key set them.
///
/// A header of our own (`…-meta-envelope-seal`), which every SDK passes over. It is the base64 of a
/// version byte, the [terms](SealTerms::to_bytes), 8 bytes that confirm the content key, and a tag
/// of 32 bytes.
///
/// ```
/// use meta_codec::{Seal, SealTerms, SealedBody};
///
/// let terms = SealTerms::new(SealedBody::Length(1000));
/// let seal = Seal::new(terms, [1; 8], [2; 32]);
/// assert_eq!(seal.terms().body.stated_len(), Some(1000));
/// assert!(!seal.is_full());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    terms: SealTerms,
    confirmation: [u8; 8],
    tag: [u8; 32],
}

impl Seal {
    /// Creates a seal. `envelope-core` computes its values.
    #[must_use]
    pub const fn new(terms: SealTerms, confirmation: [u8; 8], tag: [u8; 32]) -> Self {
        Self { terms, confirmation, tag }
    }

    /// Returns its terms.
    #[must_use]
    pub const fn terms(&self) -> SealTerms {
        self.terms
    }

    /// Returns whether it covers every byte of the body, and not only the metadata.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.terms.body.digest().is_some()
    }

    /// Returns the bytes that confirm the content key: 8 bytes derived from it, and from nothing
    /// else.
    #[must_use]
    pub const fn confirmation(&self) -> [u8; 8] {
        self.confirmation
    }

    /// Returns the tag: HMAC-SHA-256 of everything that the envelope and the terms state.
    #[must_use]
    pub const fn tag(&self) -> [u8; 32] {
        self.tag
    }

    /// Checks that it states no more than the content algorithm needs: only AES-CTR has a digest.
    pub(crate) fn check(&self, content: ContentAlgorithm) -> Result<(), SealFault> {
        if self.is_full() && content != ContentAlgorithm::Aes256Ctr {
            return Err(SealFault::Content(content));
        }
        Ok(())
    }

    /// Returns the value of the header.
    pub(crate) fn text(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.terms.to_bytes());
        bytes.extend(self.confirmation);
        bytes.extend(self.tag);
        encoding::bytes_text(&bytes)
    }

    /// Parses the value of the header. There is one text for each seal.
    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        Ok(Self::read(&encoding::bytes(text)?)?)
    }

    fn read(bytes: &[u8]) -> Result<Self, SealFault> {
        let mut rest = bytes;
        let [version] = take(&mut rest, bytes)?;
        if version != VERSION {
            return Err(SealFault::Version(version));
        }
        let [flags] = take(&mut rest, bytes)?;
        let has = |flag| flags & flag != 0;
        if flags & !KNOWN != 0 || has(DIGEST) && !has(LENGTH) {
            return Err(SealFault::Flags(flags));
        }
        let mut body = SealedBody::Unknown;
        if has(LENGTH) {
            let len = u64::from_be_bytes(take(&mut rest, bytes)?);
            body = SealedBody::Length(len);
            if has(DIGEST) {
                body = SealedBody::Digest { len, digest: take(&mut rest, bytes)? };
            }
        }
        let confirmation = take(&mut rest, bytes)?;
        let tag = take(&mut rest, bytes)?;
        if !rest.is_empty() {
            return Err(SealFault::Length(bytes.len()));
        }
        let terms =
            SealTerms { body, name_bound: has(NAME), adopted: has(ADOPTED), origin: has(ORIGIN) };
        Ok(Self { terms, confirmation, tag })
    }
}

/// Takes the first bytes of what is left of `all`.
fn take<const N: usize>(rest: &mut &[u8], all: &[u8]) -> Result<[u8; N], SealFault> {
    let (first, others) = rest.split_first_chunk().ok_or(SealFault::Length(all.len()))?;
    *rest = others;
    Ok(*first)
}

/// The flaw in a header that is not a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealFault {
    /// A digest for content that authenticates itself, or that is not sealed.
    #[error("a digest of {0} content")]
    Content(ContentAlgorithm),
    /// Flags that version 1 does not have, or a digest without a length.
    #[error("unknown flags {0:#04x}")]
    Flags(u8),
    /// Not as many bytes as its flags demand.
    #[error("its flags do not fit {0} bytes")]
    Length(usize),
    /// A version other than 1.
    #[error("unknown version {0}")]
    Version(u8),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seals() -> impl Iterator<Item = Seal> {
        let bodies = [
            SealedBody::Unknown,
            SealedBody::Length(0x0102_0304_0506_0708),
            SealedBody::Digest { len: 7, digest: [0xdd; 32] },
        ];
        bodies.into_iter().flat_map(|body| {
            (0..8).map(move |n| {
                let terms = SealTerms {
                    body,
                    name_bound: n & 1 != 0,
                    adopted: n & 2 != 0,
                    origin: n & 4 != 0,
                };
                Seal::new(terms, [0xcc; 8], [0xaa; 32])
            })
        })
    }

    #[test]
    fn every_seal_has_one_text() {
        let texts: Vec<String> = seals().map(|seal| seal.text()).collect();
        for (seal, text) in seals().zip(&texts) {
            assert_eq!(Seal::parse(text).unwrap(), seal);
            assert_eq!(texts.iter().filter(|other| *other == text).count(), 1);
        }
        let full = Seal::parse(&texts[16]).unwrap();
        assert!(full.is_full() && !Seal::parse(&texts[8]).unwrap().is_full());
        assert_eq!((full.confirmation(), full.tag()), ([0xcc; 8], [0xaa; 32]));
        assert_eq!((texts[0].len(), texts[8].len(), texts[16].len()), (56, 68, 112));
    }

    #[test]
    fn the_layout_of_the_bytes() {
        let terms =
            SealTerms { body: SealedBody::Length(258), ..SealTerms::new(SealedBody::Unknown) };
        let bytes = encoding::bytes(&Seal::new(terms, [1; 8], [2; 32]).text()).unwrap();
        let mut want = vec![1, 1, 0, 0, 0, 0, 0, 0, 1, 2];
        want.extend([1; 8]);
        want.extend([2; 32]);
        assert_eq!(bytes, want);
        for (flag, terms) in [
            (4, SealTerms { name_bound: true, ..SealTerms::new(SealedBody::Unknown) }),
            (8, SealTerms { adopted: true, ..SealTerms::new(SealedBody::Unknown) }),
            (16, SealTerms { origin: true, ..SealTerms::new(SealedBody::Unknown) }),
        ] {
            assert_eq!(terms.to_bytes(), [flag]);
        }
        let full = SealTerms::new(SealedBody::Digest { len: 1, digest: [9; 32] }).to_bytes();
        assert_eq!(full, [vec![3, 0, 0, 0, 0, 0, 0, 0, 1], vec![9; 32]].concat());
    }

    #[test]
    fn anything_else_is_refused() {
        for seal in seals() {
            let bytes = encoding::bytes(&seal.text()).unwrap();
            for len in 0..bytes.len() {
                assert_eq!(Seal::read(&bytes[..len]), Err(SealFault::Length(len)), "{len}");
            }
            let longer = [bytes.clone(), vec![0]].concat();
            assert_eq!(Seal::read(&longer), Err(SealFault::Length(longer.len())));
            for version in (0..=255).filter(|version| *version != 1) {
                let other = [&[version], &bytes[1..]].concat();
                assert_eq!(Seal::read(&other), Err(SealFault::Version(version)));
            }
            for flags in (0..=255_u8).filter(|flags| flags & 0xe0 != 0 || flags & 3 == 2) {
                let other = [&[1, flags], &bytes[2..]].concat();
                assert_eq!(Seal::read(&other), Err(SealFault::Flags(flags)));
            }
        }
        for text in ["", "AQ", "!", "AQA="] {
            assert!(Seal::parse(text).is_err(), "{text}");
        }
    }
}
