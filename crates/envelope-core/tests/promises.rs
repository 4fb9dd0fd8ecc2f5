//! Promises of the documentation that no other test would miss.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::io::{self, Read, Seek as _, SeekFrom, Write};

use envelope_core::{
    AesKeyWrapper, ContentAlgorithm, ContentCipher, Crc64, Decryptor, Dialect, Encryptor, Envelope,
    IntegrityError, IvForm, KeyWrapper, Keyring, KeyringError, MaterialDescription, PartPlan,
    PlainCheck, Policy, PolicyError, UnwrapError, WrapAlgorithm, WrapError, WrappedKey, hazmat,
    io::{DecryptReader, DecryptWriter, EncryptReader, EncryptWriter},
    kms::KmsError,
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
    let reader = EncryptReader::new(&[1, 2, 3][..], cipher());
    assert_eq!(reader.into_inner(), [1, 2, 3]);

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
            let want = envelope_core::DecryptError::Keyring(KeyringError::Unwrap(useful.clone()));
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
