//! Decryption: from an envelope to its object's cipher, or to a new envelope.

use std::sync::Arc;

use meta_codec::{EmitError, Envelope, ParseError};

use crate::{
    ContentCipher, ContentKey, CtrCipher, EncryptError, EncryptedObject, Encryptor, KeyCacheLimits,
    Keyring, KeyringError, NotCtr, OriginKey, PartPlan, PlainCheck, Policy, PolicyError, SealError,
    SealOptions, UnwrapError,
    encryptor::Sizes,
    io::DecryptReader,
    key_cache::KeyCache,
    kms::KmsError,
    seal::{self, SealedContent, Sealer},
    wrap::{Place, run_now},
};

/// A decryptor that opens envelopes with the keys of a keyring, as far as a policy allows. Clones
/// share the keys and the cache.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring, Policy};
///
/// # let key = AesKeyWrapper::generate()?;
/// # let object = Encryptor::new(&key, Dialect::COS_V2).with_key_check().encrypt()?;
/// # let mut body = b"a file".to_vec();
/// # object.cipher().at(0).apply(&mut body);
/// # let envelope = object.envelope();
/// let decryptor = Decryptor::new(&Keyring::new().with(key))
///     .with_policy(Policy::default().require_key_check());
/// let plain = decryptor.decrypt(envelope)?.decrypt(body)?;
/// assert_eq!(plain, b"a file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds secrets, which are not printed")]
pub struct Decryptor {
    keyring: Keyring,
    policy: Policy,
    cache: Option<Arc<KeyCache>>,
    /// The name and the origin key with which seals are verified.
    seal: SealOptions,
    place: Place,
}

impl Decryptor {
    /// Creates a decryptor with these keys and the default [`Policy`].
    #[must_use]
    pub fn new(keyring: &Keyring) -> Self {
        Self {
            keyring: keyring.clone(),
            policy: Policy::default(),
            cache: None,
            seal: SealOptions::new(),
            place: Place::Pool,
        }
    }

    /// Sets the policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Keeps unwrapped content keys in memory, within these limits, so that many ranges of one
    /// object cost one unwrap. By default none is kept.
    #[must_use]
    pub fn with_cache(mut self, limits: KeyCacheLimits) -> Self {
        self.cache = Some(Arc::new(KeyCache::new(limits)));
        self
    }

