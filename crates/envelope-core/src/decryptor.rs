//! Decryption: from an envelope to the cipher of its object, or to another envelope.

use meta_codec::Envelope;

use crate::{
    BodyCipher, ContentCipher, ContentKey, EncryptError, Encryptor, Keyring, KeyringError,
    PlainCheck, Policy, PolicyError, cipher::NotCtr, encryptor::Sizes, io::DecryptReader,
};

/// Opens envelopes with the keys of a keyring, as far as a policy allows.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "borrows secrets, which are not printed")]
pub struct Decryptor<'a> {
    keyring: &'a Keyring,
    policy: Policy,
}

impl<'a> Decryptor<'a> {
    /// A decryptor with these keys and the default [`Policy`].
    #[must_use]
    pub fn new(keyring: &'a Keyring) -> Self {
        Self { keyring, policy: Policy::default() }
    }

    /// Reads what this policy allows.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The cipher of an AES-CTR object, for streams and ranges. What it yields is **not
    /// authenticated**; see [`PlainCheck`] for what can be checked.
    ///
    /// # Errors
    /// The policy does not allow it, no key fits or opens the envelope, or the content is not CTR.
    pub fn decrypt(&self, envelope: &Envelope) -> Result<ContentCipher, DecryptError> {
        Ok(ContentCipher::new(&self.unwrap(envelope)?)?)
    }

    /// The cipher of an object, whichever content algorithm it has.
    ///
    /// # Errors
    /// The policy does not allow it, or no key fits or opens the envelope.
    pub fn open(&self, envelope: &Envelope) -> Result<BodyCipher, DecryptError> {
        let not_ctr = NotCtr(envelope.content_algorithm());
        Ok(BodyCipher::new(&self.unwrap(envelope)?).ok_or(not_ctr)?)
    }

    /// Decrypts a body as it streams by, and checks at its end whatever can be checked: GCM's tag,
    /// CBC's padding, the length and the MD5 that the metadata says.
    ///
    /// # Errors
    /// The policy does not allow it, or no key fits or opens the envelope.
    pub fn reader<R>(
        &self,
        envelope: &Envelope,
        body: R,
    ) -> Result<DecryptReader<R>, DecryptError> {
        let reader = DecryptReader::new(body, self.open(envelope)?);
        Ok(reader.with_check(PlainCheck::new(envelope)))
    }

    /// Wraps the content key of an envelope anew, with the key and in the dialect of `encryptor`. The
    /// body stays as it is.
    ///
    /// Whoever has the old master key and kept the old metadata can still open the object. The
    /// description is that of the new key. Sizes, MD5 and the presence of a key check are kept where the
    /// new dialect has a place for them.
    ///
    /// The IV stays, too. COS Python, Java and Android make IVs with which OSS SDKs seek wrongly; see
    /// [`ContentCipher::suits_every_sdk`].
    ///
    /// # Errors
    /// The old envelope does not open, or the new dialect cannot say it: above all, it may not have
    /// the content algorithm.
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

/// Why an object cannot be decrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// No key fits, or none opens it.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The content algorithm has no seekable keystream.
    #[error(transparent)]
    NotCtr(#[from] NotCtr),
    /// The reader's policy does not allow it.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Why an envelope cannot be wrapped anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewrapError {
    /// The old envelope does not open.
    #[error(transparent)]
    Decrypt(DecryptError),
    /// The new one cannot be made.
    #[error(transparent)]
    Encrypt(EncryptError),
}
