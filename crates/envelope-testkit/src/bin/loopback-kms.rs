//! Runs the loopback KMS until end of file on standard input, for tests in other languages. Prints
//! its URL.

use std::io::Read as _;

use envelope_testkit::kms::LoopbackKms;

fn main() {
    println!("{}", LoopbackKms::start().url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
