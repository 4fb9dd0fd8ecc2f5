//! `envelope demo`: demonstrates the main functions on a generated file.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    iter,
    path::Path,
    time::{Duration, Instant},
};

use clap::Parser as _;

use super::{decrypt, encrypt, keygen};
use crate::{
    args::{Args, Command, Demo},
    cleanup,
    copy::md5,
    failure::{Code, Failure},
    input::Input,
};

pub(crate) fn run(args: &Demo) -> Result<(), Failure> {
    let folder = tempfile::Builder::new()
        .prefix("envelope-demo-")
        .tempdir()
        .map_err(|error| Failure::io(&std::env::temp_dir(), &error))?;
    cleanup::register(folder.path());
    let outcome = show(args, folder.path());
    cleanup::forget(folder.path());
    outcome
}

fn show(args: &Demo, folder: &Path) -> Result<(), Failure> {
    let path = |name: &str| folder.join(name).into_os_string();
    let (plain, cipher, headers) = (path("plain.bin"), path("cipher.bin"), path("headers.json"));
    let (public, private, back) =
        (path("public_key.pem"), path("private_key.pem"), path("back.bin"));

    say("1. a throwaway RSA key pair");
    let making = ["keygen", "rsa", "--bits", "2048", "--out"].map(OsStr::new);
    call(&[&making[..], &[folder.as_os_str()]].concat())?;

    say(&format!("2. a file of {} bytes", args.size));
    write_pattern(plain.as_ref(), args.size)?;

    let encrypting = [
        OsStr::new("encrypt"),
        &plain,
        OsStr::new("--key"),
        &public,
        OsStr::new("--matdesc"),
        OsStr::new("team=demo"),
        OsStr::new("--metadata-out"),
        &headers,
        OsStr::new("--output"),
        &cipher,
    ];
    let took = call(&encrypting)?;
    say(&format!("3. encrypted for Aliyun OSS (oss-v2): {}", rate(args.size, took)));
    say("   headers of the object:");
    let text = read(headers.as_ref())?;
    for line in text.lines() {
        say(&format!("   {}", shorten(line)));
    }

    let decrypting = [
        OsStr::new("decrypt"),
        &cipher,
        OsStr::new("--metadata"),
        &headers,
        OsStr::new("--key"),
        &private,
        OsStr::new("--output"),
        &back,
        OsStr::new("--require"),
        OsStr::new("seal"),
    ];
    let took = call(&decrypting)?;
    let same = digest(plain.as_ref())? == digest(back.as_ref())?;
    if !same {
        return Err(Failure::new(
            Code::Integrity,
            "the decrypted file differs from the original",
            "this is a bug; please report it",
        ));
    }
    say(&format!("4. decrypted to the same bytes with the private key: {}", rate(args.size, took)));

    fs::remove_file(&back).map_err(|error| Failure::io(back.as_ref(), &error))?;
    say("5. tampering with the object, one change at a time:");
    let rejected = |what: &str| match call(&decrypting) {
        Err(failure) if !Path::new(&back).exists() => {
            say(&format!("   {what}: rejected ({})", failure.cause()));
            Ok(())
        }
        _ => Err(Failure::new(
            Code::Integrity,
            format_args!("{what}: not rejected"),
            "this is a bug; please report it",
        )),
    };
    let changes = [
        ("changed description", text.replace("demo", "prod")),
        ("wrapped IV removed", text.replace("encryption-start", "encryption-stop")),
        ("AES/CTR relabelled as AES/GCM", text.replace("AES/CTR", "AES/GCM")),
        ("seal removed", text.replace("envelope-seal", "envelope-sea")),
        ("all metadata stripped", "{}".to_owned()),
    ];
    for (what, changed) in changes {
        fs::write(&headers, changed).map_err(|error| Failure::io(headers.as_ref(), &error))?;
        rejected(what)?;
    }
    fs::write(&headers, &text).map_err(|error| Failure::io(headers.as_ref(), &error))?;
    if args.size > 0 {
        flip_a_bit(cipher.as_ref())?;
        rejected("one bit of the body flipped")?;
    }
    say("all is well.");
    Ok(())
}

/// Runs another subcommand as a shell would, and returns its duration.
fn call(arguments: &[&OsStr]) -> Result<Duration, Failure> {
    let start = Instant::now();
    let name = OsStr::new("envelope");
    let args = Args::try_parse_from(iter::once(&name).chain(arguments))
        .map_err(|error| Failure::usage(error, "this is a bug; please report it"))?;
    match args.command {
        Command::Keygen(args) => keygen::run(&args),
        Command::Encrypt(args) => encrypt::run(*args),
        Command::Decrypt(args) => decrypt::run(&args),
        _ => Ok(()),
    }?;
    Ok(start.elapsed())
}

/// Writes a file in which every 8-byte word is different, so that a misplaced block is detected.
fn write_pattern(path: &Path, size: u64) -> Result<(), Failure> {
    let write = || {
        let mut file = io::BufWriter::new(fs::File::create(path)?);
        for word in 0..size / 8 {
            file.write_all(&word.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())?;
        }
        let rest = [0; 8];
        file.write_all(rest.get(..usize::try_from(size % 8).unwrap_or(0)).unwrap_or_default())?;
        file.flush()
    };
    write().map_err(|error: io::Error| Failure::io(path, &error))
}

/// Flips a bit in the middle of a file.
fn flip_a_bit(path: &Path) -> Result<(), Failure> {
    let flip = || {
        let mut file = fs::File::options().read(true).write(true).open(path)?;
        let middle = file.metadata()?.len() / 2;
        let mut byte = [0];
        file.seek(SeekFrom::Start(middle))?;
        file.read_exact(&mut byte)?;
        file.seek(SeekFrom::Start(middle))?;
        file.write_all(&byte.map(|byte| byte ^ 1))
    };
    flip().map_err(|error: io::Error| Failure::io(path, &error))
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::io(path, &error))
}

fn digest(path: &Path) -> Result<[u8; 16], Failure> {
    md5(Input::open(path)?, path)
}

fn rate(bytes: u64, took: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = bytes as f64 / took.as_secs_f64() / 1e9;
    format!("{:.0} ms, {rate:.2} GB/s from file to synced file", took.as_secs_f64() * 1e3)
}

fn shorten(line: &str) -> String {
    if line.chars().count() > 96 {
        format!("{}…", line.chars().take(95).collect::<String>())
    } else {
        line.to_owned()
    }
}

fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
