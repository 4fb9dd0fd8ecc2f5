//! The facts of the stores and of the dialects, as they were measured. Whoever changes a table
//! changes this, too.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use meta_codec::{
    ContentAlgorithm, DescriptionError, Dialect, IvForm, LayoutError, PartLayout, Reason, Vendor,
    WrapAlgorithm, parse, parse_instruction, parse_user_metadata,
};

#[test]
fn the_stores_differ() {
    let (oss, cos) = (Vendor::Oss, Vendor::Cos);
    assert_eq!((oss.id(), cos.id()), ("oss", "cos"));
    assert_eq!((oss.header_prefix(), cos.header_prefix()), ("x-oss-", "x-cos-"));
    assert_eq!((oss.metadata_prefix(), cos.metadata_prefix()), ("x-oss-meta-", "x-cos-meta-"));
    assert_eq!((oss.default_dialect(), cos.default_dialect()), (Dialect::OSS_V2, Dialect::COS_V2));
    assert_eq!((oss.has_instruction_files(), cos.has_instruction_files()), (false, true));
    let on_parts = Vendor::needs_encryption_headers_on_parts;
    assert_eq!((on_parts(oss), on_parts(cos)), (true, false));
    assert_eq!(oss.range_header(), Some(("x-oss-range-behavior", "standard")));
    assert_eq!(cos.range_header(), None);
    for vendor in Vendor::ALL {
        assert_eq!(vendor.max_parts(), 10_000);
        assert_eq!(vendor.max_part_size(), 5 << 30);
        let own = vendor.copied_headers();
        assert!(own.iter().all(|name| name.starts_with(vendor.header_prefix())));
        assert!(own.iter().any(|name| name.ends_with("storage-class")));
        assert!(own.iter().any(|name| name.contains("server-side-encryption")));
        assert_eq!(vendor.default_dialect().vendor(), vendor);
    }
    assert_eq!((oss.min_part_size(), cos.min_part_size()), (100 << 10, 1 << 20));
}

#[test]
fn the_limits_of_parts() {
    for (vendor, least) in [(Vendor::Oss, 102_400), (Vendor::Cos, 1_048_576)] {
        let most = vendor.max_part_size();
        assert!(PartLayout::new(vendor, 1, least).is_ok());
        assert!(PartLayout::new(vendor, 1, most).is_ok());
        let small = PartLayout::new(vendor, 1, least - 16);
        assert_eq!(small, Err(LayoutError::PartTooSmall { least }));
        let large = PartLayout::new(vendor, 1, most + 16);
        assert_eq!(large, Err(LayoutError::PartTooLarge { most }));
        assert!(PartLayout::new(vendor, 10_000 * least, least).is_ok());
        let many = PartLayout::new(vendor, 10_000 * least + 1, least);
        assert_eq!(many, Err(LayoutError::TooManyParts { count: 10_001 }));
        for unaligned in [least + 1, least + 8, least + 15] {
            let layout = PartLayout::new(vendor, 1, unaligned);
            assert_eq!(layout, Err(LayoutError::PartNotAligned));
        }
        let layout = PartLayout::new(vendor, 3 * least, least).unwrap();
        assert_eq!((layout.part_count(), layout.data_size()), (Some(3), Some(3 * least)));
        let empty = PartLayout::new(vendor, 0, least).unwrap();
        assert_eq!(empty.part_count(), Some(1));
    }
}

