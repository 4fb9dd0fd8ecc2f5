//! Removal of temporary files, which hold plaintext and keys, when a signal ends the command.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use envelope_store::OutputFile;

use crate::failure::{Code, Failure};

/// The action that the first signal runs instead of ending the process.
type Interrupt = Box<dyn FnOnce() + Send>;

static INTERRUPT: Mutex<Option<Interrupt>> = Mutex::new(None);
/// The files to remove, each with one that makes it stay, if that exists.
static TEMPORARY: Mutex<Vec<(PathBuf, Option<PathBuf>)>> = Mutex::new(Vec::new());

/// Installs a handler that, on SIGINT, SIGTERM or SIGHUP, removes the registered files and ends the
/// process.
pub(crate) fn on_signals() {
    // Without the handler, the command still works, but leaves its temporary files behind.
    let _ = ctrlc::set_handler(|| {
        if let Some(work) = INTERRUPT.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return work();
        }
        for (path, unless) in TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if unless.is_some_and(|unless| unless.exists()) {
                continue;
            }
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
        let advice = "run the same command again; what can go on where it was does so";
        // Somebody else may be writing there, and be blocked, which must not keep it from ending.
        let (told, wait) = mpsc::channel();
        thread::spawn(move || {
            let _ = Failure::new(Code::Interrupted, "interrupted", advice).report();
            let _ = told.send(());
        });
        let _ = wait.recv_timeout(Duration::from_secs(1));
        process::exit(Code::Interrupted.status().into());
    });
}

/// Makes the first signal run `work`, for an orderly shutdown. The second ends the process.
pub(crate) fn on_interrupt(work: impl FnOnce() + Send + 'static) {
    *INTERRUPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(work));
}

/// Makes the next signal end the process.
pub(crate) fn on_interrupt_end() {
    INTERRUPT.lock().unwrap_or_else(PoisonError::into_inner).take();
}

/// Registers a temporary file or folder.
pub(crate) fn register(path: &Path) {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_owned(), None));
}

/// Registers the file that an output is written to, for as long as what is returned. It stays if
/// there is a journal by then, with which a later run can go on.
#[must_use]
pub(crate) fn register_output(output: &OutputFile) -> Registered {
    let (working, journal) = (output.working_path(), output.journal_path());
    let pair = working.zip(journal).map(|(path, other)| (path.to_owned(), Some(other.to_owned())));
    let path = pair.as_ref().map(|(path, _)| path.clone());
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).extend(pair);
    Registered(path)
}

/// A file that is registered until this is dropped.
pub(crate) struct Registered(Option<PathBuf>);

impl Drop for Registered {
    fn drop(&mut self) {
        self.0.iter().for_each(|path| forget(path));
    }
}

/// Unregisters a file or folder that is gone or has its final name.
pub(crate) fn forget(path: &Path) {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).retain(|(each, _)| each != path);
}
