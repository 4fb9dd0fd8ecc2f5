//! User metadata as storage libraries return it: names that lack the vendor's prefix.

use crate::{Dialect, Envelope, ParseError, Vendor, parse, parse_tolerant};

/// Parses the envelope from user metadata whose names lack the vendor's prefix.
///
/// Storage libraries such as `object_store` and OpenDAL return names in this form:
/// `client-side-encryption-key` instead of `x-oss-meta-client-side-encryption-key`.
///
/// ```
/// use meta_codec::{Vendor, parse_user_metadata};
///
/// let metadata = [
///     ("client-side-encryption-key", "qCNQEMqkKN6WIMPfRwV1WlfKgxrV8uLseQb8xycs3g0="),
///     ("client-side-encryption-iv", "s7ZSLhVjHwszfODRFoSmCA=="),
/// ];
/// let envelope = parse_user_metadata(Vendor::Cos, metadata)?.expect("the object is encrypted");
/// assert_eq!(envelope.dialect().id(), "cos-v1");
/// # Ok::<(), meta_codec::ParseError>(())
/// ```
///
/// # Errors
/// Fails like [`parse`].
pub fn parse_user_metadata<N, V>(
    vendor: Vendor,
    metadata: impl IntoIterator<Item = (N, V)>,
) -> Result<Option<Envelope>, ParseError>
where
    N: AsRef<str>,
    V: AsRef<[u8]>,
{
    parse(with_prefix(vendor, metadata))
}

/// Parses the envelope from user metadata as [`parse_user_metadata`] does, but records the
/// [deviations](crate::Deviation) that some SDK reads past, as [`parse_tolerant`] does.
///
/// # Errors
/// Fails like [`parse_tolerant`].
pub fn parse_user_metadata_tolerant<N, V>(
    vendor: Vendor,
    metadata: impl IntoIterator<Item = (N, V)>,
) -> Result<Option<Envelope>, ParseError>
where
    N: AsRef<str>,
    V: AsRef<[u8]>,
{
    parse_tolerant(with_prefix(vendor, metadata))
}

/// Returns the name of user metadata in a header, without the vendor's prefix.
///
/// ```
/// let name = meta_codec::user_metadata_name("x-cos-meta-client-side-encryption-key");
/// assert_eq!(name, Some("client-side-encryption-key"));
/// assert_eq!(meta_codec::user_metadata_name("content-type"), None);
/// ```
#[must_use]
pub fn user_metadata_name(header: &str) -> Option<&str> {
    let mut vendors = Vendor::ALL.into_iter();
    vendors.find_map(|vendor| header.strip_prefix(vendor.metadata_prefix()))
}

/// Returns whether user metadata with this name, which lacks the vendor's prefix, belongs to the
/// envelopes of some dialect. Case is ignored, because many stores do not tell cases apart.
///
/// ```
/// assert!(meta_codec::is_envelope_metadata("Client-Side-Encryption-Key"));
/// assert!(!meta_codec::is_envelope_metadata("owner"));
/// ```
#[must_use]
pub fn is_envelope_metadata(name: &str) -> bool {
    let mut known = Dialect::ALL.into_iter().flat_map(Dialect::header_names);
    known.any(|known| user_metadata_name(known).unwrap_or(known).eq_ignore_ascii_case(name))
}

fn with_prefix<N: AsRef<str>, V>(
    vendor: Vendor,
    metadata: impl IntoIterator<Item = (N, V)>,
) -> impl Iterator<Item = (String, V)> {
    let prefix = vendor.metadata_prefix();
    metadata.into_iter().map(move |(name, value)| (format!("{prefix}{}", name.as_ref()), value))
}
