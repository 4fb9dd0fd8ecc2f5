//! Encryption or decryption of one file into another on several cores.

use std::{
    fs::File,
    io,
    num::NonZeroUsize,
    panic,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use zeroize::Zeroizing;

use super::PositionedFile as _;
use crate::{BodyDigest, BodyHasher, Crc64, CtrCipher, IntegrityError, Stretch, StretchHasher};

/// Size of a chunk: it fits the second-level cache of a core, and makes the cost of a system call
/// negligible.
const CHUNK: u64 = 256 * 1024;
/// The largest number of bytes that one worker takes at a time.
const MAX_RUN: u64 = 16 << 20;
/// The smallest number of bytes for which starting a worker pays off.
const MIN_WORK: u64 = 1 << 20;

/// A pass that applies the keystream of an AES-CTR object to bytes of one file and writes them to
/// another, on several cores.
///
/// Each worker reads, encrypts and writes chunks of its own at their offsets. No worker waits for
/// another, because CTR needs no order.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Dialect, Encryptor, io::FilePass};
///
/// # let folder = tempfile::tempdir()?;
/// # let (plain, body) = (folder.path().join("plain"), folder.path().join("body"));
/// # std::fs::write(&plain, vec![7; 3 << 20])?;
/// let object = Encryptor::new(&AesKeyWrapper::generate()?, Dialect::COS_V2).encrypt()?;
/// let (from, to) = (std::fs::File::open(&plain)?, std::fs::File::create(&body)?);
/// let len = from.metadata()?.len();
/// FilePass::new(object.cipher(), &from, 0..len, &to).run(|_| {})?;
/// # let mut want = vec![7; 3 << 20];
/// # object.cipher().at(0).apply(&mut want);
/// # assert!(std::fs::read(&body)? == want);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(missing_debug_implementations, reason = "borrows a secret, which is not printed")]
pub struct FilePass<'a> {
    cipher: &'a CtrCipher,
    from: &'a File,
    /// The offset in `from`, and in the object, at which the pass starts.
    start: u64,
    len: u64,
    to: &'a File,
    threads: NonZeroUsize,
    sum: bool,
    /// The hasher of the written bytes.
    hasher: Option<&'a BodyHasher>,
    to_the_end: bool,
}

/// The checksums that a pass computed besides its output.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PassSums {
    /// The CRC-64 of the written bytes, if it was asked for.
    pub crc64: Option<Crc64>,
    /// The hash of the written bytes, if a hasher was given and the range begins at 0.
    pub digest: Option<BodyDigest>,
}

/// A run of bytes that is done: its start, its checksum and its hash.
struct Done {
    start: u64,
    sum: Crc64,
    stretch: Option<Stretch>,
}

