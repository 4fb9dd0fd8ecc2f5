//! Streams under short reads, interruptions and failures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use std::io::{ErrorKind, Read as _, Write as _};

use envelope_core::{
    AesKeyWrapper, BodyCipher, ContentCipher, Decryptor, Encryptor, GcmCipher, Keyring,
    RsaKeyWrapper,
    io::{DecryptReader, DecryptWriter, EncryptReader, EncryptWriter},
};
use envelope_testkit::{FaultyReader, ShortReader, ShortWriter, folder};
use meta_codec::{Dialect, Envelope};
use proptest::prelude::*;

fn ctr() -> (Keyring, Envelope, ContentCipher) {
    let wrapper = AesKeyWrapper::generate().unwrap();
    let (envelope, cipher) = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt().unwrap();
    (Keyring::new().with(wrapper), envelope, cipher)
}

fn gcm() -> (Keyring, Envelope, GcmCipher) {
    let file = std::fs::read(folder("keys/private_key.pem")).unwrap();
    let wrapper = RsaKeyWrapper::read(&file, None).unwrap();
    let (envelope, cipher) = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt_gcm().unwrap();
    (Keyring::new().with(wrapper), envelope, cipher)
}

fn open((keyring, envelope): (&Keyring, &Envelope)) -> BodyCipher {
    Decryptor::new(keyring).open(envelope).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_result_does_not_depend_on_the_chunks(
        plain in prop::collection::vec(any::<u8>(), 0..3000),
        most in 1_usize..100,
        piece in 1_usize..200,
        authentic: bool,
    ) {
        let (keyring, envelope, sealed) = if authentic {
            let (keyring, envelope, cipher) = gcm();
            (keyring, envelope, cipher.seal(plain.clone()).unwrap())
        } else {
            let (keyring, envelope, cipher) = ctr();
            let mut sealed = Vec::new();
            let short = ShortReader::new(&plain[..], most);
            EncryptReader::new(short, cipher).read_to_end(&mut sealed).unwrap();
            (keyring, envelope, sealed)
        };
        let mut reader = DecryptReader::new(
            ShortReader::new(&sealed[..], most),
            open((&keyring, &envelope)),
        );
        let (mut read, mut buffer) = (Vec::new(), vec![0; piece]);
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => read.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error}"),
            }
        }
        prop_assert!(read == plain);

        let out = ShortWriter::new(most, usize::MAX);
        let mut writer = DecryptWriter::new(out, open((&keyring, &envelope)));
        for chunk in sealed.chunks(piece) {
            writer.write_all(chunk).unwrap();
        }
        prop_assert!(writer.finish().unwrap().written == plain);
    }
}

#[test]
fn a_failed_reader_does_not_go_on() {
    let plain = vec![7; 1000];
    let (_, _, cipher) = ctr();
    let mut reader = EncryptReader::new(FaultyReader::new(&plain[..], 333), cipher);
    let mut read = Vec::new();
    let error = reader.read_to_end(&mut read).unwrap_err();
    assert_eq!((error.kind(), read.len()), (ErrorKind::ConnectionReset, 333));
    // The inner reader would continue, but the stream must not.
    assert!(reader.read(&mut [0; 10]).is_err());

    let (keyring, envelope, cipher) = gcm();
    let sealed = cipher.seal(plain).unwrap();
    let cipher = open((&keyring, &envelope));
    let mut reader = DecryptReader::new(FaultyReader::new(&sealed[..], 500), cipher);
    assert!(reader.read_to_end(&mut Vec::new()).is_err());
    assert!(reader.read(&mut [0; 10]).is_err());
}

#[test]
fn a_full_disk_is_told_and_not_written_past() {
    let (_, _, cipher) = ctr();
    let mut writer = EncryptWriter::new(ShortWriter::new(7, 100), cipher);
    assert_eq!(writer.write_all(&[0; 200]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(writer.write(&[0; 10]).is_err());
    assert!(writer.finish().is_err());

    let (_, _, cipher) = gcm();
    let mut writer = EncryptWriter::new(ShortWriter::new(7, 110), cipher);
    writer.write_all(&[0; 100]).unwrap();
    // There is no room for the authentication tag.
    assert!(writer.finish().is_err());
}

#[test]
fn gcm_readers_do_not_seek() {
    use std::io::{Cursor, Seek as _, SeekFrom};
    let (keyring, envelope, cipher) = gcm();
    let sealed = Cursor::new(cipher.seal(vec![1; 100]).unwrap());
    let mut reader = DecryptReader::new(sealed, open((&keyring, &envelope)));
    assert_eq!(reader.seek(SeekFrom::Start(5)).unwrap_err().kind(), ErrorKind::Unsupported);
}
