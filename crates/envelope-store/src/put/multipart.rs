//! A multipart upload of a file.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use envelope_core::{Crc64, CtrCipher, EncryptedObject, Part, PartPlan};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use md5::{Digest as _, Md5};
use meta_codec::Envelope;

use super::{
    MAX_CORRUPT_ATTEMPTS, Put, UploadResult,
    part_buffer::Pool,
    part_proof::{self, PartProof},
    stored_object::PartSource,
    upload_journal::{Earlier, UploadJournal, now},
};
use crate::{
    Event, Headers, ObjectMeta, PutResult, StoreError, TransferError, Upload,
    budget::memory_for,
    object_envelope::{envelope_in, is_of_envelope},
    retry::again,
};

/// How far the clocks of a store and of this machine may differ, in seconds.
const MAX_SKEW: u64 = 900;

/// A multipart upload, with everything but its ID.
pub(super) struct Multipart<'a> {
    pub(super) put: &'a Put,
    pub(super) plan: PartPlan,
    pub(super) headers: Headers,
    /// The envelope in the headers, to compare with that of the completed object.
    pub(super) envelope: Option<Envelope>,
    /// The cipher of the parts; `None` if the file is ciphertext already.
    pub(super) object: Option<Arc<EncryptedObject<CtrCipher>>>,
    pub(super) source: PartSource,
    /// Proof of the parts, if all of the source was read before.
    pub(super) proof: Option<PartProof>,
    pub(super) buffers: Pool,
}

/// The uploaded parts: entity tag and CRC-64 by number.
pub(super) type Uploaded = BTreeMap<u16, (String, u64)>;

