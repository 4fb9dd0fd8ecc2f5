//! Copies that a service makes by itself.

use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Copy, plan::Plan};
use crate::{
    CopyOptions, CopySource, Headers, PutOptions, PutResult, StoreError, TransferError, Upload,
    kept_headers::{is_of_place, is_server_side},
    object_envelope::envelope_in,
    put::Sent,
};

/// The least part of a copy: larger ones than those of an upload, because no bytes move.
const PART_SIZE: u64 = 256 << 20;
/// The most parts of an upload.
const MAX_PARTS: u64 = 10_000;

impl Copy {
    /// Makes the service copy the object, and looks at the copy.
    pub(super) async fn copy_by_service(
        &self,
        source: &CopySource,
        plan: &Plan,
        all: &Headers,
    ) -> Result<(), TransferError> {
        self.put().check_new().await?;
        let copied = if plan.meta.len <= self.longest_copy() {
            let replaces = self.replaces(plan.rewrapped.is_some());
            let headers = if replaces { all.clone() } else { only_of_place(all) };
            let options =
                CopyOptions::default().with_replace(replaces).with_create_only(self.create_only);
            let copied = self.to.store.copy(source, &self.to.key, &headers, options).await;
            copied.map_err(Into::into)
        } else {
            let headers = self.with_tags(all.clone()).await?;
            self.copied_in_parts(source, plan.meta.len, &headers).await
        };
        let answer = match copied {
            Ok(answer) => answer,
            Err(error) => self.copied_anyway(plan, error).await?,
        };
        let sent = Sent { len: plan.meta.len, etag: &answer.etag, crc64: plan.meta.crc64 };
        let put = self.put().with_headers(all.clone());
        put.verify(sent, &answer, plan.new_envelope()).await
    }

    /// Returns the answer to a copy that was made although something else was answered: only the
    /// answer to an earlier attempt may have been lost. A copy that could have been there before
    /// proves nothing.
    async fn copied_anyway(
        &self,
        plan: &Plan,
        error: TransferError,
    ) -> Result<PutResult, TransferError> {
        let may_be_there = match &error {
            TransferError::Store(error) => {
                matches!(error, StoreError::Exists | StoreError::NoUpload) || error.is_transient()
            }
            _ => false,
        };
        let is_fresh = plan.rewrapped.is_some() || self.create_only;
        if !may_be_there || !is_fresh {
            return Err(error);
        }
        // The first error says more.
        let Ok(there) = self.to.store.head(&self.to.key).await else { return Err(error) };
        let envelope = envelope_in(&there.headers).ok().flatten();
        if !plan.has_bytes_of(&there) || envelope.as_ref() != plan.new_envelope() {
            return Err(error);
        }
        Ok(PutResult::new(there.etag, there.crc64).with_version_id(there.version_id))
    }

    async fn copied_in_parts(
        &self,
        source: &CopySource,
        len: u64,
        headers: &Headers,
    ) -> Result<PutResult, TransferError> {
        let to = &self.to;
        let options = PutOptions::default().with_create_only(self.create_only);
        let upload = self.put().create_upload(headers).await?;
        let outcome = async {
            let parts = self.copy_parts(source, len, &upload).await?;
            self.put().check_new().await?;
            Ok(to.store.complete(&upload, &parts, headers, options).await?)
        };
        let outcome = outcome.await;
        if outcome.is_err() {
            self.put().abort(&upload).await;
        }
        outcome
    }

    async fn copy_parts(
        &self,
        source: &CopySource,
        len: u64,
        upload: &Upload,
    ) -> Result<Vec<(u16, String)>, TransferError> {
        let copying = stream::iter(parts(len, self.longest_copy()))
            .map(|(number, bytes)| async move {
                let part = self.to.store.copy_part(source, bytes, upload, number).await?;
                Ok::<_, TransferError>((number, part.etag))
            })
            .buffer_unordered(self.concurrency)
            .try_collect::<Vec<_>>();
        let mut parts = tokio::select! {
            parts = copying => parts?,
            () = self.stop.stopped() => return Err(TransferError::Stopped),
        };
        parts.sort_unstable();
        Ok(parts)
    }
}

/// Returns the numbers and bytes of the parts of a copy, none of which is longer than `longest`,
/// unless there would be too many.
fn parts(len: u64, longest: u64) -> impl Iterator<Item = (u16, Range<u64>)> {
    let size = PART_SIZE.min(longest.max(1)).max(len.div_ceil(MAX_PARTS));
    let starts = (0..len).step_by(usize::try_from(size).unwrap_or(usize::MAX));
    (1..).zip(starts.map(move |start| start..start.saturating_add(size).min(len)))
}

/// Returns the headers that a copy does not have by itself.
fn only_of_place(headers: &Headers) -> Headers {
    let is_own = |name: &str| is_of_place(name) || is_server_side(name);
    headers.iter().filter(|(name, _)| is_own(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_copy() {
        let of = |len, longest| parts(len, longest).collect::<Vec<_>>();
        assert_eq!(of(10, 4), [(1, 0..4), (2, 4..8), (3, 8..10)]);
        assert_eq!(of(PART_SIZE + 1, 1 << 30), [(1, 0..PART_SIZE), (2, PART_SIZE..PART_SIZE + 1)]);
        let huge = of(48_800 << 30, 1 << 30);
        assert!(huge.len() <= 10_000 && huge[0].1.end <= 5 << 30);
        assert_eq!(huge.last().map(|(_, bytes)| bytes.end), Some(48_800 << 30));
    }
}
