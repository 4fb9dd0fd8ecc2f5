//! Sequential copying from a stream to an output. One thread reads and computes, another writes.

use std::{
    io::{self, Read, Write as _},
    panic,
    path::{Path, PathBuf},
    sync::mpsc::sync_channel,
    thread,
};

use envelope_core::PlainDigest;
use zeroize::Zeroizing;

use crate::{checksum::Checksums, failure::Failure, output::Output, progress};

/// Size of a buffer, which fits the second-level cache of a core.
const CHUNK: usize = 256 * 1024;
/// Number of buffers: one being filled, one being written, and one waiting.
const BUFFERS: usize = 3;

type Buffer = Zeroizing<Vec<u8>>;

/// Copies all of `from`, which is read from `path`, to `to`, and returns the number of bytes.
pub(crate) fn copy(
    mut from: impl Read + Send + 'static,
    path: &Path,
    to: &mut Output,
    expected: Option<u64>,
    sums: &mut Checksums,
) -> Result<u64, Failure> {
    let bar = progress::bar(expected);
    let (fill, filled) = sync_channel::<(Buffer, usize)>(BUFFERS);
    let (give_back, spare) = sync_channel::<Buffer>(BUFFERS);
    for _ in 0..BUFFERS {
        let _ = give_back.send(Zeroizing::new(vec![0; CHUNK]));
    }
    let source: PathBuf = path.into();
    // Not a scoped thread, so that a failed output does not wait for input that may never come.
    let reader = thread::Builder::new().spawn(move || {
        while let Ok(mut buffer) = spare.recv() {
            match read(&mut from, &mut buffer) {
                Ok(0) => break,
                Ok(len) => drop(fill.send((buffer, len))),
                Err(error) => return Err(Failure::stream(&source, &error)),
            }
        }
        Ok(())
    });
    let reader = reader.map_err(|error| Failure::io(path, &error))?;

    let mut total: u64 = 0;
    for (buffer, len) in filled {
        let data = buffer.get(..len).unwrap_or_default();
        to.write_all(data).map_err(|error| Failure::io(to.path(), &error))?;
        sums.update(data);
        total = total.saturating_add(data.len() as u64);
        bar.set_position(total);
        let _ = give_back.send(buffer);
    }
    reader.join().unwrap_or_else(|payload| panic::resume_unwind(payload))?;
    bar.finish_and_clear();
    Ok(total)
}

/// Reads once, and retries if interrupted by a signal.
fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Computes the MD5 of all of `from`, which is read from `path`.
pub(crate) fn md5(mut from: impl Read, path: &Path) -> Result<[u8; 16], Failure> {
    let mut digest = PlainDigest::new();
    let mut buffer = Zeroizing::new(vec![0; CHUNK]);
    loop {
        match read(&mut from, &mut buffer).map_err(|error| Failure::stream(path, &error))? {
            0 => return Ok(digest.finish()),
            len => digest.update(buffer.get(..len).unwrap_or_default()),
        }
    }
}
