//! Tests of the clients against a loopback KMS that checks signatures and fails on request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests panic on failure"
)]
#![cfg(feature = "blocking")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use envelope_core::{
    Decryptor, EncryptError, Encryptor, Keyring, KmsKeyWrapper, PartPlan, WrapError,
    kms::{Kms, KmsError},
};
use envelope_kms::{
    Aliyun, AliyunSignature, CALL_BOUND, CacheLimits, CachedKms, Client, Clock, Credentials,
    HttpRequest, HttpResponse, RetryPolicy, Service, SystemClock, Tencent, Transport,
    TransportError, UreqTransport, conformance,
};
use envelope_testkit::kms::{ACCESS_KEY, DISABLED_KEY, Fault, LoopbackKms, SECRET, TOKEN};
use meta_codec::{Dialect, Envelope, WrapAlgorithm, parse};

/// The attempts of a call that fails.
const ATTEMPTS: u32 = RetryPolicy::SHORT.attempts;

fn credentials() -> Credentials {
    Credentials::new(ACCESS_KEY, SECRET)
}

fn aliyun(server: &LoopbackKms) -> Aliyun {
    Aliyun::new("cn-hangzhou")
        .unwrap()
        .with_key_id("key-1")
        .with_endpoint(server.url().parse().unwrap())
}

fn tencent(server: &LoopbackKms) -> Tencent {
    Tencent::new("ap-guangzhou")
        .unwrap()
        .with_key_id("key-1")
        .with_endpoint(server.url().parse().unwrap())
}

/// A clock that adds up the time it should have waited, without waiting.
#[derive(Clone, Default)]
struct FakeClock(Arc<AtomicI64>);

impl FakeClock {
    fn advance(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.load(Ordering::SeqCst)).unwrap())
    }
}

impl Clock for FakeClock {
    fn now(&self) -> i64 {
        SystemClock.now()
    }

    fn sleep(&self, time: Duration) {
        self.advance(time);
    }

    fn jitter(&self) -> f64 {
        0.999
    }
}

fn patient<S: Service>(service: S) -> (Client<S, UreqTransport>, FakeClock) {
    let clock = FakeClock::default();
    let transport = UreqTransport::default();
    (Client::with_transport(service, credentials(), transport, clock.clone()), clock)
}

/// All clients, with every signature scheme.
fn clients(server: &LoopbackKms) -> Vec<Box<dyn Kms>> {
    let rpc = aliyun(server).with_signature(AliyunSignature::Rpc);
    vec![
        Box::new(patient(aliyun(server)).0),
        Box::new(patient(rpc).0),
        Box::new(patient(tencent(server)).0),
    ]
}

#[test]
fn the_clients_conform() {
    let server = LoopbackKms::start();
    for kms in clients(&server) {
        conformance::check(&*kms).unwrap();
        let cached = CachedKms::new(Arc::<dyn Kms>::from(kms), CacheLimits::default());
        conformance::check(&cached).unwrap();
    }
}

#[test]
fn temporary_access_keys() {
    let server = LoopbackKms::start();
    let good = credentials().with_token(TOKEN);
    let expired = credentials().with_token("an old one");
    let rpc = aliyun(&server).with_signature(AliyunSignature::Rpc);
    assert!(Client::new(aliyun(&server), good.clone()).encrypt("AAAA", None).is_ok());
    assert!(Client::new(rpc.clone(), good.clone()).encrypt("AAAA", None).is_ok());
    assert!(Client::new(tencent(&server), good).encrypt("AAAA", None).is_ok());
    for outcome in [
        Client::new(aliyun(&server), expired.clone()).encrypt("AAAA", None),
        Client::new(rpc, expired.clone()).encrypt("AAAA", None),
        Client::new(tencent(&server), expired).encrypt("AAAA", None),
    ] {
        assert!(matches!(&outcome, Err(KmsError::Denied(_))), "{outcome:?}");
    }
}

#[test]
fn objects_open_through_the_service() {
    let server = LoopbackKms::start();
    for (dialect, twice) in
        [(Dialect::OSS_V2, false), (Dialect::OSS_V2, true), (Dialect::OSS_V1, false)]
    {
        let writer = KmsKeyWrapper::new(patient(aliyun(&server)).0);
        let writer = if twice { writer.with_blob_twice() } else { writer };
        round_trip(&writer, patient(aliyun(&server)).0, dialect);
    }
    let writer = KmsKeyWrapper::new(patient(tencent(&server)).0);
    round_trip(&writer, patient(tencent(&server)).0, Dialect::COS_V2);
}

