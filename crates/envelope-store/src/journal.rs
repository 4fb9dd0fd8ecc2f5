//! The journal of a transfer: what a later run needs to resume it.
//!
//! It is lines of JSON, each on the disk before the next step. A line cut by a crash is ignored,
//! and so is everything behind it.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

use crate::{TransferError, private_file::open_private};

/// An open journal, locked against every other process.
#[derive(Debug)]
pub(crate) struct Journal {
    file: Mutex<File>,
    path: PathBuf,
}

impl Journal {
    /// Opens or creates a journal, and returns it with the text of an earlier run.
    pub(crate) fn open(path: &Path) -> Result<(Self, String), TransferError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = open_private(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // What is appended must not run into a line that was cut.
        let complete = text.rfind('\n').map_or(0, |end| end.saturating_add(1));
        text.truncate(complete);
        file.set_len(complete as u64)?;
        file.seek(SeekFrom::Start(complete as u64))?;
        Ok((Self { file: Mutex::new(file), path: path.to_owned() }, text))
    }

    /// Empties the journal and writes its first line.
    pub(crate) fn restart(&self, first: &impl Serialize) -> Result<(), TransferError> {
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
        }
        self.append(first)
    }

    /// Appends a line, and waits until it is on the disk.
    pub(crate) fn append(&self, line: &impl Serialize) -> Result<(), TransferError> {
        let mut text = serde_json::to_string(line).map_err(io::Error::other)?;
        text.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        Ok(())
    }

    /// Removes the journal of a transfer that is over.
    pub(crate) fn remove(self) -> Result<(), TransferError> {
        Ok(std::fs::remove_file(self.path)?)
    }
}

/// Returns the complete lines of a journal.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter(|line| line.ends_with('\n'))
}
