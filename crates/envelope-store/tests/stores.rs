//! Conformance tests that every store must pass.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use bytes::Bytes;
use envelope_core::Crc64;
use envelope_store::{
    Bucket, Credentials, FolderStore, GetOptions, Headers, MemoryStore, PutOptions, Signature,
    Store, StoreError, blocking::Runtime, list_all,
};
use envelope_testkit::bucket::{ACCESS_KEY, LoopbackBucket, SECRET};
use futures_util::{StreamExt as _, TryStreamExt as _};

/// Returns the bytes of an object.
async fn bytes(store: &dyn Store, key: &str, range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let mut options = GetOptions::default();
    options.range = range;
    let object = store.get(key, options).await.unwrap();
    let chunks: Vec<Bytes> = object.body.try_collect().await.unwrap();
    let all = chunks.concat();
    assert_eq!(all.len() as u64, object.bytes.end - object.bytes.start);
    all
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn conforms(store: &dyn Store, meta: &str) {
    let own = headers(&[("content-type", "text/plain"), (meta, "a/b+c=")]);
    assert!(matches!(store.head("none").await, Err(StoreError::NotFound)));
    assert!(matches!(store.get("none", GetOptions::default()).await, Err(StoreError::NotFound)));
    store.delete("none").await.unwrap();

    // Uploads in one request.
    let key = "a b+c/\u{fc}%20&<>'.bin";
    let stored = store
        .put(key, Bytes::from_static(b"0123456789"), &own, PutOptions::default())
        .await
        .unwrap();
    let head = store.head(key).await.unwrap();
    assert_eq!((head.len, &head.etag, head.header(meta)), (10, &stored.etag, Some("a/b+c=")));
    assert_eq!(head.header("content-type"), Some("text/plain"));
    assert_eq!(head.crc64.or(stored.crc64), Some(Crc64::of(b"0123456789")));
    assert_eq!(bytes(store, key, None).await, b"0123456789");
    for (range, want) in [(0..1, &b"0"[..]), (3..7, b"3456"), (9..10, b"9"), (5..99, b"56789")] {
        assert_eq!(bytes(store, key, Some(range)).await, want);
    }
    store.put("empty", Bytes::new(), &own, PutOptions::default()).await.unwrap();
    assert_eq!(bytes(store, "empty", None).await, b"");
    let again = store
        .put(key, Bytes::from_static(b"x"), &own, PutOptions::default().with_create_only(true))
        .await;
    assert!(matches!(again, Err(StoreError::Exists)));

    // Versions.
    store.put(key, Bytes::from_static(b"9876543210"), &own, PutOptions::default()).await.unwrap();
    let of = |etag: &str| GetOptions::default().with_range(0..5).with_if_match(etag);
    let old = store.get(key, of(&head.etag)).await;
    assert!(matches!(old, Err(StoreError::Changed)));
    let new = store.head(key).await.unwrap();
    assert!(store.get(key, of(&new.etag)).await.is_ok());

    // New headers replace all old ones.
    let other = headers(&[(meta, "new")]);
    let stale = store.copy_replace_metadata(key, &head.etag, &other).await;
    assert!(matches!(stale, Err(StoreError::Changed)));
    store.copy_replace_metadata(key, &new.etag, &other).await.unwrap();
    let head = store.head(key).await.unwrap();
    assert_eq!((head.len, head.header(meta)), (10, Some("new")));
    assert_eq!(bytes(store, key, None).await, b"9876543210");

    // Parts arrive out of order, and one of them twice.
    let upload = store.create_multipart("long", &own, PutOptions::default()).await.unwrap();
    assert_eq!(store.list_multipart_uploads("long").await.unwrap().len(), 1);
    assert!(store.list_multipart_uploads("lon").await.unwrap().is_empty());
    let mut tags = Vec::new();
    for (number, part) in [(2, "22"), (1, "wrong"), (3, "333"), (1, "1")] {
        let stored = store.upload_part(&upload, number, part.into(), &own).await.unwrap();
        tags.retain(|(other, _)| *other != number);
        tags.push((number, stored.etag));
    }
    tags.sort_unstable();
    let arrived = store.list_parts(&upload).await.unwrap();
    let lens: Vec<_> = arrived.iter().map(|part| (part.number, part.len)).collect();
    assert_eq!(lens, [(1, 1), (2, 2), (3, 3)]);
    assert!(arrived.iter().zip(&tags).all(|(part, (_, tag))| part.etag == *tag));
    let done =
        store.complete(&upload, &tags, &Headers::new(), PutOptions::default()).await.unwrap();
    assert!(done.crc64.is_none_or(|crc64| crc64 == Crc64::of(b"122333")));
    let head = store.head("long").await.unwrap();
    assert_eq!((&head.etag, head.header(meta)), (&done.etag, Some("a/b+c=")));
    assert_eq!(bytes(store, "long", Some(1..5)).await, b"2233");
    assert!(matches!(
        store.complete(&upload, &tags, &Headers::new(), PutOptions::default()).await,
        Err(StoreError::NoUpload)
    ));
    assert!(matches!(store.list_parts(&upload).await, Err(StoreError::NoUpload)));
    let part = store.upload_part(&upload, 1, "1".into(), &own).await;
    assert!(matches!(part, Err(StoreError::NoUpload)));
    let upload = store.create_multipart("gone", &own, PutOptions::default()).await.unwrap();
    store.upload_part(&upload, 1, "1".into(), &own).await.unwrap();
    let (open, more) = store.list_uploads("go", None).await.unwrap();
    assert_eq!((&open[0].key, &open[0].id, open.len(), more), (&upload.key, &upload.id, 1, false));
    assert!(store.list_uploads("go", Some(&upload)).await.unwrap().0.is_empty());
    assert!(store.list_uploads("gone/", None).await.unwrap().0.is_empty());
    store.abort(&upload).await.unwrap();
    store.abort(&upload).await.unwrap();
    assert!(store.list_multipart_uploads("gone").await.unwrap().is_empty());
    assert!(matches!(store.head("gone").await, Err(StoreError::NotFound)));

    // A listing longer than one page.
    for n in 0..1003 {
        let key = format!("many/{n:04} &+");
        store.put(&key, Bytes::new(), &Headers::new(), PutOptions::default()).await.unwrap();
    }
    let first = store.list("many/", None).await.unwrap();
    assert_eq!((first.entries.len(), first.entries[0].key.as_str()), (1000, "many/0000 &+"));
    let second = store.list("many/", first.next.as_deref()).await.unwrap();
    assert_eq!((second.entries.len(), second.next), (3, None));
    assert_eq!(second.entries[2].key, "many/1002 &+");
    assert_eq!(store.list("a b", None).await.unwrap().entries[0].key, key);

    // One level of a listing.
    for key in ["many.txt", "many/sub/1", "many/sub/2/3", "many/zz"] {
        store.put(key, Bytes::new(), &Headers::new(), PutOptions::default()).await.unwrap();
    }
    let mut level = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list_folder("many", after.as_deref()).await.unwrap();
        level.extend(page.folders);
        level.extend(page.entries.into_iter().map(|entry| entry.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    level.sort_unstable();
    assert_eq!(level, ["many.txt", "many/"]);
    let last = store.list_folder("many/", Some("many/1002 &+")).await.unwrap();
    assert_eq!(last.folders, ["many/sub/"]);
    assert_eq!(last.entries.len(), 1);
    for key in ["many.txt", "many/sub/1", "many/sub/2/3", "many/zz"] {
        store.delete(key).await.unwrap();
    }

    store.delete(key).await.unwrap();
    assert!(matches!(store.head(key).await, Err(StoreError::NotFound)));

    // Many at once, with keys that no document can carry.
    let mut keys: Vec<String> = (0..900).map(|n| format!("many/{n:04} &+")).collect();
    for odd in [" edge ", "a&<b>\"'", "a%20b+c", "ü😀", "]]>"] {
        store.put(odd, Bytes::new(), &Headers::new(), PutOptions::default()).await.unwrap();
        keys.push(odd.to_owned());
    }
    keys.push("none".to_owned());
    let outcomes = store.delete_many(&keys).await.unwrap();
    assert_eq!(outcomes.len(), keys.len());
    for (key, outcome) in keys.iter().zip(outcomes) {
        assert!(outcome.is_ok(), "{key:?}: {outcome:?}");
        assert!(matches!(store.head(key).await, Err(StoreError::NotFound)), "{key:?}");
    }
    assert_eq!(store.list("many/", None).await.unwrap().entries.len(), 103);
    assert!(store.delete_many(&[]).await.unwrap().is_empty());
}

#[test]
fn memory() {
    Runtime::new().unwrap().block_on(conforms(&MemoryStore::new(), "x-oss-meta-own"));
}

#[test]
fn folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::new(folder.path().join("store"));
    Runtime::new().unwrap().block_on(conforms(&store, "x-oss-meta-own"));
}

#[test]
fn buckets() {
    let (server, runtime) = (LoopbackBucket::start(), Runtime::new().unwrap());
    let endpoint = || server.url().parse().unwrap();
    let credentials = || Credentials::new(ACCESS_KEY, SECRET);
    for signature in [Signature::V1, Signature::V4] {
        let name = if signature == Signature::V1 { "one" } else { "four" };
        let bucket = Bucket::oss(name, "cn-x", endpoint(), credentials(), signature).unwrap();
        runtime.block_on(conforms(&bucket, "x-oss-meta-own"));
    }
    let bucket = Bucket::cos("b-1", endpoint(), credentials()).unwrap();
    runtime.block_on(conforms(&bucket, "x-cos-meta-own"));

    let wrong = Credentials::new(ACCESS_KEY, "wrong");
    let bucket = Bucket::cos("b-1", endpoint(), wrong).unwrap();
    assert!(matches!(runtime.block_on(bucket.list("", None)), Err(StoreError::Denied(_))));
}

#[test]
fn a_folder_gives_nothing_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), b"secret").unwrap();
    let none = Headers::new();
    let (store, runtime) = (FolderStore::new(folder.path().join("store")), Runtime::new().unwrap());
    runtime.block_on(store.put("k", Bytes::new(), &Headers::new(), PutOptions::default())).unwrap();
    // And nothing under another name: a key is a path byte for byte.
    let aliases = ["./k", "k/.", "a//b", "a/./b", "//k", "a/../k", ".", "..", "k\0"];
    // And nothing that would be in the way of a sidecar, which no write could undo.
    let long = "x".repeat(243);
    let in_the_way = ["k.headers.json", "k.headers.json/y", "a/k.headers.json/y", &long];
    let outside = ["../secret", "/etc/passwd", "", "a/../../secret", "k/", ".envelope-uploads/x"];
    for key in outside.into_iter().chain(aliases).chain(in_the_way) {
        assert!(runtime.block_on(store.get(key, GetOptions::default())).is_err(), "{key}");
        assert!(
            runtime
                .block_on(store.put(key, Bytes::new(), &Headers::new(), PutOptions::default()))
                .is_err(),
            "{key}"
        );
        assert!(runtime.block_on(store.delete(key)).is_err(), "{key}");
    }
    assert_eq!(std::fs::read(folder.path().join("secret")).unwrap(), b"secret");
    let longest = "x".repeat(242);
    let put = store.put(&longest, Bytes::new(), &none, PutOptions::default());
    runtime.block_on(put).unwrap();
    // An upload ID that is no name is none of ours.
    for id in ["", ".", "..", "a/b", "../store", "lock"] {
        let upload = envelope_store::Upload::new("k", id);
        let _ = runtime.block_on(store.abort(&upload));
        assert!(runtime.block_on(store.list_parts(&upload)).is_err(), "{id}");
    }
    assert!(runtime.block_on(store.head("k")).is_ok());
    let again = store.put("k", Bytes::new(), &none, PutOptions::default());
    runtime.block_on(again).unwrap();
}

