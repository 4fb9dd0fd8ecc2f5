//! The bytes and the headers of an object in a folder, which change at one moment.
//!
//! They are two files, and no file system renames two at once. So a writer first states its
//! intention in a file of the store: the key, the name of the file with the new bytes, and the new
//! headers. The moment at which the new version takes effect is the rename of the bytes. Before it,
//! the file that the intention names exists, and the old pair is in force. After it, that file is
//! gone, and the headers in force are those of the intention, until they are in the sidecar and the
//! intention is removed. A process that is killed in between leaves the intention to the next.
//!
//! Writers exclude each other and readers with a lock, which they hold only for this.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use envelope_core::Crc64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tempfile::NamedTempFile;

use super::{
    CHUNK, TAG, UPLOADS, absent, ignore_absence, own_path, parent, path_of, read_tag, sidecar_of,
    tag_of,
};
use crate::StoreError;

/// The intention of a writer.
const INTENTION: &str = "intention.json";
/// The file that is locked.
const LOCK: &str = "lock";
/// How the names begin of what is not finished yet: files with new bytes, and folders of uploads.
pub(super) const NEW: &str = "new-";

#[derive(Debug, Serialize, Deserialize)]
struct Intention {
    key: String,
    /// The name of the file with the new bytes.
    bytes: String,
    headers: Map<String, Value>,
}

/// The pairs of a store, read under a lock.
#[derive(Debug)]
pub(super) struct Pairs<'a> {
    root: &'a Path,
    /// Released when this is dropped. `None` in a store that nobody has written to.
    _lock: Option<File>,
}

/// The bytes of a new version, which are being written.
#[derive(Debug)]
pub(super) struct NewBytes {
    pub(super) file: NamedTempFile,
}

impl NewBytes {
    /// Creates the file, and removes those of writers that were killed.
    pub(super) fn create(root: &Path) -> Result<Self, StoreError> {
        let folder = internal_folder(root)?;
        Pairs::write(root)?.remove_abandoned()?;
        loop {
            let file = tempfile::Builder::new().prefix(NEW).tempfile_in(&folder)?;
            // A file without a lock is abandoned, and somebody may have thought so of this one.
            if file.as_file().try_lock().is_ok() && file.path().exists() {
                return Ok(Self { file });
            }
        }
    }
}

