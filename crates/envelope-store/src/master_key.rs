//! Operations with a master key, which may take a while: a key in a KMS makes a call, RSA computes.
//! They block no task: blocking keys are used on the runtime's pool for blocking work, async ones
//! are awaited.

use std::io;

use envelope_core::{
    BodyEncryptor, ContentAlgorithm, ContentCipher, CtrCipher, Decryptor, EncryptedObject,
    Encryptor, Envelope, PartPlan, RewrapError,
};
use tokio::{runtime::Handle, task::spawn_blocking};

use crate::TransferError;

async fn offload<T: Send + 'static>(
    is_blocking: bool,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, TransferError> {
    if !is_blocking {
        return Ok(work.await);
    }
    let runtime = Handle::current();
    let done = spawn_blocking(move || runtime.block_on(work)).await;
    done.map_err(|error| io::Error::other(error).into())
}

pub(crate) async fn encrypt(
    encryptor: &Encryptor,
) -> Result<EncryptedObject<CtrCipher>, TransferError> {
    let own = encryptor.clone();
    Ok(offload(own.is_blocking(), async move { own.encrypt_async().await }).await??)
}

pub(crate) async fn encrypt_with(
    encryptor: &Encryptor,
    content: ContentAlgorithm,
) -> Result<EncryptedObject<BodyEncryptor>, TransferError> {
    let own = encryptor.clone();
    Ok(offload(own.is_blocking(), async move { own.encrypt_with_async(content).await }).await??)
}

pub(crate) async fn decrypt(
    decryptor: &Decryptor,
    envelope: &Envelope,
) -> Result<ContentCipher, TransferError> {
    let (own, envelope) = (decryptor.clone(), envelope.clone());
    Ok(offload(own.is_blocking(), async move { own.decrypt_async(&envelope).await }).await??)
}

pub(crate) async fn decrypt_ctr(
    decryptor: &Decryptor,
    envelope: &Envelope,
) -> Result<CtrCipher, TransferError> {
    let (own, envelope) = (decryptor.clone(), envelope.clone());
    Ok(offload(own.is_blocking(), async move { own.decrypt_ctr_async(&envelope).await }).await??)
}

pub(crate) async fn decrypt_range(
    decryptor: &Decryptor,
    envelope: &Envelope,
) -> Result<CtrCipher, TransferError> {
    let (own, envelope) = (decryptor.clone(), envelope.clone());
    let work = async move { own.decrypt_range_async(&envelope).await };
    Ok(offload(decryptor.is_blocking(), work).await??)
}

pub(crate) async fn resume(
    decryptor: &Decryptor,
    envelope: &Envelope,
    plan: PartPlan,
) -> Result<EncryptedObject<CtrCipher>, TransferError> {
    let (own, envelope) = (decryptor.clone(), envelope.clone());
    let work = async move { own.resume_async(&envelope, plan).await };
    Ok(offload(decryptor.is_blocking(), work).await??)
}

/// The outer error is that of the thread, the inner one that of the keys.
pub(crate) async fn rewrap(
    decryptor: &Decryptor,
    envelope: &Envelope,
    encryptor: &Encryptor,
) -> Result<Result<EncryptedObject<ContentCipher>, RewrapError>, TransferError> {
    let is_blocking = decryptor.is_blocking() || encryptor.is_blocking();
    let (own, envelope, encryptor) = (decryptor.clone(), envelope.clone(), encryptor.clone());
    let work = async move { own.rewrap_async(&envelope, &encryptor).await };
    offload(is_blocking, work).await
}
