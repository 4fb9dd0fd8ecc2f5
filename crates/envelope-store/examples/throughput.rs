//! Compares the upload speed of a file with and without encryption.
//!
//! Usage: `throughput ENDPOINT FILE [ROUNDS]`. The endpoint is a loopback server:
//! `target/release/loopback-bucket`.

#![allow(clippy::print_stdout, reason = "the example prints its results")]

use std::{error::Error, path::Path, sync::Arc, time::Instant};

use envelope_core::{AesKeyWrapper, Encryptor};
use envelope_store::{Bucket, Credentials, Put, blocking::Runtime};
use meta_codec::Dialect;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, file, rounds @ ..] = arguments.as_slice() else {
        return Err("throughput ENDPOINT FILE [ROUNDS]".into());
    };
    let rounds: usize = rounds.first().map_or(Ok(5), |rounds| rounds.parse())?;
    let (file, runtime) = (Path::new(file), Runtime::new()?);
    let store = Bucket::cos("b-1", endpoint.parse()?, Credentials::new("LTAIloop", "SKloop"))?;
    let wrapper = AesKeyWrapper::generate()?;
    let encryptor = Encryptor::new(&wrapper, Dialect::COS_V2);
    let journal = std::env::temp_dir().join(format!("throughput-{}", std::process::id()));
    let len = std::fs::metadata(file)?.len();
    let put = Put::new(Arc::new(store), "key").with_journal(&journal);
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let start = Instant::now();
        runtime.block_on(put.stored(file))?;
        let plain = start.elapsed().as_secs_f64();
        let start = Instant::now();
        runtime.block_on(put.file(file, &encryptor, None))?;
        let encrypted = start.elapsed().as_secs_f64();
        ratios.push(plain / encrypted);
        let speed = |seconds: f64| len as f64 / seconds / 1e9;
        println!(
            "round {round}: as it is {:.2} GB/s, encrypted {:.2} GB/s, ratio {:.2}",
            speed(plain),
            speed(encrypted),
            plain / encrypted
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios.get(rounds / 2).copied().unwrap_or_default());
    Ok(())
}
