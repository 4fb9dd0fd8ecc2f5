//! The policy: what a reader accepts, whatever the metadata says.

use meta_codec::{ContentAlgorithm, Deviation, Envelope, WrapAlgorithm};

/// The requirements of a reader: allowed wrap and content algorithms, objects without encryption,
/// ranges that nothing authenticates, envelopes without a key check.
///
/// Metadata is not authenticated, so it must not decide on its own how bytes are decrypted. It may
/// only select from what the reader allows (CVE-2020-8912 was a GCM object relabelled as CTR). This
/// is the only place where that is decided; [`Decryptor`](crate::Decryptor) asks it before it
/// unwraps anything.
///
/// The default allows what is written today: every wrap except the two-time pad of `cos-v1`,
/// content in AES-CTR and AES-GCM, and no plaintext objects.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring, Policy};
///
/// let key = AesKeyWrapper::generate()?;
/// let object = Encryptor::new(&key, Dialect::COS_V2).encrypt()?; // AES-CTR, no key check
/// let decryptor = Decryptor::new(&Keyring::new().with(key));
///
/// for strict in [Policy::default().authenticated_only(), Policy::default().require_key_check()] {
///     let decryptor = decryptor.clone().with_policy(strict);
///     assert!(decryptor.decrypt(object.envelope()).is_err());
/// }
/// assert!(decryptor.decrypt(object.envelope()).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    wraps: Vec<WrapAlgorithm>,
    contents: Vec<ContentAlgorithm>,
    deviations: Vec<Deviation>,
    short_keys: bool,
    plaintext: bool,
    unauthenticated_ranges: bool,
    authenticated_only: bool,
    key_check: bool,
    seal: bool,
    origin: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            wraps: WrapAlgorithm::ALL
                .into_iter()
                .filter(|wrap| *wrap != WrapAlgorithm::AesCtrZero)
                .collect(),
            contents: vec![ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm],
            deviations: Vec::new(),
            short_keys: false,
            plaintext: false,
            unauthenticated_ranges: false,
            authenticated_only: false,
            key_check: false,
            seal: false,
            origin: false,
        }
    }
}

impl Policy {
    /// Returns a policy that allows every algorithm that any SDK has written, for archives and
    /// recovery. It still refuses plaintext objects.
    #[must_use]
    pub fn every_algorithm() -> Self {
        Self::default()
            .allow_wrap(WrapAlgorithm::AesCtrZero)
            .allow_content(ContentAlgorithm::Aes256Cbc)
    }

    /// Returns a policy that allows every object that any SDK reads, as far as its meaning is
    /// clear: [every algorithm](Self::every_algorithm), every [deviation](Deviation) and
    /// [short content keys](Self::allow_short_content_keys). For archives and recovery, by people
    /// who see a warning. It still refuses plaintext objects.
    #[must_use]
    pub fn lenient() -> Self {
        let every = Self::every_algorithm().allow_short_content_keys();
        Deviation::ALL.into_iter().fold(every, Self::allow_deviation)
    }

    /// Allows metadata that deviates from its dialect in a way that some SDK reads past. It can
    /// only be met in envelopes from [`parse_tolerant`](meta_codec::parse_tolerant).
    #[must_use]
    pub fn allow_deviation(mut self, deviation: Deviation) -> Self {
        self.deviations.push(deviation);
        self
    }

    /// Allows content keys of 16 and 24 bytes, with which the body of an AES-CTR object is
    /// encrypted with AES-128 or AES-192. No SDK writes them, but a port to Rust and a fork of the
    /// OSS SDK for iOS do, and six SDKs read them.
    ///
    /// The length of a content key shows only after it was unwrapped. Unless this is allowed, such
    /// an object is refused with [`UnwrapError::Failed`](crate::UnwrapError::Failed) like a key
    /// that does not fit, so that there is nothing to tell apart for those who forge wrapped keys.
    #[must_use]
    pub const fn allow_short_content_keys(mut self) -> Self {
        self.short_keys = true;
        self
    }