fn round_trip(
    writer: &KmsKeyWrapper<impl Kms + 'static>,
    reader: impl Kms + 'static,
    dialect: Dialect,
) {
    let (envelope, cipher) = Encryptor::new(writer, dialect).encrypt().unwrap().into_inner();
    let envelope = sent(&envelope);
    let keyring = Keyring::new().with(KmsKeyWrapper::new(reader));
    let opened = Decryptor::new(&keyring).decrypt_ctr(&envelope).unwrap();
    let (mut a, mut b) = ([0; 50], [0; 50]);
    cipher.at(0).apply(&mut a);
    opened.at(0).apply(&mut b);
    assert_eq!(a, b);
}

fn sent(envelope: &Envelope) -> Envelope {
    parse(envelope.emit(envelope.dialect()).unwrap()).unwrap().unwrap()
}

#[test]
fn a_thousand_parts_cost_four_calls() {
    let server = LoopbackKms::start();
    let writer = KmsKeyWrapper::new(patient(aliyun(&server)).0);
    let plan = PartPlan::new(102_400_000, 102_400, Dialect::OSS_V2).unwrap();
    let object = Encryptor::new(&writer, Dialect::OSS_V2).with_parts(plan).encrypt().unwrap();
    for mut part in object.parts().unwrap() {
        part.update(&mut [0; 16]).unwrap();
    }
    // Two to wrap CEK and IV, and two to prove that they can be unwrapped.
    assert_eq!((plan.parts().len(), server.calls()), (1000, 4));

    let cached = CachedKms::new(patient(aliyun(&server)).0, CacheLimits::default());
    let keyring = Keyring::new().with(KmsKeyWrapper::new(cached));
    for _ in 0..200 {
        Decryptor::new(&keyring).decrypt(object.envelope()).unwrap();
    }
    assert_eq!(server.calls(), 6);
}

#[test]
fn throttling_is_ridden_out_and_nothing_else_is_tried_again() {
    for vendor in [WrapAlgorithm::KmsAliyun, WrapAlgorithm::KmsTencent] {
        let server = LoopbackKms::start();
        let encrypt = |key: &str| {
            let clock;
            let outcome;
            if vendor == WrapAlgorithm::KmsAliyun {
                let (client, c) = patient(aliyun(&server).with_key_id(key));
                (outcome, clock) = (client.encrypt("AAAA", None), c);
            } else {
                let (client, c) = patient(tencent(&server).with_key_id(key));
                (outcome, clock) = (client.encrypt("AAAA", None), c);
            }
            (outcome, clock.elapsed())
        };
        for fault in [Fault::Throttle, Fault::ServerError, Fault::Cut] {
            let before = server.calls();
            server.fail(fault, ATTEMPTS - 1);
            let (outcome, elapsed) = encrypt("key-1");
            assert!(outcome.is_ok(), "{fault:?}: {outcome:?}");
            assert_eq!(server.calls() - before, ATTEMPTS as usize);
            let mut backoff = RetryPolicy::SHORT.start();
            let delays = std::iter::from_fn(|| backoff.next_delay(FakeClock::default().jitter()));
            let expected: u128 = delays.map(|delay| delay.as_millis()).sum();
            assert_eq!(elapsed.as_millis(), expected, "{fault:?}");

            server.fail(fault, ATTEMPTS);
            let (outcome, _) = encrypt("key-1");
            assert!(matches!(outcome, Err(KmsError::Unavailable(_))), "{outcome:?}");
            assert_eq!(server.calls() - before, 2 * ATTEMPTS as usize);
        }
        let before = server.calls();
        let (outcome, elapsed) = encrypt(DISABLED_KEY);
        assert!(matches!(outcome, Err(KmsError::Denied(_))), "{outcome:?}");
        assert_eq!((server.calls() - before, elapsed), (1, Duration::ZERO));
    }
}

#[test]
fn bad_answers_are_typed_and_final() {
    for fault in [Fault::Html, Fault::Truncated, Fault::Huge, Fault::Redirect] {
        let server = LoopbackKms::start();
        for kms in clients(&server) {
            let before = server.calls();
            server.fail(fault, 1);
            let outcome = kms.encrypt("AAAA", None);
            assert!(matches!(outcome, Err(KmsError::Malformed(_))), "{fault:?}: {outcome:?}");
            assert_eq!(server.calls() - before, 1, "{fault:?}");
        }
    }
}

