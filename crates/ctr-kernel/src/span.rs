//! Where the data comes from and where it goes.

use std::{marker::PhantomData, slice};

/// Bytes to read and as many bytes to write: either the same memory, or memory that does not overlap.
///
/// `from` may be read and `to` may be written for `len` bytes, for as long as `'a`.
pub(crate) struct Span<'a> {
    from: *const u8,
    to: *mut u8,
    len: usize,
    memory: PhantomData<&'a mut [u8]>,
}

impl<'a> Span<'a> {
    /// Reads and writes the same bytes.
    pub(crate) const fn in_place(data: &'a mut [u8]) -> Self {
        let (to, len) = (data.as_mut_ptr(), data.len());
        Self { from: to.cast_const(), to, len, memory: PhantomData }
    }

    /// Reads `from` and writes `to`, as many bytes as both have.
    pub(crate) fn between(from: &'a [u8], to: &'a mut [u8]) -> Self {
        let len = from.len().min(to.len());
        Self { from: from.as_ptr(), to: to.as_mut_ptr(), len, memory: PhantomData }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The first `at` bytes, or all if there are not so many, and what is left.
    pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
        let at = at.min(self.len);
        let (from, to) = (self.from.wrapping_add(at), self.to.wrapping_add(at));
        let rest = Self { from, to, len: self.len.saturating_sub(at), memory: PhantomData };
        (Self { len: at, ..self }, rest)
    }

    /// The first byte to read. `len` bytes may be read.
    pub(crate) const fn from(&self) -> *const u8 {
        self.from
    }

    /// The first byte to write. `len` bytes may be written.
    pub(crate) const fn to(&self) -> *mut u8 {
        self.to
    }

    /// Copies what is to be read to where it is to be written, to go on in place.
    pub(crate) fn into_copied(self) -> &'a mut [u8] {
        if !self.is_in_place() {
            // SAFETY: `len` bytes may be read and written, and the two do not overlap: see the type.
            unsafe { self.from.copy_to_nonoverlapping(self.to, self.len) };
        }
        // SAFETY: `len` bytes, initialised, that nobody else may use during `'a`: see the type.
        unsafe { slice::from_raw_parts_mut(self.to, self.len) }
    }

    fn is_in_place(&self) -> bool {
        std::ptr::eq(self.from, self.to)
    }
}
