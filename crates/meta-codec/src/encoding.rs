//! Encodings of bytes and numbers in header values: strict base64, strict decimal, MD5.

use base64::{DecodeError, Engine as _, engine::general_purpose::STANDARD};

use crate::error::{Base64Fault, Excerpt, NumberFault, Reason};

/// Decodes canonical base64: standard alphabet, padded, no stray bits, no line breaks.
///
/// SDKs differ in what they tolerate (Python drops junk, Go skips line breaks), but every known
/// writer produces the canonical form, so nothing else is accepted.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, Reason> {
    STANDARD.decode(text).map_err(|error| {
        Reason::Base64(match error {
            DecodeError::InvalidByte(position, _) => Base64Fault::Character(position),
            DecodeError::InvalidLength(length) => Base64Fault::Length(length),
            DecodeError::InvalidLastSymbol { offset, .. } => Base64Fault::TrailingBits(offset),
            DecodeError::InvalidPadding => Base64Fault::Padding,
        })
    })
}

pub(crate) fn bytes_text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Parses a decimal number as printed by the SDKs: digits only, no leading zero, below 2^64.
pub(crate) fn number(text: &str) -> Result<u64, Reason> {
    if let Some(position) = text.bytes().position(|byte| !byte.is_ascii_digit()) {
        return Err(Reason::Number(NumberFault::Character(position)));
    }
    if text.is_empty() {
        return Err(Reason::Number(NumberFault::Empty));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(Reason::Number(NumberFault::LeadingZero));
    }
    text.parse().map_err(|_| Reason::Number(NumberFault::TooLarge))
}

/// The representation of `unencrypted-content-md5` in a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Md5Form {
    /// Base64 of the 16 bytes, as in `Content-MD5`.
    Base64,
    /// 32 hexadecimal digits in quotation marks, as COS Android writes it for multipart uploads
    /// (`DigestUtils.java:153-184`). A `Content-MD5` supplied by the caller is stored unchanged, so
    /// base64 is accepted too.
    QuotedHex,
}

impl Md5Form {
    pub(crate) fn parse(self, text: &str) -> Result<[u8; 16], Reason> {
        match self {
            Self::QuotedHex if text.starts_with('"') => text
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .filter(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|hex| u128::from_str_radix(hex, 16).ok())
                .map(u128::to_be_bytes)
                .ok_or_else(|| Reason::Value {
                    got: Excerpt::of(text),
                    want: "32 hexadecimal digits in quotation marks",
                }),
            Self::Base64 | Self::QuotedHex => {
                let digest = bytes(text)?;
                let got = digest.len();
                digest.try_into().map_err(|_| Reason::Length {
                    algorithm: "MD5",
                    got,
                    want: "16 bytes".into(),
                })
            }
        }
    }

    pub(crate) fn emit(self, digest: [u8; 16]) -> String {
        match self {
            Self::Base64 => bytes_text(&digest),
            Self::QuotedHex => format!("\"{:032x}\"", u128::from_be_bytes(digest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain_digits() {
        assert_eq!(number("0"), Ok(0));
        assert_eq!(number("18446744073709551615"), Ok(u64::MAX));
        for bad in
            ["", "+1", "-1", "01", " 1", "1 ", "1e9", "0x10", "1_0", "٣", "18446744073709551616"]
        {
            assert!(number(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn base64_has_one_form() {
        assert_eq!(bytes("AAE="), Ok(vec![0, 1]));
        for bad in
            ["AAE", "AAE==", "AAF=", "AA-_", " AAE=", "AAE=\n", "A AE=", "AAE=AAE=", "A", "=AAE"]
        {
            assert!(bytes(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn quoted_hex_is_a_digest() {
        let text = "\"000102030405060708090a0b0c0d0e0f\"";
        let digest = Md5Form::QuotedHex.parse(text).unwrap();
        assert_eq!(digest, *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
        assert_eq!(Md5Form::QuotedHex.emit(digest), text);
        assert!(Md5Form::QuotedHex.parse(&text[1..]).is_err());
        for bad in ["+00102030405060708090a0b0c0d0e0f", "0", &"0".repeat(31), &"0".repeat(33), ""] {
            assert!(Md5Form::QuotedHex.parse(&format!("\"{bad}\"")).is_err(), "{bad}");
        }
        // A `Content-MD5` of the caller's, which is stored unchanged.
        let text = "AAECAwQFBgcICQoLDA0ODw==";
        assert_eq!(Md5Form::QuotedHex.parse(text), Ok(digest));
        assert_eq!(Md5Form::Base64.parse(text), Ok(digest));
        assert_eq!(Md5Form::Base64.emit(digest), text);
        assert!(Md5Form::Base64.parse("AAECAwQFBgcICQoLDA0O").is_err(), "15 bytes");
    }
}
