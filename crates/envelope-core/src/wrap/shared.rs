//! A master key of either kind, shared by everything that uses it.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use meta_codec::{Envelope, IvForm, MaterialDescription, WrapAlgorithm};
#[cfg(feature = "tokio-rt")]
use tokio::runtime::Handle;

use super::{AsyncKeyWrapper, KeyWrapper, UnwrapError, WrapError, WrappedKey};
use crate::ContentKey;

/// A master key. The rules that use one are written once, as async functions, and
/// [`run_now`] runs them for blocking callers.
#[derive(Clone)]
pub(crate) enum SharedWrapper {
    Async(Arc<dyn AsyncKeyWrapper>),
    Blocking(Arc<dyn KeyWrapper>),
}

/// The place at which a key is used that may block its thread for long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this thread.
    Here,
    /// On a thread for blocking work, if there is a runtime that has any.
    Pool,
}

impl SharedWrapper {
    pub(crate) fn description(&self) -> &MaterialDescription {
        match self {
            Self::Async(key) => key.description(),
            Self::Blocking(key) => key.description(),
        }
    }

    pub(crate) fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        match self {
            Self::Async(key) => key.wraps(algorithm),
            Self::Blocking(key) => key.wraps(algorithm),
        }
    }

    pub(crate) fn accepts(&self, envelope: &Envelope) -> bool {
        match self {
            Self::Async(key) => key.accepts(envelope),
            Self::Blocking(key) => key.accepts(envelope),
        }
    }

    pub(crate) const fn is_async(&self) -> bool {
        matches!(self, Self::Async(_))
    }

    /// Returns whether an operation may block the thread for long.
    pub(crate) fn may_block(&self) -> bool {
        match self {
            Self::Async(_) => false,
            Self::Blocking(key) => key.may_block(),
        }
    }

    pub(crate) async fn wrap(
        &self,
        key: &Arc<ContentKey>,
        algorithm: WrapAlgorithm,
        iv: IvForm,
        #[cfg_attr(not(feature = "tokio-rt"), expect(unused_variables, reason = "no pool"))]
        place: Place,
    ) -> Result<WrappedKey, WrapError> {
        let wrapper = match self {
            Self::Async(wrapper) => return wrapper.wrap(key, algorithm, iv).await,
            Self::Blocking(wrapper) => wrapper,
        };
        #[cfg(feature = "tokio-rt")]
        if let Some(pool) = place.pool(&**wrapper) {
            let (own, key) = (Arc::clone(wrapper), Arc::clone(key));
            let done = pool.spawn_blocking(move || own.wrap(&key, algorithm, iv)).await;
            return done.unwrap_or_else(|error| Err(WrapError::NotUsed(error.to_string())));
        }
        wrapper.wrap(key, algorithm, iv)
    }

    /// Returns the content key on the heap, where it is wiped: a value that is moved out of a task,
    /// or out of a future, leaves a copy behind.
    pub(crate) async fn unwrap(
        &self,
        envelope: &Envelope,
        #[cfg_attr(not(feature = "tokio-rt"), expect(unused_variables, reason = "no pool"))]
        place: Place,
    ) -> Result<Arc<ContentKey>, UnwrapError> {
        let wrapper = match self {
            Self::Async(wrapper) => return wrapper.unwrap(envelope).await.map(Arc::new),
            Self::Blocking(wrapper) => wrapper,
        };
        #[cfg(feature = "tokio-rt")]
        if let Some(pool) = place.pool(&**wrapper) {
            let (own, envelope) = (Arc::clone(wrapper), envelope.clone());
            let done = pool.spawn_blocking(move || own.unwrap(&envelope).map(Arc::new)).await;
            return done.unwrap_or_else(|error| Err(UnwrapError::NotUsed(error.to_string())));
        }
        wrapper.unwrap(envelope).map(Arc::new)
    }
}

#[cfg(feature = "tokio-rt")]
impl Place {
    /// Returns the runtime on whose threads a key is to be used.
    fn pool(self, key: &dyn KeyWrapper) -> Option<Handle> {
        let is_wanted = self == Self::Pool && key.may_block();
        if is_wanted { Handle::try_current().ok() } else { None }
    }
}

/// Polls a future once. With blocking keys only, it is finished then; returns `None` if it is not.
pub(crate) fn run_now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
