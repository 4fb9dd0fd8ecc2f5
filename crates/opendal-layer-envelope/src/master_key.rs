//! Operations with a master key, which may take a while: a key in a KMS makes a call, RSA computes.
//! Where there is a Tokio runtime, they run on its threads for blocking work.

use envelope_core::{ContentCipher, CtrCipher, Decryptor, EncryptedObject, Encryptor, Envelope};
use tokio::runtime::Handle;

use crate::Error;

async fn offload<T: Send + 'static>(
    is_blocking: bool,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Error> {
    match Handle::try_current() {
        Ok(runtime) if is_blocking => {
            let handle = runtime.clone();
            runtime.spawn_blocking(move || handle.block_on(work)).await.map_err(Error::MasterKey)
        }
        _ => Ok(work.await),
    }
}

pub(crate) async fn encrypt(encryptor: Encryptor) -> Result<EncryptedObject<CtrCipher>, Error> {
    let work = encryptor.is_blocking();
    Ok(offload(work, async move { encryptor.encrypt_async().await }).await??)
}

pub(crate) async fn decrypt(
    decryptor: Decryptor,
    envelope: Envelope,
) -> Result<ContentCipher, Error> {
    let work = decryptor.is_blocking();
    Ok(offload(work, async move { decryptor.decrypt_async(&envelope).await }).await??)
}

pub(crate) async fn decrypt_range(
    decryptor: Decryptor,
    envelope: Envelope,
) -> Result<CtrCipher, Error> {
    let work = decryptor.is_blocking();
    Ok(offload(work, async move { decryptor.decrypt_range_async(&envelope).await }).await??)
}
