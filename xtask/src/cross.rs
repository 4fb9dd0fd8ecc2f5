//! Tests on another processor, which is emulated: aarch64, with Debian's C compiler and qemu.

use std::{fs, io, path::PathBuf, process::Command, thread, time::Duration};

use crate::{fuzz, instructions, root, run::run, target, tool};

const TARGET: &str = "aarch64-unknown-linux-gnu";
/// Packages, and what each of them brings.
const PROGRAMS: [(&str, &str); 3] = [
    ("gcc-aarch64-linux-gnu", "/usr/bin/aarch64-linux-gnu-gcc"),
    ("libc6-dev-arm64-cross", "/usr/aarch64-linux-gnu/lib/libc.so.6"),
    ("qemu-user", "/usr/bin/qemu-aarch64"),
];
/// Debian's own Rust, whose standard library for other processors is a package, for machines that
/// rustup brings none to.
const RUST: [(&str, &str); 2] = [
    ("rustc-web", RUSTC),
    ("libstd-rust-web-dev:arm64", "/usr/lib/rustlib/aarch64-unknown-linux-gnu"),
];
const RUSTC: &str = "/usr/bin/rustc";
/// The tested packages and features, without AWS-LC.
const TESTED: [&str; 6] = [
    "test",
    "--package=meta-codec",
    "--package=ctr-kernel",
    "--package=envelope-core",
    "--features=envelope-core/bytes,envelope-core/tokio",
    "--tests",
];
/// Those of them that start no thread, if the tests themselves run one after the other.
const SINGLE: [&str; 5] =
    ["test", "--package=ctr-kernel", "--lib", "--test=oracle", "--package=meta-codec"];

/// Builds the kernel, the codec and the core with their tests for aarch64, without warnings and
/// lints, runs the unit tests of the first two and the oracle, and counts the instructions of the
/// keystream. Then runs all tests, and builds the command and runs its demo, if the emulator can
/// start threads on this machine.
pub(crate) fn test() -> Result<(), String> {
    let is_ours = run(Command::new("rustup").args(["target", "add", TARGET])).is_ok();
    let is_there = install(&PROGRAMS).and_then(|()| match is_ours {
        true => Ok(()),
        false => run(Command::new("dpkg").args(["--add-architecture", "arm64"]))
            .and_then(|()| install(&RUST)),
    });
    if let Err(error) = is_there {
        eprintln!("skipped: the emulator or a compiler cannot be installed: {error}");
        return Ok(());
    }
    let rustc = (!is_ours).then_some(RUSTC);
    let cargo = |arguments: &[&str]| cargo(arguments, rustc);
    if is_ours {
        // The lints have not seen this code on the processor that builds it.
        let (_, packages) = TESTED.split_first().unwrap_or((&"", &[]));
        run(cargo(&["clippy"]).args(packages).args(["--", "-D", "warnings"]))?;
    }
    run(cargo(&TESTED).arg("--no-run"))?;
    // One after the other, on the only thread.
    run(cargo(&SINGLE).env("RUST_TEST_THREADS", "1").env("CTR_KERNEL_SHORT_ORACLE", "1"))?;
    // In the workspace of the benches, which has cargo's own release profile: what a program has
    // that says nothing else.
    let keystream = ["build", "--release", "--manifest-path=benches/Cargo.toml", "-pkeystream"];
    run(cargo(&keystream).env("CARGO_TARGET_DIR", folder().join("benches")))?;
    let program = folder().join("benches").join(TARGET).join("release/keystream");
    instructions::count(emulator, &program)?;
    if !can_emulate()? {
        eprintln!("skipped: what needs a thread, because qemu-aarch64 starts none on this kernel");
        return Ok(());
    }
    // Without what changes every bit of an object, or waits a minute for each key in the emulator.
    let long = ["--", "--skip=what_is_noticed", "--skip=a_sealed_object_cannot_be_presented"];
    run(cargo(&TESTED).args(long).env("CTR_KERNEL_SHORT_ORACLE", "1"))?;
    run(&mut cargo(&["build", "--package=envelope-command"]))?;
    let command = folder().join(TARGET).join("debug/envelope");
    run(emulator().arg(command).arg("demo"))
}

/// Fuzzes the kernel. The engine is C++, and its instrumentation takes rustup's nightly toolchain.
pub(crate) fn fuzz(seconds: u32) -> Result<(), String> {
    install(&PROGRAMS)?;
    install(&[("g++-aarch64-linux-gnu", "/usr/bin/aarch64-linux-gnu-g++")])?;
    run(Command::new("rustup").args(["target", "add", "--toolchain", "nightly", TARGET]))?;
    fuzz::run_emulated(seconds, TARGET, &folder().join("fuzz"), &ENVIRONMENT)
}

/// Returns whether the emulator runs a program with a second thread: with some kernels (seen with
/// Linux 6.18 and qemu 7.2 and 10.0), it never comes back.
fn can_emulate() -> Result<bool, String> {
    let (source, program) = (folder().join("thread.c"), folder().join("thread"));
    let fail = |error: io::Error| error.to_string();
    fs::write(&source, THREAD).map_err(fail)?;
    run(Command::new("aarch64-linux-gnu-gcc").arg("-pthread").arg(source).arg("-o").arg(&program))?;
    let mut child = emulator().arg(program).spawn().map_err(fail)?;
    for _ in 0..100 {
        if let Some(status) = child.try_wait().map_err(fail)? {
            return Ok(status.success());
        }
        thread::sleep(Duration::from_millis(100));
    }
    child.kill().map_err(fail)?;
    child.wait().map_err(fail)?;
    Ok(false)
}

const THREAD: &str = r"
#include <pthread.h>
static void *run(void *given) { return given; }
int main(void) {
    pthread_t thread;
    return pthread_create(&thread, 0, run, 0) || pthread_join(thread, 0);
}
";

fn emulator() -> Command {
    let mut command = Command::new("qemu-aarch64");
    command.args(["-L", "/usr/aarch64-linux-gnu"]);
    command
}

/// Installs the packages whose programs are not there.
fn install(packages: &[(&str, &str)]) -> Result<(), String> {
    packages.iter().try_for_each(|(package, program)| tool::debian(package, program).map(drop))
}

fn folder() -> PathBuf {
    target().join("cross")
}

/// The compilers for the other processor, and what runs its programs.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc"),
    ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", "qemu-aarch64 -L /usr/aarch64-linux-gnu"),
    ("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc"),
    ("CXX_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-g++"),
];

/// The cargo of this toolchain with a compiler that knows the other processor.
fn cargo(arguments: &[&str], rustc: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO"));
    let (first, rest) = arguments.split_first().unwrap_or((&"", &[]));
    command
        .arg(first)
        .args(["--quiet", "--locked", "--target", TARGET])
        .args(rest)
        .current_dir(root())
        .envs(rustc.map(|rustc| ("RUSTC", rustc)))
        .envs(ENVIRONMENT)
        .env("CARGO_TARGET_DIR", folder())
        // Code that is dead on one processor only would not be noticed elsewhere.
        .env("RUSTFLAGS", "-D warnings")
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}
