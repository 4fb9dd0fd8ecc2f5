//! Help: the options that matter first, and all of them on request.

use std::{fs, io, path::Path};

use clap::{Arg, ArgAction, CommandFactory as _};

use crate::{
    args::{Args, Completions, Help, Man},
    failure::Failure,
    output::print_line,
};

/// What is shown of a command without `--all`: the options that matter, in their order, and
/// examples. All others have few options.
struct Brief {
    command: &'static str,
    options: &'static [&'static str],
    examples: &'static [&'static str],
}

/// The options of `cp` and `mv`, which are the same.
const COPY_OPTIONS: &[&str] = &[
    "recursive",
    "force",
    "key",
    "to_key",
    "create_only",
    "kms",
    "profile",
    "region",
    "source_region",
    "storage_class",
    "sse",
    "dry_run",
    "report",
    "json",
];

const BRIEFS: &[Brief] = &[
    Brief {
        command: "put",
        options: &[
            "key",
            "readers",
            "force",
            "recursive",
            "create_only",
            "kms",
            "profile",
            "region",
            "content_type",
            "storage_class",
            "sse",
            "dry_run",
            "report",
            "json",
        ],
        examples: &[
            "envelope put film.mkv oss://bucket/films/ --key public_key.pem",
            "envelope put film.mkv cos://bucket-1250000000/ --key k.pem --for hadoop-cos",
            "envelope put -r photos/ oss://bucket/photos/ --key k.pem --report up.ndjson",
        ],
    },
    Brief {
        command: "get",
        options: &[
            "key",
            "output",
            "force",
            "recursive",
            "range",
            "require",
            "allow_plaintext",
            "kms",
            "profile",
            "region",
            "version_id",
            "dry_run",
            "report",
            "json",
        ],
        examples: &[
            "envelope get oss://bucket/films/film.mkv --key private_key.pem -o film.mkv",
            "envelope get -r oss://bucket/photos/ photos/ --key private_key.pem",
        ],
    },
    Brief {
        command: "cat",
        options: &["key", "range", "require", "kms", "profile", "region", "version_id"],
        examples: &["envelope cat oss://bucket/db.sql --range 0-1023 --key private_key.pem"],
    },
    Brief {
        command: "verify",
        options: &[
            "key",
            "recursive",
            "require",
            "kms",
            "profile",
            "region",
            "version_id",
            "report",
            "json",
        ],
        examples: &["envelope verify -r oss://bucket/ --key private_key.pem --require seal"],
    },
    Brief {
        command: "sync",
        options: &[
            "key", "delete", "dry_run", "checksum", "readers", "kms", "profile", "region",
            "include", "exclude", "report", "json",
        ],
        examples: &[
            "envelope sync photos/ oss://bucket/photos/ --key k.pem --delete --dry-run",
            "envelope sync oss://bucket/photos/ photos/ --key k.pem",
        ],
    },
    Brief {
        command: "cp",
        options: COPY_OPTIONS,
        examples: &[
            "envelope cp oss://bucket/a oss://archive/ --storage-class IA",
            "envelope cp -r oss://bucket/ cos://backup-1250000000/ --key private_key.pem",
        ],
    },
    Brief {
        command: "mv",
        options: COPY_OPTIONS,
        examples: &["envelope mv oss://bucket/films/film.mkv oss://archive/films/"],
    },
    Brief {
        command: "rewrap",
        options: &[
            "key",
            "to_key",
            "prefix",
            "dry_run",
            "to_kms",
            "reupload",
            "all_versions",
            "inventory",
            "seal_body",
            "dialect",
            "metadata_out",
            "profile",
            "region",
            "report",
            "json",
        ],
        examples: &[
            "envelope rewrap cos://bucket-1250000000/ -r --key old.pem --to-key new.pem",
            "envelope rewrap oss://bucket/ -r --key old.pem --to-key new.pem --reupload",
        ],
    },
    Brief {
        command: "encrypt",
        options: &[
            "key",
            "metadata_out",
            "output",
            "force",
            "kms",
            "dialect",
            "content",
            "part_size",
            "checksum",
            "profile",
        ],
        examples: &["envelope encrypt photo.jpg --key public_key.pem \\\n      \
             --metadata-out headers.json --output photo.enc"],
    },
    Brief {
        command: "decrypt",
        options: &[
            "key",
            "metadata",
            "output",
            "force",
            "range",
            "require",
            "allow_plaintext",
            "kms",
            "instruction",
            "verify_first",
            "profile",
        ],
        examples: &[
            "envelope decrypt photo.enc --metadata headers.txt --key private_key.pem -o photo.jpg",
        ],
    },
    Brief {
        command: "inspect",
        options: &["key", "json", "require", "kms", "profile", "region", "instruction"],
        examples: &["envelope inspect oss://bucket/photo.jpg"],
    },
    Brief {
        command: "audit",
        options: &[
            "key",
            "html",
            "require",
            "kms",
            "profile",
            "region",
            "inventory",
            "report",
            "parallel",
        ],
        examples: &["envelope audit oss://bucket/ --key k.pem --html audit.html > audit.ndjson"],
    },
];

