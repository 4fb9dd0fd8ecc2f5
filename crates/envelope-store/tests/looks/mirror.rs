//! A store of one object that may show something other than what it holds.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
use envelope_store::{
    ErrorResponse, Get, GetOptions, Headers, MemoryStore, Object, ObjectMeta, Put, PutOptions,
    PutResult, Store, StoreError, Upload, UploadedPart,
};
use meta_codec::Vendor;

pub(crate) const PLAIN: &[u8] = b"forty-two bytes of a text, more or less...";

/// The behavior of a [`Mirror`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shows {
    Truth,
    /// After it was written, or its headers were replaced: another entity tag, checksum or length.
    OtherTag,
    OtherSum,
    OtherSumAndTag,
    OtherLen,
    /// Another length, at the first look only.
    OtherLenOnce,
    /// The object as it was, but for its length.
    Before,
    BeforeButLen,
    /// The object without its envelope, with the same bytes or with others.
    NoEnvelope,
    NoEnvelopeNorBytes,
    /// An envelope that is neither the old one nor the new one.
    OtherEnvelope,
    /// An envelope that opens the object, but does not state its length.
    AlteredEnvelope,
    /// The object is not encrypted by the store as it was asked to.
    NoServerSide,
    /// It takes longer than a look is believed, and meanwhile somebody changes a header or not.
    SlowAccess,
    SlowAccessAndColleague,
    /// New metadata is refused, and so is what is uploaded instead, with or without a trace.
    NoUpload,
    HalfUpload,
    /// The answer to an upload is lost, and what is there is right, has a byte changed, or is what
    /// a colleague has written: the same bytes with another envelope.
    LostAnswer,
    LostAnswerOfDamage,
    LostAnswerOfColleague,
    /// An upload is done and refused.
    RefusedAnswer,
    /// The answer to the creation of an upload in parts is lost. Whose it is can be told, or not,
    /// and then it was created at this time.
    LostCreation,
    LostCreationWithoutProof(Option<u64>),
    /// The answer to the completion is lost, and that to the look after it, too.
    LostCompletion,
    LostCompletionAndLook,
    /// The upload is gone at its completion, and a colleague has written the same bytes. Or it is
    /// only said to be gone.
    GoneUpload,
    GoneUploadAndColleague,
    DeniedUpload,
    /// The first uploads, as many as this, arrive with a byte changed.
    Damages(u32),
}

/// A store of one object that may show something other than what it holds.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) store: Arc<MemoryStore>,
    shows: Mutex<Shows>,
    before: Mutex<Option<ObjectMeta>>,
    /// The number of times that headers were replaced, or that an upload could be damaged.
    pub(crate) copies: AtomicU32,
    /// The number of looks at an object after it was written.
    pub(crate) looks: AtomicU32,
}

impl Mirror {
    /// Returns a store with an encrypted object.
    pub(crate) async fn new(key: &AesKeyWrapper) -> Arc<Self> {
        let mirror = Arc::new(Self {
            store: Arc::default(),
            shows: Mutex::new(Shows::Truth),
            before: Mutex::new(None),
            copies: AtomicU32::new(0),
            looks: AtomicU32::new(0),
        });
        let encryptor = Encryptor::new(key, Dialect::COS_V2);
        Put::new(mirror.clone(), "key").stream(PLAIN, None, &encryptor).await.unwrap();
        mirror
    }

    /// Stores an object, and does not say so.
    async fn lose(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        self.store.put(key, body, headers, options).await?;
        Err(lost())
    }

    fn shows(&self) -> Shows {
        *self.shows.lock().unwrap()
    }

    pub(crate) fn show(&self, shows: Shows) {
        *self.shows.lock().unwrap() = shows;
        *self.before.lock().unwrap() = None;
        self.copies.store(0, Ordering::Relaxed);
        self.looks.store(0, Ordering::Relaxed);
    }

