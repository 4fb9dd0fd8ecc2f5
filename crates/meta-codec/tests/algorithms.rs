//! Names, lengths and conventions of the algorithms.

use meta_codec::{
    BlobForm, ContentAlgorithm, Dialect, EmitError, Envelope, KmsContext, WrapAlgorithm,
};

const CTR: ContentAlgorithm = ContentAlgorithm::Aes256Ctr;
const GCM: ContentAlgorithm = ContentAlgorithm::Aes256Gcm;
const CBC: ContentAlgorithm = ContentAlgorithm::Aes256Cbc;

#[test]
fn algorithms_have_the_names_of_the_documentation() {
    let names = [CBC, CTR, GCM].map(|content| content.to_string());
    assert_eq!(names, ["AES-256-CBC", "AES-256-CTR", "AES-256-GCM"]);
    let names = WrapAlgorithm::ALL.map(|wrap| wrap.to_string());
    assert_eq!(
        names,
        [
            "aes-ctr-zero",
            "aes-kw",
            "kms-aliyun",
            "kms-custom",
            "kms-tencent",
            "rsa-oaep-sha1",
            "rsa-oaep-sha256",
            "rsa-pkcs1v15",
            "rsa-unstated",
        ]
    );
    assert_eq!(WrapAlgorithm::ALL.map(WrapAlgorithm::id).to_vec(), names);
}

#[test]
fn a_body_is_as_long_as_its_algorithm_makes_it() {
    for (plain, cbc, gcm) in [
        (0, Some(16), Some(16)),
        (1, Some(16), Some(17)),
        (15, Some(16), Some(31)),
        (16, Some(32), Some(32)),
        (17, Some(32), Some(33)),
        (1000, Some(1008), Some(1016)),
        (u64::MAX - 16, Some(u64::MAX - 15), Some(u64::MAX)),
        (u64::MAX - 15, None, None),
        (u64::MAX, None, None),
    ] {
        assert_eq!(CTR.body_len(plain), Some(plain));
        assert_eq!(CBC.body_len(plain), cbc, "{plain}");
        assert_eq!(GCM.body_len(plain), gcm, "{plain}");
        assert_eq!(gcm.and_then(|body| GCM.plain_len(body)), gcm.map(|_| plain));
    }
    // Whatever may be encrypted has a body whose length can be stated.
    for content in [CBC, CTR, GCM] {
        assert!(content.body_len(content.max_plain_len()).is_some(), "{content}");
    }
    assert_eq!(CTR.max_plain_len(), u64::MAX);
    assert_eq!(CBC.max_plain_len(), u64::MAX - 16);
}

#[test]
fn aes_key_wrap_takes_no_iv_of_twelve_bytes() {
    for wrap in WrapAlgorithm::ALL {
        assert!(wrap.takes_iv_of(CTR) && wrap.takes_iv_of(CBC), "{wrap}");
        assert_eq!(wrap.takes_iv_of(GCM), wrap != WrapAlgorithm::AesKeyWrap, "{wrap}");
    }
}

#[test]
fn each_service_has_its_convention() {
    let facts = |wrap: WrapAlgorithm| wrap.kms().map(|kms| (kms.blob, kms.context));
    let (constant, described) = (KmsContext::Constant, KmsContext::Description);
    assert_eq!(facts(WrapAlgorithm::KmsAliyun), Some((BlobForm::Base64, constant)));
    assert_eq!(facts(WrapAlgorithm::KmsCustom), Some((BlobForm::Text, constant)));
    assert_eq!(facts(WrapAlgorithm::KmsTencent), Some((BlobForm::Text, described)));
    assert_eq!(WrapAlgorithm::ALL.into_iter().filter_map(facts).count(), 3);
}

/// A wrapped value of a length that its algorithm cannot produce is never written.
#[test]
fn a_wrapped_value_has_a_length_that_its_algorithm_produces() {
    use WrapAlgorithm::{AesCtrZero, AesKeyWrap, KmsAliyun, KmsCustom, KmsTencent};
    let fits = |dialect, content, wrap, key: usize, iv: usize| {
        let envelope = Envelope::new(dialect, content, wrap, vec![1; key], vec![2; iv]);
        let outcome = envelope.emit(dialect);
        // The longest blobs fit the algorithm, but not the service that stores the object.
        let fits = matches!(outcome, Ok(_) | Err(EmitError::HeaderBudget { .. }));
        assert!(fits || outcome == Err(EmitError::Length(wrap)), "{outcome:?}");
        fits
    };
    let (oss, cos, python) = (Dialect::OSS_V2, Dialect::COS_V2, Dialect::COS_V1);
    for len in [0, 1, 16, 17, 24, 31, 32, 33, 39, 40, 41, 48, 6144, 6145] {
        assert_eq!(fits(cos, CTR, AesKeyWrap, len, 24), len == 40, "{len}");
        assert_eq!(fits(cos, CTR, AesKeyWrap, 40, len), len == 24, "{len}");
        assert_eq!(fits(python, CTR, AesCtrZero, len, 16), len == 32, "{len}");
        assert_eq!(fits(python, CTR, AesCtrZero, 32, len), len == 16, "{len}");
        // AES Key Wrap has no form for 12 bytes.
        assert!(!fits(cos, GCM, AesKeyWrap, 40, len), "{len}");
        for (dialect, wrap, least) in
            [(oss, KmsAliyun, 1), (cos, KmsCustom, 17), (cos, KmsTencent, 17)]
        {
            let allowed = (least..=6144).contains(&len);
            assert_eq!(fits(dialect, CTR, wrap, len, 100), allowed, "{wrap} {len}");
            assert_eq!(fits(dialect, CTR, wrap, 100, len), allowed, "{wrap} {len}");
        }
    }
    for (dialect, wrap) in [
        (oss, WrapAlgorithm::RsaPkcs1v15),
        (oss, WrapAlgorithm::RsaOaepSha1),
        (cos, WrapAlgorithm::RsaOaepSha256),
        (python, WrapAlgorithm::RsaUnstated),
    ] {
        for len in [127, 128, 256, 1024, 1025] {
            assert_eq!(fits(dialect, CTR, wrap, len, len), (128..=1024).contains(&len), "{len}");
            // Both values were wrapped with the same modulus.
            assert!(!fits(dialect, CTR, wrap, len, 200), "{len}");
            assert!(!fits(dialect, CTR, wrap, 200, len), "{len}");
        }
    }
}
