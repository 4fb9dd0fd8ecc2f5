//! What callers can do with uploads and downloads: move them, hand them on, and keep the runtime
//! free.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use bytes::Bytes;
use envelope_core::{
    AesKeyWrapper, ContentAlgorithm, ContentKey, Decryptor, Dialect, Encryptor, Envelope,
    IntegrityError, IvForm, KeyWrapper, Keyring, MaterialDescription, Policy, UnwrapError,
    WrapAlgorithm, WrapError, WrappedKey,
};
use envelope_store::{
    Get, Headers, MemoryStore, Object, ObjectMeta, OutputFile, OutputOptions, Put, PutOptions,
    Rewrap, Store, StoreError, TransferError,
};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};

/// A key that blocks the thread, as one in a KMS does.
#[derive(Clone)]
struct Slow(AesKeyWrapper);

const DELAY: Duration = Duration::from_millis(150);

impl KeyWrapper for Slow {
    fn description(&self) -> &MaterialDescription {
        self.0.description()
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        self.0.wraps(algorithm)
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        self.0.accepts(envelope)
    }

    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        iv: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        thread::sleep(DELAY);
        self.0.wrap(key, algorithm, iv)
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        thread::sleep(DELAY);
        self.0.unwrap(envelope)
    }
}

/// Counts how often another task of the same thread gets its turn, while `work` runs.
async fn turns(work: impl Future<Output = ()>) -> u32 {
    let mut turns = 0;
    let ticking = async {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            turns += 1;
        }
    };
    tokio::select! {
        () = work => {}
        () = ticking => {}
    }
    turns
}

#[tokio::test(flavor = "current_thread")]
async fn a_slow_master_key_blocks_no_task() {
    let (old, new) = (AesKeyWrapper::generate().unwrap(), AesKeyWrapper::generate().unwrap());
    let (old, new) = (Slow(old), Slow(new));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let encryptor = Encryptor::new(&old, Dialect::COS_V2);
    let decryptor = Decryptor::new(&Keyring::new().with(old));
    let put = Put::new(store.clone(), "key");
    let upload = async { drop(put.stream(&b"plain"[..], None, &encryptor).await.unwrap()) };
    let get = Get::new(store.clone(), "key");
    let download = async { drop(get.decrypt(&decryptor).await.unwrap()) };
    let target = Encryptor::new(&new, Dialect::COS_V2);
    let rewrap = Rewrap::new(store, "key");
    let rewrap = async {
        rewrap.run(&decryptor, &target).await.unwrap();
    };
    for turns in [turns(upload).await, turns(download).await, turns(rewrap).await] {
        assert!(turns >= 5, "{turns}");
    }
}

/// The shape of a handler of a web server: it returns a body that borrows nothing.
async fn handler(
    store: Arc<dyn Store>,
    decryptor: Decryptor,
) -> Result<impl Stream<Item = Result<Bytes, TransferError>> + Send + 'static, TransferError> {
    let object = Get::new(store, "key").decrypt(&decryptor).await?;
    Ok(object.into_stream())
}

#[tokio::test]
async fn a_body_outlives_everything_that_opened_it() {
    let key = AesKeyWrapper::generate().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let encryptor = Encryptor::new(&key, Dialect::COS_V2);
    Put::new(store.clone(), "key").stream(&b"plain"[..], None, &encryptor).await.unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(key));
    let body = tokio::spawn(handler(store, decryptor)).await.unwrap().unwrap();
    let chunks: Vec<_> = body.map(Result::unwrap).collect().await;
    assert_eq!(chunks.concat(), b"plain");
}

/// What a [`Liar`] does with a response.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    /// The body of a request for a range has another byte here.
    SecondRead(usize),
    /// Sends so many bytes more than it announces.
    Body(i64),
    /// Sends the bytes of another range.
    Range,
    /// Sends another version of the object, with another entity tag or another length.
    Etag,
    Len,
    /// Fails for every range but the first.
    LaterRanges,
    None,
}

/// A store whose responses to `get` are not what was asked for.
#[derive(Debug)]
struct Liar(MemoryStore, Mutex<Lie>);

impl Liar {
    fn new(lie: Lie) -> Self {
        Self(MemoryStore::new(), Mutex::new(lie))
    }
}

#[async_trait::async_trait]
impl Store for Liar {
    fn vendor(&self) -> Option<meta_codec::Vendor> {
        None
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        self.0.head(key).await
    }

