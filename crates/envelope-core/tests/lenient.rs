//! Objects that some SDK reads although they follow no dialect: refused by default, read on
//! request.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use envelope_core::{
    AesKeyWrapper, ContentAlgorithm, ContentKey, DecryptError, Decryptor, Dialect, EncryptError,
    Encryptor, Envelope, IvForm, KeyCacheLimits, KeyWrapper, Keyring, KeyringError,
    MaterialDescription, PartPlan, Policy, PolicyError, RewrapError, RsaKeyWrapper, UnwrapError,
    WrapAlgorithm, WrapError, WrappedKey, hazmat,
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

/// A key that unwraps every envelope to a short content key, and counts how often.
#[derive(Clone)]
struct Short(RsaKeyWrapper, Arc<AtomicU32>);

impl KeyWrapper for Short {
    fn description(&self) -> &MaterialDescription {
        self.0.description()
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        self.0.wraps(algorithm)
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        self.0.accepts(envelope)
    }

    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        self.0.wrap(key, algorithm, iv)
    }

    fn unwrap(&self, _: &Envelope) -> Result<ContentKey, UnwrapError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(content_key(16))
    }
}

#[test]
fn a_short_key_that_is_refused_is_like_a_wrong_one() {
    let rsa = RsaKeyWrapper::generate(2048).unwrap();
    let (envelope, body) = object(&rsa, Dialect::OSS_V2, 32);
    let short = Short(rsa.clone(), Arc::default());
    // Other keys are tried.
    let both = Decryptor::new(&Keyring::new().with(short.clone()).with(rsa.clone()));
    assert_eq!(both.decrypt(&envelope).unwrap().decrypt(body).unwrap(), PLAIN);

    // It is not kept, so each attempt takes the same work.
    let limits = KeyCacheLimits::new(8, std::time::Duration::from_secs(60));
    let cached = Decryptor::new(&Keyring::new().with(short.clone())).with_cache(limits);
    let before = short.1.load(Ordering::Relaxed);
    for _ in 0..3 {
        failed(cached.decrypt(&envelope));
    }
    assert_eq!(short.1.load(Ordering::Relaxed) - before, 3);

    // The error is the same, too, where others are told.
    let mut headers = envelope.emit(Dialect::OSS_V2).unwrap();
    headers.retain(|(name, _)| !name.ends_with("cek-alg"));
    let deviating = parse_tolerant(headers).unwrap().unwrap();
    let policy = Policy::default().allow_deviation(Deviation::ContentUnnamed);
    let wrong = RsaKeyWrapper::generate(2048).unwrap();
    let outcomes = [Keyring::new().with(short), Keyring::new().with(wrong)].map(|keyring| {
        let decryptor = Decryptor::new(&keyring).with_policy(policy.clone());
        decryptor.decrypt(&deviating).map(|_| ()).unwrap_err()
    });
    assert_eq!(outcomes[0], outcomes[1]);
}

#[test]
fn no_upload_goes_on_with_a_short_key() {
    let rsa = RsaKeyWrapper::generate(2048).unwrap();
    let (envelope, _) = object(&rsa, Dialect::OSS_V2, 16);
    let plan = PartPlan::new(1 << 20, 1 << 18, Dialect::OSS_V2).unwrap();
    let lenient = Decryptor::new(&Keyring::new().with(rsa)).with_policy(Policy::lenient());
    failed(lenient.resume(&envelope, plan));
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
