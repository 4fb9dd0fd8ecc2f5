//! Round trips in every dialect, wrap and content algorithm, at every awkward size.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _, Seek as _, SeekFrom, Write as _},
    sync::{Arc, Mutex},
};

use envelope_core::{
    AesKeyWrapper, ByteRange, Crc64, DecryptError, Decryptor, EncryptError, Encryptor,
    IntegrityError, KeyWrapper, Keyring, KeyringError, KmsKeyWrapper, PartPlan, Policy,
    RewrapError, RsaKeyWrapper, WrapError,
    io::{DecryptReader, DecryptWriter, EncryptReader, EncryptWriter},
    kms::{ContextStyle, Kms, KmsError, MemoryKms},
};
use envelope_testkit::folder;
use meta_codec::{
    ContentAlgorithm, Dialect, EmitError, Envelope, MaterialDescription, WrapAlgorithm, parse,
};
use zeroize::Zeroizing;

const SIZES: [usize; 8] = [0, 1, 15, 16, 17, 4096, (1 << 20) + 5, 3 << 20];

fn plain(len: usize) -> Vec<u8> {
    (0_u32..).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).take(len).collect()
}

fn rsa() -> RsaKeyWrapper {
    RsaKeyWrapper::read(&std::fs::read(folder("keys/private_key.pem")).unwrap(), None).unwrap()
}

fn aes() -> AesKeyWrapper {
    AesKeyWrapper::read(&std::fs::read(folder("keys/aes-256.key")).unwrap()).unwrap()
}

fn kms(algorithm: WrapAlgorithm) -> KmsKeyWrapper<Arc<MemoryKms>> {
    static SERVICES: Mutex<BTreeMap<WrapAlgorithm, Arc<MemoryKms>>> = Mutex::new(BTreeMap::new());
    let mut services = SERVICES.lock().unwrap();
    let service = services.entry(algorithm).or_insert_with(|| MemoryKms::new(algorithm).into());
    KmsKeyWrapper::new(Arc::clone(service))
}

/// Returns a key that supports a wrap.
fn wrapper(algorithm: WrapAlgorithm) -> Arc<dyn KeyWrapper> {
    if algorithm.is_rsa() {
        Arc::new(rsa())
    } else if algorithm.is_aes() {
        Arc::new(aes())
    } else {
        Arc::new(kms(algorithm))
    }
}

fn keyring(algorithm: WrapAlgorithm) -> Keyring {
    let mut keyring = Keyring::new();
    keyring.push(wrapper(algorithm));
    keyring
}

/// Emits an envelope and parses it again.
fn sent(envelope: &Envelope) -> Envelope {
    let headers = envelope.emit(envelope.dialect()).unwrap();
    let read = parse(headers.clone()).unwrap().expect("encrypted");
    assert_eq!(read.emit(envelope.dialect()).unwrap(), headers);
    read
}

/// Returns every combination of dialect, wrap and content algorithm that we write.
fn combinations() -> impl Iterator<Item = (Dialect, WrapAlgorithm, ContentAlgorithm)> {
    Dialect::ALL.into_iter().flat_map(|dialect| {
        dialect.wrap_algorithms().flat_map(move |wrap| {
            dialect
                .content_algorithms()
                .filter(move |content| wrap.takes_iv_of(*content))
                .map(move |content| (dialect, wrap, content))
        })
    })
}

