//! Master keys whose operations wait for something, such as a network.

use std::pin::Pin;

use meta_codec::{Envelope, IvForm, MaterialDescription, WrapAlgorithm};

use super::{UnwrapError, WrapError, WrappedKey};
use crate::ContentKey;

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A master key that wraps and unwraps without blocking the thread, such as one in a service with
/// an async client.
///
/// Most keys are a plain [`KeyWrapper`](crate::KeyWrapper), and need not implement this trait. With
/// the feature `tokio-rt`, async functions that are called within a Tokio runtime use those that
/// [may block](crate::KeyWrapper::may_block) on its threads for blocking work; otherwise, on the
/// calling task.
///
/// ```
/// use envelope_core::{
///     AesKeyWrapper, AsyncKeyWrapper, BoxFuture, ContentKey, Decryptor, Dialect, Encryptor,
///     Envelope, IvForm, KeyWrapper as _, Keyring, MaterialDescription, UnwrapError, WrapAlgorithm,
///     WrapError, WrappedKey,
/// };
///
/// /// A key that is somewhere else.
/// #[derive(Clone)]
/// struct Remote(AesKeyWrapper);
///
/// impl AsyncKeyWrapper for Remote {
///     fn description(&self) -> &MaterialDescription {
///         self.0.description()
///     }
///     fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
///         self.0.wraps(algorithm)
///     }
///     fn accepts(&self, envelope: &Envelope) -> bool {
///         self.0.accepts(envelope)
///     }
///     fn wrap<'a>(
///         &'a self,
///         key: &'a ContentKey,
///         algorithm: WrapAlgorithm,
///         iv: IvForm,
///     ) -> BoxFuture<'a, Result<WrappedKey, WrapError>> {
///         Box::pin(async move { self.0.wrap(key, algorithm, iv) }) // .await something
///     }
///     fn unwrap<'a>(
///         &'a self,
///         envelope: &'a Envelope,
///     ) -> BoxFuture<'a, Result<ContentKey, UnwrapError>> {
///         Box::pin(async move { self.0.unwrap(envelope) })
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # pollster::block_on(async {
/// let key = Remote(AesKeyWrapper::generate()?);
/// let object = Encryptor::with_async_key(&key, Dialect::COS_V2).encrypt_async().await?;
/// let decryptor = Decryptor::new(&Keyring::new().with_async(key));
/// decryptor.decrypt_async(object.envelope()).await?;
/// # Ok(())
/// # })
/// # }
/// ```
pub trait AsyncKeyWrapper: Send + Sync {
    /// See [`KeyWrapper::description`](crate::KeyWrapper::description).
    fn description(&self) -> &MaterialDescription;

    /// See [`KeyWrapper::wraps`](crate::KeyWrapper::wraps).
    fn wraps(&self, algorithm: WrapAlgorithm) -> bool;

    /// See [`KeyWrapper::accepts`](crate::KeyWrapper::accepts).
    fn accepts(&self, envelope: &Envelope) -> bool;

    /// Wraps a content key.
    ///
    /// # Errors
    /// As [`KeyWrapper::wrap`](crate::KeyWrapper::wrap).
    fn wrap<'a>(
        &'a self,
        key: &'a ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> BoxFuture<'a, Result<WrappedKey, WrapError>>;

    /// Unwraps an envelope's content key.
    ///
    /// # Errors
    /// As [`KeyWrapper::unwrap`](crate::KeyWrapper::unwrap).
    fn unwrap<'a>(
        &'a self,
        envelope: &'a Envelope,
    ) -> BoxFuture<'a, Result<ContentKey, UnwrapError>>;
}
