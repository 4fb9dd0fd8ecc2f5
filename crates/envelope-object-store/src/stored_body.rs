//! The body of an object, as it is stored, on its way to the cipher.

use std::ops::Range;

use bytes::Bytes;
use envelope_core::{BodyDecryptor, IntegrityError, PlainCheck, io::DecryptStream};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use object_store::Result;

use crate::Error;

/// Ends with an error unless exactly these bytes of the object come.
pub(crate) fn complete(
    body: BoxStream<'static, Result<Bytes>>,
    bytes: Range<u64>,
) -> BoxStream<'static, Result<Bytes>> {
    let other = |want: &Range<u64>, end: u64| {
        let (want, got) = (want.clone(), want.start..end);
        Some(Err(Error::OtherBytes { want, got }.into()))
    };
    stream::unfold(Some((body, bytes.start)), move |state| {
        let bytes = bytes.clone();
        async move {
            let (mut body, at) = state?;
            let (item, state) = match body.next().await {
                Some(Ok(chunk)) => {
                    let end = at.saturating_add(chunk.len() as u64);
                    if end > bytes.end {
                        (other(&bytes, end), None)
                    } else {
                        (Some(Ok(chunk)), Some((body, end)))
                    }
                }
                Some(Err(error)) => (Some(Err(error)), None),
                None if at < bytes.end => (other(&bytes, at), None),
                None => (None, None),
            };
            Some((item?, state))
        }
    })
    .boxed()
}

/// Decrypts a body as it comes.
pub(crate) fn decrypt(
    body: BoxStream<'static, Result<Bytes>>,
    cipher: impl Into<BodyDecryptor>,
    check: Option<PlainCheck>,
) -> BoxStream<'static, Result<Bytes>> {
    let body = body.map(|chunk| chunk.map_err(Failure::Store));
    let mut plain = DecryptStream::new(body, cipher);
    if let Some(check) = check {
        plain = plain.with_check(check);
    }
    let plain = plain.map(|chunk| {
        chunk.map_err(|failure| match failure {
            Failure::Store(error) => error,
            Failure::Integrity(error) => Error::from(error).into(),
        })
    });
    plain.boxed()
}

enum Failure {
    Store(object_store::Error),
    Integrity(IntegrityError),
}

impl From<IntegrityError> for Failure {
    fn from(error: IntegrityError) -> Self {
        Self::Integrity(error)
    }
}
