//! Promises of the documentation that no other test would miss.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use envelope_core::kms::{Kms, KmsError};
use envelope_kms::{
    Aliyun, AliyunSignature, Call, Clock as _, Credentials, HttpResponse, KmsAddressError,
    KmsVendor, Service, SystemClock, Tencent, conformance,
};
use meta_codec::WrapAlgorithm;
use zeroize::Zeroizing;

#[test]
fn the_clock_of_this_machine() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let before = now();
    let between = u64::try_from(SystemClock.now()).unwrap();
    assert!((before..=now()).contains(&between));
    let start = Instant::now();
    SystemClock.sleep(Duration::from_millis(20));
    assert!(start.elapsed() >= Duration::from_millis(20));
    let numbers: Vec<f64> = std::iter::repeat_with(|| SystemClock.jitter()).take(20).collect();
    assert!(numbers.iter().all(|number| (0.0..=1.0).contains(number)), "{numbers:?}");
    let different: BTreeSet<u64> = numbers.iter().map(|number| number.to_bits()).collect();
    assert!(different.len() > 10, "{numbers:?}");
}

/// What may be wrong with a service.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    Nothing,
    /// The plaintext comes back changed.
    Garbled,
    /// The same text has the same blob.
    Repeated,
    /// Every context is accepted.
    AnyContext,
    /// No context is accepted where there was one.
    NoContext,
    /// Every blob is accepted.
    AnyBlob,
    /// A text that is not base64 comes back changed.
    Base64Only,
}

/// A service that remembers what it was told, with a flaw.
struct Flawed {
    algorithm: WrapAlgorithm,
    flaw: Flaw,
    known: Mutex<BTreeMap<String, (String, Option<String>)>>,
    calls: AtomicU32,
}

impl Kms for Flawed {
    fn algorithm(&self) -> WrapAlgorithm {
        self.algorithm
    }

    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let blob = match self.flaw {
            Flaw::Repeated => format!("{plaintext} {context:?}"),
            _ => format!("blob {number}"),
        };
        let known = (plaintext.to_owned(), context.map(str::to_owned));
        self.known.lock().unwrap().insert(blob.clone(), known);
        Ok(blob)
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        let refused = || Err(KmsError::Refused("no".to_owned()));
        let known = self.known.lock().unwrap();
        let Some((plaintext, needed)) = known.get(blob) else {
            return if self.flaw == Flaw::AnyBlob {
                Ok("AAAA".to_owned().into())
            } else {
                refused()
            };
        };
        let fits = match self.flaw {
            Flaw::AnyContext => true,
            Flaw::NoContext => context.is_none() || context == needed.as_deref(),
            _ => context == needed.as_deref(),
        };
        if !fits {
            return refused();
        }
        let changed = match self.flaw {
            Flaw::Garbled => true,
            Flaw::Base64Only => plaintext.len() % 4 != 0,
            _ => false,
        };
        Ok(if changed { "8888".to_owned() } else { plaintext.clone() }.into())
    }
}

#[test]
fn the_conformance_test_finds_what_is_wrong() {
    let check = |algorithm, flaw| {
        let (known, calls) = (Mutex::default(), AtomicU32::new(0));
        conformance::check(&Flawed { algorithm, flaw, known, calls })
    };
    for algorithm in [WrapAlgorithm::KmsAliyun, WrapAlgorithm::KmsTencent, WrapAlgorithm::KmsCustom]
    {
        assert_eq!(check(algorithm, Flaw::Nothing), Ok(()));
        for (flaw, promise) in [
            (Flaw::Garbled, "decrypt returns the text passed to encrypt"),
            (Flaw::Repeated, "encrypting twice yields two different blobs"),
            (Flaw::AnyContext, "a different context is refused"),
            (Flaw::NoContext, "a missing context is refused"),
            (Flaw::AnyBlob, "an unknown blob is refused"),
        ] {
            assert_eq!(check(algorithm, flaw), Err(format!("violated: {promise}")));
        }
        // Only `oss-v1` has such texts, and Tencent's service is none of its.
        let outcome = check(algorithm, Flaw::Base64Only);
        assert_eq!(outcome.is_ok(), algorithm == WrapAlgorithm::KmsTencent, "{outcome:?}");
    }
}

/// The error for a response to `Encrypt`.
fn error_of(service: &dyn Service, status: u16, body: &str) -> KmsError {
    let call = Call::Encrypt { plaintext: "AAAA", context: None };
    let response = HttpResponse::new(status, body.as_bytes().to_vec().into());
    service.answer(&call, &response).map(|_| ()).unwrap_err()
}

/// The first letter of the kind: denied, malformed, refused or unavailable.
fn kind(error: &KmsError) -> char {
    match error {
        KmsError::Denied(_) => 'd',
        KmsError::Malformed(_) => 'm',
        KmsError::Refused(_) => 'r',
        KmsError::Unavailable(_) => 'u',
        other => panic!("{other}"),
    }
}

