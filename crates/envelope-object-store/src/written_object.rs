//! An object that was written, to be looked at.

use std::collections::BTreeMap;

use object_store::{
    Attributes, Error as StoreError, GetOptions, GetResult, ObjectStore, PutResult, Result,
    path::Path,
};

use crate::{
    EncryptedStore, Error,
    attributes::{self, Found},
    error::replaced,
};

/// The metadata and the length that an object must have after it was written or copied.
pub(crate) struct WrittenObject {
    pub(crate) path: Path,
    /// All of its attributes.
    pub(crate) attributes: Attributes,
    /// The length of its body.
    pub(crate) len: u64,
}

impl<S: ObjectStore> EncryptedStore<S> {
    /// Looks at an object after it was uploaded, unless told not to.
    ///
    /// # Errors
    /// If the store did not keep the envelope, or all of the body, or does not say.
    pub(crate) async fn check_upload(
        &self,
        written: &WrittenObject,
        result: &PutResult,
    ) -> Result<()> {
        if !self.checks_writes {
            return Ok(());
        }
        let seen = match self.look(&written.path, result.version.as_deref()).await {
            Ok(seen) => seen,
            // Somebody has deleted it since. The store had said that it was there.
            Err(StoreError::NotFound { .. }) if result.version.is_none() => return Ok(()),
            Err(source) => {
                let (path, source) = (written.path.to_string(), Box::new(source));
                return Err(Error::NotChecked { path, source }.into());
            }
        };
        let Some(error) = written.compare(&seen) else { return Ok(()) };
        if !self.is_of_another(written, &seen) {
            return Err(error.into());
        }
        match (&result.e_tag, &seen.meta.e_tag) {
            // Somebody has written another object since. This one was there.
            (Some(sent), Some(seen)) if sent != seen => Ok(()),
            // So has somebody here, perhaps: the shortest bodies have the same tag by chance.
            (Some(_), Some(_)) if written.len < 3 => Ok(()),
            // Nobody can tell this from a store that has kept the old metadata.
            (Some(_), Some(_)) => Err(error.into()),
            _ => Err(replaced(&written.path)),
        }
    }

    /// Looks at an object after it was copied.
    ///
    /// # Errors
    /// If the store did not keep the envelope, or all of the body, or does not say.
    pub(crate) async fn check_copy(&self, copied: &WrittenObject) -> Result<()> {
        let seen = self.look(&copied.path, None).await;
        let seen = seen.map_err(|source| Error::NotChecked {
            path: copied.path.to_string(),
            source: Box::new(source),
        })?;
        match copied.compare(&seen) {
            None => Ok(()),
            // Source or target were replaced in the meantime.
            Some(_) if self.is_of_another(copied, &seen) => Err(replaced(&copied.path)),
            Some(error) => Err(error.into()),
        }
    }

    /// Asks for the metadata of a version, or of the current one if the caller may not ask for
    /// versions.
    async fn look(&self, path: &Path, version: Option<&str>) -> Result<GetResult> {
        let options = GetOptions::new().with_head(true);
        let pinned = options.clone().with_version(version);
        match self.inner().get_opts(path, pinned).await {
            Err(StoreError::PermissionDenied { .. }) if version.is_some() => {
                self.inner().get_opts(path, options).await
            }
            outcome => outcome,
        }
    }

    /// Returns whether a complete envelope is there, with another content key.
    fn is_of_another(&self, written: &WrittenObject, seen: &GetResult) -> bool {
        let find = |attributes| match attributes::find(attributes, self.vendor) {
            Ok(Found::Envelope(envelope)) => Some(envelope),
            _ => None,
        };
        match (find(&written.attributes), find(&seen.attributes)) {
            (Some(own), Some(other)) => own.wrapped_key() != other.wrapped_key(),
            _ => false,
        }
    }
}

impl WrittenObject {
    /// Returns what is wrong with what was seen. Nothing may be missing, and nothing may be left
    /// over from an object that was there before.
    fn compare(&self, seen: &GetResult) -> Option<Error> {
        let sent = attributes::of_envelope(&self.attributes);
        let kept = attributes::of_envelope(&seen.attributes);
        let differs = |a: &BTreeMap<String, &str>, b: &BTreeMap<String, &str>| {
            a.iter().find(|(name, value)| b.get(*name) != Some(value)).map(|(name, _)| name.clone())
        };
        if let Some(name) = differs(&sent, &kept).or_else(|| differs(&kept, &sent)) {
            return Some(Error::EnvelopeLost { path: self.path.to_string(), name });
        }
        let (want, got) = (0..self.len, 0..seen.meta.size);
        (want != got).then_some(Error::OtherBytes { want, got })
    }
}
