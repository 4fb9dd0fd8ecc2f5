//! Where the objects of a bucket are placed in a local folder.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::mtime::{FINE_STEP, time_step};
use crate::output::{is_same_file, is_working_name};

/// The longest name of a file, in bytes, on all systems that matter.
const MAX_NAME: usize = 255;
/// The names of devices on Windows, with any ending.
const DEVICES: [&str; 6] = ["aux", "clock$", "con", "conin$", "conout$", "nul"];

/// A folder in which each object gets a file of its own, in folders as the slashes of its key say.
/// Whoever writes the keys of a bucket chooses names below this folder, and none elsewhere.
#[derive(Debug)]
pub struct TargetFolder {
    root: PathBuf,
    rules: NameRules,
    /// The keys by their folded form, where a file system takes both for the same name.
    folded: Option<HashMap<String, String>>,
    time_step: Duration,
}

/// The start of the name of the file with which a file system is tried.
const PROBE: &str = ".envelope-";

/// What a system takes for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameRules {
    Unix,
    Windows,
}

impl TargetFolder {
    /// Creates the folder if it does not exist.
    ///
    /// # Errors
    /// If it cannot be created, or cannot be looked at.
    pub fn create(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let rules = if cfg!(windows) { NameRules::Windows } else { NameRules::Unix };
        let habits = match Habits::tried(root) {
            Ok(habits) => habits,
            // There may be folders in it that can be written, or nothing to be written at all.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Habits::seen(root)?
            }
            Err(error) => return Err(error),
        };
        let folded = habits.folds_case.then(HashMap::new);
        Ok(Self { root: root.to_owned(), rules, folded, time_step: habits.time_step })
    }

    /// Returns the step in which the file system counts the times of files: it keeps the last one
    /// that is not after the time that it is given.
    #[must_use]
    pub const fn time_step(&self) -> Duration {
        self.time_step
    }

    /// Returns whether the file system takes names that differ only in case for the same.
    #[must_use]
    pub const fn folds_case(&self) -> bool {
        self.folded.is_some()
    }

    /// Returns the path of the file for a key, and creates its folders.
    ///
    /// # Errors
    /// [`KeyFault`] if the key has no place in the folder.
    pub fn place(&mut self, key: &str) -> Result<PathBuf, KeyFault> {
        let names = names(key, self.rules)?;
        if let Some(folded) = &mut self.folded {
            let other = folded.entry(key.to_lowercase()).or_insert_with(|| key.to_owned());
            if other != key {
                return Err(KeyFault::Case(other.clone()));
            }
        }
        let (last, folders) = names.split_last().ok_or(KeyFault::Empty)?;
        let mut path = self.make_folders(folders)?;
        path.push(last);
        match path.symlink_metadata() {
            // The file itself is replaced, but what a link points to may be anywhere.
            Ok(metadata) if metadata.is_symlink() => Err(KeyFault::Link(path)),
            // Somebody listens at a pipe, or writes to a device.
            Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => {
                Err(KeyFault::Special(path))
            }
            _ => Ok(path),
        }
    }

    /// Creates the folder that a key with a slash at its end stands for.
    ///
    /// # Errors
    /// [`KeyFault`] if the key has no place in the folder.
    pub fn place_folder(&mut self, key: &str) -> Result<PathBuf, KeyFault> {
        self.make_folders(&names(key.strip_suffix('/').unwrap_or(key), self.rules)?)
    }

    fn make_folders(&self, names: &[&str]) -> Result<PathBuf, KeyFault> {
        let mut path = self.root.clone();
        for name in names {
            path.push(name);
            make_folder(&path)?;
        }
        Ok(path)
    }
}

/// Creates one folder, whose parent exists, and which may exist, but not as a link.
fn make_folder(path: &Path) -> Result<(), KeyFault> {
    let fail = |source| KeyFault::Io { path: path.to_owned(), source };
    match fs::create_dir(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error)),
        Err(_) => {}
    }
    let metadata = path.symlink_metadata().map_err(fail)?;
    if metadata.is_symlink() {
        return Err(KeyFault::Link(path.to_owned()));
    }
    if !metadata.is_dir() {
        return Err(fail(io::ErrorKind::NotADirectory.into()));
    }
    Ok(())
}

