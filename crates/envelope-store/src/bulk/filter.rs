//! The choice of objects by patterns.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// Patterns of keys, or of paths in a tree, that are worked on or passed over.
///
/// In a pattern, `*` stands for any part of one name, `?` for one byte of it, `**` for any number
/// of folders, `[a-z]` for a set of ASCII characters and `{a,b}` for alternatives. A pattern
/// without a slash is that of a name in any folder; one that begins with a slash begins at the
/// root; one that ends with a slash stands for all that is in the folder.
///
/// Without patterns, everything is worked on. With [includes](Self::with_include), what matches one
/// of them is; and of that, what matches an [exclude](Self::with_exclude) is passed over.
///
/// ```
/// use envelope_store::bulk::Filter;
///
/// let filter = Filter::new().with_include("*.{jpg,png}")?.with_exclude("/cache/")?;
/// assert!(filter.admits("a/b/photo.jpg") && filter.admits("a/cache/photo.jpg"));
/// assert!(!filter.admits("notes.txt") && !filter.admits("cache/a/photo.jpg"));
/// # Ok::<(), envelope_store::bulk::PatternError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Filter {
    includes: Patterns,
    excludes: Patterns,
    /// Those of the excludes that stand for all that is in a folder.
    folders: Patterns,
}

#[derive(Clone, Debug, Default)]
struct Patterns {
    globs: Vec<Glob>,
    set: GlobSet,
}

impl Filter {
    /// Creates a filter that passes over nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pattern of what is worked on.
    ///
    /// # Errors
    /// If it is not a pattern.
    pub fn with_include(mut self, pattern: &str) -> Result<Self, PatternError> {
        self.includes.add(pattern)?;
        Ok(self)
    }

    /// Adds a pattern of what is passed over.
    ///
    /// # Errors
    /// If it is not a pattern.
    pub fn with_exclude(mut self, pattern: &str) -> Result<Self, PatternError> {
        self.excludes.add(pattern)?;
        if pattern.ends_with('/') {
            self.folders.add(pattern)?;
        }
        Ok(self)
    }

    /// Returns whether there are no patterns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.includes.globs.is_empty() && self.excludes.globs.is_empty()
    }

    /// Returns whether all that may be in a folder is passed over.
    #[must_use]
    pub fn excludes_folder(&self, path: &str) -> bool {
        // Such a pattern matches everything below, whatever its name.
        self.folders.set.is_match(format!("{path}/-"))
    }

    /// Returns whether a path, with slashes, is worked on.
    #[must_use]
    pub fn admits(&self, path: &str) -> bool {
        (self.includes.globs.is_empty() || self.includes.set.is_match(path))
            && !self.excludes.set.is_match(path)
    }
}

impl Patterns {
    fn add(&mut self, pattern: &str) -> Result<(), PatternError> {
        let fail = |error: globset::Error| PatternError {
            pattern: pattern.to_owned(),
            words: error.kind().to_string(),
        };
        let (own, is_folder) = match pattern.strip_suffix('/') {
            Some(own) => (own, true),
            None => (pattern, false),
        };
        let anywhere = !own.contains('/');
        let own = own.strip_prefix('/').unwrap_or(own);
        if own.is_empty() {
            return Err(PatternError {
                pattern: pattern.to_owned(),
                words: "it matches nothing".to_owned(),
            });
        }
        let (before, after) =
            (if anywhere { "**/" } else { "" }, if is_folder { "/**" } else { "" });
        let glob = GlobBuilder::new(&format!("{before}{own}{after}"))
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(fail)?;
        self.globs.push(glob);
        let mut set = GlobSetBuilder::new();
        for glob in &self.globs {
            set.add(glob.clone());
        }
        self.set = set.build().map_err(fail)?;
        Ok(())
    }
}

/// A text that is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is not a pattern: {words}")]
pub struct PatternError {
    pattern: String,
    words: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let matches = |pattern: &str, path: &str| {
            let include = Filter::new().with_include(pattern).unwrap();
            let exclude = Filter::new().with_exclude(pattern).unwrap();
            let matches = include.admits(path);
            assert_eq!(exclude.admits(path), !matches, "{pattern} {path}");
            matches
        };
        for (pattern, yes, no) in [
            ("*.txt", vec!["a.txt", "d/e/a.txt", ".txt"], vec!["a.txt/b", "a.TXT", "atxt"]),
            ("/*.txt", vec!["a.txt"], vec!["d/a.txt"]),
            ("d/*.txt", vec!["d/a.txt"], vec!["c/d/a.txt", "d/e/a.txt"]),
            ("ü*", vec!["ü", "d/üä"], vec!["u"]),
            ("d/**/*.txt", vec!["d/a.txt", "d/e/f/a.txt"], vec!["e/a.txt"]),
            ("d/", vec!["d/a", "c/d/e/f"], vec!["d", "a/d"]),
            ("/d/", vec!["d/a"], vec!["c/d/e"]),
            ("c/d/", vec!["c/d/e"], vec!["d/e", "b/c/d/e"]),
            ("?[0-9]{x,yz}", vec!["a1x", "d/b2yz"], vec!["a1y", "a1xyz"]),
            (r"\*", vec!["*"], vec!["a"]),
        ] {
            for path in yes {
                assert!(matches(pattern, path), "{pattern} does not match {path}");
            }
            for path in no {
                assert!(!matches(pattern, path), "{pattern} matches {path}");
            }
        }
        for bad in ["", "/", "[", "{a", "a/["] {
            let words = Filter::new().with_include(bad).unwrap_err().to_string();
            assert!(words.starts_with(&format!("{bad:?} is not a pattern: ")), "{words}");
        }
    }

    #[test]
    fn an_exclude_has_the_last_word() {
        let filter = Filter::new().with_include("*.a").unwrap().with_include("*.b").unwrap();
        let filter = filter.with_exclude("x.*").unwrap().with_exclude("y.*").unwrap();
        assert!(filter.admits("1.a") && filter.admits("1.b"));
        for no in ["1.c", "x.a", "y.b"] {
            assert!(!filter.admits(no), "{no}");
        }
        assert!(!filter.is_empty() && Filter::new().is_empty() && Filter::new().admits("any"));
    }

    #[test]
    fn a_folder_is_excluded_as_a_whole_or_not_at_all() {
        let excludes = |pattern: &str, path: &str| {
            Filter::new().with_exclude(pattern).unwrap().excludes_folder(path)
        };
        for (pattern, path) in [("secret/", "secret"), ("secret/", "a/secret/b"), ("/a/", "a")] {
            assert!(excludes(pattern, path), "{pattern} {path}");
        }
        for pattern in ["secret", "secret/*", "*-", "?", "/secret/", "*", "other/"] {
            assert!(!excludes(pattern, "a/secret"), "{pattern}");
        }
    }
}
