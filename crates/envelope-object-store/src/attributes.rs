//! The envelope among the attributes of an object, whose names there lack the vendor's prefix.

use std::collections::BTreeMap;

use envelope_core::{
    Envelope, ParseError, Vendor,
    meta_codec::{
        Reason, is_envelope_metadata, parse_instruction, parse_user_metadata_tolerant,
        user_metadata_name,
    },
};
use object_store::{Attribute, Attributes};

use crate::Error;

/// What the attributes of an object say about its encryption.
pub(crate) enum Found {
    /// An envelope, which may deviate from its dialect.
    Envelope(Box<Envelope>),
    /// No envelope. It may be in an instruction file, with this error if it is not.
    Nothing(Option<ParseError>),
}

/// Returns the attributes with the headers of an envelope.
///
/// # Errors
/// If the user's own attributes have a name of the envelope, in whatever case, because stores that
/// do not tell cases apart would keep one of them; or a value that HTTP clients do not read again.
pub(crate) fn with_envelope(
    mut attributes: Attributes,
    headers: &[(&'static str, String)],
) -> Result<Attributes, Error> {
    for (attribute, value) in &attributes {
        if let Some(name) = envelope_name(attribute) {
            return Err(Error::ReservedName { name });
        }
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(Error::AttributeValue { name: format!("{attribute:?}") });
        }
    }
    for (header, value) in headers {
        let name = user_metadata_name(header).unwrap_or(header);
        attributes.insert(Attribute::Metadata(name.into()), value.clone().into());
    }
    Ok(attributes)
}

/// Returns the attributes of the user, without those of an envelope.
pub(crate) fn without_envelope(mut attributes: Attributes) -> Attributes {
    let all = attributes.iter().map(|(attribute, _)| attribute.clone());
    let names: Vec<Attribute> = all.filter(|it| envelope_name(it).is_some()).collect();
    for name in &names {
        attributes.remove(name);
    }
    attributes
}

/// Returns the headers of an envelope in these attributes, by their names in lower case.
pub(crate) fn of_envelope(attributes: &Attributes) -> BTreeMap<String, &str> {
    let headers = attributes
        .iter()
        .filter_map(|(attribute, value)| Some((envelope_name(attribute)?, value.as_ref())));
    headers.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

/// Looks for an envelope.
///
/// # Errors
/// If there is one that is damaged, or one of the other vendor, or headers of several.
pub(crate) fn find(attributes: &Attributes, vendor: Vendor) -> Result<Found, Error> {
    match parse_user_metadata_tolerant(vendor, user_metadata(attributes)) {
        Ok(Some(envelope)) => Ok(Found::Envelope(Box::new(envelope))),
        Ok(None) => match of_envelope(attributes).into_keys().next() {
            Some(name) => Err(Error::OtherVendor { name }),
            None => Ok(Found::Nothing(None)),
        },
        Err(error) if *error.reason() == Reason::PerhapsInstruction => {
            Ok(Found::Nothing(Some(error)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the envelope in an instruction file, whose object has these attributes.
///
/// # Errors
/// If it cannot be parsed.
pub(crate) fn instructed(
    attributes: &Attributes,
    vendor: Vendor,
    file: &[u8],
) -> Result<Envelope, Error> {
    let prefix = vendor.metadata_prefix();
    let headers = user_metadata(attributes).map(|(name, value)| (format!("{prefix}{name}"), value));
    Ok(parse_instruction(headers, &String::from_utf8_lossy(file))?)
}

fn user_metadata(attributes: &Attributes) -> impl Iterator<Item = (&str, &str)> {
    attributes.iter().filter_map(|(attribute, value)| match attribute {
        Attribute::Metadata(name) => Some((&**name, value.as_ref())),
        _ => None,
    })
}

/// Returns the name of user metadata that belongs to the envelope of some dialect.
fn envelope_name(attribute: &Attribute) -> Option<String> {
    match attribute {
        Attribute::Metadata(name) if is_envelope_metadata(name) => Some(name.to_string()),
        _ => None,
    }
}
