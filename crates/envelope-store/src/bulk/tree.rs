//! The files of a local tree.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::mpsc;
use walkdir::{DirEntry, WalkDir};

use super::Filter;
use crate::output::is_working_name;

/// The number of files that are found ahead.
const AHEAD: usize = 1024;

/// A folder, with all files in it and in its folders.
///
/// The files come in the ascending order of their keys, as a bucket lists them. Symbolic links are
/// not followed unless that is asked for, and then links in a circle are found and reported.
///
/// ```
/// use envelope_store::bulk::{Found, Tree};
/// use futures_util::StreamExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// std::fs::create_dir(folder.path().join("a"))?;
/// std::fs::write(folder.path().join("a/b"), "a file")?;
/// let found: Vec<Found> = Tree::open(folder.path())?.walk().collect().await;
/// let [Found::File(file)] = &found[..] else { panic!() };
/// assert_eq!((file.key.as_str(), file.len), ("a/b", 6));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
    filter: Filter,
    follows_links: bool,
}

/// A file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeFile {
    /// Its path below the root, with slashes.
    pub key: String,
    /// Its path.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// The time of its last modification, if the system knows it.
    pub modified: Option<SystemTime>,
}

/// Something in a tree.
#[derive(Debug)]
#[non_exhaustive]
pub enum Found {
    /// A regular file.
    File(TreeFile),
    /// A symbolic link, which is not followed. The text is its path below the root.
    Link(String),
    /// A device, a pipe, a socket, or a file that a download has not finished.
    Special(String),
    /// Something that cannot be read, or whose name is not UTF-8.
    Unreadable(String, io::Error),
}

impl Tree {
    /// Opens a tree.
    ///
    /// # Errors
    /// If the root is not a folder that can be read.
    pub fn open(root: &Path) -> io::Result<Self> {
        // A root that is missing must not look like an empty tree.
        std::fs::read_dir(root)?;
        let filter = Filter::default();
        Ok(Self { root: root.to_owned(), filter, follows_links: false })
    }

    /// Sets what is passed over.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets whether symbolic links are followed.
    #[must_use]
    pub const fn with_links(mut self, follow: bool) -> Self {
        self.follows_links = follow;
        self
    }

    /// Walks through the tree, on a thread of its own. Dropping the stream ends it.
    pub fn walk(self) -> impl Stream<Item = Found> + Send + Unpin + 'static {
        let begun = async move {
            let (sender, receiver) = mpsc::channel(AHEAD);
            tokio::task::spawn_blocking(move || {
                for found in self.found() {
                    if sender.blocking_send(found).is_err() {
                        return;
                    }
                }
            });
            stream::unfold(receiver, |mut receiver| async move {
                Some((receiver.recv().await?, receiver))
            })
        };
        stream::once(begun).flatten().boxed()
    }

    fn found(&self) -> impl Iterator<Item = Found> + '_ {
        let walk = WalkDir::new(&self.root)
            .min_depth(1)
            .follow_links(self.follows_links)
            // The root itself may be a link: somebody has named it.
            .follow_root_links(true)
            .sort_by(|one, other| order(one).cmp(&order(other)));
        walk.into_iter().filter_map(|entry| self.one(entry))
    }

    fn one(&self, entry: walkdir::Result<DirEntry>) -> Option<Found> {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(&self.root);
                let key = self.lossy_key(path);
                // It may be a folder, of which nobody knows what is in it.
                let is_excluded = self.filter.excludes_folder(&key);
                return (!is_excluded).then(|| Found::Unreadable(key, error.into()));
            }
        };
        if entry.file_type().is_dir() {
            return None;
        }
        let Some(key) = self.key(entry.path()) else {
            let error = io::Error::new(io::ErrorKind::InvalidFilename, "the name is not UTF-8");
            return Some(Found::Unreadable(self.lossy_key(entry.path()), error));
        };
        if entry.path_is_symlink() && !self.follows_links {
            // What is behind it may be wanted, whatever its own name is.
            return (!self.filter.excludes_folder(&key)).then_some(Found::Link(key));
        }
        if !self.filter.admits(&key) {
            return None;
        }
        let is_working = entry.file_name().to_str().is_some_and(is_working_name);
        if !entry.file_type().is_file() || is_working {
            return Some(Found::Special(key));
        }
        Some(match entry.metadata() {
            Ok(metadata) => Found::File(TreeFile {
                key,
                len: metadata.len(),
                modified: metadata.modified().ok(),
                path: entry.into_path(),
            }),
            Err(error) => Found::Unreadable(key, error.into()),
        })
    }

    fn key(&self, path: &Path) -> Option<String> {
        let names = path.strip_prefix(&self.root).ok()?.iter().map(OsStr::to_str);
        Some(names.collect::<Option<Vec<&str>>>()?.join("/"))
    }

    fn lossy_key(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        let names: Vec<_> = path.iter().map(OsStr::to_string_lossy).collect();
        names.join("/")
    }
}

