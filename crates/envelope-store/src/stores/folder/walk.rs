//! The keys in a folder, in the order of a bucket's listing.

use std::{
    fs::{self, DirEntry},
    io,
    path::Path,
    vec,
};

use super::is_internal;

/// An iterator over the keys that start with a prefix and come after a key, in ascending order of
/// their bytes. What cannot be read, or whose name is no key, is an error after all others. It
/// reads one folder at a time, so it holds the names of as many folders as are nested, and a
/// listing in many pages reads every folder once.
#[derive(Debug)]
pub(super) struct Walk {
    prefix: String,
    after: String,
    /// The names that are left in each folder on the way to the current one.
    stack: Vec<vec::IntoIter<Found>>,
    /// The reason why a file or a folder was passed over, if one was.
    passed_over: Option<(io::ErrorKind, String)>,
}

#[derive(Debug)]
struct Found {
    /// The key of a file; that of a folder ends with a slash, which decides its place.
    key: String,
    entry: DirEntry,
}

impl Walk {
    /// Starts in the folder `root`, which need not exist.
    pub(super) fn new(root: &Path, prefix: &str, after: &str) -> io::Result<Self> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        let mut walk = Self { prefix, after, stack: Vec::new(), passed_over: None };
        walk.enter(root, "")?;
        Ok(walk)
    }

    fn enter(&mut self, folder: &Path, before: &str) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let mut key = format!("{before}{}", name.to_string_lossy());
            if is_internal(&key) {
                continue;
            }
            let kind = entry.file_type()?;
            if name.to_str().is_none() {
                let words = "its name is not UTF-8, and no key";
                self.pass_over(&entry, &key, io::Error::new(io::ErrorKind::InvalidData, words));
                continue;
            }
            if kind.is_dir() {
                key.push('/');
                let past = self.after >= key && !self.after.starts_with(&key);
                if !past && (key.starts_with(&self.prefix) || self.prefix.starts_with(&key)) {
                    found.push(Found { key, entry });
                }
            } else if key.starts_with(&self.prefix) && key > self.after {
                // A link to a file is read like the file. A link to a folder might lead back here.
                match if kind.is_file() { Ok(true) } else { is_file(&entry) } {
                    Ok(true) => found.push(Found { key, entry }),
                    Ok(false) => {}
                    Err(error) => self.pass_over(&entry, &key, error),
                }
            }
        }
        found.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        self.stack.push(found.into_iter());
        Ok(())
    }

    /// Goes on without a file or a folder, which is the error at the end.
    fn pass_over(&mut self, entry: &DirEntry, key: &str, error: io::Error) {
        let is_around = key.ends_with('/') && self.prefix.starts_with(key);
        let is_wanted = is_around || key.starts_with(&self.prefix);
        if is_wanted && self.passed_over.is_none() {
            let words = format!("{}: {error}", entry.path().display());
            self.passed_over = Some((error.kind(), words));
        }
    }
}

/// Returns whether a link leads to a file.
fn is_file(entry: &DirEntry) -> io::Result<bool> {
    Ok(fs::metadata(entry.path())?.is_file())
}

impl Iterator for Walk {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(folder) = self.stack.last_mut() {
            let Some(Found { key, entry }) = folder.next() else {
                self.stack.pop();
                continue;
            };
            if !key.ends_with('/') {
                return Some(Ok(key));
            }
            if let Err(error) = self.enter(&entry.path(), &key) {
                self.pass_over(&entry, &key, error);
            }
        }
        // Everything else was listed, but nobody may take that for all.
        let (kind, words) = self.passed_over.as_ref()?;
        Some(Err(io::Error::new(*kind, words.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys =
            vec!["a.b", "a/b/c", "a/b.c", "a/b0", "a0", "a-/x", "\u{fc}/y", "B", "b/a/a"];
        for key in &keys {
            let path = folder.path().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        keys.sort_unstable();
        let walk = |prefix: &str, after: &str| -> Vec<String> {
            Walk::new(folder.path(), prefix, after).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(walk("", ""), keys);
        for prefix in ["a", "a/", "a/b", "b/a", "c", "a/b/c"] {
            let mut want = keys.clone();
            want.retain(|key| key.starts_with(prefix));
            assert_eq!(walk(prefix, ""), want, "{prefix}");
        }
        for after in keys.iter().chain(&["a/", "a/b", "a/b/", "z", "0"]) {
            let mut want = keys.clone();
            want.retain(|key| key > after);
            assert_eq!(walk("", after), want, "{after}");
        }
        assert!(Walk::new(&folder.path().join("none"), "", "").unwrap().next().is_none());
    }
}
