//! `envelope init`: asks, and writes a profile.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use envelope_store::{Endpoint, Profile, SettingsError};
use meta_codec::{Reader, Vendor};

use crate::{
    args::{KeyKind, Keygen, Kms, Passphrase, ProfileChoice, Readers},
    command::keygen,
    failure::Failure,
    output::print_line,
    profile::{DEFAULT, default_path},
    readers,
};

pub(crate) fn run(choice: &ProfileChoice) -> Result<(), Failure> {
    let name = choice.profile.as_deref().unwrap_or(DEFAULT);
    let path = choice.config.clone().or_else(default_path).ok_or_else(|| {
        Failure::usage("there is no place for the file of profiles", "name one with --config")
    })?;
    if name == "profiles" || name.is_empty() || !name.bytes().all(is_bare) {
        return Err(Failure::usage(
            "the name of a profile consists of letters, digits, `-` and `_`",
            "choose another --profile",
        ));
    }
    check_new(&path, name)?;
    let vendor = ask("Which store, oss or cos?", Some("oss"), |text| {
        Vendor::ALL
            .into_iter()
            .find(|vendor| vendor.id() == text)
            .ok_or_else(|| "expected oss or cos".to_owned())
    })?;
    let example = if vendor == Vendor::Oss { "cn-hangzhou" } else { "ap-guangzhou" };
    let region =
        ask(&format!("In which region is the bucket, such as {example}?"), None, |text| {
            Endpoint::of_store(vendor, text).map_err(|error| error.to_string())?;
            Ok(text.to_owned())
        })?;
    let key = ask(
        "Which file holds the master key? (Empty: a new RSA key is generated.)",
        Some(""),
        |text| match text {
            "" => Ok(None),
            text if Path::new(text).is_file() => Ok(Some(PathBuf::from(text))),
            _ => Err("there is no such file".to_owned()),
        },
    )?;
    let readers = ask(
        "Which SDKs must read what you write, besides envelope? (Such as oss-java oss-go.)",
        Some(""),
        |text| {
            let words = text.split([' ', ',']).filter(|word| !word.is_empty());
            let readers: Result<Vec<Reader>, _> = words.map(str::parse).collect();
            readers.map_err(|error| error.to_string())
        },
    )?;
    let asked = Readers { readers: readers.clone(), from_profile: false };
    // A new key is an RSA key.
    readers::choose(&asked, Some(vendor), key.as_deref(), &Kms::default())?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).map_err(|error| Failure::io(folder, &error))?;
    let key = match key {
        Some(path) => std::path::absolute(&path).map_err(|error| Failure::io(&path, &error))?,
        None => generated(&folder.join(format!("{name}-keys")))?,
    };
    let key = key.to_str().ok_or_else(|| {
        Failure::usage("the path of the key is not UTF-8 text", "choose another place for it")
    })?;
    let mut text = format!("[{name}]\nkey = {}\n", quoted(key));
    if !readers.is_empty() {
        let ids: Vec<String> = readers.iter().map(|reader| quoted(reader.id())).collect();
        text.push_str(&format!("for = [{}]\n", ids.join(", ")));
    }
    text.push_str(&format!("\n[{name}.{}]\nregion = {}\n", vendor.id(), quoted(&region)));
    write(&path, &text)?;
    let mut option = if name == DEFAULT { String::new() } else { format!(" --profile {name}") };
    if let Some(config) = &choice.config {
        option.push_str(&format!(" --config {}", config.display()));
    }
    print_line(&format_args!(
        "The profile {name} is in {}.\nNow: envelope put FILE {}://BUCKET/{option}",
        path.display(),
        vendor.id()
    ))
}

const fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn check_new(path: &Path, name: &str) -> Result<(), Failure> {
    match path.exists().then(|| Profile::read(path, name)) {
        None | Some(Err(SettingsError::NoProfile(_))) => Ok(()),
        Some(Err(error @ (SettingsError::Syntax { .. } | SettingsError::Io(_)))) => {
            Err(Failure::from(error).about(&path.display()))
        }
        Some(_) => Err(Failure::usage(
            format_args!("{}: there is a profile {name} already", path.display()),
            "choose another --profile, or edit the file",
        )),
    }
}

/// Asks until an answer is right. Only a person is asked again.
fn ask<T>(
    question: &str,
    default: Option<&str>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    let stdin = io::stdin();
    loop {
        let shown = default.filter(|text| !text.is_empty());
        let shown = shown.map_or(String::new(), |text| format!(" [{text}]"));
        // Not locked while it waits: a signal is reported there, too.
        let mut stderr = io::stderr();
        let _ = write!(stderr, "{question}{shown} ").and_then(|()| stderr.flush());
        let mut line = String::new();
        let read = stdin.lock().read_line(&mut line);
        let read = read.map_err(|error| Failure::io("standard input".as_ref(), &error))?;
        let answer = match (line.trim(), default) {
            ("", Some(default)) => default,
            (answer, _) => answer,
        };
        match parse(answer) {
            Ok(answer) if read > 0 || default.is_some() => return Ok(answer),
            Err(words) if read > 0 && stdin.is_terminal() => {
                let _ = writeln!(stderr, "{words}");
            }
            outcome => {
                let words = outcome.err().unwrap_or_else(|| "there is no answer".to_owned());
                let advice = "answer each question on a line of standard input";
                return Err(Failure::usage(words, advice).about(&question));
            }
        }
    }
}

fn generated(folder: &Path) -> Result<PathBuf, Failure> {
    let args = Keygen {
        kind: KeyKind::Rsa,
        out: folder.to_owned(),
        bits: 3072,
        der: false,
        passphrase: Passphrase::default(),
    };
    keygen::run(&args)?;
    std::path::absolute(folder.join("private_key.pem")).map_err(|error| Failure::io(folder, &error))
}

/// Returns a basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// Adds to a file that only its owner may read, because access keys may be added to it.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let separator = match fs::metadata(path) {
        Ok(metadata) if metadata.len() > 0 => "\n",
        _ => "",
    };
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(format!("{separator}{text}").as_bytes()));
    written.map_err(|error| Failure::io(path, &error))
}
