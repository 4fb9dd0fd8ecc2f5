//! The cost of an object apart from its content (keys and metadata), and AES-GCM.

use std::{cell::RefCell, hint::black_box};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use envelope_benches::peers::KEY;
use envelope_core::{
    AesKeyWrapper, BodyDecryptor, BodyEncryptor, ContentCipher, Decryptor, Encryptor, Keyring,
    RsaKeyWrapper, hazmat,
};
use measure::contest::{Contender, Spread, contest};
use meta_codec::{ContentAlgorithm, Dialect, IvForm, parse};

use crate::{
    ROUNDS,
    report::{Goal, Report, figure},
};

/// Measures both.
pub fn run(report: &mut Report) {
    small(report);
    gcm(report);
}

fn small(report: &mut Report) {
    let rsa = RsaKeyWrapper::generate(2048).unwrap();
    let aes = AesKeyWrapper::generate().unwrap();
    let (envelope, _) = Encryptor::new(&rsa, Dialect::OSS_V2).encrypt().unwrap().into_inner();
    let headers = envelope.emit(Dialect::OSS_V2).unwrap();
    let ctr = ContentAlgorithm::Aes256Ctr;
    let key = hazmat::content_key(ctr, IvForm::Wrapped, Some(&KEY), Some(&[1; 16])).unwrap();
    let cipher = hazmat::ctr_cipher(&key).unwrap();
    let public = RsaKeyWrapper::read(rsa.public_pem().unwrap().as_bytes(), None).unwrap();
    let keyring = Keyring::new().with(rsa);
    let mut data = [0; 1024];
    let outcome = contest(
        ROUNDS,
        vec![
            Contender::new("new cipher and aligned seek", || {
                black_box(hazmat::ctr_cipher(&key).unwrap().at(black_box(1 << 40)));
            }),
            Contender::new("seek", || drop(black_box(cipher.at(black_box(1 << 40))))),
            Contender::new("emit", || drop(black_box(envelope.emit(Dialect::OSS_V2)))),
            Contender::new("parse", || {
                let list = headers.iter().map(|(name, value)| (name, value));
                drop(black_box(parse(list)));
            }),
            Contender::new("AES key: encrypt an object of 1 KiB", || {
                let (envelope, cipher) =
                    Encryptor::new(&aes, Dialect::COS_V2).encrypt().unwrap().into_inner();
                cipher.at(0).apply(black_box(&mut data));
                black_box(envelope.emit(Dialect::COS_V2).unwrap());
            }),
            Contender::new("RSA-2048: wrap CEK and IV", || {
                drop(black_box(Encryptor::new(&public, Dialect::OSS_V2).encrypt()));
            }),
            Contender::new("RSA-2048: unwrap CEK and IV", || {
                drop(black_box(Decryptor::new(&keyring).decrypt_ctr(&envelope)));
            }),
            Contender::new("RSA-2048: decrypt an object of 1 KiB", || {
                let list = headers.iter().map(|(name, value)| (name, value));
                let envelope = parse(list).unwrap().unwrap();
                let mut body = [0; 1024];
                Decryptor::new(&keyring).decrypt_ctr(&envelope).unwrap().at(0).apply(&mut body);
                black_box(body);
            }),
        ],
    );
    let seek = outcome.seconds("new cipher and aligned seek");
    let nanoseconds =
        |seconds: Spread| Spread::of([seconds.min, seconds.median, seconds.max].map(|s| s * 1e9));
    report.goal("new cipher and aligned seek", "ns", Goal::AtMost(150.0), nanoseconds(seek));
    let unwrap = outcome.seconds("RSA-2048: unwrap CEK and IV");
    let operations = Spread::of([unwrap.min, unwrap.median, unwrap.max].map(|s| 2.0 / s));
    report.goal(
        "RSA-2048, feature aws-lc",
        "private operations per second",
        Goal::AtLeast(2500.0),
        operations,
    );
    let whole =
        outcome.ratio("RSA-2048: unwrap CEK and IV", "RSA-2048: decrypt an object of 1 KiB");
    report.goal(
        "RSA-2048: decrypt an object of 1 KiB",
        "x the time of its unwrap",
        Goal::None,
        whole,
    );
    let rows: Vec<Vec<String>> = outcome
        .names()
        .map(|name| {
            let spread = nanoseconds(outcome.seconds(name));
            let mut row = vec![name.to_owned()];
            row.extend([spread.min, spread.median, spread.max].map(figure));
            row
        })
        .collect();
    report.table("Per-object cost without content", &["work", "ns min", "median", "max"], &rows);
}

