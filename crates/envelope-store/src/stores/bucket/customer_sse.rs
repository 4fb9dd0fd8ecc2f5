//! Encryption by the store with a key of the customer (SSE-C).

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header::HeaderName};
use meta_codec::{
    Vendor,
    sse::{CosSse, CosSseStatus, CustomerKey, Request, Scheme, SseHeaders},
};

use crate::{Endpoint, StoreError};

/// A customer key, which goes with every request about an object.
pub(super) struct CustomerSse {
    sse: CosSse,
    key: Arc<CustomerKey>,
}

impl CustomerSse {
    /// Takes a key for a bucket.
    ///
    /// # Errors
    /// [`StoreError::CustomerKey`] if the requests would go in the clear;
    /// [`StoreError::Unsupported`] if the vendor has no such encryption.
    pub(super) fn new(
        vendor: Vendor,
        endpoint: &Endpoint,
        key: Arc<CustomerKey>,
    ) -> Result<Self, StoreError> {
        if vendor != Vendor::Cos {
            return Err(StoreError::Unsupported("a key of the customer (SSE-C)"));
        }
        if !endpoint.is_secure() {
            return Err(StoreError::CustomerKey("it must not be sent over plain HTTP"));
        }
        Ok(Self { sse: CosSse::customer(Arc::clone(&key)), key })
    }

    pub(super) const fn key(&self) -> &Arc<CustomerKey> {
        &self.key
    }

    /// Adds the headers of a request.
    pub(super) fn add(&self, request: Request, to: &mut HeaderMap) -> Result<(), StoreError> {
        insert(to, &self.sse.headers(request, Scheme::Https).map_err(refused)?)
    }

    /// Checks that an answer about an object shows this key. Not all requests that write are said
    /// to be answered with it, but the object is looked at after it was written.
    pub(super) fn check(&self, request: Request, answer: &HeaderMap) -> Result<(), StoreError> {
        let headers: Vec<(&str, &str)> = answer
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect();
        let shown = CosSseStatus::parse(&headers)
            .map_err(|_| StoreError::CustomerKey("the store's answer about it is invalid"))?;
        let must_show = matches!(request, Request::Get | Request::Head);
        match shown {
            Some(CosSseStatus::Customer { key_md5 }) if key_md5 == self.key.md5_base64() => Ok(()),
            Some(_) => {
                Err(StoreError::CustomerKey("the store says that it encrypted in another way"))
            }
            None if must_show => {
                Err(StoreError::CustomerKey("the store does not say that it encrypted with it"))
            }
            None => Ok(()),
        }
    }
}

/// Adds the headers with which the source of a copy is read.
pub(super) fn add_copy_source(key: &CustomerKey, to: &mut HeaderMap) -> Result<(), StoreError> {
    insert(to, &CosSse::copy_source(key, Scheme::Https).map_err(refused)?)
}

fn insert(to: &mut HeaderMap, headers: &SseHeaders) -> Result<(), StoreError> {
    for (name, value) in headers.iter() {
        let mut value = HeaderValue::from_str(value).map_err(refused)?;
        // No log prints it.
        value.set_sensitive(true);
        to.insert(HeaderName::from_static(name), value);
    }
    Ok(())
}

/// Returns whether a header holds a customer key, which is not signed, so that it is not copied
/// once more. Its digest is, in a header of its own.
pub(super) fn is_secret(name: &str) -> bool {
    name.ends_with("-server-side-encryption-customer-key")
}

fn refused(_: impl std::error::Error) -> StoreError {
    StoreError::CustomerKey("it cannot be sent")
}
