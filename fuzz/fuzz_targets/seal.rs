//! The value of a seal header: no panic, one text for each seal, and no seal that verifies without
//! the content key.

#![no_main]

use std::sync::LazyLock;

use envelope_core::{
    AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring, SealOptions, io::EncryptReader,
};
use libfuzzer_sys::fuzz_target;
use meta_codec::parse;

const NAME: &str = "x-cos-meta-envelope-seal";

struct Object {
    /// The headers without the seal.
    headers: Vec<(&'static str, String)>,
    seal: String,
    decryptor: Decryptor,
}

static OBJECT: LazyLock<Object> = LazyLock::new(|| {
    let key = AesKeyWrapper::new(&[7; 32]).unwrap();
    let options = SealOptions::new().with_name("name");
    let encryptor = Encryptor::new(&key, Dialect::COS_V2).with_seal(options);
    let mut object = encryptor.with_plain_len(6).encrypt().unwrap();
    let mut body = Vec::new();
    let mut reader = EncryptReader::new(&b"a file"[..], object.cipher().at(0));
    std::io::copy(&mut reader, &mut body).unwrap();
    let mut whole = object.body_hasher().unwrap().whole();
    whole.update(&body);
    object.seal_body(whole.finish()).unwrap();
    let (seal, headers) = object.headers().iter().cloned().partition(|(name, _)| *name == NAME);
    let seal: Vec<_> = seal;
    let decryptor = Decryptor::new(&Keyring::new().with(key)).with_name("name");
    Object { headers, seal: seal[0].1.clone(), decryptor }
});

fuzz_target!(|value: &[u8]| {
    let headers = OBJECT.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let Ok(envelope) = parse(headers.chain([(NAME, value)])) else { return };
    let envelope = envelope.unwrap();
    let again = envelope.emit(Dialect::COS_V2).unwrap();
    let (_, text) = again.iter().find(|(name, _)| *name == NAME).unwrap();
    assert_eq!(text.as_bytes(), value, "a seal has one text");
    let genuine = value == OBJECT.seal.as_bytes();
    assert_eq!(OBJECT.decryptor.decrypt(&envelope).is_ok(), genuine);
});
