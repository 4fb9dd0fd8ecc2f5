//! What is noticed when an object is changed: every prefix of its body, every bit of its body, and
//! every bit of its metadata, in every dialect.
//!
//! The table that this prints is in SECURITY.md. `cargo xtask tampering` compares the two.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::{fmt::Write as _, time::Duration};

use envelope_core::{
    AesKeyWrapper, BodyDecryptor, ContentAlgorithm, Decryptor, Dialect, Encryptor, Envelope,
    KeyCacheLimits, Keyring, PlainCheck, Policy, RsaKeyWrapper, SealOptions, WrapAlgorithm,
    check_body_len, io::EncryptReader, parse,
};
use envelope_testkit::{all_cases, folder};

const LEN: usize = 4096;

/// The name that seals are bound to.
const NAME: &str = "films/film.mkv";

/// The stored form of an object, and how to open it.
struct Object {
    name: String,
    headers: Vec<(String, Vec<u8>)>,
    /// The text of its instruction file, if the envelope is there.
    instruction: Option<Vec<u8>>,
    body: Vec<u8>,
    plain: Vec<u8>,
    decryptor: Decryptor,
    /// Whether opening it takes an RSA operation.
    is_slow: bool,
}

/// The outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Noticed,
    /// The plaintext is the same.
    Harmless,
    /// The plaintext is another.
    Unnoticed,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    noticed: u32,
    harmless: u32,
    unnoticed: u32,
}

impl Counts {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Noticed => self.noticed += 1,
            Outcome::Harmless => self.harmless += 1,
            Outcome::Unnoticed => self.unnoticed += 1,
        }
    }

    fn all(self) -> u32 {
        self.noticed + self.harmless + self.unnoticed
    }

    /// The share of changes that yield another plaintext, in words that do not depend on the keys
    /// of a run.
    fn unnoticed(self) -> String {
        let percent = f64::from(self.unnoticed) * 100.0 / f64::from(self.all());
        match self.unnoticed {
            0 => "none".to_owned(),
            some if some == self.all() => "all".to_owned(),
            _ if percent < 1.0 => "under 1 %".to_owned(),
            _ if percent >= 95.0 => "nearly all".to_owned(),
            _ => format!("about {:.0} %", (percent / 5.0).round().max(1.0) * 5.0),
        }
    }
}

impl Object {
    /// Opens the object as it is, or as somebody has changed it.
    fn open(&self, headers: &[(String, Vec<u8>)], file: Option<&[u8]>, body: &[u8]) -> Outcome {
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let envelope = match file {
            Some(file) => match std::str::from_utf8(file) {
                Ok(text) => meta_codec::parse_instruction(pairs, text).map(Some),
                Err(_) => return Outcome::Noticed,
            },
            None => parse(pairs),
        };
        let Ok(Some(envelope)) = envelope else { return Outcome::Noticed };
        if check_body_len(&envelope, body.len() as u64).is_err() {
            return Outcome::Noticed;
        }
        let Ok(cipher) = self.decryptor.decrypt(&envelope) else { return Outcome::Noticed };
        let mut decryptor = BodyDecryptor::from(cipher).with_check(PlainCheck::new(&envelope));
        let mut plain = body.to_vec();
        if decryptor.update(&mut plain).is_err() {
            return Outcome::Noticed;
        }
        match decryptor.finish() {
            Ok(last) => plain.extend_from_slice(&last),
            Err(_) => return Outcome::Noticed,
        }
        if plain == self.plain { Outcome::Harmless } else { Outcome::Unnoticed }
    }

    fn open_body(&self, body: &[u8]) -> Outcome {
        self.open(&self.headers, self.instruction.as_deref(), body)
    }

    fn prefixes(&self) -> Counts {
        let mut counts = Counts::default();
        for len in 0..self.body.len() {
            counts.add(self.open_body(&self.body[..len]));
        }
        counts
    }

    fn body_flips(&self) -> Counts {
        let (mut counts, mut body) = (Counts::default(), self.body.clone());
        for bit in 0..body.len() * 8 {
            body[bit / 8] ^= 1 << (bit % 8);
            counts.add(self.open_body(&body));
            body[bit / 8] ^= 1 << (bit % 8);
        }
        counts
    }

