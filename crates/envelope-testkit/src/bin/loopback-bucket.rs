//! Runs the loopback OSS and COS until end of file on standard input, for tests in other languages.
//! Prints its URL.
//!
//! `--latency MILLISECONDS` passes before every answer; `--made COUNT` is a number of objects that
//! are made when they are asked for.

use std::{env, io::Read as _, time::Duration};

use envelope_testkit::bucket::LoopbackBucket;

fn main() -> Result<(), String> {
    let server = LoopbackBucket::start();
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
        match (name.as_str(), value) {
            ("--latency", Some(milliseconds)) => {
                server.set_latency(Duration::from_millis(milliseconds));
            }
            ("--made", Some(count)) => server.make(count),
            _ => return Err(format!("{name}: there is no such option, or it has no number")),
        }
    }
    println!("{}", server.url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}
