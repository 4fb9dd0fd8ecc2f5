//! The verification that follows every upload, and what precedes it if something may be replaced.
//!
//! A store may answer wrongly once, for example because a proxy does. Whatever is seen to be wrong
//! is looked at again, and nothing is deleted that is not provably this upload's own.

use std::time::Duration;

use envelope_cloud::jitter;
use meta_codec::Envelope;

use super::{Put, UploadResult};
use crate::{
    Event, ObjectMeta, PutResult, StoreError, TransferError, budget::line_for,
    object_envelope::envelope_in, retry::again,
};

/// How often an object that was just written is looked for.
const LOOKS: u32 = 4;
/// The version ID of objects in buckets that keep no versions any more. Writing replaces them.
const NULL_VERSION: &str = "null";

/// The object that was sent, and must be there.
pub(crate) struct Sent<'a> {
    pub(crate) len: u64,
    pub(crate) etag: &'a str,
    /// The CRC-64/XZ of the bytes; `None` if nobody knows it, because the service copied them.
    pub(crate) crc64: Option<u64>,
}

impl<'a> From<&'a UploadResult> for Sent<'a> {
    fn from(result: &'a UploadResult) -> Self {
        Self { len: result.len, etag: &result.etag, crc64: Some(result.crc64) }
    }
}

/// What a look at an object shows.
enum Look {
    Right,
    /// It is another writer's by now.
    Changed,
    /// The metadata arrived changed, but opens the object.
    Altered,
    Wrong(&'static str),
}

impl Put {
    /// Refuses to go on if the object exists and must not.
    pub(crate) async fn check_new(&self) -> Result<(), TransferError> {
        if !self.create_only {
            return Ok(());
        }
        match self.store.head(&self.key).await {
            Ok(_) => Err(StoreError::Exists.into()),
            Err(StoreError::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a request that may replace an object, right after a look at that. If it fails for a
    /// reason that may pass, it is made again after another look, unless `landed` finds what an
    /// attempt has written after all. Where no version is expected, the store repeats the request
    /// itself. The body of the request has `len` bytes.
    pub(super) async fn replace<W, L>(
        &self,
        len: usize,
        write: impl Fn() -> W,
        landed: impl Fn() -> L,
    ) -> Result<PutResult, TransferError>
    where
        W: Future<Output = Result<PutResult, TransferError>>,
        L: Future<Output = Option<PutResult>>,
    {
        if self.expected.is_none() {
            return write().await;
        }
        let (mut backoff, mut is_first) = (self.retry.start(), true);
        loop {
            // Not between the look and the request: the line may be busy for minutes.
            line_for(&*self.store, len).await;
            match self.check_expected().await {
                Err(TransferError::Store(StoreError::Changed)) if !is_first => {
                    return landed().await.ok_or_else(|| StoreError::Changed.into());
                }
                outcome => outcome?,
            }
            is_first = false;
            match write().await {
                Err(TransferError::Store(error)) => {
                    again(&mut backoff, &self.listener.waits(), error).await?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Refuses to replace any other version than the one that is expected. Neither vendor has a
    /// condition for that on writes, so this is the last request before the one that replaces.
    async fn check_expected(&self) -> Result<(), TransferError> {
        let Some(expected) = &self.expected else { return Ok(()) };
        match self.store.head(&self.key).await {
            Ok(meta) if meta.is_same_version(expected) => Ok(()),
            Ok(_) | Err(StoreError::NotFound) => Err(StoreError::Changed.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the metadata of an object that must exist, because it was just written.
    pub(super) async fn head_written(&self) -> Result<ObjectMeta, StoreError> {
        let looks = self.retry.attempts.clamp(2, LOOKS);
        let mut backoff = self.retry.with_attempts(looks).start();
        loop {
            match self.store.head(&self.key).await {
                Err(StoreError::NotFound) => match backoff.next_delay(jitter()) {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => return Err(StoreError::NotFound),
                },
                outcome => return outcome,
            }
        }
    }

    /// Verifies that the stored object is the one that was sent. `answer` is what the store said
    /// when it was written.
    pub(crate) async fn verify(
        &self,
        sent: Sent<'_>,
        answer: &PutResult,
        envelope: Option<&Envelope>,
    ) -> Result<(), TransferError> {
        let mut head = self.head_written().await.map_err(TransferError::Unverified)?;
        let mut look = look_at(&head, &sent, answer, envelope);
        if !matches!(look, Look::Right) {
            tokio::time::sleep(self.retry.initial_backoff.min(Duration::from_secs(1))).await;
            head = self.head_written().await.map_err(TransferError::Unverified)?;
            look = look_at(&head, &sent, answer, envelope);
        }
        let what = match look {
            Look::Right => {
                if self.create_only && answer.version_id.is_some() {
                    self.listener.notify(Event::NotEnforced);
                }
                return self.check_server_side(&head);
            }
            Look::Changed => return Err(StoreError::Changed.into()),
            Look::Altered => {
                let words = "the metadata arrived changed; the object can be decrypted";
                return Err(TransferError::Corrupt(words.to_owned()));
            }
            Look::Wrong(what) => what,
        };
        let own = answer.version_id.as_deref().filter(|id| *id != NULL_VERSION);
        let removed = match own.filter(|id| head.version_id.as_deref() == Some(id)) {
            Some(version_id) => self.store.delete_version(&self.key, version_id).await.is_ok(),
            None => false,
        };
        Err(TransferError::Damaged { what, removed })
    }

    /// Checks that the store has encrypted the object on its side as it was asked to.
    fn check_server_side(&self, head: &ObjectMeta) -> Result<(), TransferError> {
        let Some(name) = head.unmet_server_side(&self.headers) else { return Ok(()) };
        let got = head.header(name).unwrap_or("nothing").to_owned();
        Err(TransferError::ServerSide { name: name.to_owned(), got })
    }
}

fn look_at(
    head: &ObjectMeta,
    sent: &Sent<'_>,
    answer: &PutResult,
    envelope: Option<&Envelope>,
) -> Look {
    let other_version = head.version_id.as_ref().zip(answer.version_id.as_ref());
    if head.etag != sent.etag || other_version.is_some_and(|(one, other)| one != other) {
        return Look::Changed;
    }
    if head.len != sent.len {
        return Look::Wrong("it has another length");
    }
    let sums = head.crc64.or(answer.crc64).zip(sent.crc64);
    if sums.is_some_and(|(there, sent)| there != sent) {
        return Look::Wrong("its checksum is another");
    }
    let found = envelope_in(&head.headers).ok().flatten();
    if found.as_ref() == envelope {
        return Look::Right;
    }
    let opens = |one: &Envelope, other: &Envelope| {
        (one.wrapped_key(), one.iv()) == (other.wrapped_key(), other.iv())
            && one.content_algorithm() == other.content_algorithm()
            && one.wrap_algorithm() == other.wrap_algorithm()
    };
    match found.as_ref().zip(envelope) {
        Some((one, other)) if opens(one, other) => Look::Altered,
        // The same bytes with another key: somebody else has rewrapped the object since.
        Some(_) => Look::Changed,
        None => Look::Wrong("its metadata differs"),
    }
}
