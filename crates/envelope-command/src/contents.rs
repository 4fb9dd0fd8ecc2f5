//! Whether an object is what a file would become.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use envelope_core::{Crc64, Decryptor};
use envelope_store::{Store, TransferError, envelope_of};
use meta_codec::ContentAlgorithm;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// The number of bytes read from a file at a time.
const CHUNK: usize = 256 << 10;

/// Objects and files whose contents are compared.
pub(crate) struct Contents {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) decryptor: Decryptor,
}

impl Contents {
    /// Returns whether encrypting a file gives the object, by the checksum that the store reports.
    /// `false` also if nobody can tell: another cipher than AES-CTR, or no checksum.
    pub(crate) async fn are_same(&self, key: &str, path: &Path) -> Result<bool, TransferError> {
        let meta = self.store.head(key).await?;
        let envelope = envelope_of(&*self.store, key, &meta).await?;
        let (Some(envelope), Some(crc64)) = (envelope, meta.crc64) else { return Ok(false) };
        // Encrypting the file would give a proper envelope and a longer key.
        if envelope.content_algorithm() != ContentAlgorithm::Aes256Ctr
            || envelope.refusal().is_some()
        {
            return Ok(false);
        }
        let decryptor = match self.decryptor.name() {
            Some(_) => self.decryptor.clone(),
            None => self.decryptor.clone().with_name(key),
        };
        let path = path.to_owned();
        let compared = spawn_blocking(move || {
            let cipher = decryptor.decrypt_ctr(&envelope)?;
            if cipher.key_bits() < 256 {
                return Ok(false);
            }
            let (mut file, mut keystream, mut sum) =
                (File::open(path)?, cipher.at(0), Crc64::new());
            let mut chunk = Zeroizing::new(vec![0; CHUNK]);
            loop {
                let read = file.read(&mut chunk)?;
                let Some(plain) = chunk.get_mut(..read).filter(|plain| !plain.is_empty()) else {
                    return Ok(sum.value() == crc64 && sum.len() == meta.len);
                };
                keystream.apply(plain);
                sum.update(plain);
            }
        });
        match compared.await.map_err(io::Error::other)? {
            // It is another object than one that this key has encrypted.
            Err(TransferError::Decrypt(_)) => Ok(false),
            outcome => outcome,
        }
    }
}