    /// Returns whether the object that is really there is [`PLAIN`] under this key.
    pub(crate) async fn opens_with(&self, key: &AesKeyWrapper) -> bool {
        let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
        match Get::new(self.store.clone(), "key").decrypt(&decryptor).await {
            Ok(result) => result.read_to_end().await.unwrap() == PLAIN,
            Err(_) => false,
        }
    }
}

/// The header that asks the store to encrypt.
pub(crate) const SERVER_SIDE: &str = "x-cos-server-side-encryption";

/// The end of the header that states how long the plaintext is.
const LENGTH: &str = "unencrypted-content-length";

fn is_envelope(name: &str) -> bool {
    name.starts_with("x-cos-meta-client-side-encryption")
}

/// Replaces an envelope by one that has another content key.
fn exchange_envelope(headers: &mut Headers) {
    let key = AesKeyWrapper::generate().unwrap();
    let of_other = Encryptor::new(&key, Dialect::COS_V2).encrypt().unwrap();
    headers.retain(|(name, _)| !is_envelope(name));
    let of_other = of_other.headers().iter();
    headers.extend(of_other.map(|(name, value)| ((*name).to_owned(), value.clone())));
}

fn damaged(body: &[u8]) -> Bytes {
    let mut body = body.to_vec();
    body.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    body.into()
}

/// The error for an answer that is lost.
fn lost() -> StoreError {
    StoreError::Unavailable("the line is down".to_owned())
}

/// The error for a request that is refused.
fn refused(code: &str) -> StoreError {
    let mut refusal = ErrorResponse::default();
    code.clone_into(&mut refusal.code);
    StoreError::Refused(refusal)
}

