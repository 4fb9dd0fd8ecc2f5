//! Access to the plaintext of an object.

use std::io;

use bytes::Bytes;
use envelope_core::IntegrityError;
use futures_util::{Stream, TryStreamExt as _};
use tokio::io::AsyncRead;

use super::Opened;
use crate::TransferError;

impl<'a> Opened<'a> {
    /// Returns the plaintext as a stream of chunks. An error at the end means that the chunks
    /// already received must be discarded.
    pub fn into_stream(
        self,
    ) -> impl Stream<Item = Result<Bytes, TransferError>> + Send + Unpin + 'a {
        self.body
    }

    /// Returns a reader of the plaintext. An error at the end means that the bytes already read
    /// must be discarded.
    pub fn into_reader(self) -> impl AsyncRead + Send + Unpin + 'a {
        tokio_util::io::StreamReader::new(self.body.map_err(io::Error::other))
    }

    /// Reads and verifies the whole plaintext.
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

/// Converts the error of a writer to memory, whose only failures are integrity errors.
pub(super) fn failure(error: io::Error) -> TransferError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<IntegrityError>()) {
        Some(error) => (*error).into(),
        None => error.into(),
    }
}
