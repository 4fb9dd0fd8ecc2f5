//! The envelope in the user metadata of an object, whose names there lack the vendor's prefix.

use std::collections::BTreeMap;

use envelope_core::{
    Envelope, Vendor,
    meta_codec::{is_envelope_metadata, parse_user_metadata_tolerant, user_metadata_name},
};
use opendal_core::{Metadata, MetadataBuilder, raw::OpWrite};

use crate::Error;

/// User metadata by name.
pub(crate) type Pairs = BTreeMap<String, String>;

/// Returns all user metadata of an object.
pub(crate) fn pairs(metadata: &Metadata) -> Pairs {
    let all = metadata.user_metadata().into_iter().flatten();
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns the user metadata that is sent with an object, with the headers of an envelope.
///
/// # Errors
/// If the user's own metadata has a name of the envelope, in whatever case.
pub(crate) fn with_envelope(
    args: &OpWrite,
    headers: &[(&'static str, String)],
) -> Result<Pairs, Error> {
    let own = args.user_metadata().into_iter().flatten();
    let mut pairs: Pairs = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if let Some(name) = pairs.keys().find(|name| is_envelope_metadata(name)) {
        return Err(Error::ReservedName { name: name.clone() });
    }
    pairs.extend(envelope_pairs(headers));
    Ok(pairs)
}

/// Returns the headers of an envelope with the names that they have as user metadata.
pub(crate) fn envelope_pairs(headers: &[(&'static str, String)]) -> Pairs {
    let name = |header: &'static str| user_metadata_name(header).unwrap_or(header).to_owned();
    headers.iter().map(|(header, value)| (name(header), value.clone())).collect()
}

/// Compares the envelope that was sent with the one that is there, and returns the name of a header
/// that differs. Nothing may be missing, and nothing may be left over from an object that was there
/// before.
pub(crate) fn difference(sent: &Pairs, kept: &Pairs) -> Option<String> {
    let of_envelope = |pairs: &Pairs| -> Pairs {
        let all = pairs.iter().filter(|(name, _)| is_envelope_metadata(name));
        all.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
    };
    let (sent, kept) = (of_envelope(sent), of_envelope(kept));
    let names = sent.keys().chain(kept.keys());
    { names }.find(|name| sent.get(*name) != kept.get(*name)).cloned()
}

/// Looks for the envelope of an object.
///
/// # Errors
/// If there is one that is damaged, or one of the other vendor, or headers of several.
pub(crate) fn find(metadata: &Metadata, vendor: Vendor) -> Result<Option<Envelope>, Error> {
    let pairs = pairs(metadata);
    match parse_user_metadata_tolerant(vendor, &pairs)? {
        Some(envelope) => Ok(Some(envelope)),
        None => match pairs.into_keys().find(|name| is_envelope_metadata(name)) {
            Some(name) => Err(Error::OtherVendor { name }),
            None => Ok(None),
        },
    }
}

/// Returns the length of the plaintext, after the length of the body was compared with the
/// envelope.
///
/// # Errors
/// If the two do not fit, or nothing says how long the plaintext is.
pub(crate) fn plain_len(envelope: &Envelope, stored: u64) -> Result<u64, Error> {
    let len = envelope_core::plain_len(envelope, stored)?;
    len.ok_or_else(|| Error::UnknownLength(envelope.content_algorithm()))
}

/// Returns what the caller sees of an object: the length of the plaintext, and their own metadata.
/// The MD5 of the body is not that of the plaintext, and is left out.
pub(crate) fn plain(metadata: &Metadata, len: u64) -> Metadata {
    let mut builder = MetadataBuilder::file(len);
    builder.is_current(metadata.is_current()).is_deleted(metadata.is_deleted());
    if let Some(value) = metadata.cache_control() {
        builder.cache_control(value);
    }
    if let Some(value) = metadata.content_type() {
        builder.content_type(value);
    }
    if let Some(value) = metadata.content_encoding() {
        builder.content_encoding(value);
    }
    if let Some(value) = metadata.content_disposition() {
        builder.content_disposition(value);
    }
    if let Some(value) = metadata.last_modified() {
        builder.last_modified(value);
    }
    if let Some(value) = metadata.etag() {
        builder.etag(value);
    }
    if let Some(value) = metadata.version() {
        builder.version(value);
    }
    builder
        .user_metadata(pairs(metadata).into_iter().filter(|(name, _)| !is_envelope_metadata(name)));
    builder.build()
}
