//! Proof that a part is what it was before: its keystream must never meet other bytes.

use std::sync::Arc;

use bytes::Bytes;
use envelope_core::{
    BodyDigest, BodyHasher, Crc64, CtrCipher, EncryptedObject, Part, PartPlan, Stretch,
};
use zeroize::{Zeroize as _, Zeroizing};

use super::{part_buffer::Buffer, source::Source};
use crate::TransferError;

/// Sums or hashes of every part of a file, from before the first of them is sent.
#[derive(Clone)]
pub(super) enum PartProof {
    /// The checksums of the plaintext. They are no secret to whoever could choose bytes to fool
    /// them, because they have the plaintext.
    Plain {
        /// The CRC-64 of the whole file.
        whole: u64,
        /// The CRC-64 of each part.
        parts: Arc<[u64]>,
    },
    /// The keyed hashes of the ciphertext.
    Sealed { hasher: BodyHasher, parts: Arc<[Stretch]> },
}

impl PartProof {
    /// Computes the checksums of a file.
    pub(super) async fn plain(source: &Source, part_size: u64) -> Result<Self, TransferError> {
        let sums = source.over_parts(part_size, |_, next| {
            let (mut sum, mut piece) = (Crc64::new(), Zeroizing::new(Vec::new()));
            while next(&mut piece)? {
                sum.update(&piece);
            }
            Ok(sum)
        });
        let sums = sums.await?;
        let mut whole = Crc64::new();
        sums.iter().for_each(|sum| whole.append(sum));
        let parts = sums.iter().map(Crc64::value).collect();
        Ok(Self::Plain { whole: whole.value(), parts })
    }

    /// Encrypts a file without keeping the ciphertext. Returns the hash of all of it, too.
    pub(super) async fn sealed(
        source: &Source,
        object: &Arc<EncryptedObject<CtrCipher>>,
        hasher: BodyHasher,
        plan: PartPlan,
    ) -> Result<(Self, BodyDigest), TransferError> {
        let (own, object) = (hasher.clone(), Arc::clone(object));
        let part_size = plan.layout().part_size();
        let parts = source.over_parts(part_size, move |bytes, next| {
            let number = bytes.start.checked_div(part_size).unwrap_or_default();
            let number = u16::try_from(number.saturating_add(1)).unwrap_or(u16::MAX);
            let (mut cipher, mut stretch) = (object.part(number)?, own.stretch(bytes));
            let mut piece = Zeroizing::new(Vec::new());
            while next(&mut piece)? {
                cipher.update(&mut piece)?;
                stretch.update(&piece);
            }
            stretch.finish().ok_or(TransferError::SourceChanged)
        });
        let parts = parts.await?;
        let body = hasher.join(parts.iter().cloned()).ok_or(TransferError::SourceChanged)?;
        Ok((Self::Sealed { hasher, parts: parts.into() }, body))
    }

    /// Returns the CRC-64 of the whole plaintext, for a journal.
    pub(super) const fn whole(&self) -> Option<u64> {
        match self {
            Self::Plain { whole, .. } => Some(*whole),
            Self::Sealed { .. } => None,
        }
    }
}

