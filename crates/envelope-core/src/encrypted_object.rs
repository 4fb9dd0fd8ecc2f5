//! An object that is about to be written: its metadata, and the cipher for its body.

use meta_codec::{EmitError, Envelope};

use crate::{
    BodyDigest, BodyHasher, ContentCipher, CtrCipher, EncryptError, PartCipher, PartPlan,
    seal::Sealer,
};

/// An object that is about to be written: the headers to send with it, and the cipher for its body.
///
/// `C` is [`CtrCipher`], [`GcmSealer`](crate::GcmSealer) or
/// [`BodyEncryptor`](crate::BodyEncryptor), depending on how it was encrypted.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Dialect, Encryptor, io::EncryptReader};
///
/// # fn send(headers: &[(&str, String)], body: impl std::io::Read) {}
/// let wrapper = AesKeyWrapper::generate()?;
/// let object = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt()?;
/// let headers = object.headers().to_vec();
/// send(&headers, EncryptReader::new(&b"a file"[..], object.into_cipher()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(missing_debug_implementations, reason = "holds a secret, which is not printed")]
pub struct EncryptedObject<C> {
    envelope: Envelope,
    headers: Vec<(&'static str, String)>,
    cipher: C,
    plan: Option<PartPlan>,
    sealer: Option<Sealer>,
}

impl<C> EncryptedObject<C> {
    pub(crate) const fn new(
        envelope: Envelope,
        headers: Vec<(&'static str, String)>,
        cipher: C,
        plan: Option<PartPlan>,
        sealer: Option<Sealer>,
    ) -> Self {
        Self { envelope, headers, cipher, plan, sealer }
    }

    /// Returns the headers to send with the object: names in lower case, and values. A multipart
    /// upload is created with them.
    #[must_use]
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// Returns the envelope that the headers carry.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Returns the hasher of the body, as it is stored, if the object is sealed.
    #[must_use]
    pub fn body_hasher(&self) -> Option<BodyHasher> {
        self.sealer.as_ref().map(|sealer| sealer.hasher().clone())
    }

    /// Seals the body, which was hashed with the [hasher](Self::body_hasher) of this object. Until
    /// then, the seal in the headers covers the metadata only. An object that is not
    /// [to be sealed](crate::Encryptor::with_seal) stays as it is.
    ///
    /// ```
    /// use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring, SealOptions};
    ///
    /// let key = AesKeyWrapper::generate()?;
    /// let encryptor = Encryptor::new(&key, Dialect::COS_V2).with_seal(SealOptions::new());
    /// let mut object = encryptor.encrypt()?;
    /// let mut body = b"a file".to_vec();
    /// object.cipher().at(0).apply(&mut body);
    /// if let Some(hasher) = object.body_hasher() {
    ///     let mut whole = hasher.whole();
    ///     whole.update(&body);
    ///     object.seal_body(whole.finish())?;
    /// }
    /// let decryptor = Decryptor::new(&Keyring::new().with(key));
    /// body[0] ^= 1; // what AES-CTR alone does not notice
    /// assert!(decryptor.decrypt(object.envelope())?.decrypt(body).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the content algorithm is not AES-CTR, because AES-GCM authenticates its body on its own;
    /// or [`EncryptError::Integrity`] if the seal covers another body already, as that of an object
    /// that was [rewrapped](crate::Decryptor::rewrap) may.
    pub fn seal_body(&mut self, body: BodyDigest) -> Result<(), EncryptError> {
        if let Some(sealer) = &mut self.sealer {
            sealer.set_body(body)?;
            self.envelope = self.envelope.clone().with_seal(sealer.seal(&self.envelope));
            self.headers = self.envelope.emit(self.envelope.dialect())?;
        }
        Ok(())
    }

    /// Returns the headers that the object will have once its [body is sealed](Self::seal_body),
    /// but with other values in the seal, to see beforehand whether the store takes so many.
    ///
    /// # Errors
    /// If they are more than the vendor stores, or the seal cannot cover the body.
    pub fn longest_headers(&self) -> Result<Vec<(&'static str, String)>, EmitError> {
        match &self.sealer {
            Some(sealer) => {
                let envelope = self.envelope.clone().with_seal(sealer.longest());
                envelope.emit(envelope.dialect())
            }
            None => Ok(self.headers.clone()),
        }
    }

    /// Returns the cipher for the body.
    #[must_use]
    pub fn into_cipher(self) -> C {
        self.cipher
    }

    /// Returns the envelope and the cipher.
    #[must_use]
    pub fn into_inner(self) -> (Envelope, C) {
        (self.envelope, self.cipher)
    }
}

impl EncryptedObject<ContentCipher> {
    /// Returns the cipher that decrypts the body of an object that was
    /// [rewrapped](crate::Decryptor::rewrap).
    #[must_use]
    pub const fn cipher(&self) -> &ContentCipher {
        &self.cipher
    }
}

impl EncryptedObject<CtrCipher> {
    /// Returns the cipher for the body.
    #[must_use]
    pub const fn cipher(&self) -> &CtrCipher {
        &self.cipher
    }

    /// Returns the plan of the multipart upload, if there is one.
    #[must_use]
    pub const fn plan(&self) -> Option<PartPlan> {
        self.plan
    }

    /// Returns the ciphers of the parts of a multipart upload, in order. They can be used in any
    /// order and on any threads. A part that is sent again must be the same bytes again.
    ///
    /// ```
    /// use envelope_core::{AesKeyWrapper, Dialect, Encryptor, PartPlan};
    ///
    /// # fn upload(number: u16, body: Vec<u8>) {}
    /// # let data = vec![7; 250_000];
    /// let wrapper = AesKeyWrapper::generate()?;
    /// let plan = PartPlan::new(data.len() as u64, 1 << 20, Dialect::COS_V2)?;
    /// let object = Encryptor::new(&wrapper, Dialect::COS_V2).with_parts(plan).encrypt()?;
    /// for cipher in object.parts()? {
    ///     let part = cipher.part();
    ///     let (start, end) = (part.start() as usize, (part.start() + part.len()) as usize);
    ///     let mut body = data[start..end].to_vec();
    ///     cipher.encrypt_in_place(&mut body)?;
    ///     upload(part.number(), body);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`NoPlan`] if [`Encryptor::with_parts`](crate::Encryptor::with_parts) was not called.
    pub fn parts(&self) -> Result<impl ExactSizeIterator<Item = PartCipher>, NoPlan> {
        let parts = self.plan.ok_or(NoPlan)?.parts();
        Ok(parts.map(|part| PartCipher::new(&self.cipher, part)))
    }

    /// Returns the cipher of the part with this number, counted from 1.
    ///
    /// # Errors
    /// [`NoPlan`] if there is no plan, or no such part in it.
    pub fn part(&self, number: u16) -> Result<PartCipher, NoPlan> {
        let plan = self.plan.ok_or(NoPlan)?;
        let part = plan.parts().nth(usize::from(number).wrapping_sub(1)).ok_or(NoPlan)?;
        Ok(PartCipher::new(&self.cipher, part))
    }
}

/// The error returned for parts of an object that was not planned in parts, or has no such part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the object was not encrypted with a plan that has this part")]
pub struct NoPlan;