    /// Sets the name of the object that is read, for seals that are bound to it: the key under
    /// which it is stored, without the name of the bucket.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.seal = self.seal.with_name(name);
        self
    }

    /// Returns the name of the object that is read, if it was set.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.seal.name()
    }

    /// Sets the origin key, for seals that were made with it.
    #[must_use]
    pub fn with_origin_key(mut self, key: OriginKey) -> Self {
        self.seal = self.seal.with_origin_key(key);
        self
    }

    /// Returns the policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns whether an operation may block the thread for [long](crate::KeyWrapper::may_block).
    /// Async programs then call it on a thread that may block. With the feature `tokio-rt`, the
    /// async functions do so themselves.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        self.keyring.is_blocking()
    }

    /// Returns the cipher of an object, for any content algorithm.
    ///
    /// # Errors
    /// If the policy does not allow the envelope, or no key matches or opens it.
    pub fn decrypt(&self, envelope: &Envelope) -> Result<ContentCipher, DecryptError> {
        self.run_now(async |own| own.decrypt_async(envelope).await)?
    }

    /// Returns the cipher of an AES-CTR object, for streams and ranges. Its output is **not
    /// authenticated**; [`PlainCheck`] checks what can be checked.
    ///
    /// # Errors
    /// If the policy does not allow the envelope, no key matches or opens it, or the content is not
    /// AES-CTR.
    pub fn decrypt_ctr(&self, envelope: &Envelope) -> Result<CtrCipher, DecryptError> {
        self.run_now(async |own| own.decrypt_ctr_async(envelope).await)?
    }

    /// Returns the keystream that decrypts ranges of an object. Nothing authenticates them, so the
    /// policy must allow that for an AES-GCM object. The ranges are of the plaintext, which ends
    /// before the authentication tag.
    ///
    /// # Errors
    /// If the policy does not allow ranges of the object, no key matches or opens the envelope, or
    /// the content algorithm is not seekable (AES-CBC).
    pub fn decrypt_range(&self, envelope: &Envelope) -> Result<CtrCipher, DecryptError> {
        self.run_now(async |own| own.decrypt_range_async(envelope).await)?
    }

    /// Returns a reader that decrypts a body, and at its end checks everything that can be checked:
    /// GCM's authentication tag, CBC's padding, and the length and MD5 stated in the metadata.
    ///
    /// # Errors
    /// If the policy does not allow the envelope, or no key matches or opens it.
    pub fn reader<R>(
        &self,
        envelope: &Envelope,
        body: R,
    ) -> Result<DecryptReader<R>, DecryptError> {
        let reader = DecryptReader::new(body, self.decrypt(envelope)?);
        Ok(reader.with_check(PlainCheck::new(envelope)))
    }

    /// Resumes the encryption of a multipart upload whose envelope was kept. The parts that are
    /// still missing can then be encrypted, from the same plaintext as before.
    ///
    /// # Errors
    /// As [`decrypt_ctr`](Self::decrypt_ctr); and [`DecryptError::Plan`] if the plan differs from
    /// the one stated in the envelope.
    pub fn resume(
        &self,
        envelope: &Envelope,
        plan: PartPlan,
    ) -> Result<EncryptedObject<CtrCipher>, DecryptError> {
        self.run_now(async |own| own.resume_async(envelope, plan).await)?
    }

    /// Rewraps the content key of an envelope with the key and in the dialect of `encryptor`. The
    /// body stays unchanged; the cipher that is returned decrypts it.
    ///
    /// Anyone who has the old master key and kept the old metadata can still open the object. The
    /// description is that of the new key. Sizes, MD5 and the presence of a key check are kept if
    /// the new dialect can express them.
    ///
    /// A seal is made anew for the new envelope, with what the old one said of the body. If there
    /// was none and the encryptor [seals](Encryptor::with_seal), the new seal is marked as adopted;
    /// it covers the body after [`EncryptedObject::seal_body`].
    ///
    /// The IV also stays unchanged. COS Python, Java and Android generate IVs with which OSS SDKs
    /// seek to the wrong counter; see [`CtrCipher::suits_every_sdk`].
    ///
    /// # Errors
    /// If the old envelope cannot be opened, or the new dialect cannot express it, for example
    /// because it does not support the content algorithm.
    pub fn rewrap(
        &self,
        envelope: &Envelope,
        encryptor: &Encryptor,
    ) -> Result<EncryptedObject<ContentCipher>, RewrapError> {
        if encryptor.is_async() {
            return Err(RewrapError::Encrypt(EncryptError::AsyncKey));
        }
        let encryptor = encryptor.on_this_thread();
        self.run_now(async |own| own.rewrap_async(envelope, &encryptor).await)
            .map_err(RewrapError::Decrypt)?
    }

    /// As [`decrypt`](Self::decrypt), waiting for the master key. The future can be dropped at any
    /// time.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt).
    pub async fn decrypt_async(&self, envelope: &Envelope) -> Result<ContentCipher, DecryptError> {
        self.policy.admit(Some(envelope))?;
        let (key, seal) = self.unwrap(envelope).await?;
        Ok(cipher(&key, seal)?)
    }

    /// As [`decrypt_ctr`](Self::decrypt_ctr), waiting for the master key. The future can be dropped
    /// at any time.
    ///
    /// # Errors
    /// As [`decrypt_ctr`](Self::decrypt_ctr).
    pub async fn decrypt_ctr_async(&self, envelope: &Envelope) -> Result<CtrCipher, DecryptError> {
        self.policy.admit(Some(envelope))?;
        let (key, seal) = self.unwrap(envelope).await?;
        Ok(CtrCipher::new(&key)?.sealed(seal))
    }

    /// As [`decrypt_range`](Self::decrypt_range), waiting for the master key. The future can be
    /// dropped at any time.
    ///
    /// # Errors
    /// As [`decrypt_range`](Self::decrypt_range).
    pub async fn decrypt_range_async(
        &self,
        envelope: &Envelope,
    ) -> Result<CtrCipher, DecryptError> {
        self.policy.admit_range(Some(envelope))?;
        // The seal cannot vouch for a part of the body.
        let (key, _) = self.unwrap(envelope).await?;
        Ok(cipher(&key, None)?.into_keystream()?)
    }

    /// As [`resume`](Self::resume), waiting for the master key. The future can be dropped at any
    /// time.
    ///
    /// # Errors
    /// As [`resume`](Self::resume).
    pub async fn resume_async(
        &self,
        envelope: &Envelope,
        plan: PartPlan,
    ) -> Result<EncryptedObject<CtrCipher>, DecryptError> {
        let (size, part_size) = (plan.layout().data_size(), plan.layout().part_size());
        let stated = envelope.layout().is_none_or(|layout| layout == plan.layout())
            && envelope.plain_len().is_none_or(|len| size == Some(len))
            && size.is_some_and(|size| envelope.dialect().layout(size, part_size).is_ok());
        if !stated {
            return Err(DecryptError::Plan);
        }
        self.policy.admit(Some(envelope))?;
        let (key, _) = self.unwrap(envelope).await?;
        if key.is_short() {
            return Err(refused(envelope, UnwrapError::Failed.into()));
        }
        let cipher = CtrCipher::new(&key)?;
        let headers = envelope.emit(envelope.dialect())?;
        let sealer = envelope.seal().map(|seal| Sealer::again(&key, &seal, &self.seal));
        Ok(EncryptedObject::new(envelope.clone(), headers, cipher, Some(plan), sealer))
    }

    /// As [`rewrap`](Self::rewrap), waiting for the master keys. Dropping the future has no effect,
    /// except that the keys may already have been used.
    ///
    /// # Errors
    /// As [`rewrap`](Self::rewrap).
    pub async fn rewrap_async(
        &self,
        envelope: &Envelope,
        encryptor: &Encryptor,
    ) -> Result<EncryptedObject<ContentCipher>, RewrapError> {
        self.policy.admit(Some(envelope)).map_err(|error| RewrapError::Decrypt(error.into()))?;
        let (key, seal) = self.unwrap(envelope).await.map_err(RewrapError::Decrypt)?;
        let cipher = cipher(&key, seal).map_err(|error| RewrapError::Decrypt(error.into()))?;
        let sizes = Sizes {
            layout: envelope.layout().or_else(|| encryptor.layout()),
            len: envelope.plain_len(),
            md5: envelope.plain_md5().filter(|_| encryptor.dialect().has_plain_md5()),
        };
        let encryptor = match envelope.key_check() {
            Some(_) => &encryptor.clone().with_key_check(),
            None => encryptor,
        };
        let sealer = encryptor.resealer(&key, envelope.seal(), &self.seal);
        encryptor.object(&key, sizes, cipher, sealer).await.map_err(RewrapError::Encrypt)
    }

    /// Runs a future that waits for nothing, because no key is async. If one is, nothing is run.
    fn run_now<T>(&self, work: impl AsyncFnOnce(&Self) -> T) -> Result<T, DecryptError> {
        if self.keyring.is_async() {
            return Err(DecryptError::AsyncKey);
        }
        let own = Self { place: Place::Here, ..self.clone() };
        run_now(work(&own)).ok_or(DecryptError::AsyncKey)
    }

    /// The content key of an envelope that the policy has admitted, and the body that its seal
    /// vouches for. The seal is verified each time: the cache holds keys, and no verdicts.
    async fn unwrap(
        &self,
        envelope: &Envelope,
    ) -> Result<(Arc<ContentKey>, Option<SealedContent>), DecryptError> {
        // Nothing that this library has sealed or checked has a short key.
        let allows_short = self.policy.allows_short_content_keys() && !envelope.is_bound_to_key();
        let cached = self.cache.as_ref().and_then(|cache| cache.find(envelope));
        // The cache may be shared with a decryptor whose policy allows more.
        let cached = cached.filter(|key| allows_short || !key.is_short());
        let key = match cached {
            Some(key) => key,
            None => {
                let key = self.keyring.unwrap(envelope, allows_short, self.place).await;
                let key = key.map_err(|error| refused(envelope, error))?;
                if let Some(cache) = &self.cache {
                    cache.insert(envelope, &key);
                }
                key
            }
        };
        let seal = seal::verify(&key, envelope, &self.seal)?;
        Ok((key, seal))
    }
}