/// Returns the names of the folders and the file of a key.
fn names(key: &str, rules: NameRules) -> Result<Vec<&str>, KeyFault> {
    let names: Vec<&str> = key.split('/').collect();
    for name in &names {
        match *name {
            "" => return Err(KeyFault::Empty),
            "." | ".." => return Err(KeyFault::Dots),
            _ if name.len() > MAX_NAME => return Err(KeyFault::Long),
            // It would take the place of another object that is being downloaded.
            _ if is_working_name(name) => return Err(KeyFault::Reserved((*name).to_owned())),
            _ => {}
        }
        let is_bad = |sign: char| match rules {
            NameRules::Unix => sign == '\0',
            NameRules::Windows => sign.is_control() || r#"<>:"|?*\"#.contains(sign),
        };
        if let Some(sign) = name.chars().find(|sign| is_bad(*sign)) {
            return Err(KeyFault::Character(sign));
        }
        if rules == NameRules::Windows && (name.ends_with(['.', ' ']) || is_device(name)) {
            return Err(KeyFault::Reserved((*name).to_owned()));
        }
    }
    Ok(names)
}

/// Returns whether a name is that of a device on Windows, such as `NUL` or `com1.txt`.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let is_port = |kind: &str| {
        stem.strip_prefix(kind).is_some_and(|number| {
            let mut digits = number.chars();
            digits.next().is_some_and(|digit| "123456789¹²³".contains(digit))
                && digits.next().is_none()
        })
    };
    DEVICES.contains(&stem.as_str()) || is_port("com") || is_port("lpt")
}

/// The treatment of names and times by a file system.
struct Habits {
    /// `true` if it takes names that differ only in case for the same.
    folds_case: bool,
    time_step: Duration,
}

impl Habits {
    /// Tries with a file in a folder. The folder around it may be in another file system.
    fn tried(folder: &Path) -> io::Result<Self> {
        let probe = tempfile::Builder::new().prefix(PROBE).tempfile_in(folder)?;
        let time_step = time_step(probe.as_file())?;
        Ok(Self { folds_case: has_other_case(probe.path()), time_step })
    }

    /// Looks at the name of the folder itself.
    fn seen(folder: &Path) -> io::Result<Self> {
        let folds_case = has_other_case(&fs::canonicalize(folder)?);
        Ok(Self { folds_case, time_step: FINE_STEP })
    }
}

/// Returns whether a file has its name with the other case, too.
fn has_other_case(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let other = |sign: char| match sign.is_ascii_uppercase() {
        true => sign.to_ascii_lowercase(),
        false => sign.to_ascii_uppercase(),
    };
    let flipped: String = name.chars().map(other).collect();
    flipped != name && is_same_file(&path.with_file_name(flipped), path)
}

