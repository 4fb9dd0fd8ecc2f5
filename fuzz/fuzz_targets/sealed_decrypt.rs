//! A sealed object of which anything was changed: no panic, and never another plaintext.
//!
//! The input is the kind of object, the size of a piece, and the changes. A change is four bytes:
//! what it is of (a header's value, its name, or the body), where it is, and what it does there.

#![no_main]

use std::sync::LazyLock;

use envelope_core::{
    AesKeyWrapper, BodyDecryptor, ContentAlgorithm, Decryptor, Dialect, Encryptor, Keyring,
    PlainCheck, Policy, SealOptions, check_body_len, io::EncryptReader,
};
use libfuzzer_sys::fuzz_target;
use meta_codec::parse;

struct Object {
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

const PLAIN: &[u8] = &[7; 1100];

static KEY: LazyLock<AesKeyWrapper> = LazyLock::new(|| AesKeyWrapper::new(&[7; 32]).unwrap());

static OBJECTS: LazyLock<[Object; 3]> = LazyLock::new(|| {
    let encryptor = |dialect| {
        let options = SealOptions::new().with_name("name");
        Encryptor::new(&*KEY, dialect).allow_weak_wrap().with_seal(options)
    };
    let object = |encryptor: Encryptor| {
        let mut object = encryptor.encrypt().unwrap();
        let mut body = Vec::new();
        let mut reader = EncryptReader::new(PLAIN, object.cipher().at(0));
        std::io::copy(&mut reader, &mut body).unwrap();
        let mut whole = object.body_hasher().unwrap().whole();
        whole.update(&body);
        object.seal_body(whole.finish()).unwrap();
        Object { headers: owned(object.headers()), body }
    };
    [
        object(encryptor(Dialect::COS_V2).with_plain_len(PLAIN.len() as u64)),
        object(encryptor(Dialect::COS_V2).with_plain_md5([9; 16])),
        object(encryptor(Dialect::COS_V1)),
    ]
});

static DECRYPTOR: LazyLock<Decryptor> = LazyLock::new(|| {
    let policy = Policy::every_algorithm().require_seal().authenticated_only();
    Decryptor::new(&Keyring::new().with(KEY.clone())).with_policy(policy).with_name("name")
});

fn owned(headers: &[(&'static str, String)]) -> Vec<(String, Vec<u8>)> {
    let own = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone().into_bytes());
    headers.iter().map(own).collect()
}

fn change(bytes: &mut Vec<u8>, at: u8, how: u8) {
    let len = bytes.len().max(1);
    // Large enough a step to reach the end of the body.
    let at = usize::from(at) * len.div_ceil(256) % len;
    match how {
        0 => bytes.truncate(at),
        1 => bytes.insert(at.min(bytes.len()), b'A'),
        2 => bytes.push(b'0'),
        3 => bytes.clear(),
        4 if at < bytes.len() => drop(bytes.remove(at)),
        how => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= how),
    }
}

fn open(object: &Object, piece: usize) -> Option<Vec<u8>> {
    let headers = object.headers.iter().map(|(name, value)| (name.as_str(), value));
    let envelope = parse(headers).ok()??;
    check_body_len(&envelope, object.body.len() as u64).ok()?;
    let cipher = DECRYPTOR.decrypt(&envelope).ok()?;
    assert_eq!(envelope.content_algorithm(), ContentAlgorithm::Aes256Ctr);
    let mut decryptor = BodyDecryptor::from(cipher);
    // The second of the objects has a wrong MD5, so that nothing but the seal is in the way.
    if envelope.plain_md5().is_none() {
        decryptor = decryptor.with_check(PlainCheck::new(&envelope));
    }
    let mut plain = Vec::new();
    for chunk in object.body.chunks(piece.max(1)) {
        let mut chunk = chunk.to_vec();
        decryptor.update(&mut chunk).ok()?;
        plain.extend(chunk);
    }
    plain.extend_from_slice(&decryptor.finish().ok()?);
    Some(plain)
}

fuzz_target!(|input: &[u8]| {
    let [kind, piece, changes @ ..] = input else { return };
    let genuine = &OBJECTS[usize::from(*kind) % OBJECTS.len()];
    let mut object = Object { headers: genuine.headers.clone(), body: genuine.body.clone() };
    for each in changes.chunks_exact(4).take(16) {
        let [of, header, at, how] = [each[0], each[1], each[2], each[3]];
        let header = usize::from(header) % object.headers.len();
        match of % 8 {
            0 | 1 => change(&mut object.body, at, how),
            2 => {
                let mut name = std::mem::take(&mut object.headers[header].0).into_bytes();
                change(&mut name, at, how);
                object.headers[header].0 = String::from_utf8_lossy(&name).into_owned();
            }
            3 => drop(object.headers.swap_remove(header)),
            4 => {
                // The value of another object's header.
                let other = &OBJECTS[usize::from(at) % OBJECTS.len()].headers;
                let other = &other[usize::from(how) % other.len()];
                object.headers[header].1.clone_from(&other.1);
            }
            _ => change(&mut object.headers[header].1, at, how),
        }
        if object.headers.is_empty() {
            break;
        }
    }
    let plain = open(&object, usize::from(*piece) * 8);
    if changes.len() < 4 {
        assert!(plain.is_some(), "nothing was changed");
    }
    assert!(plain.is_none_or(|plain| plain == PLAIN), "another plaintext");
});
