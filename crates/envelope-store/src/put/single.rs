//! Uploads in one request, and the verification that follows every upload.

use bytes::Bytes;
use envelope_core::{Crc64, Encryptor};
use meta_codec::Envelope;

use super::{Put, UploadResult};
use crate::{
    Event, Headers, PutResult, StoreError, TransferError, master_key, object_envelope::envelope_in,
};

impl Put {
    /// Encrypts `plain` and uploads it in one request.
    pub(super) async fn encrypt_single(
        &self,
        mut plain: Vec<u8>,
        encryptor: &Encryptor,
    ) -> Result<UploadResult, TransferError> {
        let encryptor = encryptor.clone().with_plain_len(plain.len() as u64);
        let object = master_key::encrypt(&encryptor).await?;
        object.cipher().at(0).apply(&mut plain);
        let headers = self.all_headers(object.headers());
        self.single(plain, headers, Some(object.into_inner().0)).await
    }

    /// Uploads bytes as they are in one request.
    pub(super) async fn single(
        &self,
        bytes: Vec<u8>,
        headers: Headers,
        envelope: Option<Envelope>,
    ) -> Result<UploadResult, TransferError> {
        let mut sum = Crc64::new();
        sum.update(&bytes);
        let (len, crc64) = (sum.len(), sum.value());
        let body = Bytes::from(bytes);
        let sent = tokio::select! {
            sent = self.store.put(&self.key, body, &headers, self.options()) => sent,
            () = self.stopped() => return Err(TransferError::Stopped),
        };
        let stored = match sent {
            // The object may have been written and only the response lost.
            Err(error @ (StoreError::Changed | StoreError::Unavailable(_))) => {
                let there = self.store.head(&self.key).await.ok();
                let ours = there.filter(|head| {
                    envelope.is_some()
                        && (head.len, head.crc64) == (len, Some(crc64))
                        && envelope_in(&head.headers).is_ok_and(|found| found == envelope)
                });
                match ours {
                    Some(head) => PutResult::new(head.etag, head.crc64),
                    None => return Err(error.into()),
                }
            }
            stored => stored?,
        };
        let outcome = UploadResult { len, etag: stored.etag, crc64, parts: 0 };
        self.verify(&outcome, stored.crc64, envelope.as_ref()).await?;
        self.listener.notify(Event::Transferred(len));
        Ok(outcome)
    }

    /// Verifies that the stored object is the one that was sent. A corrupted object is deleted:
    /// without its envelope or with other bytes it is useless, and could be mistaken for data.
    pub(super) async fn verify(
        &self,
        sent: &UploadResult,
        answered: Option<u64>,
        envelope: Option<&Envelope>,
    ) -> Result<(), TransferError> {
        let head = self.store.head(&self.key).await?;
        if head.etag != sent.etag {
            // Another writer has overwritten it in the meantime.
            return Err(StoreError::Changed.into());
        }
        let found = envelope_in(&head.headers);
        let crc64 = head.crc64.or(answered);
        let found = found.ok().flatten();
        let opens = |one: &Envelope, other: &Envelope| {
            (one.wrapped_key(), one.iv()) == (other.wrapped_key(), other.iv())
                && one.content_algorithm() == other.content_algorithm()
                && one.wrap_algorithm() == other.wrap_algorithm()
        };
        let wrong = if head.len != sent.len {
            "the object has the wrong length"
        } else if [answered, crc64].into_iter().flatten().any(|crc64| crc64 != sent.crc64) {
            "the object's checksum does not match"
        } else if found.as_ref() == envelope {
            return Ok(());
        } else if found.as_ref().zip(envelope).is_some_and(|(one, other)| opens(one, other)) {
            let words = "the metadata arrived changed; the object can be decrypted and was kept";
            return Err(TransferError::Corrupt(words.to_owned()));
        } else {
            "the object's metadata differs from what was sent"
        };
        let deleted = match self.store.delete(&self.key).await {
            Ok(()) => "; it was deleted",
            Err(_) => "; it could not be deleted",
        };
        Err(TransferError::Corrupt(format!("{wrong}{deleted}")))
    }
}
