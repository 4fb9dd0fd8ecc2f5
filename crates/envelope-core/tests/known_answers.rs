//! Every recorded object decrypts to what its SDK encrypted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use std::fmt::Write as _;

use envelope_core::{
    AesKeyWrapper, ContentCipher, DecryptError, Decryptor, IntegrityError, Keyring, KmsKeyWrapper,
    Policy, RsaKeyWrapper, io::DecryptReader, kms::MemoryKms,
};
use envelope_testkit::{Case, Outcome, all_cases, sdk_vectors};
use meta_codec::{
    ContentAlgorithm, Envelope, WrapAlgorithm, parse, parse_instruction, read_headers,
};
use sha2::{Digest as _, Sha256};

fn envelope(case: &Case) -> Envelope {
    let headers = read_headers(case.headers().as_bytes()).unwrap();
    match case.instruction() {
        Some(file) => parse_instruction(headers, &file).unwrap(),
        None => parse(headers).unwrap().expect("encrypted"),
    }
}

fn keyring(case: &Case) -> Keyring {
    let Some(path) = case.key() else {
        let algorithm = match case.kms().as_deref() {
            Some("aliyun") => WrapAlgorithm::KmsAliyun,
            _ => WrapAlgorithm::KmsTencent,
        };
        let kms = case.kms_answers().into_iter().fold(MemoryKms::new(algorithm), |kms, answer| {
            kms.with_answer(&answer.blob, &answer.plaintext, answer.context.as_deref())
        });
        return Keyring::new().with(KmsKeyWrapper::new(kms));
    };
    let file = std::fs::read(path).unwrap();
    let passphrase = case.passphrase();
    match AesKeyWrapper::read_text(&file) {
        Ok(aes) => Keyring::new().with(aes),
        Err(_) => Keyring::new()
            .with(RsaKeyWrapper::read(&file, passphrase.as_deref().map(str::as_bytes)).unwrap()),
    }
}

fn open(case: &Case) -> Result<ContentCipher, DecryptError> {
    let keyring = keyring(case);
    let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
    decryptor.decrypt(&envelope(case))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn check(case: &Case) {
    let name = case.name();
    let cipher = open(case).unwrap_or_else(|error| panic!("{name}: {error}"));
    let whole = cipher.decrypt(case.body());
    match (case.outcome(), whole) {
        (Outcome::Plain, Ok(plain)) => {
            assert_eq!(sha256(&plain), case.plain_sha256(), "{name}");
            check_streaming(case, &plain);
        }
        (Outcome::Refused, Err(error)) => assert_eq!(error, IntegrityError::Padding, "{name}"),
        (Outcome::Garbage, Ok(plain)) => {
            assert_eq!(plain.len() as u64, case.len(), "{name}");
            assert_ne!(sha256(&plain), case.plain_sha256(), "{name}");
        }
        (want, got) => panic!("{name}: wanted {want:?}, got {:?}", got.map(|plain| plain.len())),
    }
}

/// Checks that the reader yields the same bytes and that everything stated in the metadata is
/// right.
fn check_streaming(case: &Case, plain: &[u8]) {
    let keyring = keyring(case);
    let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
    let body = case.body();
    let mut reader = decryptor.reader(&envelope(case), &body[..]).unwrap();
    let mut streamed = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut streamed).unwrap();
    assert!(streamed == plain, "{}", case.name());
}

#[test]
fn every_fixture_opens() {
    let cases = all_cases();
    assert!(cases.len() >= 75, "{} fixtures", cases.len());
    cases.iter().for_each(check);
}

#[test]
fn every_vector_beside_the_repository_opens() {
    let Some(cases) = sdk_vectors() else {
        eprintln!("skipped: ../shared/vectors does not exist");
        return;
    };
    let cases: Vec<Case> =
        cases.into_iter().filter(|case| case.kms().as_deref() != Some("aws")).collect();
    let kms = cases.iter().filter(|case| case.kms().is_some()).count();
    assert!(cases.len() > 50 && kms >= 10, "{} cases, {kms} with KMS", cases.len());
    cases.iter().for_each(check);
}

#[test]
fn truncated_cbc_is_salvaged() {
    let cases = all_cases();
    let case = cases.iter().find(|case| case.outcome() == Outcome::Refused).unwrap();
    let ContentCipher::Cbc(cbc) = open(case).unwrap() else { panic!("not CBC") };
    let salvaged = cbc.salvage(envelope(case).plain_len()).open(case.body()).unwrap();
    assert_eq!((case.len(), salvaged.len()), (2053, 2048));
    // The plaintext of cos-java/aes-cbc-multipart starts with the salvaged bytes.
    let shared = sdk_vectors()
        .into_iter()
        .flatten()
        .find(|each| each.name().ends_with("cos-java-aes-cbc-multipart-TRUNCATED"));
    if let Some(vector) = shared {
        assert_eq!(std::fs::read(vector.path("plain.bin")).unwrap()[..2048], salvaged);
    }
}

#[test]
fn a_range_of_gcm_is_the_same_keystream() {
    for case in all_cases() {
        let Ok(ContentCipher::Gcm(gcm)) = open(&case) else { continue };
        let plain = gcm.open(case.body()).unwrap();
        let policy = Policy::every_algorithm().allow_unauthenticated_ranges();
        let decryptor = Decryptor::new(&keyring(&case)).with_policy(policy);
        let keystream = decryptor.decrypt_range(&envelope(&case)).unwrap();
        for start in [0, 1, 15, 16, 17, plain.len() / 2] {
            let mut range = case.body().get(start..plain.len()).unwrap_or_default().to_vec();
            keystream.at(start as u64).apply(&mut range);
            assert_eq!(range, plain.get(start..).unwrap_or_default(), "{}", case.name());
        }
    }
}

#[test]
fn a_changed_gcm_body_fails_at_the_end_of_the_stream() {
    let cases = all_cases();
    let gcm: Vec<&Case> = cases
        .iter()
        .filter(|case| envelope(case).content_algorithm() == ContentAlgorithm::Aes256Gcm)
        .collect();
    assert!(gcm.len() >= 8);
    for case in gcm {
        let mut body = case.body();
        *body.first_mut().unwrap() ^= 1;
        let mut reader = DecryptReader::new(&body[..], open(case).unwrap());
        let error = std::io::Read::read_to_end(&mut reader, &mut Vec::new()).unwrap_err();
        let inner = error.get_ref().unwrap().downcast_ref::<IntegrityError>();
        assert_eq!(inner, Some(&IntegrityError::Tag), "{}", case.name());
    }
}

#[test]
fn the_default_policy_refuses_what_is_not_written_any_more() {
    let cases = all_cases();
    let refused: Vec<String> = cases
        .iter()
        .filter(|case| {
            let keyring = keyring(case);
            matches!(
                Decryptor::new(&keyring).decrypt(&envelope(case)),
                Err(DecryptError::Policy(_))
            )
        })
        .map(Case::name)
        .collect();
    assert!(!refused.is_empty());
    for name in refused {
        assert!(name.contains("cbc") || name.starts_with("cos-python/aes"), "{name}");
    }
}
