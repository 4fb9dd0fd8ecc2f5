//! Request signatures.
//!
//! They are our own because they are made with the clock of the service, once it is known that this
//! machine's is wrong.

mod cos;
mod oss;

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{
    HeaderValue,
    header::{AUTHORIZATION, DATE},
    request::Parts,
};
use jiff::{SignedDuration, Timestamp};

use crate::{Credentials, SharedCredentials, StoreError};

/// A difference between the clocks that is corrected, in seconds. Both services accept 900.
const MAX_SKEW: i64 = 300;

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
    /// What must be added to this machine's clock to get that of the service, in seconds.
    skew: AtomicI64,
}

enum Service {
    Cos,
    Oss { bucket: String, region: String, signature: Signature },
}

impl RequestSigner {
    pub(super) fn oss(
        bucket: &str,
        region: &str,
        signature: Signature,
        credentials: SharedCredentials,
    ) -> Self {
        let (bucket, region) = (bucket.to_owned(), region.to_owned());
        Self::new(Service::Oss { bucket, region, signature }, credentials)
    }

    pub(super) const fn cos(credentials: SharedCredentials) -> Self {
        Self::new(Service::Cos, credentials)
    }

    const fn new(service: Service, credentials: SharedCredentials) -> Self {
        Self { service, credentials, skew: AtomicI64::new(0) }
    }

    /// Returns the region and the version of signatures of OSS. `None` for COS.
    pub(super) fn oss_parameters(&self) -> Option<(&str, Signature)> {
        match &self.service {
            Service::Cos => None,
            Service::Oss { region, signature, .. } => Some((region, *signature)),
        }
    }

    /// Returns the access key to sign with now.
    pub(super) async fn key(&self) -> Result<Credentials, StoreError> {
        self.credentials.get().await.map_err(|error| match error.is_transient() {
            true => StoreError::Unavailable(error.to_string()),
            false => StoreError::Denied(error.to_string()),
        })
    }

    /// Says that the service has refused an access key.
    pub(super) fn refused(&self, key: &Credentials) {
        self.credentials.refused(key);
    }

    /// Returns what is added to this machine's clock now, in seconds.
    pub(super) fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    /// Takes the time in a refusal as the right one, if it differs by enough.
    pub(super) fn correct_clock(&self, service: SystemTime) {
        let seconds = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        };
        let skew = seconds(service).saturating_sub(seconds(SystemTime::now()));
        let before = self.skew.load(Ordering::Relaxed);
        if skew.saturating_sub(before).saturating_abs() >= MAX_SKEW {
            tracing::warn!(seconds = skew, "the clock of this machine differs from the service's");
            self.skew.store(skew, Ordering::Relaxed);
        }
    }

    /// Returns the time by the clock of the service.
    fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_secs(self.skew.load(Ordering::Relaxed));
        let now = Timestamp::now();
        now.checked_add(skew).unwrap_or(now)
    }

    /// Signs a request for the object `object`, or for the bucket itself if that is empty.
    ///
    /// # Errors
    /// [`StoreError::Denied`] if the access key cannot be sent in a header.
    pub(super) fn sign(
        &self,
        parts: &mut Parts,
        object: &str,
        key: &Credentials,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let (token_name, token) = match &self.service {
            Service::Cos => ("x-cos-security-token", key.token()),
            Service::Oss { .. } => ("x-oss-security-token", key.token()),
        };
        if let Some(token) = token {
            parts.headers.insert(token_name, secret_value(token)?);
        }
        let authorization = match &self.service {
            Service::Cos => cos::authorization(parts, object, key, now),
            Service::Oss { bucket, signature: Signature::V1, .. } => {
                parts.headers.insert(DATE, value(&http_date(now))?);
                oss::v1(parts, bucket, object, key)
            }
            Service::Oss { bucket, region, signature: Signature::V4 } => {
                let date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
                parts.headers.insert("x-oss-date", value(&date)?);
                parts.headers.insert(oss::CONTENT, HeaderValue::from_static(oss::UNSIGNED));
                oss::v4(parts, bucket, object, key, region, &date)
            }
        };
        parts.headers.insert(AUTHORIZATION, secret_value(&authorization)?);
        Ok(())
    }
}

fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %T GMT").to_string()
}

fn value(text: &str) -> Result<HeaderValue, StoreError> {
    let words = "the access key has characters that cannot be sent";
    HeaderValue::from_str(text).map_err(|_| StoreError::Denied(words.to_owned()))
}

