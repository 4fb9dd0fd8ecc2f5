//! The blocking client.

use envelope_core::kms::{DataKey, Kms, KmsError};
use meta_codec::WrapAlgorithm;

#[cfg(feature = "blocking")]
use crate::UreqTransport;
use crate::{
    Answer, Call, Clock, CredentialsProvider, HttpRequest, HttpResponse, Service, SystemClock,
    Transport, TransportError,
    retry::{Tries, meaning},
    sign::hex,
    transport::TRY,
};

/// A blocking client that calls a service over a transport and retries.
#[expect(missing_debug_implementations, reason = "holds credentials, which are not printed")]
pub struct Client<S, T> {
    service: S,
    transport: T,
    credentials: Box<dyn CredentialsProvider>,
    clock: Box<dyn Clock>,
}

#[cfg(feature = "blocking")]
impl<S: Service> Client<S, UreqTransport> {
    /// Creates a client for a service.
    pub fn new(service: S, credentials: impl CredentialsProvider + 'static) -> Self {
        Self::with_transport(service, credentials, UreqTransport::default(), SystemClock)
    }
}

impl<S: Service, T: Transport> Client<S, T> {
    /// Creates a client with a custom transport and clock.
    pub fn with_transport(
        service: S,
        credentials: impl CredentialsProvider + 'static,
        transport: T,
        clock: impl Clock + 'static,
    ) -> Self {
        Self { service, transport, credentials: Box::new(credentials), clock: Box::new(clock) }
    }

    fn call(&self, call: &Call<'_>) -> Result<Answer, KmsError> {
        let span = tracing::debug_span!("kms", action = call.action());
        let _entered = span.enter();
        let mut tries = Tries::default();
        loop {
            let request = prepare(&self.service, call, &*self.credentials, &*self.clock)?;
            let outcome = judge(&self.service, call, self.transport.post(&request, TRY));
            match outcome {
                Err(error @ KmsError::Unavailable(_)) => {
                    tracing::debug!(%error, "attempt failed");
                    let Some(pause) = tries.next_pause(self.clock.jitter()) else {
                        return Err(error);
                    };
                    self.clock.pause(pause);
                }
                other => return other,
            }
        }
    }
}

/// Builds a request signed with the current access key and time.
pub(crate) fn prepare<S: Service>(
    service: &S,
    call: &Call<'_>,
    credentials: &dyn CredentialsProvider,
    clock: &dyn Clock,
) -> Result<HttpRequest, KmsError> {
    let mut nonce = [0; 16];
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut nonce)
        .map_err(|_| KmsError::Malformed("no random bytes from the system".to_owned()))?;
    service.request(call, &credentials.credentials()?, clock.now(), &hex(&nonce))
}

/// Evaluates the outcome of an attempt. Only [`KmsError::Unavailable`] is worth a retry.
pub(crate) fn judge<S: Service>(
    service: &S,
    call: &Call<'_>,
    outcome: Result<HttpResponse, TransportError>,
) -> Result<Answer, KmsError> {
    let response = outcome.map_err(meaning)?;
    if (300..400).contains(&response.status) {
        return Err(KmsError::Malformed(format!("redirect, status {}", response.status)));
    }
    service.answer(call, &response)
}

impl<S: Service, T: Transport> Kms for Client<S, T> {
    fn algorithm(&self) -> WrapAlgorithm {
        self.service.algorithm()
    }

    fn generate_data_key(&self, context: Option<&str>) -> Result<DataKey, KmsError> {
        let answer = self.call(&Call::GenerateDataKey { context })?;
        Ok(DataKey::new(answer.plaintext, answer.blob))
    }

    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        Ok(self.call(&Call::Encrypt { plaintext, context })?.blob)
    }

    fn decrypt(
        &self,
        blob: &str,
        context: Option<&str>,
    ) -> Result<zeroize::Zeroizing<String>, KmsError> {
        Ok(self.call(&Call::Decrypt { blob, context })?.plaintext)
    }
}
