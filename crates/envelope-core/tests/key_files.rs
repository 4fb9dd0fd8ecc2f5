//! RSA key files in every form that SDKs and OpenSSL write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use envelope_core::{AesKeyWrapper, RsaKeyError, RsaKeyWrapper};
use envelope_testkit::folder;

const PASSPHRASE: &[u8] = b"correct horse";

fn read(name: &str, passphrase: Option<&[u8]>) -> Result<RsaKeyWrapper, RsaKeyError> {
    RsaKeyWrapper::read(&std::fs::read(folder("keys").join(name)).unwrap(), passphrase)
}

#[test]
fn all_forms_hold_the_same_key() {
    let public = read("public_key.pem", None).unwrap().public_pem().unwrap();
    let forms: Vec<_> = std::fs::read_dir(folder("keys/forms")).unwrap().collect();
    assert!(forms.len() >= 19, "{}", forms.len());
    for form in forms {
        let name = form.unwrap().file_name().into_string().unwrap();
        let path = format!("forms/{name}");
        let key = read(&path, Some(PASSPHRASE)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key.public_pem().unwrap(), public, "{name}");
        assert_eq!(key.is_private(), !name.contains("public") && !name.contains("spki"), "{name}");

        let unopened = [read(&path, None), read(&path, Some(b"wrong horse"))];
        let [none, wrong] = unopened.map(|outcome| outcome.map(|_| ()));
        if name.starts_with("encrypted") {
            assert_eq!(none, Err(RsaKeyError::PassphraseMissing), "{name}");
            assert_eq!(wrong, Err(RsaKeyError::PassphraseWrong), "{name}");
        } else {
            assert_eq!((none, wrong), (Ok(()), Ok(())), "{name}");
        }
    }
}

#[test]
fn what_is_written_is_read() {
    let key = read("private_key.pem", None).unwrap();
    for passphrase in [None, Some(PASSPHRASE)] {
        let pem = key.private_pem(passphrase).unwrap();
        let again = RsaKeyWrapper::read(pem.as_bytes(), passphrase).unwrap();
        assert_eq!(again.public_pem(), key.public_pem());
        if passphrase.is_some() {
            assert!(pem.contains("ENCRYPTED"));
        }
    }
    assert!(matches!(RsaKeyWrapper::generate(1024), Err(RsaKeyError::Size(1024))));
}

#[test]
fn a_key_in_odd_clothes() {
    let pem = std::fs::read_to_string(folder("keys/private_key.pem")).unwrap();
    let odd = [
        pem.replace('\n', "\r\n"),
        format!("Bag Attributes\n    friendlyName: x\n{pem}\n\n"),
        pem.trim_end().to_owned(),
        // Some configuration files hold the key in one long line.
        {
            let body: String =
                pem.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>().concat();
            format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n")
        },
    ];
    for text in odd {
        assert!(RsaKeyWrapper::read(text.as_bytes(), None).is_ok(), "{text:.60}");
    }
}

#[test]
fn a_file_with_several_blocks() {
    let text = |name: &str| std::fs::read_to_string(folder("keys").join(name)).unwrap();
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let both = format!("{certificate}{}{}", text("public_key.pem"), text("private_key.pem"));
    assert!(RsaKeyWrapper::read(both.as_bytes(), None).unwrap().is_private());
    let public = format!("{certificate}{}", text("public_key.pem"));
    assert!(!RsaKeyWrapper::read(public.as_bytes(), None).unwrap().is_private());
    let none = RsaKeyWrapper::read(certificate.as_bytes(), None).map(|_| ());
    assert_eq!(none, Err(RsaKeyError::NotAKey));
}

#[test]
fn an_aes_key_raw_or_as_text() {
    assert!(AesKeyWrapper::read(&[0xa7; 32]).is_ok());
    assert!(AesKeyWrapper::read(b"AAAAAAAAAAAAAAAAAAAAAA==\n").is_ok());
    // 32 characters are the text of 24 bytes, or a key of 32 bytes. A line break decides.
    for text in ["0123456789abcdef0123456789abcdef", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let outcome = AesKeyWrapper::read(text.as_bytes()).map(|_| ());
        assert_eq!(outcome, Err(envelope_core::AesKeyError::Ambiguous), "{text}");
        assert!(AesKeyWrapper::read(format!("{text}\n").as_bytes()).is_ok());
        assert!(AesKeyWrapper::new(text.as_bytes()).is_ok());
        assert!(AesKeyWrapper::read_text(text.as_bytes()).is_ok());
    }
    for bad in [&b""[..], &[1; 31], b"AAAAAAAAAAAAAAAAAAAAAA=\n", b"AAAA"] {
        assert!(AesKeyWrapper::read(bad).is_err());
    }
}

#[test]
fn hostile_key_files() {
    let pem = std::fs::read_to_string(folder("keys/private_key.pem")).unwrap();
    let traditional =
        std::fs::read_to_string(folder("keys/forms/encrypted-traditional-des3.pem")).unwrap();
    let cases: [(&[u8], RsaKeyError); 8] = [
        (b"", RsaKeyError::NotAKey),
        (b"ssh-rsa AAAA", RsaKeyError::NotAKey),
        (b"0", RsaKeyError::Malformed),
        (b"0\x82\xff\xff", RsaKeyError::Malformed),
        (b"-----BEGIN PRIVATE KEY-----\n", RsaKeyError::Malformed),
        (&pem.as_bytes()[..pem.len() / 2], RsaKeyError::Malformed),
        (traditional.replace("DES-EDE3-CBC", "DES-CBC").leak().as_bytes(), RsaKeyError::Cipher),
        (traditional.replace("CBC,", "CBC,é").leak().as_bytes(), RsaKeyError::Malformed),
    ];
    for (file, want) in cases {
        let got = RsaKeyWrapper::read(file, Some(PASSPHRASE)).map(|_| ());
        assert_eq!(got, Err(want), "{}", String::from_utf8_lossy(file));
    }
    // Every prefix and many flips must give an error or the key, never a panic.
    let der = std::fs::read(folder("keys/forms/pkcs8.der")).unwrap();
    for len in 0..der.len().min(80) {
        assert!(RsaKeyWrapper::read(&der[..len], None).is_err());
    }
    for at in (0..der.len()).step_by(61) {
        let mut bad = der.clone();
        bad[at] ^= 0x55;
        let _ = RsaKeyWrapper::read(&bad, None);
    }
}