impl Multipart<'_> {
    /// Creates the upload, sends all parts and completes it.
    pub(super) async fn start(
        self,
        journal: Option<UploadJournal>,
    ) -> Result<UploadResult, TransferError> {
        if let Some(journal) = &journal {
            let file = (self.source.len(), self.proof.as_ref().and_then(PartProof::whole));
            let part_size = self.plan.layout().part_size();
            journal.begin(&self.put.key, file, part_size, &self.headers).await;
        }
        let upload = self.put.create_upload(&self.headers).await?;
        if let Some(journal) = &journal {
            journal.upload(&upload).await;
        }
        self.finish_or_abort(&upload, Uploaded::new(), journal.as_ref()).await
    }

    /// Reads all of the source, and returns the proof of its parts if it is still the body that the
    /// seal of the envelope vouches for.
    pub(super) async fn proven_again(
        &self,
        envelope: &Envelope,
    ) -> Result<Option<PartProof>, TransferError> {
        let Some(object) = &self.object else { return Ok(None) };
        let Some(hasher) = object.body_hasher() else { return Ok(None) };
        let PartSource::File(source) = &self.source else { return Ok(None) };
        let (proof, body) = tokio::select! {
            proven = PartProof::sealed(source, object, hasher, self.plan) => proven?,
            () = self.put.stop.stopped() => return Err(TransferError::Stopped),
        };
        let sealed = envelope.seal().map(|seal| seal.terms().body);
        Ok(Some(proof).filter(|_| sealed == Some(body.into())))
    }

    /// Resumes the upload of a journal.
    pub(super) async fn resume(
        &self,
        upload: &Upload,
        earlier: &Earlier,
        journal: &UploadJournal,
        envelope: &Envelope,
    ) -> Result<UploadResult, TransferError> {
        let received = match self.put.store.list_parts(upload).await {
            Ok(received) => received,
            // It may have been completed, and only the response was lost.
            Err(StoreError::NoUpload) => {
                let outcome = self.completed_earlier(envelope).await;
                // An upload that is gone begins anew, with the same journal.
                let gone = matches!(outcome, Err(TransferError::Store(StoreError::NoUpload)));
                if !gone && outcome.as_ref().map_or_else(|it| !it.is_resumable(), |_| true) {
                    journal.remove();
                }
                return outcome;
            }
            Err(error) => return Err(error.into()),
        };
        let received: HashMap<u16, _> =
            received.into_iter().map(|part| (part.number, (part.etag, part.len))).collect();
        let (mut uploaded, mut bytes) = (Uploaded::new(), 0_u64);
        for part in self.plan.parts() {
            let Some((etag, len)) = received.get(&part.number()) else { continue };
            if *len != part.len() {
                continue;
            }
            let known = earlier.part(part.number()).filter(|(known, _)| known == etag);
            let crc64 = match known {
                Some((_, crc64)) => Some(*crc64),
                // It arrived, but the run ended before the journal recorded it.
                None => self.recognize(part, etag).await?,
            };
            if let Some(crc64) = crc64 {
                uploaded.insert(part.number(), (etag.clone(), crc64));
                bytes = bytes.saturating_add(part.len());
            }
        }
        self.put.listener.notify(Event::Resumed(bytes));
        self.finish_or_abort(upload, uploaded, Some(journal)).await
    }

    /// Returns the checksum of a part if its entity tag is the one that its bytes must have: their
    /// MD5, or the tag of a folder.
    async fn recognize(&self, part: Part, etag: &str) -> Result<Option<u64>, TransferError> {
        let (body, crc64) = self.encrypt(part).await?;
        let tag = etag.trim_matches('"').to_ascii_uppercase();
        let hex: String = Md5::digest(&body).iter().map(|byte| format!("{byte:02X}")).collect();
        let own = format!("{crc64:016X}-{}", body.len());
        Ok((tag == hex || tag == own).then_some(crc64))
    }

    /// Sends the parts that are missing and completes the upload. After an error it stays open, so
    /// that a later run can resume it, unless there is no journal or nothing left to resume.
    async fn finish_or_abort(
        &self,
        upload: &Upload,
        uploaded: Uploaded,
        journal: Option<&UploadJournal>,
    ) -> Result<UploadResult, TransferError> {
        let error = match self.finish(upload, uploaded, journal).await {
            Ok(outcome) => {
                journal.iter().for_each(|journal| journal.remove());
                return Ok(outcome);
            }
            Err(error) => error,
        };
        let is_gone = matches!(error, TransferError::Store(StoreError::NoUpload));
        if is_gone && journal.is_some() {
            return Err(match self.put.store.list_parts(upload).await {
                // There is nothing to abort, and the upload begins anew with the same journal.
                Err(StoreError::NoUpload) => error,
                _ => contradiction(),
            });
        }
        // What is uploaded as it is starts anew.
        let can_go_on = self.object.is_some() && error.is_resumable();
        let kept = can_go_on && journal.is_some_and(UploadJournal::is_kept);
        if !kept && self.put.abort(upload).await {
            journal.iter().for_each(|journal| journal.remove());
        }
        Err(error)
    }

    async fn finish(
        &self,
        upload: &Upload,
        mut uploaded: Uploaded,
        journal: Option<&UploadJournal>,
    ) -> Result<UploadResult, TransferError> {
        let missing: Vec<Part> =
            self.plan.parts().filter(|part| !uploaded.contains_key(&part.number())).collect();
        let mut sending = stream::iter(missing)
            .map(|part| async move {
                let _memory = memory_for(&*self.put.store, part.len()).await;
                let (body, crc64) = self.encrypt(part).await?;
                let put = self.put;
                let result =
                    put.send_part(upload, part.number(), body, crc64, &self.headers).await?;
                Ok::<_, TransferError>((part, result, crc64))
            })
            .buffer_unordered(self.put.concurrency);
        loop {
            let next = tokio::select! {
                next = sending.try_next() => next?,
                () = self.put.stop.stopped() => return Err(TransferError::Stopped),
            };
            let Some((part, result, crc64)) = next else { break };
            if let Some(journal) = journal {
                journal.part(part.number(), &result, crc64).await;
            }
            uploaded.insert(part.number(), (result.etag, crc64));
            self.put.listener.notify(Event::Transferred(part.len()));
        }
        drop(sending);
        // What was sealed was sent, so that the time of the file says nothing more.
        match &self.proof {
            Some(PartProof::Sealed { .. }) => self.source.check_len()?,
            _ => self.source.check_unchanged().await?,
        }
        let sums = self.plan.parts().filter_map(|part| {
            let (_, crc64) = uploaded.get(&part.number())?;
            Some((*crc64, part.len()))
        });
        let whole = sums.fold(0, |whole, (crc64, len)| Crc64::combined(whole, crc64, len));
        self.source.check_sum(whole)?;
        let parts = self.plan.parts().map(|part| (part.number(), part.len()));
        let sent = (&self.headers, self.envelope.as_ref());
        self.put.complete(upload, &uploaded, parts, sent).await
    }

    /// Returns the result of an upload that an earlier run completed.
    async fn completed_earlier(&self, envelope: &Envelope) -> Result<UploadResult, TransferError> {
        let Some(meta) = self.put.find_written(self.source.len(), envelope).await? else {
            return Err(StoreError::NoUpload.into());
        };
        let mut crc64 = 0;
        for part in self.plan.parts() {
            let (_, of_part) = self.encrypt(part).await?;
            crc64 = Crc64::combined(crc64, of_part, part.len());
        }
        self.source.check_unchanged().await?;
        let parts = u16::try_from(self.plan.parts().len()).unwrap_or(u16::MAX);
        // Without the ID of its version, so that it is not deleted whatever it looks like: its
        // checksum is that of the file today, not of what was sent.
        let answer = PutResult::new(meta.etag, None);
        let result = UploadResult::new(meta.len, answer.etag.clone(), crc64, parts, Some(envelope));
        self.put.verify((&result).into(), &answer, Some(envelope)).await?;
        Ok(result)
    }

    /// Returns the ciphertext of a part and its checksum.
    async fn encrypt(&self, part: Part) -> Result<(Bytes, u64), TransferError> {
        let source = match &self.source {
            PartSource::File(source) => source.clone(),
            PartSource::Object(_) => {
                let bytes = part.start()..part.start().saturating_add(part.len());
                let bytes = self.source.read(bytes).await?;
                let crc64 = Crc64::of(&bytes);
                return Ok((bytes, crc64));
            }
        };
        let object = self.object.clone();
        let (buffers, proof) = (self.buffers.clone(), self.proof.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut buffer = buffers.take();
            source.read_into(buffer.bytes(), part.start(), part.len())?;
            part_proof::encrypt(buffer, part, object.as_deref(), proof.as_ref())
        });
        done.await.map_err(std::io::Error::other)?
    }
}

