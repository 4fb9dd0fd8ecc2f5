//! The plaintext of an object, as a program wants it.

use std::io;

use bytes::Bytes;
use envelope_core::IntegrityError;
use futures_util::{Stream, TryStreamExt as _};
use tokio::io::AsyncRead;

use super::Opened;
use crate::TransferError;

impl<'a> Opened<'a> {
    /// The plaintext, piece by piece. An error at the end means that the pieces were wrong.
    pub fn into_stream(
        self,
    ) -> impl Stream<Item = Result<Bytes, TransferError>> + Send + Unpin + 'a {
        self.body
    }

    /// The plaintext, to read from. An error at the end means that what was read is wrong.
    pub fn into_reader(self) -> impl AsyncRead + Send + Unpin + 'a {
        tokio_util::io::StreamReader::new(self.body.map_err(io::Error::other))
    }

    /// The whole plaintext, checked.
    ///
    /// # Errors
    /// Any [`TransferError`].
    pub async fn read_to_end(mut self) -> Result<Vec<u8>, TransferError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.body.try_next().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

/// What a writer over memory can only fail with.
pub(super) fn failure(error: io::Error) -> TransferError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<IntegrityError>()) {
        Some(error) => (*error).into(),
        None => error.into(),
    }
}
