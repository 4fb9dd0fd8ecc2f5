//! Programs that measure themselves: the consumer crate and the adapters of the Python SDKs.

use std::{collections::HashMap, path::Path, process::Command};

use envelope_core::io::EncryptReader;
use measure::contest::{Contender, Spread, contest};

use crate::{
    cipher::cipher,
    report::{Goal, Report, figure},
};

/// Compares a consumer of the library in Cargo's default profile with one in a single codegen unit.
pub fn consumer(report: &mut Report, default: &Path, one_unit: &Path) {
    let mut ratios: HashMap<String, Vec<f64>> = HashMap::new();
    for _ in 0..9 {
        let (mine, best) = (figures(default, &[]), figures(one_unit, &[]));
        for (name, figure) in mine {
            ratios.entry(name.clone()).or_default().push(figure / best[&name]);
        }
    }
    for name in ["16-KiB", "1-MiB", "64-MiB"] {
        let got = Spread::of(ratios[name].iter().copied());
        let work = format!("consumer crate, default profile, {name}");
        report.goal(work, "x codegen-units = 1", Goal::AtLeast(0.95), got);
    }
    let rsa = Spread::of((0..3).map(|_| figures(default, &["rsa"])["rsa-2048"]));
    report.goal("RSA-2048, pure Rust", "private operations per second", Goal::AtLeast(350.0), rsa);
}

/// Compares `EncryptReader` with the adapters that the Python SDKs use to encrypt uploads.
pub fn python(report: &mut Report, python: &Path) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/adapters.py");
    let theirs = figures(python, &[script]);
    let mut rows = Vec::new();
    for (name, call) in [("8-KiB", 8 << 10), ("1-MiB", 1 << 20)] {
        const LEN: usize = 64 << 20;
        let (cipher, plain) = (cipher(), vec![7; LEN]);
        let mut buffer = vec![0; call];
        let read = || {
            let mut reader = EncryptReader::new(&plain[..], cipher.at(0));
            while std::io::Read::read(&mut reader, &mut buffer).unwrap() > 0 {}
        };
        let ours = contest(9, vec![Contender::new("", read)]).gigabytes("", LEN);
        for sdk in ["oss2", "cos"] {
            let factor = ours.median / theirs[&format!("{sdk}-{name}")];
            let got = Spread { min: factor, median: factor, max: factor };
            report.goal(
                format!("EncryptReader, {name} reads"),
                format!("x the adapter of {sdk}"),
                Goal::None,
                got,
            );
        }
        rows.push(vec![
            name.to_owned(),
            figure(ours.median),
            figure(theirs[&format!("oss2-{name}")]),
            figure(theirs[&format!("cos-{name}")]),
        ]);
    }
    let columns = ["read size", "EncryptReader", "oss2 2.19.1", "cos-python-sdk-v5 1.9.44"];
    report.table("64 MiB through the adapters of the Python SDKs, GB/s", &columns, &rows);
}

/// Runs a program and parses its output: lines of a name and a figure.
fn figures(program: &Path, arguments: &[&str]) -> HashMap<String, f64> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", program.display());
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, figure)| (name.to_owned(), figure.parse().unwrap()))
        .collect()
}
