//! Uploads in parts.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use envelope_core::{IntegrityError, Keystream, WholeHasher};
use futures_util::{FutureExt as _, future};
use object_store::{MultipartUpload, ObjectStore, PutPayload, PutResult, Result, UploadPart};

use crate::{EncryptedStore, Error, written_object::WrittenObject};

/// An upload whose parts are encrypted when they are handed over, each with the keystream of its
/// place in the object. They can then be sent in any order, and in parallel.
pub(crate) struct EncryptedUpload<S> {
    store: EncryptedStore<S>,
    upload: Box<dyn MultipartUpload>,
    /// At the end of the last part.
    keystream: Keystream,
    /// What the object must be like once it is complete.
    written: WrittenObject,
    has_parts: bool,
    /// A part that could not be encrypted is missing, so the object must not be completed.
    is_broken: bool,
    /// What the store said when it completed the upload. There is nothing to abort any more then,
    /// and to complete it again could replace the object.
    completed: Option<PutResult>,
}

impl<S> EncryptedUpload<S> {
    pub(crate) fn new(
        store: EncryptedStore<S>,
        upload: Box<dyn MultipartUpload>,
        keystream: Keystream,
        written: WrittenObject,
    ) -> Self {
        let (has_parts, is_broken, completed) = (false, false, None);
        Self { store, upload, keystream, written, has_parts, is_broken, completed }
    }
}

impl<S> fmt::Debug for EncryptedUpload<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedUpload")
            .field("path", &self.written.path)
            .field("upload", &self.upload)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: ObjectStore> MultipartUpload for EncryptedUpload<S> {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.has_parts = true;
        match encrypt(data, &mut self.keystream, None) {
            Ok(body) => self.upload.put_part(body),
            Err(error) => {
                self.is_broken = true;
                future::ready(Err(error.into())).boxed()
            }
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        if self.is_broken {
            return Err(Error::from(IntegrityError::TooLong).into());
        }
        let result = match &self.completed {
            Some(result) => result.clone(),
            None => {
                if !self.has_parts {
                    // Some clients turn an upload without parts into one without metadata.
                    self.put_part(PutPayload::new()).await?;
                }
                let result = self.upload.complete().await?;
                self.completed.insert(result).clone()
            }
        };
        self.written.len = self.keystream.position();
        self.store.check_upload(&self.written, &result).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        if self.completed.is_some() { Ok(()) } else { self.upload.abort().await }
    }
}

/// Encrypts a payload, of which others may hold a copy, and hashes the result.
///
/// # Errors
/// If the object becomes longer than AES-CTR allows.
pub(crate) fn encrypt(
    payload: PutPayload,
    keystream: &mut Keystream,
    mut hasher: Option<&mut WholeHasher>,
) -> Result<PutPayload, Error> {
    let encrypt = |plain: Bytes| {
        let mut body = vec![0; plain.len()];
        keystream.try_apply_to(&plain, &mut body).map_err(|_| IntegrityError::TooLong)?;
        if let Some(hasher) = &mut hasher {
            hasher.update(&body);
        }
        Ok(Bytes::from(body))
    };
    payload.into_iter().map(encrypt).collect()
}