    async fn get(
        &self,
        key: &str,
        options: envelope_store::GetOptions,
    ) -> Result<Object, StoreError> {
        let lie = *self.1.lock().unwrap();
        if lie == Lie::LaterRanges && options.range.as_ref().is_some_and(|range| range.start > 0) {
            return Err(StoreError::NotFound);
        }
        let is_ranged = options.range.is_some();
        let mut object = self.0.get(key, options).await?;
        match lie {
            Lie::Body(wrong) => {
                object.meta.crc64 = None;
                let len = object.bytes.end - object.bytes.start;
                let len = usize::try_from(len.saturating_add_signed(wrong)).unwrap();
                let body = stream::iter([Ok(Bytes::from(vec![7; len]))]).boxed();
                object = Object::new(object.meta, object.bytes, body);
            }
            // Where the first read had one byte, the second has another.
            Lie::SecondRead(at) if is_ranged => {
                let mut body: Vec<u8> = object
                    .body
                    .try_fold(Vec::new(), |mut all, chunk| async move {
                        all.extend_from_slice(&chunk);
                        Ok(all)
                    })
                    .await?;
                body[at] ^= 1;
                let body = stream::iter([Ok(Bytes::from(body))]).boxed();
                object = Object::new(object.meta, object.bytes, body);
            }
            Lie::Range => object.bytes = object.bytes.start..object.bytes.end - 1,
            Lie::Etag => object.meta.etag = "\"another\"".to_owned(),
            Lie::Len => object.meta.len += 1,
            Lie::LaterRanges | Lie::None | Lie::SecondRead(_) => {}
        }
        Ok(object)
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<envelope_store::PutResult, StoreError> {
        self.0.put(key, body, headers, options).await
    }

    async fn create_multipart(
        &self,
        _: &str,
        _: &Headers,
        _: PutOptions,
    ) -> Result<envelope_store::Upload, StoreError> {
        Err(StoreError::Unsupported("parts"))
    }

    async fn upload_part(
        &self,
        _: &envelope_store::Upload,
        _: u16,
        _: Bytes,
        _: &Headers,
    ) -> Result<envelope_store::PutResult, StoreError> {
        Err(StoreError::NoUpload)
    }

    async fn list_parts(
        &self,
        _: &envelope_store::Upload,
    ) -> Result<Vec<envelope_store::UploadedPart>, StoreError> {
        Err(StoreError::NoUpload)
    }

    async fn complete(
        &self,
        _: &envelope_store::Upload,
        _: &[(u16, String)],
        _: &Headers,
        _: PutOptions,
    ) -> Result<envelope_store::PutResult, StoreError> {
        Err(StoreError::NoUpload)
    }

    async fn abort(&self, _: &envelope_store::Upload) -> Result<(), StoreError> {
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.delete(key).await
    }
}

/// Downloads to a file that an earlier run may have begun.
async fn to_file(
    get: &Get,
    decryptor: &Decryptor,
    path: &Path,
    resumable: bool,
) -> Result<(), TransferError> {
    let output = OutputFile::create(path, OutputOptions::new().with_resumable(resumable))?;
    get.to_file(decryptor, &output).await?;
    Ok(output.commit()?)
}

#[tokio::test]
async fn a_body_of_another_length_is_noticed_whatever_the_store() {
    let key = AesKeyWrapper::generate().unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    for wrong in [-1, 1] {
        let store: Arc<dyn Store> = Arc::new(Liar::new(Lie::Body(wrong)));
        // cos-v1 says no length of its own.
        let encryptor = Encryptor::new(&key, Dialect::COS_V1).allow_weak_wrap();
        Put::new(store.clone(), "key").stream(&b"plain"[..], None, &encryptor).await.unwrap();
        let lax = decryptor.clone().with_policy(Policy::every_algorithm());
        let get = Get::new(store, "key").with_retry(envelope_store::RetryPolicy::ONCE);
        let outcome = get.decrypt(&lax).await.unwrap().read_to_end().await;
        assert!(matches!(outcome, Err(TransferError::Store(_))), "{wrong}: {outcome:?}");
    }
}

#[tokio::test]
async fn the_policy_decides_what_a_download_accepts() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let options = PutOptions::default();
    store.put("key", Bytes::from("plain"), &Headers::new(), options).await.unwrap();
    let decryptor = Decryptor::new(&Keyring::new());
    let get = Get::new(store, "key");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let whole = get.decrypt(&decryptor).await.map(|_| ());
    let range =
        get.decrypt_range(&decryptor, envelope_core::ByteRange::suffix(2)).await.map(|_| ());
    let file = to_file(&get, &decryptor, &path, false).await;
    for outcome in [whole, range, file] {
        assert!(outcome.is_err_and(|error| error.is_not_encrypted()));
    }
    assert!(!path.exists());
    let lax = decryptor.with_policy(Policy::default().allow_plaintext());
    assert_eq!(get.decrypt(&lax).await.unwrap().read_to_end().await.unwrap(), b"plain");
    to_file(&get, &lax, &path, false).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"plain");
}

