//! Access keys.

use secrecy::{ExposeSecret as _, SecretString};

/// An access key, with a session token if it is temporary.
///
/// The secret parts are omitted from debug output and wiped from memory when dropped. The signer
/// keeps a copy of its own for as long as the bucket lives.
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
