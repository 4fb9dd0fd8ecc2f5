//! Support for programs without an async runtime.

use std::{future::Future, io};

use tokio::runtime::{Builder, Runtime};

/// A runtime for blocking callers. Create one and use it for all calls.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Encryptor};
/// use envelope_store::{MemoryStore, Put, blocking::Waiter};
/// use meta_codec::Dialect;
///
/// let (waiter, store) = (Waiter::new()?, MemoryStore::new());
/// let wrapper = AesKeyWrapper::generate()?;
/// let encryptor = Encryptor::new(&wrapper, Dialect::COS_V2);
/// waiter.wait(Put::new(&store, "key").stream(&b"a file"[..], None, &encryptor))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Waiter(Option<Runtime>);

impl Waiter {
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
    pub fn wait<T>(&self, promise: impl Future<Output = T>) -> T {
        self.0.as_ref().expect("a runtime").block_on(promise)
    }
}

impl Drop for Waiter {
    /// Shuts down without waiting, because a read of standard input may never end.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
