//! The async client, on tokio. It shares everything with the blocking one but the transport.

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

/// A service, asked over `reqwest`, with the retries of [`Client`](crate::Client).
#[expect(missing_debug_implementations, reason = "holds credentials, which are not printed")]
pub struct AsyncClient<S> {
    service: S,
    http: reqwest::Client,
    credentials: Box<dyn CredentialsProvider>,
    clock: Box<dyn Clock>,
    passphrase: Option<Zeroizing<String>>,
}

impl<S: Service> AsyncClient<S> {
    /// A client of a service.
    ///
    /// # Errors
    /// [`KmsError::Unavailable`] if TLS cannot be set up on this machine.
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
            .map_err(|_| KmsError::Unavailable("no TLS".to_owned()))?;
        let credentials = Box::new(credentials);
        Ok(Self { service, http, credentials, clock: Box::new(SystemClock), passphrase: None })
    }

    /// See [`Kms::generate_data_key`].
    ///
    /// # Errors
    /// [`KmsError`].
    pub async fn generate_data_key(&self, context: Option<&str>) -> Result<DataKey, KmsError> {
        let answer = self.call(&Call::GenerateDataKey { context }).await?;
        Ok(DataKey::new(answer.plaintext, answer.blob))
    }

    /// See [`Kms::encrypt`].
    ///
    /// # Errors
    /// [`KmsError`].
    pub async fn encrypt(
        &self,
        plaintext: &str,
        context: Option<&str>,
    ) -> Result<String, KmsError> {
        Ok(self.call(&Call::Encrypt { plaintext, context }).await?.blob)
    }

    /// See [`Kms::decrypt`].
    ///
    /// # Errors
    /// [`KmsError`].
    pub async fn decrypt(
        &self,
        blob: &str,
        context: Option<&str>,
    ) -> Result<Zeroizing<String>, KmsError> {
        Ok(self.call(&Call::Decrypt { blob, context }).await?.plaintext)
    }

    /// The passphrase of oss2's `AliKMSProvider`, see [`KmsKeyWrapper::with_passphrase`].
    #[must_use]
    pub fn with_passphrase(mut self, passphrase: &str) -> Self {
        self.passphrase = Some(Zeroizing::new(passphrase.to_owned()));
        self
    }

    /// Opens an envelope whose content key this service wrapped: with the policy, the layerings, the
    /// contexts and the key check of a [`Decryptor`]. To *encrypt*, give a blocking
    /// [`Client`](crate::Client) to `tokio::task::spawn_blocking`.
    ///
    /// # Errors
    /// As [`Decryptor::open`].
    pub async fn open(
        &self,
        envelope: &Envelope,
        policy: &Policy,
    ) -> Result<BodyCipher, DecryptError> {
        // The rules are written for a blocking service. So they are run against what is known so far;
        // where they ask something new, it is asked for here, and they are run again.
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
                    tracing::debug!(action = call.action(), %error, "no answer");
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
    // What rustls says of a certificate that it does not trust is somewhere below.
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

/// A KMS that knows the answers given so far, and notes the first question that it cannot answer.
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
        Err(KmsError::Malformed("not asked for while unwrapping".to_owned()))
    }

    fn encrypt(&self, _: &str, _: Option<&str>) -> Result<String, KmsError> {
        Err(KmsError::Malformed("not asked for while unwrapping".to_owned()))
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        let mut state = self.state();
        let question = (blob.to_owned(), context.map(str::to_owned));
        if let Some((_, answer)) = state.known.iter().find(|(known, _)| *known == question) {
            return answer.clone();
        }
        state.open.get_or_insert(question);
        // Whatever comes of this run is thrown away.
        Err(KmsError::Unavailable("not asked yet".to_owned()))
    }
}
