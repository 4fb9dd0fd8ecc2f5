//! Output files: a file appears under its name only when everything was right.
//!
//! This is the one place where that is decided, for files that are decrypted, downloaded or
//! encrypted.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
};

use envelope_core::Crc64;
use tempfile::{NamedTempFile, TempPath};

use crate::{TransferError, private_file::open_private};

/// Who may read an output, what it may replace, and whether it can be continued by a later run.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OutputOptions {
    replace: bool,
    private: bool,
    resumable: bool,
    inputs: Vec<PathBuf>,
}

impl OutputOptions {
    /// Creates options for a file that replaces nothing, and that anyone allowed by the umask may
    /// read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether an existing file is replaced.
    #[must_use]
    pub const fn with_replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Sets whether only the owner may read the file: plaintext, private keys.
    #[must_use]
    pub const fn with_private(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// Sets whether unfinished output is kept for a later run, as long as there is a journal that
    /// describes it. Such a file is always private, and locked against every other process until it
    /// has its final name.
    #[must_use]
    pub const fn with_resumable(mut self, resumable: bool) -> Self {
        self.resumable = resumable;
        self
    }

    /// Names files that are read, and must not be replaced.
    #[must_use]
    pub fn with_inputs<'a>(mut self, inputs: impl IntoIterator<Item = &'a Path>) -> Self {
        self.inputs.extend(inputs.into_iter().map(Path::to_owned));
        self
    }
}

/// A file that is being written, or another writable thing that a path can name, such as a device
/// or a pipe.
///
/// A link is followed: what it points to is replaced, not the link. A device, pipe or terminal is
/// written in place, whatever the options say.
///
/// ```
/// use std::io::Write as _;
///
/// use envelope_store::{OutputFile, OutputOptions};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("plain");
/// let mut output = OutputFile::create(&path, OutputOptions::new().with_private(true))?;
/// output.write_all(b"a file")?;
/// assert!(!path.exists());
/// output.commit()?;
/// assert_eq!(std::fs::read(&path)?, b"a file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    target: Target,
    replace: bool,
}

#[derive(Debug)]
enum Target {
    /// A device or a pipe, which cannot be replaced; or an output that has already been committed.
    Direct(Option<File>),
    /// A locked file beside the target. It stays if it is not committed but has a journal.
    Resumable { working: PathBuf, journal: PathBuf, file: File },
    /// A file beside the target. It is removed if it is not committed.
    Temporary(NamedTempFile),
}

