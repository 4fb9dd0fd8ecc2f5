//! Errors from parsing metadata.

use std::{error::Error, fmt};

use crate::{DescriptionError, LayoutError, seal::SealFault};

/// An error for headers that do not form a valid envelope: the offending header and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    header: &'static str,
    reason: Reason,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.header, self.reason)
    }
}

/// The source is that of the reason, because the reason itself is in the message.
impl Error for ParseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.source()
    }
}

impl ParseError {
    pub(crate) const fn new(header: &'static str, reason: Reason) -> Self {
        Self { header, reason }
    }

    /// Returns the name of the offending header, in lower case.
    #[must_use]
    pub const fn header(&self) -> &'static str {
        self.header
    }

    /// Returns the reason for the rejection.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// The reason for rejecting a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Not canonical base64 (RFC 4648 standard alphabet, padded, one line).
    #[error("invalid base64: {0}")]
    Base64(Base64Fault),
    /// Two headers contradict each other.
    #[error("inconsistent with {0}")]
    Contradicts(&'static str),
    /// A control character, which no header value may contain.
    #[error("contains control character 0x{byte:02x} at position {position}")]
    Control {
        /// The character.
        byte: u8,
        /// Its position in the value, counted from 0.
        position: usize,
    },
    /// Not a valid material description.
    #[error("invalid material description")]
    Description(#[from] DescriptionError),
    /// A field that appears more than once, compared case-insensitively. Equal values are rejected
    /// too.
    #[error("duplicate field")]
    Duplicate,
    /// Not a valid instruction file.
    #[error("invalid contents")]
    Instruction(#[source] DescriptionError),
    /// The sizes do not form a valid part layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A decoded value whose length its algorithm cannot produce.
    #[error("decodes to {got} bytes, but {algorithm} requires {want}")]
    Length {
        /// The algorithm that determines the length.
        algorithm: &'static str,
        /// The actual length, in bytes.
        got: usize,
        /// The permitted lengths, in words.
        want: String,
    },
    /// The header is missing although others of its dialect are present.
    #[error("missing, although {0} is present")]
    Missing(&'static str),
    /// Headers of two dialects on one object.
    #[error("belongs to a dialect other than {0}")]
    MixedDialects(&'static str),
    /// A non-ASCII byte where only ASCII is permitted.
    #[error("contains a non-ASCII byte at position {0}")]
    NotAscii(usize),
    /// Not a plain decimal number (digits only, no sign, no leading zero, below 2^64).
    #[error("invalid decimal number: {0}")]
    Number(NumberFault),
    /// Not a seal.
    #[error("not a seal: {0}")]
    Seal(#[from] SealFault),
    /// The known headers together exceed the size that any service stores.
    #[error("makes the metadata larger than {limit} bytes")]
    TooLarge {
        /// The limit for names and values together, in bytes.
        limit: usize,
    },
    /// An algorithm name that the dialect does not define. Names are compared exactly.
    #[error("unknown algorithm for {dialect}: {name}")]
    UnknownAlgorithm {
        /// The dialect's id.
        dialect: &'static str,
        /// The unknown name.
        name: Excerpt,
    },
    /// Only the length or MD5 of the plaintext is present, which is what COS Java leaves on an
    /// object whose envelope is in an instruction file.
    #[error("present without a content key, which may be in an instruction file")]
    PerhapsInstruction,
    /// A value other than the only permitted one.
    #[error("must be {want}, not {got}")]
    Value {
        /// The actual value.
        got: Excerpt,
        /// The permitted value, in words.
        want: &'static str,
    },
    /// A wrap algorithm that cannot wrap the IV of the content algorithm.
    #[error("cannot wrap the {0}-byte IV of this content algorithm")]
    WrapOfIv(usize),
}

/// The flaw in text that is not canonical base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Base64Fault {
    /// A character outside the standard alphabet.
    #[error("invalid character at position {0}")]
    Character(usize),
    /// A length that no base64 text can have.
    #[error("invalid length {0}")]
    Length(usize),
    /// Missing, misplaced or superfluous `=`.
    #[error("invalid padding")]
    Padding,
    /// Nonzero bits in the last character that an encoder would have set to zero.
    #[error("nonzero trailing bits in the last character, at position {0}")]
    TrailingBits(usize),
}

/// The flaw in text that is not a plain decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberFault {
    /// A character other than `0` to `9`.
    #[error("invalid character at position {0}")]
    Character(usize),
    /// No digits at all.
    #[error("the value is empty")]
    Empty,
    /// More than one digit, the first of which is `0`.
    #[error("the value has a leading zero")]
    LeadingZero,
    /// 2^64 or more.
    #[error("the value is too large")]
    TooLarge,
}

/// A prefix of untrusted text: at most 48 characters, escaped as by [`char::escape_default`].
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