/// Returns what orders the entries of a folder as the keys of their files are ordered: those in a
/// folder begin with its name and a slash.
fn order(entry: &DirEntry) -> Vec<u8> {
    let mut name = entry.file_name().as_encoded_bytes().to_vec();
    if entry.file_type().is_dir() {
        name.push(b'/');
    }
    name
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn keys(tree: &Tree) -> Vec<String> {
        let file = |found| match found {
            Found::File(file) => Some(file.key),
            _ => None,
        };
        tree.found().filter_map(file).collect()
    }

    #[test]
    fn files_come_in_the_order_of_a_bucket() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = ["a.txt", "a/1", "a/b/2", "a-b/3", "a0", "ü", "B", "empty/no"];
        for key in all {
            let path = folder.path().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, key).unwrap();
        }
        fs::remove_file(folder.path().join("empty/no")).unwrap();
        all.sort_unstable();
        let want: Vec<&str> = all.into_iter().filter(|key| *key != "empty/no").collect();
        let tree = Tree::open(folder.path()).unwrap();
        assert_eq!(keys(&tree), want);
        let filter = Filter::new().with_exclude("a/").unwrap();
        assert_eq!(keys(&tree.with_filter(filter)), ["B", "a-b/3", "a.txt", "a0", "ü"]);
        assert!(Tree::open(&folder.path().join("B")).is_err(), "a file is not a tree");
        assert!(Tree::open(&folder.path().join("missing")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_passed_over_in_silence() {
        use std::os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener};

        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(folder.path().join("outside"), "secret").unwrap();
        fs::write(root.join("file"), "").unwrap();
        symlink(folder.path().join("outside"), root.join("link")).unwrap();
        symlink(&root, root.join("circle")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        fs::write(root.join(OsStr::from_bytes(b"\xff")), "").unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        fs::write(root.join(".envelope-0123456789abcdef.part"), "unfinished").unwrap();
        let said = |tree: &Tree| -> Vec<String> {
            let say = |found| match found {
                Found::File(file) => format!("file {}", file.key),
                Found::Link(key) => format!("link {key}"),
                Found::Special(key) => format!("special {key}"),
                Found::Unreadable(key, _) => format!("unreadable {key}"),
            };
            tree.found().map(say).collect()
        };
        let tree = Tree::open(&root).unwrap();
        let working = "special .envelope-0123456789abcdef.part";
        let want =
            [working, "link circle", "link dangling", "file file", "link link", "special socket"];
        let (found, strange) = (said(&tree), "unreadable \u{fffd}".to_owned());
        assert_eq!(found[..6], want);
        assert_eq!(found[6..], [strange.as_str()]);
        let found = said(&tree.with_links(true));
        let want = [
            working,
            "unreadable circle",
            "unreadable dangling",
            "file file",
            "file link",
            "special socket",
        ];
        assert_eq!(found[..6], want);
        assert_eq!(found[6..], [strange]);
        // A link that the user names is followed.
        let link = folder.path().join("tree");
        symlink(&root, &link).unwrap();
        assert_eq!(keys(&Tree::open(&link).unwrap()), ["file"]);
    }
}
