//! Runs the loopback OSS and COS until end of file on standard input, for tests in other languages.
//! Prints its URL.
//!
//! `--certificate FILE` makes it speak TLS, and writes the certificate that clients have to trust
//! to the file; `--latency MILLISECONDS` passes before every answer; `--made COUNT` is a number of
//! objects that are made when they are asked for.

use std::{env, fs, io::Read as _, time::Duration};

use envelope_testkit::bucket::LoopbackBucket;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let pairs = arguments.chunks(2).map(|pair| match pair {
        [name, value] => Ok((name.as_str(), value.as_str())),
        _ => Err(format!("{}: there is no value", arguments.join(" "))),
    });
    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
    let certificate = pairs.iter().find(|(name, _)| *name == "--certificate");
    let server = match certificate {
        Some(_) => LoopbackBucket::start_tls(),
        None => LoopbackBucket::start(),
    };
    for (name, value) in pairs {
        match (name, value.parse::<u64>()) {
            ("--certificate", _) => {
                let certificate = server.certificate().unwrap_or_default();
                fs::write(value, certificate).map_err(|error| format!("{value}: {error}"))?;
            }
            ("--latency", Ok(milliseconds)) => {
                server.set_latency(Duration::from_millis(milliseconds));
            }
            ("--made", Ok(count)) => server.make(count),
            _ => return Err(format!("{name}: there is no such option, or it has no number")),
        }
    }
    println!("{}", server.url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}
