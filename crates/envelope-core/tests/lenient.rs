//! Objects that some SDK reads although they follow no dialect: refused by default, read on
//! request.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use envelope_core::{
    AesKeyWrapper, ContentAlgorithm, ContentKey, DecryptError, Decryptor, Dialect, EncryptError,
    Encryptor, Envelope, IvForm, KeyCacheLimits, KeyWrapper, Keyring, KeyringError, Policy,
    PolicyError, RewrapError, RsaKeyWrapper, UnwrapError, hazmat,
    meta_codec::{Deviation, parse_tolerant},
};

const CTR: ContentAlgorithm = ContentAlgorithm::Aes256Ctr;
const PLAIN: &[u8] = b"forty-two bytes of a text, more or less...";

fn content_key(len: usize) -> ContentKey {
    let cek: Vec<u8> = (1..).take(len).collect();
    hazmat::content_key(CTR, IvForm::Wrapped, Some(&cek), Some(&[9; 16])).unwrap()
}

/// An object as a fork of an SDK writes it that draws a content key of `len` bytes.
fn object(key: &dyn KeyWrapper, dialect: Dialect, len: usize) -> (Envelope, Vec<u8>) {
    let content_key = content_key(len);
    let wrap = dialect.wrap_algorithms().find(|wrap| key.wraps(*wrap)).unwrap();
    let wrapped = key.wrap(&content_key, wrap, dialect.iv_form()).unwrap();
    let mut body = PLAIN.to_vec();
    hazmat::ctr_cipher(&content_key).unwrap().at(0).apply(&mut body);
    (Envelope::new(dialect, CTR, wrap, wrapped.cek, wrapped.iv), body)
}

fn failed<T>(outcome: Result<T, DecryptError>) {
    let failed = DecryptError::from(KeyringError::Unwrap(UnwrapError::Failed));
    assert_eq!(outcome.map(|_| ()), Err(failed));
}

#[test]
fn short_content_keys_are_read_on_request_only() {
    let rsa = RsaKeyWrapper::generate(2048).unwrap();
    let strict = Decryptor::new(&Keyring::new().with(rsa.clone()));
    let lenient = strict.clone().with_policy(Policy::default().allow_short_content_keys());
    for (len, bits) in [(16, 128), (24, 192)] {
        let (envelope, body) = object(&rsa, Dialect::OSS_V2, len);
        failed(strict.decrypt(&envelope));
        failed(strict.decrypt_ctr(&envelope));
        failed(strict.decrypt_range(&envelope));
        failed(strict.clone().with_policy(Policy::every_algorithm()).decrypt(&envelope));

        let cipher = lenient.decrypt(&envelope).unwrap();
        assert_eq!(cipher.key_bits(), bits);
        assert_eq!(cipher.decrypt(body.clone()).unwrap(), PLAIN);
        let mut end = body[30..].to_vec();
        lenient.decrypt_range(&envelope).unwrap().at(30).apply(&mut end);
        assert_eq!(end, PLAIN[30..]);
    }
    let (envelope, body) = object(&rsa, Dialect::OSS_V2, 32);
    let cipher = strict.decrypt(&envelope).unwrap();
    assert_eq!((cipher.key_bits(), cipher.decrypt(body).unwrap()), (256, PLAIN.to_vec()));
}

#[test]
fn a_cached_short_key_is_refused_by_another_policy() {
    let rsa = RsaKeyWrapper::generate(2048).unwrap();
    let (envelope, _) = object(&rsa, Dialect::OSS_V2, 16);
    let lenient = Decryptor::new(&Keyring::new().with(rsa))
        .with_cache(KeyCacheLimits::new(8, std::time::Duration::from_secs(60)))
        .with_policy(Policy::lenient());
    assert!(lenient.decrypt(&envelope).is_ok());
    failed(lenient.with_policy(Policy::default()).decrypt(&envelope));
}

#[test]
fn a_short_key_is_not_wrapped_again() {
    let rsa = RsaKeyWrapper::generate(2048).unwrap();
    let (envelope, _) = object(&rsa, Dialect::OSS_V2, 16);
    let lenient = Decryptor::new(&Keyring::new().with(rsa.clone())).with_policy(Policy::lenient());
    for dialect in [Dialect::OSS_V2, Dialect::COS_V2] {
        let outcome = lenient.rewrap(&envelope, &Encryptor::new(&rsa, dialect));
        let refused = RewrapError::Encrypt(EncryptError::ShortContentKey);
        assert_eq!(outcome.map(|_| ()), Err(refused));
    }
}

