//! The number of instructions that a block of the keystream takes on an emulated processor.

use std::{fs, path::Path, process::Command};

use crate::run::run;

/// The instructions of AES itself: 14 rounds of two, without the second of the last.
const LEAST: f64 = 27.0;
/// The most that a block may take with its counter, its data and its share of the loop.
const MOST: f64 = 34.0;
/// Two pairs of lengths, in bytes, whose differences are counted. All else that the program does
/// is the same. Long data is brought to a counter that suits the kernel, and short data is not.
const LONG: [usize; 2] = [16 << 10, 80 << 10];
const SHORT: [usize; 2] = [1 << 10, 7 << 10];

/// Counts the instructions of a block in the program `keystream`, which `emulator` runs step by
/// step, and fails if the kernel takes more than [`MOST`]. Prints those of the portable backend,
/// too.
pub(crate) fn count(emulator: impl Fn() -> Command, program: &Path) -> Result<(), String> {
    per_block(&emulator, program, "portable", 0, LONG)?;
    for (counter, lengths) in [(0, LONG), (0, SHORT), (1, LONG), (1, SHORT)] {
        let found = per_block(&emulator, program, "best", counter, lengths)?;
        if !(LEAST..=MOST).contains(&found) {
            return Err(format!("{found:.2} instructions a block are not {LEAST} to {MOST}"));
        }
    }
    Ok(())
}

fn per_block(
    emulator: &impl Fn() -> Command,
    program: &Path,
    backend: &str,
    counter: u32,
    lengths: [usize; 2],
) -> Result<f64, String> {
    let log = program.with_extension("steps");
    let steps = |len: usize| {
        run(emulator()
            // The first is the name in qemu before 8.1.
            .envs([("QEMU_SINGLESTEP", "1"), ("QEMU_ONE_INSN_PER_TB", "1")])
            .args(["-d", "exec,nochain", "-D"])
            .args([&log, program])
            .args([backend, &counter.to_string(), &len.to_string()]))?;
        let steps = fs::read(&log).map_err(|error| error.to_string())?;
        fs::remove_file(&log).map_err(|error| error.to_string())?;
        let lines = steps.split(|byte| *byte == b'\n').count();
        Ok::<_, String>(f64::from(u32::try_from(lines).unwrap_or(u32::MAX)))
    };
    let [short, long] = lengths;
    let blocks = f64::from(u32::try_from((long - short) / 16).unwrap_or(u32::MAX));
    let per_block = (steps(long)? - steps(short)?) / blocks;
    println!(
        "{backend}, {short} to {long} bytes from {counter}: {per_block:.2} instructions a block"
    );
    Ok(per_block)
}
