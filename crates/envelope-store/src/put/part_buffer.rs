//! Reusable buffers for parts, so that memory is held only for parts in flight.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

/// The buffers that are not in use.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer that returns to its pool when its last user drops it.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    pool: Pool,
}

impl Pool {
    /// Takes a buffer, whose content is unspecified.
    pub(super) fn take(&self) -> Buffer {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: free.unwrap_or_default(), pool: self.clone() }
    }
}

impl Buffer {
    pub(super) const fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        self.pool.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_used_again() {
        let pool = Pool::default();
        let mut buffer = pool.take();
        buffer.bytes().resize(100, 7);
        let address = buffer.bytes().as_ptr();
        let bytes = buffer.freeze();
        assert_eq!(&bytes[..], [7; 100]);
        let same = bytes.clone();
        drop(bytes);
        assert!(pool.take().bytes().is_empty());
        drop(same);
        assert_eq!(pool.take().bytes().as_ptr(), address);
    }
}
