//! Encrypts the parts of a large buffer on all cores, and decrypts them again.
//!
//! Each part of a multipart upload has a cipher of its own, which knows where the part starts and
//! ends. The parts can therefore be encrypted, and sent, in any order.
//!
//! `cargo run --release --example rayon_parts`

use std::{error::Error, time::Instant};

use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring, PartPlan, parse};
use rayon::prelude::*;

/// The size of the parts, in bytes: a multiple of 16.
const PART_SIZE: usize = 8 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let plain: Vec<u8> = (0..25_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let (key, dialect) = (AesKeyWrapper::generate()?, Dialect::COS_V2);
    let plan = PartPlan::new(plain.len() as u64, PART_SIZE as u64, dialect)?;
    let object = Encryptor::new(&key, dialect).with_parts(plan).encrypt()?;

    let mut body = plain.clone();
    let start = Instant::now();
    let ciphers: Vec<_> = object.parts()?.collect();
    ciphers
        .into_par_iter()
        .zip_eq(body.par_chunks_mut(PART_SIZE))
        .try_for_each(|(cipher, part)| cipher.encrypt_in_place(part))?;
    let elapsed = start.elapsed();
    assert_ne!(body, plain);

    // A reader needs the headers only. It may cut the body where it likes.
    let envelope = parse(object.headers().iter().cloned())?.ok_or("the headers are there")?;
    let cipher = Decryptor::new(&Keyring::new().with(key)).decrypt_ctr(&envelope)?;
    let chunk_size = 1_234_567;
    body.par_chunks_mut(chunk_size)
        .enumerate()
        .for_each(|(index, chunk)| cipher.at((index * chunk_size) as u64).apply(chunk));
    assert_eq!(body, plain);

    let (parts, speed) = (plan.parts().len(), plain.len() as f64 / elapsed.as_secs_f64() / 1e9);
    println!("{parts} parts were encrypted at {speed:.1} GB/s, and decrypted");
    Ok(())
}
