//! Access keys that expire, kept until shortly before they do.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqsign_core::{Context, Error, FileRead, HttpSend, OsEnv, ProvideCredential};
use reqwest::{ClientBuilder, redirect::Policy};
use tokio::sync::Mutex;

use crate::Credentials;

/// How long before its end a key is replaced.
const EARLY: Duration = Duration::from_secs(300);
/// The longest that a service may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a provider hands out.
pub(super) trait Temporary {
    /// Whether the words of the provider's errors are ours, and hold no key.
    const IS_OURS: bool = false;

    /// Returns the access key, and when it expires, in seconds since 1970.
    fn into_key(self) -> (Credentials, Option<i64>);
}

/// Whether requests go through the proxies of the system. Those to the machine's own metadata
/// service never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proxies {
    None,
    System,
}

/// A provider whose access key is asked for once, and again before it expires.
#[derive(Debug)]
pub(super) struct Cached<P> {
    provider: P,
    context: Context,
    held: Mutex<Option<(Credentials, Option<i64>)>>,
}

impl<P> Cached<P> {
    pub(super) fn new(provider: P, proxies: Proxies) -> Self {
        let context =
            Context::new().with_env(OsEnv).with_file_read(Files).with_http_send(Http { proxies });
        Self { provider, context, held: Mutex::new(None) }
    }
}

impl<P> ProvideCredential for Cached<P>
where
    P: ProvideCredential,
    P::Credential: Temporary,
{
    type Credential = Credentials;

    async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Credentials>> {
        let mut held = self.held.lock().await;
        let now = Timestamp::now().as_second();
        let early = i64::try_from(EARLY.as_secs()).unwrap_or(i64::MAX);
        let lasts = |expires: &Option<i64>, margin: i64| {
            expires.is_none_or(|expires| expires > now.saturating_add(margin))
        };
        if let Some((key, expires)) = &*held
            && lasts(expires, early)
        {
            return Ok(Some(key.clone()));
        }
        let fresh = self.provider.provide_credential(&self.context).await;
        match (fresh, &*held) {
            (Ok(Some(fresh)), _) => {
                let (key, expires) = fresh.into_key();
                *held = Some((key.clone(), expires));
                Ok(Some(key))
            }
            // One that is still valid is better than none.
            (_, Some((key, expires))) if lasts(expires, 0) => Ok(Some(key.clone())),
            (Ok(None), _) => Err(Error::config_invalid(
                "the role is not configured: the variables that name it are not all set",
            )),
            (Err(error), _) if P::Credential::IS_OURS => Err(error),
            // The answer of the service may hold a key, and is not passed on.
            (Err(error), _) => {
                Err(Error::unexpected(format!("no access key was given: {:?}", error.kind())))
            }
        }
    }
}

impl Temporary for reqsign_aliyun_oss::Credential {
    fn into_key(self) -> (Credentials, Option<i64>) {
        let key = Credentials::new(self.access_key_id, self.access_key_secret);
        (with_token(key, self.security_token), self.expires_in.map(|time| time.as_second()))
    }
}

impl Temporary for reqsign_tencent_cos::Credential {
    fn into_key(self) -> (Credentials, Option<i64>) {
        let key = Credentials::new(self.secret_id, self.secret_key);
        (with_token(key, self.security_token), self.expires_in.map(|time| time.as_second()))
    }
}

/// A key that our own providers hand out.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) key: Credentials,
    pub(super) expires: Option<i64>,
}

impl Temporary for Fresh {
    const IS_OURS: bool = true;

    fn into_key(self) -> (Credentials, Option<i64>) {
        (self.key, self.expires)
    }
}

pub(super) fn with_token(key: Credentials, token: Option<String>) -> Credentials {
    match token.filter(|token| !token.is_empty()) {
        Some(token) => key.with_token(token),
        None => key,
    }
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let read = tokio::fs::read(path).await;
        read.map_err(|error| Error::config_invalid(format!("{path}: {error}")))
    }
}

#[derive(Debug)]
struct Http {
    proxies: Proxies,
}

impl HttpSend for Http {
    async fn http_send(
        &self,
        request: http::Request<Bytes>,
    ) -> reqsign_core::Result<http::Response<Bytes>> {
        let failed = |error: reqwest::Error| {
            // The URL may hold a token.
            Error::unexpected(error.without_url().to_string())
        };
        let client = ClientBuilder::new().redirect(Policy::none()).timeout(PATIENCE);
        let client = match self.proxies {
            Proxies::None => client.no_proxy(),
            Proxies::System => client,
        };
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let response = client.build().map_err(failed)?.execute(request).await.map_err(failed)?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        let body = response.bytes().await.map_err(failed)?;
        answer.body(body).map_err(|error| Error::unexpected(error.to_string()))
    }
}
