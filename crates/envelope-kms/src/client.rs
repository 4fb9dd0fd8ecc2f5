//! The client: calls over a transport, with retries.

use std::time::Duration;

use envelope_cloud::{ProvideCredential, RetryPolicy, SharedCredentials, sign::hex};
use envelope_core::kms::{Kms, KmsError};
use meta_codec::WrapAlgorithm;
use zeroize::Zeroizing;

#[cfg(feature = "blocking")]
use crate::UreqTransport;
use crate::{
    Answer, Call, Clock, Credentials, HttpRequest, HttpResponse, Service, SystemClock, Transport,
    TransportError, transport::ATTEMPT_TIMEOUT,
};

/// The maximum duration of one call with the default retry policy: its attempts of ten seconds
/// each, the backoff between them, and a second for the rest.
pub const CALL_BOUND: Duration =
    RetryPolicy::SHORT.bound(ATTEMPT_TIMEOUT).saturating_add(Duration::from_secs(1));

/// A client that calls a service over a transport and retries. It blocks the thread: async programs
/// use it with the feature `tokio-rt` of `envelope-core`, as `envelope-store` does, or on their
/// runtime's threads for blocking work.
///
/// ```
/// # #[cfg(feature = "blocking")]
/// # fn example() -> Result<(), envelope_kms::EndpointError> {
/// use envelope_kms::{Client, Credentials, RetryPolicy, Tencent};
///
/// let service = Tencent::new("ap-guangzhou")?.with_key_id("key-1");
/// let kms = Client::new(service, Credentials::new("an id", "a secret"))
///     .with_retry(RetryPolicy::SHORT.with_attempts(2));
/// # Ok(())
/// # }
/// ```
#[expect(missing_debug_implementations, reason = "holds credentials, which are not printed")]
pub struct Client<S, T> {
    service: S,
    transport: T,
    credentials: SharedCredentials,
    retry: RetryPolicy,
    clock: Box<dyn Clock>,
}

#[cfg(feature = "blocking")]
impl<S: Service> Client<S, UreqTransport> {
    /// Creates a client for a service. The provider is asked for an access key before every
    /// attempt.
    pub fn new(service: S, credentials: impl ProvideCredential<Credential = Credentials>) -> Self {
        Self::with_transport(service, credentials, UreqTransport::default(), SystemClock)
    }
}

impl<S: Service, T: Transport> Client<S, T> {
    /// Creates a client with a custom transport and clock.
    pub fn with_transport(
        service: S,
        credentials: impl ProvideCredential<Credential = Credentials>,
        transport: T,
        clock: impl Clock + 'static,
    ) -> Self {
        let (credentials, clock) = (SharedCredentials::new(credentials), Box::new(clock));
        Self { service, transport, credentials, retry: RetryPolicy::SHORT, clock }
    }

    /// Sets the retry policy. The default is [`RetryPolicy::SHORT`].
    #[must_use]
    pub const fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    fn call(&self, call: &Call<'_>) -> Result<Answer, KmsError> {
        let span = tracing::debug_span!("kms", action = call.action());
        let _entered = span.enter();
        let mut backoff = self.retry.start();
        loop {
            let response = self.transport.post(&self.prepare(call)?, ATTEMPT_TIMEOUT);
            let status = response.as_ref().map_or(0, |response| response.status);
            tracing::debug!(status, "answered");
            match self.interpret(call, response) {
                Err(error @ KmsError::Unavailable(_)) => {
                    tracing::debug!(%error, "attempt failed");
                    let delay = backoff.next_delay(self.clock.jitter());
                    self.clock.sleep(delay.ok_or(error)?);
                }
                other => return other,
            }
        }
    }

    /// Builds a request signed with the current access key and time.
    fn prepare(&self, call: &Call<'_>) -> Result<HttpRequest, KmsError> {
        let mut nonce = [0; 16];
        rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut nonce)
            .map_err(|_| KmsError::Unavailable("no random bytes from the system".to_owned()))?;
        let credentials = pollster::block_on(self.credentials.get())
            .map_err(|error| KmsError::NotAsked(error.to_string()))?;
        self.service.request(call, &credentials, self.clock.now(), &hex(&nonce))
    }

    /// Interprets the outcome of an attempt. Only [`KmsError::Unavailable`] is worth another.
    fn interpret(
        &self,
        call: &Call<'_>,
        outcome: Result<HttpResponse, TransportError>,
    ) -> Result<Answer, KmsError> {
        let response = outcome.map_err(classify)?;
        if (300..400).contains(&response.status) {
            return Err(KmsError::Malformed(format!("redirect, status {}", response.status)));
        }
        self.service.answer(call, &response)
    }
}

/// Maps a transport error to the error of the call.
fn classify(error: TransportError) -> KmsError {
    match error {
        TransportError::Connection | TransportError::Timeout => {
            KmsError::Unavailable(error.to_string())
        }
        // Another attempt would fix neither.
        TransportError::Request | TransportError::Tls => KmsError::NotAsked(error.to_string()),
        TransportError::TooLarge => KmsError::Malformed(error.to_string()),
    }
}

impl<S: Service, T: Transport> Kms for Client<S, T> {
    fn algorithm(&self) -> WrapAlgorithm {
        self.service.algorithm()
    }

    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        Ok(self.call(&Call::Encrypt { plaintext, context })?.blob)
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        Ok(self.call(&Call::Decrypt { blob, context })?.plaintext)
    }
}