/// The topic about profiles.
const PROFILES: &str = r#"A profile stands in for what would otherwise be said each time. The file of
profiles is $XDG_CONFIG_HOME/envelope/config.toml, by default in ~/.config, or
the one given with --config. `[default]` is used unless --profile names another
one. `envelope init` asks, and writes one.

  [default]
  key = "keys/private_key.pem"   # or several: ["new.pem", "old.pem"], of which
                                 # the first encrypts. Relative to this file
  passphrase_file = "pass"       # of the keys above
  kms = "aliyun:cn-hangzhou:ID"  # a master key in a KMS
  for = ["oss-java", "oss-go"]   # who must be able to read what is written
  dialect = "oss-v2"             # or the format itself
  require = ["seal"]             # what an object must have to be read
  origin_key = "origin.key"      # the secret that says whose an object is

  [default.oss]                  # and [default.cos]
  region = "cn-hangzhou"
  endpoint = "https://..."       # instead of the one of the region
  access_key_id = "..."
  access_key_secret = "..."
  session_token = "..."          # of a temporary access key
  credentials = "ossutil"        # or where the access key comes from, see below

What is given as an argument takes precedence over a profile, but what a profile
requires is required in any case; --no-profile uses none. The access keys,
regions and endpoints of the environment take precedence, too:

  OSS   OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET, OSS_SESSION_TOKEN, or the same
        of ALIBABA_CLOUD_...; OSS_REGION, OSS_ENDPOINT
  COS   TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY, TENCENTCLOUD_TOKEN, or
        COS_SECRET_ID, COS_SECRET_KEY, COS_TOKEN; TENCENTCLOUD_REGION,
        COS_REGION, COS_ENDPOINT
  KMS   ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET,
        ALIBABA_CLOUD_SECURITY_TOKEN; TENCENTCLOUD_SECRET_ID and the others

The access key comes from the first of these that has one, or from the one that
`credentials` names:

  environment       the variables above
  profile           access_key_id and access_key_secret
  oidc              the role of a pod (RRSA, TKE), if its variables are set
  ossutil[:PROFILE] the file of ossutil, ~/.ossutilconfig; for OSS
  coscli            the file of coscli, ~/.cos.yaml; for COS
  ecs-role[:NAME]   the RAM role of a machine at Aliyun; only if named
  cvm-role[:NAME]   the CAM role of a machine at Tencent Cloud; only if named
  process           what a program prints: process = ["PROGRAM", "ARGUMENT"]

Those of a role or a program are asked for again before they expire.

A file with access keys should be readable only by its owner (chmod 600).
Profiles of the older form, [profiles.NAME.oss], are still read."#;