/// Returns the error for an envelope that no key opens. If it deviates from its dialect, it was
/// probably altered.
fn refused(envelope: &Envelope, error: KeyringError) -> DecryptError {
    match (envelope.refusal(), &error) {
        (
            _,
            KeyringError::Unidentified
            | KeyringError::Unwrap(UnwrapError::Kms(_) | UnwrapError::NotUsed(_)),
        )
        | (None, _) => error.into(),
        (Some(refusal), _) => DecryptError::Deviates(refusal.clone()),
    }
}

fn cipher(key: &ContentKey, seal: Option<SealedContent>) -> Result<ContentCipher, NotCtr> {
    ContentCipher::new(key, seal).ok_or(NotCtr(key.algorithm()))
}

impl DecryptError {
    /// Returns whether it is still open if the key is the right one, because it was not used, or a
    /// KMS was asked and gave no answer about it.
    #[must_use]
    pub const fn is_undecided(&self) -> bool {
        let Self::Keyring(KeyringError::Unwrap(error)) = self else { return false };
        match error {
            UnwrapError::Kms(error) => !matches!(error, KmsError::Refused(_)),
            UnwrapError::NotUsed(_) => true,
            UnwrapError::Failed => false,
        }
    }
}

/// An error from decrypting an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// A master key is async, but the function is blocking.
    #[error("this master key can be used only by async functions")]
    AsyncKey,
    /// The metadata deviates from its dialect, and no key opens it.
    #[error(transparent)]
    Deviates(ParseError),
    /// The envelope cannot be emitted again, to resume an upload with it.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// No key matches or opens the envelope.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The content algorithm has no seekable keystream.
    #[error(transparent)]
    NotCtr(#[from] NotCtr),
    /// The plan differs from that of the upload to which the envelope belongs.
    #[error("the part plan is not the one that the metadata states")]
    Plan,
    /// The reader's policy does not allow the envelope.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The seal does not match, or cannot be verified.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// An error from rewrapping an envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewrapError {
    /// The old envelope cannot be opened.
    #[error(transparent)]
    Decrypt(DecryptError),
    /// The new envelope cannot be created.
    #[error(transparent)]
    Encrypt(EncryptError),
}

