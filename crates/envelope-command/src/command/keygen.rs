//! `envelope keygen`: generates master keys.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use envelope_core::{AesKeyWrapper, RsaKeyWrapper};

use crate::{
    args::{KeyKind, Keygen},
    failure::{Failure, Status},
    output::{Output, Secrecy},
};

pub(crate) fn run(args: &Keygen) -> Result<(), Failure> {
    let passphrase = args.passphrase.read()?;
    if passphrase.as_ref().is_some_and(|bytes| bytes.is_empty()) {
        return Err(Failure::usage(
            "the passphrase is empty",
            "supply one, or omit the --passphrase options",
        ));
    }
    match args.kind {
        KeyKind::Aes | KeyKind::Origin => {
            if passphrase.is_some() {
                return Err(Failure::usage(
                    "a file of this kind of key has no passphrase",
                    "omit the passphrase, or generate an RSA key",
                ));
            }
            let name = if args.kind == KeyKind::Aes { "master.key" } else { "origin.key" };
            let [path] = paths(&args.out, [name])?;
            let text = AesKeyWrapper::generate_text()
                .map_err(|error| Failure::new(Status::Io, error, "retry"))?;
            prepare(&path, Secrecy::Secret, text.as_bytes())?.commit()
        }
        KeyKind::Rsa => {
            let [private, public] = paths(&args.out, ["private_key.pem", "public_key.pem"])?;
            if !(RsaKeyWrapper::MIN_WRAP_BITS..=8192).contains(&args.bits) {
                return Err(Failure::usage(
                    format_args!("cannot generate an RSA key of {} bits", args.bits),
                    "choose --bits from 2048 to 8192",
                ));
            }
            let failed = |error| Failure::new(Status::Io, error, "retry");
            let key = RsaKeyWrapper::generate(args.bits).map_err(failed)?;
            let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
            let private_pem = key.private_pem(passphrase).map_err(failed)?;
            let public_pem = key.public_pem().map_err(failed)?;
            let private = prepare(&private, Secrecy::Secret, private_pem.as_bytes())?;
            let public = prepare(&public, Secrecy::Public, public_pem.as_bytes())?;
            private.commit_both(public)
        }
    }
}

/// Returns the paths of the new files, none of which may exist. This is checked before a key is
/// generated, and again when the files get their names.
fn paths<const N: usize>(folder: &Path, names: [&str; N]) -> Result<[PathBuf; N], Failure> {
    let paths = names.map(|name| folder.join(name));
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        None => Ok(paths),
        Some(path) => Err(Failure::usage(
            format_args!("{}: already exists, and keys are never overwritten", path.display()),
            "choose another folder with --out",
        )),
    }
}

fn prepare(path: &Path, secrecy: Secrecy, bytes: &[u8]) -> Result<Output, Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Failure::io(folder, &error))?;
    }
    let mut output = Output::create(path, secrecy, false, &[])?;
    output.write_all(bytes).map_err(|error| Failure::io(path, &error))?;
    Ok(output)
}
