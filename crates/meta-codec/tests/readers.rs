//! Which SDKs read an object. That the table is right is seen where the SDKs run
//! (`cargo xtask interop`); here, that it is consulted rightly.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use meta_codec::{
    ContentAlgorithm::{Aes256Cbc, Aes256Ctr, Aes256Gcm},
    Dialect, Envelope, MaterialDescription, Reach, Reader, WrapAlgorithm,
};

fn envelope(
    dialect: Dialect,
    wrap: WrapAlgorithm,
    content: meta_codec::ContentAlgorithm,
) -> Envelope {
    Envelope::new(dialect, content, wrap, vec![0xff; 256], vec![0xff; 256])
}

fn described(envelope: &Envelope, text: &str) -> Envelope {
    envelope.clone().with_description(MaterialDescription::parse(text).unwrap())
}

/// The IDs of the readers; those that read no ranges with an asterisk.
fn readers(envelope: &Envelope) -> Vec<String> {
    let name = |(reader, reach): (Reader, Reach)| match reach {
        Reach::Ranges => reader.id().to_owned(),
        Reach::Whole => format!("{}*", reader.id()),
    };
    envelope.readers().map(name).collect()
}

#[test]
fn every_reader_has_its_own_name_and_versions() {
    for (index, reader) in Reader::ALL.into_iter().enumerate() {
        assert!(!reader.versions().is_empty() && !reader.sdk().is_empty());
        assert!(format!("{reader:?}").contains(reader.id()));
        let others = Reader::ALL.into_iter().skip(index + 1);
        for other in others {
            assert_ne!(reader.id(), other.id());
            let is_same = |version| other.versions().contains(version);
            assert!(reader.sdk() != other.sdk() || !reader.versions().iter().any(is_same));
        }
    }
}

#[test]
fn what_is_written_by_default_is_read_by_all() {
    let oss = envelope(Dialect::OSS_V2, WrapAlgorithm::RsaPkcs1v15, Aes256Ctr);
    let all = ["oss-python", "oss-python-v2", "oss-go", "oss-go-v2", "oss-java", "oss-java-new"];
    assert_eq!(readers(&oss), all);
    let cos = envelope(Dialect::COS_V2, WrapAlgorithm::RsaOaepSha256, Aes256Ctr);
    assert_eq!(readers(&cos), ["cos-java*"]);
    let old = envelope(Dialect::OSS_V1, WrapAlgorithm::RsaOaepSha1, Aes256Ctr);
    assert_eq!(readers(&old), ["oss-python-old*", "oss-python"]);
    let python = envelope(Dialect::COS_V1, WrapAlgorithm::RsaUnstated, Aes256Ctr);
    assert_eq!(readers(&python), ["cos-python"]);
    let cbc = envelope(Dialect::COS_V2, WrapAlgorithm::AesKeyWrap, Aes256Cbc);
    assert_eq!(readers(&cbc), ["cos-java*"]);
    // No SDK has a service of one's own.
    let own = envelope(Dialect::OSS_V2, WrapAlgorithm::KmsCustom, Aes256Ctr);
    assert_eq!(readers(&own), [""; 0]);
}

#[test]
fn hadoop_needs_a_length_and_no_description() {
    let gcm = envelope(Dialect::COS_V2, WrapAlgorithm::RsaOaepSha256, Aes256Gcm);
    assert_eq!(readers(&gcm), ["cos-java"]);
    let gcm = gcm.with_plain_len(5);
    assert_eq!(readers(&gcm), ["cos-java", "hadoop-cos"]);
    assert_eq!(readers(&described(&gcm, "{}")), ["cos-java", "hadoop-cos"]);
    assert_eq!(readers(&described(&gcm, r#"{"a":"1"}"#)), ["cos-java"]);
}

#[test]
fn only_oss2_encodes_blobs_twice() {
    let once = envelope(Dialect::OSS_V2, WrapAlgorithm::KmsAliyun, Aes256Ctr);
    assert_eq!(readers(&once), ["oss-python-v2", "oss-go", "oss-go-v2", "oss-java"]);
    let (key, iv) = (b"bG9vcA==".to_vec(), b"bG9vcA==".to_vec());
    let wrap = WrapAlgorithm::KmsAliyun;
    let twice = Envelope::new(Dialect::OSS_V2, Aes256Ctr, wrap, key, iv);
    assert_eq!(readers(&twice), ["oss-python"]);
    // RSA's values are not blobs, whatever they look like.
    let wrap = WrapAlgorithm::RsaPkcs1v15;
    let rsa = Envelope::new(Dialect::OSS_V2, Aes256Ctr, wrap, vec![b'A'; 256], vec![b'A'; 256]);
    assert_eq!(readers(&rsa).len(), 6);
    // The provider of oss2 that wraps with OAEP has no descriptions.
    let oaep = envelope(Dialect::OSS_V2, WrapAlgorithm::RsaOaepSha1, Aes256Ctr);
    assert_eq!(readers(&oaep), ["oss-python"]);
    assert_eq!(readers(&described(&oaep, r#"{"a":"1"}"#)), [""; 0]);
}

#[test]
fn the_sdks_in_go_compare_texts() {
    let oss = envelope(Dialect::OSS_V2, WrapAlgorithm::RsaPkcs1v15, Aes256Ctr);
    let reads = |text| readers(&described(&oss, text)).contains(&"oss-go".to_owned());
    for same in [
        r#"{"team":"billing"}"#,
        r#"{"a":"1","b":"2"}"#,
        r#"{"a/b":"\u003cc\u003e\u0026d"}"#,
        r#"{"a":"\"\\\n\r\t\u0001\u2028"}"#,
        "{\"a\":\"\u{e9}\"}",
    ] {
        assert!(reads(same), "{same}");
    }
    for other in [
        "{}",
        r#"{"team": "billing"}"#,
        r#"{"b":"2","a":"1"}"#,
        r#"{"a/b":"<c>&d"}"#,
        r#"{"a\/b":"1"}"#,
        r#"{"a":"\u00e9"}"#,
    ] {
        assert!(!reads(other), "{other}");
        assert!(readers(&described(&oss, other)).contains(&"oss-go-v2".to_owned()), "{other}");
    }
}
