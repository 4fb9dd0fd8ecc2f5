//! What a bucket's client does when the service, or the line to it, is not as it should be: slow,
//! busy, wrong about the time, or wrong about its listings.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "support/retry.rs"]
mod retry;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use envelope_store::{
    Bucket, Credentials, GetOptions, Headers, ProvideCredential, PutOptions, RetryPolicy,
    Signature, Store, StoreError, Upload, blocking::Runtime, list_all,
};
use envelope_testkit::bucket::{ACCESS_KEY, Fault, LoopbackBucket, SECRET};
use futures_util::TryStreamExt as _;

use self::retry::RETRY;

fn oss(url: &str, credentials: impl ProvideCredential<Credential = Credentials>) -> Bucket {
    let endpoint = url.parse().unwrap();
    Bucket::oss("b-1", "cn-x", endpoint, credentials, Signature::V4).unwrap().with_retry(RETRY)
}

fn buckets(server: &LoopbackBucket) -> [Bucket; 3] {
    let key = || Credentials::new(ACCESS_KEY, SECRET);
    let endpoint = || server.url().parse().unwrap();
    let v1 = Bucket::oss("b-1", "", endpoint(), key(), Signature::V1).unwrap();
    let cos = Bucket::cos("b-1", endpoint(), key()).unwrap();
    [oss(&server.url(), key()), v1.with_retry(RETRY), cos.with_retry(RETRY)]
}

async fn put(store: &dyn Store, key: &str, bytes: &'static [u8]) -> Result<(), StoreError> {
    let body = Bytes::from_static(bytes);
    store.put(key, body, &Headers::new(), PutOptions::default()).await.map(|_| ())
}

#[test]
fn a_slow_line_is_no_failure_and_a_dead_one_is() {
    let (server, runtime) = (LoopbackBucket::start(), Runtime::new().unwrap());
    for bucket in buckets(&server) {
        let store =
            bucket.with_stall_timeout(Duration::from_millis(400)).with_retry(RetryPolicy::ONCE);
        // The whole takes several times the limit, in either direction.
        let body = vec![7; 600_000];
        server.set_rate(Some(400_000));
        let begun = Instant::now();
        runtime
            .block_on(store.put(
                "slow",
                body.clone().into(),
                &Headers::new(),
                PutOptions::default(),
            ))
            .unwrap();
        assert!(begun.elapsed() > Duration::from_millis(1000), "{:?}", begun.elapsed());
        let begun = Instant::now();
        let object = runtime.block_on(store.get("slow", GetOptions::default())).unwrap();
        let chunks: Vec<Bytes> = runtime.block_on(object.body.try_collect()).unwrap();
        assert!(chunks.concat() == body);
        assert!(begun.elapsed() > Duration::from_millis(1000), "{:?}", begun.elapsed());
        server.set_rate(None);
        server.fail(0, Fault::Hang);
        let outcome = runtime.block_on(store.head("slow"));
        server.release();
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
}

/// A server that accepts a connection and never reads.
#[test]
fn a_server_that_reads_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        thread::sleep(Duration::from_secs(3));
        drop(connection);
    });
    let store = oss(&url, Credentials::new(ACCESS_KEY, SECRET))
        .with_stall_timeout(Duration::from_millis(300))
        .with_retry(RetryPolicy::ONCE);
    let runtime = Runtime::new().unwrap();
    let begun = Instant::now();
    // Longer than what is hidden in buffers; the limit then counts from the last piece.
    let outcome = runtime.block_on(store.head("key"));
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    server.join().unwrap();
}

#[test]
fn a_busy_service_is_asked_when_it_says_and_every_wait_is_told() {
    let (server, runtime) = (LoopbackBucket::start(), Runtime::new().unwrap());
    for bucket in buckets(&server) {
        let waits = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&waits);
        let store = bucket
            .with_retry(RETRY.with_budget(Duration::from_secs(10)))
            .with_wait_listener(move |delay, error| {
                told.lock().unwrap().push((delay, error.to_string()));
            });
        server.fail(0, Fault::Busy(1));
        let begun = Instant::now();
        runtime.block_on(put(&store, "key", b"x")).unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(1));
        let waits = std::mem::take(&mut *waits.lock().unwrap());
        assert_eq!(waits.len(), 1);
        assert_eq!(waits[0].0, Duration::from_secs(1));
        assert!(waits[0].1.contains("503"), "{}", waits[0].1);
        // An hour is more than there is time for.
        server.fail(0, Fault::Busy(3600));
        let begun = Instant::now();
        let outcome = runtime.block_on(put(&store, "key", b"x"));
        assert!(matches!(outcome, Err(StoreError::Busy { .. })), "{outcome:?}");
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn time_decides_how_long_a_request_is_repeated() {
    let (server, runtime) = (LoopbackBucket::start(), Runtime::new().unwrap());
    let policy = RetryPolicy::default()
        .with_initial_backoff(Duration::from_millis(5))
        .with_budget(Duration::from_secs(2));
    let store = oss(&server.url(), Credentials::new(ACCESS_KEY, SECRET)).with_retry(policy);
    // Many failures, but for a short time.
    for n in 0..7 {
        server.fail(n, Fault::Error);
    }
    runtime.block_on(put(&store, "key", b"x")).unwrap();
    for n in 0..100 {
        server.fail(n, Fault::Error);
    }
    let begun = Instant::now();
    runtime.block_on(put(&store, "key", b"x")).unwrap_err();
    let elapsed = begun.elapsed();
    assert!((1900..4000).contains(&elapsed.as_millis()), "{elapsed:?}");
}

