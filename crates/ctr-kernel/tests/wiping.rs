//! What is left in memory that was freed. An allocator looks for secrets in every block that is
//! given back: keys, primes, and plaintext.
//!
//! It finds nothing that lies on the stack, nor what is still in use. SECURITY.md says what is
//! promised and what remains; this test is the proof of both.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests fail loudly"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::{Read as _, Write as _},
    slice,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use envelope_core::{
    AesKeyWrapper, BodyDecryptor, ContentAlgorithm, Decryptor, Dialect, Encryptor, Envelope,
    IntegrityError, Keyring, PartPlan, PlainCheck, Policy, RsaKeyWrapper, hazmat,
    io::{
        AsyncDecryptReader, AsyncEncryptReader, DecryptReader, DecryptStream, DecryptWriter,
        EncryptReader, EncryptStream, EncryptWriter,
    },
};
use envelope_testkit::folder;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use rsa::{pkcs1::DecodeRsaPrivateKey as _, traits::PrivateKeyParts as _};
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

/// The most secrets that are looked for at once, and the length of each.
const SECRETS: usize = 16;
const LEN: usize = 16;

/// Finds secrets in freed blocks.
struct Canary;

static WATCHING: AtomicBool = AtomicBool::new(false);
static FOUND: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static PATTERNS: Mutex<[[u8; LEN]; SECRETS]> = Mutex::new([[0; LEN]; SECRETS]);

