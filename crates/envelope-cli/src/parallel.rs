//! Encryption or decryption of one file into another on several cores.

use std::{
    fs::File,
    io,
    num::NonZeroUsize,
    os::unix::fs::FileExt as _,
    panic,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use envelope_core::{ContentCipher, Crc64};
use indicatif::ProgressBar;
use zeroize::Zeroizing;

use crate::{failure::Failure, progress};

/// Size of a chunk: it fits the second-level cache of a core, and makes the cost of a system call
/// negligible.
const CHUNK: u64 = 256 * 1024;
/// Most bytes that one worker takes at a time.
const RUN: u64 = 16 << 20;
/// Fewest bytes for which starting a worker pays off.
const LEAST: u64 = 1 << 20;

/// A pass that applies the keystream to bytes of one file and writes them to another.
///
/// Each worker reads, encrypts and writes chunks of its own at their offsets. No worker waits for
/// another, because CTR needs no order.
pub(crate) struct FilePass<'a> {
    pub(crate) cipher: &'a ContentCipher,
    pub(crate) from: &'a File,
    /// The offset in `from`, and in the object, at which the pass starts.
    pub(crate) start: u64,
    /// The number of bytes to process.
    pub(crate) len: u64,
    pub(crate) to: &'a File,
    pub(crate) threads: NonZeroUsize,
    /// `true` to compute the CRC-64 of the written bytes.
    pub(crate) sum: bool,
    pub(crate) from_path: &'a Path,
    pub(crate) to_path: &'a Path,
}

/// The start of a run of bytes, and its checksum.
type Done = (u64, Crc64);

impl FilePass<'_> {
    /// Runs the pass and returns the CRC-64 of the written bytes, if requested.
    ///
    /// If `to_the_end`, the input must end exactly `len` bytes after `start`; otherwise it has
    /// changed.
    pub(crate) fn run(self, to_the_end: bool) -> Result<Option<Crc64>, Failure> {
        let bar = progress::bar(Some(self.len));
        self.to.set_len(self.len).map_err(|error| Failure::io(self.to_path, &error))?;
        let workers = (self.threads.get() as u64).min(self.len.div_ceil(LEAST)).max(1);
        // Several runs per worker, so that none waits long for the others at the end.
        let run = (self.len / workers / 4).next_multiple_of(CHUNK).clamp(CHUNK, RUN);
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let work = || self.work(run, &next, &stop, &bar);
        let outcomes: Vec<Result<Vec<Done>, Failure>> = thread::scope(|scope| {
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
        if to_the_end {
            let end = self.start.saturating_add(self.len);
            let more = self.from.read_at(&mut [0], end);
            if more.map_err(|error| Failure::io(self.from_path, &error))? > 0 {
                return Err(Failure::changed());
            }
        }
        bar.finish_and_clear();
        done.sort_unstable_by_key(|(start, _)| *start);
        let mut sum = Crc64::new();
        for (_, run) in &done {
            sum.append(run);
        }
        Ok(self.sum.then_some(sum))
    }

    /// Processes run after run, as one worker, until none is left or a worker has failed.
    fn work(
        &self,
        run: u64,
        next: &AtomicU64,
        stop: &AtomicBool,
        bar: &ProgressBar,
    ) -> Result<Vec<Done>, Failure> {
        let capacity = usize::try_from(CHUNK.min(self.len)).unwrap_or_default();
        let mut buffer = Zeroizing::new(vec![0; capacity]);
        let mut done = Vec::new();
        loop {
            let start = next.fetch_add(run, Ordering::Relaxed);
            if start >= self.len || stop.load(Ordering::Relaxed) {
                return Ok(done);
            }
            let len = run.min(self.len.saturating_sub(start));
            let outcome = self.pass(start, len, &mut buffer, bar);
            let sum = outcome.inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
            done.push((start, sum));
        }
    }

    /// Processes one run of bytes and returns its checksum, if requested.
    fn pass(
        &self,
        start: u64,
        len: u64,
        buffer: &mut [u8],
        bar: &ProgressBar,
    ) -> Result<Crc64, Failure> {
        let mut sum = Crc64::new();
        let mut keystream = self.cipher.at(self.start.saturating_add(start));
        let (mut position, mut left) = (start, len);
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let Some(data) = buffer.get_mut(..piece) else { break };
            let source = self.start.saturating_add(position);
            self.from.read_exact_at(data, source).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Failure::changed(),
                _ => Failure::io(self.from_path, &error),
            })?;
            if self.sum {
                keystream.encrypt_summed(data, &mut sum);
            } else {
                keystream.apply(data);
            }
            let written = self.to.write_all_at(data, position);
            written.map_err(|error| Failure::io(self.to_path, &error))?;
            position = position.saturating_add(piece as u64);
            left = left.saturating_sub(piece as u64);
            bar.inc(piece as u64);
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use envelope_core::{AesKeyWrapper, Encryptor};
    use meta_codec::Dialect;

    use super::*;

    /// Returns the outcome of a pass over a file of `is` bytes that was `was` bytes long before.
    fn pass(was: u64, is: usize, threads: usize) -> Result<bool, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let plain: Vec<u8> = (0..=250).cycle().take(is).collect();
        fs::write(&from, &plain).unwrap();
        let key = AesKeyWrapper::generate().unwrap();
        let (_, cipher) = Encryptor::new(&key, Dialect::COS_V2).encrypt().unwrap();
        let pass = FilePass {
            cipher: &cipher,
            from: &File::open(&from).unwrap(),
            start: 0,
            len: was,
            to: &File::create(&to).unwrap(),
            threads: NonZeroUsize::new(threads).unwrap(),
            sum: true,
            from_path: &from,
            to_path: &to,
        };
        let got = pass.run(true)?.unwrap();
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
}
