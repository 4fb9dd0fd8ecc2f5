//! Everything that an envelope states, as the bytes that a MAC is fed.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use meta_codec::Envelope;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::ContentKey;

/// HMAC-SHA-256 over a list of byte strings. Each is preceded by its length in 8 big-endian bytes,
/// so that no two lists feed the same bytes.
pub(crate) struct Transcript(Hmac<Sha256>);

impl Transcript {
    /// Starts a transcript under a key that [`derive`] returned.
    pub(crate) fn new<const N: usize>(key: &Zeroizing<[u8; N]>) -> Self {
        let mut block = Zeroizing::new([0; 64]);
        for (to, from) in block.iter_mut().zip(key.iter()) {
            *to = *from;
        }
        Self(Hmac::new((&*block).into()))
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    /// Feeds everything that the envelope states of the object, and the IV, unwrapped.
    pub(crate) fn feed_envelope(&mut self, iv: &[u8], envelope: &Envelope) {
        self.feed(envelope.dialect().id().as_bytes());
        self.feed(envelope.content_algorithm().to_string().as_bytes());
        self.feed(envelope.wrap_algorithm().id().as_bytes());
        self.feed(envelope.wrapped_key());
        self.feed(envelope.iv());
        self.feed(iv);
        self.feed(envelope.description().text().as_bytes());
        let layout = envelope.layout();
        self.feed_number(layout.and_then(|layout| layout.data_size()));
        self.feed_number(layout.map(|layout| layout.part_size()));
        self.feed_number(envelope.plain_len());
        self.feed(envelope.plain_md5().as_ref().map_or(&[], |digest| digest));
    }

    fn feed_number(&mut self, number: Option<u64>) {
        self.feed(number.map(u64::to_be_bytes).as_ref().map_or(&[], |bytes| bytes));
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }
}

/// Derives `N` bytes, at most 64, from the CEK with HKDF-SHA-256. Different labels and different
/// salts give independent keys.
pub(crate) fn derive<const N: usize>(
    key: &ContentKey,
    salt: Option<&[u8; 32]>,
    label: &[u8],
) -> Zeroizing<[u8; N]> {
    let mut derived = Zeroizing::new([0; N]);
    let hkdf = Hkdf::<Sha256>::new(salt.map(<[u8; 32]>::as_slice), key.cek());
    // Cannot fail: HKDF yields up to 8160 bytes.
    let _ = hkdf.expand(label, &mut derived[..]);
    derived
}
