//! Where and with what it was measured.

use std::{fs, process::Command};

/// The head of the page.
pub fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |name: &str| {
        cpu.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(": "))
            .map_or("?", |(_, value)| value)
            .to_owned()
    };
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let path = ctr_kernel::Path::best();
    format!(
        "# Results\n\n\
         Made by `cargo xtask bench`. Contenders in turn in one process, one pinned thread, its processor \
         time, the median of the ratios within each round; file to file: whole programs in turn, by the \
         wall. Cargo's default release profile, but for the command, which has the repository's own. \
         GB are 10^9 bytes.\n\n\
         - processor: {} (family {}, model {}), {cores} cores, {:.2} GHz at the end of the run; path {path}\n\
         - kernel: {}\n- {}\n- {}\n- libgcrypt {}\n- {}\n- {}\n",
        line("model name"),
        line("cpu family"),
        line("model\t"),
        measure::clock::frequency() / 1e9,
        said("uname", &["-sr"]),
        said("rustc", &["--version"]),
        openssl::version::version(),
        said("pkg-config", &["--modversion", "libgcrypt"]),
        said("cp", &["--version"]),
        format!("age {}", said("age", &["--version"])),
    )
}

/// The first line that a program says.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or("?").to_owned()
}
