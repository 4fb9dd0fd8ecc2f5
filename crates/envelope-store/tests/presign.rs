//! URLs with which somebody without an access key makes one request.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use std::time::Duration;

use bytes::Bytes;
use envelope_store::{
    Bucket, Credentials, Headers, MemoryStore, PresignedMethod, PutOptions, Signature, Store,
    StoreError, blocking::Runtime,
};
use envelope_testkit::bucket::{ACCESS_KEY, LoopbackBucket, SECRET};

const HOUR: Duration = Duration::from_secs(3600);

fn buckets(server: &LoopbackBucket) -> [Bucket; 3] {
    let key = || Credentials::new(ACCESS_KEY, SECRET);
    let endpoint = || server.url().parse().unwrap();
    [
        Bucket::oss("b-1", "", endpoint(), key(), Signature::V1).unwrap(),
        Bucket::oss("b-1", "cn-x", endpoint(), key(), Signature::V4).unwrap(),
        Bucket::cos("b-1", endpoint(), key()).unwrap(),
    ]
}

/// Makes a request as somebody who knows nothing but a URL.
async fn ask(method: &str, url: &str, headers: &Headers, body: &'static str) -> (u16, Bytes) {
    let method: http::Method = method.parse().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(method, url).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap())
}

#[test]
fn one_method_one_object_and_a_time() {
    let server = LoopbackBucket::start();
    Runtime::new().unwrap().block_on(async {
        let none = Headers::new();
        for store in buckets(&server) {
            for key in ["plain", "a b+c%20/\u{fc}&?#=x"] {
                let body = Bytes::from_static(b"content");
                store.put(key, body, &none, PutOptions::default()).await.unwrap();
                let get = store.presign(PresignedMethod::Get, key, &none, HOUR).await.unwrap();
                assert!(!get.contains(SECRET));
                assert_eq!(ask("GET", &get, &none, "").await, (200, "content".into()), "{get}");
                assert_eq!(ask("PUT", &get, &none, "x").await.0, 403);
                assert_eq!(ask("DELETE", &get, &none, "").await.0, 403);
                assert_eq!(ask("GET", &get.replace("b-1", "b-2"), &none, "").await.0, 403);
                let prefix = format!("{}meta-a", store.vendor().unwrap().header_prefix());
                let headers = vec![(prefix.clone(), "b c".to_owned())];
                let put = store.presign(PresignedMethod::Put, key, &headers, HOUR).await.unwrap();
                assert_eq!(ask("PUT", &put, &headers, "new").await.0, 200, "{put}");
                assert_eq!(store.head(key).await.unwrap().header(&prefix), Some("b c"));
                let other = vec![(prefix, "other".to_owned())];
                for wrong in [&none, &other] {
                    assert_eq!(ask("PUT", &put, wrong, "evil").await.0, 403, "{put}");
                }
                assert_eq!(ask("GET", &put, &none, "").await.0, 403);
                // COS signs the headers that there are, and takes others, too.
                let own = store.vendor().unwrap();
                let mut more = headers.clone();
                more.push((own.access_header().to_owned(), "public-read".to_owned()));
                let status = if own.id() == "cos" { 200 } else { 403 };
                assert_eq!(ask("PUT", &put, &more, "new").await.0, status, "{put}");
                assert_eq!(ask("GET", &get, &none, "").await.1, "new");
            }
            let odd = vec![("x-cos-meta-a".to_owned(), "\u{fc}".to_owned())];
            let refused = store.presign(PresignedMethod::Put, "a", &odd, HOUR).await;
            assert!(matches!(refused, Err(StoreError::Malformed(_))), "{refused:?}");
            // It ends.
            let soon = Duration::from_secs(10);
            let url = store.presign(PresignedMethod::Get, "plain", &none, soon).await.unwrap();
            server.set_skew(if store.vendor().unwrap().id() == "cos" { 911 } else { 11 });
            assert_eq!(ask("GET", &url, &none, "").await.0, 403, "{url}");
            server.set_skew(0);
            for key in ["", "a/../b", "./x"] {
                let refused = store.presign(PresignedMethod::Get, key, &none, HOUR).await;
                assert!(matches!(refused, Err(StoreError::Key(_))), "{key}: {refused:?}");
            }
        }
        let memory = MemoryStore::new().presign(PresignedMethod::Get, "a", &none, HOUR).await;
        assert!(matches!(memory, Err(StoreError::Unsupported(_))));
    });
}
