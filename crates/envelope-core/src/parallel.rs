//! Encryption of one large buffer on several cores.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    thread,
};

use crate::ContentCipher;

/// The minimum number of bytes per thread. Starting one takes as long as encrypting about 0.3 MiB.
const LEAST: usize = 1 << 20;

impl ContentCipher {
    /// Applies the keystream starting at byte `offset` of the object, as
    /// [`at(offset).apply(data)`](crate::Keystream::apply) does, on up to `threads` threads. Less
    /// than 2 MiB of data is processed on the calling thread.
    ///
    /// Two threads saturate the memory bus of most machines. If the system cannot start more
    /// threads, the existing ones do the work.
    pub fn apply_parallel(&self, offset: u64, data: &mut [u8], threads: NonZeroUsize) {
        let pieces = threads.get().min(data.len() / LEAST).max(1);
        let piece = data.len().div_ceil(pieces).next_multiple_of(16).max(16);
        // Aligns every piece but the first to a block of the object.
        let lead = usize::try_from(offset.wrapping_neg() % 16).unwrap_or_default();
        let (first, rest) = data.split_at_mut(piece.saturating_add(lead).min(data.len()));
        let mut position = offset;
        let queue: Vec<(u64, &mut [u8])> = std::iter::once(first)
            .chain(rest.chunks_mut(piece))
            .map(|piece| {
                let start = position;
                position = position.wrapping_add(piece.len() as u64);
                (start, piece)
            })
            .collect();
        let queue = Mutex::new(queue);
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let work = || {
            while let Some((start, piece)) = next() {
                self.at(start).apply(piece);
            }
        };
        thread::scope(|scope| {
            for _ in 1..pieces {
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_as_on_one_thread() {
        let key = crate::hazmat::content_key(
            meta_codec::ContentAlgorithm::Aes256Ctr,
            meta_codec::IvForm::Wrapped,
            Some(&[3; 32]),
            Some(&[0xff; 16]),
        );
        let cipher = ContentCipher::new(&key.unwrap()).unwrap();
        for threads in [1, 2, 3, 7] {
            for len in [0, 1, 100, LEAST, 2 * LEAST + 1, 3 * LEAST - 1, 5 * LEAST + 12_345] {
                for offset in [0, 5, 1 << 40, (1 << 36) - 1] {
                    let (mut want, mut got) = (vec![1; len], vec![1; len]);
                    cipher.at(offset).apply(&mut want);
                    cipher.apply_parallel(offset, &mut got, NonZeroUsize::new(threads).unwrap());
                    assert!(got == want, "{threads} {len} {offset}");
                }
            }
        }
    }
}
