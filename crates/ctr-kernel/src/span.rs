//! Source and destination of the data.

use std::{marker::PhantomData, slice};

/// A source and a destination of equal length, which are either identical or do not overlap.
///
/// `from` is valid for reads and `to` for writes of `len` bytes during `'a`.
pub(crate) struct Span<'a> {
    from: *const u8,
    to: *mut u8,
    len: usize,
    memory: PhantomData<&'a mut [u8]>,
}

impl<'a> Span<'a> {
    /// Creates a span that reads and writes the same bytes.
    pub(crate) const fn in_place(data: &'a mut [u8]) -> Self {
        let (to, len) = (data.as_mut_ptr(), data.len());
        Self { from: to.cast_const(), to, len, memory: PhantomData }
    }

    /// Creates a span that reads `from` and writes `to`, truncated to the shorter of the two.
    pub(crate) fn between(from: &'a [u8], to: &'a mut [u8]) -> Self {
        let len = from.len().min(to.len());
        Self { from: from.as_ptr(), to: to.as_mut_ptr(), len, memory: PhantomData }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Splits off the first `at` bytes, or all of them if the span is shorter.
    pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
        let at = at.min(self.len);
        let (from, to) = (self.from.wrapping_add(at), self.to.wrapping_add(at));
        let rest = Self { from, to, len: self.len.saturating_sub(at), memory: PhantomData };
        (Self { len: at, ..self }, rest)
    }

    /// Returns a pointer to the source, which is valid for reads of `len` bytes.
    pub(crate) const fn from(&self) -> *const u8 {
        self.from
    }

    /// Returns a pointer to the destination, which is valid for writes of `len` bytes.
    pub(crate) const fn to(&self) -> *mut u8 {
        self.to
    }

    /// Copies the source to the destination, so that the caller can work in place.
    pub(crate) fn into_copied(self) -> &'a mut [u8] {
        if !self.is_in_place() {
            // SAFETY: both are valid for `len` bytes and do not overlap, as the type guarantees.
            unsafe { self.from.copy_to_nonoverlapping(self.to, self.len) };
        }
        // SAFETY: `len` initialized bytes to which the span has exclusive access during `'a`.
        unsafe { slice::from_raw_parts_mut(self.to, self.len) }
    }

    fn is_in_place(&self) -> bool {
        std::ptr::eq(self.from, self.to)
    }
}
