//! The CAM role of a virtual machine (CVM) of Tencent Cloud.
//!
//! The metadata service of the machine hands out temporary keys, as `util/cam_auth.go` of coscli
//! and the SDKs ask for them.

use bytes::Bytes;
use reqsign_core::{Context, Error, ProvideCredential};
use serde::Deserialize;

use super::cached::{Fresh, with_token};
use crate::Credentials;

/// Reached only from the machine itself, so that it needs no TLS.
const SERVICE: &str = "http://metadata.tencentyun.com";

/// The role of this machine.
#[derive(Debug)]
pub(super) struct CvmRole {
    service: String,
    /// The only one that the machine has, if it is not named.
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    code: String,
    tmp_secret_id: String,
    tmp_secret_key: String,
    token: String,
    expired_time: i64,
}

impl CvmRole {
    pub(super) fn new(name: Option<&str>) -> Self {
        Self { service: SERVICE.to_owned(), name: name.map(str::to_owned) }
    }

    async fn ask(&self, context: &Context, name: &str) -> reqsign_core::Result<Bytes> {
        let path = "latest/meta-data/cam/security-credentials";
        let url = format!("{}/{path}/{name}", self.service);
        let request = http::Request::get(url).body(Bytes::new());
        let request = request.map_err(|error| Error::config_invalid(error.to_string()))?;
        let response = context.http_send(request).await?;
        match response.status() {
            http::StatusCode::OK => Ok(response.into_body()),
            status => Err(Error::unexpected(format!("the metadata service answers {status}"))),
        }
    }
}

impl ProvideCredential for CvmRole {
    type Credential = Fresh;

    async fn provide_credential(&self, context: &Context) -> reqsign_core::Result<Option<Fresh>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                let names = self.ask(context, "").await?;
                let names = String::from_utf8_lossy(&names).into_owned();
                names.lines().next().unwrap_or_default().trim().to_owned()
            }
        };
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_word) {
            return Err(Error::config_invalid("this machine has no role"));
        }
        let body = self.ask(context, &name).await?;
        // The parser's own words could repeat a key.
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| Error::unexpected("the metadata service answers something else"))?;
        if answer.code != "Success" {
            return Err(Error::unexpected("the metadata service has no key for the role"));
        }
        let key = Credentials::new(answer.tmp_secret_id, answer.tmp_secret_key);
        let key = with_token(key, Some(answer.token));
        Ok(Some(Fresh { key, expires: Some(answer.expired_time) }))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        thread,
    };

    use super::{
        super::cached::{Cached, Proxies},
        *,
    };

    /// Answers requests one after the other, and returns their paths.
    fn service(answers: Vec<String>) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = thread::spawn(move || {
            answers
                .into_iter()
                .map(|answer| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    let first = lines.next().unwrap().unwrap();
                    while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ";
                    write!(stream, "{head}{}\r\n\r\n{answer}", answer.len()).unwrap();
                    first.split(' ').nth(1).unwrap().to_owned()
                })
                .collect()
        });
        (url, served)
    }

    fn answer(id: &str, lasts: i64) -> String {
        let expires = jiff::Timestamp::now().as_second() + lasts;
        format!(
            r#"{{"TmpSecretId":"{id}","TmpSecretKey":"the secret","ExpiredTime":{expires},
            "Expiration":"2026-01-01T00:00:00Z","Token":"the token","Code":"Success"}}"#
        )
    }

    #[tokio::test]
    async fn a_key_is_asked_for_again_before_it_expires() {
        let answers = vec![
            "a-role\n".to_owned(),
            answer("first", 100),
            "a-role\n".to_owned(),
            answer("second", 3600),
        ];
        let (service, served) = service(answers);
        let cached = Cached::new(CvmRole { service, name: None }, Proxies::None);
        for id in ["first", "second", "second"] {
            let key = cached.provide_credential(&Context::new()).await.unwrap().unwrap();
            assert_eq!(
                (key.id(), key.secret(), key.token()),
                (id, "the secret", Some("the token"))
            );
        }
        let path = "/latest/meta-data/cam/security-credentials/";
        let role = format!("{path}a-role");
        assert_eq!(served.join().unwrap(), [path, &role, path, &role]);
    }

    #[tokio::test]
    async fn what_is_no_key_is_refused_and_not_repeated() {
        for (name, body) in [
            (Some("r"), r#"{"Code":"NoRole"}"#),
            (Some("r"), r#"{"Code":"Success","TmpSecretKey":7,"x":"the secret"}"#),
            (None, "../../other"),
            (None, ""),
        ] {
            let (service, served) = service(vec![body.to_owned()]);
            let role = CvmRole { service, name: name.map(str::to_owned) };
            let error = Cached::new(role, Proxies::None).provide_credential(&Context::new()).await;
            let words = error.unwrap_err().to_string();
            assert!(!words.contains("the secret"), "{words}");
            served.join().unwrap();
        }
    }
}
