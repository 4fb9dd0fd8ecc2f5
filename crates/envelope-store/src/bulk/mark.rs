//! The names of objects, short enough to hold millions of them in memory.

use sha2::{Digest as _, Sha256};

/// The start of a hash. Nobody can find two objects with the same one.
pub(super) type Mark = [u8; 16];

/// Returns the mark of a key together with something else about it, if there is anything.
pub(super) fn mark(key: &str, other: Option<&str>) -> Mark {
    let mut hash = Sha256::new();
    hash.update((key.len() as u64).to_le_bytes());
    hash.update(key);
    hash.update([u8::from(other.is_some())]);
    hash.update(other.unwrap_or_default());
    let mut mark = Mark::default();
    mark.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_differ() {
        let all = [
            ("", None),
            ("", Some("")),
            ("a", None),
            ("", Some("a")),
            ("a", Some("")),
            ("a", Some("b")),
            ("ab", None),
            ("ab", Some("")),
        ];
        let marks: std::collections::HashSet<Mark> =
            all.iter().map(|(key, other)| mark(key, *other)).collect();
        assert_eq!(marks.len(), all.len());
    }
}
