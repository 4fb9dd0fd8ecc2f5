//! The transforms of a body: sans-IO, one direction each, for every content algorithm.

use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    CbcCipher, ContentCipher, CtrCipher, GcmSealer, IntegrityError, Keystream, PlainCheck,
    gcm::{OpenStream, SealStream},
    seal::{SealCheck, SealedContent},
};

/// Encrypts a body piece by piece, without any I/O. The adapters in [`io`](crate::io) are built on
/// it; use it directly for a transport of your own.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, BodyEncryptor, ContentAlgorithm, Dialect, Encryptor};
/// # let wrapper = AesKeyWrapper::generate()?;
/// let object = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt()?;
/// let mut encryptor = BodyEncryptor::from(object.into_cipher());
/// let mut body = Vec::new();
/// for piece in [&b"a "[..], b"file"] {
///     let mut piece = piece.to_vec();
///     encryptor.update(&mut piece)?;
///     body.extend(piece);
/// }
/// body.extend(encryptor.finish());
/// assert_eq!(body.len(), 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(missing_debug_implementations, reason = "secrets are not printed")]
pub struct BodyEncryptor(Encrypting);

enum Encrypting {
    Ctr(Keystream),
    Gcm(SealStream),
}

impl BodyEncryptor {
    /// Encrypts the next bytes of the plaintext, in place.
    ///
    /// # Errors
    /// If the plaintext becomes longer than the content algorithm allows.
    pub fn update(&mut self, data: &mut [u8]) -> Result<(), IntegrityError> {
        match &mut self.0 {
            Encrypting::Ctr(keystream) => {
                keystream.try_apply(data).map_err(|_| IntegrityError::TooLong)
            }
            Encrypting::Gcm(gcm) => gcm.update(data),
        }
    }

    /// Returns the last bytes of the body: GCM's authentication tag, or nothing.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            Encrypting::Ctr(_) => Vec::new(),
            Encrypting::Gcm(gcm) => gcm.finish().to_vec(),
        }
    }
}

impl From<CtrCipher> for BodyEncryptor {
    fn from(cipher: CtrCipher) -> Self {
        cipher.at(0).into()
    }
}

impl From<Keystream> for BodyEncryptor {
    fn from(keystream: Keystream) -> Self {
        Self(Encrypting::Ctr(keystream))
    }
}

impl From<GcmSealer> for BodyEncryptor {
    fn from(sealer: GcmSealer) -> Self {
        Self(Encrypting::Gcm(SealStream::new(sealer)))
    }
}

/// Decrypts a body piece by piece, without any I/O, and checks it at the end. The adapters in
/// [`io`](crate::io) are built on it; use it directly for a transport of your own.
///
/// **What [`update`](Self::update) releases is unverified until [`finish`](Self::finish)
/// succeeds.** If there is anything to verify, at least the last byte of the plaintext is held back
/// until then.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, BodyDecryptor, Decryptor, Dialect, Encryptor, Keyring};
/// # use envelope_core::PlainCheck;
/// # let wrapper = AesKeyWrapper::generate()?;
/// # let object = Encryptor::new(&wrapper, Dialect::COS_V2).with_plain_len(6).encrypt()?;
/// # let (envelope, cipher) = object.into_inner();
/// # let mut body = b"a file".to_vec();
/// # cipher.at(0).apply(&mut body);
/// let cipher = Decryptor::new(&Keyring::new().with(wrapper)).decrypt(&envelope)?;
/// let mut decryptor = BodyDecryptor::from(cipher).with_check(PlainCheck::new(&envelope));
/// let mut plain = Vec::new();
/// for piece in body.chunks(4) {
///     let mut piece = piece.to_vec();
///     decryptor.update(&mut piece)?;
///     plain.extend(piece);
/// }
/// plain.extend_from_slice(&decryptor.finish()?);
/// assert_eq!(plain, b"a file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(missing_debug_implementations, reason = "secrets are not printed")]
pub struct BodyDecryptor {
    cipher: Decrypting,
    check: Option<PlainCheck>,
    seal: Option<SealCheck>,
    /// The last bytes of a checked AES-CTR or AES-CBC plaintext. AES-GCM holds back its own.
    held: Zeroizing<Vec<u8>>,
}

enum Decrypting {
    Cbc(CbcCipher),
    Ctr(Keystream),
    Gcm(OpenStream),
}

/// The number of bytes of a checked AES-CTR or AES-CBC plaintext that are held back.
const HELD: usize = 16;

impl BodyDecryptor {
    fn new(cipher: Decrypting) -> Self {
        // Growing it later would leave plaintext behind: what is held, and CBC's last block.
        let held = Zeroizing::new(Vec::with_capacity(2 * HELD));
        Self { cipher, check: None, seal: None, held }
    }

    /// Checks the plaintext against the length and MD5 that the metadata states.
    #[must_use]
    pub fn with_check(mut self, check: PlainCheck) -> Self {
        self.check = Some(check).filter(|check| !check.is_vacuous());
        self
    }