#[test]
fn a_wrong_clock_is_corrected_once() {
    for skew in [-7200, 7200] {
        let (server, runtime) = (LoopbackBucket::start(), Runtime::new().unwrap());
        server.set_skew(skew);
        for store in buckets(&server) {
            let before = server.requests().len();
            runtime.block_on(put(&store, "key", b"x")).unwrap();
            // The first request was made twice; from then on, the time is known.
            runtime.block_on(store.head("key")).unwrap();
            assert_eq!(server.requests().len() - before, 3, "{skew}");
        }
        // A clock that is right is no reason to ask again.
        let wrong = oss(&server.url(), Credentials::new(ACCESS_KEY, "another secret"));
        server.set_skew(0);
        let before = server.requests().len();
        let denied = runtime.block_on(wrong.head("key"));
        assert!(matches!(denied, Err(StoreError::Denied(_))), "{denied:?}");
        assert_eq!(server.requests().len() - before, 1);
    }
}

/// A provider of access keys that something else replaces.
#[derive(Debug)]
struct Rotating(Arc<Mutex<Vec<&'static str>>>);

impl ProvideCredential for Rotating {
    type Credential = Credentials;

    async fn provide_credential(
        &self,
        _: &reqsign_core::Context,
    ) -> reqsign_core::Result<Option<Credentials>> {
        let mut secrets = self.0.lock().unwrap();
        let secret = if secrets.len() > 1 { secrets.remove(0) } else { secrets[0] };
        Ok(Some(Credentials::new(ACCESS_KEY, secret)))
    }
}

#[test]
fn an_access_key_that_expired_is_asked_for_anew() {
    let (server, runtime) = (LoopbackBucket::start(), Runtime::new().unwrap());
    server.set_secret("new");
    let secrets = Arc::new(Mutex::new(vec!["old", "new"]));
    let store = oss(&server.url(), Rotating(Arc::clone(&secrets)));
    runtime.block_on(put(&store, "key", b"x")).unwrap();
    // The same key again is no reason to ask the service again.
    *secrets.lock().unwrap() = vec!["old"];
    let before = server.requests().len();
    runtime.block_on(put(&store, "key", b"x")).unwrap_err();
    assert_eq!(server.requests().len() - before, 1);
}

#[test]
fn bytes_that_are_damaged_on_their_way_are_sent_again() {
    let (server, runtime) = (LoopbackBucket::start(), Runtime::new().unwrap());
    for store in buckets(&server) {
        server.fail(0, Fault::ChangeOnWire);
        runtime.block_on(put(&store, "key", b"some bytes")).unwrap();
        assert_eq!(&server.object("b-1", "key").unwrap().0[..], b"some bytes");
        let headers = Headers::new();
        let upload = store.create_multipart("key", &headers, PutOptions::default());
        let upload = runtime.block_on(upload).unwrap();
        server.fail(0, Fault::ChangeOnWire);
        let part = store.upload_part(&upload, 1, Bytes::from_static(b"a part"), &headers);
        let part = runtime.block_on(part).unwrap();
        let parts = [(1, part.etag)];
        runtime
            .block_on(store.complete(&upload, &parts, &Headers::new(), PutOptions::default()))
            .unwrap();
        assert_eq!(&server.object("b-1", "key").unwrap().0[..], b"a part");
    }
}

/// Keys that the client's URLs would turn into others.
#[test]
fn a_key_is_sent_byte_for_byte_or_not_at_all() {
    let (server, runtime) = (LoopbackBucket::start(), Runtime::new().unwrap());
    let headers = Headers::new();
    for store in buckets(&server) {
        for key in ["secret", "a/x", "x"] {
            runtime.block_on(put(&store, key, b"not this one")).unwrap();
        }
        let other =
            ["a/../secret", "./x", "../b-2/x", "a/./x", "..", ".", "a/..", "a/.", "x/../..//"];
        let other = other.into_iter().chain(["/../b-2/x", "%2e%2e/../x", ""]);
        for key in other {
            let before = server.requests().len();
            let is_key = |outcome: Result<(), StoreError>| {
                assert!(matches!(outcome, Err(StoreError::Key(_))), "{key}: {outcome:?}");
            };
            let options = PutOptions::default();
            is_key(runtime.block_on(store.head(key)).map(|_| ()));
            is_key(runtime.block_on(store.get(key, GetOptions::default())).map(|_| ()));
            is_key(runtime.block_on(put(&store, key, b"x")));
            is_key(runtime.block_on(store.delete(key)));
            is_key(runtime.block_on(store.delete_version(key, "V1")));
            is_key(runtime.block_on(store.create_multipart(key, &headers, options)).map(|_| ()));
            is_key(runtime.block_on(store.list_parts(&Upload::new(key, "U"))).map(|_| ()));
            is_key(runtime.block_on(store.abort(&Upload::new(key, "U"))));
            let copied = store.copy_replace_metadata(key, "\"e\"", &headers);
            is_key(runtime.block_on(copied));
            assert_eq!(server.requests().len(), before, "{key}: nothing was sent");
        }
        // What only looks like them is sent as it is.
        for key in [
            "a//b",
            "...",
            "a/.b",
            "a/b.",
            "a..b/c",
            "%2e%2e/x",
            "a\\..\\b",
            "\u{fc}/\u{2025}",
            "a?b#c",
        ] {
            runtime.block_on(put(&store, key, b"odd")).unwrap();
            assert!(server.object("b-1", key).is_some(), "{key}");
            runtime.block_on(store.delete(key)).unwrap();
        }
        for key in ["secret", "a/x", "x"] {
            assert_eq!(&server.object("b-1", key).unwrap().0[..], b"not this one");
        }
    }
}

#[test]
fn listings_are_complete_or_an_error() {
    let (server, runtime) = (LoopbackBucket::start(), Runtime::new().unwrap());
    let headers = Headers::new();
    for bucket in buckets(&server) {
        let store: Arc<dyn Store> = Arc::new(bucket);
        server.set_page(3);
        for n in 0..10 {
            runtime.block_on(put(&*store, &format!("many/{n}"), b"x")).unwrap();
        }
        let options = PutOptions::default();
        let mut uploads = Vec::new();
        for key in ["up", "up", "up", "up", "up", "up/other", "upper"] {
            let upload = store.create_multipart(key, &headers, options);
            uploads.push(runtime.block_on(upload).unwrap());
        }
        let first = uploads[0].clone();
        for n in 1..=7 {
            let part = store.upload_part(&first, n, Bytes::from_static(b"x"), &headers);
            runtime.block_on(part).unwrap();
        }
        let keys = || runtime.block_on(list_all(store.clone(), "many/").try_collect::<Vec<_>>());
        let open = || runtime.block_on(store.list_multipart_uploads("up"));
        let parts = || runtime.block_on(store.list_parts(&first));
        assert_eq!(keys().unwrap().len(), 10);
        assert_eq!(open().unwrap().len(), 5);
        let numbers: Vec<u16> = parts().unwrap().iter().map(|part| part.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
        for fault in [Fault::SameMarker, Fault::NoMarker, Fault::NotSaid, Fault::LostPage] {
            for n in 0..2 {
                for listing in 0..3 {
                    server.fail(n, fault);
                    let outcome = match listing {
                        0 => keys().map(|found| found.len()),
                        1 => open().map(|found| found.len()),
                        _ => parts().map(|found| found.len()),
                    };
                    server.heal();
                    let what = format!("{fault:?} at {n} of {listing}: {outcome:?}");
                    match outcome {
                        // The last key of a page is as good as its marker.
                        Ok(all) => assert_eq!(all, [10, 5, 7][listing], "{what}"),
                        Err(StoreError::Malformed(_)) => {}
                        Err(StoreError::OtherServer(_)) if fault == Fault::LostPage => {}
                        Err(error) => panic!("{what}: {error}"),
                    }
                }
            }
        }
        for upload in uploads {
            runtime.block_on(store.abort(&upload)).unwrap();
        }
    }
}

/// The access key's signature must not be given to a proxy in the clear.
#[test]
fn no_proxy_sees_requests_without_tls() {
    const INNER: &str = "ENVELOPE_TEST_PROXY";
    if let Ok(url) = std::env::var(INNER) {
        let store = oss(&url, Credentials::new(ACCESS_KEY, SECRET).with_token("a token"));
        Runtime::new().unwrap().block_on(put(&store, "key", b"x")).unwrap();
        return;
    }
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&seen);
    thread::spawn(move || {
        for connection in proxy.incoming() {
            let mut connection = connection.unwrap();
            let mut bytes = [0; 4096];
            let read = connection.read(&mut bytes).unwrap_or_default();
            heard.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            let _ = connection.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let server = LoopbackBucket::start();
    // The environment is that of a process, so the client runs in one of its own.
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "no_proxy_sees_requests_without_tls"]).env(INNER, server.url());
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"] {
        command.env(name, format!("http://{address}"));
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(server.object("b-1", "key").is_some());
    assert_eq!(*seen.lock().unwrap(), "");
}
