//! Request signatures, using the signers of `reqsign` with our access keys.

use http::request::Parts;
use reqsign_aliyun_oss::{RequestSigner as OssSigner, SigningVersion};
use reqsign_core::{Context, SignRequest as _};
use reqsign_tencent_cos::RequestSigner as CosSigner;

use crate::{Credentials, StoreError};

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

pub(super) enum RequestSigner {
    Cos(CosSigner, reqsign_tencent_cos::Credential),
    Oss(OssSigner, reqsign_aliyun_oss::Credential),
}

impl RequestSigner {
    pub(super) fn oss(
        bucket: &str,
        region: &str,
        signature: Signature,
        credentials: &Credentials,
    ) -> Self {
        let version = match signature {
            Signature::V1 => SigningVersion::V1,
            Signature::V4 => SigningVersion::V4,
        };
        let signer = OssSigner::new(bucket).with_region(region).with_signing_version(version);
        let credential = reqsign_aliyun_oss::Credential {
            access_key_id: credentials.id().to_owned(),
            access_key_secret: credentials.secret().to_owned(),
            security_token: credentials.token().map(str::to_owned),
            expires_in: None,
        };
        Self::Oss(signer, credential)
    }

    pub(super) fn cos(credentials: &Credentials) -> Self {
        let credential = reqsign_tencent_cos::Credential {
            secret_id: credentials.id().to_owned(),
            secret_key: credentials.secret().to_owned(),
            security_token: credentials.token().map(str::to_owned),
            expires_in: None,
        };
        Self::Cos(CosSigner::new(), credential)
    }

    pub(super) async fn sign(&self, parts: &mut Parts) -> Result<(), StoreError> {
        let context = Context::new();
        let outcome = match self {
            Self::Cos(signer, credential) => {
                signer.sign_request(&context, parts, Some(credential), None).await
            }
            Self::Oss(signer, credential) => {
                signer.sign_request(&context, parts, Some(credential), None).await
            }
        };
        outcome
            .map_err(|error| StoreError::Denied(format!("the request cannot be signed: {error}")))
    }
}