#[test]
fn a_plaintext_of_the_wrong_length_is_no_content_key() {
    let server = LoopbackKms::start();
    let writer = KmsKeyWrapper::new(patient(aliyun(&server)).0);
    let object = Encryptor::new(&writer, Dialect::OSS_V2).encrypt().unwrap();
    server.fail(Fault::WrongLength, 2);
    let keyring = Keyring::new().with(writer);
    let error = Decryptor::new(&keyring).decrypt(object.envelope()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("could not be unwrapped"), "{error}");
}

#[test]
fn wrong_signatures_keys_blobs_and_contexts() {
    let server = LoopbackKms::start();
    let denied = |outcome: Result<String, KmsError>| {
        assert!(
            matches!(&outcome, Err(KmsError::Denied(_) | KmsError::NotAsked(_))),
            "{outcome:?}"
        );
    };
    for (id, secret) in [(ACCESS_KEY, "wrong"), ("wrong", SECRET)] {
        let key = || Credentials::new(id, secret);
        let rpc = aliyun(&server).with_signature(AliyunSignature::Rpc);
        denied(Client::new(aliyun(&server), key()).encrypt("AAAA", None));
        denied(Client::new(rpc, key()).encrypt("AAAA", None));
        denied(Client::new(tencent(&server), key()).encrypt("AAAA", None));
    }
    // Without a master key, nothing is sent.
    let before = server.calls();
    let endpoint = server.url().parse().unwrap();
    denied(
        Client::new(Aliyun::new("r").unwrap().with_endpoint(endpoint), credentials())
            .encrypt("AAAA", None),
    );
    assert_eq!(server.calls(), before);
    // A blob from the other service.
    let blob = patient(tencent(&server)).0.encrypt("AAAA", None).unwrap();
    let outcome = patient(aliyun(&server)).0.decrypt(&(blob + "x"), None).map(|_| ());
    assert!(matches!(outcome, Err(KmsError::Refused(_))), "{outcome:?}");
}

#[test]
fn a_clock_that_is_wrong() {
    struct Late;

    impl Clock for Late {
        fn now(&self) -> i64 {
            SystemClock.now() - 3600
        }

        fn sleep(&self, _: Duration) {}

        fn jitter(&self) -> f64 {
            0.0
        }
    }

    let server = LoopbackKms::start();
    let transport = UreqTransport::default;
    let rpc = aliyun(&server).with_signature(AliyunSignature::Rpc);
    for outcome in [
        Client::with_transport(aliyun(&server), credentials(), transport(), Late)
            .encrypt("AAAA", None),
        Client::with_transport(rpc, credentials(), transport(), Late).encrypt("AAAA", None),
        Client::with_transport(tencent(&server), credentials(), transport(), Late)
            .encrypt("AAAA", None),
    ] {
        assert!(matches!(&outcome, Err(KmsError::Denied(_))), "{outcome:?}");
    }
    assert_eq!(server.calls(), 3);
}

