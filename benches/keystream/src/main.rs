//! Encrypts a number of bytes from a counter with the fastest backend, or the portable one, and
//! prints its name.
//!
//! `cargo xtask cross` runs this in an emulator, with two lengths each, to count the instructions
//! of a block.

use std::{env, hint::black_box};

use ctr_kernel::{Aes256Ctr, Backend};

const MOST: usize = 1 << 20;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [backend, counter, len] = arguments.as_slice() else {
        panic!("usage: keystream BACKEND COUNTER LENGTH");
    };
    let backend = if backend == "portable" { Backend::Portable } else { Backend::best() };
    let counter = counter.parse().expect("a number of blocks");
    // The same buffer for every length, so that runs differ in nothing but the data.
    let mut data = vec![0; MOST];
    let cipher = Aes256Ctr::with_backend(&[7; 32], backend).expect("it is available");
    cipher.apply(counter, &mut data[..len.parse().expect("a length in bytes")]);
    black_box(data);
    println!("{backend}");
}