#[test]
fn what_is_written_is_read() {
    let mut seen = 0;
    for (dialect, wrap, content) in combinations() {
        let keyring = keyring(wrap);
        let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
        let wrapper = wrapper(wrap);
        for len in SIZES {
            let case = format!("{dialect} {wrap} {content} {len}");
            let plain = plain(len);
            let mut encryptor = Encryptor::new(&wrapper, dialect)
                .with_wrap_algorithm(wrap)
                .with_plain_len(len as u64)
                .allow_weak_wrap();
            if len == 3 << 20 {
                encryptor =
                    encryptor.with_parts(PartPlan::new(len as u64, 1 << 20, dialect).unwrap());
            }
            let (envelope, body) = match content {
                ContentAlgorithm::Aes256Gcm => {
                    let (envelope, cipher) = encryptor.encrypt_gcm().unwrap().into_inner();
                    let mut writer = EncryptWriter::new(Vec::new(), cipher);
                    writer.write_all(&plain).unwrap();
                    (envelope, writer.finish().unwrap())
                }
                _ => {
                    let (envelope, cipher) =
                        encryptor.with_key_check().encrypt().unwrap().into_inner();
                    let mut body = Vec::new();
                    EncryptReader::new(&plain[..], cipher).read_to_end(&mut body).unwrap();
                    (envelope, body)
                }
            };
            assert_eq!(Some(body.len() as u64), content.body_len(len as u64), "{case}");
            let envelope = sent(&envelope);
            let whole = decryptor.decrypt(&envelope).unwrap().decrypt(body.clone()).unwrap();
            assert!(whole == plain, "{case}");
            let mut streamed = Vec::new();
            decryptor.reader(&envelope, &body[..]).unwrap().read_to_end(&mut streamed).unwrap();
            assert!(streamed == plain, "{case}");
            let mut writer = DecryptWriter::new(Vec::new(), decryptor.decrypt(&envelope).unwrap());
            writer.write_all(&body).unwrap();
            assert!(writer.finish().unwrap() == plain, "{case}");
            seen += 1;
        }
    }
    // At least oss-v2 with 4 wraps, oss-v1 with 3, cos-v2 with 4 for CTR and 3 for GCM, and
    // cos-v1 with 2.
    assert!(seen >= (4 + 3 + 7 + 2) * SIZES.len(), "{seen}");
}

#[test]
fn parts_in_any_order_and_in_parallel() {
    let plain = plain((3 << 20) + 7);
    let plan = PartPlan::new(plain.len() as u64, 1 << 20, Dialect::COS_V2).unwrap();
    let wrapper = aes();
    let object = Encryptor::new(&wrapper, Dialect::COS_V2).with_parts(plan).encrypt().unwrap();
    let mut body = plain.clone();
    std::thread::scope(|scope| {
        let mut parts: Vec<_> = object.parts().unwrap().zip(body.chunks_mut(1 << 20)).collect();
        parts.reverse();
        for (mut cipher, data) in parts {
            scope.spawn(move || {
                let (head, tail) = data.split_at_mut(data.len().min(5));
                cipher.update(head).unwrap();
                cipher.update(tail).unwrap();
            });
        }
    });
    // A single part is the same as in the sequence, and belongs to the plan.
    let (mut second, mut sum) = (plain[1 << 20..2 << 20].to_vec(), Crc64::new());
    object.part(2).unwrap().encrypt_summed(&mut second, &mut sum).unwrap();
    assert!(second == body[1 << 20..2 << 20]);
    for number in [0, 5, u16::MAX] {
        assert!(object.part(number).is_err());
    }
    let unplanned = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt().unwrap();
    assert!(unplanned.parts().is_err() && unplanned.part(1).is_err());

    let envelope = object.envelope();
    let keyring = Keyring::new().with(wrapper);
    let decryptor = Decryptor::new(&keyring);
    let other = PartPlan::new(plain.len() as u64, 2 << 20, Dialect::COS_V2).unwrap();
    assert!(matches!(decryptor.resume(envelope, other), Err(DecryptError::Plan)));
    let resumed = decryptor.resume(envelope, plan).unwrap();
    assert_eq!(resumed.headers(), object.headers());
    let mut again = plain[1 << 20..2 << 20].to_vec();
    resumed.part(2).unwrap().encrypt_in_place(&mut again).unwrap();
    assert!(again == second);

    let envelope = sent(envelope);
    assert_eq!(envelope.plain_len(), Some(plain.len() as u64));
    assert_eq!(envelope.layout().unwrap().part_count(), Some(4));
    decryptor.decrypt_ctr(&envelope).unwrap().at(0).apply(&mut body);
    assert!(body == plain);
}

