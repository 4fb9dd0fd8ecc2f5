//! Profiles in effect: what they say takes the place of arguments that are not given.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use clap::ValueEnum as _;
use envelope_store::{Profile, SettingsError};

use crate::{
    args::{
        Args, Bucket, Command, Cp, Keys, Kms, Origin, Passphrase, ProfileChoice, Readers, Require,
        Requirement, SyncArgs, Wrapping,
    },
    failure::{Failure, warn},
    input::warn_if_exposed,
    store::address as address_of,
};

/// The name of the profile that is used if none is named.
pub(crate) const DEFAULT: &str = "default";

/// Returns the file of profiles that is used if none is named.
pub(crate) fn default_path() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let home = set("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&set("HOME")?).join(".config")));
    Some(home?.join("envelope/config.toml"))
}

impl ProfileChoice {
    /// Reads the profile. The file is optional, unless it or a profile was named.
    pub(crate) fn read(&self) -> Result<Option<Profile>, Failure> {
        if self.no_profile {
            return Ok(None);
        }
        let is_named = self.config.is_some() || self.profile.is_some();
        let Some(path) = self.config.clone().or_else(default_path) else { return Ok(None) };
        // A file that is there and cannot be read may hold requirements.
        let is_missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
        if !is_named && path.symlink_metadata().is_err_and(is_missing) {
            return Ok(None);
        }
        let name = self.profile.as_deref().unwrap_or(DEFAULT);
        let profile = match Profile::read(&path, name) {
            Err(SettingsError::NoProfile(_)) if !is_named => {
                warn(format_args!("{}: there is no profile `{name}`", path.display()));
                return Ok(None);
            }
            outcome => outcome.map_err(|error| Failure::from(error).about(&path.display()))?,
        };
        if profile.has_secrets() {
            warn_if_exposed(&path);
        }
        Ok(Some(profile))
    }
}

/// Gives the arguments what they do not have and the profile does.
pub(crate) fn apply(args: &mut Args) -> Result<(), Failure> {
    // These read no objects and write none.
    let is_apart = matches!(
        args.command,
        Command::Init(_)
            | Command::Help(_)
            | Command::Keygen(_)
            | Command::Key(_)
            | Command::SseHeaders(_)
            | Command::Bench(_)
            | Command::Demo(_)
            | Command::Completions(_)
            | Command::Man(_)
    );
    if is_apart {
        return Ok(());
    }
    let Some(profile) = args.profile.read()? else { return Ok(()) };
    let profile = &profile;
    match &mut args.command {
        Command::Encrypt(args) => {
            let one = (&mut args.key, &mut args.kms, &mut args.passphrase);
            write(one, profile)?;
            let is_given = args.content.is_some();
            form(&mut args.wrapping, &mut args.readers, is_given, profile)?;
            origin(&mut args.sealing.origin, args.sealing.no_seal, profile);
        }
        Command::Decrypt(args) => {
            read((&mut args.key, &mut args.kms, &mut args.passphrase), profile)?;
            require(args.accept.require_mut(), profile)?;
            origin(&mut args.sealed.origin, false, profile);
        }
        Command::Inspect(args) => {
            bucket(&mut args.bucket, profile);
            read((&mut args.key, &mut args.kms, &mut args.passphrase), profile)?;
            require(&mut args.require, profile)?;
            origin(&mut args.sealed.origin, false, profile);
        }
        Command::Rewrap(args) => {
            bucket(&mut args.bulk.bucket, profile);
            read((&mut args.key, &mut args.kms, &mut args.passphrase), profile)?;
            require(&mut args.require, profile)?;
            origin(&mut args.sealed.origin, args.no_seal, profile);
        }
        Command::Put(args) => {
            bucket(&mut args.bucket, profile);
            if !args.plaintext {
                let one = (&mut args.key, &mut args.kms, &mut args.passphrase);
                write(one, profile)?;
                let is_given = args.content.is_some();
                form(&mut args.wrapping, &mut args.readers, is_given, profile)?;
                origin(&mut args.sealing.origin, args.sealing.no_seal, profile);
            }
        }
        Command::Sync(args) => sync(args, profile)?,
        Command::Get(args) => reading(&mut args.read, profile)?,
        Command::Cat(args) => reading(&mut args.read, profile)?,
        Command::Verify(args) => reading(&mut args.read, profile)?,
        Command::Cp(args) => copying(args, profile)?,
        Command::Mv(args) => copying(&mut args.copy, profile)?,
        Command::Audit(args) => {
            bucket(&mut args.bucket, profile);
            keys(&mut args.keys, profile)?;
            require(&mut args.require, profile)?;
            origin(&mut args.origin, false, profile);
        }
        Command::Doctor(args) => {
            bucket(&mut args.bucket, profile);
            keys(&mut args.keys, profile)?;
        }
        Command::Ls(args) => bucket(&mut args.bucket, profile),
        Command::Du(args) => bucket(&mut args.bucket, profile),
        Command::Rm(args) => bucket(&mut args.bucket, profile),
        Command::Restore(args) => bucket(&mut args.bucket, profile),
        Command::Sign(args) => bucket(&mut args.bucket, profile),
        Command::Uploads(args) => bucket(args.command.bucket_mut(), profile),
        _ => {}
    }
    Ok(())
}