impl Put {
    /// Creates an upload. If the response is lost, an upload that was created is looked for and
    /// aborted.
    pub(crate) async fn create_upload(&self, headers: &Headers) -> Result<Upload, TransferError> {
        let mut backoff = self.retry.start();
        loop {
            let begun = now();
            let error = match self.store.create_multipart(&self.key, headers, self.options()).await
            {
                Ok(upload) => return Ok(upload),
                Err(error) => error,
            };
            // These were not performed. After anything else, the upload may be there.
            let refused = matches!(
                error,
                StoreError::Changed
                    | StoreError::ClockSkew(_)
                    | StoreError::Denied(_)
                    | StoreError::Exists
                    | StoreError::Key(_)
                    | StoreError::NoBucket(_)
                    | StoreError::Refused(_)
                    | StoreError::UnknownHost(_)
                    | StoreError::WrongEndpoint { .. }
            );
            if !refused {
                self.abort_lost(&self.key, headers, begun).await;
            }
            again(&mut backoff, &self.listener.waits(), error).await?;
        }
    }

    /// Aborts an upload whose ID is not known, because the response was lost. The uploads of other
    /// clients are left alone, even if they look the same: the store must prove that it was created
    /// with these headers, and they must be of this upload alone, because of a content key that was
    /// wrapped for it. If it cannot (COS), or they are not, an upload may stay until the bucket's
    /// lifecycle rules remove it, and the caller is told.
    pub(super) async fn abort_lost(&self, key: &str, headers: &Headers, since: u64) {
        let mut unknown = false;
        let is_own = !self.is_copy && headers.iter().any(|(name, _)| is_of_envelope(name));
        match self.store.list_multipart_uploads(key).await {
            Ok(open) => {
                for upload in open {
                    match self.store.is_created_with(&upload, headers).await {
                        Ok(Some(true)) if is_own => {
                            self.abort(&upload).await;
                        }
                        Ok(Some(false)) | Err(StoreError::NoUpload) => {}
                        Ok(_) | Err(_) => {
                            unknown |= upload
                                .created
                                .is_none_or(|at| at.saturating_add(MAX_SKEW) >= since);
                        }
                    }
                }
            }
            // Not everybody may list uploads.
            Err(_) => unknown = true,
        }
        if unknown {
            self.listener.notify(Event::Warning(format!(
                "an upload of {key} may have been left open, because the response to its creation \
                 was lost"
            )));
        }
    }

    /// Aborts an upload of our own. A failure is reported, and the upload stays open.
    pub(crate) async fn abort(&self, upload: &Upload) -> bool {
        let Err(error) = self.store.abort(upload).await else { return true };
        self.listener.notify(Event::Warning(format!(
            "the upload {} of {} could not be aborted and is still open: {error}",
            upload.id, upload.key
        )));
        false
    }

