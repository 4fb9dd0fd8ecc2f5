//! `envelope keygen`: generates master keys.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use envelope_core::{AesKeyWrapper, RsaKeyWrapper};
use zeroize::Zeroizing;

use crate::{
    args::{KeyKind, Keygen},
    failure::{Code, Failure},
    key_file::MasterKey,
    output::{Output, Secrecy, print_line},
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
            if args.der {
                return Err(Failure::usage("only RSA keys have a form in DER", "omit --der"));
            }
            let name = if args.kind == KeyKind::Aes { "master.key" } else { "origin.key" };
            let [path] = paths(&args.out, [name])?;
            let text = AesKeyWrapper::generate_text()
                .map_err(|error| Failure::new(Code::Io, error, "retry"))?;
            prepare(&path, Secrecy::Secret, text.as_bytes())?.commit()?;
            if args.kind == KeyKind::Origin {
                return print_line(&format_args!(
                    "{}: an origin key; whoever writes and whoever reads needs it, so keep a copy",
                    path.display()
                ));
            }
            let key = MasterKey::Aes(
                AesKeyWrapper::read(text.as_bytes())
                    .map_err(|error| Failure::new(Code::Io, error, "retry"))?,
            );
            tell(&path, &key)
        }
        KeyKind::Rsa => {
            let names = match args.der {
                true => ["private_key.der", "public_key.der"],
                false => ["private_key.pem", "public_key.pem"],
            };
            let [private_path, public_path] = paths(&args.out, names)?;
            if !(RsaKeyWrapper::MIN_WRAP_BITS..=8192).contains(&args.bits) {
                return Err(Failure::usage(
                    format_args!("cannot generate an RSA key of {} bits", args.bits),
                    "choose --bits from 2048 to 8192",
                ));
            }
            let failed = |error| Failure::new(Code::Io, error, "retry");
            let key = RsaKeyWrapper::generate(args.bits).map_err(failed)?;
            let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
            let (private, public) = match args.der {
                true => (
                    key.private_der(passphrase).map_err(failed)?,
                    key.public_der().map_err(failed)?,
                ),
                false => (
                    Zeroizing::new(
                        key.private_pem(passphrase).map_err(failed)?.as_bytes().to_vec(),
                    ),
                    key.public_pem().map_err(failed)?.into_bytes(),
                ),
            };
            let private = prepare(&private_path, Secrecy::Secret, &private)?;
            let public = prepare(&public_path, Secrecy::Public, &public)?;
            private.commit_both(public)?;
            tell(&private_path, &MasterKey::Rsa(key))
        }
    }
}

/// Says which key this is, and that it must not be lost.
fn tell(path: &Path, key: &MasterKey) -> Result<(), Failure> {
    print_line(&format_args!("{}: {}", path.display(), key.summary()?))?;
    print_line(
        &"Keep a copy in a safe place: without it, nothing that it encrypts can be read again.",
    )
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