/// Of many writers at once, one may create an object. The pair is always that of one writer.
#[test]
fn a_folder_has_one_writer_at_a_time() {
    let (folder, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let put = |n: usize, create_only: bool| {
        // Another process, as far as locks are concerned.
        let store = FolderStore::new(folder.path());
        let body = Bytes::from(n.to_string().repeat(1000));
        let own = headers(&[("x-oss-meta-n", &n.to_string())]);
        let options = PutOptions::default().with_create_only(create_only);
        runtime.block_on(store.put("a/key", body, &own, options))
    };
    let created: usize = std::thread::scope(|scope| {
        let running: Vec<_> = (0..8).map(|n| scope.spawn(move || put(n, true).is_ok())).collect();
        running.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(created, 1);
    std::thread::scope(|scope| {
        for n in 0..4 {
            scope.spawn(move || (0..25).for_each(|_| drop(put(n, false).unwrap())));
        }
        scope.spawn(|| {
            let store = FolderStore::new(folder.path());
            for _ in 0..200 {
                let object = runtime.block_on(store.get("a/key", GetOptions::default())).unwrap();
                let n = object.meta.header("x-oss-meta-n").unwrap().to_owned();
                let chunks: Vec<Bytes> = runtime.block_on(object.body.try_collect()).unwrap();
                assert_eq!(chunks.concat(), n.repeat(1000).as_bytes());
            }
        });
    });
}

/// Every folder is read once, whatever the number of pages.
#[test]
fn a_folder_lists_what_is_there_in_order() {
    let (folder, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let mut keys: Vec<String> =
        (0..2500_u32).map(|n| format!("{}/{}", n % 7, n * 7919 % 10_007)).collect();
    for key in &keys {
        let path = folder.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"by hand").unwrap();
    }
    // An object with a damaged sidecar is there all the same.
    std::fs::write(folder.path().join(format!("{}.headers.json", keys[7])), b"not JSON").unwrap();
    keys.sort_unstable();
    let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(FolderStore::new(folder.path()));
    let all = |store| runtime.block_on(list_all(store, "").try_collect::<Vec<_>>()).unwrap();
    let found: Vec<String> = all(store.clone()).into_iter().map(|entry| entry.key).collect();
    assert_eq!(found, keys);
    // A page can be asked for by anybody.
    let page =
        runtime.block_on(FolderStore::new(folder.path()).list("", Some(&keys[999]))).unwrap();
    assert_eq!(page.entries[0].key, keys[1000]);
    assert!(all(store).len() == 2500);
}

/// The names in a folder are read once for all pages. Otherwise, a listing would take a time that
/// grows with the square of their number.
#[test]
fn a_page_goes_on_where_the_last_one_ended() {
    let (folder, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    for n in 0..2500 {
        std::fs::write(folder.path().join(format!("{n:04}")), b"by hand").unwrap();
    }
    let store = FolderStore::new(folder.path());
    let first = runtime.block_on(store.list("", None)).unwrap();
    // Whoever reads the folder again sees it.
    std::fs::write(folder.path().join("0999a"), b"by hand").unwrap();
    let last = first.next.unwrap();
    let next = runtime.block_on(store.list("", Some(&last))).unwrap();
    assert_eq!(next.entries[0].key, "1000");
    let anew = runtime.block_on(FolderStore::new(folder.path()).list("", Some(&last))).unwrap();
    assert_eq!(anew.entries[0].key, "0999a");
}

/// Files that have no key, or cannot be read, are an error after everything else.
#[cfg(unix)]
#[test]
fn a_folder_does_not_pass_over_what_it_cannot_list() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, os::unix::fs::symlink};
    for odd in ["name", "link"] {
        let (folder, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
        for n in 0..1500 {
            std::fs::write(folder.path().join(format!("{n:04}")), b"by hand").unwrap();
        }
        std::fs::create_dir(folder.path().join("p")).unwrap();
        match odd {
            "name" => {
                std::fs::write(folder.path().join(OsStr::from_bytes(b"p/\xff")), b"").unwrap();
            }
            _ => symlink("nowhere", folder.path().join("p/a")).unwrap(),
        }
        std::fs::write(folder.path().join("q"), b"by hand").unwrap();
        let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(FolderStore::new(folder.path()));
        let listed = |prefix: &str| {
            let all = list_all(std::sync::Arc::clone(&store), prefix.to_owned());
            let all = runtime.block_on(all.collect::<Vec<_>>());
            let count = all.iter().filter(|it| it.is_ok()).count();
            (count, all.into_iter().next_back().is_some_and(|it| it.is_err()))
        };
        assert_eq!(listed(""), (1501, true), "{odd}");
        assert_eq!(listed("p/"), (0, true), "{odd}");
        // Nobody has asked for what is there.
        assert_eq!(listed("q"), (1, false), "{odd}");
    }
}

#[test]
fn a_sidecar_of_other_bytes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, runtime) = (FolderStore::new(folder.path()), Runtime::new().unwrap());
    runtime
        .block_on(store.put("k", Bytes::from_static(b"12"), &Headers::new(), PutOptions::default()))
        .unwrap();
    std::fs::write(folder.path().join("k"), b"123").unwrap();
    assert!(matches!(runtime.block_on(store.head("k")), Err(StoreError::Malformed(_))));
}

#[cfg(unix)]
#[test]
fn nothing_is_written_behind_a_link() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("store"), folder.path().join("outside"));
    std::fs::create_dir(&outside).unwrap();
    std::fs::create_dir(&root).unwrap();
    std::fs::write(outside.join("x"), b"mine").unwrap();
    symlink(&outside, root.join("link")).unwrap();
    // The root itself may be one: somebody has named it.
    let named = folder.path().join("named");
    symlink(&root, &named).unwrap();
    let none = Headers::new();
    Runtime::new().unwrap().block_on(async {
        for store in [FolderStore::new(&root), FolderStore::new(&named)] {
            for key in ["link/x", "link/new", "link/a/b"] {
                let body = Bytes::from_static(b"evil");
                let put = store.put(key, body.clone(), &none, PutOptions::default()).await;
                assert!(put.is_err(), "{key}");
                let upload = store.create_multipart(key, &none, PutOptions::default()).await;
                assert!(upload.is_err(), "{key}");
                assert!(store.copy_replace_metadata(key, "\"\"", &none).await.is_err(), "{key}");
                assert!(store.delete(key).await.is_err(), "{key}");
            }
            let body = Bytes::from_static(b"good");
            store.put("a/b", body, &none, PutOptions::default()).await.unwrap();
            store.delete("a/b").await.unwrap();
        }
    });
    assert_eq!(std::fs::read(outside.join("x")).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    // Nor is anything deleted behind the name of the store's own folder.
    let (other, none) = (folder.path().join("other"), Headers::new());
    std::fs::create_dir(&other).unwrap();
    symlink(&outside, other.join(".envelope-uploads")).unwrap();
    std::fs::create_dir(outside.join("new-years-photos")).unwrap();
    let store = FolderStore::new(&other);
    Runtime::new().unwrap().block_on(async {
        let body = Bytes::from_static(b"evil");
        assert!(store.put("a", body, &none, PutOptions::default()).await.is_err());
        assert!(store.create_multipart("a", &none, PutOptions::default()).await.is_err());
    });
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 2);
}
