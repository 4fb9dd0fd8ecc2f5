//! Access keys.

use std::{fmt, sync::Arc};

pub use reqsign_core::ProvideCredential;
use reqsign_core::{Context, ProvideCredentialDyn};
use secrecy::{ExposeSecret as _, SecretString};

/// An access key, with the token of a temporary one. The secret parts are wiped and not printed.
///
/// It is its own [provider](ProvideCredential), for keys that do not change.
///
/// ```
/// use envelope_cloud::{Credentials, SharedCredentials};
///
/// let key = Credentials::new("an id", "a secret").with_token("a token");
/// let provider = SharedCredentials::new(key); // or any `ProvideCredential`
/// ```
#[derive(Clone, Debug)]
pub struct Credentials {
    id: String,
    secret: SecretString,
    token: Option<SecretString>,
}

impl Credentials {
    /// Creates a permanent access key.
    #[must_use]
    pub fn new(id: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        Self { id: id.into(), secret: secret.into(), token: None }
    }

    /// Sets the session token of a temporary access key.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Returns the id, which is no secret.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the secret, to sign with.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.secret.expose_secret()
    }

    /// Returns the session token of a temporary access key.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|token| token.expose_secret())
    }
}

impl ProvideCredential for Credentials {
    type Credential = Self;

    async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Self>> {
        Ok(Some(self.clone()))
    }
}

/// A provider of access keys, shared by the clients that sign with them. It is asked whenever a
/// request is signed, so that rotating keys are fresh; a provider that asks a service itself
/// caches.
///
/// ```
/// use envelope_cloud::{Credentials, ProvideCredential, SharedCredentials};
///
/// /// Reads a file that something else rotates.
/// #[derive(Debug)]
/// struct Rotating;
///
/// impl ProvideCredential for Rotating {
///     type Credential = Credentials;
///     async fn provide_credential(
///         &self,
///         _: &reqsign_core::Context,
///     ) -> reqsign_core::Result<Option<Credentials>> {
///         # let read = || ("id", "secret");
///         let (id, secret) = read();
///         Ok(Some(Credentials::new(id, secret)))
///     }
/// }
///
/// let credentials = SharedCredentials::new(Rotating);
/// assert_eq!(pollster::block_on(credentials.get())?.id(), "id");
/// # Ok::<(), envelope_cloud::CredentialsError>(())
/// ```
#[derive(Clone)]
pub struct SharedCredentials {
    provider: Arc<dyn ProvideCredentialDyn<Credential = Credentials>>,
    /// The same provider, if it can be told that a key was refused.
    renewable: Option<Arc<dyn Renewable>>,
}

/// A provider that remembers keys, and can be told that a service has refused one.
pub trait Renewable: Send + Sync {
    /// Makes the provider ask for another key, unless this one is so new that it cannot be the
    /// reason.
    fn refused(&self, key: &Credentials);
}

impl fmt::Debug for SharedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedCredentials")
    }
}

impl SharedCredentials {
    /// Shares a provider.
    #[must_use]
    pub fn new(provider: impl ProvideCredential<Credential = Credentials>) -> Self {
        Self { provider: Arc::new(provider), renewable: None }
    }

    /// Shares a provider that remembers keys.
    #[must_use]
    pub fn renewable(
        provider: impl ProvideCredential<Credential = Credentials> + Renewable,
    ) -> Self {
        let provider = Arc::new(provider);
        let renewable: Arc<dyn Renewable> = provider.clone();
        Self { provider, renewable: Some(renewable) }
    }

    /// Tells the provider that a service has refused a key, which may have expired earlier than it
    /// should.
    pub fn refused(&self, key: &Credentials) {
        if let Some(provider) = &self.renewable {
            provider.refused(key);
        }
    }

    /// Returns the access key to sign with now. It can be dropped at any time.
    ///
    /// # Errors
    /// If there is none.
    pub async fn get(&self) -> Result<Credentials, CredentialsError> {
        match self.provider.provide_credential_dyn(&Context::new()).await {
            Ok(Some(credentials)) => Ok(credentials),
            Ok(None) => Err(CredentialsError {
                reason: "there is no access key".to_owned(),
                is_transient: false,
            }),
            Err(error) => Err(CredentialsError {
                reason: error.to_string(),
                is_transient: error.is_retryable(),
            }),
        }
    }
}

impl ProvideCredential for SharedCredentials {
    type Credential = Credentials;

    async fn provide_credential(
        &self,
        context: &Context,
    ) -> reqsign_core::Result<Option<Credentials>> {
        self.provider.provide_credential_dyn(context).await
    }
}

/// The error returned when there is no access key. It never contains a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct CredentialsError {
    reason: String,
    is_transient: bool,
}

impl CredentialsError {
    /// Returns whether the provider expects to have a key soon.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.is_transient
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let credentials = Credentials::new("the id", "the secret").with_token("the token");
        let shared = SharedCredentials::new(credentials.clone());
        let printed = format!("{credentials:?} {shared:?}");
        assert!(printed.contains("the id"));
        assert!(!printed.contains("the secret") && !printed.contains("the token"));
        let got = pollster::block_on(shared.get()).unwrap();
        assert_eq!((got.secret(), got.token()), ("the secret", Some("the token")));
    }
}
