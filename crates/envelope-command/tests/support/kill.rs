//! Kills at random moments.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::{process::Command, thread, time::Duration};

/// The number of kills of each command.
pub(crate) fn kills() -> u32 {
    std::env::var("ENVELOPE_KILLS").map_or(5, |text| text.parse().expect("a number"))
}

/// A small generator of numbers, so that a failure can be repeated.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new() -> Self {
        let given: Option<u64> =
            std::env::var("ENVELOPE_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| std::process::id().into());
        println!("ENVELOPE_SEED={seed}");
        Self(seed | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Kills a command at a random moment of its usual time.
pub(crate) fn kill(mut command: Command, numbers: &mut Numbers, usual: Duration) {
    let mut child = command.spawn().unwrap();
    let usual = u64::try_from(usual.as_micros()).unwrap();
    thread::sleep(Duration::from_micros(numbers.below(usual + usual / 8)));
    let _ = child.kill();
    child.wait().unwrap();
    // What is under way at the server ends.
    thread::sleep(Duration::from_millis(30));
}
