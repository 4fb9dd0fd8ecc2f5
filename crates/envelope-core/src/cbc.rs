//! AES-256-CBC with PKCS#7 padding over one object. Read-only: COS Java wrote it since 5.6.56.

use aes::Aes256;
use cbc::Decryptor;
use cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use meta_codec::ContentAlgorithm;
use zeroize::Zeroizing;

use crate::{ContentKey, IntegrityError};

/// AES-256-CBC for reading one object.
///
/// **Not authenticated.** Anyone who can submit modified bodies for decryption and observe whether
/// the padding was valid can decrypt anything: do not expose this in a service.
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct CbcCipher {
    /// Boxed because it holds half a kilobyte of round keys for a rarely read algorithm, and
    /// because moving them would leave copies.
    mode: Box<Decryptor<Aes256>>,
    held: Vec<u8>,
    done: u64,
    salvage: Option<Salvage>,
}

/// The settings for reading a damaged body, with the length that its plaintext should have.
struct Salvage {
    plain_len: Option<u64>,
}

impl CbcCipher {
    const BLOCK: usize = 16;

    pub(crate) fn new(key: &ContentKey) -> Option<Self> {
        if key.algorithm() != ContentAlgorithm::Aes256Cbc {
            return None;
        }
        let mode = Box::new(Decryptor::new_from_slices(key.cek(), key.iv()).ok()?);
        Some(Self { mode, held: Vec::with_capacity(Self::BLOCK), done: 0, salvage: None })
    }

    /// Returns every whole block and tolerates missing padding. `plain_len` is the length that the
    /// plaintext should have, in bytes, if the metadata states it: bytes within that length are
    /// never treated as padding, whatever they look like.
    ///
    /// COS Java loses the last block of a multipart upload (5.6.269, `computeLastPartSize`) and
    /// then reads its own object without an error, up to 15 bytes short.
    #[must_use]
    pub const fn salvage(mut self, plain_len: Option<u64>) -> Self {
        self.salvage = Some(Salvage { plain_len });
        self
    }

    /// Decrypts a whole body in memory.
    ///
    /// # Errors
    /// [`IntegrityError::Padding`] if the last block is truncated or its padding is invalid.
    pub fn open(mut self, mut body: Vec<u8>) -> Result<Vec<u8>, IntegrityError> {
        self.update(&mut body);
        body.extend(self.finish()?);
        Ok(body)
    }

    /// Replaces the next bytes of the body with the plaintext that is ready. The last block is held
    /// back because it may be the padding.
    pub(crate) fn update(&mut self, data: &mut Vec<u8>) {
        data.splice(..0, self.held.drain(..));
        let ready = data.len().saturating_sub(1) & !(Self::BLOCK - 1);
        self.held.extend(data.drain(ready..));
        self.decrypt(ready, data);
    }

    fn decrypt(&mut self, len: usize, data: &mut [u8]) {
        debug_assert_eq!(len, data.len());
        let (blocks, _) = cipher::Array::slice_as_chunks_mut(data);
        self.mode.decrypt_blocks(blocks);
        self.done = self.done.saturating_add(len as u64);
    }

    /// Returns the last block without its padding.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, IntegrityError> {
        let mut last = Zeroizing::new(std::mem::take(&mut self.held));
        if last.len() == Self::BLOCK {
            self.decrypt(Self::BLOCK, &mut last);
            let padding = usize::from(last.last().copied().unwrap_or_default());
            let start = Self::BLOCK.checked_sub(padding).filter(|_| padding > 0);
            let padded = start
                .and_then(|start| last.get(start..))
                .is_some_and(|bytes| bytes.iter().all(|byte| usize::from(*byte) == padding));
            match (start, &self.salvage) {
                (_, Some(Salvage { plain_len: Some(len) })) => {
                    let over =
                        usize::try_from(self.done.saturating_sub(*len)).unwrap_or(usize::MAX);
                    last.truncate(Self::BLOCK.saturating_sub(over));
                }
                (Some(start), _) if padded => last.truncate(start),
                (_, Some(_)) => {}
                _ => return Err(IntegrityError::Padding),
            }
            Ok(std::mem::take(&mut *last))
        } else if self.salvage.is_some() {
            Ok(Vec::new())
        } else {
            Err(IntegrityError::Padding)
        }
    }
}

