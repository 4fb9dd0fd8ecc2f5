//! The `envelope` command: client-side encryption for Aliyun OSS and Tencent COS.
//!
//! This crate handles only arguments, files and messages. The work is done in `envelope-core`,
//! `envelope-store` and `meta-codec`.

mod args;
mod checksum;
mod cleanup;
mod command;
mod contents;
mod copy;
mod failure;
mod hardening;
mod header_file;
mod help;
mod input;
mod key_file;
mod kms;
mod log;
mod many;
mod output;
mod own_files;
mod profile;
mod progress;
mod protection;
mod readers;
mod store;
mod uploads;
mod weakness;

use std::process::ExitCode;

use clap::FromArgMatches as _;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    hardening::no_core_dumps();
    cleanup::on_signals();
    // Also what is wrong with the arguments is said in the form that they ask for.
    progress::set_json(std::env::args_os().skip(1).any(|argument| argument == "--json"));
    let parsed = help::brief().try_get_matches();
    let mut args = match parsed.and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(error) => return failure::arguments(&error),
    };
    own_files::note(&args);
    if let Err(failure) = log::start(&args.log) {
        return failure.report();
    }
    if let Err(failure) = profile::apply(&mut args) {
        return failure.report();
    }
    let outcome = match args.command {
        Command::Init(_) => command::init::run(&args.profile),
        Command::Doctor(args) => command::doctor::run(&args),
        Command::Key(args) => command::key::run(&args),
        Command::Keygen(args) => command::keygen::run(&args),
        Command::Encrypt(args) => command::encrypt::run(*args),
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
        Command::Completions(args) => help::completions(&args),
        Command::Man(args) => help::man(&args),
        Command::Help(args) => help::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