    /// Takes the next bytes of the body, and leaves in their place the plaintext that is ready.
    ///
    /// # Errors
    /// If the body becomes longer than the content algorithm allows, or than the metadata states.
    /// Nothing more is released then: `data` is wiped.
    pub fn update(&mut self, data: &mut Vec<u8>) -> Result<(), IntegrityError> {
        self.try_update(data).inspect_err(|_| data.zeroize())
    }

    fn try_update(&mut self, data: &mut Vec<u8>) -> Result<(), IntegrityError> {
        if self.check.is_some() || self.seal.is_some() {
            // Before anything is decrypted, so that a buffer that has to grow leaves ciphertext.
            data.reserve(2 * HELD);
        }
        if let Some(seal) = &mut self.seal {
            seal.update(data)?;
        }
        let waiting = match &mut self.cipher {
            Decrypting::Cbc(cbc) => {
                cbc.update(data);
                0
            }
            Decrypting::Ctr(keystream) => {
                keystream.try_apply(data).map_err(|_| IntegrityError::TooLong)?;
                0
            }
            Decrypting::Gcm(gcm) => {
                gcm.update(data)?;
                gcm.waiting()
            }
        };
        if let Some(check) = &mut self.check {
            check.update(data);
            // Otherwise, bytes appended to the body would release those that are held back.
            check.not_longer(waiting)?;
        } else if self.seal.is_none() {
            return Ok(());
        }
        if !matches!(self.cipher, Decrypting::Gcm(_)) {
            data.splice(..0, self.held.drain(..));
            let ready = data.len().saturating_sub(HELD);
            let last = data.get_mut(ready..).unwrap_or_default();
            self.held.extend_from_slice(last);
            last.zeroize();
            data.truncate(ready);
        }
        Ok(())
    }

    /// Verifies whatever can be verified, and returns the last bytes of the plaintext.
    ///
    /// # Errors
    /// The body is not the one that was sealed, or GCM's authentication tag, CBC's padding, or the
    /// length or MD5 of the plaintext is wrong.
    pub fn finish(self) -> Result<Zeroizing<Vec<u8>>, IntegrityError> {
        let Self { cipher, check, seal, mut held } = self;
        if let Some(seal) = seal {
            seal.finish()?;
        }
        let last = Zeroizing::new(match cipher {
            Decrypting::Cbc(cbc) => cbc.finish()?,
            Decrypting::Ctr(_) => Vec::new(),
            Decrypting::Gcm(gcm) => gcm.finish()?,
        });
        if let Some(mut check) = check {
            check.update(&last);
            check.finish()?;
        }
        held.extend_from_slice(&last);
        Ok(held)
    }
}

impl From<CtrCipher> for BodyDecryptor {
    fn from(cipher: CtrCipher) -> Self {
        let seal = cipher.seal().map(SealedContent::check);
        Self { seal, ..Self::from(cipher.at(0)) }
    }
}

impl From<Keystream> for BodyDecryptor {
    fn from(keystream: Keystream) -> Self {
        Self::new(Decrypting::Ctr(keystream))
    }
}

impl From<ContentCipher> for BodyDecryptor {
    fn from(cipher: ContentCipher) -> Self {
        Self::new(match cipher {
            ContentCipher::Cbc(cbc) => Decrypting::Cbc(cbc),
            ContentCipher::Ctr(ctr) => return ctr.into(),
            ContentCipher::Gcm(gcm) => Decrypting::Gcm(OpenStream::new(gcm)),
        })
    }
}

/// The interface of both transforms to the adapters.
pub(crate) trait Transform {
    /// The keystream, if it can be applied to bytes where they are.
    fn keystream(&mut self) -> Option<&mut Keystream>;

    /// Takes the next bytes, and leaves what is ready in their place.
    fn update(&mut self, data: &mut Vec<u8>) -> Result<(), IntegrityError>;

    /// Returns the last bytes.
    fn finish(self) -> Result<Zeroizing<Vec<u8>>, IntegrityError>;
}

impl Transform for BodyEncryptor {
    fn keystream(&mut self) -> Option<&mut Keystream> {
        match &mut self.0 {
            Encrypting::Ctr(keystream) => Some(keystream),
            Encrypting::Gcm(_) => None,
        }
    }

    fn update(&mut self, data: &mut Vec<u8>) -> Result<(), IntegrityError> {
        Self::update(self, data)
    }

    fn finish(self) -> Result<Zeroizing<Vec<u8>>, IntegrityError> {
        Ok(Zeroizing::new(Self::finish(self)))
    }
}

impl Transform for BodyDecryptor {
    fn keystream(&mut self) -> Option<&mut Keystream> {
        match &mut self.cipher {
            // A check holds bytes back, and then nothing stays where it is.
            Decrypting::Ctr(keystream) if self.check.is_none() && self.seal.is_none() => {
                Some(keystream)
            }
            _ => None,
        }
    }

    fn update(&mut self, data: &mut Vec<u8>) -> Result<(), IntegrityError> {
        Self::update(self, data)
    }

    fn finish(self) -> Result<Zeroizing<Vec<u8>>, IntegrityError> {
        Self::finish(self)
    }
}