fn copying(args: &mut Cp, profile: &Profile) -> Result<(), Failure> {
    bucket(&mut args.bucket, profile);
    keys(&mut args.keys, profile)?;
    require(&mut args.require, profile)?;
    origin(&mut args.origin, false, profile);
    Ok(())
}

/// Uploads are written with the first key; downloads are read with all of them.
fn sync(args: &mut SyncArgs, profile: &Profile) -> Result<(), Failure> {
    bucket(&mut args.bucket, profile);
    let is_given = args.key.is_some() || args.kms.kms.is_some();
    let one = (&mut args.key, &mut args.kms, &mut args.passphrase);
    write(one, profile)?;
    if address_of(&args.from).is_some() {
        if !is_given {
            args.other_keys = profile.keys.get(1..).unwrap_or_default().to_vec();
            args.kms.kms = address(profile)?;
        }
        require(&mut args.accept.require, profile)?;
    } else {
        let is_given = args.content.is_some();
        form(&mut args.wrapping, &mut args.readers, is_given, profile)?;
    }
    origin(&mut args.sealing.origin, args.sealing.no_seal, profile);
    Ok(())
}

fn bucket(bucket: &mut Bucket, profile: &Profile) {
    bucket.profile = profile.clone();
}

fn reading(args: &mut crate::args::Read, profile: &Profile) -> Result<(), Failure> {
    bucket(&mut args.bucket, profile);
    keys(&mut args.keys, profile)?;
    require(args.accept.require_mut(), profile)?;
    origin(&mut args.sealed.origin, false, profile);
    Ok(())
}

fn keys(keys: &mut Keys, profile: &Profile) -> Result<(), Failure> {
    keys.from_profile = keys.key.is_empty() && keys.kms.kms.is_none();
    read((&mut keys.key, &mut keys.kms, &mut keys.passphrase), profile)
}

/// All keys of the profile read, and its KMS.
fn read(
    (key, kms, passphrase): (&mut Vec<PathBuf>, &mut Kms, &mut Passphrase),
    profile: &Profile,
) -> Result<(), Failure> {
    if key.is_empty() && kms.kms.is_none() {
        key.clone_from(&profile.keys);
        kms.kms = address(profile)?;
        unlock(passphrase, profile);
    }
    Ok(())
}

/// The first key of the profile writes; without one, its KMS.
fn write(
    (key, kms, passphrase): (&mut Option<PathBuf>, &mut Kms, &mut Passphrase),
    profile: &Profile,
) -> Result<(), Failure> {
    if key.is_none() && kms.kms.is_none() {
        *key = profile.keys.first().cloned();
        if key.is_none() {
            kms.kms = address(profile)?;
        }
        unlock(passphrase, profile);
    }
    Ok(())
}

fn unlock(passphrase: &mut Passphrase, profile: &Profile) {
    if !passphrase.is_given() {
        passphrase.passphrase_file.clone_from(&profile.passphrase_file);
    }
}

fn address(profile: &Profile) -> Result<Option<envelope_kms::KmsAddress>, Failure> {
    let Some(text) = &profile.kms else { return Ok(None) };
    text.parse().map(Some).map_err(|error| wrong("kms", &error))
}

/// How objects are written, unless an argument says it.
fn form(
    wrapping: &mut Wrapping,
    readers: &mut Readers,
    has_content: bool,
    profile: &Profile,
) -> Result<(), Failure> {
    let is_given = has_content
        || wrapping.dialect.is_some()
        || wrapping.wrap.is_some()
        || !readers.readers.is_empty();
    if is_given {
        return Ok(());
    }
    readers.from_profile = true;
    for id in &profile.readers {
        readers.readers.push(id.parse().map_err(|error| wrong("for", &error))?);
    }
    if let Some(text) = profile.dialect.as_ref().filter(|_| profile.readers.is_empty()) {
        wrapping.dialect = Some(text.parse().map_err(|error| wrong("dialect", &error))?);
    }
    Ok(())
}

/// What the profile requires is required in any case.
fn require(require: &mut Require, profile: &Profile) -> Result<(), Failure> {
    for word in &profile.require {
        let parsed = Requirement::from_str(word, false);
        require.push(parsed.map_err(|error| wrong("require", &error))?);
    }
    Ok(())
}

fn origin(origin: &mut Origin, no_seal: bool, profile: &Profile) {
    if origin.origin_key.is_none() && !no_seal {
        origin.origin_key.clone_from(&profile.origin_key);
    }
}

fn wrong(key: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(
        format_args!("the profile's `{key}`: {error}"),
        "see `envelope help profiles` for what a profile may hold",
    )
}
