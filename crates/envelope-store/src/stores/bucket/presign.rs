//! URLs with which somebody else makes one request.

use std::time::Duration;

use http::{HeaderValue, Method, header, request::Parts};
use reqsign_core::{Context, SignRequest};

use super::{Bucket, document::malformed_url, sign::Signature};
use crate::{Headers, PresignedMethod, StoreError};

impl Bucket {
    /// Signs a request whose signature is in its URL.
    pub(super) async fn presigned(
        &self,
        method: PresignedMethod,
        key: &str,
        headers: &Headers,
        valid: Duration,
    ) -> Result<String, StoreError> {
        if self.customer.is_some() {
            // Whoever has the URL would have to send the key, too.
            return Err(StoreError::Unsupported("URLs for objects with a customer key"));
        }
        let method = match method {
            PresignedMethod::Get => Method::GET,
            PresignedMethod::Put => Method::PUT,
        };
        let (mut parts, ()) = self.parts(&self.request(method, key))?.into_parts();
        // The client sets them by itself.
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::CONTENT_TYPE);
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().map_err(|_| malformed_url())?;
            let value = HeaderValue::from_str(value).map_err(|_| malformed_url())?;
            if !value.as_bytes().is_ascii() {
                return Err(malformed_url());
            }
            parts.headers.insert(name, value);
        }
        let path = parts.uri.path().to_owned();
        let credentials = self.signer.key().await?;
        let id = credentials.id().to_owned();
        let (secret, token) = (credentials.secret(), credentials.token().map(str::to_owned));
        let signed = match self.signer.oss_parameters() {
            Some((region, signature)) => {
                let version = match signature {
                    Signature::V1 => reqsign_aliyun_oss::SigningVersion::V1,
                    Signature::V4 => reqsign_aliyun_oss::SigningVersion::V4,
                };
                let signer = reqsign_aliyun_oss::RequestSigner::new(&self.name)
                    .with_region(region)
                    .with_signing_version(version);
                let credential = reqsign_aliyun_oss::Credential {
                    access_key_id: id,
                    access_key_secret: secret.to_owned(),
                    security_token: token,
                    expires_in: None,
                };
                sign(&signer, &mut parts, &credential, valid).await
            }
            None => {
                if let Some(host) = parts.uri.authority().map(|host| host.as_str().to_owned()) {
                    let host = HeaderValue::from_str(&host).map_err(|_| malformed_url())?;
                    parts.headers.insert(header::HOST, host);
                }
                let credential = reqsign_tencent_cos::Credential {
                    secret_id: id,
                    secret_key: secret.to_owned(),
                    security_token: token,
                    expires_in: None,
                };
                let signer = reqsign_tencent_cos::RequestSigner::new();
                sign(&signer, &mut parts, &credential, valid).await
            }
        };
        signed?;
        let url = parts.uri.to_string();
        // Whoever opens it may normalize the key, and would be told that the signature is wrong.
        if parts.uri.path() != path || super::request::is_normalized(&url, &path) {
            return Err(StoreError::Key(key.to_owned()));
        }
        Ok(url)
    }
}

async fn sign<S: SignRequest>(
    signer: &S,
    parts: &mut Parts,
    credential: &S::Credential,
    valid: Duration,
) -> Result<(), StoreError> {
    let signed = signer.sign_request(&Context::new(), parts, Some(credential), Some(valid)).await;
    signed.map_err(|error| StoreError::Denied(error.to_string()))
}