/// Why an object has no place in a local folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// Another key differs from it only in case.
    #[error("the file system does not tell it from {0:?}")]
    Case(String),
    /// A character that no name can have.
    #[error("a file name cannot contain {0:?}")]
    Character(char),
    /// It has a name `.` or `..`.
    #[error("a key with `.` or `..` would leave its folder")]
    Dots,
    /// It begins or ends with a slash, or two slashes follow each other.
    #[error("a file or a folder must have a name between its slashes")]
    Empty,
    /// Its folder cannot be created.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Its place is behind a symbolic link.
    #[error("{}: a symbolic link is in its place, and is not followed", .0.display())]
    Link(PathBuf),
    /// A device, a pipe or a socket is in its place.
    #[error("{}: what is in its place is not a file", .0.display())]
    Special(PathBuf),
    /// A name is longer than 255 bytes.
    #[error("a file name cannot be longer than 255 bytes")]
    Long,
    /// The system reserves a name, or it is that of a file that is being written.
    #[error("{0:?} is a reserved name")]
    Reserved(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("new/root");
        let mut target = TargetFolder::create(&root).unwrap();
        for key in
            ["a", "a.b/c/d", "...", "..a", "a\\..\\b", "C:\\x", "-", " ", "ü/😀", "CON", "b/a"]
        {
            assert_eq!(target.place(key).unwrap(), root.join(key), "{key}");
        }
        assert!(root.join("ü").is_dir() && !root.join("ü/😀").exists());
        let long = "n".repeat(256);
        for key in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/..",
            "./a",
            "a/./b",
            "a\0b",
            ".envelope-0123456789abcdef.part",
            "a/.envelope-x/b",
            &long,
            &format!("a/{long}/b"),
        ] {
            assert!(target.place(key).is_err(), "{key:?}");
        }
        let places = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(places, 1, "nothing was made outside");
    }

    /// A folder in which nothing may be written is looked at, and nothing is tried.
    #[test]
    fn habits_that_are_seen_are_those_that_are_tried() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("Name");
        fs::create_dir(&root).unwrap();
        let (seen, tried) = (Habits::seen(&root).unwrap(), Habits::tried(&root).unwrap());
        assert_eq!(seen.folds_case, tried.folds_case);
        assert!(seen.time_step <= Duration::from_millis(10));
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        // That of the file systems on which tests run.
        assert!(tried.time_step <= Duration::from_micros(1), "{:?}", tried.time_step);
    }

    #[test]
    fn files_and_folders_do_not_take_the_place_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut target = TargetFolder::create(folder.path()).unwrap();
        fs::write(target.place("a").unwrap(), "").unwrap();
        assert!(matches!(target.place("a/b"), Err(KeyFault::Io { .. })));
        assert!(matches!(target.place_folder("a/"), Err(KeyFault::Io { .. })));
        assert!(target.place_folder("c//").is_err() && target.place_folder("../").is_err());
        assert!(target.place_folder("e/f/").unwrap().is_dir());
        target.place("c/d").unwrap();
        assert_eq!(target.place("c").unwrap(), folder.path().join("c"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        let mut target = TargetFolder::create(&root).unwrap();
        symlink(&outside, root.join("folder")).unwrap();
        symlink(outside.join("file"), root.join("file")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        assert!(matches!(target.place("socket"), Err(KeyFault::Special(_))));
        for key in ["folder/a", "folder/a/b", "file", "folder"] {
            assert!(matches!(target.place(key), Err(KeyFault::Link(_))), "{key}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        // The folder itself may be a link: somebody has named it.
        let link = folder.path().join("link");
        symlink(&root, &link).unwrap();
        TargetFolder::create(&link).unwrap().place("a/b").unwrap();
    }

    #[test]
    fn a_file_system_that_folds_case() {
        let folder = tempfile::tempdir().unwrap();
        let mut target = TargetFolder::create(folder.path()).unwrap();
        target.folded = Some(HashMap::new());
        target.place("A/b").unwrap();
        target.place("A/b").unwrap();
        target.place("A/c").unwrap();
        assert!(matches!(target.place("a/B"), Err(KeyFault::Case(other)) if other == "A/b"));
    }

    #[test]
    fn names_on_windows() {
        let is_good = |key: &str| names(key, NameRules::Windows).is_ok();
        for key in ["a/b.c", "console", "com", "com0", "com10", "nul_", "ü", ".a", "lpt"] {
            assert!(is_good(key), "{key}");
        }
        for key in [
            "a\\b",
            "C:",
            "a:b",
            "a*",
            "a?",
            "a|b",
            "\"",
            "<",
            ">",
            "a\u{1}",
            "a.",
            "a ",
            "CON",
            "nul.txt",
            "a/Aux/b",
            "com1",
            "LPT9.tar.gz",
            "com¹",
            "con .x",
            "CONIN$",
        ] {
            assert!(!is_good(key), "{key}");
        }
    }
}