/// A value that no log prints.
fn secret_value(text: &str) -> Result<HeaderValue, StoreError> {
    let mut value = value(text)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};
    use reqsign_core::{Context, SignRequest as _};

    use super::*;

    const ID: &str = "AKIDexample";
    const SECRET: &str = "the secret";

    fn requests() -> Vec<(&'static str, Parts)> {
        let of = |method: Method, uri: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(method).uri(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.body(()).unwrap().into_parts().0
        };
        let meta = [
            ("content-type", "a/b"),
            ("x-oss-meta-a", "b c"),
            ("x-oss-meta-a-b", "d"),
            ("content-md5", "AAAA"),
        ];
        vec![
            ("a b/c+d&\u{fc}", of(Method::PUT, "https://b.h.com/a%20b/c%2Bd%26%C3%BC", &meta)),
            ("k", of(Method::PUT, "https://b.h.com/k?partNumber=2&uploadId=A%2FB%3D", &meta)),
            ("k", of(Method::POST, "https://b.h.com/k?uploads", &[("x-cos-meta-b", "c d/=")])),
            ("k", of(Method::GET, "https://b.h.com/k", &[("range", "bytes=0-9")])),
            ("k", of(Method::DELETE, "https://b.h.com/k?versionId=x", &[])),
            ("k", of(Method::GET, "https://b.h.com/k?acl", &[])),
            ("k", of(Method::GET, "https://b.h.com/k?tagging", &[])),
            ("k", of(Method::POST, "https://b.h.com/k?restore", &[])),
            ("", of(Method::GET, "https://b.h.com/?prefix=a&versions", &[])),
            ("", of(Method::GET, "https://b.h.com/?prefix=a%20b&marker=c&max-keys=9", &[])),
        ]
    }

    /// Signs with our signer until the clock did not move on in between, and returns both values.
    fn both(
        ours: impl Fn(&mut Parts),
        theirs: impl AsyncFn(&mut Parts),
        parts: &Parts,
    ) -> (String, String) {
        loop {
            let before = Timestamp::now().as_second();
            let (mut one, mut other) = (parts.clone(), parts.clone());
            ours(&mut one);
            pollster::block_on(theirs(&mut other));
            if Timestamp::now().as_second() == before {
                let text =
                    |parts: &Parts| parts.headers[AUTHORIZATION].to_str().unwrap().to_owned();
                return (text(&one), text(&other));
            }
        }
    }

    #[test]
    fn the_signatures_of_oss_are_those_of_reqsign() {
        for token in [None, Some("a token")] {
            let mut key = Credentials::new(ID, SECRET);
            if let Some(token) = token {
                key = key.with_token(token);
            }
            let credential = reqsign_aliyun_oss::Credential {
                access_key_id: ID.to_owned(),
                access_key_secret: SECRET.to_owned(),
                security_token: token.map(str::to_owned),
                expires_in: None,
            };
            for (signature, version) in [
                (Signature::V1, reqsign_aliyun_oss::SigningVersion::V1),
                (Signature::V4, reqsign_aliyun_oss::SigningVersion::V4),
            ] {
                for (object, mut parts) in requests() {
                    // Version 4 may also sign other headers, and theirs does.
                    parts.headers.remove("range");
                    parts.headers.remove("x-cos-meta-b");
                    let shared = SharedCredentials::new(key.clone());
                    let signer = RequestSigner::oss("b", "cn-x", signature, shared);
                    let theirs = reqsign_aliyun_oss::RequestSigner::new("b")
                        .with_region("cn-x")
                        .with_signing_version(version);
                    let (ours, theirs) = both(
                        |parts| signer.sign(parts, object, &key).unwrap(),
                        async |parts| {
                            let context = Context::new();
                            let signed =
                                theirs.sign_request(&context, parts, Some(&credential), None);
                            signed.await.unwrap();
                        },
                        &parts,
                    );
                    let theirs = theirs.replace(", ", ",").replace("AdditionalHeaders=,", "");
                    assert_eq!(ours, theirs, "{signature:?} {object} {token:?}");
                }
            }
        }
    }

    #[test]
    fn the_signatures_of_cos_are_those_of_reqsign() {
        for token in [None, Some("a token")] {
            let mut key = Credentials::new(ID, SECRET);
            if let Some(token) = token {
                key = key.with_token(token);
            }
            let credential = reqsign_tencent_cos::Credential {
                secret_id: ID.to_owned(),
                secret_key: SECRET.to_owned(),
                security_token: token.map(str::to_owned),
                expires_in: None,
            };
            for (object, mut parts) in requests() {
                // Theirs signs no header that it adds.
                parts.headers.insert("host", HeaderValue::from_static("b.h.com"));
                let signer = RequestSigner::cos(SharedCredentials::new(key.clone()));
                let theirs = reqsign_tencent_cos::RequestSigner::new();
                let (ours, theirs) = both(
                    |parts| signer.sign(parts, object, &key).unwrap(),
                    async |parts| {
                        let context = Context::new();
                        let signed = theirs.sign_request(&context, parts, Some(&credential), None);
                        signed.await.unwrap();
                    },
                    &parts,
                );
                if token.is_none() {
                    assert_eq!(ours, theirs, "{object}");
                } else {
                    // We sign the token, too.
                    assert!(ours.contains("x-cos-security-token"), "{object}");
                }
            }
        }
    }

    #[test]
    fn the_clock_of_the_service_is_taken_once() {
        let signer = RequestSigner::cos(SharedCredentials::new(Credentials::new(ID, SECRET)));
        let minute = std::time::Duration::from_secs(60);
        signer.correct_clock(SystemTime::now() + minute);
        assert_eq!(signer.skew(), 0);
        signer.correct_clock(SystemTime::now() + minute * 60);
        let first = signer.skew();
        signer.correct_clock(SystemTime::now() + minute * 61);
        assert_eq!(signer.skew(), first);
        let ahead = signer.now().duration_since(Timestamp::now()).as_secs();
        assert!((3598..=3601).contains(&ahead), "{ahead}");
        signer.correct_clock(SystemTime::now() - minute * 60);
        assert!(signer.now() < Timestamp::now());
    }
}
