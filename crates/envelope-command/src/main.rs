//! The `envelope` command: client-side encryption for Aliyun OSS and Tencent COS.
//!
//! This crate handles only arguments, files and messages. The work is done in `envelope-core`,
//! `envelope-store` and `meta-codec`.

mod args;
mod checksum;
mod cleanup;
mod command;
mod copy;
mod failure;
mod hardening;
mod header_file;
mod input;
mod key_file;
mod kms;
mod log;
mod many;
mod output;
mod progress;
mod protection;
mod store;
mod uploads;
mod weakness;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    hardening::no_core_dumps();
    cleanup::on_signals();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return failure::arguments(&error),
    };
    if let Err(failure) = log::start(&args.log) {
        return failure.report();
    }
    let outcome = match args.command {
        Command::Keygen(args) => command::keygen::run(&args),
        Command::Encrypt(args) => command::encrypt::run(&args),
        Command::Decrypt(args) => command::decrypt::run(&args),
        Command::Inspect(args) => command::inspect::run(&args),
        Command::Rewrap(args) => command::rewrap::run(&args),
        Command::Put(args) => command::put::run(*args),
        Command::Get(args) => command::get::run(*args),
        Command::Sync(args) => command::sync::run(*args),
        Command::Cp(args) => command::cp::run(&args, false),
        Command::Mv(args) => command::cp::run(&args.copy, true),
        Command::Cat(args) => command::get::cat(&args),
        Command::Ls(args) => command::ls::run(&args),
        Command::Audit(args) => command::audit::run(&args),
        Command::Du(args) => command::du::run(&args),
        Command::Verify(args) => command::get::verify(&args),
        Command::Restore(args) => command::restore::run(&args),
        Command::Rm(args) => command::rm::run(&args),
        Command::Uploads(args) => command::uploads::run(&args),
        Command::Sign(args) => command::sign::run(&args),
        Command::SseHeaders(args) => command::sse_headers::run(&args),
        Command::Bench(args) => command::bench::run(&args),
        Command::Demo(args) => command::demo::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