/// Returns the definition of the command with the help that matters, in few lines.
pub(crate) fn brief() -> clap::Command {
    // Every command has these, and they would be repeated by each.
    let command = Args::command().mut_args(|arg| match arg.get_id().as_str() {
        "config" | "log_file" | "no_profile" => arg.hide(true),
        _ => first_sentence(arg).help_heading("Everywhere"),
    });
    let names: Vec<String> =
        command.get_subcommands().map(|each| each.get_name().to_owned()).collect();
    names.iter().fold(with_help_flag(command), |command, name| {
        command.mut_subcommand(name, |each| abridged(with_help_flag(each)))
    })
}

/// Makes `--help` the short form; `help --all` shows the long one.
fn with_help_flag(command: clap::Command) -> clap::Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort);
    let help = help.help("Print help").help_heading("Everywhere").display_order(1000);
    let command = command.disable_help_flag(true).arg(help);
    let names: Vec<String> =
        command.get_subcommands().map(|each| each.get_name().to_owned()).collect();
    match names.iter().any(|name| name == "put") {
        // The main command: its subcommands are seen to one by one.
        true => command,
        false => {
            names.iter().fold(command, |command, name| command.mut_subcommand(name, with_help_flag))
        }
    }
}

fn abridged(mut command: clap::Command) -> clap::Command {
    let name = command.get_name().to_owned();
    let brief = BRIEFS.iter().find(|brief| brief.command == name);
    command = command.mut_args(|arg| {
        let arg = first_sentence(arg);
        let id = arg.get_id().as_str().to_owned();
        if arg.is_positional() || id == "help" {
            return arg;
        }
        match brief.map(|brief| brief.options.iter().position(|each| *each == id)) {
            None => arg,
            Some(Some(n)) => arg.display_order(n).help_heading(None::<&str>),
            Some(None) => arg.hide(true),
        }
    });
    let Some(brief) = brief else { return command };
    let examples: Vec<String> =
        brief.examples.iter().map(|example| format!("  {example}")).collect();
    command.after_help(format!(
        "Examples:\n{}\n\nAll options: envelope help {name} --all",
        examples.join("\n")
    ))
}

/// Keeps the first sentence of the help for an argument.
fn first_sentence(arg: Arg) -> Arg {
    let Some(help) = arg.get_help().map(ToString::to_string) else { return arg };
    let end = help.find(". ").or_else(|| help.find(": ")).unwrap_or(help.len());
    let short = help.get(..end).unwrap_or(&help).to_owned();
    let takes_values = arg.get_action().takes_values();
    let arg = arg.help(short);
    if takes_values { arg.hide_possible_values(true) } else { arg }
}

/// Prints the help for a topic.
pub(crate) fn run(args: &Help) -> Result<(), Failure> {
    if args.topic.iter().eq(["profiles"]) {
        return print_line(&PROFILES);
    }
    let mut command = if args.all { Args::command() } else { brief() };
    command.build();
    let mut found = &mut command;
    for name in &args.topic {
        found = found.find_subcommand_mut(name).ok_or_else(|| {
            Failure::usage(
                format_args!("there is no command {name}"),
                "`envelope help` lists the commands; `envelope help profiles` is a topic, too",
            )
        })?;
    }
    let printed = if args.all { found.print_long_help() } else { found.print_help() };
    printed.map_err(|error| Failure::io("standard output".as_ref(), &error))
}

/// Prints the completions for a shell.
pub(crate) fn completions(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "envelope", &mut script);
    io::Write::write_all(&mut io::stdout().lock(), &script)
        .map_err(|error| Failure::io("standard output".as_ref(), &error))
}

/// Writes the manual pages, one for each command.
pub(crate) fn man(args: &Man) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io(&args.folder, &error);
    fs::create_dir_all(&args.folder).map_err(failed)?;
    pages(Args::command(), &args.folder).map_err(failed)
}

fn pages(command: clap::Command, folder: &Path) -> io::Result<()> {
    clap_mangen::generate_to(command.disable_help_subcommand(true), folder)
}
