//! The policy: what a reader accepts, whatever the metadata says.

use meta_codec::{ContentAlgorithm, Envelope, WrapAlgorithm};

/// What a reader accepts.
///
/// Metadata is not authenticated, so it must not be what decides how bytes are decrypted: it may only
/// confirm what the reader allows (CVE-2020-8912 was a GCM object relabelled as CTR).
///
/// The default allows what is written today: every wrap but the two-time pad of `cos-v1`, AES-CTR and
/// AES-GCM, and no plaintext objects.
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
    /// Every algorithm that any SDK wrote, for archives and rescue. Still no plaintext objects.
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

    /// Refuses a wrap algorithm.
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

    /// Refuses a content algorithm. Without CTR, only authenticated objects are left.
    #[must_use]
    pub fn deny_content(mut self, algorithm: ContentAlgorithm) -> Self {
        self.contents.retain(|each| *each != algorithm);
        self
    }

    /// Allows objects without any encryption metadata to pass for plaintext. Whoever can strip
    /// metadata can then pass off whatever they like.
    #[must_use]
    pub const fn allow_plaintext(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// Judges what [`parse`](meta_codec::parse) found.
    ///
    /// # Errors
    /// What this policy does not allow.
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

/// An object that the reader's policy does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The content algorithm.
    #[error("the policy does not allow {0} content")]
    Content(ContentAlgorithm),
    /// No encryption metadata at all.
    #[error("the object is not encrypted, or its metadata was stripped")]
    NotEncrypted,
    /// The wrap algorithm.
    #[error("the policy does not allow content keys wrapped with {0}")]
    Wrap(WrapAlgorithm),
}
