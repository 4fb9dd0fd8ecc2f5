//! Encryption contexts: the text that a KMS requires again for decryption.
//!
//! It is unknown whether Tencent's KMS compares contexts as text or as JSON, and the two COS SDKs
//! produce different texts from one description: COS Go passes the header's text, while COS Java
//! passes the same map in the order of a `java.util.HashMap`. An empty description becomes `""` in
//! the former and `{}` in the latter. A writer therefore picks one style, and a reader tries them
//! in turn (cos-dialects, section 5).

use meta_codec::MaterialDescription;

/// The SDK whose style of encryption context a writer follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContextStyle {
    /// The text of the description; `""` if there is none (COS Go 0.7.26).
    Go,
    /// The description in the order of a Java `HashMap`; `{}` if there is none (COS Java 5.6.269).
    #[default]
    Java,
}

impl ContextStyle {
    pub(crate) fn of(self, description: &MaterialDescription) -> String {
        match self {
            Self::Go => description.text().to_owned(),
            Self::Java => jackson(&java_order(description)),
        }
    }
}

/// Returns the contexts under which a COS SDK may have wrapped a content key, most likely first.
pub(crate) fn candidates(description: &MaterialDescription) -> Vec<Option<String>> {
    let mut candidates = Vec::new();
    if description.text().is_empty() {
        candidates.push(None);
    } else {
        candidates.push(Some(description.text().to_owned()));
    }
    for order in [java_order(description), newer_java_order(description)] {
        candidates.push(Some(jackson(&order)));
    }
    let sorted: Vec<_> = description.map().iter().collect();
    candidates.push(Some(jackson(&bucket_order(sorted.clone(), SOURCE_TABLE))));
    candidates.push(Some(jackson(&sorted)));
    if description.is_empty() {
        candidates.push(Some(String::new()));
    }
    let mut unique = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        if !unique.contains(&candidate) {
            unique.push(candidate);
        }
    }
    unique
}

/// The initial table size of a `java.util.HashMap` created without a capacity.
const SOURCE_TABLE: usize = 16;

/// Returns the entries in the order in which COS Java passes them to Jackson.
///
/// `EncryptionMaterials.getMaterialsDescription()` copies the user's `HashMap` into a new one,
/// whose table is sized from the number of entries: `n / 0.75 + 1`, rounded up to a power of two,
/// before JDK 19.
fn java_order(description: &MaterialDescription) -> Vec<(&String, &String)> {
    let count = description.map().len();
    copied(description, (count * 4 / 3 + 1).next_power_of_two())
}

/// Returns the same for JDK 19 and later: `ceil(n / 0.75)`, rounded up to a power of two.
fn newer_java_order(description: &MaterialDescription) -> Vec<(&String, &String)> {
    let count = description.map().len();
    copied(description, (count * 4).div_ceil(3).next_power_of_two())
}

fn copied(description: &MaterialDescription, table: usize) -> Vec<(&String, &String)> {
    // The source's table doubles whenever it is more than three quarters full.
    let mut source = SOURCE_TABLE;
    while description.map().len() > source / 4 * 3 {
        source *= 2;
    }
    bucket_order(bucket_order(description.map().iter().collect(), source), table)
}

/// Returns the entries in the order in which a `java.util.HashMap` with a table of that size
/// yields them.
fn bucket_order<'a>(
    mut entries: Vec<(&'a String, &'a String)>,
    table: usize,
) -> Vec<(&'a String, &'a String)> {
    // The sort must be stable: within a bucket, entries keep their insertion order.
    entries.sort_by_key(|(name, _)| {
        let hash = name
            .encode_utf16()
            .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
        (hash ^ (hash >> 16)) as usize & (table - 1)
    });
    entries
}

/// Formats compact JSON as Jackson does: raw UTF-8, with control characters escaped.
fn jackson(entries: &[(&String, &String)]) -> String {
    let mut text = String::from("{");
    for (name, value) in entries {
        if text.len() > 1 {
            text.push(',');
        }
        quote(&mut text, name);
        text.push(':');
        quote(&mut text, value);
    }
    text.push('}');
    text
}

