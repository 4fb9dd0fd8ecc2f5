//! The key check: 16 bytes of metadata that bind the content key to the rest of the envelope.
//!
//! An optional header of our own, which other readers ignore. It detects a wrong master key, a
//! swapped IV, altered sizes and an altered description *before* any plaintext is released. It does
//! not authenticate the body, and anyone who can wrap a key of their own can also compute it.

use meta_codec::Envelope;
use subtle::{Choice, ConstantTimeEq as _};

use crate::{
    ContentKey,
    transcript::{Transcript, derive},
};

/// Computes the first 16 bytes of HMAC-SHA-256 over the envelope, keyed with HKDF-SHA-256 of the
/// CEK. The seal of the envelope is not covered: it covers the key check.
pub(crate) fn key_check(key: &ContentKey, envelope: &Envelope) -> [u8; 16] {
    #[cfg(test)]
    tests::COMPUTED.with(|computed| computed.set(computed.get() + 1));
    let mut transcript = Transcript::new(&derive::<64>(key, None, b"envelope-check v1"));
    transcript.feed_envelope(key.iv(), envelope);
    let mut check = [0; 16];
    for (to, from) in check.iter_mut().zip(transcript.finish()) {
        *to = from;
    }
    check
}

/// Returns whether the envelope's key check, if it has one, belongs to this key.
pub(crate) fn passes(key: &ContentKey, envelope: &Envelope) -> bool {
    envelope.key_check().is_none_or(|want| {
        let passes: Choice = key_check(key, envelope).ct_eq(&want);
        passes.into()
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use meta_codec::{
        ContentAlgorithm, Dialect, IvForm, MaterialDescription, PartLayout, Vendor, WrapAlgorithm,
    };

    use super::*;
    use crate::{Encryptor, keyring::tests::is_computed_for_every_key};

    thread_local! {
        /// How often the key check was computed on this thread.
        pub(super) static COMPUTED: Cell<u32> = const { Cell::new(0) };
    }

    fn key() -> ContentKey {
        let cek: Vec<u8> = (0..32).collect();
        let iv: Vec<u8> = (100..116).collect();
        let ctr = ContentAlgorithm::Aes256Ctr;
        crate::hazmat::content_key(ctr, IvForm::Wrapped, Some(&cek), Some(&iv)).unwrap()
    }

    fn envelope() -> Envelope {
        let (ctr, wrap) = (ContentAlgorithm::Aes256Ctr, WrapAlgorithm::AesKeyWrap);
        Envelope::new(Dialect::COS_V2, ctr, wrap, vec![1; 40], vec![2; 24])
    }

    /// Computed with the `hmac` and `hashlib` of Python: HKDF-SHA-256 without a salt, and
    /// HMAC-SHA-256 over every field after its length.
    #[test]
    fn known_answers() {
        let description = MaterialDescription::new([("k", "v")]).unwrap();
        let layout = PartLayout::new(Vendor::Cos, 1_000_000, 1 << 20).unwrap();
        let one = envelope().with_description(description).with_layout(layout);
        let (ctr, wrap) = (ContentAlgorithm::Aes256Ctr, WrapAlgorithm::RsaPkcs1v15);
        let other = Envelope::new(Dialect::OSS_V2, ctr, wrap, vec![3; 256], vec![4; 256])
            .with_plain_len(77)
            .with_plain_md5([5; 16]);
        for (envelope, want) in [
            (one, 0xbd6e57216dea892e4744919cbce54204_u128),
            (other, 0xaada4ab01d77e4b55d0e2092cf6b5244),
        ] {
            let check = u128::from_be_bytes(key_check(&key(), &envelope));
            assert_eq!(check, want, "{check:x}");
        }
    }

    /// Every field that it covers, changed alone.
    #[test]
    fn it_covers_everything_that_the_envelope_says() {
        let (ctr, gcm) = (ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm);
        let (kw, zero) = (WrapAlgorithm::AesKeyWrap, WrapAlgorithm::AesCtrZero);
        let (cos, oss) = (Dialect::COS_V2, Dialect::OSS_V2);
        let of = |dialect, content, wrap, key: u8, iv: u8| {
            Envelope::new(dialect, content, wrap, vec![key; 40], vec![iv; 24])
        };
        let layout = |size, part| PartLayout::new(Vendor::Cos, size, part).unwrap();
        let described = |text| MaterialDescription::new([("k", text)]).unwrap();
        let own = envelope();
        let all = [
            own.clone(),
            of(oss, ctr, kw, 1, 2),
            of(cos, gcm, kw, 1, 2),
            of(cos, ctr, zero, 1, 2),
            of(cos, ctr, kw, 9, 2),
            of(cos, ctr, kw, 1, 9),
            own.clone().with_description(described("v")),
            own.clone().with_description(described("w")),
            own.clone().with_layout(layout(1 << 22, 1 << 20)),
            own.clone().with_layout(layout(1 << 21, 1 << 20)),
            own.clone().with_layout(layout(1 << 22, 1 << 21)),
            own.clone().with_plain_len(1 << 22),
            own.clone().with_plain_len(0),
            own.with_plain_md5([0; 16]),
        ];
        let mut checks: Vec<[u8; 16]> = all.iter().map(|it| key_check(&key(), it)).collect();
        let mut other_key = vec![7; 32];
        for (at, iv) in [(0, 100), (31, 100), (0, 99)] {
            other_key[at] ^= 1;
            let iv: Vec<u8> = (iv..iv + 16).collect();
            let key = crate::hazmat::content_key(ctr, IvForm::Wrapped, Some(&other_key), Some(&iv));
            checks.push(key_check(&key.unwrap(), &envelope()));
        }
        for (n, check) in checks.iter().enumerate() {
            assert!(!checks[..n].contains(check), "{n}");
        }
        let passing = envelope().with_key_check(key_check(&key(), &envelope()));
        assert!(passes(&key(), &passing) && passes(&key(), &envelope()));
        for bit in 0..128 {
            let mut check = key_check(&key(), &envelope());
            check[bit / 8] ^= 1 << (bit % 8);
            assert!(!passes(&key(), &envelope().with_key_check(check)), "{bit}");
        }
    }

    /// Whoever forges wrapped keys must not learn from the time which of them are well formed.
    #[test]
    fn it_is_computed_for_every_key_that_is_tried() {
        is_computed_for_every_key(Encryptor::with_key_check, || COMPUTED.get());
    }
}
