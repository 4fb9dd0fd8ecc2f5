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
    source::Source,
    upload_journal::{UploadJournal, now},
};
use crate::{
    Event, Headers, PutResult, StoreError, TransferError, Upload, object_envelope::envelope_in,
    retry::again,
};

/// A multipart upload, with everything but its ID.
pub(super) struct Multipart<'a> {
    pub(super) put: &'a Put,
    pub(super) plan: PartPlan,
    pub(super) headers: Headers,
    /// The envelope in the headers, to compare with that of the completed object.
    pub(super) envelope: Option<Envelope>,
    /// The cipher of the parts; `None` if the file is ciphertext already.
    pub(super) object: Option<Arc<EncryptedObject<CtrCipher>>>,
    pub(super) source: Source,
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
            journal.begin(&self.put.key, self.plan.layout().part_size(), &self.headers)?;
        }
        let upload = self.put.create_upload(&self.headers).await?;
        if let Some(journal) = &journal {
            journal.upload(&upload)?;
        }
        self.finish_or_abort(&upload, Uploaded::new(), journal).await
    }

    /// Resumes the upload of a journal.
    pub(super) async fn resume(
        self,
        journal: UploadJournal,
        envelope: Envelope,
    ) -> Result<UploadResult, TransferError> {
        let Some((earlier, upload)) =
            journal.earlier().and_then(|it| Some((it.clone(), it.upload(&self.put.key)?)))
        else {
            return Err(StoreError::NoUpload.into());
        };
        let received = match self.put.store.list_parts(&upload).await {
            Ok(received) => received,
            // It may have been completed, and only the response was lost.
            Err(StoreError::NoUpload) => {
                let outcome = self.completed_earlier(&envelope).await;
                if outcome.is_ok() {
                    journal.remove()?;
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
        self.finish_or_abort(&upload, uploaded, Some(journal)).await
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

    async fn finish_or_abort(
        self,
        upload: &Upload,
        uploaded: Uploaded,
        journal: Option<UploadJournal>,
    ) -> Result<UploadResult, TransferError> {
        match self.finish(upload, uploaded, journal.as_ref()).await {
            Ok(outcome) => {
                if let Some(journal) = journal {
                    journal.remove()?;
                }
                Ok(outcome)
            }
            Err(error) if journal.is_some() && error.is_resumable() => Err(error),
            Err(error) => {
                // The original error matters more than a failure to abort.
                let aborted = self.put.store.abort(upload).await;
                if let (Ok(()), Some(journal)) = (aborted, journal) {
                    journal.remove()?;
                }
                Err(error)
            }
        }
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
                () = self.put.stopped() => return Err(TransferError::Stopped),
            };
            let Some((part, result, crc64)) = next else { break };
            if let Some(journal) = journal {
                journal.part(part.number(), &result, crc64)?;
            }
            uploaded.insert(part.number(), (result.etag, crc64));
            self.put.listener.notify(Event::Transferred(part.len()));
        }
        drop(sending);
        self.source.check_unchanged()?;
        let parts = self.plan.parts().map(|part| (part.number(), part.len()));
        self.put.complete(upload, &uploaded, parts, self.envelope.as_ref()).await
    }

    /// Returns the result of an upload that an earlier run completed.
    async fn completed_earlier(&self, envelope: &Envelope) -> Result<UploadResult, TransferError> {
        let meta = match self.put.store.head(&self.put.key).await {
            Err(StoreError::NotFound) => return Err(StoreError::NoUpload.into()),
            meta => meta?,
        };
        let found = envelope_in(&meta.headers);
        if !found.is_ok_and(|found| found.as_ref() == Some(envelope))
            || meta.len != self.source.len()
        {
            return Err(StoreError::NoUpload.into());
        }
        let mut crc64 = 0;
        for part in self.plan.parts() {
            let (_, of_part) = self.encrypt(part).await?;
            crc64 = Crc64::combined(crc64, of_part, part.len());
        }
        let parts = u16::try_from(self.plan.parts().len()).unwrap_or(u16::MAX);
        let result = UploadResult { len: meta.len, etag: meta.etag, crc64, parts };
        self.put.verify(&result, None, Some(envelope)).await?;
        Ok(result)
    }

    /// Returns the ciphertext of a part and its checksum.
    async fn encrypt(&self, part: Part) -> Result<(Bytes, u64), TransferError> {
        let (source, object) = (self.source.clone(), self.object.clone());
        let buffers = self.buffers.clone();
        let done = tokio::task::spawn_blocking(move || {
            let (mut buffer, mut sum) = (buffers.take(), Crc64::new());
            let bytes = buffer.bytes();
            source.read_into(bytes, part.start(), part.len())?;
            match object {
                Some(object) => object.part(part.number())?.encrypt_summed(bytes, &mut sum)?,
                None => sum.update(bytes),
            }
            Ok((buffer.freeze(), sum.value()))
        });
        done.await.map_err(std::io::Error::other)?
    }
}

impl Put {
    /// Creates an upload. If the response is lost, an upload that was created is looked for and
    /// aborted.
    pub(super) async fn create_upload(&self, headers: &Headers) -> Result<Upload, TransferError> {
        let mut backoff = self.retry.start();
        loop {
            let begun = now();
            match self.store.create_multipart(&self.key, headers, self.options()).await {
                Err(error) if error.is_transient() => {
                    self.abort_lost(begun).await?;
                    again(&mut backoff, error).await?;
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Aborts the empty uploads of this key created since `since`: the one whose response was lost.
    /// If the clocks differ by more than two seconds, it is left to the bucket's lifecycle rules.
    pub(super) async fn abort_lost(&self, since: u64) -> Result<(), TransferError> {
        // Not everybody may list uploads; that is no reason not to create one.
        let open = self.store.list_multipart_uploads(&self.key).await.unwrap_or_else(|error| {
            tracing::warn!("an upload may have been left open: {error}");
            Vec::new()
        });
        for upload in open {
            let recent = upload.created.is_some_and(|at| at.saturating_add(2) >= since);
            if recent && self.store.list_parts(&upload).await.is_ok_and(|parts| parts.is_empty()) {
                self.store.abort(&upload).await?;
            }
        }
        Ok(())
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
        envelope: Option<&Envelope>,
    ) -> Result<UploadResult, TransferError> {
        let (mut crc64, mut len, mut tags) = (0, 0_u64, Vec::new());
        for (number, part_len) in parts {
            let (etag, of_part) = uploaded.get(&number).ok_or(TransferError::SourceChanged)?;
            crc64 = Crc64::combined(crc64, *of_part, part_len);
            len = len.saturating_add(part_len);
            tags.push((number, etag.clone()));
        }
        let parts = u16::try_from(tags.len()).unwrap_or(u16::MAX);
        let result = match self.store.complete(upload, &tags, self.options()).await {
            // An earlier attempt may have succeeded. Then the object is there, with our envelope.
            Err(error @ (StoreError::NoUpload | StoreError::Changed)) if envelope.is_some() => {
                let meta = match self.store.head(&self.key).await {
                    Err(StoreError::NotFound) => return Err(error.into()),
                    meta => meta?,
                };
                let found = envelope_in(&meta.headers);
                if !found.is_ok_and(|found| found.as_ref() == envelope) {
                    return Err(error.into());
                }
                PutResult::new(meta.etag, meta.crc64)
            }
            result => result?,
        };
        let outcome = UploadResult { len, etag: result.etag, crc64, parts };
        self.verify(&outcome, result.crc64, envelope).await?;
        Ok(outcome)
    }
}
