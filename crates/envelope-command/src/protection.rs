//! The protection of an object against unnoticed changes, in one word.

use meta_codec::{ContentAlgorithm, Envelope};

/// The protection that the metadata of an object claims, before any of it was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// A seal that covers the body, made by whoever wrote it.
    Sealed,
    /// A seal that covers the body, made when it was there already.
    Adopted,
    /// A seal that covers the metadata only.
    Metadata,
    /// AES-GCM, with or without a seal.
    Gcm,
    None,
}

impl Protection {
    pub(crate) fn of(envelope: &Envelope) -> Self {
        if envelope.content_algorithm() == ContentAlgorithm::Aes256Gcm {
            return Self::Gcm;
        }
        match envelope.seal() {
            None => Self::None,
            Some(seal) if !seal.is_full() => Self::Metadata,
            Some(seal) if seal.terms().adopted => Self::Adopted,
            Some(_) => Self::Sealed,
        }
    }

    /// Returns the word that the command prints.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Adopted => "adopted",
            Self::Metadata => "metadata",
            Self::Gcm => "gcm",
            Self::None => "none",
        }
    }
}

/// Describes the seal of an envelope.
pub(crate) fn seal_in_words(envelope: &Envelope, verified: bool) -> String {
    let Some(seal) = envelope.seal() else { return "absent".to_owned() };
    let terms = seal.terms();
    let mut words = vec![match (seal.is_full(), envelope.content_algorithm()) {
        (true, _) => "of the metadata and the body",
        (false, ContentAlgorithm::Aes256Gcm) => "of the metadata; AES-GCM authenticates the body",
        (false, _) => "of the metadata only",
    }];
    if terms.adopted {
        words.push("adopted");
    }
    if terms.name_bound {
        words.push("bound to the name");
    }
    if terms.origin {
        words.push("made with an origin key");
    }
    words.push(if verified {
        "verified, as far as the metadata goes"
    } else {
        "not verified (supply the master key with --key or --kms)"
    });
    words.join(", ")
}