thread_local! {
    /// The allocator must not look into what it frees itself.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

impl Canary {
    /// Looks into a block that is about to be freed.
    ///
    /// # Safety
    /// `block` is valid for reads of `len` bytes.
    unsafe fn look(block: *const u8, len: usize) {
        if !WATCHING.load(Ordering::Relaxed) || len < LEN || BUSY.with(|busy| busy.replace(true)) {
            return;
        }
        // SAFETY: the block is allocated, and nothing writes to it while it is being freed. It may
        // hold bytes that were never written; those that the system zeroed, and those that were
        // freed before, are bytes like any others to this test.
        let bytes = unsafe { slice::from_raw_parts(block, len) };
        let patterns = *PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
        let count = COUNT.load(Ordering::Relaxed);
        for window in bytes.windows(LEN) {
            if patterns[..count].iter().any(|pattern| pattern == window) {
                FOUND.fetch_add(1, Ordering::Relaxed);
                if std::env::var_os("CANARY").is_some() {
                    let which = patterns[..count].iter().position(|pattern| pattern == window);
                    eprintln!(
                        "{len} bytes, {which:?}\n{}",
                        std::backtrace::Backtrace::force_capture()
                    );
                }
                break;
            }
        }
        BUSY.with(|busy| busy.set(false));
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Canary {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that what is found was written since, and not left by an earlier owner.
        // SAFETY: the caller's promise is the one that the system's allocator asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block has this layout.
        unsafe { Self::look(block, layout.size()) };
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // A block that moves leaves its content behind, so it always moves here.
        let new = Layout::from_size_align(size, layout.align()).expect("a layout");
        // SAFETY: the size is not zero, because the caller's is not.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            // SAFETY: both blocks are at least as long, and they do not overlap.
            unsafe { moved.copy_from_nonoverlapping(block, layout.size().min(size)) };
            // SAFETY: the block has this layout.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Canary = Canary;

/// One test at a time has the allocator.
static TURN: Mutex<()> = Mutex::new(());

/// Returns in how many freed blocks one of the secrets was found while `work` ran.
fn found(secrets: &[&[u8]], work: impl FnOnce()) -> usize {
    let mut patterns = [[0; LEN]; SECRETS];
    for (pattern, secret) in patterns.iter_mut().zip(secrets) {
        // The middle is enough, and is also found where the ends were overwritten.
        let start = (secret.len() - LEN) / 2;
        pattern.copy_from_slice(&secret[start..start + LEN]);
    }
    *PATTERNS.lock().unwrap_or_else(PoisonError::into_inner) = patterns;
    COUNT.store(secrets.len(), Ordering::Relaxed);
    FOUND.store(0, Ordering::Relaxed);
    WATCHING.store(true, Ordering::Relaxed);
    work();
    WATCHING.store(false, Ordering::Relaxed);
    FOUND.load(Ordering::Relaxed)
}

const KEK: [u8; 32] = *b"the master key of this test 32 B";
/// Plaintext of which every 16 bytes are the same.
const PLAIN: &[u8; 16] = b"plaintext canary";

fn plain(len: usize) -> Vec<u8> {
    PLAIN.iter().copied().cycle().take(len).collect()
}

fn rsa() -> (RsaKeyWrapper, Vec<u8>) {
    let file = std::fs::read(folder("keys/private_key.pem")).unwrap();
    (RsaKeyWrapper::read(&file, None).unwrap(), file)
}

#[test]
fn the_allocator_sees() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let leak = || drop(plain(1000));
    assert_eq!(found(&[PLAIN], leak), 1);
    let grow = || {
        let mut bytes = plain(100);
        bytes.reserve(10_000);
        bytes.fill(0);
    };
    assert_eq!(found(&[PLAIN], grow), 1);
    let wipe = || drop(Zeroizing::new(plain(1000)));
    assert_eq!(found(&[PLAIN], wipe), 0);
}

/// Encrypting, decrypting and rewrapping, with AES-CTR and AES-GCM and both kinds of keys.
#[test]
fn no_key_is_left() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (rsa, _) = rsa();
    let aes = AesKeyWrapper::new(&KEK).unwrap();
    let keyring = Keyring::new().with(rsa.clone()).with(aes.clone());
    let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
    for content in [ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm] {
        for by_rsa in [false, true] {
            if !by_rsa && content == ContentAlgorithm::Aes256Gcm {
                continue;
            }
            let encryptor = if by_rsa {
                Encryptor::new(&rsa, Dialect::COS_V2)
            } else {
                Encryptor::new(&aes, Dialect::COS_V2)
            };
            let encryptor = encryptor.with_key_check();
            // The content key of an object, to know what to look for when it is used again.
            let envelope = encryptor.encrypt_with(content).unwrap().into_inner().0;
            let key = keyring_key(&keyring, &envelope);
            let (cek, iv) = (key.0, key.1);
            let what = format!("{content} rsa: {by_rsa}");
            let secrets: [&[u8]; 3] = [&cek, &iv, &KEK];
            assert_eq!(
                found(&secrets[..1], || drop(decryptor.decrypt(&envelope).unwrap())),
                0,
                "{what}"
            );
            assert_eq!(found(&secrets, || drop(decryptor.decrypt(&envelope))), 0, "{what}");
            let rewrapped = || drop(decryptor.rewrap(&envelope, &encryptor).unwrap());
            assert_eq!(found(&secrets, rewrapped), 0, "rewrap {what}");
            // An RSA key is used on another thread, from which the content key comes back. On other
            // processors, the compiler may leave a copy in the task; SECURITY.md says so.
            let pooled = || {
                scrub_stack();
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let cipher = runtime.block_on(decryptor.decrypt_async(&envelope));
                drop(cipher.unwrap());
            };
            let left = found(&secrets[..1], pooled);
            assert!(left == 0 || cfg!(not(target_arch = "x86_64")), "async {what}: {left}");
            if content == ContentAlgorithm::Aes256Ctr {
                let plan = PartPlan::new(9 << 20, 1 << 20, Dialect::COS_V2).unwrap();
                let parts = || {
                    let object = decryptor.resume(&envelope, plan).unwrap();
                    let mut bytes = vec![0; 1 << 20];
                    let mut sum = envelope_core::Crc64::new();
                    object.part(2).unwrap().encrypt_summed(&mut bytes, &mut sum).unwrap();
                    let cipher = decryptor.decrypt_ctr(&envelope).unwrap();
                    cipher.at(77).apply(&mut bytes);
                };
                assert_eq!(found(&secrets, parts), 0, "parts {what}");
            }
            // Errors: a wrong key, an altered key check, altered wraps.
            let other = Keyring::new()
                .with(AesKeyWrapper::generate().unwrap())
                .with(RsaKeyWrapper::generate(2048).unwrap());
            let wrong = || assert!(Decryptor::new(&other).decrypt(&envelope).is_err());
            assert_eq!(found(&secrets, wrong), 0, "wrong key {what}");
            let altered = envelope.clone().with_key_check([9; 16]);
            let refused = || assert!(decryptor.decrypt(&altered).is_err());
            assert_eq!(found(&secrets, refused), 0, "key check {what}");
        }
    }
    let reading = || drop(AesKeyWrapper::new(&KEK).unwrap());
    assert_eq!(found(&[&KEK], reading), 0);
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = format!("{}\n", STANDARD.encode(KEK));
    let reading = || drop(AesKeyWrapper::read(text.as_bytes()).unwrap());
    assert_eq!(found(&[&KEK, text.as_bytes()], reading), 0);
}

/// Overwrites the part of the stack that was in use. What is built there next, and then moved to
/// the heap, would take along in its gaps what an earlier part of a test has left.
#[inline(never)]
fn scrub_stack() {
    std::hint::black_box([0_u8; 256 << 10]);
}

/// Returns the CEK and the IV of an envelope.
fn keyring_key(keyring: &Keyring, envelope: &Envelope) -> (Vec<u8>, Vec<u8>) {
    // The wrapper with the right key is asked directly.
    for wrapper in [true, false] {
        let _ = keyring;
        let key = if wrapper {
            envelope_core::KeyWrapper::unwrap(&rsa().0, envelope)
        } else {
            envelope_core::KeyWrapper::unwrap(&AesKeyWrapper::new(&KEK).unwrap(), envelope)
        };
        if let Ok(key) = key {
            let iv = hazmat::iv(&key, envelope_core::IvForm::Wrapped).to_vec();
            let iv = if iv.len() < LEN { vec![0xee; LEN] } else { iv };
            return (hazmat::cek(&key).to_vec(), iv);
        }
    }
    panic!("no key opens it");
}

/// Every adapter that holds plaintext, at sizes around its buffers.
#[test]
fn no_plaintext_is_left() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (rsa, _) = rsa();
    let keyring = Keyring::new().with(rsa.clone());
    let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
    for content in
        [ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm, ContentAlgorithm::Aes256Cbc]
    {
        for len in [64, 1000, 65_536, 300_000] {
            let what = format!("{content} {len}");
            let (envelope, body) = object(&rsa, content, len);
            let cipher = || decryptor.decrypt(&envelope).unwrap();
            let check = || PlainCheck::new(&envelope);
            let mut out = vec![0; len + 100];
            let mut read = |cut: usize| {
                let body = &body[..body.len() - cut];
                let mut reader = DecryptReader::new(body, cipher()).with_check(check());
                let mut at = 0;
                while let Ok(read) = reader.read(&mut out[at..]) {
                    if read == 0 {
                        return true;
                    }
                    at += read;
                }
                false
            };
            assert_eq!(found(&[PLAIN], || assert!(read(0))), 0, "reader {what}");
            // An error in the middle, and a reader that is dropped early.
            assert_eq!(found(&[PLAIN], || assert!(!read(3))), 0, "cut {what}");
            let mut few = [0; 10];
            let early = || {
                let mut reader = DecryptReader::new(&body[..], cipher());
                let _ = reader.read(&mut few).unwrap();
            };
            assert_eq!(found(&[PLAIN], early), 0, "early {what}");
            let pieces = || {
                let mut decryptor = BodyDecryptor::from(cipher()).with_check(check());
                // The caller's own pieces, which it wipes, and which have no room to spare.
                for piece in body.chunks(4096) {
                    let mut piece = Zeroizing::new(piece.to_vec());
                    decryptor.update(&mut piece).unwrap();
                }
                drop(decryptor.finish().unwrap());
            };
            let left = found(&[PLAIN], pieces);
            assert_eq!(left, 0, "pieces {what}");
            if content == ContentAlgorithm::Aes256Ctr {
                // Bytes that are appended are noticed after they were decrypted.
                let longer = || {
                    let mut decryptor = BodyDecryptor::from(cipher()).with_check(check());
                    let mut all = [&body[..], &[7; 64]].concat();
                    assert!(decryptor.update(&mut all).is_err());
                };
                assert_eq!(found(&[PLAIN], longer), 0, "longer {what}");
            }
            let chunks = |cut: usize| -> Vec<Result<Bytes, IntegrityError>> {
                let body = &body[..body.len() - cut];
                // Some buffers have other owners, too, and some are ours to reuse.
                let whole = Bytes::copy_from_slice(body);
                let of = |at: usize| match at / 1000 % 2 {
                    0 => whole.slice(at..whole.len().min(at + 1000)),
                    _ => Bytes::copy_from_slice(&whole[at..whole.len().min(at + 1000)]),
                };
                (0..body.len()).step_by(1000).map(|at| Ok(of(at))).collect()
            };
            let streamed = |cut: usize| {
                let inner = stream::iter(chunks(cut));
                let mut stream = DecryptStream::new(inner, cipher()).with_check(check());
                while let Some(chunk) = stream.next().now_or_never().expect("it never waits") {
                    match chunk {
                        // What it yields is ours to wipe.
                        Ok(chunk) => drop(Zeroizing::new(Vec::from(chunk))),
                        Err(_) => return false,
                    }
                }
                true
            };
            assert_eq!(found(&[PLAIN], || assert!(streamed(0))), 0, "stream {what}");
            assert_eq!(found(&[PLAIN], || assert!(!streamed(3))), 0, "cut stream {what}");
            let mut awaited = |cut: usize| {
                let body = &body[..body.len() - cut];
                let mut reader = AsyncDecryptReader::new(body, cipher()).with_check(check());
                let mut at = 0;
                loop {
                    match reader.read(&mut out[at..]).now_or_never().expect("it never waits") {
                        Ok(0) => return true,
                        Ok(read) => at += read,
                        Err(_) => return false,
                    }
                }
            };
            assert_eq!(found(&[PLAIN], || assert!(awaited(0))), 0, "async reader {what}");
            assert_eq!(found(&[PLAIN], || assert!(!awaited(3))), 0, "cut async reader {what}");
            let written = |cut: usize| {
                let mut writer = DecryptWriter::new(std::io::sink(), cipher()).with_check(check());
                let body = &body[..body.len() - cut];
                writer.write_all(body).is_ok() && writer.finish().is_ok()
            };
            assert_eq!(found(&[PLAIN], || assert!(written(0))), 0, "writer {what}");
            assert_eq!(found(&[PLAIN], || assert!(!written(3))), 0, "cut writer {what}");
            if content == ContentAlgorithm::Aes256Cbc {
                continue;
            }
            let text = plain(len);
            let mut sink = vec![0; 2 * len + 64];
            let encrypting =
                |encryptor: &Encryptor| encryptor.encrypt_with(content).unwrap().into_cipher();
            let encryptor = Encryptor::new(&rsa, Dialect::COS_V2);
            let mut reading = || {
                let mut reader = EncryptReader::new(&text[..], encrypting(&encryptor));
                let mut at = 0;
                while let Ok(read @ 1..) = reader.read(&mut sink[at..]) {
                    at += read;
                }
            };
            assert_eq!(found(&[PLAIN], &mut reading), 0, "encrypting reader {what}");
            let writing = || {
                let mut writer = EncryptWriter::new(std::io::sink(), encrypting(&encryptor));
                writer.write_all(&text).unwrap();
                writer.finish().unwrap();
            };
            assert_eq!(found(&[PLAIN], writing), 0, "encrypting writer {what}");
            // A buffer that others hold, too, is copied, and the copy is ours.
            let shared = Bytes::from(text.clone());
            let streaming = || {
                let inner = stream::iter([Ok::<_, IntegrityError>(shared.clone())]);
                let mut stream = EncryptStream::new(inner, encrypting(&encryptor));
                while let Some(chunk) = stream.next().now_or_never().expect("it never waits") {
                    drop(chunk.unwrap());
                }
            };
            assert_eq!(found(&[PLAIN], streaming), 0, "encrypting stream {what}");
            let mut awaiting = || {
                let mut reader = AsyncEncryptReader::new(&text[..], encrypting(&encryptor));
                let mut at = 0;
                while let Some(Ok(read @ 1..)) = reader.read(&mut sink[at..]).now_or_never() {
                    at += read;
                }
            };
            assert_eq!(found(&[PLAIN], &mut awaiting), 0, "async encrypting reader {what}");
        }
    }
}

/// Returns an object with a known plaintext.
fn object(rsa: &RsaKeyWrapper, content: ContentAlgorithm, len: usize) -> (Envelope, Vec<u8>) {
    let encryptor = Encryptor::new(rsa, Dialect::COS_V2).with_plain_len(len as u64);
    if content != ContentAlgorithm::Aes256Cbc {
        let (envelope, cipher) = encryptor.encrypt_with(content).unwrap().into_inner();
        let mut body = Vec::new();
        EncryptReader::new(&plain(len)[..], cipher).read_to_end(&mut body).unwrap();
        return (envelope, body);
    }
    // Nothing here writes AES-CBC, so its envelope is made by hand.
    let key = hazmat::content_key(
        content,
        envelope_core::IvForm::Wrapped,
        Some(&[5; 32]),
        Some(&[6; 16]),
    );
    let key = key.unwrap();
    let wrap = envelope_core::WrapAlgorithm::RsaOaepSha256;
    let wrapped = envelope_core::KeyWrapper::wrap(rsa, &key, wrap, envelope_core::IvForm::Wrapped);
    let wrapped = wrapped.unwrap();
    let envelope = Envelope::new(Dialect::COS_V2, content, wrap, wrapped.cek, wrapped.iv)
        .with_plain_len(len as u64);
    use cipher::{BlockModeEncrypt as _, KeyIvInit as _, block_padding::Pkcs7};
    let mode = cbc::Encryptor::<aes::Aes256>::new_from_slices(&[5; 32], &[6; 16]).unwrap();
    (envelope, mode.encrypt_padded_vec::<Pkcs7>(&plain(len)))
}

/// The number of freed blocks in which the `rsa` crate leaves a number of a private key, at most:
/// 16, and 4 more where the key is also given to AWS-LC.
const LEFT_BY_RSA: usize = 20;

#[test]
fn of_a_private_key_only_what_its_library_leaves() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let file = std::fs::read(folder("keys/private_key.pem")).unwrap();
    let text = std::str::from_utf8(&file).unwrap();
    let key = rsa::PrivateKey::from_pkcs1_pem(text).unwrap();
    let mut as_in_file: Vec<Vec<u8>> = Vec::new();
    let mut as_in_memory: Vec<Vec<u8>> = Vec::new();
    let mut number = |bytes: Box<[u8]>| {
        as_in_memory.push(bytes.iter().rev().copied().collect());
        as_in_file.push(bytes.into_vec());
    };
    key.primes().iter().for_each(|prime| number(prime.to_be_bytes()));
    number(key.d().to_be_bytes());
    // Its text, with and without line breaks.
    as_in_file.push(file[800..816].to_vec());
    as_in_file.push(text.lines().skip(1).collect::<String>().as_bytes()[800..816].to_vec());
    let count = |secrets: &[Vec<u8>], file: &[u8], passphrase: Option<&[u8]>| {
        let secrets: Vec<&[u8]> = secrets.iter().map(|secret| &secret[..]).collect();
        found(&secrets, || drop(RsaKeyWrapper::read(file, passphrase)))
    };
    // Our own decoder, and those of PKCS#1 and PKCS#8, leave nothing of the file.
    assert_eq!(count(&as_in_file, &file, None), 0);
    for form in ["pkcs8.pem", "pkcs8.der", "pkcs1.der"] {
        let file = std::fs::read(folder("keys/forms").join(form)).unwrap();
        assert_eq!(count(&as_in_file, &file, None), 0, "{form}");
    }
    let left = count(&as_in_memory, &file, None);
    println!("the rsa crate leaves a number of the key in {left} blocks");
    assert!(left <= LEFT_BY_RSA, "{left}");
    // A damaged key takes the same ways, up to the end: its numbers contradict each other.
    let (head, body) = text.split_at(text.len() / 2);
    let damaged = format!("{head}{}", body.replacen('A', "B", 1));
    let outcome = RsaKeyWrapper::read(damaged.as_bytes(), None).map(|_| ());
    assert_eq!(outcome, Err(envelope_core::RsaKeyError::Malformed));
    assert_eq!(count(&as_in_file, damaged.as_bytes(), None), 0);
    // What an encrypted file holds, with every cipher and derivation.
    let passphrase = b"correct horse";
    let mut encrypted = 0;
    for entry in std::fs::read_dir(folder("keys/forms")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("encrypted-") {
            let file = std::fs::read(&path).unwrap();
            encrypted += u32::from(RsaKeyWrapper::read(&file, Some(passphrase)).is_ok());
            assert_eq!(count(&as_in_file, &file, Some(passphrase)), 0, "{name}");
        }
    }
    assert!(encrypted >= 8, "{encrypted} were opened");
}

/// A passphrase, and the file that it opens.
#[test]
fn no_passphrase_is_left() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let passphrase = b"a long passphrase for this";
    let pem = rsa().0.private_pem(Some(passphrase)).unwrap();
    let text = pem.as_bytes();
    let read = || drop(RsaKeyWrapper::read(text, Some(passphrase)).unwrap());
    assert_eq!(found(&[passphrase], read), 0);
    let wrong = || assert!(RsaKeyWrapper::read(text, Some(&passphrase[1..])).is_err());
    assert_eq!(found(&[passphrase], wrong), 0);
}