impl OutputFile {
    /// Prepares an output. Nothing is there under its name until [`commit`](Self::commit).
    ///
    /// # Errors
    /// If the file exists and must not be replaced, is one of the inputs, or cannot be written.
    pub fn create(path: &Path, options: OutputOptions) -> Result<Self, OutputError> {
        let fail = |source| OutputError::Io { path: path.to_owned(), source };
        let real = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path).map_err(fail)?,
            _ => path.to_owned(),
        };
        let direct =
            || OpenOptions::new().write(true).open(&real).map(|file| Target::Direct(Some(file)));
        let target = match fs::metadata(&real) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(fail(io::ErrorKind::IsADirectory.into()));
            }
            Ok(_) if options.inputs.iter().any(|input| is_same_file(input, &real)) => {
                return Err(OutputError::IsInput(path.to_owned()));
            }
            Ok(metadata) if is_stream(&metadata) => direct().map_err(fail)?,
            Ok(_) if !options.replace => return Err(OutputError::Exists(path.to_owned())),
            Ok(metadata) if !metadata.is_file() => direct().map_err(fail)?,
            _ if options.resumable => resumable(&real)?,
            _ => Target::Temporary(temporary(&real, options.private).map_err(fail)?),
        };
        Ok(Self { path: real, target, replace: options.replace })
    }

    /// Wraps an open file, such as standard output, that is written to as it is.
    #[must_use]
    pub fn direct(path: impl Into<PathBuf>, file: File) -> Self {
        Self { path: path.into(), target: Target::Direct(Some(file)), replace: false }
    }

    /// Returns the path that is written, which is the target of a link.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file if it is our own, so that it may be written in any order.
    #[must_use]
    pub fn file(&self) -> Option<&File> {
        match &self.target {
            Target::Temporary(file) => Some(file.as_file()),
            Target::Resumable { file, .. } => Some(file),
            Target::Direct(_) => None,
        }
    }

    /// Discards what was written so far, and what an earlier run left.
    ///
    /// # Errors
    /// If the file cannot be truncated.
    pub fn restart(&self) -> Result<(), OutputError> {
        if let Some(journal) = self.journal_path() {
            match fs::remove_file(journal) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.fail(error));
                }
                _ => {}
            }
        }
        let Some(mut file) = self.file() else { return Ok(()) };
        let emptied = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
        emptied.map(|_| ()).map_err(|error| self.fail(error))
    }

    /// Returns whether nobody sees what is written before [`commit`](Self::commit).
    #[must_use]
    pub const fn is_held_back(&self) -> bool {
        !matches!(self.target, Target::Direct(_))
    }

    /// Returns the path of the file beside the target that is written until
    /// [`commit`](Self::commit).
    #[must_use]
    pub fn working_path(&self) -> Option<&Path> {
        match &self.target {
            Target::Direct(_) => None,
            Target::Resumable { working, .. } => Some(working),
            Target::Temporary(file) => Some(file.path()),
        }
    }

    /// Returns the path of the journal of a resumable output.
    #[must_use]
    pub fn journal_path(&self) -> Option<&Path> {
        match &self.target {
            Target::Resumable { journal, .. } => Some(journal),
            Target::Direct(_) | Target::Temporary(_) => None,
        }
    }

    /// Gives a finished output its name.
    ///
    /// # Errors
    /// If a file of that name appeared in the meantime and must not be replaced, or writing fails.
    pub fn commit(mut self) -> Result<(), OutputError> {
        self.settle()?;
        self.publish()
    }

    /// Gives two finished outputs their names: both, or none.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_both(mut self, mut other: Self) -> Result<(), OutputError> {
        self.settle()?;
        other.settle()?;
        let held_back = self.is_held_back();
        let old = self.keep_old()?;
        self.publish()?;
        if let Err(error) = other.publish() {
            match old {
                Some(old) => drop(old.persist(&self.path)),
                None if held_back => drop(fs::remove_file(&self.path)),
                None => {}
            }
            return Err(error);
        }
        Ok(())
    }

    /// Returns an error that names the file.
    pub(crate) fn fail(&self, source: io::Error) -> OutputError {
        OutputError::Io { path: self.path.clone(), source }
    }

    /// Waits for the disk before the file has its name: a crash leaves the old file or the new one.
    fn settle(&mut self) -> Result<(), OutputError> {
        let outcome = match &mut self.target {
            Target::Direct(Some(file)) => file.flush(),
            Target::Direct(None) => Ok(()),
            Target::Resumable { file, .. } => file.sync_all(),
            Target::Temporary(file) => file.as_file().sync_all(),
        };
        outcome.map_err(|error| self.fail(error))
    }

    /// Gives the file that is about to be replaced a second name, or a copy where the file system
    /// has no second names.
    fn keep_old(&self) -> Result<Option<TempPath>, OutputError> {
        if !self.is_held_back() || !self.path.is_file() {
            return Ok(None);
        }
        let keep = |name: &Path| {
            fs::hard_link(&self.path, name).or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Err(error),
                _ => fs::copy(&self.path, name).map(|_| ()),
            })
        };
        let mut builder = tempfile::Builder::new();
        let old = builder.prefix(".envelope-old-").make_in(folder(&self.path), keep);
        Ok(Some(old.map_err(|error| self.fail(error))?.into_temp_path()))
    }

    fn publish(&mut self) -> Result<(), OutputError> {
        let outcome = match std::mem::replace(&mut self.target, Target::Direct(None)) {
            Target::Direct(file) => {
                self.target = Target::Direct(file);
                return Ok(());
            }
            Target::Temporary(file) => {
                publish(file.into_temp_path(), &self.path, self.replace).map_err(|(_, error)| error)
            }
            Target::Resumable { working, file, .. } => {
                let kept = working.clone();
                let published = TempPath::try_from_path(working).and_then(|path| {
                    publish(path, &self.path, self.replace).map_err(|(path, error)| {
                        // It was not published, but it is complete.
                        let _ = path.keep();
                        error
                    })
                });
                // The lock ends here, when the file has its name.
                drop(file);
                let path = self.path.clone();
                published.map_err(|source| OutputError::Unpublished { path, kept, source })?;
                Ok(())
            }
        };
        match outcome {
            Ok(()) => {
                // The new name, too. Not every file system can, and nothing is lost if not.
                let _ = File::open(folder(&self.path)).and_then(|folder| folder.sync_all());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(OutputError::Exists(self.path.clone()))
            }
            Err(error) => Err(self.fail(error)),
        }
    }
}

