//! Where access keys come from, besides the environment and profiles: the files of the vendors'
//! tools, the role of a machine or of a pod, and programs.

mod cached;
mod coscli;
mod cvm_role;
mod ossutil;
mod process;

use std::{
    env,
    path::{Path, PathBuf},
};

use envelope_cloud::SharedCredentials;
use meta_codec::Vendor;
use reqsign_aliyun_oss::{AssumeRoleWithOidcCredentialProvider, EcsRamRoleCredentialProvider};
use reqsign_tencent_cos::AssumeRoleWithWebIdentityCredentialProvider;

use self::{
    cached::{Cached, Proxies},
    coscli::Coscli,
    cvm_role::CvmRole,
    process::Process,
};
use crate::{Environment, SettingsError, profile::Account};

/// The sources that a profile can name, for messages.
const SOURCES: &str = "environment, profile, ossutil[:PROFILE], coscli, ecs-role[:NAME], \
                       cvm-role[:NAME], oidc and process";

/// The variables that the vendors set in a pod that has a role: the file with its token.
const TOKEN_FILES: [(Vendor, &str); 3] = [
    (Vendor::Oss, "ALIBABA_CLOUD_OIDC_TOKEN_FILE"),
    (Vendor::Cos, "TENCENTCLOUD_WEB_IDENTITY_TOKEN_FILE"),
    (Vendor::Cos, "TKE_IDENTITY_TOKEN_FILE"),
];

/// Returns the access key of an account, from where the profile says, or from the first place that
/// has one: the environment, the profile, the role of the pod, the file of the vendor's tool.
///
/// # Errors
/// [`SettingsError`] if there is none, or if what should hold one cannot be read.
pub(crate) fn find(vendor: Vendor, account: &Account) -> Result<SharedCredentials, SettingsError> {
    let environment = Environment::store(vendor);
    let from_environment = || {
        let found = environment.credentials();
        found.map_err(|name| SettingsError::Missing { what: "secret", name })
    };
    let named = match (&account.credentials, account.process.is_empty()) {
        (Some(named), _) => Some(named.as_str()),
        (None, false) => Some("process"),
        (None, true) => None,
    };
    let Some(named) = named else {
        if let Some(key) = from_environment()? {
            return Ok(SharedCredentials::new(key));
        }
        if account.has_key() {
            return Ok(SharedCredentials::new(account.credentials(environment)?));
        }
        let has_token = |(of, name): &(Vendor, &str)| *of == vendor && env::var_os(name).is_some();
        if TOKEN_FILES.iter().any(has_token) {
            return Ok(oidc(vendor));
        }
        return match vendor {
            Vendor::Oss if ossutil::path().is_some_and(|path| path.exists()) => of_ossutil(None),
            Vendor::Cos if coscli::path().is_some_and(|path| path.exists()) => of_coscli(),
            _ => Ok(SharedCredentials::new(account.credentials(environment)?)),
        };
    };
    let (source, detail) = match named.split_once(':') {
        Some((source, detail)) => (source, Some(detail)),
        None => (named, None),
    };
    let missing = || SettingsError::Missing { what: "access key", name: environment.key_name() };
    match (source, vendor) {
        ("environment", _) => Ok(SharedCredentials::new(from_environment()?.ok_or_else(missing)?)),
        ("profile", _) => Ok(SharedCredentials::new(account.credentials(environment)?)),
        ("ossutil", Vendor::Oss) => of_ossutil(detail),
        ("coscli", Vendor::Cos) => of_coscli(),
        ("ecs-role", Vendor::Oss) => {
            let role = EcsRamRoleCredentialProvider::new();
            let role = match detail {
                Some(name) => role.with_role_name(name),
                None => role,
            };
            Ok(SharedCredentials::renewable(Cached::new(role, Proxies::None)))
        }
        ("cvm-role", Vendor::Cos) => Ok(cvm_role(detail)),
        ("oidc", _) => Ok(oidc(vendor)),
        ("process", _) if !account.process.is_empty() => {
            let process = Process::new(account.process.clone());
            Ok(SharedCredentials::renewable(Cached::new(process, Proxies::System)))
        }
        _ => Err(SettingsError::Source { name: named.to_owned(), known: SOURCES }),
    }
}

fn of_ossutil(profile: Option<&str>) -> Result<SharedCredentials, SettingsError> {
    let path = ossutil::path().ok_or_else(no_home)?;
    Ok(SharedCredentials::new(ossutil::read(&path, profile)?))
}

fn of_coscli() -> Result<SharedCredentials, SettingsError> {
    let path = coscli::path().ok_or_else(no_home)?;
    Ok(match coscli::read(&path)? {
        Coscli::Key(key) => SharedCredentials::new(key),
        Coscli::Role(name) => cvm_role(Some(&name)),
    })
}

fn cvm_role(name: Option<&str>) -> SharedCredentials {
    SharedCredentials::renewable(Cached::new(CvmRole::new(name), Proxies::None))
}

fn oidc(vendor: Vendor) -> SharedCredentials {
    match vendor {
        Vendor::Oss => {
            let role = AssumeRoleWithOidcCredentialProvider::new();
            SharedCredentials::renewable(Cached::new(role, Proxies::System))
        }
        Vendor::Cos => {
            let role = AssumeRoleWithWebIdentityCredentialProvider::new();
            SharedCredentials::renewable(Cached::new(role, Proxies::System))
        }
    }
}

fn home() -> Option<PathBuf> {
    env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

fn no_home() -> SettingsError {
    SettingsError::Missing { what: "home folder", name: "HOME" }
}

/// The error for a file of another tool that has no access key, or cannot be read. It never
/// repeats what is in the file.
fn unusable(path: &Path, reason: &'static str) -> SettingsError {
    SettingsError::OtherTool { path: path.to_owned(), reason }
}
