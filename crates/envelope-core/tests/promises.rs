//! Promises of the documentation that no other test would miss.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::{
    io::{self, Read, Seek as _, SeekFrom, Write},
    sync::{Arc, Mutex},
};

use envelope_core::{
    AesKeyWrapper, ContentAlgorithm, ContentCipher, Crc64, DecryptError, Decryptor, Dialect,
    EncryptError, Encryptor, Envelope, IntegrityError, IvForm, KeyWrapper, Keyring, KeyringError,
    KmsKeyWrapper, MaterialDescription, PartPlan, PlainCheck, PlainDigest, Policy, PolicyError,
    RsaKeyWrapper, UnwrapError, WrapAlgorithm, WrapError, WrappedKey, hazmat,
    io::{DecryptReader, DecryptWriter, EncryptReader, EncryptWriter},
    kms::{Kms, KmsError, MemoryKms},
};

fn object(len: u64) -> (Keyring, Envelope, Vec<u8>) {
    let key = AesKeyWrapper::generate().unwrap();
    let object = Encryptor::new(&key, Dialect::COS_V2).with_plain_len(len).encrypt().unwrap();
    let (envelope, cipher) = object.into_inner();
    let mut body = Vec::new();
    EncryptReader::new(&vec![7; usize::try_from(len).unwrap()][..], cipher)
        .read_to_end(&mut body)
        .unwrap();
    (Keyring::new().with(key), envelope, body)
}

#[test]
fn the_length_of_a_plaintext_is_known_from_that_of_the_body() {
    let (_, ctr, _) = object(6);
    let of = |content: ContentAlgorithm, len: Option<u64>| {
        let wrap = WrapAlgorithm::RsaOaepSha256;
        let envelope = Envelope::new(Dialect::COS_V2, content, wrap, vec![1; 256], vec![1; 256]);
        len.map_or(envelope.clone(), |len| envelope.with_plain_len(len))
    };
    let gcm = of(ContentAlgorithm::Aes256Gcm, None);
    let cbc = |len: Option<u64>| of(ContentAlgorithm::Aes256Cbc, len);
    for (envelope, body, plain) in [
        (ctr.clone(), 6, Ok(Some(6))),
        (gcm.clone(), 23, Ok(Some(7))),
        // There is not even room for the tag.
        (gcm, 3, Ok(None)),
        (cbc(None), 32, Ok(None)),
        (cbc(Some(20)), 32, Ok(Some(20))),
        (ctr, 7, Err(IntegrityError::BodyLength { want: 6, got: 7 })),
    ] {
        assert_eq!(envelope_core::plain_len(&envelope, body), plain, "{body}");
    }
}

#[test]
fn a_key_that_was_not_used_decides_nothing() {
    let with = |error: UnwrapError| DecryptError::Keyring(KeyringError::Unwrap(error));
    let kms = |error: fn(String) -> KmsError| with(UnwrapError::Kms(error(String::new())));
    for undecided in [
        kms(KmsError::Denied),
        kms(KmsError::Malformed),
        kms(KmsError::NotAsked),
        kms(KmsError::Unavailable),
        with(UnwrapError::NotUsed(String::new())),
    ] {
        assert!(undecided.is_undecided(), "{undecided:?}");
    }
    for decided in [
        kms(KmsError::Refused),
        with(UnwrapError::Failed),
        DecryptError::Keyring(KeyringError::Unidentified),
        DecryptError::AsyncKey,
    ] {
        assert!(!decided.is_undecided(), "{decided:?}");
    }
}

