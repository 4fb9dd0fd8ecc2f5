//! Removal of temporary files, which hold plaintext and keys, when a signal ends the command.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::{Mutex, PoisonError},
};

/// The action that the first signal runs instead of ending the process.
type Interrupt = Box<dyn FnOnce() + Send>;

static INTERRUPT: Mutex<Option<Interrupt>> = Mutex::new(None);
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Installs a handler that, on SIGINT, SIGTERM or SIGHUP, removes the registered files and ends the
/// process.
pub(crate) fn on_signals() {
    // Without the handler, the command still works, but leaves its temporary files behind.
    let _ = ctrlc::set_handler(|| {
        if let Some(work) = INTERRUPT.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return work();
        }
        for path in TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
        process::exit(130);
    });
}

/// Makes the first signal run `work`, for an orderly shutdown. The second ends the process.
pub(crate) fn on_interrupt(work: impl FnOnce() + Send + 'static) {
    *INTERRUPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(work));
}

/// Registers a temporary file or folder.
pub(crate) fn register(path: &Path) {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
}

/// Unregisters a file or folder that is gone or has its final name.
pub(crate) fn forget(path: &Path) {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).retain(|each| each != path);
}