#[test]
fn ranges_and_seeks() {
    let plain = plain(100_003);
    let wrapper = aes();
    let (envelope, cipher) =
        Encryptor::new(&wrapper, Dialect::COS_V2).encrypt().unwrap().into_inner();
    let mut body = plain.clone();
    cipher.at(0).apply(&mut body);
    let keyring = Keyring::new().with(wrapper);
    let cipher = Decryptor::new(&keyring).decrypt_ctr(&envelope).unwrap();

    for range in [
        ByteRange::bounded(0..1),
        ByteRange::bounded(70_001..70_019),
        ByteRange::starting_at(99_999),
        ByteRange::suffix(17),
        ByteRange::suffix(1 << 40),
        ByteRange::bounded(31..200_000),
    ] {
        let wanted = range.resolve(100_003).unwrap();
        let bounds = |n: u64| usize::try_from(n).unwrap();
        let bytes = bounds(wanted.start)..bounds(wanted.end);
        let mut fetched = body[bytes.clone()].to_vec();
        cipher.at(wanted.start).apply(&mut fetched);
        assert_eq!(fetched, plain[bytes]);
    }

    // A reader over a piece of the object seeks within the piece.
    let mut reader = DecryptReader::new(Cursor::new(&body[1000..]), cipher.at(1000));
    for at in [0_usize, 5000, 3, 99_000] {
        assert_eq!(reader.seek(SeekFrom::Start(at as u64)).unwrap(), at as u64);
        let mut bytes = vec![0; (plain.len() - 1000 - at).min(100)];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, plain[1000 + at..][..bytes.len()]);
    }
    assert_eq!(reader.seek(SeekFrom::End(-1)).unwrap(), 99_002);
    let mut last = Vec::new();
    reader.read_to_end(&mut last).unwrap();
    assert_eq!(last, plain[100_002..]);
}

#[test]
fn every_change_to_the_metadata_fails_the_key_check() {
    let wrapper = rsa();
    let keyring = Keyring::new().with(rsa());
    let decryptor = Decryptor::new(&keyring);
    let plan = PartPlan::new(1 << 21, 1 << 20, Dialect::COS_V2).unwrap();
    let described = wrapper.with_description(MaterialDescription::new([("a", "b")]).unwrap());
    let encryptor = Encryptor::new(&described, Dialect::COS_V2).with_parts(plan).with_key_check();
    let (envelope, _) = encryptor.encrypt().unwrap().into_inner();
    let headers = envelope.emit(Dialect::COS_V2).unwrap();
    assert!(decryptor.decrypt(&sent(&envelope)).is_ok());

    let (other, _) = encryptor.encrypt().unwrap().into_inner();
    let other = other.emit(Dialect::COS_V2).unwrap();
    let mut changes = 0;
    for (name, value) in &headers {
        let swapped = other.iter().find(|(each, _)| each == name).unwrap().1.clone();
        for new in [swapped, value.replace("\"b\"", "\"c\""), value.replace("2097152", "2097151")] {
            if new == *value {
                continue;
            }
            let changed = headers
                .iter()
                .map(|(each, old)| (*each, if each == name { new.clone() } else { old.clone() }));
            let envelope = parse(changed).unwrap().unwrap();
            assert!(decryptor.decrypt(&envelope).is_err(), "{name}");
            changes += 1;
        }
    }
    // The changes to key, start, check, description and data-size.
    assert_eq!(changes, 5);
}

#[test]
fn rewrap_translates_between_all_ctr_dialects() {
    let body = plain(1000);
    for (from, old, content) in combinations() {
        for (to, new, _) in combinations().filter(|(_, _, each)| *each == content) {
            let case = format!("{from} {old} -> {to} {new} {content}");
            let (wrapper_old, wrapper_new) = (wrapper(old), wrapper(new));
            let encryptor =
                Encryptor::new(&wrapper_old, from).with_wrap_algorithm(old).allow_weak_wrap();
            let keyring_old = keyring(old);
            let decryptor = Decryptor::new(&keyring_old).with_policy(Policy::every_algorithm());
            let target =
                Encryptor::new(&wrapper_new, to).with_wrap_algorithm(new).allow_weak_wrap();
            let (envelope, sealed) = if content == ContentAlgorithm::Aes256Gcm {
                let (envelope, cipher) = encryptor.encrypt_gcm().unwrap().into_inner();
                (envelope, cipher.seal(body.clone()).unwrap())
            } else {
                let (envelope, cipher) = encryptor.encrypt().unwrap().into_inner();
                let mut sealed = body.clone();
                cipher.at(0).apply(&mut sealed);
                (envelope, sealed)
            };
            let rewrapped = sent(decryptor.rewrap(&sent(&envelope), &target).unwrap().envelope());
            let keyring_new = keyring(new);
            let decryptor = Decryptor::new(&keyring_new).with_policy(Policy::every_algorithm());
            let opened = decryptor.decrypt(&rewrapped).unwrap().decrypt(sealed).unwrap();
            assert!(opened == body, "{case}");
        }
    }
}

