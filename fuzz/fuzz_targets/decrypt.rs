//! A whole object with arbitrary metadata and body, opened with a fixed key: no panic, and the same
//! outcome however the body is cut into pieces.
//!
//! The input is the size of a piece, the headers, an empty line, and the body.

#![no_main]

use std::sync::LazyLock;

use envelope_core::{
    BodyDecryptor, ContentCipher, ContentKey, Decryptor, KeyWrapper, Keyring, MaterialDescription,
    PlainCheck, Policy, UnwrapError, WrapError, WrappedKey, check_body_len, hazmat,
};
use libfuzzer_sys::fuzz_target;
use meta_codec::{Envelope, IvForm, WrapAlgorithm, parse, read_headers};

/// A master key that unwraps everything to the same content key, because no fuzzer guesses a wrap.
struct FixedKey(MaterialDescription);

impl KeyWrapper for FixedKey {
    fn description(&self) -> &MaterialDescription {
        &self.0
    }

    fn wraps(&self, _: WrapAlgorithm) -> bool {
        false
    }

    fn accepts(&self, _: &Envelope) -> bool {
        true
    }

    fn wrap(
        &self,
        _: &ContentKey,
        algorithm: WrapAlgorithm,
        _: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        Err(WrapError::Algorithm(algorithm))
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        let content = envelope.content_algorithm();
        let iv = vec![9; content.iv_len()];
        hazmat::content_key(content, IvForm::Wrapped, Some(&[7; 32]), Some(&iv))
    }
}

static DECRYPTOR: LazyLock<Decryptor> = LazyLock::new(|| {
    let key = FixedKey(MaterialDescription::default());
    Decryptor::new(&Keyring::new().with(key)).with_policy(Policy::every_algorithm())
});

fn open(envelope: &Envelope, cipher: ContentCipher, body: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut decryptor = BodyDecryptor::from(cipher).with_check(PlainCheck::new(envelope));
    let mut plain = Vec::new();
    for chunk in body.chunks(piece.max(1)) {
        let mut chunk = chunk.to_vec();
        decryptor.update(&mut chunk).ok()?;
        plain.extend(chunk);
    }
    plain.extend_from_slice(&decryptor.finish().ok()?);
    Some(plain)
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, rest)) = input.split_first() else { return };
    let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") else { return };
    let (list, body) = (&rest[..end], &rest[end + 2..]);
    let Ok(headers) = read_headers(list) else { return };
    let Ok(Some(envelope)) = parse(headers) else { return };
    if check_body_len(&envelope, body.len() as u64).is_err() {
        return;
    }
    let Ok(cipher) = DECRYPTOR.decrypt(&envelope) else { return };
    let whole = open(&envelope, cipher, body, usize::MAX);
    let cipher = DECRYPTOR.decrypt(&envelope).unwrap();
    assert_eq!(open(&envelope, cipher, body, usize::from(*piece)), whole);
});
