//! The journal of a transfer: what a later run needs to resume it.
//!
//! It is lines of JSON, each on the disk before the next step. A line that cannot be read, because
//! a crash cut it or something else damaged it, is ignored.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

use crate::{TransferError, private_file::open_private};

/// An open journal, locked against every other process. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    file: Arc<Mutex<File>>,
    path: Arc<Path>,
}

impl Journal {
    /// Opens or creates a journal, and returns it with the text of an earlier run.
    ///
    /// # Errors
    /// [`TransferError::Locked`] if another process uses it, or [`TransferError::Io`].
    pub(crate) fn open(path: &Path) -> Result<(Self, String), TransferError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = open_private(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // What is appended must not run into a line that was cut.
        let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(complete);
        file.set_len(complete as u64)?;
        file.seek(SeekFrom::Start(complete as u64))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok((Self { file: Arc::new(Mutex::new(file)), path: path.into() }, text))
    }

    /// Empties the journal and writes its first line.
    pub(crate) async fn restart(&self, first: &impl Serialize) -> io::Result<()> {
        self.write(first, true).await
    }

    /// Appends a line, and waits until it is on the disk.
    pub(crate) async fn append(&self, line: &impl Serialize) -> io::Result<()> {
        self.write(line, false).await
    }

    async fn write(&self, line: &impl Serialize, empties: bool) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let file = Arc::clone(&self.file);
        let work = move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            if empties {
                file.set_len(0)?;
                file.seek(SeekFrom::Start(0))?;
            }
            file.write_all(text.as_bytes())?;
            file.sync_data()
        };
        tokio::task::spawn_blocking(work).await?
    }

    /// Removes the journal of a transfer that is over.
    pub(crate) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(self.path)
    }

    /// Writes to another file.
    #[cfg(test)]
    pub(crate) fn with_file(self, file: File) -> Self {
        Self { file: Arc::new(Mutex::new(file)), ..self }
    }

    /// Returns the path of the journal, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.to_path_buf()
    }
}

/// Returns the complete lines of a journal.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter(|line| line.ends_with('\n'))
}
