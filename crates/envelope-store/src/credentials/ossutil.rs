//! The configuration file of ossutil, which is only read.
//!
//! ossutil 1 has one section, `[Credentials]`; ossutil 2 has `[default]` and `[profile NAME]`. The
//! names of the entries are the same.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use ini::Ini;

use super::{cached::with_token, home, unusable};
use crate::{Credentials, SettingsError};

/// Returns where the file is: `OSSUTIL_CONFIG_FILE`, or `~/.ossutilconfig`.
pub(super) fn path() -> Option<PathBuf> {
    let named = env::var_os("OSSUTIL_CONFIG_FILE").filter(|path| !path.is_empty());
    named.map(PathBuf::from).or_else(|| Some(home()?.join(".ossutilconfig")))
}

/// Reads the access key of a profile.
pub(super) fn read(path: &Path, profile: Option<&str>) -> Result<Credentials, SettingsError> {
    let text = fs::read_to_string(path).map_err(|_| unusable(path, "it cannot be read"))?;
    parse(&text, profile).map_err(|reason| unusable(path, reason))
}

fn parse(text: &str, profile: Option<&str>) -> Result<Credentials, &'static str> {
    let file = Ini::load_from_str(text).map_err(|_| "it is no configuration of ossutil")?;
    let name = profile.unwrap_or("default");
    let named = format!("profile {name}");
    let old = (profile.is_none()).then_some("Credentials");
    let section = [Some(name), Some(named.as_str()), old]
        .into_iter()
        .flatten()
        .find_map(|name| file.section(Some(name)))
        .ok_or("there is no such profile in it")?;
    let entry = |wanted: &str| {
        let mut entries = section.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        entries.next().map(|(_, value)| value.to_owned()).filter(|value| !value.is_empty())
    };
    // In another mode, the key is that of the user who takes a role, or a left-over.
    let mode = entry("mode").unwrap_or_default().to_ascii_lowercase();
    if !["", "ak", "ststoken"].contains(&mode.as_str()) {
        return Err("its mode is not AK or StsToken, and others are not read");
    }
    match (entry("accessKeyID"), entry("accessKeySecret")) {
        (Some(id), Some(secret)) => Ok(with_token(Credentials::new(id, secret), entry("stsToken"))),
        _ => Err("there is no access key in it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions() {
        let one = "[Credentials]\nlanguage=CH\nendpoint=oss-cn-x.aliyuncs.com\naccessKeyID=i1\n\
                   accessKeySecret=s1\n";
        let two = "[default]\naccessKeyID = i2\naccessKeySecret = s2\nregion = cn-x\n\
                   [profile dev]\naccessKeyID=i3\naccessKeySecret=s3\nstsToken=t3\n\
                   [profile role]\nmode=RamRoleArn\naccessKeyID=i4\naccessKeySecret=s4\n";
        let key = |text, profile| {
            let key = parse(text, profile)?;
            Ok::<_, &str>((key.id().to_owned(), key.token().map(str::to_owned)))
        };
        assert_eq!(key(one, None), Ok(("i1".to_owned(), None)));
        assert_eq!(key(two, None), Ok(("i2".to_owned(), None)));
        assert_eq!(key(two, Some("dev")), Ok(("i3".to_owned(), Some("t3".to_owned()))));
        assert!(key(two, Some("role")).is_err() && key(two, Some("none")).is_err());
        assert!(key(one, Some("dev")).is_err() && key("", None).is_err());
    }
}
