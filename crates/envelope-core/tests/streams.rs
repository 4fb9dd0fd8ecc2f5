//! Streams under short reads, interruptions and failures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use std::io::{self, ErrorKind, Read, Write as _};

use envelope_core::{
    AesKeyWrapper, ContentCipher, CtrCipher, Decryptor, Encryptor, GcmSealer, Keyring,
    RsaKeyWrapper,
    io::{DecryptReader, DecryptWriter, EncryptReader, EncryptWriter},
};
use envelope_testkit::{FaultyReader, ShortReader, ShortWriter, folder};
use meta_codec::{ContentAlgorithm, Dialect, Envelope};
use proptest::prelude::*;

fn ctr() -> (Keyring, Envelope, CtrCipher) {
    let wrapper = AesKeyWrapper::generate().unwrap();
    let (envelope, cipher) =
        Encryptor::new(&wrapper, Dialect::COS_V2).encrypt().unwrap().into_inner();
    (Keyring::new().with(wrapper), envelope, cipher)
}

fn gcm() -> (Keyring, Envelope, GcmSealer) {
    let file = std::fs::read(folder("keys/private_key.pem")).unwrap();
    let wrapper = RsaKeyWrapper::read(&file, None).unwrap();
    let (envelope, cipher) =
        Encryptor::new(&wrapper, Dialect::COS_V2).encrypt_gcm().unwrap().into_inner();
    (Keyring::new().with(wrapper), envelope, cipher)
}

fn open((keyring, envelope): (&Keyring, &Envelope)) -> ContentCipher {
    Decryptor::new(keyring).decrypt(envelope).unwrap()
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

/// Every reader and writer must not give out the last byte of a body that turns out wrong: a caller
/// who knows the length reads exactly that much, and never comes to the end of the stream.
#[test]
fn the_exact_length_is_not_read_from_a_wrong_body() {
    for len in [1, 15, 16, 17, 64, 100, 65_536, 200_000] {
        let plain = vec![7; len];
        let (keyring, envelope, sealer) = gcm();
        let mut tampered = sealer.seal(plain.clone()).unwrap();
        tampered[0] ^= 1;
        let cipher = || open((&keyring, &envelope));
        let mut exact = vec![0; len];
        let mut reader = DecryptReader::new(&tampered[..], cipher());
        assert_eq!(reader.read_exact(&mut exact).unwrap_err().kind(), ErrorKind::InvalidData);
        let mut writer = DecryptWriter::new(Vec::new(), cipher());
        writer.write_all(&tampered).unwrap();
        assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::InvalidData);

        // AES-CTR with a length or an MD5 in the metadata.
        let wrapper = AesKeyWrapper::generate().unwrap();
        let encryptor = Encryptor::new(&wrapper, Dialect::COS_V2);
        for encryptor in
            [encryptor.clone().with_plain_len(len as u64 + 1), encryptor.with_plain_md5([1; 16])]
        {
            let (envelope, cipher) = encryptor.encrypt().unwrap().into_inner();
            let mut body = plain.clone();
            cipher.at(0).apply(&mut body);
            let decryptor = Decryptor::new(&Keyring::new().with(wrapper.clone()));
            let mut reader = decryptor.reader(&envelope, &body[..]).unwrap();
            let error = reader.read_exact(&mut exact).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{len}");
            assert!(reader.read(&mut [0]).is_err(), "an error stays an error");
        }
    }
}

#[cfg(all(feature = "bytes", feature = "tokio"))]
mod asynchronous {
    use envelope_core::{
        ContentAlgorithm, IntegrityError, PlainCheck,
        io::{AsyncDecryptReader, AsyncEncryptReader, DecryptStream, EncryptStream},
    };
    use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn pieces(
        bytes: &[u8],
        len: usize,
    ) -> impl futures_util::Stream<Item = Result<bytes::Bytes, IntegrityError>> + Unpin + use<>
    {
        let pieces: Vec<_> = bytes.chunks(len).map(bytes::Bytes::copy_from_slice).collect();
        stream::iter(pieces).map(Ok)
    }

    #[test]
    fn streams_and_async_readers_agree_with_the_others() {
        let wrapper = {
            let file = std::fs::read(folder("keys/private_key.pem")).unwrap();
            RsaKeyWrapper::read(&file, None).unwrap()
        };
        let decryptor = Decryptor::new(&Keyring::new().with(wrapper.clone()));
        for content in [ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm] {
            for (len, piece) in [(0, 1), (1, 1), (16, 5), (100_000, 777), (70_000, 70_000)] {
                let plain: Vec<u8> = (0..len).map(|n: u32| n.to_le_bytes()[0]).collect();
                let encryptor =
                    Encryptor::new(&wrapper, Dialect::COS_V2).with_plain_len(len.into());
                let object = encryptor.encrypt_with(content).unwrap();
                let (envelope, cipher) = object.into_inner();
                let stream = EncryptStream::new(pieces(&plain, piece), cipher);
                let body: Vec<_> = stream.try_collect().now_or_never().unwrap().unwrap();
                let body = body.concat();
                assert_eq!(
                    decryptor.decrypt(&envelope).unwrap().decrypt(body.clone()).unwrap(),
                    plain
                );

                let decrypt = |body: &[u8]| {
                    let cipher = decryptor.decrypt(&envelope).unwrap();
                    let check = PlainCheck::new(&envelope);
                    let stream = DecryptStream::new(pieces(body, piece), cipher).with_check(check);
                    stream.try_collect::<Vec<_>>().now_or_never().unwrap()
                };
                assert_eq!(decrypt(&body).unwrap().concat(), plain);
                if len > 0 {
                    assert!(decrypt(&body[1..]).is_err(), "a wrong length");
                }

                let cipher = decryptor.decrypt(&envelope).unwrap();
                let mut reader = AsyncDecryptReader::new(&body[..], cipher);
                let mut read = Vec::new();
                reader.read_to_end(&mut read).now_or_never().unwrap().unwrap();
                assert_eq!(read, plain);
                let cipher = decryptor.decrypt(&envelope).unwrap();
                let mut reader = AsyncDecryptReader::new(&body[..body.len() / 2], cipher)
                    .with_check(PlainCheck::new(&envelope));
                if len > 0 {
                    let mut exact = vec![0; plain.len()];
                    let outcome = reader.read_exact(&mut exact).now_or_never().unwrap();
                    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidData);
                }
            }
            let (envelope, cipher) = Encryptor::new(&wrapper, Dialect::COS_V2)
                .encrypt_with(content)
                .unwrap()
                .into_inner();
            let mut body = Vec::new();
            let mut reader = AsyncEncryptReader::new(&b"a file"[..], cipher);
            reader.read_to_end(&mut body).now_or_never().unwrap().unwrap();
            assert_eq!(decryptor.decrypt(&envelope).unwrap().decrypt(body).unwrap(), b"a file");
        }
    }
}

