//! What a reader's policy keeps out, whatever an attacker with access to the bucket writes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use envelope_core::{
    AesKeyWrapper, AsyncKeyWrapper, BoxFuture, ContentKey, DecryptError, Decryptor, Dialect,
    EncryptError, Encryptor, Envelope, IvForm, KeyCacheLimits, KeyWrapper, Keyring,
    MaterialDescription, OriginKey, Policy, PolicyError, RsaKeyWrapper, SealOptions, UnwrapError,
    WrapAlgorithm, WrapError, WrappedKey, parse,
};
use envelope_testkit::{Case, all_cases};
use meta_codec::{ContentAlgorithm, parse_instruction, read_headers};
use sha2::{Digest as _, Sha256};

/// The key of a recorded object, unless it is in a KMS.
fn keyring(case: &Case) -> Option<Keyring> {
    let file = std::fs::read(case.key()?).unwrap();
    let passphrase = case.passphrase();
    let passphrase = passphrase.as_deref().map(str::as_bytes);
    Some(match AesKeyWrapper::read_text(&file) {
        Ok(aes) => Keyring::new().with(aes),
        Err(_) => Keyring::new().with(RsaKeyWrapper::read(&file, passphrase).unwrap()),
    })
}

/// Turns a GCM object whose IV is in the clear into an AES-CTR object of `cos-android`: the counter
/// block that GCM starts with, and the names of that dialect. The attacker also drops the tag.
fn relabelled(case: &Case) -> Option<(Envelope, Vec<u8>)> {
    let headers = read_headers(case.headers().as_bytes()).unwrap();
    let envelope = match case.instruction() {
        Some(file) => parse_instruction(headers, &file).unwrap(),
        None => parse(headers).unwrap()?,
    };
    let clear = envelope.dialect().iv_form() == IvForm::Clear;
    if !clear || envelope.content_algorithm() != ContentAlgorithm::Aes256Gcm {
        return None;
    }
    let mut iv = envelope.iv().to_vec();
    iv.extend([0, 0, 0, 2]);
    let forged = Envelope::new(
        Dialect::COS_ANDROID,
        ContentAlgorithm::Aes256Ctr,
        envelope.wrap_algorithm(),
        envelope.wrapped_key().to_vec(),
        iv,
    )
    .with_description(envelope.description().clone());
    let mut body = case.body();
    body.truncate(body.len() - ContentAlgorithm::GCM_TAG_LEN);
    let forged = parse(forged.emit(Dialect::COS_ANDROID).unwrap()).unwrap().unwrap();
    Some((forged, body))
}

#[test]
fn a_relabelled_gcm_object_is_refused_by_who_requires_authentication() {
    let mut opened = 0;
    for case in all_cases() {
        let Some((envelope, body)) = relabelled(&case) else { continue };
        let Some(keyring) = keyring(&case) else { continue };
        let lax = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
        let strict = lax.clone().with_policy(Policy::every_algorithm().authenticated_only());
        let refused =
            DecryptError::Policy(PolicyError::Unauthenticated(ContentAlgorithm::Aes256Ctr));
        assert_eq!(strict.decrypt(&envelope).err(), Some(refused.clone()), "{}", case.name());
        assert_eq!(strict.decrypt_ctr(&envelope).err(), Some(refused.clone()));
        assert_eq!(strict.decrypt_range(&envelope).err(), Some(refused));
        // The attack works on who does not, which is what the requirement is for.
        if let Ok(cipher) = lax.decrypt(&envelope) {
            let digest = Sha256::digest(cipher.decrypt(body).unwrap());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, case.plain_sha256(), "{}", case.name());
            opened += 1;
        }
    }
    assert!(opened >= 2, "{opened}");
}

#[test]
fn a_deleted_key_check_is_noticed_by_who_requires_one() {
    let key = AesKeyWrapper::generate().unwrap();
    let object = Encryptor::new(&key, Dialect::COS_V2).with_key_check().encrypt().unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(key))
        .with_policy(Policy::default().require_key_check());
    assert!(decryptor.decrypt(object.envelope()).is_ok());
    let mut headers = object.headers().to_vec();
    headers.retain(|(name, _)| !name.ends_with("envelope-check"));
    let stripped = parse(headers).unwrap().unwrap();
    let refused = DecryptError::Policy(PolicyError::NoKeyCheck);
    assert_eq!(decryptor.decrypt(&stripped).err(), Some(refused.clone()));
    assert_eq!(decryptor.decrypt_range(&stripped).err(), Some(refused));
    let again = Encryptor::new(&AesKeyWrapper::generate().unwrap(), Dialect::COS_V2);
    assert!(decryptor.rewrap(&stripped, &again).is_err());
}

/// A key that counts how often it unwraps.
#[derive(Clone)]
struct Counting {
    inner: AesKeyWrapper,
    unwrapped: Arc<AtomicU32>,
}

impl Counting {
    fn new() -> Self {
        Self { inner: AesKeyWrapper::generate().unwrap(), unwrapped: Arc::default() }
    }
}

impl KeyWrapper for Counting {
    fn description(&self) -> &MaterialDescription {
        self.inner.description()
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        self.inner.wraps(algorithm)
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        self.inner.accepts(envelope)
    }

    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        self.inner.wrap(key, algorithm, iv)
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        self.unwrapped.fetch_add(1, Ordering::SeqCst);
        self.inner.unwrap(envelope)
    }
}