/// The state that all workers share.
struct Shared<'a> {
    run: u64,
    next: AtomicU64,
    stop: AtomicBool,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<'a> FilePass<'a> {
    /// Creates a pass from the bytes of `from`, which have these positions in the object, too, to
    /// the beginning of `to`. It uses all cores.
    #[must_use]
    pub fn new(
        cipher: &'a CtrCipher,
        from: &'a File,
        bytes: std::ops::Range<u64>,
        to: &'a File,
    ) -> Self {
        Self {
            cipher,
            from,
            start: bytes.start,
            len: bytes.end.saturating_sub(bytes.start),
            to,
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            sum: false,
            hasher: None,
            to_the_end: false,
        }
    }

    /// Sets the number of threads.
    #[must_use]
    pub const fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets whether the CRC-64 of the written bytes is computed.
    #[must_use]
    pub const fn with_sum(mut self, sum: bool) -> Self {
        self.sum = sum;
        self
    }

    /// Hashes the written bytes with the [hasher](crate::EncryptedObject::body_hasher) of an object
    /// that is to be sealed.
    #[must_use]
    pub const fn with_hasher(mut self, hasher: &'a BodyHasher) -> Self {
        self.hasher = Some(hasher);
        self
    }

    /// Sets whether `from` must end where the range ends; if it does not, `run` returns `Changed`.
    #[must_use]
    pub const fn with_end(mut self, to_the_end: bool) -> Self {
        self.to_the_end = to_the_end;
        self
    }

    /// Runs the pass. `progress` is called with the number of bytes of each chunk.
    ///
    /// If the cipher was made for reading the whole of a sealed object, what is read is compared
    /// with the seal; until this returns, what was written is unverified. To read a part of such an
    /// object, take the cipher from [`Decryptor::decrypt_range`](crate::Decryptor::decrypt_range).
    ///
    /// # Errors
    /// If a file cannot be read or written, is not as long as it should be, or does not match the
    /// seal.
    pub fn run(self, progress: impl Fn(u64) + Sync) -> Result<PassSums, FilePassError> {
        self.to.set_len(self.len).map_err(FilePassError::Write)?;
        let workers = (self.threads.get() as u64).min(self.len.div_ceil(MIN_WORK)).max(1);
        let shared = Shared {
            // Several runs per worker, so that none waits long for the others at the end.
            run: (self.len / workers / 4).next_multiple_of(CHUNK).clamp(CHUNK, MAX_RUN),
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            progress: &progress,
        };
        let work = || self.work(&shared);
        let outcomes: Vec<Result<Vec<Done>, FilePassError>> = thread::scope(|scope| {
            // If the system has no more threads, the existing ones do the work.
            let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            let others: Vec<_> = (1..workers).filter_map(spawn).collect();
            let mine = work();
            let join = |worker: thread::ScopedJoinHandle<'_, _>| {
                worker.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
            };
            std::iter::once(mine).chain(others.into_iter().map(join)).collect()
        });
        let mut done = Vec::new();
        for outcome in outcomes {
            done.extend(outcome?);
        }
        if self.to_the_end {
            let end = self.start.saturating_add(self.len);
            let more = self.from.read_some_at(&mut [0], end).map_err(FilePassError::Read)?;
            if more > 0 {
                return Err(FilePassError::Changed);
            }
        }
        done.sort_unstable_by_key(|run| run.start);
        let mut sum = Crc64::new();
        for run in &done {
            sum.append(&run.sum);
        }
        let stretches = done.into_iter().filter_map(|run| run.stretch);
        let digest = match (self.cipher.body_hasher(), self.hasher) {
            (Some(_), _) => {
                self.cipher.check_body(stretches)?;
                None
            }
            (None, Some(hasher)) => hasher.join(stretches),
            (None, None) => None,
        };
        Ok(PassSums { crc64: self.sum.then_some(sum), digest })
    }

    /// Processes run after run, as one worker, until none is left or a worker has failed.
    fn work(&self, shared: &Shared<'_>) -> Result<Vec<Done>, FilePassError> {
        let capacity = usize::try_from(CHUNK.min(self.len)).unwrap_or_default();
        let mut buffer = Zeroizing::new(vec![0; capacity]);
        let mut done = Vec::new();
        loop {
            let start = shared.next.fetch_add(shared.run, Ordering::Relaxed);
            if start >= self.len || shared.stop.load(Ordering::Relaxed) {
                return Ok(done);
            }
            let len = shared.run.min(self.len.saturating_sub(start));
            let outcome = self.pass(start, len, &mut buffer, shared.progress);
            done.push(outcome.inspect_err(|_| shared.stop.store(true, Ordering::Relaxed))?);
        }
    }

    /// Processes one run of bytes.
    fn pass(
        &self,
        start: u64,
        len: u64,
        buffer: &mut [u8],
        progress: &dyn Fn(u64),
    ) -> Result<Done, FilePassError> {
        let mut sum = Crc64::new();
        let first = self.start.saturating_add(start);
        let bytes = first..first.saturating_add(len);
        let mut of_source = self.cipher.body_hasher().map(|hasher| hasher.stretch(bytes.clone()));
        let mut of_target = self.hasher.map(|hasher| hasher.stretch(bytes));
        let mut keystream = self.cipher.at(self.start.saturating_add(start));
        let (mut position, mut left) = (start, len);
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let Some(data) = buffer.get_mut(..piece) else { break };
            let source = self.start.saturating_add(position);
            self.from.read_fully_at(data, source).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => FilePassError::Changed,
                _ => FilePassError::Read(error),
            })?;
            if !keystream.covers(data.len()) {
                return Err(FilePassError::TooLong);
            }
            if let Some(stretch) = &mut of_source {
                stretch.update(data);
            }
            if self.sum {
                keystream.encrypt_summed(data, &mut sum);
            } else {
                keystream.apply(data);
            }
            if let Some(stretch) = &mut of_target {
                stretch.update(data);
            }
            self.to.overwrite_at(data, position).map_err(FilePassError::Write)?;
            position = position.saturating_add(piece as u64);
            left = left.saturating_sub(piece as u64);
            progress(piece as u64);
        }
        let stretch = of_source.or(of_target).and_then(StretchHasher::finish);
        Ok(Done { start, sum, stretch })
    }
}

