//! Access keys that expire, kept until shortly before they do.

use std::time::{Duration, Instant};

use bytes::Bytes;
use envelope_cloud::Renewable;
use jiff::Timestamp;
use reqsign_core::{Context, Error, FileRead, HttpSend, OsEnv, ProvideCredential};
use reqwest::{ClientBuilder, redirect::Policy};
use tokio::sync::Mutex;

use crate::Credentials;

/// How long before its end a key is replaced.
const EARLY: Duration = Duration::from_secs(300);
/// The longest that a service may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A key that is not older than this has not expired, and is not asked for again: a service refuses
/// requests for other reasons, too.
const NEW: Duration = Duration::from_secs(60);
/// The longest answer of a service that hands out keys, in bytes.
const MAX_ANSWER: usize = 64 << 10;

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
    held: Mutex<Option<Held>>,
}

/// A key that was handed out.
#[derive(Debug)]
struct Held {
    key: Credentials,
    expires: Option<i64>,
    since: Instant,
    /// A service has refused it.
    is_refused: bool,
}

impl Held {
    /// Returns whether the key is valid for longer than `margin` seconds.
    fn lasts(&self, margin: i64) -> bool {
        let now = Timestamp::now().as_second();
        self.expires.is_none_or(|expires| expires > now.saturating_add(margin))
    }
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
        let early = i64::try_from(EARLY.as_secs()).unwrap_or(i64::MAX);
        if let Some(known) = held.as_ref().filter(|it| !it.is_refused && it.lasts(early)) {
            return Ok(Some(known.key.clone()));
        }
        let fresh = self.provider.provide_credential(&self.context).await;
        match (fresh, &mut *held) {
            (Ok(Some(fresh)), _) => {
                let (key, expires) = fresh.into_key();
                let known = Held { key, expires, since: Instant::now(), is_refused: false };
                Ok(Some(held.insert(known).key.clone()))
            }
            // One that is still valid is better than none.
            (_, Some(known)) if known.lasts(0) => {
                // Nobody else has to wait for the same answer.
                (known.is_refused, known.since) = (false, Instant::now());
                Ok(Some(known.key.clone()))
            }
            (Ok(None), _) => Err(Error::config_invalid(
                "the role is not configured: the variables that name it are not all set",
            )),
            (Err(error), earlier) => {
                let error = match P::Credential::IS_OURS {
                    true => error,
                    // The answer of the service may hold a key, and is not passed on.
                    false => {
                        Error::unexpected(format!("no access key was given: {:?}", error.kind()))
                    }
                };
                // Whoever gave a key before will give one again.
                Err(error.set_retryable(earlier.is_some()))
            }
        }
    }
}

impl<P: Send + Sync> Renewable for Cached<P> {
    fn refused(&self, key: &Credentials) {
        // Whoever holds the lock is asking for a key.
        let Ok(mut held) = self.held.try_lock() else { return };
        if let Some(known) = &mut *held
            && known.key.id() == key.id()
            && known.since.elapsed() > NEW
        {
            known.is_refused = true;
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
        let mut response =
            client.build().map_err(failed)?.execute(request).await.map_err(failed)?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Error::unexpected("the answer is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        answer.body(body.into()).map_err(|error| Error::unexpected(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    /// Hands out a key with another ID each time, which is valid for an hour.
    #[derive(Debug, Default)]
    struct Counting(AtomicU32);

    impl ProvideCredential for Counting {
        type Credential = Fresh;

        async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Fresh>> {
            let id = self.0.fetch_add(1, Relaxed).to_string();
            let expires = Some(Timestamp::now().as_second() + 3600);
            Ok(Some(Fresh { key: Credentials::new(id, "secret"), expires }))
        }
    }

    /// Hands out one key, which has expired already.
    #[derive(Debug, Default)]
    struct Once(AtomicU32);

    impl ProvideCredential for Once {
        type Credential = Fresh;

        async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Fresh>> {
            match self.0.fetch_add(1, Relaxed) {
                1 => Ok(Some(Fresh { key: Credentials::new("id", "secret"), expires: Some(0) })),
                _ => Err(Error::unexpected("no answer")),
            }
        }
    }

    #[tokio::test]
    async fn a_service_that_gave_a_key_before_is_asked_again() {
        let cached = Cached::new(Once::default(), Proxies::None);
        let context = Context::new();
        // It may not be there at all.
        assert!(!cached.provide_credential(&context).await.unwrap_err().is_retryable());
        cached.provide_credential(&context).await.unwrap();
        assert!(cached.provide_credential(&context).await.unwrap_err().is_retryable());
    }

    #[tokio::test]
    async fn a_key_that_was_refused_is_asked_for_again() {
        let cached = Cached::new(Counting::default(), Proxies::None);
        let context = Context::new();
        let get = || async { cached.provide_credential(&context).await.unwrap().unwrap() };
        let first = get().await;
        // It was just handed out, so that something else is the reason.
        cached.refused(&first);
        assert_eq!(get().await.id(), "0");
        cached.held.lock().await.as_mut().unwrap().since -= 2 * NEW;
        assert_eq!(get().await.id(), "0");
        cached.refused(&Credentials::new("another", "secret"));
        assert_eq!(get().await.id(), "0");
        cached.refused(&first);
        assert_eq!(get().await.id(), "1");
    }
}