fn gcm(report: &mut Report) {
    const LEN: usize = 1 << 20;
    let content = ContentAlgorithm::Aes256Gcm;
    let key = || hazmat::content_key(content, IvForm::Wrapped, Some(&KEY), Some(&[2; 12])).unwrap();
    let key = key();
    let peer = || LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).unwrap());
    let nonce = || Nonce::assume_unique_for_key([2; 12]);
    let buffer = || {
        let mut buffer = Vec::with_capacity(LEN + 16);
        buffer.resize(LEN, 0);
        RefCell::new(buffer)
    };
    // One buffer for both contenders: two might be placed differently in the cache.
    let (shared, sealed) = (buffer(), buffer());
    let mut whole = vec![0; LEN];
    peer().seal_in_place_append_tag(nonce(), Aad::empty(), &mut whole).unwrap();
    let outcome = contest(
        ROUNDS,
        vec![
            Contender::new("seal", || {
                let mut data = shared.take();
                data.truncate(LEN);
                let cipher = hazmat::gcm_sealer(&key).unwrap();
                shared.replace(cipher.seal(data).unwrap());
            }),
            Contender::new("aws-lc-rs seal", || {
                let mut data = shared.take();
                data.truncate(LEN);
                peer().seal_in_place_append_tag(nonce(), Aad::empty(), &mut data).unwrap();
                shared.replace(data);
            }),
            Contender::new("open", || {
                let mut data = sealed.take();
                data.clear();
                data.extend_from_slice(&whole);
                let cipher = hazmat::gcm_opener(&key).unwrap();
                sealed.replace(cipher.open(data).unwrap());
            }),
            Contender::new("seal as a stream", || {
                let mut data = shared.take();
                data.truncate(LEN);
                let mut cipher = BodyEncryptor::from(hazmat::gcm_sealer(&key).unwrap());
                cipher.update(&mut data).unwrap();
                data.extend(cipher.finish());
                shared.replace(data);
            }),
            Contender::new("open as a stream", || {
                let mut data = sealed.take();
                data.clear();
                data.extend_from_slice(&whole);
                let opener = hazmat::gcm_opener(&key).unwrap();
                let mut cipher = BodyDecryptor::from(ContentCipher::Gcm(opener));
                cipher.update(&mut data).unwrap();
                data.extend_from_slice(&cipher.finish().unwrap());
                sealed.replace(data);
            }),
            Contender::new("aws-lc-rs open", || {
                let mut data = sealed.take();
                data.clear();
                data.extend_from_slice(&whole);
                peer().open_in_place(nonce(), Aad::empty(), &mut data).unwrap();
                data.truncate(LEN);
                sealed.replace(data);
            }),
        ],
    );
    for (ours, theirs) in [("seal", "aws-lc-rs seal"), ("open", "aws-lc-rs open")] {
        let work = format!("AES-256-GCM {ours}, 1 MiB, feature aws-lc");
        report.goal(work, "x aws-lc-rs", Goal::AtLeast(0.95), outcome.ratio(ours, theirs));
    }
    // AWS-LC's interface takes whole messages only, so that is what streams are compared with.
    for (ours, theirs) in
        [("seal as a stream", "aws-lc-rs seal"), ("open as a stream", "aws-lc-rs open")]
    {
        let work = format!("AES-256-GCM {ours}, chunks of 1 MiB");
        report.goal(work, "x aws-lc-rs", Goal::AtLeast(0.6), outcome.ratio(ours, theirs));
    }
    let rows: Vec<Vec<String>> = outcome
        .names()
        .map(|name| vec![name.to_owned(), figure(outcome.gigabytes(name, LEN).median)])
        .collect();
    report.table("AES-256-GCM, 1 MiB", &["work", "GB/s median"], &rows);
}