impl Drop for OutputFile {
    /// Removes a working file that no journal describes.
    fn drop(&mut self) {
        if let Target::Resumable { working, journal, .. } = &self.target
            && !journal.exists()
        {
            let _ = fs::remove_file(working);
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Direct(Some(file)) | Target::Resumable { file, .. } => file.write(data),
            Target::Temporary(file) => file.as_file_mut().write(data),
            Target::Direct(None) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Renames a file, replacing an existing one or not. Not replacing needs neither hard links nor an
/// exclusive rename: where the file system has neither, an empty file claims the name first.
fn publish(from: TempPath, to: &Path, replace: bool) -> Result<(), (TempPath, io::Error)> {
    let rename = |from: TempPath| from.persist(to).map_err(|error| (error.path, error.error));
    if replace {
        return rename(from);
    }
    match from.persist_noclobber(to) {
        Ok(()) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err((error.path, error.error))
        }
        Err(error) => match OpenOptions::new().write(true).create_new(true).open(to) {
            Ok(_) => rename(error.path).inspect_err(|_| drop(fs::remove_file(to))),
            Err(claim) => Err((error.path, claim)),
        },
    }
}

fn temporary(path: &Path, private: bool) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".envelope-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = if private { 0o600 } else { 0o666 };
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = private;
    builder.tempfile_in(folder(path))
}

/// What the names of files begin with that are written beside their targets.
const WORKING: &str = ".envelope-";

/// Returns whether a name may be that of a file that is being written, or its journal.
pub(crate) fn is_working_name(name: &str) -> bool {
    name.starts_with(WORKING)
}

/// The names beside a target that a later run finds again. They are short, whatever the target's
/// is.
fn resumable(path: &Path) -> Result<Target, OutputError> {
    let name = path.file_name().unwrap_or_default();
    let digest = Crc64::of(name.as_encoded_bytes());
    let beside = |what| folder(path).join(format!("{WORKING}{digest:016x}.{what}"));
    let (working, journal) = (beside("part"), beside("state"));
    let file = open_private(&working).map_err(|error| match error {
        TransferError::Io(source) => OutputError::Io { path: path.to_owned(), source },
        _ => OutputError::Locked(path.to_owned()),
    })?;
    Ok(Target::Resumable { working, journal, file })
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns whether a file is a terminal, a pipe or the like: it is written to as it is, and not
/// destroyed by that.
fn is_stream(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        let kind = metadata.file_type();
        kind.is_char_device() || kind.is_fifo() || kind.is_socket()
    }
    #[cfg(not(unix))]
    {
        !metadata.is_file()
    }
}

/// Returns whether two paths are one file, by whatever names.
#[must_use]
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let id = |path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
        matches!((id(one), id(other)), (Ok(a), Ok(b)) if a == b)
    }
    #[cfg(not(unix))]
    {
        matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(a), Ok(b)) if a == b)
    }
}