    /// Returns whether content keys of 16 and 24 bytes are allowed.
    #[must_use]
    pub const fn allows_short_content_keys(&self) -> bool {
        self.short_keys
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

    /// Refuses a content algorithm.
    #[must_use]
    pub fn deny_content(mut self, algorithm: ContentAlgorithm) -> Self {
        self.contents.retain(|each| *each != algorithm);
        self
    }

    /// Accepts only objects in which a modified body is detected: AES-GCM, and AES-CTR with a seal
    /// of the body, read as a whole. This outweighs everything that other methods allow.
    ///
    /// Without it, anyone who can write to the bucket can relabel an object of a dialect whose IV
    /// is in the clear from AES-GCM to AES-CTR, and then flip bits undetected.
    #[must_use]
    pub const fn authenticated_only(mut self) -> Self {
        self.authenticated_only = true;
        self
    }

    /// Accepts only envelopes that carry a key check or a seal, which our own writers add on
    /// request. Without it, anyone who can write to the bucket can remove the key check along with
    /// what it protects.
    #[must_use]
    pub const fn require_key_check(mut self) -> Self {
        self.key_check = true;
        self
    }

    /// Accepts only envelopes that carry a seal, and no ranges, unless they are
    /// [allowed](Self::allow_unauthenticated_ranges). Without it, anyone who can write to the
    /// bucket can remove the seal along with what it protects.
    ///
    /// A seal may cover the metadata only, if the object was uploaded as a stream;
    /// [`authenticated_only`](Self::authenticated_only) asks for more.
    #[must_use]
    pub const fn require_seal(mut self) -> Self {
        self.seal = true;
        self
    }

    /// Accepts only envelopes whose seal was made with an [origin key](crate::OriginKey). Without
    /// it, anyone who has a public RSA key can write whole new objects, with a seal of their own.
    /// Everything that [`require_seal`](Self::require_seal) says holds, too.
    #[must_use]
    pub const fn require_origin(mut self) -> Self {
        (self.seal, self.origin) = (true, true);
        self
    }

    /// Allows ranges of authenticated objects. The authentication tag, and the seal, cover the
    /// whole body, so nothing authenticates a range.
    #[must_use]
    pub const fn allow_unauthenticated_ranges(mut self) -> Self {
        self.unauthenticated_ranges = true;
        self
    }

    /// Allows objects without any encryption metadata to be read as plaintext. Anyone who can strip
    /// metadata can then substitute any content.
    #[must_use]
    pub const fn allow_plaintext(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// Returns whether objects must have a protection that only their content key proves: a key
    /// check, a seal, or a body that is authenticated.
    #[must_use]
    pub const fn demands_protection(&self) -> bool {
        self.authenticated_only || self.key_check || self.seal || self.origin
    }

    /// Checks what [`parse`](meta_codec::parse) found against this policy; `None` is an object
    /// without encryption metadata.
    ///
    /// # Errors
    /// If this policy does not allow it.
    pub fn admit(&self, envelope: Option<&Envelope>) -> Result<(), PolicyError> {
        let Some(envelope) = envelope else {
            let strict = self.authenticated_only || self.key_check || self.seal;
            let refused = strict || !self.plaintext;
            return if refused { Err(PolicyError::NotEncrypted) } else { Ok(()) };
        };
        let (wrap, content) = (envelope.wrap_algorithm(), envelope.content_algorithm());
        if !self.wraps.contains(&wrap) {
            Err(PolicyError::Wrap(wrap))
        } else if !self.contents.contains(&content) {
            Err(PolicyError::Content(content))
        } else if let Some(deviation) =
            envelope.deviations().iter().find(|each| !self.deviations.contains(each))
        {
            Err(PolicyError::Deviation(*deviation))
        } else if self.authenticated_only && !envelope.is_authenticated() {
            Err(PolicyError::Unauthenticated(content))
        } else if self.key_check && !envelope.is_bound_to_key() {
            Err(PolicyError::NoKeyCheck)
        } else if self.seal && envelope.seal().is_none() {
            Err(PolicyError::NoSeal)
        } else if self.origin && envelope.seal().is_none_or(|seal| !seal.terms().origin) {
            Err(PolicyError::NoOrigin)
        } else {
            Ok(())
        }
    }

    /// As [`admit`](Self::admit), for reading a range of the object.
    ///
    /// # Errors
    /// If this policy does not allow it.
    pub fn admit_range(&self, envelope: Option<&Envelope>) -> Result<(), PolicyError> {
        self.admit(envelope)?;
        let Some(envelope) = envelope else { return Ok(()) };
        let content = envelope.content_algorithm();
        // Whoever insists on the seal insists on what it covers.
        let covered = content.is_authenticated() || self.seal;
        if self.authenticated_only || covered && !self.unauthenticated_ranges {
            return Err(PolicyError::UnauthenticatedRange(content));
        }
        Ok(())
    }
}

/// The error returned for an object that the reader's policy does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The content algorithm is not allowed.
    #[error("the policy does not allow {0} content")]
    Content(ContentAlgorithm),
    /// The metadata deviates from its dialect, which is not allowed.
    #[error("the policy does not allow this: {0}")]
    Deviation(Deviation),
    /// The envelope carries no key check, and one is required.
    #[error("the metadata has no key check, or it was removed; the policy requires one")]
    NoKeyCheck,
    /// The seal was not made with an origin key, and that is required.
    #[error("the object has no seal that was made with an origin key; the policy requires one")]
    NoOrigin,
    /// The envelope carries no seal, and one is required.
    #[error("the metadata has no seal, or it was removed; the policy requires one")]
    NoSeal,
    /// There is no encryption metadata at all.
    #[error("the object is not encrypted, or its metadata was stripped")]
    NotEncrypted,
    /// The content algorithm does not detect modifications, and that is required.
    #[error("the policy requires authenticated content, and {0} does not detect modifications")]
    Unauthenticated(ContentAlgorithm),
    /// A range of authenticated content, which nothing authenticates.
    #[error("ranges of {0} objects cannot be authenticated")]
    UnauthenticatedRange(ContentAlgorithm),
    /// The wrap algorithm is not allowed.
    #[error("the policy does not allow content keys wrapped with {0}")]
    Wrap(WrapAlgorithm),
}

#[cfg(test)]
mod tests {
    use meta_codec::Dialect;