/// Reads exactly the length of the plaintext, as a caller who knows it would.
fn read_exactly(envelope: &Envelope, decryptor: &Decryptor, body: &[u8], len: usize) -> bool {
    for piece in [1, 7, 16, 24, 1 << 16] {
        let reader = Pieces { body, piece };
        let mut plain = vec![0; len];
        if decryptor.reader(envelope, reader).unwrap().read_exact(&mut plain).is_ok() {
            return true;
        }
    }
    false
}

/// A reader that returns at most `piece` bytes at a time.
struct Pieces<'a> {
    body: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.piece.min(buffer.len());
        self.body.read(&mut buffer[..len])
    }
}

#[test]
fn bytes_behind_the_body_do_not_release_what_is_held_back() {
    let file = std::fs::read(folder("keys/private_key.pem")).unwrap();
    let key = RsaKeyWrapper::read(&file, None).unwrap();
    let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
    for len in [1, 15, 16, 17, 1000, 1024] {
        let plain = vec![7; len];
        let encryptor = Encryptor::new(&key, Dialect::COS_V2)
            .with_plain_len(len as u64)
            .with_plain_md5([1; 16]);
        for content in [ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm] {
            let (envelope, cipher) = encryptor.encrypt_with(content).unwrap().into_inner();
            let mut body = Vec::new();
            EncryptReader::new(&plain[..], cipher).read_to_end(&mut body).unwrap();
            body[0] ^= 1;
            for more in [0, 1, 15, 16, 17, 32, 33, 48] {
                let longer = [&body[..], &vec![0; more]].concat();
                assert!(
                    !read_exactly(&envelope, &decryptor, &longer, len),
                    "{content} {len} {more}"
                );
            }
        }
    }
}

#[test]
fn a_reader_that_panicked_returns_nothing_more() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer[..6].copy_from_slice(b"secret");
            panic!("in the middle of a read");
        }
    }
    let mut reader = EncryptReader::new(Panics, gcm().2);
    let mut read = || {
        let mut buffer = [0; 16];
        let read = || reader.read(&mut buffer).map_err(drop);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
    };
    assert!(read().is_err());
    assert_eq!(read().unwrap(), Err(()));
}

#[test]
fn a_reader_that_failed_does_not_seek_on() {
    use std::io::{Cursor, Seek, SeekFrom};

    /// Reads from a disk that fails once.
    struct Disk(Cursor<Vec<u8>>, Option<ErrorKind>);
    impl Read for Disk {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1.take().map_or_else(|| self.0.read(buffer), |kind| Err(kind.into()))
        }
    }
    impl Seek for Disk {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    let (keyring, envelope, cipher) = ctr();
    let mut body = vec![7; 100];
    cipher.at(0).apply(&mut body);
    for (kind, goes_on) in [(ErrorKind::Interrupted, true), (ErrorKind::TimedOut, false)] {
        let disk = Disk(Cursor::new(body.clone()), Some(kind));
        let mut reader = DecryptReader::new(disk, open((&keyring, &envelope)));
        assert_eq!(reader.read(&mut [0; 10]).unwrap_err().kind(), kind);
        // The position of the disk is unknown now, and so is that of the keystream.
        assert_eq!(reader.seek(SeekFrom::Start(90)).is_ok(), goes_on, "{kind}");
        let mut rest = Vec::new();
        assert_eq!(reader.read_to_end(&mut rest).is_ok(), goes_on, "{kind}");
        assert_eq!(rest, vec![7; if goes_on { 10 } else { 0 }]);
    }
}

#[test]
fn a_large_body_takes_few_reads() {
    struct Counted<'a>(&'a [u8], &'a mut usize);
    impl Read for Counted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            *self.1 += 1;
            self.0.read(buffer)
        }
    }
    let (keyring, envelope, cipher) = gcm();
    let sealed = cipher.seal(vec![7; 1 << 20]).unwrap();
    let (mut reads, mut plain) = (0, Vec::new());
    let mut reader = DecryptReader::new(Counted(&sealed, &mut reads), open((&keyring, &envelope)));
    reader.read_to_end(&mut plain).unwrap();
    assert!(plain == [7; 1 << 20]);
    // 64 KiB each, the tag and the end.
    assert!(reads <= 18, "{reads} reads");
}
