//! Access keys that a program prints.
//!
//! The program prints JSON as that of ossutil 2 (`AccessKeyId`, `AccessKeySecret`,
//! `SecurityToken`, `Expiration`) or as `credential_process` of the AWS tools (`SecretAccessKey`,
//! `SessionToken`); the names of Tencent Cloud (`TmpSecretId`, `TmpSecretKey`, `Token`) are read,
//! too.

use std::{process::Stdio, time::Duration};

use reqsign_core::{Context, Error, ProvideCredential};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::{process::Command, time::timeout};
use zeroize::Zeroizing;

use super::cached::Fresh;
use crate::Credentials;

/// The longest that the program may take, which may ask somebody.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program and its arguments. No shell is involved.
#[derive(Debug)]
pub(super) struct Process(Vec<String>);

#[derive(Deserialize)]
struct Printed {
    #[serde(alias = "AccessKeyID", alias = "TmpSecretId", alias = "access_key_id")]
    #[serde(rename = "AccessKeyId")]
    id: String,
    #[serde(alias = "SecretAccessKey", alias = "TmpSecretKey", alias = "access_key_secret")]
    #[serde(rename = "AccessKeySecret")]
    secret: SecretString,
    #[serde(alias = "SessionToken", alias = "Token", alias = "sts_token")]
    #[serde(rename = "SecurityToken")]
    token: Option<SecretString>,
    #[serde(rename = "Expiration")]
    expiration: Option<String>,
}

impl Process {
    pub(super) const fn new(command: Vec<String>) -> Self {
        Self(command)
    }
}

impl ProvideCredential for Process {
    type Credential = Fresh;

    async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Fresh>> {
        let Some((program, arguments)) = self.0.split_first() else { return Ok(None) };
        let failed = |words: &str| Error::unexpected(format!("{program}: {words}"));
        let mut command = Command::new(program);
        // What it prints is the key; what it says besides goes where our own words go.
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let child = command.spawn().map_err(|error| failed(&error.to_string()))?;
        let ended = timeout(PATIENCE, child.wait_with_output()).await;
        let output = ended
            .map_err(|_| failed("takes too long"))?
            .map_err(|error| failed(&error.to_string()))?;
        let printed = Zeroizing::new(output.stdout);
        if !output.status.success() {
            return Err(failed(&output.status.to_string()));
        }
        parse(&printed).map(Some).ok_or_else(|| failed("does not print an access key"))
    }
}

fn parse(printed: &[u8]) -> Option<Fresh> {
    let printed: Printed = serde_json::from_slice(printed).ok()?;
    let expires = match printed.expiration {
        Some(time) => Some(time.parse::<jiff::Timestamp>().ok()?.as_second()),
        None => None,
    };
    let key = Credentials::new(printed.id, printed.secret);
    let key = match printed.token {
        Some(token) => key.with_token(token),
        None => key,
    };
    Some(Fresh { key, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        for text in [
            r#"{"AccessKeyId":"i","AccessKeySecret":"s","SecurityToken":"t",
                "Expiration":"2026-11-27T00:00:00Z"}"#,
            r#"{"Version":1,"AccessKeyId":"i","SecretAccessKey":"s","SessionToken":"t",
                "Expiration":"2026-11-27T00:00:00Z"}"#,
            r#"{"TmpSecretId":"i","TmpSecretKey":"s","Token":"t",
                "Expiration":"2026-11-27T00:00:00Z"}"#,
            r#"{"mode":"StsToken","access_key_id":"i","access_key_secret":"s","sts_token":"t",
                "Expiration":"2026-11-27T00:00:00Z"}"#,
        ] {
            let fresh = parse(text.as_bytes()).unwrap();
            let key = (fresh.key.id(), fresh.key.secret(), fresh.key.token());
            assert_eq!(key, ("i", "s", Some("t")), "{text}");
            assert_eq!(fresh.expires, Some(1_795_737_600), "{text}");
        }
        assert!(parse(br#"{"AccessKeyId":"i","AccessKeySecret":"s"}"#).unwrap().expires.is_none());
        for bad in ["", "{}", r#"{"AccessKeyId":"i","AccessKeySecret":"s","Expiration":"soon"}"#] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn programs() {
        let run = |line: &str| {
            let process = Process::new(["sh", "-c", line].map(str::to_owned).to_vec());
            async move { process.provide_credential(&Context::new()).await }
        };
        let printed = r#"echo '{"AccessKeyId":"i","AccessKeySecret":"s"}'"#;
        assert_eq!(run(printed).await.unwrap().unwrap().key.id(), "i");
        for bad in ["exit 3", "echo '{\"AccessKeySecret\":\"the secret\"}'"] {
            let words = run(bad).await.unwrap_err().to_string();
            assert!(words.contains("sh") && !words.contains("the secret"), "{words}");
        }
    }
}
