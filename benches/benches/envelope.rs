//! Benchmarks of metadata and key wrapping, the per-object cost of small objects.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use envelope_core::{AesKeyWrapper, Decryptor, Encryptor, Keyring, RsaKeyWrapper};
use meta_codec::{Dialect, parse};

fn envelope(criterion: &mut Criterion) {
    let aes = AesKeyWrapper::generate().unwrap();
    let (envelope, _) = Encryptor::new(&aes, Dialect::COS_V2).encrypt().unwrap().into_inner();
    let headers = envelope.emit(Dialect::COS_V2).unwrap();
    criterion.bench_function("emit", |b| b.iter(|| envelope.emit(Dialect::COS_V2)));
    criterion.bench_function("parse", |b| {
        b.iter(|| parse(black_box(&headers).iter().map(|(name, value)| (name, value))));
    });
    criterion.bench_function("wrap, RFC 3394", |b| {
        b.iter(|| {
            Encryptor::new(&aes, Dialect::COS_V2).encrypt().map(|object| object.into_inner().0)
        });
    });

    let rsa = RsaKeyWrapper::generate(2048).unwrap();
    let (envelope, _) = Encryptor::new(&rsa, Dialect::OSS_V2).encrypt().unwrap().into_inner();
    criterion.bench_function("wrap, RSA-2048", |b| {
        b.iter(|| {
            Encryptor::new(&rsa, Dialect::OSS_V2).encrypt().map(|object| object.into_inner().0)
        });
    });
    let pem = rsa.private_pem(None).unwrap();
    let keyring = Keyring::new().with(RsaKeyWrapper::read(pem.as_bytes(), None).unwrap());
    criterion.bench_function("unwrap, RSA-2048, CEK and IV", |b| {
        b.iter(|| Decryptor::new(&keyring).decrypt_ctr(&envelope).map(|_| ()));
    });
}

criterion_group!(benches, envelope);
criterion_main!(benches);