#[test]
fn a_short_key_is_not_bound_to_anything() {
    let rsa = RsaKeyWrapper::generate(2048).unwrap();
    let (envelope, _) = object(&rsa, Dialect::OSS_V2, 16);
    let lenient = Decryptor::new(&Keyring::new().with(rsa)).with_policy(Policy::lenient());
    failed(lenient.decrypt(&envelope.with_key_check([0; 16])));
}

/// The wrapped key of RFC 3394 shows the length of what it wraps, and no COS SDK writes 24 bytes.
#[test]
fn rfc_3394_has_no_short_keys() {
    let aes = AesKeyWrapper::generate().unwrap();
    let (envelope, _) = object(&aes, Dialect::COS_V2, 16);
    assert!(envelope.emit(Dialect::COS_V2).is_err());
}

#[test]
fn deviations_are_read_on_request_only() {
    let rsa = RsaKeyWrapper::generate(2048).unwrap();
    let object = Encryptor::new(&rsa, Dialect::OSS_V2).encrypt().unwrap();
    let headers = |drop: &str, add: &[(&str, &str)]| {
        let prefix = "x-oss-meta-client-side-encryption-";
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in object.headers() {
            if !name.ends_with(drop) {
                headers.push(((*name).to_owned(), value.clone()));
            }
        }
        headers
            .extend(add.iter().map(|(name, value)| (format!("{prefix}{name}"), (*value).into())));
        headers
    };
    let strict = Decryptor::new(&Keyring::new().with(rsa.clone()));
    let two = Keyring::new().with(rsa).with(RsaKeyWrapper::generate(2048).unwrap());
    let two = Decryptor::new(&two).with_policy(Policy::lenient());
    for (deviation, headers) in [
        (Deviation::ContentUnnamed, headers("cek-alg", &[])),
        (Deviation::DescriptionUnreadable, headers("-matdesc", &[("matdesc", "eyJhIjoiYiJ9")])),
        (Deviation::WrapNameCase, headers("wrap-alg", &[("wrap-alg", "rsa/none/pkcs1padding")])),
    ] {
        let envelope = parse_tolerant(headers).unwrap().unwrap();
        let refused = DecryptError::Policy(PolicyError::Deviation(deviation));
        for policy in [Policy::default(), Policy::every_algorithm()] {
            let strict = strict.clone().with_policy(policy);
            assert_eq!(strict.decrypt(&envelope).map(|_| ()), Err(refused.clone()));
            assert_eq!(strict.decrypt_range(&envelope).map(|_| ()), Err(refused.clone()));
        }
        let lenient = strict.clone().with_policy(Policy::default().allow_deviation(deviation));
        let mut body = PLAIN.to_vec();
        object.cipher().at(0).apply(&mut body);
        assert_eq!(lenient.decrypt(&envelope).unwrap().decrypt(body).unwrap(), PLAIN);

        // What deviates and does not open was probably altered.
        let wrong = Keyring::new().with(RsaKeyWrapper::generate(2048).unwrap());
        let wrong = Decryptor::new(&wrong).with_policy(Policy::lenient());
        let refusal = envelope.refusal().unwrap().clone();
        let outcome = wrong.decrypt(&envelope).map(|_| ());
        assert_eq!(outcome, Err(DecryptError::Deviates(refusal)));

        // Without a description, nobody knows which of several keys is meant.
        let outcome = two.decrypt(&envelope).map(|_| ());
        match deviation {
            Deviation::DescriptionUnreadable => {
                assert_eq!(outcome, Err(KeyringError::Unidentified.into()));
            }
            _ => assert_eq!(outcome, Ok(())),
        }
        let rewrapped = lenient.rewrap(
            &envelope,
            &Encryptor::new(&AesKeyWrapper::generate().unwrap(), Dialect::COS_V2),
        );
        assert!(rewrapped.unwrap().envelope().deviations().is_empty());
    }
}
