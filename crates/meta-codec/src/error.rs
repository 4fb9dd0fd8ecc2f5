//! Why metadata is refused.

use std::fmt;

use crate::{DescriptionError, LayoutError};

/// A header set that is not a valid envelope: which header, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{header}: {reason}")]
pub struct ParseError {
    header: &'static str,
    reason: Reason,
}

impl ParseError {
    pub(crate) const fn new(header: &'static str, reason: Reason) -> Self {
        Self { header, reason }
    }

    /// The header that is at fault, in lower case.
    #[must_use]
    pub const fn header(&self) -> &'static str {
        self.header
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// What is wrong with a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Not canonical base64 (RFC 4648 standard alphabet, padded, one line).
    #[error("is not strict base64: {0}")]
    Base64(Base64Fault),
    /// Two headers contradict each other.
    #[error("contradicts {0}")]
    Contradicts(&'static str),
    /// A control character, which no header value may hold.
    #[error("holds the control character 0x{byte:02x} at position {position}")]
    Control {
        /// The character.
        byte: u8,
        /// Its position in the value, counted from 0.
        position: usize,
    },
    /// Not a material description.
    #[error("is not a material description: {0}")]
    Description(#[from] DescriptionError),
    /// The same field twice, in whatever case; even equal values are refused.
    #[error("is given twice")]
    Duplicate,
    /// Not an instruction file.
    #[error("is not an instruction file: {0}")]
    Instruction(DescriptionError),
    /// The sizes do not make a part layout.
    #[error("{0}")]
    Layout(#[from] LayoutError),
    /// A decoded value of a length that its algorithm cannot produce.
    #[error("decodes to {got} bytes, but {algorithm} makes {want}")]
    Length {
        /// The algorithm that says how long it must be.
        algorithm: &'static str,
        /// The length found, in bytes.
        got: usize,
        /// The lengths allowed, in words.
        want: String,
    },
    /// The header is absent although others of its dialect are there.
    #[error("is missing, although {0} is there")]
    Missing(&'static str),
    /// Headers of two dialects on one object.
    #[error("belongs to another dialect than {0}")]
    MixedDialects(&'static str),
    /// A byte outside ASCII where only ASCII can stand.
    #[error("holds a byte outside ASCII at position {0}")]
    NotAscii(usize),
    /// Not a plain decimal number (digits only, no sign, no leading zero, below 2^64).
    #[error("is not a plain decimal number: {0}")]
    Number(NumberFault),
    /// All known headers together exceed what any service stores.
    #[error("makes the metadata larger than {limit} bytes")]
    TooLarge {
        /// The limit for names and values together, in bytes.
        limit: usize,
    },
    /// An algorithm name that the dialect does not have, compared to the letter.
    #[error("names an algorithm that {dialect} does not have: {name}")]
    UnknownAlgorithm {
        /// The dialect's id.
        dialect: &'static str,
        /// The name found.
        name: Excerpt,
    },
    /// Length or MD5 of a plaintext, and nothing else: so COS Java leaves an object whose envelope is in
    /// an instruction file.
    #[error("is there without a content key, which may be in an instruction file")]
    PerhapsInstruction,
    /// A value that has one legal form only.
    #[error("must be {want}, not {got}")]
    Value {
        /// The value found.
        got: Excerpt,
        /// The legal value, in words.
        want: &'static str,
    },
    /// A content algorithm whose IV this wrap algorithm cannot wrap.
    #[error("cannot wrap the {0}-byte IV of this content algorithm")]
    WrapOfIv(usize),
}

/// How a text fails to be strict base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Base64Fault {
    /// A character outside the standard alphabet.
    #[error("bad character at position {0}")]
    Character(usize),
    /// A length that no base64 text has.
    #[error("bad length {0}")]
    Length(usize),
    /// Missing, misplaced or superfluous `=`.
    #[error("bad padding")]
    Padding,
    /// The last character carries bits that the encoder would have set to zero.
    #[error("stray bits in the last character, at position {0}")]
    TrailingBits(usize),
}

/// How a text fails to be a decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberFault {
    /// Something other than `0` to `9`.
    #[error("bad character at position {0}")]
    Character(usize),
    /// No digits at all.
    #[error("it is empty")]
    Empty,
    /// More than one digit, and the first is `0`.
    #[error("it has a leading zero")]
    LeadingZero,
    /// 2^64 or more.
    #[error("it is too large")]
    TooLarge,
}

/// The beginning of an attacker's text: at most 48 characters, everything unusual escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    const MOST: usize = 48;

    pub(crate) fn of(text: &str) -> Self {
        let mut shown: String =
            text.chars().take(Self::MOST).flat_map(char::escape_default).collect();
        if text.chars().nth(Self::MOST).is_some() {
            shown.push('…');
        }
        Self(shown)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}