#[test]
fn a_cache_saves_unwraps_and_no_questions_to_the_policy() {
    let key = Counting::new();
    let object = Encryptor::new(&key, Dialect::COS_V2).encrypt().unwrap();
    let count = |unwraps| assert_eq!(key.unwrapped.swap(0, Ordering::SeqCst), unwraps);
    count(1); // the proof that it can be read

    let plain = Decryptor::new(&Keyring::new().with(key.clone()));
    let cached = plain.clone().with_cache(KeyCacheLimits::new(8, Duration::from_secs(60)));
    for _ in 0..5 {
        plain.decrypt_range(object.envelope()).unwrap();
    }
    count(5);
    for _ in 0..5 {
        cached.clone().decrypt_range(object.envelope()).unwrap();
    }
    count(1);
    let strict = cached.clone().with_policy(Policy::default().authenticated_only());
    assert!(strict.decrypt(object.envelope()).is_err(), "in the cache, and not allowed");
    assert!(cached.decrypt(&object.envelope().clone().with_plain_len(1)).is_ok());
    count(1);
}

/// A key that has to be waited for.
#[derive(Clone)]
struct Remote(AesKeyWrapper);

impl AsyncKeyWrapper for Remote {
    fn description(&self) -> &MaterialDescription {
        self.0.description()
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        self.0.wraps(algorithm)
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        self.0.accepts(envelope)
    }

    fn wrap<'a>(
        &'a self,
        key: &'a ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> BoxFuture<'a, Result<WrappedKey, WrapError>> {
        Box::pin(async move {
            yield_once().await;
            self.0.wrap(key, algorithm, iv)
        })
    }

    fn unwrap<'a>(
        &'a self,
        envelope: &'a Envelope,
    ) -> BoxFuture<'a, Result<ContentKey, UnwrapError>> {
        Box::pin(async move {
            yield_once().await;
            self.0.unwrap(envelope)
        })
    }
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[test]
fn async_keys_work_with_async_functions_and_with_no_others() {
    let key = Remote(AesKeyWrapper::generate().unwrap());
    let encryptor = Encryptor::with_async_key(&key, Dialect::COS_V2);
    assert!(!encryptor.is_blocking());
    assert_eq!(encryptor.encrypt().err(), Some(EncryptError::AsyncKey));
    let object = pollster::block_on(encryptor.encrypt_async()).unwrap();
    let envelope = object.envelope();

    let decryptor = Decryptor::new(&Keyring::new().with_async(key.clone()));
    assert!(!decryptor.is_blocking());
    assert_eq!(decryptor.decrypt(envelope).err(), Some(DecryptError::AsyncKey));
    assert!(pollster::block_on(decryptor.decrypt_async(envelope)).is_ok());
    assert!(pollster::block_on(decryptor.decrypt_range_async(envelope)).is_ok());
    assert!(decryptor.rewrap(envelope, &encryptor).is_err());
    let rewrapped = pollster::block_on(decryptor.rewrap_async(envelope, &encryptor)).unwrap();
    assert!(pollster::block_on(decryptor.decrypt_async(rewrapped.envelope())).is_ok());
    // Beside a blocking key that fits, too.
    let both = Keyring::new().with_async(key).with(AesKeyWrapper::generate().unwrap());
    let both = Decryptor::new(&both);
    assert!(pollster::block_on(both.decrypt_async(envelope)).is_ok());
}

#[test]
fn only_long_operations_block() {
    let private = RsaKeyWrapper::generate(2048).unwrap();
    let public = RsaKeyWrapper::read(private.public_pem().unwrap().as_bytes(), None).unwrap();
    let aes = AesKeyWrapper::generate().unwrap();
    assert!(Encryptor::new(&private, Dialect::OSS_V2).is_blocking());
    assert!(!Encryptor::new(&public, Dialect::OSS_V2).is_blocking());
    assert!(!Encryptor::new(&aes, Dialect::COS_V2).is_blocking());
    let keyring = Keyring::new().with(aes);
    assert!(!Decryptor::new(&keyring).is_blocking());
    assert!(Decryptor::new(&keyring.with(private)).is_blocking());
    // Whoever writes a key of another kind, and says nothing, is not waited for.
    let own: Arc<dyn KeyWrapper> = Arc::new(Silent(public));
    assert!(Encryptor::new(&own, Dialect::OSS_V2).is_blocking());
}

/// A key that does not say how long it takes.
#[derive(Clone)]
struct Silent(RsaKeyWrapper);

impl KeyWrapper for Silent {
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

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        self.0.unwrap(envelope)
    }
}

#[test]
fn an_origin_is_one_that_the_seal_states() {
    let key = AesKeyWrapper::generate().unwrap();
    let sealed = |options: SealOptions| {
        let object = Encryptor::new(&key, Dialect::COS_V2).with_seal(options).encrypt().unwrap();
        object.into_inner().0
    };
    let origin = SealOptions::new().with_origin_key(OriginKey::generate().unwrap());
    let plain = Encryptor::new(&key, Dialect::COS_V2).encrypt().unwrap().into_inner().0;
    let policy = Policy::default().require_origin();
    for (envelope, admitted) in [
        (sealed(origin), Ok(())),
        (sealed(SealOptions::new()), Err(PolicyError::NoOrigin)),
        (plain, Err(PolicyError::NoSeal)),
    ] {
        assert_eq!(policy.admit(Some(&envelope)), admitted);
    }
}

#[test]
fn what_only_the_content_key_proves() {
    for lax in [Policy::default(), Policy::lenient(), Policy::default().allow_plaintext()] {
        assert!(!lax.demands_protection(), "{lax:?}");
    }
    for strict in [
        Policy::default().authenticated_only(),
        Policy::default().require_key_check(),
        Policy::default().require_seal(),
        Policy::default().require_origin(),
    ] {
        assert!(strict.demands_protection(), "{strict:?}");
    }
}
