//! Runs the loopback OSS and COS until standard input ends, and prints its URL: for tests in other
//! languages.

use std::io::Read as _;

use envelope_testkit::bucket::LoopbackBucket;

fn main() {
    println!("{}", LoopbackBucket::start().url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