#[test]
fn rewrap_refuses_a_dialect_without_the_content_algorithm() {
    let (envelope, _) = Encryptor::new(&rsa(), Dialect::COS_V2).encrypt_gcm().unwrap().into_inner();
    let keyring = Keyring::new().with(rsa());
    for dialect in [Dialect::OSS_V2, Dialect::OSS_V1, Dialect::COS_V1] {
        let outcome = Decryptor::new(&keyring).rewrap(&envelope, &Encryptor::new(&rsa(), dialect));
        let want = EmitError::ContentAlgorithm(dialect.id(), ContentAlgorithm::Aes256Gcm);
        assert_eq!(outcome.map(|_| ()), Err(RewrapError::Encrypt(EncryptError::Emit(want))));
    }
    let to_aes =
        Decryptor::new(&keyring).rewrap(&envelope, &Encryptor::new(&aes(), Dialect::COS_V2));
    let (wrap, content) = (WrapAlgorithm::AesKeyWrap, ContentAlgorithm::Aes256Gcm);
    assert_eq!(
        to_aes.map(|_| ()),
        Err(RewrapError::Encrypt(EncryptError::WrapOfIv { wrap, content }))
    );
}

#[test]
fn lengths_and_md5_are_checked() {
    let body = plain(100);
    let mut digest = envelope_core::PlainDigest::new();
    digest.update(&body);
    let wrapper = aes();
    let encryptor = Encryptor::new(&wrapper, Dialect::COS_V2)
        .with_plain_len(100)
        .with_plain_md5(digest.finish());
    let (envelope, cipher) = encryptor.encrypt().unwrap().into_inner();
    let mut sealed = body;
    cipher.at(0).apply(&mut sealed);
    let keyring = Keyring::new().with(wrapper);
    let read = |sealed: &[u8]| {
        let mut reader = Decryptor::new(&keyring).reader(&sent(&envelope), sealed).unwrap();
        reader
            .read_to_end(&mut Vec::new())
            .map_err(|error| *error.get_ref().unwrap().downcast_ref::<IntegrityError>().unwrap())
    };
    assert_eq!(read(&sealed), Ok(100));
    for at in 0..800 {
        let mut flipped = sealed.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        assert_eq!(read(&flipped), Err(IntegrityError::Md5));
    }
    for len in 0..100 {
        let want = IntegrityError::Length { want: 100, got: len as u64 };
        assert_eq!(read(&sealed[..len]), Err(want));
    }
}

#[test]
fn keys_are_chosen_by_description() {
    let describe = |team: &str| MaterialDescription::new([("team", team)]).unwrap();
    let other = AesKeyWrapper::generate().unwrap().with_description(describe("a"));
    let mine = aes().with_description(describe("b"));
    let (envelope, _) = Encryptor::new(&mine, Dialect::COS_V2).encrypt().unwrap().into_inner();
    let open = |keyring: Keyring| Decryptor::new(&keyring).decrypt_ctr(&envelope).map(|_| ());
    let stranger = || AesKeyWrapper::generate().unwrap();
    assert!(open(Keyring::new().with(other).with(stranger()).with(aes())).is_ok());
    // The right key under another description is not tried.
    let misnamed = aes().with_description(describe("c"));
    let error = open(Keyring::new().with(misnamed)).unwrap_err();
    assert!(error.to_string().starts_with("no key matches"), "{error}");
    assert!(open(Keyring::new().with(stranger())).unwrap_err().to_string().contains("unwrapped"));
    assert!(open(Keyring::new().with(mine)).is_ok());
}

#[test]
fn a_described_key_opens_what_has_no_description() {
    let description = MaterialDescription::new([("team", "a")]).unwrap();
    for dialect in [Dialect::COS_V1, Dialect::OSS_V1, Dialect::OSS_V2] {
        let (envelope, _) = Encryptor::new(&rsa(), dialect).encrypt().unwrap().into_inner();
        let keyring = Keyring::new().with(rsa().with_description(description.clone()));
        assert!(Decryptor::new(&keyring).decrypt_ctr(&sent(&envelope)).is_ok(), "{dialect}");
    }
}

