//! The async client, on tokio. It shares everything but the transport with the blocking client.

use std::{
    error::Error as _,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use envelope_core::{
    BodyCipher, DecryptError, Decryptor, Keyring, KmsKeyWrapper, Policy,
    kms::{DataKey, Kms, KmsError},
};
use meta_codec::{Envelope, WrapAlgorithm};
use zeroize::Zeroizing;

use crate::{
    Answer, Call, Clock, CredentialsProvider, HttpRequest, HttpResponse, Service, SystemClock,
    TransportError,
    client::{judge, prepare},
    retry::Tries,
    transport::{MAX_BODY, TRY},
};

/// An async client that calls a service over `reqwest`, and retries as [`Client`](crate::Client)
/// does.
#[expect(missing_debug_implementations, reason = "holds credentials, which are not printed")]
pub struct AsyncClient<S> {
    service: S,
    http: reqwest::Client,
    credentials: Box<dyn CredentialsProvider>,
    clock: Box<dyn Clock>,
    passphrase: Option<Zeroizing<String>>,
}

impl<S: Service> AsyncClient<S> {
    /// Creates a client for a service.
    ///
    /// # Errors
    /// Returns [`KmsError::Unavailable`] if TLS cannot be set up on this machine.
    pub fn new(
        service: S,
        credentials: impl CredentialsProvider + 'static,
    ) -> Result<Self, KmsError> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TRY)
            .user_agent(concat!("envelope-kms/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| KmsError::Unavailable("TLS cannot be set up".to_owned()))?;
        let credentials = Box::new(credentials);
        Ok(Self { service, http, credentials, clock: Box::new(SystemClock), passphrase: None })
    }

    /// Generates a data key; see [`Kms::generate_data_key`].
    ///
    /// # Errors
    /// Returns [`KmsError`] if the call fails.
    pub async fn generate_data_key(&self, context: Option<&str>) -> Result<DataKey, KmsError> {
        let answer = self.call(&Call::GenerateDataKey { context }).await?;
        Ok(DataKey::new(answer.plaintext, answer.blob))
    }

    /// Encrypts a short plaintext; see [`Kms::encrypt`].
    ///
    /// # Errors
    /// Returns [`KmsError`] if the call fails.
    pub async fn encrypt(
        &self,
        plaintext: &str,
        context: Option<&str>,
    ) -> Result<String, KmsError> {
        Ok(self.call(&Call::Encrypt { plaintext, context }).await?.blob)
    }

    /// Decrypts a blob; see [`Kms::decrypt`].
    ///
    /// # Errors
    /// Returns [`KmsError`] if the call fails.
    pub async fn decrypt(
        &self,
        blob: &str,
        context: Option<&str>,
    ) -> Result<Zeroizing<String>, KmsError> {
        Ok(self.call(&Call::Decrypt { blob, context }).await?.plaintext)
    }

    /// Sets the passphrase of oss2's `AliKMSProvider`; see [`KmsKeyWrapper::with_passphrase`].
    #[must_use]
    pub fn with_passphrase(mut self, passphrase: &str) -> Self {
        self.passphrase = Some(Zeroizing::new(passphrase.to_owned()));
        self
    }

    /// Opens an envelope whose content key was wrapped by this service. The policy, layerings,
    /// contexts and key check are those of a [`Decryptor`]. To *encrypt*, use a blocking
    /// [`Client`](crate::Client) inside `tokio::task::spawn_blocking`.
    ///
    /// # Errors
    /// See [`Decryptor::open`].
    pub async fn open(
        &self,
        envelope: &Envelope,
        policy: &Policy,
    ) -> Result<BodyCipher, DecryptError> {
        // The decryptor expects a blocking service. It is therefore run against the answers known
        // so far; if it needs a new one, that call is made here and the decryptor is run again.
        let replay = Arc::new(Replay::new(self.service.algorithm()));
        let mut wrapper = KmsKeyWrapper::new(Arc::clone(&replay));
        if let Some(passphrase) = &self.passphrase {
            wrapper = wrapper.with_passphrase(passphrase);
        }
        let keyring = Keyring::new().with(wrapper);
        let decryptor = Decryptor::new(&keyring).with_policy(policy.clone());
        loop {
            let outcome = decryptor.open(envelope);
            let Some((blob, context)) = replay.open_question() else { return outcome };
            let answer = self.decrypt(&blob, context.as_deref()).await;
            replay.answer(blob, context, answer);
        }
    }

    async fn call(&self, call: &Call<'_>) -> Result<Answer, KmsError> {
        let mut tries = Tries::default();
        loop {
            let request = prepare(&self.service, call, &*self.credentials, &*self.clock)?;
            match judge(&self.service, call, self.post(&request).await) {
                Err(error @ KmsError::Unavailable(_)) => {
                    tracing::debug!(action = call.action(), %error, "attempt failed");
                    let Some(pause) = tries.next_pause(self.clock.jitter()) else {
                        return Err(error);
                    };
                    tokio::time::sleep(pause).await;
                }
                other => return other,
            }
        }
    }

    async fn post(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut builder = self.http.post(request.url.as_str()).body(request.body.to_string());
        for (name, value) in &request.headers {
            builder = builder.header(*name, value.as_str());
        }
        let mut response = builder.send().await.map_err(|error| failed(&error))?;
        let status = response.status().as_u16();
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len().saturating_add(chunk.len()) > MAX_BODY {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse::new(status, body))
    }
}

fn failed(error: &reqwest::Error) -> TransportError {
    if error.is_timeout() {
        return TransportError::Timeout;
    }
    if error.is_builder() {
        return TransportError::Request;
    }
    // The error of rustls for an untrusted certificate is somewhere in the source chain.
    let mut source = error.source();
    while let Some(inner) = source {
        let io = inner.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::InvalidData) {
            return TransportError::Tls;
        }
        source = inner.source();
    }
    TransportError::Connection
}

type Question = (String, Option<String>);

/// A KMS that replays the answers received so far and records the first call it cannot answer.
struct Replay {
    algorithm: WrapAlgorithm,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Vec<(Question, Result<Zeroizing<String>, KmsError>)>,
    open: Option<Question>,
}

impl Replay {
    fn new(algorithm: WrapAlgorithm) -> Self {
        Self { algorithm, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_question(&self) -> Option<Question> {
        self.state().open.take()
    }

    fn answer(
        &self,
        blob: String,
        context: Option<String>,
        answer: Result<Zeroizing<String>, KmsError>,
    ) {
        self.state().known.push(((blob, context), answer));
    }
}

impl Kms for Replay {
    fn algorithm(&self) -> WrapAlgorithm {
        self.algorithm
    }

    fn generate_data_key(&self, _: Option<&str>) -> Result<DataKey, KmsError> {
        Err(KmsError::Malformed("not supported while unwrapping".to_owned()))
    }

    fn encrypt(&self, _: &str, _: Option<&str>) -> Result<String, KmsError> {
        Err(KmsError::Malformed("not supported while unwrapping".to_owned()))
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        let mut state = self.state();
        let question = (blob.to_owned(), context.map(str::to_owned));
        if let Some((_, answer)) = state.known.iter().find(|(known, _)| *known == question) {
            return answer.clone();
        }
        state.open.get_or_insert(question);
        // Never seen by the caller: the result of this run is discarded.
        Err(KmsError::Unavailable("answer not yet available".to_owned()))
    }
}
