//! Uploads in one request.

use bytes::Bytes;
use envelope_core::{Crc64, Encryptor};
use meta_codec::Envelope;
use zeroize::Zeroizing;

use super::{MAX_CORRUPT_ATTEMPTS, Put, UploadResult, multipart::result_of};
use crate::{Event, Headers, PutResult, StoreError, TransferError, object_envelope::envelope_in};

impl Put {
    /// Encrypts `plain` and uploads it in one request.
    pub(super) async fn encrypt_single(
        &self,
        plain: Vec<u8>,
        encryptor: &Encryptor,
    ) -> Result<UploadResult, TransferError> {
        // It is wiped if there is no key to encrypt it with.
        let mut plain = Zeroizing::new(plain);
        let encryptor = encryptor.clone().with_plain_len(plain.len() as u64);
        let mut object = encryptor.encrypt_async().await?;
        object.cipher().at(0).apply(&mut plain);
        if let Some(hasher) = object.body_hasher() {
            let mut whole = hasher.whole();
            whole.update(&plain);
            object.seal_body(whole.finish())?;
        }
        let headers = self.all_headers(encryptor.dialect().vendor(), object.headers())?;
        self.single(std::mem::take(&mut *plain), headers, Some(object.into_inner().0)).await
    }

    /// Uploads bytes as they are in one request, and once more if what arrived is wrong.
    pub(super) async fn single(
        &self,
        bytes: impl Into<Bytes>,
        headers: Headers,
        envelope: Option<Envelope>,
    ) -> Result<UploadResult, TransferError> {
        self.check_new().await?;
        let (body, mut sum): (Bytes, _) = (bytes.into(), Crc64::new());
        sum.update(&body);
        let (len, crc64) = (sum.len(), sum.value());
        let mut attempts = MAX_CORRUPT_ATTEMPTS;
        loop {
            let send = || self.send_single(&body, crc64, &headers, envelope.as_ref());
            let landed = || self.landed_single(&body, crc64, envelope.as_ref());
            let sent = self.replace(body.len(), send, landed).await?;
            let outcome = UploadResult::new(len, sent.etag.clone(), crc64, 0, envelope.as_ref());
            match self.verify((&outcome).into(), &sent, envelope.as_ref()).await {
                // What is there is our own wrong bytes, so nothing is lost by replacing them.
                Err(TransferError::Damaged { .. })
                    if attempts > 1 && !self.create_only && self.expected.is_none() =>
                {
                    tracing::warn!(key = self.key, "the object arrived damaged and is sent again");
                    attempts = attempts.saturating_sub(1);
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    self.listener.notify(Event::Transferred(len));
                    return Ok(outcome);
                }
            }
        }
    }

    async fn send_single(
        &self,
        body: &Bytes,
        crc64: u64,
        headers: &Headers,
        envelope: Option<&Envelope>,
    ) -> Result<PutResult, TransferError> {
        let sent = tokio::select! {
            sent = self.store.put(&self.key, body.clone(), headers, self.options()) => sent,
            () = self.stop.stopped() => return Err(TransferError::Stopped),
        };
        let error = match sent {
            Ok(stored) => return Ok(stored),
            Err(error) => error,
        };
        if !(matches!(error, StoreError::Exists) || error.is_transient()) {
            return Err(error.into());
        }
        // The object may have been written and only the response lost.
        self.landed_single(body, crc64, envelope).await.ok_or_else(|| error.into())
    }

    /// Returns the object if it is what was sent: the same bytes with the same envelope.
    async fn landed_single(
        &self,
        body: &Bytes,
        crc64: u64,
        envelope: Option<&Envelope>,
    ) -> Option<PutResult> {
        let envelope = envelope.filter(|_| self.knows_its_own())?;
        let head = self.store.head(&self.key).await.ok()?;
        let is_ours = (head.len, head.crc64) == (body.len() as u64, Some(crc64))
            && envelope_in(&head.headers).is_ok_and(|found| found.as_ref() == Some(envelope));
        is_ours.then(|| result_of(head))
    }
}