    /// Flips every bit of every name and value, or of the instruction file.
    fn metadata_flips(&self) -> Counts {
        let mut counts = Counts::default();
        let step = if self.is_slow { stride(23) } else { 1 };
        if let Some(mut file) = self.instruction.clone() {
            for bit in (0..file.len() * 8).step_by(step) {
                file[bit / 8] ^= 1 << (bit % 8);
                counts.add(self.open(&self.headers, Some(&file), &self.body));
                file[bit / 8] ^= 1 << (bit % 8);
            }
            return counts;
        }
        let mut n = 0_usize;
        for at in 0..self.headers.len() {
            for bit in 0..self.headers[at].1.len() * 8 {
                n += 1;
                if n.is_multiple_of(step) {
                    let mut headers = self.headers.clone();
                    headers[at].1[bit / 8] ^= 1 << (bit % 8);
                    counts.add(self.open(&headers, None, &self.body));
                }
            }
            for bit in 0..self.headers[at].0.len() * 8 {
                let mut headers = self.headers.clone();
                let mut name = std::mem::take(&mut headers[at].0).into_bytes();
                name[bit / 8] ^= 1 << (bit % 8);
                n += 1;
                // A name that is not ASCII does not arrive.
                let Some(name) = String::from_utf8(name).ok().filter(|_| n.is_multiple_of(step))
                else {
                    continue;
                };
                headers[at].0 = name;
                counts.add(self.open(&headers, None, &self.body));
            }
        }
        counts
    }
}

fn is_long() -> bool {
    std::env::var_os("ENVELOPE_LONG").is_some()
}

/// How many changes are skipped in the short form, where each takes milliseconds.
fn stride(short: usize) -> usize {
    if is_long() { 1 } else { short }
}

/// Returns a decryptor that unwraps the key of an object once, however often its body changes.
fn decryptor(keyring: &Keyring) -> Decryptor {
    let limits = KeyCacheLimits::new(2, Duration::from_secs(600));
    Decryptor::new(keyring).with_policy(Policy::every_algorithm()).with_cache(limits)
}

fn written(dialect: Dialect, content: ContentAlgorithm, by_rsa: bool, more: &str) -> Object {
    let aes = AesKeyWrapper::new(&[7; 32]).unwrap();
    let file = std::fs::read(folder("keys/private_key.pem")).unwrap();
    let rsa = RsaKeyWrapper::read(&file, None).unwrap();
    let plain: Vec<u8> = (0..LEN).map(|n| (n * n / 251).to_le_bytes()[0]).collect();
    let encryptor =
        if by_rsa { Encryptor::new(&rsa, dialect) } else { Encryptor::new(&aes, dialect) };
    let mut encryptor = encryptor.allow_weak_wrap();
    if more.contains("length") {
        encryptor = encryptor.with_plain_len(LEN as u64);
    }
    if more.contains("MD5") {
        let mut digest = envelope_core::PlainDigest::new();
        digest.update(&plain);
        encryptor = encryptor.with_plain_md5(digest.finish());
    }
    if more.contains("key check") {
        encryptor = encryptor.with_key_check();
    }
    let sealed = more.contains("seal");
    if sealed {
        encryptor = encryptor.with_seal(SealOptions::new().with_name(NAME));
    }
    let mut body = Vec::new();
    let encrypted = if content == ContentAlgorithm::Aes256Ctr {
        let mut object = encryptor.encrypt().unwrap();
        let mut reader = EncryptReader::new(&plain[..], object.cipher().at(0));
        std::io::copy(&mut reader, &mut body).unwrap();
        if let Some(hasher) = object.body_hasher() {
            let mut whole = hasher.whole();
            whole.update(&body);
            object.seal_body(whole.finish()).unwrap();
        }
        object.headers().to_vec()
    } else {
        let object = encryptor.encrypt_with(content).unwrap();
        let headers = object.headers().to_vec();
        let mut reader = EncryptReader::new(&plain[..], object.into_cipher());
        std::io::copy(&mut reader, &mut body).unwrap();
        headers
    };
    let headers = encrypted.into_iter();
    let headers = headers.map(|(name, value)| (name.to_owned(), value.into_bytes())).collect();
    let keyring = Keyring::new();
    let keyring = if by_rsa { keyring.with(rsa) } else { keyring.with(aes) };
    let wrap = if by_rsa {
        "RSA"
    } else if dialect == Dialect::COS_V1 {
        WrapAlgorithm::AesCtrZero.id()
    } else {
        "AES"
    };
    let own = decryptor(&keyring).with_name(NAME);
    let policy = Policy::every_algorithm();
    let decryptor = if sealed { own.with_policy(policy.require_seal()) } else { own };
    let with = if more.is_empty() { String::new() } else { format!(", {more}") };
    Object {
        name: format!("{dialect} {wrap} {content}{with}"),
        headers,
        instruction: None,
        body,
        plain,
        decryptor,
        is_slow: by_rsa,
    }
}

