//! For programs without a runtime: the same, and wait.

use std::{future::Future, io};

use tokio::runtime::{Builder, Runtime};

/// Something to wait with. Make one, and use it for everything.
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
    /// Starts the threads that do the work.
    ///
    /// # Errors
    /// The system has no threads left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Some(Builder::new_multi_thread().enable_all().build()?)))
    }

    /// Waits for what an upload, a download or a store promises.
    ///
    /// # Panics
    /// Inside another runtime, which must not wait.
    #[expect(clippy::expect_used, reason = "taken only when it is dropped")]
    pub fn wait<T>(&self, promise: impl Future<Output = T>) -> T {
        self.0.as_ref().expect("a runtime").block_on(promise)
    }
}

impl Drop for Waiter {
    /// Does not wait for a read of standard input that may never end.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
