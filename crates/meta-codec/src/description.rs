//! The material description (`matdesc`), which identifies the master key of an object.

use std::{collections::BTreeMap, fmt::Write as _, marker::PhantomData};

use serde::de::{DeserializeOwned, Deserializer as _, MapAccess, Visitor};

/// A flat map of names to values that tells a reader which master key to use.
///
/// SDKs serialize the same map as five different JSON texts (spaces, order, escapes), and some of
/// them compare the text or pass it to a KMS. The text is therefore preserved byte for byte, while
/// two descriptions are equal if their *maps* are.
///
/// ```
/// use meta_codec::MaterialDescription;
///
/// let description = MaterialDescription::new([("key", "2026"), ("owner", "photos")])?;
/// assert_eq!(description.map()["owner"], "photos");
/// assert_eq!(MaterialDescription::parse(description.text())?, description);
/// # Ok::<(), meta_codec::DescriptionError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MaterialDescription {
    text: String,
    map: BTreeMap<String, String>,
}

impl MaterialDescription {
    /// Maximum length of the text, in bytes.
    pub const MAX_LEN: usize = 4096;
    /// Maximum number of entries.
    pub const MAX_ENTRIES: usize = 64;

    /// Creates a description with these entries.
    ///
    /// Its text is compact JSON with sorted names. Characters outside printable ASCII are escaped,
    /// as are those that JSON requires to be escaped, and `<`, `>` and `&`: for printable ASCII, it
    /// is the text that the SDKs in Go write, and compare with. No text suits every SDK that
    /// compares texts, but a single name whose value consists of letters, digits, `.`, `_` and `-`
    /// has the same text everywhere.
    ///
    /// # Errors
    /// Fails if a name occurs twice, or if [`MAX_LEN`](Self::MAX_LEN) or
    /// [`MAX_ENTRIES`](Self::MAX_ENTRIES) is exceeded.
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

    /// Parses a header value, which must be a JSON object whose values are all strings.
    ///
    /// # Errors
    /// Fails on anything else: other JSON, nested values, a duplicate name, control characters in
    /// the text, or more than [`MAX_LEN`](Self::MAX_LEN) bytes or
    /// [`MAX_ENTRIES`](Self::MAX_ENTRIES) entries.
    pub fn parse(text: &str) -> Result<Self, DescriptionError> {
        if text.len() > Self::MAX_LEN {
            return Err(DescriptionError::TooLong(text.len()));
        }
        if let Some(position) = text.bytes().position(|byte| byte.is_ascii_control()) {
            return Err(DescriptionError::Control(position));
        }
        Ok(Self { text: text.to_owned(), map: unique(flat_json::<String>(text)?.into_iter())? })
    }

    /// Returns a description that identifies no key, with a text that is not one.
    pub(crate) fn unreadable(text: &str) -> Self {
        Self { text: text.to_owned(), map: BTreeMap::new() }
    }

    /// Returns the JSON text exactly as it was read, or an empty string if the object has no
    /// description.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the entries, sorted by name.
    #[must_use]
    pub const fn map(&self) -> &BTreeMap<String, String> {
        &self.map
    }

    /// Returns `true` if there are no entries, as for a missing header or `{}`.
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

/// An error for text or entries that do not form a valid material description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// An unescaped control character in the text.
    #[error("control character at position {0}")]
    Control(usize),
    /// A duplicate name. SDKs silently keep the last value.
    #[error("a name appears more than once")]
    Duplicate,
    /// Not a flat JSON object of strings.
    #[error("expected a JSON object whose values are all strings (column {0})")]
    NotFlat(usize),
    /// Invalid JSON.
    #[error("invalid JSON (column {0})")]
    Syntax(usize),
    /// Too many bytes.
    #[error("the length of {0} bytes exceeds the limit of 4096")]
    TooLong(usize),
    /// Too many entries.
    #[error("more than 64 entries")]
    TooManyEntries,
}

/// Returns the entries of a flat JSON object in textual order, including duplicates.
pub(crate) fn flat_json<T: DeserializeOwned>(
    text: &str,
) -> Result<Vec<(String, T)>, DescriptionError> {
    struct Flat<T>(PhantomData<T>);

    impl<'de, T: DeserializeOwned> Visitor<'de> for Flat<T> {
        type Value = Vec<(String, T)>;

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
    let entries = json.deserialize_map(Flat(PhantomData));
    entries.and_then(|entries| json.end().map(|()| entries)).map_err(|error| {
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

/// Returns the text that Go's `encoding/json` makes of a map; that of an empty map is empty. Some
/// SDKs in Go compare a description with it.
pub(crate) fn go_text(map: &BTreeMap<String, String>) -> String {
    if map.is_empty() {
        return String::new();
    }
    let quoted = |text: &str| {
        let mut quoted = String::from("\"");
        for character in text.chars() {
            match character {
                '"' | '\\' => quoted.extend(['\\', character]),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..' ' => {
                    // Writing to a `String` cannot fail.
                    let _ = write!(quoted, "\\u{:04x}", u32::from(character));
                }
                _ => quoted.push(character),
            }
        }
        quoted + "\""
    };
    let entries = map.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}

/// Appends a JSON string in printable ASCII, the only characters that are safe in a header value
/// everywhere.
fn push_string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            // Escaped, because Go's `encoding/json` does so, and some SDKs in Go compare texts.
            ' '..='~' if !"<>&".contains(character) => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a `String` cannot fail.
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
    fn printable_ascii_has_the_text_of_go() {
        let printable: String = (' '..='~').collect();
        let description = MaterialDescription::new([("b", printable.as_str()), ("a", "")]).unwrap();
        assert_eq!(description.text(), go_text(description.map()));
        assert!(description.text().contains(r"\u003c=\u003e?"));
        assert_eq!(MaterialDescription::parse(description.text()), Ok(description));
    }

    #[test]
    fn texts_of_one_map_are_equal() {
        // The same map as written by oss2, Go, Java v1 and C++ (oss-dialects, section 4).
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
        fn new_and_parse_agree(
            entries in proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..8),
        ) {
            let made = MaterialDescription::new(entries.clone()).unwrap();
            prop_assert!(made.text().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            if !entries.is_empty() {
                let read = MaterialDescription::parse(made.text()).unwrap();
                prop_assert_eq!(read.map(), &entries);
            }
        }
    }
}