#[tokio::test]
async fn a_range_of_another_version_or_another_range_is_refused() {
    let key = AesKeyWrapper::generate().unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    let folder = tempfile::tempdir().unwrap();
    for lie in [Lie::Range, Lie::Etag, Lie::Len, Lie::None] {
        let liar = Arc::new(Liar::new(Lie::None));
        let encryptor = Encryptor::new(&key, Dialect::COS_V2);
        let put = Put::new(liar.clone(), "key");
        put.stream(&[7; 5000][..], None, &encryptor).await.unwrap();
        *liar.1.lock().unwrap() = lie;
        let get = Get::new(liar, "key").with_part_size(1024);
        let range = envelope_core::ByteRange::bounded(1000..2000);
        let outcome = match get.decrypt_range(&decryptor, range).await {
            Ok(result) => result.read_to_end().await,
            Err(error) => Err(error),
        };
        assert_eq!(outcome.is_ok(), lie == Lie::None, "{lie:?}: {outcome:?}");
        let path = folder.path().join(format!("{lie:?}"));
        let outcome = to_file(&get, &decryptor, &path, false).await;
        assert_eq!(outcome.is_ok(), lie == Lie::None, "{lie:?}: {outcome:?}");
        assert_eq!(path.exists(), lie == Lie::None, "{lie:?}");
    }
}

#[tokio::test]
async fn a_download_is_not_resumed_with_another_content_key() {
    let (key, wrong) = (AesKeyWrapper::generate().unwrap(), AesKeyWrapper::generate().unwrap());
    let decryptor = |key: &AesKeyWrapper| {
        Decryptor::new(&Keyring::new().with(key.clone())).with_policy(Policy::every_algorithm())
    };
    let liar = Arc::new(Liar::new(Lie::None));
    // The AES wrap of cos-v1 opens with any key.
    let encryptor = Encryptor::new(&key, Dialect::COS_V1).allow_weak_wrap();
    let put = Put::new(liar.clone(), "key");
    put.stream(&[7; 5000][..], None, &encryptor).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let get = Get::new(liar.clone(), "key").with_part_size(1024).with_concurrency(1);
    *liar.1.lock().unwrap() = Lie::LaterRanges;
    to_file(&get, &decryptor(&wrong), &path, true).await.unwrap_err();
    // The working file and its journal.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    *liar.1.lock().unwrap() = Lie::None;
    to_file(&get, &decryptor(&key), &path, true).await.unwrap();
    assert!(std::fs::read(&path).unwrap() == [7; 5000]);
}

#[tokio::test]
async fn a_stream_of_another_length_than_announced_is_refused() {
    let key = AesKeyWrapper::generate().unwrap();
    for content in [ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm] {
        let encryptor = match content {
            ContentAlgorithm::Aes256Gcm => {
                let file = std::fs::read(envelope_testkit::folder("keys/private_key.pem")).unwrap();
                let key = envelope_core::RsaKeyWrapper::read(&file, None).unwrap();
                Encryptor::new(&key, Dialect::COS_V2)
            }
            _ => Encryptor::new(&key, Dialect::COS_V2),
        };
        for threshold in [0, 1000, 1 << 20] {
            for announced in [0, 4999, 5000, 5001, 1 << 30] {
                let store = Arc::new(MemoryStore::new());
                let put =
                    Put::new(store.clone(), "key").with_content(content).with_threshold(threshold);
                let outcome = put.stream(&[7; 5000][..], Some(announced), &encryptor).await;
                let case = format!("{content} {threshold} {announced}");
                assert_eq!(outcome.is_ok(), announced == 5000, "{case}: {outcome:?}");
                assert_eq!(store.head("key").await.is_ok(), announced == 5000, "{case}");
            }
        }
    }
}

/// Whatever the store answers the second time, only what was verified the first time is released.
#[tokio::test]
async fn the_second_read_is_compared_with_the_first() {
    const PIECE: usize = 1 << 20;
    let key = AesKeyWrapper::generate().unwrap();
    let plain: Vec<u8> = (0..=250).cycle().take(3 * PIECE + 5).collect();
    for at in [0, PIECE - 1, PIECE, 2 * PIECE + 7, 3 * PIECE + 4] {
        let store = Arc::new(Liar::new(Lie::None));
        let encryptor = Encryptor::new(&key, Dialect::COS_V2);
        let put = Put::new(store.clone(), "key").with_threshold(u64::MAX);
        put.stream(&plain[..], None, &encryptor).await.unwrap();
        *store.1.lock().unwrap() = Lie::SecondRead(at);
        let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
        let result = Get::new(store, "key").decrypt_verified(&decryptor).await.unwrap();
        let (mut body, mut released) = (result.into_stream(), Vec::new());
        let error = loop {
            match body.try_next().await {
                Ok(Some(chunk)) => released.extend_from_slice(&chunk),
                Ok(None) => panic!("a changed body was released"),
                Err(error) => break error,
            }
        };
        let changed = IntegrityError::Changed;
        assert!(matches!(error, TransferError::Integrity(error) if error == changed));
        assert!(plain.starts_with(&released), "{at}");
        assert!(released.len() <= at / PIECE * PIECE, "{at}");
    }
}
