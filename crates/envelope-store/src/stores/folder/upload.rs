//! The folder of an open upload, which is there completely or not at all.
//!
//! It is made, and removed, under a name that marks it as abandoned. So if the process is killed on
//! the way, the next writer removes the rest.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::Value;

use super::{
    UPLOADS, ignore_absence,
    pair::{NEW, Pairs, own_folder},
    read_tag,
};
use crate::{Headers, StoreError, UploadedPart};

/// The key and the headers with which an upload was created.
const BEGUN: &str = "upload.json";
/// The length of an ID in characters.
const ID_LEN: usize = 16;

/// The folder of an upload.
#[derive(Clone, Debug)]
pub(super) struct UploadFolder {
    pub(super) path: PathBuf,
}

impl UploadFolder {
    /// Creates the folder, and returns it with the ID of its upload.
    pub(super) fn create(
        root: &Path,
        key: &str,
        headers: &Headers,
    ) -> Result<(Self, String), StoreError> {
        // Whoever holds this lock takes a folder that is not finished for an abandoned one.
        let pairs = Pairs::write(root)?;
        pairs.remove_abandoned()?;
        let uploads = root.join(UPLOADS);
        let made =
            tempfile::Builder::new().prefix(NEW).rand_bytes(ID_LEN).tempdir_in(&uploads)?.keep();
        let begun = serde_json::json!({ "key": key, "headers": headers });
        let mut file = File::create(made.join(BEGUN))?;
        file.write_all(begun.to_string().as_bytes())?;
        // What arrives later is of no use without it.
        file.sync_all()?;
        let name = made.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let id = name.strip_prefix(NEW).unwrap_or(&name).to_owned();
        let path = uploads.join(&id);
        fs::rename(made, &path)?;
        Ok((Self { path }, id))
    }

    /// Returns the folder of an upload, which may be gone.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`] if the ID is none of ours, such as `..`.
    pub(super) fn of(root: &Path, id: &str) -> Result<Self, StoreError> {
        if id.len() != ID_LEN || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(StoreError::NoUpload);
        }
        Ok(Self { path: own_folder(root)?.join(id) })
    }

    /// Returns the key and the headers with which the upload was created.
    pub(super) fn begun(&self) -> Result<(String, Headers), StoreError> {
        let text = fs::read(self.path.join(BEGUN)).map_err(no_upload)?;
        let begun: Value = serde_json::from_slice(&text).unwrap_or_default();
        let key = begun.get("key").and_then(Value::as_str).map(str::to_owned);
        let headers = begun.get("headers").cloned();
        let headers = headers.and_then(|headers| serde_json::from_value(headers).ok());
        key.zip(headers).ok_or(StoreError::NoUpload)
    }

    /// Returns when the upload was created.
    pub(super) fn created(&self) -> io::Result<SystemTime> {
        fs::metadata(self.path.join(BEGUN))?.modified()
    }

    /// Returns the parts that arrived, in their order, with their files.
    pub(super) fn parts(&self) -> Result<Vec<(UploadedPart, PathBuf)>, StoreError> {
        // Without the key and the headers, nothing can be done with them.
        self.begun()?;
        let mut parts = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(no_upload)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let part = name.split_once('.').and_then(|(number, tag)| {
                let (_, len) = read_tag(tag)?;
                let etag = format!("\"{tag}\"");
                Some(UploadedPart { number: number.parse().ok()?, etag, len })
            });
            parts.extend(part.map(|part| (part, path)));
        }
        parts.sort_unstable_by_key(|(part, _)| part.number);
        Ok(parts)
    }

    /// Removes the folder if it is there.
    pub(super) fn remove(&self) -> io::Result<()> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let abandoned = self.path.with_file_name(format!("{NEW}{name}"));
        ignore_absence(fs::rename(&self.path, &abandoned))?;
        // Also if it was renamed by a process that was killed then.
        ignore_absence(fs::remove_dir_all(abandoned))
    }
}

fn no_upload(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::NoUpload,
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root.join(UPLOADS)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "lock").collect()
    }

    /// Creates an upload with one part.
    fn create(root: &Path) -> UploadFolder {
        let (upload, id) = UploadFolder::create(root, "key", &Headers::new()).unwrap();
        assert_eq!(UploadFolder::of(root, &id).unwrap().path, upload.path);
        fs::write(upload.path.join("00001.part"), "part").unwrap();
        upload
    }

    #[test]
    fn what_a_killed_process_leaves_is_no_upload_and_is_removed() {
        // How far a process came with creating a folder, or with removing one.
        for step in ["empty", "without its key", "with its key", "renamed", "half removed"] {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            let upload = create(root);
            let abandoned = root.join(UPLOADS).join(format!("{NEW}0123456789abcdef"));
            match step {
                "empty" => fs::create_dir(&abandoned).unwrap(),
                "without its key" => {
                    fs::create_dir(&abandoned).unwrap();
                    fs::write(abandoned.join(BEGUN), "").unwrap();
                }
                "with its key" => {
                    fs::create_dir(&abandoned).unwrap();
                    fs::copy(upload.path.join(BEGUN), abandoned.join(BEGUN)).unwrap();
                }
                "renamed" => fs::rename(create(root).path, &abandoned).unwrap(),
                _ => {
                    fs::rename(create(root).path, &abandoned).unwrap();
                    fs::remove_file(abandoned.join(BEGUN)).unwrap();
                }
            }
            let again = create(root);
            assert!(!abandoned.exists(), "{step}");
            // The uploads that are open are untouched.
            upload.begun().unwrap();
            again.begun().unwrap();
            assert_eq!(left(root).len(), 2, "{step}");
            upload.remove().unwrap();
            again.remove().unwrap();
            again.remove().unwrap();
            assert!(matches!(upload.begun(), Err(StoreError::NoUpload)));
            assert!(matches!(upload.parts(), Err(StoreError::NoUpload)));
            assert_eq!(left(root), [""; 0], "{step}");
        }
    }

    #[test]
    fn a_removal_that_was_interrupted_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        let upload = create(folder.path());
        let name = upload.path.file_name().unwrap().to_str().unwrap();
        fs::rename(&upload.path, upload.path.with_file_name(format!("{NEW}{name}"))).unwrap();
        upload.remove().unwrap();
        assert_eq!(left(folder.path()), [""; 0]);
    }

    #[test]
    fn only_an_id_of_ours_is_one() {
        let root = Path::new("root");
        for id in ["", "..", "lock", "intention.json", "new-0123456789ab", "0123456789abcde/"] {
            assert!(matches!(UploadFolder::of(root, id), Err(StoreError::NoUpload)), "{id}");
        }
        UploadFolder::of(root, "0123456789abcdEF").unwrap();
    }
}
