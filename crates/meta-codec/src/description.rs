//! The material description (`matdesc`): which master key wrapped an object's content key.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::de::{Deserializer as _, MapAccess, Visitor};

/// A flat map of names to values that tells a reader which master key to take.
///
/// SDKs write the same map in five different JSON texts (spaces, order, escapes), and some of them
/// compare it, or hand it to a KMS, as text. So the text is kept byte for byte, while two
/// descriptions are equal when their *maps* are.
#[derive(Clone, Debug, Default)]
pub struct MaterialDescription {
    text: String,
    map: BTreeMap<String, String>,
}

impl MaterialDescription {
    /// The longest text taken, in bytes.
    pub const MAX_LEN: usize = 4096;
    /// The most entries taken.
    pub const MAX_ENTRIES: usize = 64;

    /// The description with these entries.
    ///
    /// Its text is compact JSON with sorted names, everything outside printable ASCII escaped, and
    /// nothing else escaped that need not be. No text suits every SDK that compares texts: values of
    /// letters, digits, `.`, `_` and `-` under a single name are the same text everywhere.
    ///
    /// # Errors
    /// Two entries of one name, or more than [`MAX_LEN`](Self::MAX_LEN) or
    /// [`MAX_ENTRIES`](Self::MAX_ENTRIES) allow.
    pub fn new<N, V>(entries: impl IntoIterator<Item = (N, V)>) -> Result<Self, DescriptionError>
    where
        N: Into<String>,
        V: Into<String>,
    {
        let map = unique(entries.into_iter().map(|(name, value)| (name.into(), value.into())))?;
        let text = if map.is_empty() { String::new() } else { compact(&map) };
        if text.len() > Self::MAX_LEN {
            return Err(DescriptionError::TooLong(text.len()));
        }
        Ok(Self { text, map })
    }

    /// The description in a header value: a JSON object whose values are all strings.
    ///
    /// # Errors
    /// Anything else: other JSON, nested values, a name given twice, control characters in the text,
    /// more than [`MAX_LEN`](Self::MAX_LEN) bytes or [`MAX_ENTRIES`](Self::MAX_ENTRIES) entries.
    pub fn parse(text: &str) -> Result<Self, DescriptionError> {
        if text.len() > Self::MAX_LEN {
            return Err(DescriptionError::TooLong(text.len()));
        }
        if let Some(position) = text.bytes().position(|byte| byte.is_ascii_control()) {
            return Err(DescriptionError::Control(position));
        }
        Ok(Self { text: text.to_owned(), map: unique(flat_json(text)?.into_iter())? })
    }

    /// The JSON text, byte for byte as it was read; empty where the object has no description.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The entries, sorted by name.
    #[must_use]
    pub const fn map(&self) -> &BTreeMap<String, String> {
        &self.map
    }

    /// Whether there are no entries. True for a missing header and for `{}`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

impl PartialEq for MaterialDescription {
    fn eq(&self, other: &Self) -> bool {
        self.map == other.map
    }
}

impl Eq for MaterialDescription {}

/// A text or a set of entries that is not a material description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// A control character in the text, where JSON would have escaped it.
    #[error("control character at position {0}")]
    Control(usize),
    /// A name given twice. SDKs keep the last, silently.
    #[error("a name is given twice")]
    Duplicate,
    /// Not a flat JSON object of strings.
    #[error("it must be a JSON object whose values are all strings (column {0})")]
    NotFlat(usize),
    /// Not JSON.
    #[error("it is not valid JSON (column {0})")]
    Syntax(usize),
    /// Too many bytes.
    #[error("it is {0} bytes long, more than 4096")]
    TooLong(usize),
    /// Too many entries.
    #[error("it has more than 64 entries")]
    TooManyEntries,
}

/// The entries of a flat JSON object, in the order of the text, duplicates included.
pub(crate) fn flat_json(text: &str) -> Result<Vec<(String, String)>, DescriptionError> {
    struct Flat;

    impl<'de> Visitor<'de> for Flat {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a flat JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = access.next_entry()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Flat).and_then(|entries| json.end().map(|()| entries)).map_err(|error| {
        if error.is_data() {
            DescriptionError::NotFlat(error.column())
        } else {
            DescriptionError::Syntax(error.column())
        }
    })
}

fn unique(
    entries: impl Iterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, DescriptionError> {
    let mut map = BTreeMap::new();
    for (name, value) in entries {
        if map.insert(name, value).is_some() {
            return Err(DescriptionError::Duplicate);
        }
        if map.len() > MaterialDescription::MAX_ENTRIES {
            return Err(DescriptionError::TooManyEntries);
        }
    }
    Ok(map)
}

fn compact(map: &BTreeMap<String, String>) -> String {
    let mut text = String::from("{");
    for (name, value) in map {
        if text.len() > 1 {
            text.push(',');
        }
        push_string(&mut text, name);
        text.push(':');
        push_string(&mut text, value);
    }
    text.push('}');
    text
}

/// A JSON string in printable ASCII, because a header value can hold nothing else everywhere.
fn push_string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            ' '..='~' => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_of_one_map_are_equal() {
        // The same map as oss2, Go, Java v1 and C++ write it (oss-dialects, section 4).
        let texts = [
            r#"{"u": "a/b<c>&"}"#,
            r#"{"u":"a/b\u003cc\u003e\u0026"}"#,
            r#"{"u":"a\/b<c>&"}"#,
            r#"{"u":"a/b<c>&"}"#,
        ];
        for text in texts {
            let description = MaterialDescription::parse(text).unwrap();
            assert_eq!(description.text(), text);
            assert_eq!(description, MaterialDescription::new([("u", "a/b<c>&")]).unwrap());
        }
    }

    #[test]
    fn written_text_is_sorted_ascii() {
        let description = MaterialDescription::new([("b", "é\n\"\\"), ("a", "😀/")]).unwrap();
        assert_eq!(description.text(), r#"{"a":"\ud83d\ude00/","b":"\u00e9\u000a\"\\"}"#);
        assert_eq!(MaterialDescription::parse(description.text()).unwrap(), description);
        assert_eq!(MaterialDescription::new::<&str, &str>([]).unwrap().text(), "");
    }

    #[test]
    fn anything_but_a_flat_object_is_refused() {
        let deep = "[".repeat(4000);
        for bad in [
            "",
            "null",
            "[]",
            "1",
            "\"x\"",
            "{",
            "{}x",
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":["b"]}"#,
            r#"{"a":"b",}"#,
            r#"{a:"b"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"b","a":"b"}"#,
            "{\"a\":\"\n\"}",
            &deep,
        ] {
            assert!(MaterialDescription::parse(bad).is_err(), "{bad:?}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(4096));
        assert_eq!(MaterialDescription::parse(&long), Err(DescriptionError::TooLong(4104)));
    }

    proptest! {
        #[test]
        fn new_and_parse_agree(entries in proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..8)) {
            let made = MaterialDescription::new(entries.clone()).unwrap();
            prop_assert!(made.text().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            if !entries.is_empty() {
                let read = MaterialDescription::parse(made.text()).unwrap();
                prop_assert_eq!(read.map(), &entries);
            }
        }
    }
}