#[test]
fn two_keys_for_a_wrap_that_opens_with_any_are_too_many() {
    let (envelope, _) =
        Encryptor::new(&aes(), Dialect::COS_V1).allow_weak_wrap().encrypt().unwrap().into_inner();
    let (checked, _) = Encryptor::new(&aes(), Dialect::COS_V1)
        .allow_weak_wrap()
        .with_key_check()
        .encrypt()
        .unwrap()
        .into_inner();
    let keyring = Keyring::new().with(AesKeyWrapper::generate().unwrap()).with(aes());
    let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
    let error = decryptor.decrypt_ctr(&envelope).map(|_| ()).unwrap_err();
    assert_eq!(error, DecryptError::Keyring(KeyringError::Ambiguous));
    assert!(decryptor.decrypt_ctr(&checked).is_ok());
}

#[test]
fn rewrap_keeps_what_it_can() {
    let wrapper = rsa();
    let keyring = Keyring::new().with(rsa());
    let decryptor = Decryptor::new(&keyring);
    let full = Encryptor::new(&wrapper, Dialect::OSS_V2)
        .with_plain_len(5)
        .with_plain_md5([7; 16])
        .with_key_check();
    let (envelope, cipher) = full.encrypt().unwrap().into_inner();
    assert!(cipher.suits_every_sdk());
    let same = decryptor
        .rewrap(&envelope, &Encryptor::new(&wrapper, Dialect::COS_V2))
        .unwrap()
        .into_inner()
        .0;
    assert_eq!((same.plain_len(), same.plain_md5()), (Some(5), Some([7; 16])));
    assert!(same.key_check().is_some() && decryptor.decrypt(&same).is_ok());
    let bare = decryptor
        .rewrap(&envelope, &Encryptor::new(&wrapper, Dialect::COS_V1))
        .unwrap()
        .into_inner()
        .0;
    assert_eq!((bare.plain_len(), bare.plain_md5()), (None, None));

    // part-size without data-size, as OSS Go writes it; the length must survive.
    let mut headers = envelope.emit(Dialect::OSS_V2).unwrap();
    headers.retain(|(name, _)| !name.ends_with("envelope-check"));
    headers.push(("x-oss-meta-client-side-encryption-part-size", "102400".into()));
    let parsed = parse(headers).unwrap().unwrap();
    let again = decryptor
        .rewrap(&parsed, &Encryptor::new(&wrapper, Dialect::OSS_V2))
        .unwrap()
        .into_inner()
        .0;
    assert_eq!((sent(&again).plain_len(), again.layout()), (Some(5), parsed.layout()));
}

#[test]
fn a_plan_for_the_other_vendor_is_refused() {
    let plan = PartPlan::new(1 << 20, 102_400, Dialect::OSS_V2).unwrap();
    let outcome = Encryptor::new(&aes(), Dialect::COS_V2).with_parts(plan).encrypt().map(|_| ());
    assert!(matches!(outcome, Err(EncryptError::Layout(_))));
}

#[test]
fn what_must_not_be_written_is_not() {
    let old = folder("../../shared/keys/sdk-test-rsa1024-d94e4302.pem");
    if let Ok(file) = std::fs::read(old) {
        let small = RsaKeyWrapper::read(&file, None).unwrap();
        let error = Encryptor::new(&small, Dialect::OSS_V2).encrypt().map(|_| ()).unwrap_err();
        assert_eq!(error, EncryptError::Wrap(WrapError::KeyTooSmall { bits: 1024 }));
    }
    let weak = Encryptor::new(&aes(), Dialect::COS_V1).encrypt().map(|_| ());
    assert_eq!(weak, Err(EncryptError::WeakWrap));
    let dialect = Dialect::OSS_V2;
    let none = Encryptor::new(&aes(), dialect).encrypt().map(|_| ());
    assert_eq!(none, Err(EncryptError::NoWrap { dialect }));
    for dialect in [Dialect::COS_ANDROID, Dialect::COS_LEGACY, Dialect::COS_INSTRUCTION] {
        let none = Encryptor::new(&aes(), dialect).encrypt().map(|_| ());
        assert_eq!(none, Err(EncryptError::NoWrap { dialect }));
    }
    let long = MaterialDescription::new([("a", "x".repeat(2000))]).unwrap();
    let described = aes().with_description(long);
    let error = Encryptor::new(&described, Dialect::COS_V2).encrypt().map(|_| ()).unwrap_err();
    let EncryptError::Emit(EmitError::HeaderBudget { size, limit: 2048 }) = error else {
        panic!("{error}")
    };
    assert!(size > 2048);
}

