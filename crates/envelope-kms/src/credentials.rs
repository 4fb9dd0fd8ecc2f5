//! Access keys and their providers.

use envelope_core::kms::KmsError;
use secrecy::{ExposeSecret as _, SecretString};

/// An access key, with a session token if it is temporary. Secret parts are wiped and not printed.
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

    /// Adds the session token of a temporary access key.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn secret(&self) -> &str {
        self.secret.expose_secret()
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|token| token.expose_secret())
    }
}

/// A source of access keys. Queried before every attempt, so that rotated keys take effect.
pub trait CredentialsProvider: Send + Sync {
    /// Returns the access key to sign with now.
    ///
    /// # Errors
    /// Returns [`KmsError::Denied`] if there is none.
    fn credentials(&self) -> Result<Credentials, KmsError>;
}

impl CredentialsProvider for Credentials {
    fn credentials(&self) -> Result<Credentials, KmsError> {
        Ok(self.clone())
    }
}

/// Access keys from environment variables, under the names that the vendor's own tools use.
#[derive(Clone, Copy, Debug)]
pub struct EnvironmentCredentials {
    id: &'static str,
    secret: &'static str,
    token: &'static str,
}

/// Reads `ALIBABA_CLOUD_ACCESS_KEY_ID`, `ALIBABA_CLOUD_ACCESS_KEY_SECRET` and
/// `ALIBABA_CLOUD_SECURITY_TOKEN`.
#[must_use]
pub const fn aliyun_environment() -> EnvironmentCredentials {
    EnvironmentCredentials {
        id: "ALIBABA_CLOUD_ACCESS_KEY_ID",
        secret: "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        token: "ALIBABA_CLOUD_SECURITY_TOKEN",
    }
}

/// Reads `TENCENTCLOUD_SECRET_ID`, `TENCENTCLOUD_SECRET_KEY` and `TENCENTCLOUD_TOKEN`.
#[must_use]
pub const fn tencent_environment() -> EnvironmentCredentials {
    EnvironmentCredentials {
        id: "TENCENTCLOUD_SECRET_ID",
        secret: "TENCENTCLOUD_SECRET_KEY",
        token: "TENCENTCLOUD_TOKEN",
    }
}

impl CredentialsProvider for EnvironmentCredentials {
    fn credentials(&self) -> Result<Credentials, KmsError> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let need = |name: &str| {
            read(name).ok_or_else(|| {
                KmsError::Denied(format!("the environment variable {name} is not set"))
            })
        };
        let credentials = Credentials::new(need(self.id)?, need(self.secret)?);
        Ok(match read(self.token) {
            Some(token) => credentials.with_token(token),
            None => credentials,
        })
    }
}