#[test]
fn the_dialects_differ() {
    let writable: Vec<&str> = Dialect::writable_ids().collect();
    assert_eq!(writable, ["oss-v2", "oss-v1", "cos-v2", "cos-v1"]);
    for dialect in Dialect::ALL {
        let id = dialect.id();
        assert_eq!(id.parse::<Dialect>().unwrap(), dialect);
        assert_eq!(format!("{dialect} {dialect:?}"), format!("{id} Dialect({id})"));
        assert!(
            dialect.writers().contains(if id.starts_with("cos") { "COS" } else { "OSS" })
                || dialect.writers().contains("oss2"),
            "{}",
            dialect.writers()
        );
        assert_eq!(dialect.is_writable(), writable.contains(&id));
        assert_eq!(dialect.is_writable(), dialect.wrap_algorithms().next().is_some());
        assert_eq!(dialect.is_writable(), dialect.content_algorithms().next().is_some());
        let prefix = dialect.vendor().metadata_prefix();
        let mut names: Vec<&str> = dialect.header_names().collect();
        // An instruction file has its own names.
        let own = dialect == Dialect::COS_INSTRUCTION;
        assert!(own || names.iter().all(|name| name.starts_with(prefix)), "{id}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), dialect.header_names().count(), "{id}");
    }
    let facts = |dialect: Dialect| {
        (
            dialect.has_description(),
            dialect.has_layout(),
            dialect.has_plain_len(),
            dialect.has_plain_md5(),
            dialect.iv_form(),
        )
    };
    for both in [Dialect::OSS_V2, Dialect::COS_V2] {
        assert_eq!(facts(both), (true, true, true, true, IvForm::Wrapped), "{both}");
    }
    assert_eq!(facts(Dialect::OSS_V1), (true, false, true, true, IvForm::WrappedDecimal));
    assert_eq!(facts(Dialect::COS_V1), (false, false, false, false, IvForm::Wrapped));
    for clear in [Dialect::COS_ANDROID, Dialect::COS_LEGACY, Dialect::COS_INSTRUCTION] {
        assert_eq!(facts(clear), (true, false, true, true, IvForm::Clear), "{clear}");
    }
    assert_eq!(Dialect::COS_V1.wrap_algorithms().count(), 2);
    assert!(Dialect::OSS_V2.wrap_algorithms().all(|wrap| !wrap.is_aes()));
    assert_eq!(
        Dialect::COS_V2.content_algorithms().collect::<Vec<_>>(),
        [ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm]
    );
    assert!("oss-v3".parse::<Dialect>().is_err());
}

#[test]
fn the_kinds_of_wraps() {
    use WrapAlgorithm::{
        AesCtrZero, AesKeyWrap, KmsAliyun, KmsCustom, KmsTencent, RsaOaepSha1, RsaOaepSha256,
        RsaPkcs1v15, RsaUnstated,
    };
    for (algorithms, kind) in [
        (&[AesCtrZero, AesKeyWrap][..], 0),
        (&[RsaOaepSha1, RsaOaepSha256, RsaPkcs1v15, RsaUnstated], 1),
        (&[KmsAliyun, KmsCustom, KmsTencent], 2),
    ] {
        for wrap in algorithms {
            assert_eq!([wrap.is_aes(), wrap.is_rsa(), wrap.is_kms()], [0, 1, 2].map(|n| n == kind));
        }
    }
    let lens =
        [ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Cbc, ContentAlgorithm::Aes256Gcm];
    assert_eq!(lens.map(ContentAlgorithm::iv_len), [16, 16, 12]);
    assert_eq!(lens.map(ContentAlgorithm::is_authenticated), [false, false, true]);
    assert_eq!(lens.map(|content| content.plain_len(100)), [Some(100), None, Some(84)]);
    assert_eq!(ContentAlgorithm::Aes256Gcm.plain_len(15), None);
    // 2^32 - 2 blocks follow the first (NIST SP 800-38D, 5.2.1.1).
    assert_eq!(ContentAlgorithm::Aes256Gcm.max_plain_len(), (1 << 36) - 32);
}

#[test]
fn user_metadata_has_no_prefix() {
    let names = ["key", "start", "cek-alg", "wrap-alg"];
    let values = ["AAAA", "AAAA", "AES/CTR/NoPadding", "RSA/NONE/PKCS1Padding"];
    let pairs =
        || names.into_iter().map(|name| format!("client-side-encryption-{name}")).zip(values);
    let envelope = parse_user_metadata(Vendor::Oss, pairs());
    let full = parse(pairs().map(|(name, value)| (format!("x-oss-meta-{name}"), value)));
    assert_eq!(envelope, full);
    // Too short for a wrap, but found.
    assert!(envelope.is_err());
    assert_eq!(parse_user_metadata(Vendor::Oss, [("color", "blue")]), Ok(None));
}

#[test]
fn an_instruction_file_has_a_limit() {
    let headers: [(&str, &str); 0] = [];
    let text = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
    let error = parse_instruction(headers, &text).unwrap_err();
    assert!(matches!(error.reason(), Reason::TooLarge { .. }), "{error}");
}

/// COS Java 5.6.50 to 5.6.244.4 writes `null` for an absent description
/// (`ContentCryptoMaterial.toJsonString`); later versions leave it out.
#[test]
fn an_instruction_file_may_have_a_null_description() {
    let headers: [(&str, &str); 0] = [];
    let iv = "AAAAAAAAAAAAAAAAAAAAAA==";
    let key = "A".repeat(342) + "==";
    let file = |description: &str, iv: &str| {
        format!(
            "{{\"x-cos-cek-alg\":\"AES/CTR/NoPadding\",\"x-cos-iv\":{iv},\"x-cos-key-v2\":\"{key}\",\
             \"x-cos-wrap-alg\":\"RSA/ECB/OAEPWithSHA-256AndMGF1Padding\"{description}}}"
        )
    };
    let read =
        |description: &str| parse_instruction(headers, &file(description, &format!("\"{iv}\"")));
    let is_not_flat = |text: &str| {
        let error = read(text).unwrap_err();
        matches!(error.reason(), Reason::Instruction(DescriptionError::NotFlat(_)))
    };
    let absent = read("").unwrap();
    assert!(absent.description().is_empty());
    assert_eq!(read(",\"x-cos-matdesc\":null").unwrap(), absent);
    assert!(is_not_flat(",\"x-cos-matdesc\":{}"));
    assert!(is_not_flat(",\"x-cos-matdesc\":1"));
    // Null is nothing that any other value may be, and does not hide a second description.
    assert!(is_not_flat(",\"x-cos-tag-len\":null"));
    assert!(read(",\"x-cos-matdesc\":null,\"x-cos-matdesc\":\"{}\"").is_err());
    assert!(parse_instruction(headers, &file("", "null")).is_err());
}
