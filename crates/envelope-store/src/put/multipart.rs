//! A multipart upload of a file.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use envelope_core::{ContentCipher, Crc64, Part, PartPlan};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use md5::{Digest as _, Md5};
use meta_codec::Envelope;

use super::{
    MOST_CHANGED, Put, PutOutcome,
    journal::{Journal, now},
    pool::Pool,
    source::Source,
};
use crate::{Event, Headers, StoreError, Stored, TransferError, Upload, transfer::read};

/// The state of an upload, except for its ID.
pub(super) struct Multipart<'a> {
    pub(super) put: &'a Put<'a>,
    pub(super) plan: PartPlan,
    pub(super) headers: Headers,
    /// `None` if the file is already ciphertext.
    pub(super) cipher: Option<Arc<ContentCipher>>,
    pub(super) source: Source,
    pub(super) pool: Pool,
}

/// The entity tag and the checksum of each uploaded part, by part number.
type Arrived = BTreeMap<u16, (String, u64)>;

impl Multipart<'_> {
    /// Creates the upload and carries it out.
    pub(super) async fn start(
        self,
        journal: Option<Journal>,
        envelope: Option<Envelope>,
    ) -> Result<PutOutcome, TransferError> {
        if let Some(journal) = &journal {
            journal.begin(&self.put.key, self.plan.layout().part_size(), &self.headers)?;
        }
        let upload = initiate(self.put, &self.headers).await?;
        if let Some(journal) = &journal {
            journal.upload(&upload)?;
        }
        self.go_on(&upload, Arrived::new(), journal, envelope).await
    }

    /// Resumes the upload recorded in a journal.
    pub(super) async fn resume(
        self,
        journal: Journal,
        envelope: Envelope,
    ) -> Result<PutOutcome, TransferError> {
        let Some((earlier, upload)) =
            journal.earlier().and_then(|it| Some((it.clone(), it.upload(&self.put.key)?)))
        else {
            return Err(StoreError::NoUpload.into());
        };
        let there = match self.put.store.list_parts(&upload).await {
            Ok(there) => there,
            // The upload may have been completed and only the response lost.
            Err(StoreError::NoUpload) => {
                let outcome = self.completed(&envelope).await;
                if outcome.is_ok() {
                    journal.remove()?;
                }
                return outcome;
            }
            Err(error) => return Err(error.into()),
        };
        let there: HashMap<u16, _> =
            there.into_iter().map(|part| (part.number, (part.etag, part.len))).collect();
        let (mut arrived, mut bytes) = (Arrived::new(), 0_u64);
        for part in self.plan.parts() {
            let Some((etag, len)) = there.get(&part.number()) else { continue };
            if *len != part.len() {
                continue;
            }
            let known = earlier.part(part.number()).filter(|(known, _)| known == etag);
            let crc64 = match known {
                Some((_, crc64)) => Some(*crc64),
                // The part arrived, but the earlier run ended before recording it.
                None => self.recognize(part, etag).await?,
            };
            if let Some(crc64) = crc64 {
                arrived.insert(part.number(), (etag.clone(), crc64));
                bytes = bytes.saturating_add(part.len());
            }
        }
        self.put.listener.tell(Event::Resumed(bytes));
        self.go_on(&upload, arrived, Some(journal), Some(envelope)).await
    }

    /// Returns the checksum of a part if its entity tag shows that the store has the expected
    /// bytes: the entity tag is their MD5, or the one that a folder assigns them.
    async fn recognize(&self, part: Part, etag: &str) -> Result<Option<u64>, TransferError> {
        let (body, crc64) = self.encrypt(part).await?;
        let tag = etag.trim_matches('"').to_ascii_uppercase();
        let hex: String = Md5::digest(&body).iter().map(|byte| format!("{byte:02X}")).collect();
        let own = format!("{crc64:016X}-{}", body.len());
        Ok((tag == hex || tag == own).then_some(crc64))
    }

    async fn go_on(
        self,
        upload: &Upload,
        arrived: Arrived,
        journal: Option<Journal>,
        envelope: Option<Envelope>,
    ) -> Result<PutOutcome, TransferError> {
        match self.finish(upload, arrived, journal.as_ref(), envelope).await {
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
        mut arrived: Arrived,
        journal: Option<&Journal>,
        envelope: Option<Envelope>,
    ) -> Result<PutOutcome, TransferError> {
        let missing: Vec<Part> =
            self.plan.parts().filter(|part| !arrived.contains_key(&part.number())).collect();
        let mut sending = stream::iter(missing)
            .map(|part| async move {
                let (body, crc64) = self.encrypt(part).await?;
                let stored =
                    send_part(self.put, upload, part.number(), body, crc64, &self.headers).await?;
                Ok::<_, TransferError>((part, stored, crc64))
            })
            .buffer_unordered(self.put.in_flight);
        loop {
            let next = tokio::select! {
                next = sending.try_next() => next?,
                () = self.put.stopped() => return Err(TransferError::Stopped),
            };
            let Some((part, stored, crc64)) = next else { break };
            if let Some(journal) = journal {
                journal.part(part.number(), &stored, crc64)?;
            }
            arrived.insert(part.number(), (stored.etag, crc64));
            self.put.listener.tell(Event::Moved(part.len()));
        }
        drop(sending);
        self.source.check_unchanged()?;
        let parts = self.plan.parts().map(|part| (part.number(), part.len()));
        complete(self.put, upload, &arrived, parts, envelope.as_ref()).await
    }

    /// Returns the outcome of an upload that an earlier run completed.
    async fn completed(&self, envelope: &Envelope) -> Result<PutOutcome, TransferError> {
        let head = match self.put.store.head(&self.put.key).await {
            Err(StoreError::NotFound) => return Err(StoreError::NoUpload.into()),
            head => head?,
        };
        let found = read(&head.headers);
        if !found.is_ok_and(|found| found.as_ref() == Some(envelope))
            || head.len != self.source.len()
        {
            return Err(StoreError::NoUpload.into());
        }
        let mut crc64 = 0;
        for part in self.plan.parts() {
            let (_, of_part) = self.encrypt(part).await?;
            crc64 = Crc64::combined(crc64, of_part, part.len());
        }
        let parts = u16::try_from(self.plan.parts().len()).unwrap_or(u16::MAX);
        let outcome = PutOutcome { len: head.len, etag: head.etag, crc64, parts };
        self.put.verify(&outcome, None, Some(envelope)).await?;
        Ok(outcome)
    }

    /// Returns the ciphertext of a part and its checksum.
    async fn encrypt(&self, part: Part) -> Result<(Bytes, u64), TransferError> {
        let (source, cipher) = (self.source.clone(), self.cipher.clone());
        let pool = self.pool.clone();
        let done = tokio::task::spawn_blocking(move || {
            let (mut buffer, mut sum) = (pool.take(), Crc64::new());
            let bytes = buffer.bytes();
            source.read_into(bytes, part.start(), part.len())?;
            match cipher {
                Some(cipher) => cipher.part(&part).encrypt_summed(bytes, &mut sum)?,
                None => sum.update(bytes),
            }
            Ok((buffer.freeze(), sum.value()))
        });
        done.await.map_err(std::io::Error::other)?
    }
}

