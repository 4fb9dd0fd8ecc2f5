//! State that one thread at a time works with.

use std::{
    process,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
};

use crate::buffer::detached;

/// A value that one thread at a time works with, without the interpreter's lock. The others wait
/// without it, too, and can be interrupted. After a fork, a value that was in use is lost.
pub(crate) struct Turn<T> {
    process: u32,
    /// The value is of no use in a forked process.
    is_bound: bool,
    state: Mutex<State<T>>,
}

enum State<T> {
    Idle(T),
    Busy,
    Gone,
}

/// The time between two looks at a value that is in use.
const PAUSE: Duration = Duration::from_millis(1);

/// Refuses to encrypt what was begun in another process.
///
/// Raises `RuntimeError`.
pub(crate) fn check_process(begun: u32) -> PyResult<()> {
    if process::id() == begun {
        return Ok(());
    }
    Err(PyRuntimeError::new_err("the encryption was begun before the process was forked"))
}

impl<T: Send> Turn<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { process: process::id(), is_bound: false, state: Mutex::new(State::Idle(value)) }
    }

    /// Creates a value that encrypts: if two processes did, each with other bytes, both would be
    /// revealed.
    pub(crate) fn bound(value: T) -> Self {
        Self { is_bound: true, ..Self::new(value) }
    }

    /// Held only for as long as it takes to move the value.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the value.
    ///
    /// Raises `ValueError` if it is gone.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<T> {
        if self.is_bound {
            check_process(self.process)?;
        }
        loop {
            {
                let mut state = self.state();
                match std::mem::replace(&mut *state, State::Busy) {
                    State::Idle(value) => return Ok(value),
                    State::Gone => {
                        *state = State::Gone;
                        return Err(PyValueError::new_err("it is finished, or has failed before"));
                    }
                    State::Busy => {}
                }
            }
            if process::id() != self.process {
                return Err(PyRuntimeError::new_err("it was in use when the process was forked"));
            }
            py.check_signals()?;
            py.detach(|| std::thread::sleep(PAUSE));
        }
    }

    /// Gives a value back that was taken.
    pub(crate) fn put(&self, value: T) {
        *self.state() = State::Idle(value);
    }

    /// Says that the value will not come back.
    pub(crate) fn end(&self) {
        *self.state() = State::Gone;
    }

    /// Takes the value for good.
    pub(crate) fn finish(&self, py: Python<'_>) -> PyResult<T> {
        let value = self.take(py)?;
        self.end();
        Ok(value)
    }

    /// Works with the value. `len` is the number of bytes that there is work for. If it fails, the
    /// value is gone.
    pub(crate) fn with<R: Send>(
        &self,
        py: Python<'_>,
        len: usize,
        work: impl FnOnce(&mut T) -> PyResult<R> + Send,
    ) -> PyResult<R> {
        let mut value = self.take(py)?;
        let outcome = detached(py, len, || work(&mut value));
        match &outcome {
            Ok(_) => self.put(value),
            Err(_) => self.end(),
        }
        outcome
    }
}