/// An error from a [`FilePass`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilePassError {
    /// The file is shorter or longer than it was said to be.
    #[error("the file changed while it was being read")]
    Changed,
    /// The file is not the body that was sealed.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// The range is longer than the content algorithm allows.
    #[error("the file is longer than the content algorithm allows")]
    TooLong,
    /// The file cannot be written.
    #[error("the file cannot be written")]
    Write(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use std::fs;

    use meta_codec::Dialect;

    use super::*;
    use crate::{AesKeyWrapper, Encryptor};

    /// Returns the outcome of a pass over a file of `is` bytes that was `was` bytes long before.
    fn pass(was: u64, is: usize, threads: usize) -> Result<bool, FilePassError> {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let plain: Vec<u8> = (0..=250).cycle().take(is).collect();
        fs::write(&from, &plain).unwrap();
        let key = AesKeyWrapper::generate().unwrap();
        let cipher = Encryptor::new(&key, Dialect::COS_V2).encrypt().unwrap().into_cipher();
        let (source, target) = (File::open(&from).unwrap(), File::create(&to).unwrap());
        let got = FilePass::new(&cipher, &source, 0..was, &target)
            .with_threads(NonZeroUsize::new(threads).unwrap())
            .with_sum(true)
            .with_end(true)
            .run(|_| {})?
            .crc64
            .unwrap();
        let mut body = plain;
        cipher.at(0).apply(&mut body);
        let mut want = Crc64::new();
        want.update(&body);
        Ok(fs::read(&to).unwrap() == body && got == want)
    }

    #[test]
    fn files_that_change_are_noticed() {
        for threads in [1, 2, 5] {
            for len in [0, 1, 16, 262_143, 262_145, 3 << 20, (5 << 20) + 7] {
                assert!(pass(len, usize::try_from(len).unwrap(), threads).unwrap(), "{len}");
            }
            assert!(pass(1000, 1001, threads).is_err());
            assert!(pass(1000, 999, threads).is_err());
            assert!(pass(0, 1, threads).is_err());
            assert!(pass(3 << 20, (3 << 20) - 1, threads).is_err());
            assert!(pass(3 << 20, (3 << 20) + 1, threads).is_err());
        }
    }

    /// A pass over a file of `len` bytes, with a keystream that ends at byte `end` of the object.
    fn ending(end: u64, bytes: std::ops::Range<u64>, len: usize) -> Result<(), FilePassError> {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.overwrite_at(&vec![7; len], 0).unwrap();
        let cipher = CtrCipher::with_counter(ctr_kernel::Aes256Ctr::new(&[7; 32]), 1, end);
        let wanted = bytes.clone();
        assert!(FilePass::new(&cipher, &from, bytes, &to).run(|_| {})?.crc64.is_none(), "no sum");
        let mut body = vec![7; usize::try_from(wanted.end - wanted.start).unwrap()];
        cipher.at(wanted.start).apply(&mut body);
        let mut written = vec![0; body.len()];
        to.read_fully_at(&mut written, 0).unwrap();
        assert!(written == body && to.metadata().unwrap().len() == body.len() as u64);
        Ok(())
    }

    #[test]
    fn each_failure_has_its_reason() {
        assert!(ending(100, 0..100, 100).is_ok() && ending(100, 30..100, 200).is_ok());
        assert!(matches!(ending(100, 0..101, 101), Err(FilePassError::TooLong)));
        assert!(matches!(ending(100, 30..101, 200), Err(FilePassError::TooLong)));
        assert!(matches!(ending(u64::MAX, 30..101, 100), Err(FilePassError::Changed)));
        let cipher = CtrCipher::with_counter(ctr_kernel::Aes256Ctr::new(&[7; 32]), 1, 100);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, [7; 100]).unwrap();
        let (reading, other) = (File::open(&path).unwrap(), tempfile::tempfile().unwrap());
        let writing = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let unread = FilePass::new(&cipher, &writing, 0..100, &other).run(|_| {});
        assert!(matches!(unread, Err(FilePassError::Read(_))));
        let unwritten = FilePass::new(&cipher, &reading, 0..100, &reading).run(|_| {});
        assert!(matches!(unwritten, Err(FilePassError::Write(_))));
    }

    #[test]
    fn every_worker_has_its_share_of_a_large_file() {
        use std::{
            collections::BTreeMap,
            sync::{Condvar, Mutex},
            time::Duration,
        };
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.set_len(8 << 20).unwrap();
        let cipher = CtrCipher::with_counter(ctr_kernel::Aes256Ctr::new(&[7; 32]), 1, u64::MAX);
        let (bytes, everybody) = (Mutex::new(BTreeMap::new()), Condvar::new());
        let pass = FilePass::new(&cipher, &from, 0..8 << 20, &to);
        let outcome = pass.with_threads(NonZeroUsize::new(4).unwrap()).run(|len| {
            let (mut bytes, worker) = (bytes.lock().unwrap(), format!("{:?}", thread::current()));
            let begins = !bytes.contains_key(&worker);
            *bytes.entry(worker).or_insert(0) += len;
            everybody.notify_all();
            // Nobody goes on before everybody has begun.
            if begins {
                let late = Duration::from_secs(20);
                drop(everybody.wait_timeout_while(bytes, late, |bytes| bytes.len() < 4).unwrap());
            }
        });
        assert!(outcome.is_ok());
        let bytes = bytes.into_inner().unwrap();
        assert_eq!((bytes.len(), bytes.values().sum::<u64>()), (4, 8 << 20), "{bytes:?}");
    }
}
