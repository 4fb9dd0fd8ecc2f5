//! Profiles in effect: what they say takes the place of arguments that are not given.

use std::{
    env,
    path::{Path, PathBuf},
};

use clap::ValueEnum as _;
use envelope_store::{Profile, SettingsError};

use crate::{
    args::{
        Args, Bucket, Command, Keys, Kms, Origin, Passphrase, ProfileChoice, Readers, Require,
        Requirement, Wrapping,
    },
    failure::Failure,
    input::warn_if_exposed,
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
        let is_named = self.config.is_some() || self.profile.is_some();
        let Some(path) = self.config.clone().or_else(default_path) else { return Ok(None) };
        if !is_named && !path.exists() {
            return Ok(None);
        }
        let name = self.profile.as_deref().unwrap_or(DEFAULT);
        let profile = match Profile::read(&path, name) {
            Err(SettingsError::NoProfile(_)) if self.profile.is_none() => return Ok(None),
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
    if matches!(args.command, Command::Init(_) | Command::Help(_)) {
        return Ok(());
    }
    let Some(profile) = args.profile.read()? else { return Ok(()) };
    let profile = &profile;
    match &mut args.command {
        Command::Encrypt(args) => {
            let one = (&mut args.key, &mut args.kms, &mut args.passphrase);
            write(one, profile)?;
            form(&mut args.wrapping, None, profile)?;
            origin(&mut args.sealing.origin, args.sealing.no_seal, profile);
        }
        Command::Decrypt(args) => {
            read((&mut args.key, &mut args.kms, &mut args.passphrase), profile)?;
            require(args.accept.require_mut(), profile)?;
            origin(&mut args.sealed.origin, false, profile);
        }
        Command::Inspect(args) => {
            bucket(&mut args.bucket, profile);
        }
        Command::Rewrap(args) => {
            bucket(&mut args.bulk.bucket, profile);
            read((&mut args.key, &mut args.kms, &mut args.passphrase), profile)?;
        }
        Command::Put(args) => {
            bucket(&mut args.bucket, profile);
            if !args.plaintext {
                let one = (&mut args.key, &mut args.kms, &mut args.passphrase);
                write(one, profile)?;
                form(&mut args.wrapping, Some(&mut args.readers), profile)?;
                origin(&mut args.sealing.origin, args.sealing.no_seal, profile);
            }
        }
        Command::Sync(args) => {
            bucket(&mut args.bucket, profile);
            let one = (&mut args.key, &mut args.kms, &mut args.passphrase);
            write(one, profile)?;
            form(&mut args.wrapping, Some(&mut args.readers), profile)?;
            origin(&mut args.sealing.origin, args.sealing.no_seal, profile);
            require(&mut args.accept.require, profile)?;
        }
        Command::Get(args) => reading(&mut args.read, profile)?,
        Command::Cat(args) => reading(&mut args.read, profile)?,
        Command::Verify(args) => reading(&mut args.read, profile)?,
        Command::Cp(args) => {
            bucket(&mut args.bucket, profile);
            keys(&mut args.keys, profile)?;
        }
        Command::Mv(args) => {
            bucket(&mut args.copy.bucket, profile);
            keys(&mut args.copy.keys, profile)?;
        }
        Command::Audit(args) => {
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
    readers: Option<&mut Readers>,
    profile: &Profile,
) -> Result<(), Failure> {
    let is_given = wrapping.dialect.is_some()
        || wrapping.wrap.is_some()
        || readers.as_ref().is_some_and(|readers| !readers.readers.is_empty());
    if is_given {
        return Ok(());
    }
    if let Some(readers) = readers
        && !profile.readers.is_empty()
    {
        for id in &profile.readers {
            readers.readers.push(id.parse().map_err(|error| wrong("for", &error))?);
        }
        return Ok(());
    }
    if let Some(text) = &profile.dialect {
        wrapping.dialect = Some(text.parse().map_err(|error| wrong("dialect", &error))?);
    }
    Ok(())
}

fn require(require: &mut Require, profile: &Profile) -> Result<(), Failure> {
    if !require.demands_encryption() {
        for word in &profile.require {
            let parsed = Requirement::from_str(word, false);
            require.push(parsed.map_err(|error| wrong("require", &error))?);
        }
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