    use super::*;

    fn envelope(content: ContentAlgorithm) -> Envelope {
        let (dialect, wrap) = (Dialect::COS_V2, WrapAlgorithm::RsaOaepSha256);
        Envelope::new(dialect, content, wrap, vec![0; 256], vec![0; 256])
    }

    #[test]
    fn strictness_outweighs_permissions() {
        let lax = Policy::every_algorithm().allow_plaintext().allow_unauthenticated_ranges();
        let (ctr, gcm) = (ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm);
        assert_eq!(lax.admit(None), Ok(()));
        assert_eq!(lax.admit_range(Some(&envelope(gcm))), Ok(()));

        let strict = lax.clone().authenticated_only();
        assert_eq!(strict.admit(None), Err(PolicyError::NotEncrypted));
        assert_eq!(strict.admit(Some(&envelope(gcm))), Ok(()));
        for content in [ctr, ContentAlgorithm::Aes256Cbc] {
            let refused = Err(PolicyError::Unauthenticated(content));
            assert_eq!(strict.admit(Some(&envelope(content))), refused);
            assert_eq!(strict.admit_range(Some(&envelope(content))), refused);
        }
        let refused = Err(PolicyError::UnauthenticatedRange(gcm));
        assert_eq!(strict.admit_range(Some(&envelope(gcm))), refused);
        assert_eq!(Policy::default().admit_range(Some(&envelope(gcm))), refused);
        assert_eq!(Policy::default().admit_range(Some(&envelope(ctr))), Ok(()));

        let checked = lax.require_key_check();
        assert_eq!(checked.admit(None), Err(PolicyError::NotEncrypted));
        assert_eq!(checked.admit(Some(&envelope(gcm))), Err(PolicyError::NoKeyCheck));
        assert_eq!(checked.admit(Some(&envelope(gcm).with_key_check([0; 16]))), Ok(()));
    }
}