#[test]
fn kms_layerings_and_contexts() {
    let description = MaterialDescription::new([("alpha", "2"), ("zeta", "1")]).unwrap();
    let aliyun = || kms(WrapAlgorithm::KmsAliyun);
    let tencent = || kms(WrapAlgorithm::KmsTencent);
    let writers = [
        (Dialect::OSS_V2, aliyun()),
        (Dialect::OSS_V2, aliyun().with_blob_twice()),
        (Dialect::OSS_V2, aliyun().with_passphrase("p\"w")),
        (Dialect::OSS_V1, aliyun().with_blob_twice()),
        (Dialect::COS_V2, tencent().with_context_style(ContextStyle::Go)),
        (Dialect::COS_V2, tencent().with_description(description.clone())),
        (
            Dialect::COS_V2,
            tencent().with_description(description).with_context_style(ContextStyle::Go),
        ),
    ];
    for (index, (dialect, writer)) in writers.into_iter().enumerate() {
        let (envelope, cipher) = Encryptor::new(&writer, dialect).encrypt().unwrap().into_inner();
        let reader = match index {
            2 => aliyun().with_passphrase("p\"w"),
            0..=3 => aliyun(),
            _ => tencent(),
        };
        let keyring = Keyring::new().with(reader);
        let opened = Decryptor::new(&keyring).decrypt_ctr(&sent(&envelope)).unwrap();
        let (mut a, mut b) = ([0; 40], [0; 40]);
        cipher.at(0).apply(&mut a);
        opened.at(0).apply(&mut b);
        assert_eq!(a, b, "{index}");
        if index == 2 {
            let keyring = Keyring::new().with(aliyun());
            assert!(Decryptor::new(&keyring).decrypt_ctr(&envelope).is_err());
        }
    }
}

/// A service of neither vendor, as a person would write it: blobs are text, and not base64.
#[derive(Default)]
struct OwnKms {
    table: Mutex<BTreeMap<String, (String, Option<String>)>>,
    forgets: bool,
    denies: bool,
}

impl Kms for OwnKms {
    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        let mut table = self.table.lock().unwrap();
        let blob = format!("vault:v1:{:020}", table.len());
        table.insert(blob.clone(), (plaintext.to_owned(), context.map(str::to_owned)));
        Ok(blob)
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        if self.denies {
            return Err(KmsError::Denied("write only".into()));
        }
        let table = self.table.lock().unwrap();
        match table.get(blob) {
            Some((plaintext, with)) if with.as_deref() == context && !self.forgets => {
                Ok(Zeroizing::new(plaintext.clone()))
            }
            _ => Err(KmsError::Refused("no such blob".into())),
        }
    }
}

#[test]
fn a_kms_of_ones_own_reads_what_it_wrote_in_every_dialect_that_can_carry_it() {
    let mut carried = 0;
    for dialect in Dialect::ALL.into_iter().filter(|dialect| dialect.is_writable()) {
        for with in [None, Some("a context")] {
            let mut key = KmsKeyWrapper::new(OwnKms::default()).with_blob_twice();
            if let Some(context) = with {
                key = key.with_context(context);
            }
            let object = match Encryptor::new(&key, dialect).encrypt() {
                Err(EncryptError::NoWrap { .. }) => continue,
                object => object.unwrap(),
            };
            for (_, value) in object.headers() {
                let value = value.to_lowercase();
                assert!(!value.contains("alicloud") && !value.contains("tencent"), "{value}");
            }
            let decryptor = Decryptor::new(&Keyring::new().with(key));
            assert!(decryptor.decrypt(&sent(object.envelope())).is_ok(), "{dialect}");
            carried += 1;
        }
    }
    assert_eq!(carried, 2 * 3, "oss-v2, oss-v1, cos-v2");
}

#[test]
fn a_key_that_cannot_read_what_it_wrote_is_found_at_once() {
    let encrypt = |kms: OwnKms| {
        let key = KmsKeyWrapper::new(kms);
        Encryptor::new(&key, Dialect::OSS_V2).encrypt().map(|_| ())
    };
    let forgetful = encrypt(OwnKms { forgets: true, ..OwnKms::default() });
    assert!(matches!(forgetful, Err(EncryptError::Unreadable(_))));
    // A service that lets this caller only write has lost nothing.
    assert_eq!(encrypt(OwnKms { denies: true, ..OwnKms::default() }), Ok(()));
}
