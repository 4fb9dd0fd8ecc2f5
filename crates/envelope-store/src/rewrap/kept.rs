//! A local copy of what a rewrap is about to replace.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use envelope_core::{Crc64, WholeHasher};
use futures_util::TryStreamExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::{
    Body, Headers, ObjectMeta, StoreError, TransferError, body::check_crc64,
    stores::folder::write_sidecar,
};

/// The ciphertext of an object in a file, and its headers beside it, as a
/// [`FolderStore`](crate::FolderStore) keeps them. Both are removed when this is dropped, unless
/// they are the only copy.
#[derive(Debug)]
pub(super) struct KeptObject {
    path: PathBuf,
    sidecar: Option<PathBuf>,
    keeps: bool,
}

impl KeptObject {
    /// Saves the headers alone.
    pub(super) fn headers(folder: &Path, headers: &Headers) -> io::Result<PathBuf> {
        let mut file = new_file(folder, ".headers.json")?;
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: serde_json::Value = headers.collect();
        file.write_all(headers.to_string().as_bytes())?;
        file.as_file().sync_all()?;
        Ok(file.into_temp_path().keep()?)
    }

    /// Saves an object, and feeds its body to the hasher, if there is one.
    pub(super) async fn save(
        folder: &Path,
        meta: &ObjectMeta,
        mut body: Body,
        mut hasher: Option<&mut WholeHasher>,
    ) -> Result<Self, TransferError> {
        let (file, path) = new_file(folder, "")?.keep().map_err(|error| error.error)?;
        // From here on, the files are removed if anything fails.
        let mut own = Self { path, sidecar: None, keeps: false };
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

fn new_file(folder: &Path, suffix: &str) -> io::Result<tempfile::NamedTempFile> {
    fs::create_dir_all(folder)?;
    tempfile::Builder::new().prefix("rewrap-").suffix(suffix).tempfile_in(folder)
}
