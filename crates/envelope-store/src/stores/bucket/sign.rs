//! Request signatures, using the signers of `reqsign` with our access keys.

use http::request::Parts;
use reqsign_aliyun_oss::{RequestSigner as OssSigner, SigningVersion};
use reqsign_core::{Context, SignRequest as _};
use reqsign_tencent_cos::RequestSigner as CosSigner;

use crate::{SharedCredentials, StoreError};

/// A signature version of OSS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signature {
    /// HMAC-SHA-1, without a region. OSS accepts it only from old accounts and for old buckets.
    V1,
    /// `OSS4-HMAC-SHA256`.
    #[default]
    V4,
}

/// The signer of a bucket's requests. It asks for the access key each time.
pub(super) struct RequestSigner {
    service: Service,
    credentials: SharedCredentials,
}

enum Service {
    Cos(CosSigner),
    Oss(OssSigner),
}

impl RequestSigner {
    pub(super) fn oss(
        bucket: &str,
        region: &str,
        signature: Signature,
        credentials: SharedCredentials,
    ) -> Self {
        let version = match signature {
            Signature::V1 => SigningVersion::V1,
            Signature::V4 => SigningVersion::V4,
        };
        let signer = OssSigner::new(bucket).with_region(region).with_signing_version(version);
        Self { service: Service::Oss(signer), credentials }
    }

    pub(super) fn cos(credentials: SharedCredentials) -> Self {
        Self { service: Service::Cos(CosSigner::new()), credentials }
    }

    pub(super) async fn sign(&self, parts: &mut Parts) -> Result<(), StoreError> {
        let key = self.credentials.get().await;
        let key = key.map_err(|error| StoreError::Denied(error.to_string()))?;
        let (id, secret) = (key.id().to_owned(), key.secret().to_owned());
        let (token, expires_in) = (key.token().map(str::to_owned), None);
        let context = Context::new();
        let outcome = match &self.service {
            Service::Cos(signer) => {
                let credential = reqsign_tencent_cos::Credential {
                    secret_id: id,
                    secret_key: secret,
                    security_token: token,
                    expires_in,
                };
                signer.sign_request(&context, parts, Some(&credential), None).await
            }
            Service::Oss(signer) => {
                let credential = reqsign_aliyun_oss::Credential {
                    access_key_id: id,
                    access_key_secret: secret,
                    security_token: token,
                    expires_in,
                };
                signer.sign_request(&context, parts, Some(&credential), None).await
            }
        };
        outcome
            .map_err(|error| StoreError::Denied(format!("the request cannot be signed: {error}")))
    }
}