/// Encrypts a part, which was read into the buffer, if it is what it was before. Bytes that are not
/// are wiped. Returns the ciphertext and its CRC-64.
pub(super) fn encrypt(
    mut buffer: Buffer,
    part: Part,
    object: Option<&EncryptedObject<CtrCipher>>,
    proof: Option<&PartProof>,
) -> Result<(Bytes, u64), TransferError> {
    let (bytes, mut sum) = (buffer.bytes(), Crc64::new());
    let place = usize::from(part.number()).saturating_sub(1);
    if let Some(PartProof::Plain { parts, .. }) = proof
        && parts.get(place) != Some(&Crc64::of(bytes))
    {
        bytes.zeroize();
        return Err(TransferError::SourceChanged);
    }
    match object {
        Some(object) => object.part(part.number())?.encrypt_summed(bytes, &mut sum)?,
        None => sum.update(bytes),
    }
    if let Some(PartProof::Sealed { hasher, parts }) = proof {
        let mut stretch = hasher.stretch(part.start()..part.start().saturating_add(part.len()));
        stretch.update(bytes);
        // Otherwise, these are other bytes under the same keystream.
        if stretch.finish().as_ref() != parts.get(place) {
            bytes.zeroize();
            return Err(TransferError::SourceChanged);
        }
    }
    Ok((buffer.freeze(), sum.value()))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{
        collections::BTreeMap,
        fs::File,
        os::unix::fs::FileExt as _,
        path::{Path, PathBuf},
        sync::{
            LazyLock, Mutex,
            atomic::{AtomicU32, AtomicU64, Ordering},
        },
        time::{Duration, SystemTime},
    };

    use envelope_core::{Decryptor, Dialect, Encryptor, Keyring, RsaKeyWrapper, SealOptions};
    use meta_codec::Vendor;

    use super::{
        super::source::tests::{Hooked, on_read},
        *,
    };
    use crate::{
        Event, Get, GetOptions, Headers, MemoryStore, Object, ObjectMeta, Put, PutOptions,
        PutResult, StopSignal, Store, StoreError, Upload, UploadResult, UploadedPart,
    };

    const PARTS: u64 = 5;

    static KEY: LazyLock<RsaKeyWrapper> = LazyLock::new(|| {
        let file = std::fs::read(envelope_testkit::folder("keys/private_key.pem")).unwrap();
        RsaKeyWrapper::read(&file, None).unwrap()
    });

    /// A store that remembers every part that was ever sent to it.
    #[derive(Debug)]
    struct Witness {
        store: MemoryStore,
        /// The bodies of each part, by the headers of the upload and its number.
        sent: Mutex<BTreeMap<(Headers, u16), Vec<Bytes>>>,
        /// The number of parts that are accepted before the line breaks.
        accepts: AtomicU32,
    }

    impl Witness {
        fn note(&self, part: (Headers, u16), body: Bytes) {
            self.sent.lock().unwrap().entry(part).or_default().push(body);
        }
    }

    #[async_trait::async_trait]
    impl Store for Witness {
        fn vendor(&self) -> Option<Vendor> {
            None
        }

        async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
            self.store.head(key).await
        }

        async fn get(&self, key: &str, options: GetOptions) -> Result<Object, StoreError> {
            self.store.get(key, options).await
        }

        async fn put(
            &self,
            key: &str,
            body: Bytes,
            headers: &Headers,
            options: PutOptions,
        ) -> Result<PutResult, StoreError> {
            self.store.put(key, body, headers, options).await
        }

        async fn create_multipart(
            &self,
            key: &str,
            headers: &Headers,
            options: PutOptions,
        ) -> Result<Upload, StoreError> {
            self.store.create_multipart(key, headers, options).await
        }

        async fn upload_part(
            &self,
            upload: &Upload,
            number: u16,
            body: Bytes,
            headers: &Headers,
        ) -> Result<PutResult, StoreError> {
            self.note((headers.clone(), number), body.clone());
            let accepts = self.accepts.load(Ordering::Relaxed);
            if accepts == 0 {
                return Err(StoreError::Unsupported("more parts"));
            }
            self.accepts.store(accepts.saturating_sub(1), Ordering::Relaxed);
            self.store.upload_part(upload, number, body, headers).await
        }

        async fn list_parts(&self, upload: &Upload) -> Result<Vec<UploadedPart>, StoreError> {
            self.store.list_parts(upload).await
        }

        async fn complete(
            &self,
            upload: &Upload,
            parts: &[(u16, String)],
            headers: &Headers,
            options: PutOptions,
        ) -> Result<PutResult, StoreError> {
            self.store.complete(upload, parts, headers, options).await
        }

        async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
            self.store.abort(upload).await
        }

        async fn list_multipart_uploads(&self, key: &str) -> Result<Vec<Upload>, StoreError> {
            self.store.list_multipart_uploads(key).await
        }

        async fn delete(&self, key: &str) -> Result<(), StoreError> {
            self.store.delete(key).await
        }
    }

    struct Job {
        _folder: tempfile::TempDir,
        path: PathBuf,
        store: Arc<Witness>,
        key: RsaKeyWrapper,
        part_size: u64,
        seals: bool,
        events: Arc<Mutex<Vec<Event>>>,
    }

    impl Job {
        fn new(part_size: u64, seals: bool) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            std::fs::write(&path, content(part_size)).unwrap();
            let (sent, accepts) = (Mutex::default(), AtomicU32::new(u32::MAX));
            let store = Arc::new(Witness { store: MemoryStore::new(), sent, accepts });
            let key = KEY.clone();
            let events = Arc::default();
            Self { _folder: folder, path, store, key, part_size, seals, events }
        }

        fn decryptor(&self) -> Decryptor {
            Decryptor::new(&Keyring::new().with(self.key.clone()))
        }

        async fn run(&self) -> Result<UploadResult, TransferError> {
            let mut encryptor = Encryptor::new(&self.key, Dialect::OSS_V2);
            if self.seals {
                encryptor = encryptor.with_seal(SealOptions::new().with_name("key"));
            }
            self.put().file(&self.path, &encryptor, Some(&self.decryptor())).await
        }

        fn put(&self) -> Put {
            let events = Arc::clone(&self.events);
            Put::new(self.store.clone(), "key")
                .with_threshold(1000)
                .with_part_size(self.part_size)
                .with_concurrency(2)
                .with_journal(self.path.with_extension("journal"))
                .with_progress(move |event| events.lock().unwrap().push(event))
        }

        async fn stored(&self) -> Result<Vec<u8>, TransferError> {
            let get = Get::new(self.store.clone(), "key");
            get.decrypt(&self.decryptor()).await?.read_to_end().await
        }

        /// Checks that no part was ever sent as two ciphertexts.
        fn check(&self, what: &str) {
            let sent = self.store.sent.lock().unwrap();
            for ((_, number), bodies) in &*sent {
                let same = bodies.iter().all(|body| body == &bodies[0]);
                assert!(same, "{what}: part {number} was sent as two ciphertexts");
            }
        }
    }

    fn content(part_size: u64) -> Vec<u8> {
        let len = usize::try_from((PARTS - 1) * part_size + 777).unwrap();
        (0..=250).cycle().take(len).collect()
    }

    /// The content after the change of a part.
    fn changed(part_size: u64, part: u64) -> Vec<u8> {
        let mut content = content(part_size);
        content[usize::try_from(part * part_size + 5).unwrap()] ^= 1;
        content
    }

    /// Changes a byte of a part of the file before its `nth` read from now on.
    fn change_at(path: &Path, part_size: u64, part: u64, nth: u64) -> Hooked {
        let (count, file) = (AtomicU64::new(0), File::open(path).unwrap());
        let path = path.to_owned();
        on_read(&file, move |_| {
            if count.fetch_add(1, Ordering::Relaxed) == nth {
                let file = File::options().write(true).read(true).open(&path).unwrap();
                let (at, mut byte) = (part * part_size + 5, [0]);
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ 1], at).unwrap();
            }
        })
    }

    #[tokio::test]
    async fn a_source_that_changes_at_any_read_never_leaves_twice() {
        // One size is not a multiple of a chunk of the hash.
        for (part_size, seals) in [(131_072, true), (102_416, true), (131_072, false)] {
            for nth in 0..PARTS * 3 {
                for part in 0..PARTS {
                    let job = Job::new(part_size, seals);
                    let _hooked = change_at(&job.path, part_size, part, nth);
                    let outcome = job.run().await;
                    let what = format!("{part_size} {seals}: part {part} before read {nth}");
                    job.check(&what);
                    match outcome {
                        Ok(_) => {
                            let stored = job.stored().await.unwrap();
                            let whole =
                                stored == changed(part_size, part) || stored == content(part_size);
                            assert!(whole, "{what}");
                        }
                        Err(TransferError::SourceChanged) => {
                            assert!(!seals, "{what}: a seal starts anew");
                            assert!(job.stored().await.is_err(), "{what}");
                        }
                        Err(error) => panic!("{what}: {error}"),
                    }
                    let uploads = job.store.list_multipart_uploads("key").await.unwrap();
                    assert!(uploads.is_empty(), "{what}");
                }
            }
        }
    }

    /// It is interrupted after two parts, and then resumed with a file that changes.
    #[tokio::test]
    async fn nor_when_its_upload_is_resumed() {
        for (part_size, seals) in [(131_072, true), (131_072, false)] {
            for nth in 0..PARTS * 3 {
                for part in 0..PARTS {
                    let job = Job::new(part_size, seals);
                    job.store.accepts.store(2, Ordering::Relaxed);
                    job.run().await.unwrap_err();
                    job.store.accepts.store(u32::MAX, Ordering::Relaxed);
                    let _hooked = change_at(&job.path, part_size, part, nth);
                    let outcome = job.run().await;
                    let what = format!("{seals}: part {part} before read {nth}");
                    job.check(&what);
                    if outcome.is_ok() {
                        let stored = job.stored().await.unwrap();
                        let whole =
                            stored == changed(part_size, part) || stored == content(part_size);
                        assert!(whole, "{what}");
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn a_resumed_upload_keeps_its_seal_and_its_parts() {
        for seals in [true, false] {
            let job = Job::new(131_072, seals);
            job.store.accepts.store(2, Ordering::Relaxed);
            job.run().await.unwrap_err();
            job.store.accepts.store(u32::MAX, Ordering::Relaxed);
            job.run().await.unwrap();
            let events = job.events.lock().unwrap().clone();
            assert!(events.contains(&Event::Resumed(2 * 131_072)), "{events:?}");
            let sent = job.store.sent.lock().unwrap().len();
            assert_eq!(sent, usize::try_from(PARTS).unwrap());
            assert!(job.stored().await.unwrap() == content(131_072));
        }

        // Another seal would be another object.
        let other = Job::new(131_072, true);
        other.store.accepts.store(2, Ordering::Relaxed);
        other.run().await.unwrap_err();
        other.store.accepts.store(u32::MAX, Ordering::Relaxed);
        let unsealed = Job { seals: false, ..other };
        unsealed.run().await.unwrap();
        let events = unsealed.events.lock().unwrap().clone();
        assert!(events.contains(&Event::Restarted("this run asks for other headers")));
    }

    /// Every byte that was sent is one that was sealed, whatever the time of the file is.
    #[tokio::test]
    async fn a_source_that_is_only_touched_is_sent_once() {
        let job = Job::new(131_072, true);
        let (file, path) = (File::open(&job.path).unwrap(), job.path.clone());
        let mut seconds = 0;
        let _hooked = on_read(&file, move |_| {
            seconds += 1;
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        });
        job.run().await.unwrap();
        assert_eq!(job.store.sent.lock().unwrap().len(), usize::try_from(PARTS).unwrap());
        assert!(job.events.lock().unwrap().iter().all(|it| !matches!(it, Event::Restarted(_))));
    }

    /// What was appended while it was sent is in the object, too.
    #[tokio::test]
    async fn a_source_that_grows_is_sent_as_a_whole() {
        let job = Job::new(131_072, true);
        let (file, path) = (File::open(&job.path).unwrap(), job.path.clone());
        let mut reads = 0;
        let _hooked = on_read(&file, move |_| {
            reads += 1;
            if reads == 2 * PARTS {
                let file = File::options().write(true).open(&path).unwrap();
                file.write_all_at(b"more", file.metadata().unwrap().len()).unwrap();
            }
        });
        job.run().await.unwrap();
        job.check("grows");
        let want = [content(131_072), b"more".to_vec()].concat();
        assert!(job.stored().await.unwrap() == want);
    }

    /// Until there is an upload, nothing says that one was left open.
    #[tokio::test]
    async fn an_upload_that_ends_before_it_begins_leaves_no_journal() {
        let job = Job::new(131_072, true);
        let (file, stop) = (File::open(&job.path).unwrap(), StopSignal::new());
        let given = stop.clone();
        let _hooked = on_read(&file, move |_| given.stop());
        let encryptor = Encryptor::new(&job.key, Dialect::OSS_V2).with_seal(SealOptions::new());
        let put = job.put().with_stop(stop);
        let outcome = put.file(&job.path, &encryptor, None).await;
        assert!(matches!(outcome, Err(TransferError::Stopped)));
        assert!(!job.path.with_extension("journal").exists());

        // One that was interrupted before keeps its journal, and its upload.
        let job = Job::new(131_072, true);
        job.store.accepts.store(2, Ordering::Relaxed);
        job.run().await.unwrap_err();
        let note = "x".repeat(9000);
        let put = job.put().with_header("x-oss-meta-note", note);
        let outcome = put.file(&job.path, &encryptor, Some(&job.decryptor())).await;
        assert!(matches!(outcome, Err(TransferError::Emit(_))), "{outcome:?}");
        assert!(job.path.with_extension("journal").exists());
        assert_eq!(job.store.list_multipart_uploads("key").await.unwrap().len(), 1);
    }

    /// The signal and the end of the reading may be seen at once, in any order.
    #[tokio::test]
    async fn a_stop_at_the_last_read_begins_no_upload() {
        for _ in 0..16 {
            let job = Job::new(131_072, true);
            let (file, stop) = (File::open(&job.path).unwrap(), StopSignal::new());
            let (given, reads) = (stop.clone(), Arc::new(AtomicU64::new(0)));
            let counted = Arc::clone(&reads);
            let _hooked = on_read(&file, move |_| {
                if counted.fetch_add(1, Ordering::Relaxed) + 1 == PARTS {
                    given.stop();
                }
            });
            let encryptor = Encryptor::new(&job.key, Dialect::OSS_V2).with_seal(SealOptions::new());
            let put = job.put().with_stop(stop);
            // On the same thread, which is busy from the first read until everything was read.
            let busy = async {
                while reads.load(Ordering::Relaxed) == 0 {
                    tokio::task::yield_now().await;
                }
                while reads.load(Ordering::Relaxed) < PARTS {
                    std::thread::sleep(Duration::from_millis(1));
                }
                std::thread::sleep(Duration::from_millis(20));
            };
            let (outcome, ()) = tokio::join!(put.file(&job.path, &encryptor, None), busy);
            assert!(matches!(outcome, Err(TransferError::Stopped)), "{outcome:?}");
            assert!(!job.path.with_extension("journal").exists());
        }
    }

    #[tokio::test]
    async fn a_source_that_never_rests_is_given_up() {
        let job = Job::new(131_072, true);
        let file = File::open(&job.path).unwrap();
        let path = job.path.clone();
        let mut count = 0_u64;
        let _hooked = on_read(&file, move |_| {
            count += 1;
            let file = File::options().write(true).open(&path).unwrap();
            file.write_all_at(&count.to_le_bytes(), 131_072 * (count % PARTS)).unwrap();
        });
        assert!(matches!(job.run().await, Err(TransferError::SourceChanged)));
        job.check("never rests");
        assert!(job.stored().await.is_err());
        let events = job.events.lock().unwrap();
        let again = events.iter().filter(|event| matches!(event, Event::Restarted(_)));
        assert_eq!(again.count(), 2);
    }
}