/// An error from an output file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The file exists, and must not be replaced.
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    /// The file is also an input.
    #[error("{} is also the input", .0.display())]
    IsInput(PathBuf),
    /// The file cannot be written.
    #[error("{} cannot be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process is writing the file.
    #[error("{} is being written by another process", .0.display())]
    Locked(PathBuf),
    /// The file is complete, but could not be given its name.
    #[error("{} could not be replaced; the complete file is {}", path.display(), kept.display())]
    Unpublished {
        /// The file.
        path: PathBuf,
        /// Where the complete file is.
        kept: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(path: &Path, replace: bool) -> OutputFile {
        OutputFile::create(path, OutputOptions::new().with_replace(replace)).unwrap()
    }

    #[test]
    fn a_failed_pair_leaves_the_old_pair() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        for (old, want) in [(Some("old"), Some("old")), (None, None)] {
            if let Some(old) = old {
                fs::write(&one, old).unwrap();
            }
            let create = |path: &Path| {
                let mut output = create(path, true);
                output.write_all(b"new").unwrap();
                output
            };
            let (first, second) = (create(&one), create(&other));
            // A folder takes the second name in between.
            fs::create_dir(&other).unwrap();
            assert!(first.commit_both(second).is_err());
            assert_eq!(fs::read_to_string(&one).ok().as_deref(), want);
            fs::remove_dir(&other).unwrap();
            let _ = fs::remove_file(&one);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no temporary files");
        }
        create(&one, false).commit_both(create(&other, false)).unwrap();
        assert!(one.is_file() && other.is_file());
    }

    #[test]
    fn names_of_every_length_and_nothing_is_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["n".to_owned(), "n".repeat(240), "n".repeat(255)] {
            for resumable in [false, true] {
                let path = folder.path().join(&name);
                let options = OutputOptions::new().with_resumable(resumable);
                let mut output = OutputFile::create(&path, options.clone()).unwrap();
                output.write_all(b"new").unwrap();
                // Somebody else's, of a moment ago.
                fs::write(&path, b"theirs").unwrap();
                match output.commit() {
                    Err(OutputError::Exists(_)) => assert!(!resumable),
                    Err(OutputError::Unpublished { kept, .. }) => {
                        assert!(resumable && fs::read(kept).unwrap() == b"new");
                    }
                    other => panic!("{other:?}"),
                }
                assert_eq!(fs::read(&path).unwrap(), b"theirs");
                let options = options.with_replace(true);
                let mut output = OutputFile::create(&path, options).unwrap();
                output.restart().unwrap();
                output.write_all(b"newer").unwrap();
                output.commit().unwrap();
                assert_eq!(fs::read(&path).unwrap(), b"newer");
                fs::remove_file(&path).unwrap();
            }
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_process_at_a_time_until_the_file_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let options = OutputOptions::new().with_resumable(true).with_replace(true);
        let mut output = OutputFile::create(&path, options.clone()).unwrap();
        output.write_all(b"first").unwrap();
        let second = OutputFile::create(&path, options.clone());
        assert!(matches!(second, Err(OutputError::Locked(_))));
        // A process that opened the working file just before it got its name must not get hold of
        // the published file.
        let working = output.working_path().unwrap().to_owned();
        let waiting = File::options().read(true).write(true).open(&working).unwrap();
        output.commit().unwrap();
        waiting.try_lock().unwrap();
        drop(waiting);
        OutputFile::create(&path, options.clone()).unwrap().restart().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        // Without a journal, nothing can be resumed, and nothing is left.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let output = OutputFile::create(&path, options).unwrap();
        fs::write(output.journal_path().unwrap(), b"").unwrap();
        drop(output);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_pipes_stay_what_they_are_and_links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        for resumable in [false, true] {
            let options = OutputOptions::new().with_replace(true).with_resumable(resumable);
            let mut null = OutputFile::create(Path::new("/dev/null"), options.clone()).unwrap();
            assert!(!null.is_held_back() && null.working_path().is_none());
            null.write_all(b"gone").unwrap();
            null.commit().unwrap();
            assert!(!fs::metadata("/dev/null").unwrap().is_file());

            let (target, link) = (folder.path().join("target"), folder.path().join("link"));
            fs::write(&target, b"old").unwrap();
            std::os::unix::fs::symlink(&target, &link).unwrap();
            let mut output = OutputFile::create(&link, options).unwrap();
            output.write_all(b"new").unwrap();
            output.commit().unwrap();
            assert!(link.symlink_metadata().unwrap().is_symlink());
            assert_eq!(fs::read(&target).unwrap(), b"new");
            fs::remove_file(&link).unwrap();
        }
    }
}
