//! Bytes that go in and out, without copies where the interpreter guarantees that nobody else
//! changes them.

use pyo3::{
    buffer::PyBuffer,
    exceptions::{PyBufferError, PyMemoryError, PyTypeError},
    prelude::*,
    types::PyBytes,
};
use zeroize::Zeroizing;

/// From here on, the interpreter's lock is released: less takes less time than that.
const LARGE: usize = 8 * 1024;
/// How much of a buffer is worked on at a time. It stays in the second-level cache.
pub(crate) const CHUNK: usize = 256 * 1024;

/// Bytes of a caller: those of `bytes` as they are, and a copy of every other buffer, which another
/// thread could change.
pub(crate) enum Input<'py> {
    Bytes(Bound<'py, PyBytes>),
    Copied(Zeroizing<Vec<u8>>),
}

impl<'py> Input<'py> {
    pub(crate) fn new(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self::Bytes(bytes.clone()));
        }
        let buffer = typed(object)?;
        let mut copied = room(buffer.item_count())?;
        copied.resize(buffer.item_count(), 0);
        buffer.copy_to_slice(object.py(), &mut copied)?;
        Ok(Self::Copied(copied))
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.as_bytes(),
            Self::Copied(bytes) => bytes,
        }
    }
}

/// Returns an empty vector with room for so many bytes.
pub(crate) fn room(len: usize) -> PyResult<Zeroizing<Vec<u8>>> {
    let mut bytes = Vec::new();
    // A cipher may add its tag.
    let len = len.saturating_add(32);
    bytes.try_reserve_exact(len).map_err(|_| PyMemoryError::new_err(()))?;
    Ok(Zeroizing::new(bytes))
}

/// Returns a copy of bytes.
pub(crate) fn copied(bytes: &[u8]) -> PyResult<Zeroizing<Vec<u8>>> {
    let mut copied = room(bytes.len())?;
    copied.extend_from_slice(bytes);
    Ok(copied)
}

/// Returns new `bytes`.
pub(crate) fn given<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, bytes.len(), |to| {
        to.copy_from_slice(bytes);
        Ok(())
    })
}

/// Returns the number of bytes in a buffer.
pub(crate) fn len_of(object: &Bound<'_, PyAny>) -> PyResult<usize> {
    Ok(typed(object)?.item_count())
}

/// Returns the bytes of an object with the buffer protocol.
fn typed(object: &Bound<'_, PyAny>) -> PyResult<PyBuffer<u8>> {
    let buffer = PyBuffer::get(object).map_err(|_| {
        let words = "a bytes-like object of unsigned bytes is required, such as bytes, bytearray, \
                     memoryview or a numpy array of uint8";
        PyTypeError::new_err(words)
    })?;
    if !buffer.is_c_contiguous() {
        return Err(PyBufferError::new_err("the buffer is not contiguous"));
    }
    Ok(buffer)
}

/// Runs `work`, without the interpreter's lock if there is much to do.
pub(crate) fn detached<T: Send>(py: Python<'_>, len: usize, work: impl FnOnce() -> T + Send) -> T {
    if len < LARGE { work() } else { py.detach(work) }
}

/// Returns new bytes of the length of `input` that `work` makes of it.
pub(crate) fn mapped<'py>(
    py: Python<'py>,
    input: &Input<'py>,
    work: impl FnOnce(&[u8], &mut [u8]) -> PyResult<()> + Send,
) -> PyResult<Bound<'py, PyBytes>> {
    let from = input.as_slice();
    PyBytes::new_with(py, from.len(), |to| detached(py, from.len(), || work(from, to)))
}

/// Calls `work` with one piece of a writable buffer after another, and puts back what it leaves.
///
/// The pieces are copied, because other threads can see the buffer while the lock is released.
pub(crate) fn in_place(
    object: &Bound<'_, PyAny>,
    mut work: impl FnMut(&mut [u8]) -> PyResult<()> + Send,
) -> PyResult<()> {
    let py = object.py();
    // It also keeps the buffer from being resized.
    let whole = typed(object)?;
    if whole.readonly() {
        return Err(PyBufferError::new_err("the buffer is read-only"));
    }
    let len = whole.item_count();
    if len == 0 {
        return Ok(());
    }
    let view = py.import("builtins")?.getattr("memoryview")?.call1((object,))?;
    let view = view.call_method1("cast", ("B",))?;
    let mut piece = Zeroizing::new(vec![0; len.min(CHUNK)]);
    let mut at = 0;
    while at < len {
        let end = len.min(at.saturating_add(CHUNK));
        let part = PyBuffer::<u8>::get(&view.get_item(pyo3::types::PySlice::new(
            py,
            isize::try_from(at)?,
            isize::try_from(end)?,
            1,
        ))?)?;
        let piece = piece.get_mut(..part.item_count()).unwrap_or_default();
        part.copy_to_slice(py, piece)?;
        detached(py, piece.len(), || work(piece))?;
        part.copy_from_slice(py, piece)?;
        at = end;
    }
    Ok(())
}
