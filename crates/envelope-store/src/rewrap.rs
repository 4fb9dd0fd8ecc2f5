//! Rewrapping: a new master key for an existing object.

use envelope_core::{Decryptor, Encryptor};
use meta_codec::Dialect;

use crate::{
    Headers, Put, Store, StoreError, TransferError,
    transfer::{collect_to, envelope_of, read},
};

/// The outcome of [`rewrap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rewrapped {
    /// The new master key already opens the object, which was left unchanged.
    Already,
    /// The headers were replaced.
    InPlace,
    /// The ciphertext was downloaded and uploaded again, with new headers.
    Reuploaded,
}

/// Rewraps the content key of an object with another master key, without changing its ciphertext.
///
/// `old` holds the current master key, and `new` the future one, if it is available here. An object
/// that `new` already opens is skipped, so that an interrupted job can be run again. OSS refuses to
/// change the metadata of an encrypted object (EC 0005-00000421); if `reupload` is set, the same
/// ciphertext is then uploaded again.
///
/// Anyone who has the old master key, and either the old headers or an old version of the object,
/// can still decrypt it.
///
/// # Errors
/// Any [`TransferError`], including [`StoreError::Changed`] if another writer changed the object in
/// the meantime.
pub async fn rewrap(
    store: &dyn Store,
    key: &str,
    old: &Decryptor<'_>,
    new: Option<&Decryptor<'_>>,
    encryptor: &Encryptor<'_>,
    reupload: bool,
) -> Result<Rewrapped, TransferError> {
    let head = store.head(key).await?;
    let envelope = envelope_of(store, key, &head).await?.ok_or(TransferError::NotEncrypted)?;
    if envelope.dialect() == Dialect::COS_INSTRUCTION {
        return Err(TransferError::Instruction);
    }
    if let Some(vendor) = store.vendor().filter(|vendor| *vendor != encryptor.dialect().vendor()) {
        return Err(TransferError::Vendor { dialect: encryptor.dialect(), vendor });
    }
    let rewrapped = match old.rewrap(&envelope, encryptor) {
        Ok(rewrapped) => rewrapped,
        Err(_) if new.is_some_and(|new| new.open(&envelope).is_ok()) => {
            return Ok(Rewrapped::Already);
        }
        Err(error) => return Err(error.into()),
    };
    let emitted = rewrapped.emit(encryptor.dialect()).map_err(envelope_core::EncryptError::from)?;
    let mut headers = kept(&head.headers);
    headers.extend(emitted.into_iter().map(|(name, value)| (name.to_owned(), value)));
    let wanted = read(&headers)?;

    let outcome = match store.copy_replace_metadata(key, &head.etag, &headers).await {
        Err(error) if error.forbids_new_metadata() && reupload => {
            let file = tempfile::NamedTempFile::new()?;
            let object = store.get(key, None, Some(&head.etag)).await?;
            collect_to(object.body, file.path(), head.crc64).await?;
            let mut put = Put::new(store, key);
            for (name, value) in headers {
                put = put.header(name, value);
            }
            put.stored(file.path()).await?;
            return Ok(Rewrapped::Reuploaded);
        }
        // The copy may have succeeded and only the response been lost.
        Err(error @ (StoreError::Changed | StoreError::Unavailable(_))) => Err(error),
        outcome => outcome,
    };
    let there = store.head(key).await?;
    let now = envelope_of(store, key, &there).await?;
    match (outcome, now == wanted && there.len == head.len) {
        (_, true) => Ok(Rewrapped::InPlace),
        (Err(error), false) => Err(error.into()),
        (Ok(()), false) if now.as_ref() == Some(&envelope) => {
            let words = "the store accepted the new metadata but did not keep it; nothing changed";
            Err(TransferError::Corrupt(words.to_owned()))
        }
        (Ok(()), false) => Err(StoreError::Changed.into()),
    }
}

/// Returns the headers that a new version of an object must keep: all that the user set, except for
/// the envelope.
fn kept(headers: &Headers) -> Headers {
    const STANDARD: [&str; 6] = [
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    ];
    const OWN: [&str; 7] = [
        "x-cos-server-side-encryption",
        "x-cos-server-side-encryption-cos-kms-key-id",
        "x-cos-storage-class",
        "x-oss-server-side-data-encryption",
        "x-oss-server-side-encryption",
        "x-oss-server-side-encryption-key-id",
        "x-oss-storage-class",
    ];
    let is_envelope = |name: &str| {
        let dialects = Dialect::ALL.into_iter();
        dialects.flat_map(Dialect::header_names).any(|known| known == name)
    };
    headers
        .iter()
        .filter(|(name, _)| {
            let user = name.starts_with("x-oss-meta-") || name.starts_with("x-cos-meta-");
            (user && !is_envelope(name))
                || OWN.contains(&name.as_str())
                || STANDARD.contains(&name.as_str())
        })
        .cloned()
        .collect()
}
