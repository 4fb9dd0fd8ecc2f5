//! A local copy of what a rewrap is about to replace.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use envelope_core::{Crc64, WholeHasher};
use futures_util::TryStreamExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::{
    Body, Headers, ObjectMeta, StoreError, TransferError,
    body::check_crc64,
    stores::folder::{read_sidecar_sum, sidecar_of, write_sidecar},
};

/// The ciphertext of an object in a file, and its headers beside it, as a
/// [`FolderStore`](crate::FolderStore) keeps them. Both are removed when this is dropped, unless
/// they are the only copy.
#[derive(Debug)]
pub(super) struct KeptObject {
    path: PathBuf,
    sidecar: Option<PathBuf>,
    keeps: bool,
    /// Locked as long as this process works with it.
    _file: File,
}

impl KeptObject {
    /// Saves the headers alone.
    pub(super) fn headers(names: (&Path, &str), headers: &Headers) -> io::Result<PathBuf> {
        let mut file = new_file(names, ".headers.json")?;
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: serde_json::Value = headers.collect();
        file.write_all(headers.to_string().as_bytes())?;
        file.as_file().sync_all()?;
        Ok(file.into_temp_path().keep()?)
    }

    /// Saves an object, and feeds its body to the hasher, if there is one. `names` are the folder
    /// and the start of the file's name.
    pub(super) async fn save(
        names: (&Path, &str),
        meta: &ObjectMeta,
        mut body: Body,
        mut hasher: Option<&mut WholeHasher>,
    ) -> Result<Self, TransferError> {
        let (file, path) = locked_file(names)?;
        // From here on, the files are removed if anything fails.
        let mut own = Self { path, sidecar: None, keeps: false, _file: file.try_clone()? };
        let (mut sum, mut to) = (Crc64::new(), tokio::fs::File::from_std(file));
        while let Some(chunk) = body.try_next().await? {
            sum.update(&chunk);
            hasher.iter_mut().for_each(|hasher| hasher.update(&chunk));
            to.write_all(&chunk).await?;
        }
        to.flush().await?;
        to.sync_all().await?;
        check_crc64(meta.crc64, sum.value())?;
        if sum.len() != meta.len {
            return Err(StoreError::Changed.into());
        }
        own.sidecar = Some(write_sidecar(&own.path, &meta.headers, &sum)?);
        Ok(own)
    }

    /// Removes the copies that killed processes have left, if the object in the store has the same
    /// bytes now, or if they are not whole: then nothing was replaced yet. Others stay.
    pub(super) fn remove_abandoned(folder: &Path, start: &str, meta: &ObjectMeta) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_copy = |name: &str| name.starts_with(start) && !name.contains('.');
            if !name.to_str().is_some_and(is_copy) {
                continue;
            }
            let path = entry.path();
            let Ok(file) = File::open(&path) else { continue };
            if file.try_lock().is_err() {
                continue;
            }
            let (sum, len) = match read_sidecar_sum(&path) {
                Ok(Some(sum)) => sum,
                Ok(None) => {
                    let _ = fs::remove_file(&path);
                    continue;
                }
                Err(_) => continue,
            };
            if meta.crc64 == Some(sum) && meta.len == len {
                let _ = fs::remove_file(sidecar_of(&path));
                let _ = fs::remove_file(&path);
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the files from now on, whatever happens, because the object in the store may be lost.
    pub(super) fn keep(&mut self) {
        self.keeps = true;
    }

    /// Removes the files, because the object in the store is proven.
    pub(super) fn discard(mut self) {
        self.keeps = false;
    }
}

impl Drop for KeptObject {
    fn drop(&mut self) {
        if !self.keeps {
            let _ = fs::remove_file(&self.path);
            if let Some(sidecar) = &self.sidecar {
                let _ = fs::remove_file(sidecar);
            }
        }
    }
}

/// Creates a file that no other process takes for an abandoned one.
fn locked_file(names: (&Path, &str)) -> io::Result<(File, PathBuf)> {
    loop {
        let (file, path) = new_file(names, "")?.keep().map_err(|error| error.error)?;
        // Where nothing can be locked, no other process removes it, either.
        let _ = file.try_lock();
        // It may have been removed before it was locked, and is not from now on.
        if path.exists() {
            return Ok((file, path));
        }
    }
}

fn new_file((folder, start): (&Path, &str), suffix: &str) -> io::Result<tempfile::NamedTempFile> {
    fs::create_dir_all(folder)?;
    tempfile::Builder::new().prefix(start).suffix(suffix).tempfile_in(folder)
}