    /// Returns the object if it is the one with this envelope.
    async fn find_written(
        &self,
        len: u64,
        envelope: &Envelope,
    ) -> Result<Option<ObjectMeta>, StoreError> {
        let meta = match self.head_written().await {
            Err(StoreError::NotFound) => return Ok(None),
            meta => meta?,
        };
        let found = envelope_in(&meta.headers).ok().flatten();
        Ok(Some(meta).filter(|meta| found.as_ref() == Some(envelope) && meta.len == len))
    }

    /// Uploads a part until it arrives intact. Every attempt sends the same bytes.
    pub(super) async fn send_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        crc64: u64,
        headers: &Headers,
    ) -> Result<PutResult, TransferError> {
        for _ in 0..MAX_CORRUPT_ATTEMPTS {
            let result = self.store.upload_part(upload, number, body.clone(), headers).await?;
            if result.crc64.is_none_or(|received| received == crc64) {
                return Ok(result);
            }
            tracing::warn!(number, "a part arrived corrupted and is sent again");
        }
        Err(TransferError::Corrupt(format!("part {number} repeatedly arrived corrupted")))
    }

    /// Completes an upload and verifies the object. `parts` are the numbers and lengths, in order.
    pub(super) async fn complete(
        &self,
        upload: &Upload,
        uploaded: &Uploaded,
        parts: impl Iterator<Item = (u16, u64)>,
        (headers, envelope): (&Headers, Option<&Envelope>),
    ) -> Result<UploadResult, TransferError> {
        let (mut crc64, mut len, mut tags) = (0, 0_u64, Vec::new());
        for (number, part_len) in parts {
            let (etag, of_part) = uploaded.get(&number).ok_or(TransferError::SourceChanged)?;
            crc64 = Crc64::combined(crc64, *of_part, part_len);
            len = len.saturating_add(part_len);
            tags.push((number, etag.clone()));
        }
        let parts = u16::try_from(tags.len()).unwrap_or(u16::MAX);
        let complete = || async {
            match self.store.complete(upload, &tags, headers, self.options()).await {
                Ok(answer) => Ok(answer),
                Err(error) => self.completed_anyway(upload, len, envelope, error).await,
            }
        };
        let answer = match self.check_new().await {
            Ok(()) => self.replace(0, complete, || self.landed(len, envelope)).await?,
            // What is there may be our own, of an earlier run that was killed right behind this.
            Err(TransferError::Store(StoreError::Exists)) => {
                let there = self.completed_anyway(upload, len, envelope, StoreError::Exists);
                let there = there.await?;
                self.abort(upload).await;
                there
            }
            Err(error) => return Err(error),
        };
        let outcome = UploadResult::new(len, answer.etag.clone(), crc64, parts, envelope);
        self.verify((&outcome).into(), &answer, envelope).await?;
        Ok(outcome)
    }

    /// Returns the object if it is the one that was to be completed.
    async fn landed(&self, len: u64, envelope: Option<&Envelope>) -> Option<PutResult> {
        let envelope = envelope.filter(|_| self.knows_its_own())?;
        self.find_written(len, envelope).await.ok().flatten().map(result_of)
    }

    /// Returns the result of a completion that took effect although the response was an error: an
    /// earlier attempt may have succeeded, or the response is not the store's.
    async fn completed_anyway(
        &self,
        upload: &Upload,
        len: u64,
        envelope: Option<&Envelope>,
        error: StoreError,
    ) -> Result<PutResult, TransferError> {
        let Some(envelope) = envelope.filter(|_| self.knows_its_own()) else {
            return Err(error.into());
        };
        match self.find_written(len, envelope).await {
            Ok(Some(meta)) => return Ok(result_of(meta)),
            Ok(None) => {}
            // The first error says more.
            Err(_) => return Err(error.into()),
        }
        if !matches!(error, StoreError::NoUpload | StoreError::NotFound) {
            return Err(error.into());
        }
        // An upload that is known to be gone is over, but only then.
        match self.store.list_parts(upload).await {
            Err(StoreError::NoUpload) => Err(StoreError::NoUpload.into()),
            _ => Err(contradiction()),
        }
    }
}

/// Returns what a store answers that wrote this object.
pub(super) fn result_of(meta: ObjectMeta) -> PutResult {
    PutResult::new(meta.etag, meta.crc64).with_version_id(meta.version_id)
}

/// The error for an upload that is said to be gone, and is there. It can be resumed.
fn contradiction() -> TransferError {
    let words = "the store denies and shows the same upload";
    StoreError::Malformed(words.to_owned()).into()
}