/// The dialects that are only read, as an SDK wrote them (1000 bytes).
fn recorded(name: &str) -> Object {
    let case = all_cases().into_iter().find(|case| case.name() == name).expect(name);
    let file = std::fs::read(case.key().unwrap()).unwrap();
    let (keyring, is_slow) = match AesKeyWrapper::read_text(&file) {
        Ok(aes) => (Keyring::new().with(aes), false),
        Err(_) => (Keyring::new().with(RsaKeyWrapper::read(&file, None).unwrap()), true),
    };
    let headers = meta_codec::read_headers(case.headers().as_bytes()).unwrap();
    // The other headers of the response say nothing of the encryption.
    let own = |name: &str| name.to_ascii_lowercase().contains("-meta-");
    let headers = headers.into_iter().filter(|(name, _)| own(name)).collect();
    let mut object = Object {
        name: String::new(),
        headers,
        instruction: case.instruction().map(String::into_bytes),
        body: case.body(),
        plain: Vec::new(),
        decryptor: decryptor(&keyring),
        is_slow,
    };
    let pairs = object.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    let envelope = match &object.instruction {
        Some(file) => {
            let text = std::str::from_utf8(file).unwrap();
            meta_codec::parse_instruction(pairs, text).unwrap()
        }
        None => parse(pairs).unwrap().unwrap(),
    };
    let kind = if is_slow { "RSA" } else { "AES" };
    object.name = format!("{} {kind} {}", envelope.dialect(), envelope.content_algorithm());
    object.plain = object.decryptor.decrypt(&envelope).unwrap().decrypt(case.body()).unwrap();
    object
}

/// A sealed object of every dialect that is written.
fn sealed() -> Vec<Object> {
    use ContentAlgorithm::{Aes256Ctr as Ctr, Aes256Gcm as Gcm};
    vec![
        written(Dialect::OSS_V2, Ctr, true, "seal"),
        written(Dialect::OSS_V2, Ctr, true, "length, MD5, key check, seal"),
        written(Dialect::OSS_V1, Ctr, true, "seal"),
        written(Dialect::COS_V2, Ctr, false, "seal"),
        written(Dialect::COS_V2, Ctr, true, "seal"),
        written(Dialect::COS_V2, Gcm, true, "seal"),
        written(Dialect::COS_V1, Ctr, true, "seal"),
        written(Dialect::COS_V1, Ctr, false, "seal"),
    ]
}

fn objects() -> Vec<Object> {
    use ContentAlgorithm::{Aes256Ctr as Ctr, Aes256Gcm as Gcm};
    let mut objects = vec![
        written(Dialect::OSS_V2, Ctr, true, ""),
        written(Dialect::OSS_V2, Ctr, true, "length, key check"),
        written(Dialect::OSS_V1, Ctr, true, ""),
        written(Dialect::COS_V2, Ctr, false, ""),
        written(Dialect::COS_V2, Ctr, false, "length"),
        written(Dialect::COS_V2, Ctr, false, "length, MD5"),
        written(Dialect::COS_V2, Ctr, false, "length, key check"),
        written(Dialect::COS_V2, Gcm, true, ""),
        written(Dialect::COS_V2, Gcm, true, "key check"),
        written(Dialect::COS_V1, Ctr, true, ""),
        written(Dialect::COS_V1, Ctr, false, ""),
    ];
    objects.extend(sealed());
    let names = [
        "cos-android/SYNTHETIC-aes",
        "cos-java/aes-cbc-put-1000",
        "cos-java/legacy-aes-gcm-put-1000",
        "cos-java/legacy-aes-gcm-instruction-put",
        "cos-java/aes-ctr-instruction-put",
    ];
    objects.extend(names.map(recorded));
    objects
}

#[test]
fn what_is_noticed() {
    let mut table = String::from(
        "| object | prefixes of the body | bits of the body | bits of the metadata |\n\
         |---|---|---|---|\n",
    );
    for object in objects() {
        assert_eq!(object.open_body(&object.body), Outcome::Harmless, "{}", object.name);
        let (prefixes, body, metadata) =
            (object.prefixes(), object.body_flips(), object.metadata_flips());
        let name = &object.name;
        let has = |words: &str| name.contains(words);
        assert!(prefixes.all() > 10 && body.all() > 30 && metadata.all() > 50, "{name}");
        // The promises.
        if has("length") || has("GCM") || has("seal") {
            assert_eq!(prefixes.unnoticed, 0, "{name}: {prefixes:?}");
        }
        if has("MD5") || has("GCM") || has("seal") {
            assert_eq!(body.unnoticed, 0, "{name}: {body:?}");
            assert_eq!(metadata.unnoticed, 0, "{name}: {metadata:?}");
        } else {
            assert!(body.unnoticed > 0, "{name}: is it authenticated? {body:?}");
        }
        if has("key check") {
            assert_eq!(metadata.unnoticed, 0, "{name}: {metadata:?}");
        }
        writeln!(
            table,
            "| {name} | {} | {} | {} |",
            prefixes.unnoticed(),
            body.unnoticed(),
            metadata.unnoticed()
        )
        .unwrap();
    }
    println!("{table}");
    if is_long() {
        let security = concat!(env!("CARGO_MANIFEST_DIR"), "/../../SECURITY.md");
        let security = std::fs::read_to_string(security).unwrap();
        assert!(security.contains(&table), "SECURITY.md has another table");
    }
}