#[test]
fn a_dead_endpoint_fails_within_the_bound() {
    /// A transport that always times out.
    struct Dead(FakeClock);

    impl Transport for Dead {
        fn post(&self, _: &HttpRequest, timeout: Duration) -> Result<HttpResponse, TransportError> {
            self.0.advance(timeout);
            Err(TransportError::Timeout)
        }
    }

    let clock = FakeClock::default();
    let dead = Dead(clock.clone());
    let client = Client::with_transport(
        Tencent::new("r").unwrap().with_key_id("k"),
        credentials(),
        dead,
        clock.clone(),
    );
    let outcome = client.encrypt("AAAA", None);
    assert!(matches!(outcome, Err(KmsError::Unavailable(_))), "{outcome:?}");
    let elapsed = clock.elapsed();
    assert!(elapsed >= Duration::from_secs(10) * ATTEMPTS && elapsed <= CALL_BOUND, "{elapsed:?}");

    // A port without a listener, over the real transport.
    let (client, clock) = patient(
        Aliyun::new("r")
            .unwrap()
            .with_key_id("k")
            .with_endpoint("http://127.0.0.1:1".parse().unwrap()),
    );
    assert!(matches!(client.encrypt("AAAA", None), Err(KmsError::Unavailable(_))));
    assert!(clock.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_slow_drip_ends_with_the_try() {
    /// The real transport with a shorter timeout.
    struct Hasty(UreqTransport);

    impl Transport for Hasty {
        fn post(&self, request: &HttpRequest, _: Duration) -> Result<HttpResponse, TransportError> {
            self.0.post(request, Duration::from_millis(300))
        }
    }

    let server = LoopbackKms::start();
    server.fail(Fault::Drip, ATTEMPTS);
    let hasty = Hasty(UreqTransport::default());
    let client =
        Client::with_transport(aliyun(&server), credentials(), hasty, FakeClock::default());
    let outcome = client.encrypt("AAAA", None);
    assert!(matches!(outcome, Err(KmsError::Unavailable(_))), "{outcome:?}");
    assert_eq!(server.calls(), ATTEMPTS as usize);
}

#[test]
fn a_token_that_no_header_can_hold_is_final() {
    let server = LoopbackKms::start();
    let keys = || credentials().with_token("a\nb");
    let clock = FakeClock::default();
    let transport = UreqTransport::default();
    let client = Client::with_transport(tencent(&server), keys(), transport, clock.clone());
    let outcome = client.encrypt("AAAA", None);
    assert!(matches!(outcome, Err(KmsError::NotAsked(_))), "{outcome:?}");
    assert_eq!((server.calls(), clock.elapsed()), (0, Duration::ZERO));
}

#[test]
fn gateways_before_the_service_are_understood() {
    let server = LoopbackKms::start();
    let call = envelope_kms::Call::Encrypt { plaintext: "AAAA", context: None };
    let judge = |service: &dyn Service, status: u16, body: &str| {
        let body = body.as_bytes().to_vec().into();
        service.answer(&call, &HttpResponse::new(status, body)).map(|_| ()).unwrap_err()
    };
    let services: [&dyn Service; 2] = [&aliyun(&server), &tencent(&server)];
    for service in services {
        for body in ["<html>", r#"{"message":"x"}"#, r#"{"Response":{"RequestId":"1"}}"#, ""] {
            for status in [429, 500, 502, 503] {
                let error = judge(service, status, body);
                assert!(matches!(error, KmsError::Unavailable(_)), "{status} {body}: {error}");
            }
            assert!(matches!(judge(service, 403, body), KmsError::Denied(_)), "{body}");
        }
        assert!(matches!(judge(service, 200, "{}"), KmsError::Malformed(_)));
    }
    let region =
        r#"{"Response":{"Error":{"Code":"UnsupportedRegion","Message":""},"RequestId":"1"}}"#;
    assert!(matches!(judge(&tencent(&server), 200, region), KmsError::Denied(_)));
}

#[test]
fn every_try_is_signed_anew() {
    let server = LoopbackKms::start();
    let (client, _) = patient(aliyun(&server));
    server.fail(Fault::Throttle, ATTEMPTS - 1);
    client.encrypt("AAAA", None).unwrap();
    let nonces: BTreeSet<String> = server
        .requests()
        .iter()
        .map(|request| request.headers["x-acs-signature-nonce"].clone())
        .collect();
    assert_eq!(nonces.len(), ATTEMPTS as usize);
}

#[test]
fn no_secret_is_printed() {
    let server = LoopbackKms::start();
    let said = Mutex::new(String::new());
    let say = |words: String| said.lock().unwrap().push_str(&words);
    let keys = Credentials::new(ACCESS_KEY, "SKloop-secret-part").with_token("token-secret-part");
    say(format!("{keys:?}"));
    for fault in [Fault::Html, Fault::Truncated, Fault::Throttle, Fault::Cut, Fault::Redirect] {
        server.fail(fault, ATTEMPTS);
        let clock = FakeClock::default();
        let transport = UreqTransport::default();
        let client = Client::with_transport(tencent(&server), keys.clone(), transport, clock);
        let outcome = client.encrypt("cGxhaW50ZXh0LXNlY3JldA==", Some(r#"{"a":"context-part"}"#));
        say(format!("{:?} {}", outcome, outcome.as_ref().unwrap_err()));
        let wrapper = KmsKeyWrapper::new(client);
        let error = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt().map(|_| ()).unwrap_err();
        assert!(matches!(error, EncryptError::Wrap(WrapError::Kms(_))));
        say(error.to_string());
    }
    let said = said.into_inner().unwrap();
    assert!(said.len() > 300, "{said}");
    for secret in ["secret-part", "cGxhaW50ZXh0", "context-part"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}
