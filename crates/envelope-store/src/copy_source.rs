//! An object that a service copies by itself.

use std::{fmt, sync::Arc};

use envelope_cloud::Endpoint;
use meta_codec::{Vendor, sse::CustomerKey};

/// One version of an object, as the source of [copies](crate::Store::copy) within a service, which
/// [`Store::copy_source`](crate::Store::copy_source) returns.
#[derive(Clone)]
pub struct CopySource {
    vendor: Vendor,
    endpoint: Endpoint,
    path: String,
    etag: String,
    customer_key: Option<Arc<CustomerKey>>,
}

impl fmt::Debug for CopySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopySource").field("path", &self.path).field("etag", &self.etag).finish()
    }
}

impl CopySource {
    pub(crate) fn new(
        vendor: Vendor,
        endpoint: Endpoint,
        path: String,
        etag: &str,
        customer_key: Option<Arc<CustomerKey>>,
    ) -> Self {
        Self { vendor, endpoint, path, etag: etag.to_owned(), customer_key }
    }

    /// Returns the vendor of the service.
    #[must_use]
    pub const fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// Returns the entity tag, including its quotes.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }

    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) const fn customer_key(&self) -> Option<&Arc<CustomerKey>> {
        self.customer_key.as_ref()
    }
}