impl<'a> Pairs<'a> {
    /// Waits until no writer is at work.
    ///
    /// Where nobody has ever written, there is no lock. Then the first writer ever may come at the
    /// same time, but what it replaces has no sidecar, so that the length of the bytes tells which
    /// headers are theirs.
    pub(super) fn read(root: &'a Path) -> Result<Self, StoreError> {
        let lock = match File::open(own_folder(root)?.join(LOCK)) {
            Ok(file) => {
                file.lock_shared()?;
                Some(file)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { root, _lock: lock })
    }

    /// Waits until nobody else is at work, and completes what a killed writer has begun.
    pub(super) fn write(root: &'a Path) -> Result<Self, StoreError> {
        let path = internal_folder(root)?.join(LOCK);
        let file = File::options().create(true).append(true).open(path)?;
        file.lock()?;
        let pairs = Self { root, _lock: Some(file) };
        pairs.recover()?;
        Ok(pairs)
    }

    fn intention_path(&self) -> PathBuf {
        self.root.join(UPLOADS).join(INTENTION)
    }

    /// Returns the intention of a writer whose bytes are in place already, if there is one.
    fn effective(&self) -> Result<Option<Intention>, StoreError> {
        let text = match fs::read(self.intention_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let malformed = |_| StoreError::Malformed(format!("{UPLOADS}/{INTENTION} is damaged"));
        let intention: Intention = serde_json::from_slice(&text).map_err(malformed)?;
        let bytes = self.root.join(UPLOADS).join(&intention.bytes);
        // Only such files are written there. Others, of which nobody removes any, prove nothing.
        let is_ours = intention.bytes.starts_with(NEW) && !intention.bytes.contains(['/', '\\']);
        Ok(Some(intention).filter(|_| is_ours && !bytes.exists()))
    }

    /// Returns the file and the headers of an object.
    pub(super) fn open(&self, key: &str, path: &Path) -> Result<(File, Value), StoreError> {
        let file = File::open(path).map_err(absent)?;
        if !file.metadata()?.is_file() {
            return Err(StoreError::NotFound);
        }
        let len = file.metadata()?.len();
        let is_of_file = |headers: &Map<String, Value>| {
            let tag = headers.get(TAG).and_then(Value::as_str).and_then(read_tag);
            tag.is_some_and(|(_, of)| of == len)
        };
        let intention = self.effective()?;
        if let Some(it) = intention.filter(|it| it.key == key && is_of_file(&it.headers)) {
            return Ok((file, Value::Object(it.headers)));
        }
        match fs::read(sidecar_of(path)) {
            Ok(text) => Ok((file, serde_json::from_slice(&text).unwrap_or_default())),
            // A name that is too long for a sidecar has none.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename
                ) =>
            {
                Ok((file, Value::Object(Map::new())))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces an object.
    pub(super) fn place(
        &self,
        key: &str,
        path: &Path,
        new: NewBytes,
        headers: Map<String, Value>,
    ) -> Result<(), StoreError> {
        let NewBytes { file } = new;
        file.as_file().sync_all()?;
        fs::create_dir_all(parent(path))?;
        let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let intention = Intention { key: key.to_owned(), bytes: name, headers };
        let text = serde_json::to_vec(&intention).map_err(io::Error::other)?;
        self.write_at_once(&self.intention_path(), &text)?;
        if let Err(error) = file.persist(path) {
            // In this order: without its bytes, the intention would seem to be in force.
            fs::remove_file(self.intention_path())?;
            return Err(error.error.into());
        }
        sync_folder(parent(path))?;
        self.finish(path, &intention.headers)
    }

    /// Writes the headers of an intention whose bytes are in place.
    fn finish(&self, path: &Path, headers: &Map<String, Value>) -> Result<(), StoreError> {
        self.replace_headers(path, headers)?;
        fs::remove_file(self.intention_path())?;
        // Otherwise, it might be in force again after a loss of power.
        Ok(sync_folder(&self.root.join(UPLOADS))?)
    }

    /// Replaces the headers of an object.
    pub(super) fn replace_headers(
        &self,
        path: &Path,
        headers: &Map<String, Value>,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_vec(headers).map_err(io::Error::other)?;
        Ok(self.write_at_once(&sidecar_of(path), &text)?)
    }

    /// Deletes an object, whose bytes go first: without them, there is no object.
    pub(super) fn delete(&self, path: &Path) -> Result<(), StoreError> {
        for path in [path.to_owned(), sidecar_of(path)] {
            ignore_absence(fs::remove_file(path))?;
        }
        Ok(())
    }

    /// Completes or drops the intention of a writer that was killed.
    fn recover(&self) -> Result<(), StoreError> {
        // A file that somebody has removed by hand proves nothing, but the checksum does.
        if let Some(intention) = self.effective()?
            // Somebody else may have written the intention, and its key leads out of the store.
            && let Ok(path) = path_of(self.root, &intention.key)
            && describes(&intention.headers, &path)
        {
            // If a link has taken the place of a folder, nothing else has the key of these bytes.
            let path = own_path(self.root, &intention.key)?;
            return self.finish(&path, &intention.headers);
        }
        Ok(ignore_absence(fs::remove_file(self.intention_path()))?)
    }

    /// Writes a file that is there completely or not at all. If the process is killed, what it
    /// leaves is among the abandoned files.
    fn write_at_once(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(NEW).tempfile_in(self.root.join(UPLOADS))?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_folder(parent(path))
    }

    /// Removes what killed processes have not finished.
    pub(super) fn remove_abandoned(&self) -> Result<(), StoreError> {
        for entry in fs::read_dir(self.root.join(UPLOADS))? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(NEW) {
                continue;
            }
            // Folders are made under the lock of the store, which is held here.
            if entry.file_type()?.is_dir() {
                let _ = fs::remove_dir_all(entry.path());
                continue;
            }
            // The lock is held until the file is gone, so that nobody takes it up in between.
            let Ok(file) = File::open(entry.path()) else { continue };
            if file.try_lock().is_ok() {
                let _ = fs::remove_file(entry.path());
            }
            drop(file);
        }
        Ok(())
    }
}

/// Returns whether the entity tag in the headers is that of a file.
fn describes(headers: &Map<String, Value>, path: &Path) -> bool {
    let sum = || -> io::Result<Crc64> {
        let (mut file, mut sum) = (File::open(path)?, Crc64::new());
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = file.read(&mut chunk)?;
            match chunk.get(..read).filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => sum.update(bytes),
                None => return Ok(sum),
            }
        }
    };
    let tag = headers.get(TAG).and_then(Value::as_str);
    sum().is_ok_and(|sum| tag == Some(tag_of(&sum).as_str()))
}

/// Returns the folder of the store's own files, which is no symbolic link: what is in it is deleted
/// if nobody needs it any more.
pub(super) fn own_folder(root: &Path) -> io::Result<PathBuf> {
    let folder = root.join(UPLOADS);
    if folder.symlink_metadata().is_ok_and(|it| it.is_symlink()) {
        let words = format!("{}: a symbolic link is not followed", folder.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
    }
    Ok(folder)
}

/// Creates the folder of the store's own files.
fn internal_folder(root: &Path) -> io::Result<PathBuf> {
    let folder = own_folder(root)?;
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Waits until the names in a folder are on the disk. Not every file system can.
fn sync_folder(folder: &Path) -> io::Result<()> {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers with this name, and the entity tag of bytes that are the name.
    fn headers(name: &str) -> Map<String, Value> {
        let mut sum = Crc64::new();
        sum.update(name.as_bytes());
        let pairs = [(name.to_owned(), "x".into()), (TAG.to_owned(), tag_of(&sum).into())];
        pairs.into_iter().collect()
    }

    fn put(root: &Path, bytes: &str, name: &str) {
        let mut new = NewBytes::create(root).unwrap();
        new.file.write_all(bytes.as_bytes()).unwrap();
        let pairs = Pairs::write(root).unwrap();
        pairs.place("a/key", &root.join("a/key"), new, headers(name)).unwrap();
    }

    fn get(root: &Path) -> (String, Map<String, Value>) {
        let pairs = Pairs::read(root).unwrap();
        let (file, headers) = pairs.open("a/key", &root.join("a/key")).unwrap();
        let headers = headers.as_object().unwrap().clone();
        (io::read_to_string(file).unwrap(), headers)
    }

    #[test]
    fn a_writer_killed_at_any_step_leaves_the_old_pair_or_the_new_one() {
        // The steps of `place`, of which a killed writer has made only some.
        for steps in 0..=3 {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            put(root, "old", "old");
            let mut new = NewBytes::create(root).unwrap();
            new.file.write_all(b"new").unwrap();
            let bytes = new.file.path().file_name().unwrap().to_string_lossy().into_owned();
            let intention = Intention { key: "a/key".into(), bytes, headers: headers("new") };
            let text = serde_json::to_vec(&intention).unwrap();
            if steps > 0 {
                fs::write(root.join(UPLOADS).join(INTENTION), &text).unwrap();
            }
            // A killed process has no lock, and removes nothing.
            let (file, path) = new.file.keep().unwrap();
            drop(file);
            if steps > 1 {
                fs::rename(path, root.join("a/key")).unwrap();
            }
            if steps > 2 {
                let text = serde_json::to_vec(&intention.headers).unwrap();
                fs::write(root.join("a/key.headers.json"), &text).unwrap();
            }
            let want = if steps > 1 { "new" } else { "old" };
            for _ in 0..2 {
                assert_eq!(get(root), (want.to_owned(), headers(want)), "after {steps} steps");
                // A writer completes what was begun.
                drop(Pairs::write(root).unwrap());
                assert!(!root.join(UPLOADS).join(INTENTION).exists());
            }
            put(root, "newer", "newer");
            assert_eq!(get(root), ("newer".to_owned(), headers("newer")));
            // What was left behind is gone: only the lock is there.
            assert_eq!(fs::read_dir(root.join(UPLOADS)).unwrap().count(), 1);
        }
    }

    /// A folder that was moved, with a link in its place.
    #[cfg(unix)]
    #[test]
    fn the_only_key_of_new_bytes_is_not_thrown_away() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = folder.path();
        put(root, "old", "old");
        let intention =
            Intention { key: "a/key".into(), bytes: "new-bytes".into(), headers: headers("new") };
        let text = serde_json::to_vec(&intention).unwrap();
        fs::write(root.join(UPLOADS).join(INTENTION), &text).unwrap();
        fs::write(root.join("a/key"), b"new").unwrap();
        fs::rename(root.join("a"), elsewhere.path().join("a")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("a"), root.join("a")).unwrap();
        assert!(Pairs::write(root).is_err());
        assert_eq!(fs::read(root.join(UPLOADS).join(INTENTION)).unwrap(), text);
        fs::remove_file(root.join("a")).unwrap();
        fs::rename(elsewhere.path().join("a"), root.join("a")).unwrap();
        drop(Pairs::write(root).unwrap());
        assert_eq!(get(root), ("new".to_owned(), headers("new")));
    }

    #[test]
    fn bytes_that_are_being_written_are_not_abandoned() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = NewBytes::create(folder.path()).unwrap();
        let second = NewBytes::create(folder.path()).unwrap();
        first.file.write_all(b"first").unwrap();
        drop(second);
        let pairs = Pairs::write(folder.path()).unwrap();
        pairs.place("a/key", &folder.path().join("a/key"), first, headers("first")).unwrap();
        drop(pairs);
        assert_eq!(get(folder.path()).0, "first");
    }
}