#[test]
fn a_missing_key_is_named_by_its_description() {
    let text = |description: &str| {
        let error = KeyringError::NoKey {
            wrap: WrapAlgorithm::AesKeyWrap,
            description: description.to_owned(),
        };
        error.to_string()
    };
    assert!(!text("").contains("described"), "{}", text(""));
    let described = text("{\"owner\":\"\u{1b}me\"}");
    assert!(described.ends_with(r#", described as {\"owner\":\"\u{1b}me\"}"#), "{described}");
}

#[test]
fn a_key_says_how_it_pads_where_nothing_else_does() {
    let file = std::fs::read(envelope_testkit::folder("keys/public_key.pem")).unwrap();
    let key = RsaKeyWrapper::read(&file, None).unwrap();
    assert!(!key.is_pkcs1v15_where_unstated());
    assert!(key.with_pkcs1v15_where_unstated().is_pkcs1v15_where_unstated());
}

#[test]
fn checksums_are_equal_if_their_bytes_may_be() {
    let of = |bytes: &[u8]| {
        let mut sum = Crc64::new();
        sum.update(bytes);
        sum
    };
    assert_eq!(of(b"a file"), of(b"a file"));
    assert_ne!(of(b"a file"), of(b"a filf"));
    // One that says less than the length.
    assert_ne!(of(b""), of(b"\0"));
}

#[test]
fn a_policy_says_what_it_was_told() {
    let (ctr, cbc) = (ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Cbc);
    let (kw, zero) = (WrapAlgorithm::AesKeyWrap, WrapAlgorithm::AesCtrZero);
    let envelope =
        |content, wrap| Envelope::new(Dialect::COS_V2, content, wrap, vec![1; 40], vec![2; 24]);
    let default = Policy::default();
    assert_eq!(default.admit(None), Err(PolicyError::NotEncrypted));
    assert_eq!(default.admit_range(None), Err(PolicyError::NotEncrypted));
    assert_eq!(default.admit(Some(&envelope(ctr, kw))), Ok(()));
    assert_eq!(default.admit(Some(&envelope(cbc, kw))), Err(PolicyError::Content(cbc)));
    assert_eq!(default.admit(Some(&envelope(ctr, zero))), Err(PolicyError::Wrap(zero)));
    let every = Policy::every_algorithm();
    assert_eq!(every.admit(Some(&envelope(cbc, zero))), Ok(()));
    assert_eq!(every.admit(None), Err(PolicyError::NotEncrypted));
    let fewer = every.clone().deny_content(cbc);
    assert_eq!(fewer.admit(Some(&envelope(cbc, zero))), Err(PolicyError::Content(cbc)));
    assert_eq!(fewer.admit(Some(&envelope(ctr, zero))), Ok(()));
    let fewer = every.deny_wrap(zero);
    assert_eq!(fewer.admit(Some(&envelope(cbc, zero))), Err(PolicyError::Wrap(zero)));
    assert_eq!(fewer.admit(Some(&envelope(cbc, kw))), Ok(()));
    assert_eq!(Policy::default().allow_plaintext().admit(None), Ok(()));
    assert_eq!(Policy::default().allow_plaintext().admit_range(None), Ok(()));
}

#[test]
fn a_writer_tells_at_the_end_what_was_wrong() {
    let (keyring, envelope, body) = object(1000);
    let decryptor = Decryptor::new(&keyring);
    let write = |body: &[u8]| {
        let cipher = decryptor.decrypt(&envelope).unwrap();
        let mut writer =
            DecryptWriter::new(Vec::new(), cipher).with_check(PlainCheck::new(&envelope));
        writer.write_all(body)?;
        writer.flush()?;
        writer.finish()
    };
    assert_eq!(write(&body).unwrap(), [7; 1000]);
    for len in [0, 1, 999] {
        let error = write(&body[..len]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{len}");
    }
    assert!(write(&[&body[..], &[0]].concat()).is_err());
    // Flushing reaches the inner writer, in both directions.
    struct Stuck;
    impl Write for Stuck {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            Ok(data.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    let cipher = || decryptor.decrypt_ctr(&envelope).unwrap();
    assert!(DecryptWriter::new(Stuck, cipher()).flush().is_err());
    assert!(EncryptWriter::new(Stuck, cipher()).flush().is_err());
    assert!(EncryptWriter::new(Stuck, cipher()).finish().is_err());
}

#[test]
fn readers_give_back_what_they_read_from() {
    let (keyring, envelope, body) = object(1000);
    let cipher = || Decryptor::new(&keyring).decrypt_ctr(&envelope).unwrap();
    let mut reader = DecryptReader::new(io::Cursor::new(body.clone()), cipher());
    assert_eq!(reader.read(&mut []).unwrap(), 0);
    let mut few = [0; 10];
    reader.read_exact(&mut few).unwrap();
    assert_eq!(reader.seek(SeekFrom::Start(990)).unwrap(), 990);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!((&few[..], &rest[..]), (&[7; 10][..], &[7; 10][..]));
    assert_eq!(reader.into_inner().into_inner(), body);
    let mut reader = EncryptReader::new(&[1, 2, 3][..], cipher());
    assert_eq!(reader.read(&mut [0]).unwrap(), 1);
    assert_eq!(reader.into_inner(), [2, 3], "nothing was read ahead");

    // An inner reader that claims more than there is room for.
    struct Boaster;
    impl Read for Boaster {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            Ok(buffer.len() + 1)
        }
    }
    let mut buffer = [0; 100];
    let checked = ContentCipher::from(cipher());
    let mut checked = DecryptReader::new(Boaster, checked).with_check(PlainCheck::new(&envelope));
    assert!(checked.read(&mut buffer).is_err());
    assert!(checked.read(&mut buffer).is_err(), "poisoned");
    assert!(EncryptReader::new(Boaster, cipher()).read(&mut buffer).is_err());
}

#[test]
fn a_cipher_knows_what_it_is() {
    let key = |content: ContentAlgorithm| {
        let iv = vec![6; content.iv_len()];
        hazmat::content_key(content, IvForm::Wrapped, Some(&[5; 32]), Some(&iv)).unwrap()
    };
    let ctr = key(ContentAlgorithm::Aes256Ctr);
    assert_eq!(hazmat::cek(&ctr), &[5; 32]);
    assert_eq!(hazmat::iv(&ctr, IvForm::Wrapped)[..], [6; 16]);
    let decimal = u128::from_be_bytes([6; 16]).to_string();
    assert_eq!(hazmat::iv(&ctr, IvForm::WrappedDecimal)[..], *decimal.as_bytes());
    let cipher = ContentCipher::from(hazmat::ctr_cipher(&ctr).unwrap());
    assert_eq!(cipher.algorithm(), ContentAlgorithm::Aes256Ctr);
    let gcm = key(ContentAlgorithm::Aes256Gcm);
    let gcm = ContentCipher::Gcm(hazmat::gcm_opener(&gcm).unwrap());
    assert_eq!(gcm.algorithm(), ContentAlgorithm::Aes256Gcm);
    assert!(hazmat::gcm_opener(&ctr).is_none() && hazmat::gcm_sealer(&ctr).is_none());
    assert!(hazmat::ctr_cipher(&key(ContentAlgorithm::Aes256Gcm)).is_err());
    for (cek, iv) in [(31, 16), (33, 16), (32, 15), (32, 17), (0, 16), (32, 0)] {
        let (cek, iv) = (vec![0; cek], vec![0; iv]);
        let ctr = ContentAlgorithm::Aes256Ctr;
        assert!(hazmat::content_key(ctr, IvForm::Wrapped, Some(&cek), Some(&iv)).is_err());
    }
}

#[test]
fn checksums_combine() {
    let mut sum = Crc64::default();
    assert!(sum.is_empty());
    sum.update(b"123456789");
    assert_eq!((sum.len(), sum.is_empty(), sum.value()), (9, false, 0x995d_c9bb_df19_39fa));
    assert_eq!(format!("{sum}"), sum.value().to_string());
    let (front, back) = (Crc64::of(b"1234"), Crc64::of(b"56789"));
    assert_eq!(Crc64::combined(front, back, 5), sum.value());
    let mut whole = Crc64::new();
    whole.update(b"1234");
    let mut rest = Crc64::new();
    rest.update(b"56789");
    whole.append(&rest);
    assert_eq!(whole, sum);
}

#[test]
fn a_part_is_as_long_as_its_plan_says() {
    let key = AesKeyWrapper::generate().unwrap();
    let plan = PartPlan::new((1 << 20) + 5, 1 << 20, Dialect::COS_V2).unwrap();
    let object = Encryptor::new(&key, Dialect::COS_V2).with_parts(plan).encrypt().unwrap();
    assert_eq!(object.plan(), Some(plan));
    let mut sum = Crc64::new();
    for (number, len) in [(1, 1 << 20), (2, 5)] {
        for wrong in [len - 1, len + 1, 0] {
            let mut bytes = vec![0; wrong];
            let outcome = object.part(number).unwrap().encrypt_summed(&mut bytes, &mut sum);
            assert!(outcome.is_err(), "{number} {wrong}");
            assert!(bytes.iter().all(|byte| *byte == 0), "nothing was encrypted");
        }
        let mut bytes = vec![0; len];
        object.part(number).unwrap().encrypt_summed(&mut bytes, &mut sum).unwrap();
        let mut same = vec![0; len];
        object.cipher().at(u64::from(number - 1) << 20).apply(&mut same);
        assert!(bytes == same, "{number}");
    }
    assert!(object.part(0).is_err() && object.part(3).is_err());
}

/// A master key that fails with an error of its own.
#[derive(Clone)]
struct Failing(UnwrapError);

impl KeyWrapper for Failing {
    fn description(&self) -> &MaterialDescription {
        static NONE: std::sync::LazyLock<MaterialDescription> =
            std::sync::LazyLock::new(MaterialDescription::default);
        &NONE
    }

    fn wraps(&self, _: WrapAlgorithm) -> bool {
        true
    }

    fn accepts(&self, _: &Envelope) -> bool {
        true
    }

    fn wrap(
        &self,
        _: &envelope_core::ContentKey,
        algorithm: WrapAlgorithm,
        _: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        Err(WrapError::Algorithm(algorithm))
    }

    fn unwrap(&self, _: &Envelope) -> Result<envelope_core::ContentKey, UnwrapError> {
        Err(self.0.clone())
    }
}

/// A service that could not be asked may hold the right key, so that is what is reported.
#[test]
fn the_most_useful_error_is_reported() {
    let (_, envelope, _) = object(10);
    assert!(
        Keyring::new().is_empty() && !Keyring::new().with(Failing(UnwrapError::Failed)).is_empty()
    );
    let words = || "words".to_owned();
    let unasked = [
        UnwrapError::Kms(KmsError::Denied(words())),
        UnwrapError::Kms(KmsError::NotAsked(words())),
        UnwrapError::Kms(KmsError::Unavailable(words())),
    ];
    for useful in unasked {
        for keyring in [
            Keyring::new().with(Failing(useful.clone())).with(Failing(UnwrapError::Failed)),
            Keyring::new().with(Failing(UnwrapError::Failed)).with(Failing(useful.clone())),
        ] {
            let error = Decryptor::new(&keyring).decrypt(&envelope).map(|_| ()).unwrap_err();
            let want = DecryptError::Keyring(KeyringError::Unwrap(useful.clone()));
            assert_eq!(error, want);
        }
    }
    let none = Decryptor::new(&Keyring::new()).decrypt(&envelope).map(|_| ()).unwrap_err();
    assert!(none.to_string().contains("no key matches") && !none.to_string().contains("described"));
}

#[test]
fn errors_say_what_was_wrong() {
    let (keyring, envelope, body) = object(1000);
    let decryptor = Decryptor::new(&keyring);
    let open = |body: &[u8]| decryptor.decrypt(&envelope).unwrap().decrypt(body.to_vec());
    assert_eq!(open(&body).unwrap(), [7; 1000]);
    let check = |len: usize| {
        let mut check = PlainCheck::new(&envelope);
        check.update(&vec![7; len]);
        check.finish()
    };
    assert_eq!(check(1000), Ok(()));
    assert!(matches!(check(999), Err(IntegrityError::Length { .. })), "{:?}", check(999));
    assert!(matches!(check(1001), Err(IntegrityError::Length { .. })));
    let body_len = |len| envelope_core::check_body_len(&envelope, len);
    assert!(body_len(1000).is_ok() && body_len(999).is_err() && body_len(1001).is_err());
}

/// Which master keys take part in which wraps, by themselves and shared.
#[test]
fn a_master_key_is_tried_on_its_own_kind_of_wrap_only() {
    fn both<W: KeyWrapper + 'static>(key: W) -> [Arc<dyn KeyWrapper>; 2] {
        let alone: Arc<dyn KeyWrapper> = Arc::new(key);
        [Arc::clone(&alone), Arc::new(alone)]
    }
    let rsa = RsaKeyWrapper::generate(2048).unwrap();
    let public = RsaKeyWrapper::read(rsa.public_pem().unwrap().as_bytes(), None).unwrap();
    assert_eq!((rsa.bits(), rsa.is_private()), (2048, true));
    assert_eq!((public.bits(), public.is_private()), (2048, false));
    let aes = AesKeyWrapper::generate().unwrap();
    let (aliyun, tencent) = (WrapAlgorithm::KmsAliyun, WrapAlgorithm::KmsTencent);
    let kms = |algorithm| KmsKeyWrapper::new(Arc::new(MemoryKms::new(algorithm)));
    for wrap in WrapAlgorithm::ALL {
        for (keys, wraps, reads) in [
            (both(aes.clone()), wrap.is_aes(), true),
            (both(rsa.clone()), wrap.is_rsa(), true),
            // It writes what only the other half reads.
            (both(public.clone()), wrap.is_rsa(), false),
            (both(kms(aliyun)), wrap == aliyun, true),
            (both(kms(tencent)), wrap == tencent, true),
        ] {
            let envelope = |len| {
                let content = ContentAlgorithm::Aes256Ctr;
                Envelope::new(Dialect::COS_V2, content, wrap, vec![1; len], vec![2; len])
            };
            for key in keys {
                assert_eq!(key.wraps(wrap), wraps, "{wrap}");
                assert_eq!(key.accepts(&envelope(256)), wraps && reads, "{wrap}");
                // The modulus of another key has another length.
                let other = wraps && reads && !wrap.is_rsa();
                assert_eq!(key.accepts(&envelope(384)), other, "{wrap}");
                assert!(key.description().is_empty());
            }
        }
    }
}

#[test]
fn a_service_in_memory_remembers_contexts() {
    for algorithm in [WrapAlgorithm::KmsAliyun, WrapAlgorithm::KmsTencent] {
        let kms = Arc::new(MemoryKms::new(algorithm).with_answer("blob", "AAAA", None));
        assert_eq!(Kms::algorithm(&kms), algorithm);
        let refused = |outcome: Result<_, KmsError>| matches!(outcome, Err(KmsError::Refused(_)));
        for context in [None, Some(""), Some("{}")] {
            let blob = Kms::encrypt(&kms, "text", context).unwrap();
            assert!((17..6144).contains(&blob.len()) && blob.is_ascii());
            assert_eq!(**Kms::decrypt(&kms, &blob, context).as_ref().unwrap(), "text");
            assert!(refused(Kms::decrypt(&kms, &blob, Some("other"))));
            assert_ne!(Kms::encrypt(&kms, "text", context).unwrap(), blob);
        }
        // An answer that was recorded without a context is given for any.
        assert_eq!(**Kms::decrypt(&kms, "blob", Some("any")).as_ref().unwrap(), "AAAA");
        assert!(refused(Kms::decrypt(&kms, "blob2", None)));
    }
}

/// A master key that returns another content key than it was given.
#[derive(Clone, Default)]
struct Confused {
    known: Arc<Mutex<(Vec<u8>, Vec<u8>)>>,
    flipped: (u8, u8),
}

impl KeyWrapper for Confused {
    fn description(&self) -> &MaterialDescription {
        static NONE: std::sync::LazyLock<MaterialDescription> =
            std::sync::LazyLock::new(MaterialDescription::default);
        &NONE
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        algorithm == WrapAlgorithm::AesKeyWrap
    }

    fn accepts(&self, _: &Envelope) -> bool {
        true
    }

    fn wrap(
        &self,
        key: &envelope_core::ContentKey,
        _: WrapAlgorithm,
        form: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        let (mut cek, mut iv) = (hazmat::cek(key).to_vec(), hazmat::iv(key, form).to_vec());
        cek[31] ^= self.flipped.0;
        iv[15] ^= self.flipped.1;
        *self.known.lock().unwrap() = (cek, iv);
        Ok(WrappedKey::new(vec![1; 40], vec![2; 24]))
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<envelope_core::ContentKey, UnwrapError> {
        let known = self.known.lock().unwrap();
        let content = envelope.content_algorithm();
        hazmat::content_key(content, IvForm::Wrapped, Some(&known.0), Some(&known.1))
    }
}

#[test]
fn an_object_that_its_own_key_could_not_read_is_not_made() {
    for (flipped, readable) in [((0, 0), true), ((1, 0), false), ((0, 1), false), ((1, 1), false)] {
        let key = Confused { flipped, ..Confused::default() };
        let outcome = Encryptor::new(&key, Dialect::COS_V2).encrypt().map(|_| ());
        let want = Err(EncryptError::Unreadable(UnwrapError::Failed));
        assert_eq!(outcome, if readable { Ok(()) } else { want }, "{flipped:?}");
    }
}

/// Not every dialect states the parts, so a plan is compared with whatever is there.
#[test]
fn an_upload_goes_on_with_a_plan_that_the_metadata_allows() {
    let rsa = RsaKeyWrapper::generate(2048).unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(rsa.clone()));
    let resumes = |envelope: &Envelope, size, part_size, dialect| {
        let plan = PartPlan::new(size, part_size, dialect).unwrap();
        match decryptor.resume(envelope, plan) {
            Ok(object) => object.plan() == Some(plan),
            Err(error) => {
                assert_eq!(error, DecryptError::Plan);
                false
            }
        }
    };
    let (oss, old, python) = (Dialect::OSS_V2, Dialect::OSS_V1, Dialect::COS_V1);
    let written = |dialect| {
        let plan = PartPlan::new(5 << 20, 1 << 20, dialect).unwrap();
        let encryptor = Encryptor::new(&rsa, dialect).with_parts(plan).with_plain_len(5 << 20);
        encryptor.encrypt().unwrap().into_inner().0
    };
    // The length and the sizes of the parts.
    assert!(resumes(&written(oss), 5 << 20, 1 << 20, oss));
    assert!(!resumes(&written(oss), 5 << 20, 2 << 20, oss));
    assert!(!resumes(&written(oss), 6 << 20, 1 << 20, oss));
    // The length alone.
    assert!(resumes(&written(old), 5 << 20, 1 << 20, old));
    assert!(resumes(&written(old), 5 << 20, 2 << 20, old));
    assert!(!resumes(&written(old), 6 << 20, 1 << 20, old));
    // Nothing but what the service accepts.
    assert!(resumes(&written(python), 6 << 20, 2 << 20, python));
    assert!(!resumes(&written(python), 6 << 20, 100 << 10, oss));
}

#[test]
fn the_end_of_a_cbc_body_is_missed_as_what_it_is() {
    let envelope = |content| {
        Envelope::new(Dialect::COS_V2, content, WrapAlgorithm::AesKeyWrap, vec![1; 40], vec![2; 24])
            .with_plain_len(100)
    };
    let check = |content, got| envelope_core::check_body_len(&envelope(content), got);
    let (cbc, gcm) = (ContentAlgorithm::Aes256Cbc, ContentAlgorithm::Aes256Gcm);
    assert_eq!((check(cbc, 112), check(gcm, 116)), (Ok(()), Ok(())));
    let wrong = |want, got| Err(IntegrityError::BodyLength { want, got });
    for got in [0, 96, 111] {
        assert_eq!(check(cbc, got), Err(IntegrityError::Padding));
        assert_eq!(check(gcm, got), wrong(116, got));
    }
    assert_eq!((check(cbc, 113), check(gcm, 117)), (wrong(112, 113), wrong(116, 117)));
}

#[test]
fn a_check_of_nothing_is_vacuous() {
    let envelope = || {
        let content = ContentAlgorithm::Aes256Ctr;
        Envelope::new(Dialect::COS_V2, content, WrapAlgorithm::AesKeyWrap, vec![1; 40], vec![2; 24])
    };
    let vacuous = |envelope: &Envelope| PlainCheck::new(envelope).is_vacuous();
    assert!(vacuous(&envelope()));
    assert!(!vacuous(&envelope().with_plain_len(0)));
    assert!(!vacuous(&envelope().with_plain_md5([0; 16])));
    assert!(!vacuous(&envelope().with_plain_len(0).with_plain_md5([0; 16])));
    let mut digest = PlainDigest::new();
    digest.update(b"a fi");
    digest.update(b"le");
    let stated = envelope().with_plain_md5(digest.finish());
    for (text, want) in [("a file", Ok(())), ("a filf", Err(IntegrityError::Md5))] {
        let mut check = PlainCheck::new(&stated);
        check.update(text.as_bytes());
        assert_eq!(check.finish(), want, "{text}");
    }
}

#[test]
fn which_objects_every_sdk_reads_in_ranges() {
    let cipher = |iv: u128| {
        let (content, iv) = (ContentAlgorithm::Aes256Ctr, iv.to_be_bytes());
        let key = hazmat::content_key(content, IvForm::Wrapped, Some(&[5; 32]), Some(&iv));
        hazmat::ctr_cipher(&key.unwrap()).unwrap()
    };
    // Bytes 8 to 11 are zero, whatever is in the others.
    assert!(cipher(0).suits_every_sdk());
    assert!(cipher(0xffff_ffff_ffff_ffff_0000_0000_ffff_ffff).suits_every_sdk());
    for bit in 32..64 {
        assert!(!cipher(1 << bit).suits_every_sdk(), "{bit}");
        assert!(!cipher(u128::MAX ^ (1 << bit)).suits_every_sdk(), "{bit}");
    }
    assert_eq!(cipher(0).backend(), ctr_kernel::Backend::best().name());
}

#[test]
fn a_blob_is_encoded_once_more_only_where_it_was_asked_for() {
    let key = || KmsKeyWrapper::new(Arc::new(MemoryKms::new(WrapAlgorithm::KmsAliyun)));
    for (dialect, wrapper, twice) in [
        (Dialect::OSS_V2, key(), false),
        (Dialect::OSS_V2, key().with_blob_twice(), true),
        // It has only one way.
        (Dialect::OSS_V1, key(), false),
        (Dialect::OSS_V1, key().with_blob_twice(), false),
    ] {
        let envelope = Encryptor::new(&wrapper, dialect).encrypt().unwrap().into_inner().0;
        for wrapped in [envelope.wrapped_key(), envelope.iv()] {
            // The blobs of this service are base64 of `memory:` and more.
            assert_eq!(wrapped.starts_with(b"memory:"), !twice, "{dialect}");
            assert_eq!(wrapped.starts_with(b"bWVtb3J5O"), twice, "{dialect}");
        }
    }
}

#[test]
fn an_iv_in_the_clear_is_not_wrapped() {
    let content = ContentAlgorithm::Aes256Ctr;
    let key = hazmat::content_key(content, IvForm::Clear, Some(&[5; 32]), Some(&[6; 16])).unwrap();
    let kms = |algorithm| KmsKeyWrapper::new(Arc::new(MemoryKms::new(algorithm)));
    let (tencent, aliyun) = (WrapAlgorithm::KmsTencent, WrapAlgorithm::KmsAliyun);
    let wrappers: [(&dyn KeyWrapper, WrapAlgorithm); 4] = [
        (&AesKeyWrapper::generate().unwrap(), WrapAlgorithm::AesKeyWrap),
        (&RsaKeyWrapper::generate(2048).unwrap(), WrapAlgorithm::RsaOaepSha256),
        (&kms(tencent), tencent),
        (&kms(aliyun), aliyun),
    ];
    for (wrapper, algorithm) in wrappers {
        let wrapped = wrapper.wrap(&key, algorithm, IvForm::Clear).unwrap();
        assert_eq!(wrapped.iv, [6; 16], "{algorithm}");
        assert!(wrapped.cek != [5; 32] && wrapped.cek.len() > 32, "{algorithm}");
        let hidden = wrapper.wrap(&key, algorithm, IvForm::Wrapped).unwrap();
        assert!(hidden.iv.len() > 16, "{algorithm}");
    }
}

#[test]
fn parts_that_the_old_dialect_could_not_state_are_stated_by_the_new_one() {
    let key = RsaKeyWrapper::generate(2048).unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    let plan = PartPlan::new(5 << 20, 1 << 20, Dialect::OSS_V2).unwrap();
    let old = Encryptor::new(&key, Dialect::OSS_V1).with_plain_len(5 << 20).encrypt().unwrap();
    let new = Encryptor::new(&key, Dialect::OSS_V2);
    let layout = |encryptor: &Encryptor| {
        decryptor.rewrap(old.envelope(), encryptor).unwrap().envelope().layout()
    };
    assert_eq!(layout(&new), None);
    assert_eq!(layout(&new.with_parts(plan)), Some(plan.layout()));
}

/// COS Python reads OAEP with a key that it has in a file, and PKCS#1 v1.5 with one by value.
#[test]
fn a_key_says_how_it_wraps_where_the_padding_is_not_stated() {
    let key = RsaKeyWrapper::generate(2048).unwrap();
    for (wrapper, used, other) in [
        (key.clone(), WrapAlgorithm::RsaOaepSha1, WrapAlgorithm::RsaPkcs1v15),
        (
            key.clone().with_pkcs1v15_where_unstated(),
            WrapAlgorithm::RsaPkcs1v15,
            WrapAlgorithm::RsaOaepSha1,
        ),
    ] {
        let object = Encryptor::new(&wrapper, Dialect::COS_V1).encrypt().unwrap();
        let envelope = object.envelope();
        assert_eq!(envelope.wrap_algorithm(), WrapAlgorithm::RsaUnstated);
        let stated = |algorithm| {
            let (content, dialect) = (ContentAlgorithm::Aes256Ctr, Dialect::OSS_V2);
            let (key, iv) = (envelope.wrapped_key().to_vec(), envelope.iv().to_vec());
            wrapper.unwrap(&Envelope::new(dialect, content, algorithm, key, iv))
        };
        assert!(stated(used).is_ok());
        // What is invalid in PKCS#1 v1.5 is random bytes, which hardly ever have the right length.
        assert!(stated(other).is_err());
        // Both are read.
        let keyring = Keyring::new().with(key.clone());
        assert!(Decryptor::new(&keyring).decrypt(envelope).is_ok());
        // Where it is stated, nothing changes.
        let object = Encryptor::new(&wrapper, Dialect::OSS_V2).encrypt().unwrap();
        assert_eq!(object.envelope().wrap_algorithm(), WrapAlgorithm::RsaPkcs1v15);
    }
}