fn quote(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\0'..='\x1f' => text.push_str(&format!("\\u{:04X}", u32::from(character))),
            _ => text.push(character),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_and_go_agree_with_what_was_recorded() {
        // cos-java-kms-gcm-matdesc: the header is sorted, but the context is not.
        let description = MaterialDescription::parse(r#"{"alpha":"2","zeta":"1"}"#).unwrap();
        assert_eq!(ContextStyle::Java.of(&description), r#"{"zeta":"1","alpha":"2"}"#);
        assert_eq!(ContextStyle::Go.of(&description), r#"{"alpha":"2","zeta":"1"}"#);
        assert_eq!(candidates(&description).len(), 2);
    }

    #[test]
    fn the_order_of_a_copied_hash_map() {
        // Observed on JDK 17: the copy of a map with two entries has four buckets, not sixteen.
        for (text, want) in [
            (r#"{"author":"1","version":"1"}"#, r#"{"version":"1","author":"1"}"#),
            (r#"{"env":"1","team":"1"}"#, r#"{"env":"1","team":"1"}"#),
        ] {
            let description = MaterialDescription::parse(text).unwrap();
            assert_eq!(ContextStyle::Java.of(&description), want);
        }
    }

    #[test]
    fn nothing_has_three_spellings() {
        let none = MaterialDescription::default();
        let texts = [None, Some("{}".to_owned()), Some(String::new())];
        assert_eq!(candidates(&none), texts);
        let braces = MaterialDescription::parse("{}").unwrap();
        assert_eq!(candidates(&braces), [Some("{}".to_owned()), Some(String::new())]);
    }

    /// The values in the order of a copied `HashMap`, as JDK 17 printed them, and as a map with the
    /// smaller table of JDK 19 did. The entries were put into the source in the order of their
    /// names.
    #[test]
    fn the_order_of_larger_maps() {
        for (count, java_17, java_19) in [
            (1, "0", "0"),
            (2, "1 0", "1 0"),
            (3, "2 1 0", "1 2 0"),
            (4, "2 1 3 0", "2 1 3 0"),
            (5, "2 4 1 3 0", "2 4 1 3 0"),
            (6, "4 3 0 5 2 1", "5 2 4 1 3 0"),
            (8, "4 7 3 0 5 2 6 1", "4 7 3 0 5 2 6 1"),
            (11, "10 4 7 3 0 5 8 2 6 1 9", "10 4 7 3 0 5 8 2 6 1 9"),
            (12, "4 7 3 0 5 8 11 2 6 9 10 1", "10 4 7 3 0 5 8 11 2 6 1 9"),
            (13, "4 7 3 0 5 8 11 2 6 9 12 10 1", "4 7 3 0 5 8 11 2 6 9 12 10 1"),
            (
                24,
                "20 16 7 22 3 15 5 11 9 21 10 14 1 23 4 19 0 18 8 2 6 12 17 13",
                "20 23 16 4 19 7 22 3 0 15 18 5 8 11 2 6 9 12 17 21 13 10 14 1",
            ),
        ] {
            let description = MaterialDescription::new((0..count).map(|n| {
                let letter = if n % 3 == 0 { 'α' } else { 'a' };
                (format!("name-{:02} of {letter}", n * 7 % 100), n.to_string())
            }));
            let description = description.unwrap();
            let values = |entries: Vec<(&String, &String)>| {
                entries.into_iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(values(java_order(&description)), java_17, "{count}");
            assert_eq!(values(newer_java_order(&description)), java_19, "{count}");
            // A reader tries both, and each text once.
            let contexts = candidates(&description);
            for context in [java_order(&description), newer_java_order(&description)] {
                let context = Some(jackson(&context));
                let found = contexts.iter().filter(|candidate| **candidate == context).count();
                assert_eq!(found, 1, "{count}");
            }
        }
    }

    #[test]
    fn jackson_escapes_what_json_requires() {
        let value = "\"\\/\n\r\t\u{8}\u{c}\0\u{1f}\u{7f}é😀";
        let description = MaterialDescription::new([("a", value), ("b", "")]).unwrap();
        let want = r#"{"a":"\"\\/\n\r\t\b\f\u0000\u001F"#.to_owned() + "\u{7f}é😀\",\"b\":\"\"}";
        assert_eq!(ContextStyle::Java.of(&description), want);
    }
}
