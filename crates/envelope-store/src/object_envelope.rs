//! The envelope of an object in a store.

use meta_codec::{
    Dialect, EmitError, Envelope, ParseError, Reason, Vendor, parse, parse_instruction,
    parse_tolerant,
};

use crate::{GetOptions, Headers, ObjectMeta, Store, StoreError, TransferError, body::collect};

/// Longer than the headers of any envelope, in bytes.
const MAX_INSTRUCTION: u64 = 64 * 1024;

/// Returns the envelope of an object, read from its headers or, on COS, from its instruction file.
///
/// Returns `Ok(None)` if the object has no envelope. The envelope may
/// [deviate](meta_codec::Deviation) from its dialect; ask the [policy](envelope_core::Policy)
/// before using it. It can be dropped at any time.
///
/// # Errors
/// [`TransferError::Parse`] if the envelope is rejected; [`TransferError::OldInstruction`]; or
/// [`TransferError::Store`].
pub async fn envelope_of(
    store: &dyn Store,
    key: &str,
    meta: &ObjectMeta,
) -> Result<Option<Envelope>, TransferError> {
    let parsed = parse_tolerant(pairs(&meta.headers));
    if !may_be_instructed(store, &parsed) {
        return Ok(parsed?);
    }
    let file = match store.get(&instruction_key(key), GetOptions::default()).await {
        // Nobody knows which version of it belongs to an older version of the object.
        Ok(_) if store.is_pinned(key) => return Err(TransferError::OldInstruction),
        Ok(file) if file.meta.len <= MAX_INSTRUCTION => collect(file.body).await?,
        // Whoever may not read it does not know whether the object is encrypted.
        Ok(_) | Err(StoreError::NotFound) => return Ok(parsed?),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&file);
    Ok(Some(parse_instruction(pairs(&meta.headers), &text)?))
}

/// Returns the key of the instruction file of an object (COS Java).
pub(crate) fn instruction_key(key: &str) -> String {
    format!("{key}.instruction")
}

/// Returns whether an object is the instruction file of another one (COS Java), and so none of its
/// own: it has no envelope itself, and neither does the other one, which is there.
///
/// # Errors
/// Any transport or service error.
pub async fn is_instruction_file(store: &dyn Store, key: &str) -> Result<bool, StoreError> {
    let base = key.strip_suffix(".instruction").filter(|base| !base.is_empty());
    let Some(base) = base.filter(|_| store.vendor().is_some_and(Vendor::has_instruction_files))
    else {
        return Ok(false);
    };
    let has_none = |meta: &ObjectMeta| matches!(envelope_in(&meta.headers), Ok(None));
    match store.head(base).await {
        Ok(meta) if !is_elsewhere(store, &meta) => Ok(false),
        Ok(_) => Ok(has_none(&store.head(key).await?)),
        Err(StoreError::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether the envelope of an object may be in another object, so that it takes a request
/// to know it.
pub(crate) fn is_elsewhere(store: &dyn Store, meta: &ObjectMeta) -> bool {
    may_be_instructed(store, &envelope_in(&meta.headers))
}

fn may_be_instructed(store: &dyn Store, parsed: &Result<Option<Envelope>, ParseError>) -> bool {
    match parsed {
        Ok(None) => store.vendor().is_some_and(Vendor::has_instruction_files),
        Err(error) => *error.reason() == Reason::PerhapsInstruction,
        Ok(Some(_)) => false,
    }
}

/// Returns whether a header is one of those that hold an envelope, in any dialect.
pub(crate) fn is_of_envelope(name: &str) -> bool {
    let mut dialects = Dialect::ALL.into_iter();
    dialects.any(|dialect| dialect.header_names().any(|known| known == name))
}

/// Returns the envelope in headers that are written, or were. It does not deviate from its dialect.
pub(crate) fn envelope_in(headers: &Headers) -> Result<Option<Envelope>, ParseError> {
    parse(pairs(headers))
}

/// Checks that the store takes so much metadata of the user.
///
/// # Errors
/// If it is more than the vendor stores.
pub(crate) fn check_budget(headers: &Headers, vendor: Vendor) -> Result<(), EmitError> {
    let users = headers.iter().filter(|(name, _)| name.starts_with(vendor.metadata_prefix()));
    let size = users.fold(0_usize, |size, (name, value)| {
        size.saturating_add(name.len()).saturating_add(value.len())
    });
    let limit = vendor.header_budget();
    if size > limit { Err(EmitError::HeaderBudget { size, limit }) } else { Ok(()) }
}

fn pairs(headers: &Headers) -> impl Iterator<Item = (&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}
