//! Waiting for futures from Python.

use std::{
    process,
    sync::{Arc, Mutex, TryLockError},
    thread,
    time::Duration,
};

use envelope_store::blocking::Runtime;
use pyo3::{exceptions::PyOSError, prelude::*};

/// The interval at which a waiting call checks for an interrupt by the user.
const LOOK: Duration = Duration::from_millis(100);

/// The runtime of the process with this id. The threads of one are not there after a fork.
static RUNTIME: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);

/// Waits without the interpreter's lock. If the user interrupts, the future is dropped, and the
/// exception returned.
pub(crate) fn wait<T: Send>(py: Python<'_>, future: impl Future<Output = T> + Send) -> PyResult<T> {
    let runtime = runtime()?;
    let mut future = Box::pin(future);
    loop {
        let looked = py.detach(|| {
            runtime.block_on(async { tokio::time::timeout(LOOK, future.as_mut()).await })
        });
        if let Ok(output) = looked {
            return Ok(output);
        }
        py.check_signals()?;
    }
}

fn runtime() -> PyResult<Arc<Runtime>> {
    let start = || Runtime::new().map_err(|error| PyOSError::new_err(error.to_string()));
    let mut attempts = 0_u32;
    let mut runtime = loop {
        match RUNTIME.try_lock() {
            Ok(runtime) => break runtime,
            Err(TryLockError::Poisoned(runtime)) => break runtime.into_inner(),
            // Another thread may have held it when the process was forked: it is never released.
            Err(TryLockError::WouldBlock) if attempts == 100 => return Ok(Arc::new(start()?)),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(10)),
        }
        attempts = attempts.saturating_add(1);
    };
    let id = process::id();
    if let Some((_, runtime)) = runtime.as_ref().filter(|(process, _)| *process == id) {
        return Ok(Arc::clone(runtime));
    }
    let new = Arc::new(start()?);
    if let Some((_, parents)) = runtime.replace((id, Arc::clone(&new))) {
        // To shut it down would wait for threads that only the parent has.
        std::mem::forget(parents);
    }
    Ok(new)
}
