//! How many instructions of an emulated processor a block of the keystream takes.

use std::{fs, path::Path, process::Command};

use crate::run::run;

/// What a block may take: 27 instructions of AES, one for its counter, three and a half to load,
/// combine and store it, and the loop.
const MOST: f64 = 34.0;
/// The lengths whose difference is counted, in bytes. All else that the program does is the same.
const LENGTHS: [usize; 2] = [16 << 10, 80 << 10];

/// Counts the instructions of a block in the program `keystream`, which `emulator` runs step by
/// step, and fails if the kernel takes more than [`MOST`]. Prints those of the portable backend,
/// too.
pub(crate) fn count(emulator: impl Fn() -> Command, program: &Path) -> Result<(), String> {
    let log = program.with_extension("steps");
    let per_block = |backend: &str| {
        let [short, long] = LENGTHS.map(|len| {
            run(emulator()
                // The first is the name in qemu before 8.1.
                .envs([("QEMU_SINGLESTEP", "1"), ("QEMU_ONE_INSN_PER_TB", "1")])
                .args(["-d", "exec,nochain", "-D"])
                .args([&log, program])
                .arg(backend)
                .arg(len.to_string()))?;
            let steps = fs::read(&log).map_err(|error| error.to_string())?;
            fs::remove_file(&log).map_err(|error| error.to_string())?;
            Ok::<_, String>(steps.split(|byte| *byte == b'\n').count())
        });
        let [from, to] = LENGTHS;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let per_block = (long? - short?) as f64 / ((to - from) / 16) as f64;
        println!("{backend}: {per_block:.2} instructions a block");
        Ok::<_, String>(per_block)
    };
    per_block("portable")?;
    let kernel = per_block("best")?;
    if kernel > MOST {
        return Err(format!("a block takes {kernel:.2} instructions, which are more than {MOST}"));
    }
    Ok(())
}
