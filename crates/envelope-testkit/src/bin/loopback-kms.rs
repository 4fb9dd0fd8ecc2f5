//! Runs the loopback KMS until standard input ends, and prints its URL: for tests in other languages.

use std::io::Read as _;

use envelope_testkit::kms::LoopbackKms;

fn main() {
    println!("{}", LoopbackKms::start().url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
