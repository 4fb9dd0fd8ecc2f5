//! Uploads and downloads a file over a slow line, with the limits that are the default.
//!
//! `cargo xtask slow` runs the long form: 40 MiB at 100 kB/s in each direction, in four parts at a
//! time that share the line, so that each takes several times as long as a stall may.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use envelope_core::{AesKeyWrapper, Decryptor, Encryptor, Keyring};
use envelope_store::{Bucket, Credentials, Get, OutputFile, OutputOptions, Put, blocking::Runtime};
use envelope_testkit::bucket::{ACCESS_KEY, LoopbackBucket, SECRET};
use meta_codec::Dialect;

/// As many parts and ranges as are in flight by default.
const IN_FLIGHT: u64 = 4;

#[test]
fn a_slow_line_carries_a_file_both_ways() {
    let is_long = std::env::var_os("ENVELOPE_LONG").is_some();
    let (len, part_size, rate) =
        if is_long { (40 << 20, 8 << 20, 100_000) } else { (3 << 20, 1 << 20, 3_000_000) };

    let (server, runtime) = (LoopbackBucket::start(), Runtime::new().unwrap());
    let (credentials, endpoint) = (Credentials::new(ACCESS_KEY, SECRET), server.url());
    let bucket = Bucket::cos("b-1", endpoint.parse().unwrap(), credentials).unwrap();
    let store = Arc::new(bucket);
    let key = AesKeyWrapper::new(&[7; 32]).unwrap();
    let encryptor = Encryptor::new(&key, Dialect::COS_V2);
    let decryptor = Decryptor::new(&Keyring::new().with(key));
    let plain: Vec<u8> = (0..len).map(|n: u64| (n * n / 251).to_le_bytes()[0]).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    std::fs::write(&path, &plain).unwrap();

    // The rate is that of one connection.
    server.set_rate(Some(rate / IN_FLIGHT));
    let least = Duration::from_millis(len * 800 / rate);
    let begun = Instant::now();
    let put = Put::new(store.clone(), "key").with_threshold(part_size).with_part_size(part_size);
    runtime.block_on(put.file(&path, &encryptor, None)).unwrap();
    println!("{len} bytes up in {:?}", begun.elapsed());
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());

    let begun = Instant::now();
    let get = Get::new(store, "key").with_part_size(part_size);
    let target = folder.path().join("again");
    let output = OutputFile::create(&target, OutputOptions::default()).unwrap();
    runtime.block_on(get.to_file(&decryptor, &output)).unwrap();
    println!("{len} bytes down in {:?}", begun.elapsed());
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
    output.commit().unwrap();
    assert!(std::fs::read(&target).unwrap() == plain);
}