#[async_trait::async_trait]
impl Store for Mirror {
    fn vendor(&self) -> Option<Vendor> {
        Some(Vendor::Cos)
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        let mut meta = self.store.head(key).await?;
        let shows = self.shows();
        if matches!(shows, Shows::SlowAccess | Shows::SlowAccessAndColleague) {
            meta.etag = "\"of its bytes\"".to_owned();
        }
        let Some(before) = self.before.lock().unwrap().clone() else { return Ok(meta) };
        let looks = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        let wrong = meta.crc64.map(|sum| sum ^ 1);
        match shows {
            Shows::OtherTag => meta.etag = "\"another\"".to_owned(),
            Shows::OtherSum => (meta.etag, meta.crc64) = (before.etag, wrong),
            Shows::OtherSumAndTag => meta.crc64 = wrong,
            Shows::OtherLen => meta.len += 1,
            Shows::OtherLenOnce if looks == 1 => meta.len += 1,
            Shows::LostCompletionAndLook if looks == 1 => {
                return Err(lost());
            }
            Shows::Before => meta = before,
            Shows::BeforeButLen => {
                meta = before;
                meta.len += 1;
            }
            Shows::NoEnvelope => meta.headers.retain(|(name, _)| !is_envelope(name)),
            Shows::NoEnvelopeNorBytes => {
                meta.headers.retain(|(name, _)| !is_envelope(name));
                meta.len += 1;
            }
            Shows::NoServerSide => meta.headers.retain(|(name, _)| name != SERVER_SIDE),
            Shows::AlteredEnvelope => meta.headers.retain(|(name, _)| !name.ends_with(LENGTH)),
            Shows::OtherEnvelope => exchange_envelope(&mut meta.headers),
            _ => {}
        }
        Ok(meta)
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object, StoreError> {
        self.store.get(key, options).await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        match self.shows() {
            Shows::NoUpload => Err(refused("NoUpload")),
            Shows::HalfUpload => {
                self.store.put(key, body.slice(..1), headers, options).await?;
                Err(refused("HalfUpload"))
            }
            Shows::RefusedAnswer => {
                self.store.put(key, body, headers, options).await?;
                Err(refused("RefusedAnswer"))
            }
            Shows::LostAnswer => self.lose(key, body, headers, options).await,
            Shows::LostAnswerOfDamage => self.lose(key, damaged(&body), headers, options).await,
            Shows::LostAnswerOfColleague => {
                let mut headers = headers.clone();
                exchange_envelope(&mut headers);
                self.lose(key, body, &headers, options).await
            }
            Shows::Damages(uploads) if self.copies.fetch_add(1, Ordering::Relaxed) < uploads => {
                self.store.put(key, damaged(&body), headers, options).await
            }
            _ => {
                let result = self.store.put(key, body, headers, options).await?;
                *self.before.lock().unwrap() = Some(self.store.head(key).await?);
                Ok(result)
            }
        }
    }

    async fn create_multipart(
        &self,
        key: &str,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<Upload, StoreError> {
        let upload = self.store.create_multipart(key, headers, options).await?;
        let is_lost =
            matches!(self.shows(), Shows::LostCreation | Shows::LostCreationWithoutProof(_));
        if is_lost && self.copies.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(lost());
        }
        Ok(upload)
    }

    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        headers: &Headers,
    ) -> Result<PutResult, StoreError> {
        self.store.upload_part(upload, number, body, headers).await
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<UploadedPart>, StoreError> {
        self.store.list_parts(upload).await
    }

    async fn complete(
        &self,
        upload: &Upload,
        parts: &[(u16, String)],
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        match self.shows() {
            Shows::LostCompletion | Shows::LostCompletionAndLook => {
                self.store.complete(upload, parts, headers, options).await?;
                *self.before.lock().unwrap() = Some(self.store.head(&upload.key).await?);
                Err(lost())
            }
            Shows::GoneUpload => {
                self.store.abort(upload).await?;
                Err(StoreError::NoUpload)
            }
            Shows::GoneUploadAndColleague => {
                self.store.complete(upload, parts, headers, options).await?;
                let there = self.store.head(&upload.key).await?;
                let mut headers = there.headers.clone();
                exchange_envelope(&mut headers);
                self.store.copy_replace_metadata(&upload.key, &there.etag, &headers).await?;
                Err(StoreError::NoUpload)
            }
            Shows::DeniedUpload => Err(StoreError::NoUpload),
            _ => self.store.complete(upload, parts, headers, options).await,
        }
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        self.store.abort(upload).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.store.delete(key).await
    }

    async fn list_multipart_uploads(&self, key: &str) -> Result<Vec<Upload>, StoreError> {
        let mut uploads = self.store.list_multipart_uploads(key).await?;
        if let Shows::LostCreationWithoutProof(created) = self.shows() {
            uploads.iter_mut().for_each(|upload| upload.created = created);
        }
        Ok(uploads)
    }

    async fn is_created_with(
        &self,
        upload: &Upload,
        headers: &Headers,
    ) -> Result<Option<bool>, StoreError> {
        match self.shows() {
            Shows::LostCreationWithoutProof(_) => Ok(None),
            _ => self.store.is_created_with(upload, headers).await,
        }
    }

    async fn copy_replace_metadata(
        &self,
        key: &str,
        _: &str,
        headers: &Headers,
    ) -> Result<(), StoreError> {
        if matches!(self.shows(), Shows::NoUpload | Shows::HalfUpload) {
            return Err(refused("InvalidEncryptionRequest"));
        }
        let before = self.store.head(key).await?;
        self.copies.fetch_add(1, Ordering::Relaxed);
        self.store.copy_replace_metadata(key, &before.etag, headers).await?;
        self.before.lock().unwrap().get_or_insert(before);
        Ok(())
    }

    async fn access(&self, key: &str) -> Result<Option<String>, StoreError> {
        if matches!(self.shows(), Shows::SlowAccess | Shows::SlowAccessAndColleague) {
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
        if self.shows() == Shows::SlowAccessAndColleague {
            let now = self.store.head(key).await?;
            let mut headers = now.headers.clone();
            headers.push(("x-cos-meta-note".to_owned(), "theirs".to_owned()));
            self.store.copy_replace_metadata(key, &now.etag, &headers).await?;
        }
        Ok(None)
    }
}