#[cfg(test)]
mod tests {
    use meta_codec::{ContentAlgorithm, Dialect, IvForm, WrapAlgorithm};

    use super::*;
    use crate::{KeyWrapper as _, RsaKeyWrapper, key_check::key_check};

    /// Nobody but us writes key checks, and we write none for short keys.
    #[test]
    fn a_short_key_is_bound_to_nothing() {
        let rsa = RsaKeyWrapper::generate(2048).unwrap();
        let (content, dialect) = (ContentAlgorithm::Aes256Ctr, Dialect::OSS_V2);
        let wrap = WrapAlgorithm::RsaPkcs1v15;
        for (len, opens) in [(16, false), (32, true)] {
            let (cek, form) = (vec![5; len], IvForm::Wrapped);
            let key = crate::hazmat::content_key(content, form, Some(&cek), Some(&[9; 16]));
            let key = key.unwrap();
            let wrapped = rsa.wrap(&key, wrap, form).unwrap();
            let envelope = Envelope::new(dialect, content, wrap, wrapped.cek, wrapped.iv);
            let check = key_check(&key, &envelope);
            let lenient = Decryptor::new(&Keyring::new().with(rsa.clone()));
            let lenient = lenient.with_policy(Policy::lenient());
            assert!(lenient.decrypt(&envelope).is_ok());
            assert_eq!(lenient.decrypt(&envelope.with_key_check(check)).is_ok(), opens);
        }
    }
}