#[test]
fn each_error_of_aliyun_has_its_meaning() {
    let service = Aliyun::new("cn-hangzhou").unwrap();
    for (status, code, want) in [
        (429, "Other", 'u'),
        (500, "Other", 'u'),
        (503, "Other", 'u'),
        (400, "Throttling.User", 'u'),
        (400, "Rejected.Throttling", 'u'),
        (400, "ServiceUnavailableTemporary", 'u'),
        (400, "InternalFailure", 'u'),
        (401, "Other", 'd'),
        (403, "Other", 'd'),
        (400, "Forbidden.KeyNotFound", 'd'),
        (400, "InvalidAccessKeyId.NotFound", 'd'),
        (400, "InvalidSecurityToken.Expired", 'd'),
        (400, "InvalidTimeStamp.Expired", 'd'),
        (400, "MissingAccessKeyId", 'd'),
        (400, "Rejected.Disabled", 'd'),
        (400, "SignatureDoesNotMatch", 'd'),
        (400, "IncompleteSignature", 'd'),
        (400, "NoPermission", 'd'),
        (400, "InvalidParameter", 'r'),
        (404, "Other", 'r'),
        (499, "Other", 'r'),
        (201, "Other", 'r'),
    ] {
        let error = error_of(&service, status, &format!(r#"{{"Code":"{code}"}}"#));
        assert_eq!(kind(&error), want, "{status} {code}: {error}");
    }
}

#[test]
fn each_error_of_tencent_has_its_meaning() {
    let service = Tencent::new("ap-guangzhou").unwrap();
    for (status, code, want) in [
        (200, "RequestLimitExceeded.Uin", 'u'),
        (200, "InternalError", 'u'),
        (500, "FailedOperation", 'u'),
        (200, "FailedOperation.DecryptError", 'r'),
        (499, "FailedOperation", 'r'),
        (200, "InvalidParameterValue.InvalidCiphertext", 'r'),
        (200, "AuthFailure.SignatureFailure", 'd'),
        (200, "ResourceUnavailable.CmkDisabled", 'd'),
    ] {
        let body = format!(r#"{{"Response":{{"Error":{{"Code":"{code}"}}}}}}"#);
        let error = error_of(&service, status, &body);
        assert_eq!(kind(&error), want, "{status} {code}: {error}");
    }
}

#[test]
fn an_answer_without_its_field_is_malformed() {
    let aliyun = Aliyun::new("cn-hangzhou").unwrap();
    let tencent = Tencent::new("ap-guangzhou").unwrap();
    for field in [r#""CiphertextBlob":"""#, r#""CiphertextBlob":1"#, r#""Plaintext":"AAAA""#] {
        let error = error_of(&aliyun, 200, &format!("{{{field}}}"));
        assert_eq!(kind(&error), 'm', "{field}: {error}");
        let error = error_of(&tencent, 200, &format!("{{\"Response\":{{{field}}}}}"));
        assert_eq!(kind(&error), 'm', "{field}: {error}");
    }
}

#[test]
fn an_error_tells_the_code_and_the_request() {
    let long = "x".repeat(65);
    for (code, request, want) in [
        ("Some.Code-1_a", "0A-1", "Some.Code-1_a (request 0A-1)".to_owned()),
        // Nothing that could harm a terminal or a log.
        ("a\u{1b}[31m b;é", "", "a31mb (request )".to_owned()),
        (&long, &long, format!("{0} (request {0})", "x".repeat(64))),
    ] {
        let body = serde_json::json!({ "Code": code, "RequestId": request });
        let error = error_of(&Aliyun::new("r").unwrap(), 400, &body.to_string());
        assert!(matches!(&error, KmsError::Refused(words) if *words == want), "{error}");
    }
}

#[test]
fn vendors_and_what_is_no_address() {
    assert_eq!(KmsVendor::ALL.map(KmsVendor::id), ["aliyun", "tencent"]);
    assert_eq!(
        KmsAddressError.to_string(),
        "it must be VENDOR:REGION or VENDOR:REGION:KEY_ID, where the vendor is aliyun or tencent"
    );
}

#[test]
fn the_master_key_is_named_for_encryption_only() {
    let (context, credentials) = (Some("{}"), Credentials::new("an id", "a secret"));
    let decrypt = Call::Decrypt { blob: "a blob", context };
    let encrypt = Call::Encrypt { plaintext: "AAAA", context };
    assert_eq!((decrypt.action(), encrypt.action()), ("Decrypt", "Encrypt"));
    let aliyun = || Aliyun::new("cn-hangzhou").unwrap();
    let tencent = || Tencent::new("ap-guangzhou").unwrap();
    let services: [[Box<dyn Service>; 2]; 3] = [
        [Box::new(aliyun()), Box::new(aliyun().with_key_id("key-1"))],
        [
            Box::new(aliyun().with_signature(AliyunSignature::Rpc)),
            Box::new(aliyun().with_signature(AliyunSignature::Rpc).with_key_id("key-1")),
        ],
        [Box::new(tencent()), Box::new(tencent().with_key_id("key-1"))],
    ];
    for [without, with] in services {
        let sent = |service: &dyn Service, call: &Call<'_>| {
            let request = service.request(call, &credentials, 1_700_000_000, "a nonce");
            request.map(|request| format!("{} {}", *request.url, *request.body))
        };
        for service in [&without, &with] {
            // The blob says which key it needs.
            let sent = sent(service, &decrypt).unwrap();
            assert!(sent.contains("CiphertextBlob") && !sent.contains("key-1"), "{sent}");
            assert!(sent.contains("EncryptionContext"), "{sent}");
        }
        let named = sent(&with, &encrypt).unwrap();
        assert!(named.contains("Plaintext") && named.contains("key-1"), "{named}");
        assert!(matches!(sent(&without, &encrypt), Err(KmsError::NotAsked(_))));
    }
}
