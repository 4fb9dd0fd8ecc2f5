//! The bodies of objects.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{
    StreamExt as _, TryStreamExt as _, future,
    stream::{self, BoxStream},
};

use crate::{StoreError, TransferError};

/// The bytes of an object as a stream. A stream that ends without an error is complete.
pub type Body = BoxStream<'static, Result<Bytes, StoreError>>;

/// The one place that knows what a complete body is: exactly the bytes that were announced. A body
/// that ends early is a transient error, because the rest can be fetched.
pub(crate) fn exactly(body: Body, bytes: &Range<u64>) -> Body {
    let mut left = bytes.end.saturating_sub(bytes.start);
    // The empty chunk marks the end, where a body that was cut is noticed.
    let end = stream::iter([Ok(Bytes::new())]);
    body.try_filter(|chunk| future::ready(!chunk.is_empty()))
        .chain(end)
        .map(move |chunk| {
            let chunk = chunk?;
            let len = chunk.len() as u64;
            if len > left {
                let words = "the body has more bytes than were announced";
                return Err(StoreError::Malformed(words.to_owned()));
            }
            if len == 0 && left > 0 {
                return Err(StoreError::Unavailable("the body was cut".to_owned()));
            }
            left = left.saturating_sub(len);
            Ok(chunk)
        })
        .boxed()
}

/// Collects all bytes of a body.
pub(crate) async fn collect(mut body: Body) -> Result<Vec<u8>, StoreError> {
    let mut all = Vec::new();
    while let Some(chunk) = body.try_next().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// The error for bytes whose checksum is not the one that the store reports.
pub(crate) fn check_crc64(want: Option<u64>, got: u64) -> Result<(), TransferError> {
    match want {
        Some(want) if want != got => Err(TransferError::Corrupt(
            "the bytes received do not match the checksum that the store reports".to_owned(),
        )),
        _ => Ok(()),
    }
}
