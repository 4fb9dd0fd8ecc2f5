//! Benchmarks of the content cipher and its peers, of seeking, and of streams.

use std::{hint::black_box, io::Read as _};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use envelope_benches::peers;
use envelope_core::{AesKeyWrapper, CtrCipher, Encryptor, io::DecryptReader};
use meta_codec::Dialect;

fn cipher() -> CtrCipher {
    let wrapper = AesKeyWrapper::generate().unwrap();
    Encryptor::new(&wrapper, Dialect::COS_V2).encrypt().unwrap().into_cipher()
}

fn content(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("aes-256-ctr in place");
    for len in [1 << 10, 16 << 10, 1 << 20, 64 << 20] {
        let (cipher, mut data) = (cipher(), vec![0; len]);
        let (mut openssl, mut libgcrypt) = (peers::openssl(), peers::libgcrypt());
        let (mut aws_lc, mut ctr) = (peers::aws_lc(), peers::rust_crypto());
        group.throughput(Throughput::Bytes(len as u64));
        let id = |who| BenchmarkId::new(who, len);
        group.bench_function(id("envelope"), |b| b.iter(|| cipher.at(0).apply(&mut data)));
        group.bench_function(id("libgcrypt"), |b| b.iter(|| libgcrypt(&mut data)));
        group.bench_function(id("OpenSSL"), |b| b.iter(|| openssl(&mut data)));
        group.bench_function(id("aws-lc-rs"), |b| b.iter(|| aws_lc(&mut data)));
        group.bench_function(id("ctr"), |b| b.iter(|| ctr(&mut data)));
    }
    group.finish();

    let cipher = cipher();
    criterion.bench_function("seek", |b| b.iter(|| black_box(cipher.at(black_box(1 << 40)))));

    let (body, mut out) = (vec![0; 1 << 20], vec![0; 64 << 10]);
    let mut group = criterion.benchmark_group("streams");
    group.throughput(Throughput::Bytes(1 << 20));
    group.bench_function("DecryptReader, 64 KiB calls", |b| {
        b.iter(|| {
            let mut reader = DecryptReader::new(&body[..], cipher.at(0));
            while reader.read(&mut out).unwrap() > 0 {}
        });
    });
    group.finish();
}

criterion_group!(benches, content);
criterion_main!(benches);
