//! An object whose plaintext is being received.

use std::{io, ops::Range};

use bytes::Bytes;
use envelope_core::Envelope;
use futures_util::{Stream, TryStreamExt as _};
use tokio::io::AsyncRead;

use super::PlainBody;
use crate::{ObjectMeta, TransferError};

/// An object that was found, and whose plaintext is being received. It borrows nothing, so it can
/// leave the function that opened it, such as the handler of a web server.
///
/// ```
/// # use std::sync::Arc;
/// # use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
/// # use envelope_store::{Get, MemoryStore, Put, Store};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (store, key) = (Arc::new(MemoryStore::new()), AesKeyWrapper::generate()?);
/// # let encryptor = Encryptor::new(&key, Dialect::COS_V2);
/// # Put::new(store.clone(), "a/key").stream(&b"a file"[..], None, &encryptor).await?;
/// # let decryptor = Decryptor::new(&Keyring::new().with(key));
/// let object = Get::new(store, "a/key").decrypt(&decryptor).await?;
/// assert_eq!(object.plain_len(), Some(6));
/// let mut reader = object.into_reader(); // an `AsyncRead` that borrows nothing
/// # Ok(())
/// # }
/// ```
#[expect(missing_debug_implementations, reason = "streams have no useful debug output")]
#[non_exhaustive]
pub struct GetResult {
    /// The metadata of the object as it is stored.
    pub meta: ObjectMeta,
    /// The envelope; `None` for plaintext, where the policy allows it.
    pub envelope: Option<Envelope>,
    /// The range of the plaintext that will be returned, if it is known in advance.
    pub bytes: Option<Range<u64>>,
    body: PlainBody,
}

impl GetResult {
    pub(super) const fn new(
        meta: ObjectMeta,
        envelope: Option<Envelope>,
        bytes: Option<Range<u64>>,
        body: PlainBody,
    ) -> Self {
        Self { meta, envelope, bytes, body }
    }

    /// Returns the length of the plaintext in bytes, if it is known in advance, for example for a
    /// `Content-Length` header.
    #[must_use]
    pub fn plain_len(&self) -> Option<u64> {
        self.bytes.as_ref().map(|bytes| bytes.end.saturating_sub(bytes.start))
    }

    /// Returns the plaintext as a stream. An error at the end means that the pieces were wrong.
    pub fn into_stream(
        self,
    ) -> impl Stream<Item = Result<Bytes, TransferError>> + Send + Unpin + 'static {
        self.body
    }

    /// Returns the plaintext as a reader. An error at the end means that what was read is wrong.
    pub fn into_reader(self) -> impl AsyncRead + Send + Unpin + 'static {
        tokio_util::io::StreamReader::new(self.body.map_err(io::Error::other))
    }

    /// Returns the whole plaintext after it was verified. It can be dropped at any time.
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
