//! The source file of an upload.

use std::{
    fs::{File, Metadata},
    io,
    ops::Range,
    path::Path,
    sync::{Arc, Weak},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use envelope_core::{CtrCipher, io::PositionedFile as _};

use crate::TransferError;

/// Number of bytes read at a time where all of a file is read before any of it is sent.
const PIECE: u64 = 256 << 10;

/// An open file, with its length and modification time when it was opened.
#[derive(Clone)]
pub(super) struct Source {
    file: Arc<File>,
    len: u64,
    modified: u64,
    /// The cipher that a temporary file is encrypted with.
    cover: Option<Arc<CtrCipher>>,
}

/// Reads the next piece of a part into a buffer, and returns whether there is one.
pub(super) type Pieces<'a> = &'a mut dyn FnMut(&mut Vec<u8>) -> Result<bool, TransferError>;

impl Source {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    pub(super) fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            let words = "not a regular file; use `-` for a stream";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        let (len, modified) = (metadata.len(), nanoseconds(&metadata));
        Ok(Self { file: Arc::new(file), len, modified, cover: None })
    }

    /// Decrypts the file with `cover` as it is read.
    pub(super) fn covered(self, cover: CtrCipher) -> Self {
        Self { cover: Some(Arc::new(cover)), ..self }
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Returns the same file, to be read from its beginning.
    pub(super) fn open_again(&self) -> io::Result<tokio::fs::File> {
        Ok(tokio::fs::File::from_std(self.file.try_clone()?))
    }

    /// Reads bytes on a thread that may block.
    pub(super) async fn read(&self, start: u64, len: u64) -> Result<Vec<u8>, TransferError> {
        let own = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            own.read_into(&mut bytes, start, len).map(|()| bytes)
        });
        done.await.map_err(io::Error::other)?
    }

    /// Reads bytes on this thread, replacing the contents of the buffer.
    pub(super) fn read_into(
        &self,
        bytes: &mut Vec<u8>,
        start: u64,
        len: u64,
    ) -> Result<(), TransferError> {
        #[cfg(test)]
        tests::before_read(&self.file, start);
        bytes.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        self.file.read_fully_at(bytes, start).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => TransferError::SourceChanged,
            _ => error.into(),
        })?;
        if let Some(cover) = &self.cover {
            cover.at(start).apply(bytes);
        }
        Ok(())
    }

    /// Detects that something was appended, or cut off, since the file was opened.
    pub(super) fn check_len(&self) -> Result<(), TransferError> {
        if self.file.metadata()?.len() == self.len {
            Ok(())
        } else {
            Err(TransferError::SourceChanged)
        }
    }

    /// Detects most changes since the file was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), TransferError> {
        let now = self.file.metadata()?;
        if (now.len(), nanoseconds(&now)) == (self.len, self.modified) {
            Ok(())
        } else {
            Err(TransferError::SourceChanged)
        }
    }

    /// Computes something of each part of this size, on several threads. If the future is dropped,
    /// they soon end.
    pub(super) async fn over_parts<T: Send + 'static>(
        &self,
        part_size: u64,
        work: impl Fn(Range<u64>, Pieces<'_>) -> Result<T, TransferError> + Send + Sync + 'static,
    ) -> Result<Vec<T>, TransferError> {
        let (own, wanted) = (self.clone(), Arc::new(()));
        let is_wanted = Arc::downgrade(&wanted);
        let done = tokio::task::spawn_blocking(move || own.scan(part_size, &is_wanted, &work));
        let done = done.await;
        drop(wanted);
        done.map_err(io::Error::other)?
    }

    fn scan<T: Send>(
        &self,
        part_size: u64,
        wanted: &Weak<()>,
        work: &(impl Fn(Range<u64>, Pieces<'_>) -> Result<T, TransferError> + Sync),
    ) -> Result<Vec<T>, TransferError> {
        let threads = thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
        let count = self.len.div_ceil(part_size.max(1)).max(1);
        let share = count.div_ceil(threads).max(1);
        let one = |number: u64| {
            let mut at = number.saturating_mul(part_size);
            let part = at..at.saturating_add(part_size).min(self.len);
            let end = part.end;
            work(part, &mut |piece| {
                if wanted.strong_count() == 0 {
                    return Err(TransferError::Stopped);
                }
                let len = PIECE.min(end.saturating_sub(at));
                if len > 0 {
                    self.read_into(piece, at, len)?;
                }
                at = at.saturating_add(len);
                Ok(len > 0)
            })
        };
        thread::scope(|scope| {
            let starts = (0..threads).map(|n| n.saturating_mul(share)).take_while(|it| *it < count);
            let running: Vec<_> = starts
                .map(|start| {
                    let numbers = start..start.saturating_add(share).min(count);
                    scope.spawn(move || numbers.map(one).collect::<Result<Vec<T>, _>>())
                })
                .collect();
            let mut parts = Vec::new();
            for thread in running {
                let failed = |_| io::Error::other("a thread that read the file panicked");
                parts.extend(thread.join().map_err(failed)??);
            }
            Ok(parts)
        })
    }
}

fn nanoseconds(metadata: &Metadata) -> u64 {
    let time = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        fs::File,
        sync::{Mutex, PoisonError},
    };

    #[cfg(unix)]
    use {
        crate::{MemoryStore, Put, Store as _, TransferError},
        envelope_core::{AesKeyWrapper, Dialect, Encryptor},
        std::{
            sync::Arc,
            time::{Duration, SystemTime},
        },
    };

    type Hook = Box<dyn FnMut(u64) + Send>;

    /// What happens before each read of one file, which is known by its inode.
    static HOOKS: Mutex<Vec<(u64, Hook)>> = Mutex::new(Vec::new());

    /// Calls a function with the position of each read of a file, before it, until what this
    /// returns is dropped. It must not outlive the file: another one may get its inode.
    #[cfg(unix)]
    pub(in crate::put) fn on_read(file: &File, hook: impl FnMut(u64) + Send + 'static) -> Hooked {
        let mut hooks = HOOKS.lock().unwrap_or_else(PoisonError::into_inner);
        let inode = inode(file);
        hooks.retain(|(other, _)| *other != inode);
        hooks.push((inode, Box::new(hook)));
        Hooked(inode)
    }

    #[must_use]
    pub(in crate::put) struct Hooked(u64);

    impl Drop for Hooked {
        fn drop(&mut self) {
            let mut hooks = HOOKS.lock().unwrap_or_else(PoisonError::into_inner);
            hooks.retain(|(inode, _)| *inode != self.0);
        }
    }

    pub(super) fn before_read(file: &File, start: u64) {
        let mut hooks = HOOKS.lock().unwrap_or_else(PoisonError::into_inner);
        let inode = inode(file);
        if let Some((_, hook)) = hooks.iter_mut().find(|(other, _)| *other == inode) {
            hook(start);
        }
    }

    #[cfg(unix)]
    fn inode(file: &File) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        file.metadata().map_or(0, |metadata| metadata.ino())
    }

    #[cfg(not(unix))]
    fn inode(_: &File) -> u64 {
        0
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_that_changes_while_it_is_uploaded_is_noticed() {
        const LEN: u64 = (1 << 20) + 5;
        let key = AesKeyWrapper::generate().unwrap();
        let encryptor = Encryptor::new(&key, Dialect::COS_V2);
        for change in ["nothing", "time", "length"] {
            for (threshold, is_stored) in [(LEN, false), (1000, false), (LEN, true), (1000, true)] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("file");
                std::fs::write(&path, vec![7; usize::try_from(LEN).unwrap()]).unwrap();
                let file = File::options().write(true).open(&path).unwrap();
                let of_hook = file.try_clone().unwrap();
                let _hooked = on_read(&file, move |_| match change {
                    "time" => {
                        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
                        of_hook.set_modified(time).unwrap();
                    }
                    "length" => of_hook.set_len(LEN + 1).unwrap(),
                    _ => {}
                });
                let store = Arc::new(MemoryStore::new());
                let put = Put::new(store.clone(), "key").with_threshold(threshold);
                let put = put.with_part_size(1 << 20);
                let outcome = if is_stored {
                    put.stored(&path).await
                } else {
                    put.file(&path, &encryptor, None).await
                };
                let case = format!("{change} {threshold} {is_stored}: {outcome:?}");
                let is_noticed = matches!(outcome, Err(TransferError::SourceChanged));
                assert_eq!(is_noticed, change != "nothing", "{case}");
                assert_eq!(store.head("key").await.is_ok(), change == "nothing", "{case}");
                assert!(store.list_multipart_uploads("key").await.unwrap().is_empty(), "{case}");
            }
        }
    }
}