#[cfg(test)]
mod tests {
    use meta_codec::IvForm;

    use super::*;

    fn cipher() -> CbcCipher {
        let cbc = ContentAlgorithm::Aes256Cbc;
        let key = crate::hazmat::content_key(cbc, IvForm::Wrapped, Some(&[5; 32]), Some(&[6; 16]));
        CbcCipher::new(&key.unwrap()).unwrap()
    }

    fn encrypt(plain: &[u8]) -> Vec<u8> {
        use cipher::{BlockModeEncrypt as _, block_padding::Pkcs7};
        let mode = cbc::Encryptor::<Aes256>::new_from_slices(&[5; 32], &[6; 16]).unwrap();
        mode.encrypt_padded_vec::<Pkcs7>(plain)
    }

    #[test]
    fn every_length_and_every_split() {
        for len in 0..70 {
            let plain: Vec<u8> = (0..len).collect();
            let body = encrypt(&plain);
            assert_eq!(cipher().open(body.clone()).unwrap(), plain);
            for piece in [1, 3, 15, 16, 17, 40] {
                let (mut cipher, mut out) = (cipher(), Vec::new());
                for chunk in body.chunks(piece) {
                    let mut chunk = chunk.to_vec();
                    cipher.update(&mut chunk);
                    out.extend(chunk);
                }
                out.extend(cipher.finish().unwrap());
                assert_eq!(out, plain);
            }
        }
    }

    #[test]
    fn a_cut_body_is_refused_or_salvaged() {
        // Chosen because nines look like padding.
        let body = encrypt(&[9; 40]);
        for len in [0, 1, 15, 17, 37, 47] {
            let cut = body[..len].to_vec();
            assert_eq!(cipher().open(cut.clone()), Err(IntegrityError::Padding), "{len}");
            assert_eq!(cipher().salvage(None).open(cut).unwrap(), vec![9; len & !15], "{len}");
        }
        assert_eq!(cipher().salvage(Some(40)).open(body[..32].to_vec()).unwrap(), [9; 32]);
        assert_eq!(cipher().salvage(Some(40)).open(body.clone()).unwrap(), [9; 40]);
        assert_eq!(cipher().salvage(None).open(body).unwrap(), [9; 40]);
        let body = encrypt(&[99; 40]);
        assert_eq!(cipher().open(body[..32].to_vec()), Err(IntegrityError::Padding));
        assert_eq!(cipher().salvage(None).open(body[..32].to_vec()).unwrap(), [99; 32]);
    }
    #[test]
    fn only_proper_padding_is_taken_off() {
        use cipher::{BlockModeEncrypt as _, block_padding::NoPadding};
        let open = |block: &[u8; 16]| {
            let mode = cbc::Encryptor::<Aes256>::new_from_slices(&[5; 32], &[6; 16]).unwrap();
            cipher().open(mode.encrypt_padded_vec::<NoPadding>(block))
        };
        for padding in 0..=255 {
            let mut block = [padding; 16];
            let len = 16_usize.checked_sub(padding.into()).filter(|_| padding > 0);
            let Some(len) = len else {
                assert_eq!(open(&block), Err(IntegrityError::Padding), "{padding}");
                continue;
            };
            block[..len].fill(99);
            assert_eq!(open(&block).unwrap(), vec![99; len], "{padding}");
            for at in len..15 {
                let mut changed = block;
                changed[at] ^= 1;
                assert_eq!(open(&changed), Err(IntegrityError::Padding), "{padding} at {at}");
            }
        }
    }
}
