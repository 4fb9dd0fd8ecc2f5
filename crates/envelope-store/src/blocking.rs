//! Support for programs without an async runtime.

use std::io;

use tokio::runtime::{self, Builder};

/// A runtime for blocking callers. Create one and use it for all calls.
///
/// ```
/// use std::sync::Arc;
///
/// use envelope_core::{AesKeyWrapper, Dialect, Encryptor};
/// use envelope_store::{MemoryStore, Put, blocking::Runtime};
///
/// let (runtime, store) = (Runtime::new()?, Arc::new(MemoryStore::new()));
/// let encryptor = Encryptor::new(&AesKeyWrapper::generate()?, Dialect::COS_V2);
/// runtime.block_on(Put::new(store, "key").stream(&b"a file"[..], None, &encryptor))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Runtime(Option<runtime::Runtime>);

impl Runtime {
    /// Starts the worker threads.
    ///
    /// # Errors
    /// Returns an error if the system cannot start the threads.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Some(Builder::new_multi_thread().enable_all().build()?)))
    }

    /// Blocks until the future of an upload, a download or a store completes.
    ///
    /// # Panics
    /// Panics if called inside another runtime, which must not be blocked.
    #[expect(clippy::expect_used, reason = "the runtime is taken only on drop")]
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.as_ref().expect("a runtime").block_on(future)
    }
}

impl Drop for Runtime {
    /// Shuts down without waiting, because a read of standard input may never end.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
