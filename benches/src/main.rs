//! The performance gate: every measurement that has a goal, and its peers, in one run.
//!
//! `cargo xtask bench` builds its prerequisites and runs it, with these arguments:
//! `ENVELOPE BUCKET PYTHON CONSUMER CONSUMER-ONE-UNIT PAGE CHART`; or, for the cost of the seal
//! alone, `ENVELOPE BUCKET PAGE`.

mod chart;
mod cipher;
mod files;
mod machine;
mod objects;
mod programs;
mod report;
mod transfers;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use report::Report;

/// Number of rounds of a contest; large buffers need fewer because their windows are longer.
const ROUNDS: usize = 41;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if let [envelope, bucket, page] = &arguments[..] {
        let mut report = Report::default();
        files::run(&mut report, envelope);
        transfers::run(&mut report, envelope, bucket);
        return judge(report, page);
    }
    let [envelope, bucket, python, consumer, one_unit, page, chart] = &arguments[..] else {
        eprintln!("usage: gate ENVELOPE BUCKET PYTHON CONSUMER CONSUMER-ONE-UNIT PAGE CHART");
        return ExitCode::FAILURE;
    };
    let mut report = Report::default();
    files::run(&mut report, envelope);
    transfers::run(&mut report, envelope, bucket);
    cipher::two_threads(&mut report);
    measure::clock::pin(1);
    programs::consumer(&mut report, consumer, one_unit);
    let bars = cipher::run(&mut report);
    cipher::paths(&mut report);
    cipher::streams(&mut report);
    cipher::checksum(&mut report);
    objects::run(&mut report);
    programs::python(&mut report, python);

    chart::draw(chart, &bars).expect("drawing the chart");
    judge(report, page)
}

/// Writes the page, and fails if a goal was missed.
fn judge(report: Report, page: &Path) -> ExitCode {
    let (missed, text) = report.finish(&machine::describe());
    fs::write(page, text).expect("writing the page");
    eprintln!("{missed} goals missed; see {}", page.display());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