/// Creates an upload. If the response to an attempt is lost, the upload that it may have created is
/// found and aborted before the next attempt.
pub(super) async fn initiate(put: &Put<'_>, headers: &Headers) -> Result<Upload, TransferError> {
    let mut failed = 0_u32;
    loop {
        let begun = now();
        match put.store.initiate(&put.key, headers).await {
            Err(error) if error.is_passing() => {
                failed = failed.saturating_add(1);
                abort_lost(put, begun).await?;
                if !put.retry.pause(failed).await {
                    return Err(error.into());
                }
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// Aborts the empty uploads of this key that were created at `since` or later, with two seconds of
/// tolerance: among them is the one whose response was lost. If the clocks differ by more, it stays
/// open until the bucket's lifecycle rules remove it.
pub(super) async fn abort_lost(put: &Put<'_>, since: u64) -> Result<(), TransferError> {
    // A client may lack permission to list uploads, but can still create one.
    let open = put.store.uploads(&put.key).await.unwrap_or_else(|error| {
        tracing::warn!("an upload may have been left open: {error}");
        Vec::new()
    });
    for upload in open {
        let recent = upload.begun.is_some_and(|begun| begun.saturating_add(2) >= since);
        if recent && put.store.list_parts(&upload).await.is_ok_and(|parts| parts.is_empty()) {
            put.store.abort(&upload).await?;
        }
    }
    Ok(())
}

/// Uploads a part until its checksum matches. Every attempt sends the same ciphertext.
pub(super) async fn send_part(
    put: &Put<'_>,
    upload: &Upload,
    number: u16,
    body: Bytes,
    crc64: u64,
    headers: &Headers,
) -> Result<Stored, TransferError> {
    for _ in 0..MOST_CHANGED {
        let stored = put.store.upload_part(upload, number, body.clone(), headers).await?;
        if stored.crc64.is_none_or(|arrived| arrived == crc64) {
            return Ok(stored);
        }
        tracing::warn!(number, "a part arrived corrupted and is sent again");
    }
    Err(TransferError::Corrupt(format!("part {number} repeatedly arrived corrupted")))
}

/// Completes the upload and verifies the object.
pub(super) async fn complete(
    put: &Put<'_>,
    upload: &Upload,
    arrived: &BTreeMap<u16, (String, u64)>,
    plan: impl Iterator<Item = (u16, u64)>,
    envelope: Option<&Envelope>,
) -> Result<PutOutcome, TransferError> {
    let (mut crc64, mut len, mut tags) = (0, 0_u64, Vec::new());
    for (number, part_len) in plan {
        let (etag, of_part) = arrived.get(&number).ok_or(TransferError::SourceChanged)?;
        crc64 = Crc64::combined(crc64, *of_part, part_len);
        len = len.saturating_add(part_len);
        tags.push((number, etag.clone()));
    }
    let parts = u16::try_from(tags.len()).unwrap_or(u16::MAX);
    let stored = match put.store.complete(upload, &tags).await {
        // An earlier attempt may have succeeded. Then the object exists, with our envelope.
        Err(StoreError::NoUpload) if envelope.is_some() => {
            let head = match put.store.head(&put.key).await {
                Err(StoreError::NotFound) => return Err(StoreError::NoUpload.into()),
                head => head?,
            };
            let found = read(&head.headers);
            if !found.is_ok_and(|found| found.as_ref() == envelope) {
                return Err(StoreError::NoUpload.into());
            }
            Stored { etag: head.etag, crc64: head.crc64 }
        }
        stored => stored?,
    };
    let outcome = PutOutcome { len, etag: stored.etag, crc64, parts };
    put.verify(&outcome, stored.crc64, envelope).await?;
    Ok(outcome)
}
