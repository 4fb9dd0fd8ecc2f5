//! A master key of either kind, shared by everything that uses it.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use meta_codec::{Envelope, IvForm, MaterialDescription, WrapAlgorithm};

use super::{AsyncKeyWrapper, KeyWrapper, UnwrapError, WrapError, WrappedKey};
use crate::ContentKey;

/// A master key. The rules that use one are written once, as async functions, and
/// [`run_now`] runs them for blocking callers.
#[derive(Clone)]
pub(crate) enum SharedWrapper {
    Async(Arc<dyn AsyncKeyWrapper>),
    Blocking(Arc<dyn KeyWrapper>),
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
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        match self {
            Self::Async(wrapper) => wrapper.wrap(key, algorithm, iv).await,
            Self::Blocking(wrapper) => wrapper.wrap(key, algorithm, iv),
        }
    }

    pub(crate) async fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        match self {
            Self::Async(wrapper) => wrapper.unwrap(envelope).await,
            Self::Blocking(wrapper) => wrapper.unwrap(envelope),
        }
    }
}

/// Polls a future once. With blocking keys only, it is finished then; returns `None` if it is not.
pub(crate) fn run_now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
