//! What a reader accepts.

use envelope_core::Policy as CorePolicy;
use meta_codec::{ContentAlgorithm, WrapAlgorithm};
use pyo3::prelude::*;

/// What a reader accepts, whatever the metadata says. Each method returns a new policy.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct Policy(CorePolicy);

impl Policy {
    pub(crate) fn inner(&self) -> CorePolicy {
        self.0.clone()
    }
}

#[pymethods]
impl Policy {
    /// What is written today: every wrap but the two-time pad of `cos-v1`, AES-CTR and AES-GCM, and
    /// no plaintext.
    #[new]
    fn new() -> Self {
        Self(CorePolicy::default())
    }

    /// Everything that any SDK has written or reads, for archives and recovery.
    #[staticmethod]
    fn lenient() -> Self {
        Self(CorePolicy::lenient())
    }

    /// Accepts only bodies in which a modification is detected.
    fn authenticated_only(&self) -> Self {
        Self(self.inner().authenticated_only())
    }

    /// Accepts only metadata that is bound to the content key.
    fn require_key_check(&self) -> Self {
        Self(self.inner().require_key_check())
    }

    /// Accepts only sealed objects.
    fn require_seal(&self) -> Self {
        Self(self.inner().require_seal())
    }

    /// Accepts only objects that were sealed with the origin key.
    fn require_origin(&self) -> Self {
        Self(self.inner().require_origin())
    }

    /// Allows ranges of objects whose authentication covers only the whole.
    fn allow_unauthenticated_ranges(&self) -> Self {
        Self(self.inner().allow_unauthenticated_ranges())
    }

    /// Allows objects without encryption metadata.
    fn allow_plaintext(&self) -> Self {
        Self(self.inner().allow_plaintext())
    }

    /// Allows the AES wrap of COS Python, which uses one keystream for all objects.
    fn allow_weak_wrap(&self) -> Self {
        Self(self.inner().allow_wrap(WrapAlgorithm::AesCtrZero))
    }

    /// Allows AES-CBC, which COS Java wrote.
    fn allow_cbc(&self) -> Self {
        Self(self.inner().allow_content(ContentAlgorithm::Aes256Cbc))
    }

    /// Allows content keys of 16 and 24 bytes.
    fn allow_short_content_keys(&self) -> Self {
        Self(self.inner().allow_short_content_keys())
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
