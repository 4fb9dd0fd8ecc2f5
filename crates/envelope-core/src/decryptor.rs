//! Decryption: turning an envelope into the cipher of its object, or into another envelope.

use meta_codec::Envelope;

use crate::{
    BodyCipher, ContentCipher, ContentKey, EncryptError, Encryptor, Keyring, KeyringError,
    PlainCheck, Policy, PolicyError, cipher::NotCtr, encryptor::Sizes, io::DecryptReader,
};

/// A decryptor that opens envelopes with the keys of a keyring, within the limits of a policy.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "borrows secrets, which are not printed")]
pub struct Decryptor<'a> {
    keyring: &'a Keyring,
    policy: Policy,
}

impl<'a> Decryptor<'a> {
    /// Creates a decryptor with these keys and the default [`Policy`].
    #[must_use]
    pub fn new(keyring: &'a Keyring) -> Self {
        Self { keyring, policy: Policy::default() }
    }

    /// Sets the policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Returns the cipher of an AES-CTR object, for streams and ranges. Its output is **not
    /// authenticated**; see [`PlainCheck`] for what can be checked.
    ///
    /// # Errors
    /// If the policy does not allow the envelope, no key matches or opens it, or the content is not
    /// CTR.
    pub fn decrypt(&self, envelope: &Envelope) -> Result<ContentCipher, DecryptError> {
        Ok(ContentCipher::new(&self.unwrap(envelope)?)?)
    }

    /// Returns the cipher of an object with any content algorithm.
    ///
    /// # Errors
    /// If the policy does not allow the envelope, or no key matches or opens it.
    pub fn open(&self, envelope: &Envelope) -> Result<BodyCipher, DecryptError> {
        let not_ctr = NotCtr(envelope.content_algorithm());
        Ok(BodyCipher::new(&self.unwrap(envelope)?).ok_or(not_ctr)?)
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
        let reader = DecryptReader::new(body, self.open(envelope)?);
        Ok(reader.with_check(PlainCheck::new(envelope)))
    }

    /// Rewraps the content key of an envelope with the key and in the dialect of `encryptor`. The
    /// body stays unchanged.
    ///
    /// Anyone who has the old master key and kept the old metadata can still open the object. The
    /// description is that of the new key. Sizes, MD5 and the presence of a key check are kept if
    /// the new dialect can express them.
    ///
    /// The IV also stays unchanged. COS Python, Java and Android generate IVs with which OSS SDKs
    /// seek to the wrong counter; see [`ContentCipher::suits_every_sdk`].
    ///
    /// # Errors
    /// If the old envelope cannot be opened, or the new dialect cannot express it, for example
    /// because it does not support the content algorithm.
    pub fn rewrap(
        &self,
        envelope: &Envelope,
        encryptor: &Encryptor<'_>,
    ) -> Result<Envelope, RewrapError> {
        let key = self.unwrap(envelope).map_err(RewrapError::Decrypt)?;
        let sizes = Sizes {
            layout: envelope.layout(),
            len: envelope.plain_len(),
            md5: envelope.plain_md5().filter(|_| encryptor.dialect().has_plain_md5()),
        };
        let encryptor = match envelope.key_check() {
            Some(_) => encryptor.key_check(),
            None => *encryptor,
        };
        encryptor.envelope(&key, sizes).map_err(RewrapError::Encrypt)
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, DecryptError> {
        self.policy.admit(Some(envelope))?;
        Ok(self.keyring.unwrap(envelope)?)
    }
}

/// An error from decrypting an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// No key matches or opens the envelope.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The content algorithm has no seekable keystream.
    #[error(transparent)]
    NotCtr(#[from] NotCtr),
    /// The reader's policy does not allow the envelope.
    #[error(transparent)]
    Policy(#[from] PolicyError),
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
