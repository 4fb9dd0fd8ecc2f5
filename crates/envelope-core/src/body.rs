//! The body of one object, in the content algorithm that its envelope names.

use crate::{
    CbcCipher, ContentCipher, ContentKey, GcmCipher, IntegrityError, Keystream,
    gcm::{GcmOpener, GcmSealer},
};

/// The cipher for reading one object.
#[non_exhaustive]
#[expect(missing_debug_implementations, reason = "secrets are not printed")]
pub enum BodyCipher {
    /// AES-256-CBC.
    Cbc(CbcCipher),
    /// AES-256-CTR.
    Ctr(ContentCipher),
    /// AES-256-GCM.
    Gcm(GcmCipher),
}

impl BodyCipher {
    pub(crate) fn new(key: &ContentKey) -> Option<Self> {
        ContentCipher::new(key)
            .ok()
            .map(Self::Ctr)
            .or_else(|| GcmCipher::new(key).map(Self::Gcm))
            .or_else(|| CbcCipher::new(key).map(Self::Cbc))
    }

    /// Decrypts a whole body in memory. No plaintext is released before every check that the
    /// algorithm allows has passed.
    ///
    /// # Errors
    /// See [`GcmCipher::open`] and [`CbcCipher::open`].
    pub fn open(self, mut body: Vec<u8>) -> Result<Vec<u8>, IntegrityError> {
        match self {
            Self::Cbc(cbc) => cbc.open(body),
            Self::Gcm(gcm) => gcm.open(body),
            Self::Ctr(ctr) => {
                ctr.at(0).apply(&mut body);
                Ok(body)
            }
        }
    }
}

impl From<ContentCipher> for BodyCipher {
    fn from(cipher: ContentCipher) -> Self {
        Self::Ctr(cipher)
    }
}

/// A body streamed through a cipher in one direction.
///
/// A plain keystream works in place; the others hold back bytes and therefore work on a vector.
pub(crate) trait Stream {
    /// Returns the keystream if the stream consists of nothing else.
    fn keystream(&mut self) -> Option<&mut Keystream>;
    /// Replaces the next input bytes with the output that is ready.
    fn update(&mut self, data: &mut Vec<u8>) -> Result<(), IntegrityError>;
    /// Returns the last bytes of output.
    fn finish(&mut self) -> Result<Vec<u8>, IntegrityError>;
}

/// The transformation that an [`EncryptReader`](crate::io::EncryptReader) or
/// [`EncryptWriter`](crate::io::EncryptWriter) applies, converted from a cipher.
#[expect(missing_debug_implementations, reason = "secrets are not printed")]
pub struct Encrypting(Option<Sealing>);

enum Sealing {
    Ctr(Keystream),
    Gcm(GcmSealer),
}

impl From<ContentCipher> for Encrypting {
    fn from(cipher: ContentCipher) -> Self {
        Self(Some(Sealing::Ctr(cipher.at(0))))
    }
}

impl From<Keystream> for Encrypting {
    fn from(keystream: Keystream) -> Self {
        Self(Some(Sealing::Ctr(keystream)))
    }
}

impl From<GcmCipher> for Encrypting {
    fn from(cipher: GcmCipher) -> Self {
        Self(Some(Sealing::Gcm(GcmSealer::new(cipher))))
    }
}

impl Stream for Encrypting {
    fn keystream(&mut self) -> Option<&mut Keystream> {
        match &mut self.0 {
            Some(Sealing::Ctr(keystream)) => Some(keystream),
            _ => None,
        }
    }

    fn update(&mut self, data: &mut Vec<u8>) -> Result<(), IntegrityError> {
        match &mut self.0 {
            Some(Sealing::Ctr(keystream)) => keystream.apply(data),
            Some(Sealing::Gcm(gcm)) => gcm.update(data)?,
            None => data.clear(),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<u8>, IntegrityError> {
        Ok(match self.0.take() {
            Some(Sealing::Gcm(gcm)) => gcm.finish().to_vec(),
            _ => Vec::new(),
        })
    }
}

/// The transformation that a [`DecryptReader`](crate::io::DecryptReader) or
/// [`DecryptWriter`](crate::io::DecryptWriter) applies, converted from a cipher.
#[expect(missing_debug_implementations, reason = "secrets are not printed")]
pub struct Decrypting(Option<Opening>);

enum Opening {
    Cbc(CbcCipher),
    Ctr(Keystream),
    Gcm(GcmOpener),
}

impl From<ContentCipher> for Decrypting {
    fn from(cipher: ContentCipher) -> Self {
        Self(Some(Opening::Ctr(cipher.at(0))))
    }
}

impl From<Keystream> for Decrypting {
    fn from(keystream: Keystream) -> Self {
        Self(Some(Opening::Ctr(keystream)))
    }
}

impl From<BodyCipher> for Decrypting {
    fn from(cipher: BodyCipher) -> Self {
        Self(Some(match cipher {
            BodyCipher::Cbc(cbc) => Opening::Cbc(cbc),
            BodyCipher::Ctr(ctr) => Opening::Ctr(ctr.at(0)),
            BodyCipher::Gcm(gcm) => Opening::Gcm(GcmOpener::new(gcm)),
        }))
    }
}

impl Stream for Decrypting {
    fn keystream(&mut self) -> Option<&mut Keystream> {
        match &mut self.0 {
            Some(Opening::Ctr(keystream)) => Some(keystream),
            _ => None,
        }
    }

    fn update(&mut self, data: &mut Vec<u8>) -> Result<(), IntegrityError> {
        match &mut self.0 {
            Some(Opening::Cbc(cbc)) => cbc.update(data),
            Some(Opening::Ctr(keystream)) => keystream.apply(data),
            Some(Opening::Gcm(gcm)) => gcm.update(data)?,
            None => data.clear(),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<u8>, IntegrityError> {
        match self.0.take() {
            Some(Opening::Cbc(cbc)) => cbc.finish(),
            Some(Opening::Gcm(gcm)) => gcm.finish(),
            _ => Ok(Vec::new()),
        }
    }
}