/// Whatever the metadata is turned into, a sealed object opens only as what it was.
#[test]
fn a_sealed_object_cannot_be_presented_as_another() {
    for object in sealed() {
        let pairs = object.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let own = parse(pairs).unwrap().unwrap();
        let open = |envelope: &Envelope| object.decryptor.decrypt(envelope).is_ok();
        let name = &object.name;
        assert!(open(&own), "{name}");
        let seal = own.seal().unwrap();

        // Other algorithms and dialects, with the IV as each of them wants it.
        let mut ivs = vec![own.iv().to_vec(), own.iv()[..12].to_vec(), own.iv()[..16].to_vec()];
        ivs.push([&own.iv()[..12], &[0, 0, 0, 2]].concat());
        let contents =
            [ContentAlgorithm::Aes256Cbc, ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm];
        let mut tried = 0;
        for dialect in Dialect::ALL {
            for content in contents {
                for wrap in WrapAlgorithm::ALL {
                    for iv in &ivs {
                        let key = own.wrapped_key().to_vec();
                        let mut other = Envelope::new(dialect, content, wrap, key, iv.clone());
                        other = other.with_description(own.description().clone()).with_seal(seal);
                        if let Some(len) = own.plain_len() {
                            other = other.with_plain_len(len);
                        }
                        if let Some(digest) = own.plain_md5() {
                            other = other.with_plain_md5(digest);
                        }
                        if let Some(check) = own.key_check() {
                            other = other.with_key_check(check);
                        }
                        assert!(!open(&other) || other == own, "{name}: {other:?}");
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 500, "{tried}");

        // Without the header, or with another name for it.
        let at = object.headers.iter().position(|(name, _)| name.ends_with("-seal")).unwrap();
        let mut headers = object.headers.clone();
        headers.remove(at);
        assert_eq!(object.open(&headers, None, &object.body), Outcome::Noticed, "{name}");
        for bit in 0..object.headers[at].0.len() * 8 {
            let mut headers = object.headers.clone();
            let mut changed = headers[at].0.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = String::from_utf8(changed) else { continue };
            // Names are compared without regard to case.
            let harmless = changed.eq_ignore_ascii_case(&headers[at].0);
            headers[at].0 = changed;
            let outcome = object.open(&headers, None, &object.body);
            let want = if harmless { Outcome::Harmless } else { Outcome::Noticed };
            assert_eq!(outcome, want, "{name} {bit}");
        }
    }
}

/// Two objects of one owner, under one master key, take each other's place.
#[test]
fn sealed_objects_cannot_be_swapped() {
    let key = AesKeyWrapper::new(&[7; 32]).unwrap();
    let keyring = Keyring::new().with(key.clone());
    let names = ["a", "b", "A", "a/", "films/film.mkv", ""];
    for dialect in Dialect::ALL.into_iter().filter(|dialect| dialect.is_writable()) {
        let wraps = dialect
            .wrap_algorithms()
            .any(|wrap| matches!(wrap, WrapAlgorithm::AesKeyWrap | WrapAlgorithm::AesCtrZero));
        let rsa = std::fs::read(folder("keys/private_key.pem")).unwrap();
        let rsa = RsaKeyWrapper::read(&rsa, None).unwrap();
        let objects = names.map(|name| {
            let encryptor =
                if wraps { Encryptor::new(&key, dialect) } else { Encryptor::new(&rsa, dialect) };
            let options = SealOptions::new().with_name(name);
            encryptor.allow_weak_wrap().with_seal(options).encrypt().unwrap().into_inner().0
        });
        let decryptor = Decryptor::new(&keyring.clone().with(rsa))
            .with_policy(Policy::every_algorithm().require_seal());
        for (object, own) in objects.iter().zip(names) {
            for name in names {
                let opened = decryptor.clone().with_name(name).decrypt(object).is_ok();
                assert_eq!(opened, name == own, "{dialect}: {own} as {name}");
            }
            assert!(decryptor.decrypt(object).is_err(), "{dialect}: no name is given");
        }
    }
}
