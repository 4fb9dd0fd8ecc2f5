//! Runs the loopback OSS and COS until end of file on standard input, for tests in other languages.
//! Prints its URL.

use std::io::Read as _;

use envelope_testkit::bucket::LoopbackBucket;

fn main() {
    println!("{}", LoopbackBucket::start().url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
