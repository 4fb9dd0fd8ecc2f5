//! The policy: the algorithms that a reader accepts, whatever the metadata says.

use meta_codec::{ContentAlgorithm, Envelope, WrapAlgorithm};

/// The algorithms that a reader accepts.
///
/// Metadata is not authenticated, so it must not decide on its own how bytes are decrypted. It may
/// only select from what the reader allows (CVE-2020-8912 was a GCM object relabelled as CTR).
///
/// The default allows what is written today: every wrap except the two-time pad of `cos-v1`,
/// content in AES-CTR and AES-GCM, and no plaintext objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    wraps: Vec<WrapAlgorithm>,
    contents: Vec<ContentAlgorithm>,
    plaintext: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            wraps: WrapAlgorithm::ALL
                .into_iter()
                .filter(|wrap| *wrap != WrapAlgorithm::AesCtrZero)
                .collect(),
            contents: vec![ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm],
            plaintext: false,
        }
    }
}

impl Policy {
    /// Creates a policy that allows every algorithm that any SDK wrote, for archives and recovery.
    /// It still allows no plaintext objects.
    #[must_use]
    pub fn every_algorithm() -> Self {
        Self::default()
            .allow_wrap(WrapAlgorithm::AesCtrZero)
            .allow_content(ContentAlgorithm::Aes256Cbc)
    }

    /// Allows a wrap algorithm.
    #[must_use]
    pub fn allow_wrap(mut self, algorithm: WrapAlgorithm) -> Self {
        self.wraps.push(algorithm);
        self
    }

    /// Denies a wrap algorithm.
    #[must_use]
    pub fn deny_wrap(mut self, algorithm: WrapAlgorithm) -> Self {
        self.wraps.retain(|each| *each != algorithm);
        self
    }

    /// Allows a content algorithm.
    #[must_use]
    pub fn allow_content(mut self, algorithm: ContentAlgorithm) -> Self {
        self.contents.push(algorithm);
        self
    }

    /// Denies a content algorithm. Without CTR, the default policy allows only authenticated
    /// objects.
    #[must_use]
    pub fn deny_content(mut self, algorithm: ContentAlgorithm) -> Self {
        self.contents.retain(|each| *each != algorithm);
        self
    }

    /// Accepts objects without any encryption metadata as plaintext. Anyone who can strip metadata
    /// can then substitute arbitrary content.
    #[must_use]
    pub const fn allow_plaintext(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// Checks the result of [`parse`](meta_codec::parse) against the policy.
    ///
    /// # Errors
    /// [`PolicyError`] if the policy does not allow the object.
    pub fn admit(&self, envelope: Option<&Envelope>) -> Result<(), PolicyError> {
        match envelope {
            None if self.plaintext => Ok(()),
            None => Err(PolicyError::NotEncrypted),
            Some(envelope) => {
                let (wrap, content) = (envelope.wrap_algorithm(), envelope.content_algorithm());
                if !self.wraps.contains(&wrap) {
                    Err(PolicyError::Wrap(wrap))
                } else if !self.contents.contains(&content) {
                    Err(PolicyError::Content(content))
                } else {
                    Ok(())
                }
            }
        }
    }
}

/// The error returned for an object that the reader's policy does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The content algorithm is not allowed.
    #[error("the policy does not allow {0} content")]
    Content(ContentAlgorithm),
    /// The object has no encryption metadata at all.
    #[error("the object is not encrypted, or its metadata was stripped")]
    NotEncrypted,
    /// The wrap algorithm is not allowed.
    #[error("the policy does not allow content keys wrapped with {0}")]
    Wrap(WrapAlgorithm),
}
