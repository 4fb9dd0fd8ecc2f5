//! Promises of the documentation that no other test would miss.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use std::error::Error as _;

use envelope_testkit::all_cases;
use meta_codec::{
    Base64Fault, ContentAlgorithm, DescriptionError, Dialect, EmitError, Envelope, HeaderListError,
    MaterialDescription, NumberFault, PartLayout, Reason, Seal, SealFault, SealTerms, SealedBody,
    Vendor, WrapAlgorithm, parse, parse_instruction, read_headers,
};

const CTR: ContentAlgorithm = ContentAlgorithm::Aes256Ctr;
const GCM: ContentAlgorithm = ContentAlgorithm::Aes256Gcm;
const CBC: ContentAlgorithm = ContentAlgorithm::Aes256Cbc;

/// The names of the headers of `cos-v2` begin with this.
const COS: &str = "x-cos-meta-client-side-encryption-";

fn cos_v2(content: ContentAlgorithm, wrap: WrapAlgorithm, key: usize, iv: usize) -> Envelope {
    Envelope::new(Dialect::COS_V2, content, wrap, vec![1; key], vec![2; iv])
}

/// The headers of an envelope of `cos-v2`, which a test then alters.
fn headers() -> Vec<(String, String)> {
    let envelope = cos_v2(CTR, WrapAlgorithm::AesKeyWrap, 40, 24);
    let headers = envelope.emit(Dialect::COS_V2).unwrap().into_iter();
    headers.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn seal(len: u64) -> Seal {
    Seal::new(SealTerms::new(SealedBody::Length(len)), [3; 8], [4; 32])
}

/// The headers with another one.
fn with(name: &str, value: &str) -> Vec<(String, String)> {
    [headers(), vec![(format!("{COS}{name}"), value.to_owned())]].concat()
}

#[test]
fn a_description_has_limits_of_its_own() {
    // `{"a":""}` surrounds the value.
    let value = |len: usize| "x".repeat(len - 8);
    for (len, want) in [(4096, Ok(())), (4097, Err(DescriptionError::TooLong(4097)))] {
        let text = format!(r#"{{"a":"{}"}}"#, value(len));
        assert_eq!(text.len(), len);
        assert_eq!(MaterialDescription::parse(&text).map(|_| ()), want);
        assert_eq!(MaterialDescription::new([("a", value(len))]).map(|_| ()), want);
    }
    let names = |count: usize| (0..count).map(|n| (n.to_string(), "x"));
    assert_eq!(MaterialDescription::new(names(64)).unwrap().map().len(), 64);
    let many = MaterialDescription::new(names(65));
    assert_eq!(many, Err(DescriptionError::TooManyEntries));
    let text = |count: usize| {
        let entries: Vec<_> = names(count).map(|(name, _)| format!(r#""{name}":"x""#)).collect();
        format!("{{{}}}", entries.join(","))
    };
    assert_eq!(MaterialDescription::parse(&text(64)).unwrap().map().len(), 64);
    let many = MaterialDescription::parse(&text(65));
    assert_eq!(many, Err(DescriptionError::TooManyEntries));
    let twice = MaterialDescription::new([("a", "1"), ("a", "1")]);
    assert_eq!(twice, Err(DescriptionError::Duplicate));
}

#[test]
fn a_bad_description_tells_what_is_wrong_with_it() {
    for (text, want) in [
        ("{\"a\":\"b\tc\"}", DescriptionError::Control(7)),
        ("{\"a\":\"1\",\"a\":\"2\"}", DescriptionError::Duplicate),
        ("{\"a\":1}", DescriptionError::NotFlat(6)),
        ("{\"a\":\"1\"", DescriptionError::Syntax(8)),
        ("{} x", DescriptionError::Syntax(4)),
    ] {
        assert_eq!(MaterialDescription::parse(text), Err(want), "{text}");
    }
}

#[test]
fn descriptions_are_equal_if_their_entries_are() {
    let one = MaterialDescription::new([("a", "1")]).unwrap();
    let empty = MaterialDescription::parse("{}").unwrap();
    assert_eq!(one, MaterialDescription::parse("{ \"a\": \"1\" }").unwrap());
    assert_ne!(one, MaterialDescription::new([("a", "2")]).unwrap());
    assert_ne!(one, empty);
    assert_eq!(empty, MaterialDescription::default());
    assert!(empty.is_empty() && !one.is_empty());
    assert_eq!((empty.text(), MaterialDescription::default().text()), ("{}", ""));
}

#[test]
fn envelopes_are_equal_if_all_but_the_order_of_their_headers_is() {
    let text = MaterialDescription::new([("a", "1")]).unwrap();
    let layout = PartLayout::new(Vendor::Cos, 1 << 20, 1 << 20).unwrap();
    let (kw, kms) = (WrapAlgorithm::AesKeyWrap, WrapAlgorithm::KmsTencent);
    let base = || cos_v2(CTR, kw, 40, 24);
    let others = [
        Envelope::new(Dialect::COS_ANDROID, CTR, kw, vec![1; 40], vec![2; 24]),
        cos_v2(CBC, kw, 40, 24),
        cos_v2(CTR, kms, 40, 24),
        cos_v2(CTR, kw, 41, 24),
        cos_v2(CTR, kw, 40, 25),
        base().with_description(text),
        base().with_layout(layout),
        base().with_plain_len(1),
        base().with_plain_md5([1; 16]),
        base().with_key_check([1; 16]),
        base().with_seal(seal(1)),
        base().with_seal(seal(2)),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(other, &base(), "{index}");
        assert!(others.iter().filter(|each| *each == other).count() == 1, "{index}");
    }
    let mut reversed = headers();
    reversed.reverse();
    assert_eq!(parse(reversed).unwrap().unwrap(), base());
}

#[test]
fn the_plaintext_length_may_follow_from_the_parts() {
    let layout = PartLayout::new(Vendor::Cos, 3 << 20, 1 << 20).unwrap();
    let envelope = cos_v2(CTR, WrapAlgorithm::AesKeyWrap, 40, 24);
    assert_eq!(envelope.plain_len(), None);
    assert_eq!(envelope.clone().with_plain_len(7).plain_len(), Some(7));
    let parts = envelope.with_layout(layout);
    assert_eq!(parts.plain_len(), Some(3 << 20));
    assert!(parts.clone().with_plain_len(3 << 20).emit(Dialect::COS_V2).is_ok());
    let outcome = parts.with_plain_len(7).emit(Dialect::COS_V2);
    assert_eq!(outcome, Err(EmitError::Contradiction));
}

#[test]
fn nothing_is_dropped_for_want_of_a_header() {
    let python = || {
        let (key, iv) = (vec![1; 32], vec![2; 16]);
        Envelope::new(Dialect::COS_V1, CTR, WrapAlgorithm::AesCtrZero, key, iv)
    };
    let text = MaterialDescription::new([("a", "1")]).unwrap();
    let layout = PartLayout::new(Vendor::Cos, 1 << 20, 1 << 20).unwrap();
    for (envelope, what) in [
        (python().with_description(text), "a material description"),
        (python().with_layout(layout), "part sizes"),
        (python().with_plain_len(1), "the plaintext length"),
        (python().with_plain_md5([1; 16]), "the plaintext MD5"),
    ] {
        let dialect = "cos-v1";
        let outcome = envelope.emit(Dialect::COS_V1);
        assert_eq!(outcome, Err(EmitError::NoPlace { dialect, what }));
    }
    assert!(python().with_key_check([1; 16]).emit(Dialect::COS_V1).is_ok());
    assert!(python().with_seal(seal(1)).emit(Dialect::COS_V1).is_ok());
}

#[test]
fn another_dialect_must_represent_the_same_values() {
    let kms = || cos_v2(CTR, WrapAlgorithm::KmsCustom, 100, 100);
    let names = |headers: Vec<(&'static str, String)>| -> Vec<&'static str> {
        headers.into_iter().map(|(name, _)| name).collect()
    };
    // In the order of the dialect that is written, not of that which was read.
    let mut reversed = kms().emit(Dialect::COS_V2).unwrap();
    reversed.reverse();
    let read = parse(reversed.clone()).unwrap().unwrap();
    assert_eq!(read.emit(Dialect::COS_V2).unwrap(), reversed);
    let written = names(read.emit(Dialect::OSS_V2).unwrap());
    let own: Vec<&str> = Dialect::OSS_V2.header_names().take(4).collect();
    assert_eq!(written, own);

    let refused = |envelope: Envelope, dialect| envelope.emit(dialect).unwrap_err();
    assert_eq!(refused(kms(), Dialect::OSS_V1), EmitError::IvForm("oss-v1"));
    let file = Dialect::COS_INSTRUCTION;
    assert_eq!(refused(kms(), file), EmitError::NotHeaders("cos-instruction"));
    let checked = || kms().with_key_check([1; 16]);
    assert!(checked().emit(Dialect::COS_V2).is_ok());
    assert_eq!(refused(checked(), Dialect::OSS_V2), EmitError::KeyCheck("oss-v2"));
    let sealed = || kms().with_seal(seal(1));
    assert!(sealed().emit(Dialect::COS_V2).is_ok());
    assert_eq!(refused(sealed(), Dialect::OSS_V2), EmitError::Seal("oss-v2"));
    let gcm = cos_v2(GCM, WrapAlgorithm::KmsCustom, 100, 100);
    assert_eq!(refused(gcm, Dialect::OSS_V2), EmitError::ContentAlgorithm("oss-v2", GCM));
    let tencent = WrapAlgorithm::KmsTencent;
    let other = cos_v2(CTR, tencent, 100, 100);
    assert_eq!(refused(other, Dialect::OSS_V2), EmitError::WrapAlgorithm("oss-v2", tencent));
}

#[test]
fn user_metadata_is_written_without_the_prefix() {
    let envelope = cos_v2(CTR, WrapAlgorithm::AesKeyWrap, 40, 24);
    let full = envelope.emit(Dialect::COS_V2).unwrap();
    let short = envelope.emit_user_metadata(Dialect::COS_V2).unwrap();
    let again: Vec<(String, String)> =
        short.iter().map(|(name, value)| (format!("x-cos-meta-{name}"), value.clone())).collect();
    assert_eq!(again, headers());
    assert_eq!(short.len(), full.len());
    let outcome = envelope.emit_user_metadata(Dialect::OSS_V1);
    assert_eq!(outcome, Err(EmitError::IvForm("oss-v1")));
}

#[test]
fn the_length_of_the_tag_is_written_for_gcm_only() {
    let tag = "x-cos-meta-x-cos-tag-len";
    let sent = |content| {
        let envelope = cos_v2(content, WrapAlgorithm::KmsTencent, 100, 100);
        envelope.emit(Dialect::COS_V2).unwrap()
    };
    let gcm = sent(GCM);
    assert_eq!(gcm.iter().find(|(name, _)| *name == tag).map(|(_, len)| len.as_str()), Some("128"));
    assert!(sent(CTR).iter().all(|(name, _)| *name != tag));
    // What another writer left out stays out.
    let without: Vec<_> = gcm.into_iter().filter(|(name, _)| *name != tag).collect();
    let read = parse(without.clone()).unwrap().unwrap();
    assert_eq!(read.emit(Dialect::COS_V2).unwrap(), without);
}

#[test]
fn a_size_that_was_unknown_stays_unknown() {
    // COS Java writes -1. A writer may also leave the header out.
    let parts = with("part-size", "1048576");
    let sizes = [parts.clone(), [parts, vec![(format!("{COS}data-size"), "-1".into())]].concat()];
    for headers in sizes {
        let read = parse(headers.clone()).unwrap().unwrap();
        let layout = read.layout().unwrap();
        assert_eq!((layout.data_size(), layout.part_size()), (None, 1 << 20));
        assert_eq!((layout.part_count(), read.plain_len()), (None, None));
        let again = read.emit(Dialect::COS_V2).unwrap().into_iter();
        let again: Vec<_> = again.map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(again, headers);
    }
    let alone = parse(with("data-size", "-1")).unwrap_err();
    assert!(alone.header().ends_with("part-size"), "{alone}");
}

#[test]
fn a_parse_error_names_the_header_and_the_reason() {
    let name = format!("{COS}unencrypted-content-length");
    for (text, fault) in [
        ("", NumberFault::Empty),
        ("00", NumberFault::LeadingZero),
        ("1 ", NumberFault::Character(1)),
        ("18446744073709551616", NumberFault::TooLarge),
    ] {
        let error = parse(with("unencrypted-content-length", text)).unwrap_err();
        assert_eq!((error.header(), error.reason()), (name.as_str(), &Reason::Number(fault)));
        assert_eq!(error.to_string(), format!("{name}: invalid decimal number: {fault}"));
        assert!(error.source().is_none());
    }
    for (text, fault) in [
        ("AA=A", Base64Fault::Character(2)),
        ("AAAAA", Base64Fault::Length(5)),
        ("AAF=", Base64Fault::TrailingBits(2)),
        ("AAE", Base64Fault::Padding),
    ] {
        let error = parse(with("unencrypted-content-md5", text)).unwrap_err();
        assert_eq!(error.reason(), &Reason::Base64(fault), "{text}");
    }
    let error = parse(with("matdesc", "[]")).unwrap_err();
    let source = error.source().unwrap();
    assert_eq!(source.downcast_ref(), Some(&DescriptionError::NotFlat(0)), "{source}");
}

#[test]
fn untrusted_text_is_cut_in_messages() {
    let said = |name: &str| {
        let key = "cek-alg";
        let mut headers = headers();
        let header = headers.iter_mut().find(|(name, _)| name.ends_with(key)).unwrap();
        name.clone_into(&mut header.1);
        parse(headers).unwrap_err().to_string()
    };
    let ending = |len: usize| format!(": \"{}\"", "x".repeat(len));
    assert!(said(&"x".repeat(48)).ends_with(&ending(48)));
    assert!(said(&"x".repeat(49)).ends_with(&format!(": \"{}…\"", "x".repeat(48))));
    assert!(said("a\"b'").ends_with(r#": "a\"b\'""#), "{}", said("a\"b'"));
}

#[test]
fn known_headers_have_a_limit_together() {
    let name = format!("{COS}matdesc");
    let others: usize = headers().iter().map(|(name, value)| name.len() + value.len()).sum();
    let room = 16 * 1024 - others - name.len();
    let reason = |len| parse(with("matdesc", &"x".repeat(len))).unwrap_err().reason().clone();
    assert_eq!(reason(room), Reason::Description(DescriptionError::TooLong(room)));
    assert_eq!(reason(room + 1), Reason::TooLarge { limit: 16 * 1024 });

    let none: [(&str, &str); 0] = [];
    let file = |len: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(len - 8));
    let reason = |len| parse_instruction(none, &file(len)).unwrap_err().reason().clone();
    assert_eq!(reason(16 * 1024), Reason::Missing("instruction file"));
    assert_eq!(reason(16 * 1024 + 1), Reason::TooLarge { limit: 16 * 1024 });
}

#[test]
fn an_instruction_file_and_its_object_make_one_envelope() {
    let mut seen = 0;
    for case in all_cases() {
        let Some(file) = case.instruction() else { continue };
        let headers = read_headers(case.headers().as_bytes()).unwrap();
        let envelope = parse_instruction(headers.clone(), &file).unwrap();
        assert_eq!(envelope.dialect(), Dialect::COS_INSTRUCTION, "{}", case.name());
        assert_eq!(envelope.iv().len(), envelope.content_algorithm().iv_len(), "{}", case.name());
        assert!(envelope.wrapped_key().len() > 32, "{}", case.name());
        let len = headers.iter().any(|(name, _)| name.ends_with("-content-length"));
        assert_eq!(envelope.plain_len(), len.then(|| case.len()), "{}", case.name());
        // The object itself says only that there may be such a file, or nothing at all.
        match parse(headers.clone()) {
            Ok(found) => assert_eq!(found, None, "{}", case.name()),
            Err(error) => assert_eq!(error.reason(), &Reason::PerhapsInstruction),
        }
        // Without one of its two parts, there is no key.
        for missing in ["x-cos-key-v2", "x-cos-iv"] {
            let file = file.replace(missing, "other");
            let error = parse_instruction(headers.clone(), &file).unwrap_err();
            assert_eq!(error.header(), missing, "{error}");
            assert_eq!(error.reason(), &Reason::Missing("instruction file"));
        }
        // An object with an envelope of its own needs no file.
        let key = [(format!("{COS}key").to_ascii_uppercase(), b"AAAA".to_vec())];
        let both = parse_instruction(headers.into_iter().chain(key), &file).unwrap_err();
        assert_eq!(both.reason(), &Reason::MixedDialects("cos-instruction"));
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn a_header_has_a_name() {
    for line in [":", ": b", ":a: b", " : b"] {
        let text = format!("a: b\n{line}\n");
        assert_eq!(read_headers(text.as_bytes()), Err(HeaderListError::Line(2)), "{line}");
    }
    assert_eq!(read_headers(b"a:"), Ok(vec![("a".to_owned(), Vec::new())]));
    for (status, good) in [(199, false), (200, true), (299, true), (300, false)] {
        let outcome = read_headers(format!("HTTP/1.1 {status} x\n").as_bytes());
        let refused = Err(HeaderListError::Status(status));
        assert_eq!(outcome, if good { Ok(Vec::new()) } else { refused });
    }
}

#[test]
fn a_lone_header_is_missed_in_the_default_dialect() {
    for vendor in Vendor::ALL {
        let check = format!("{}envelope-check", vendor.metadata_prefix());
        let error = parse([(check.as_str(), "AAAAAAAAAAAAAAAAAAAAAA==")]).unwrap_err();
        let key = vendor.default_dialect().header_names().next();
        assert_eq!(Some(error.header()), key, "{error}");
        assert!(matches!(error.reason(), Reason::Missing(there) if *there == check), "{error}");
    }
}

#[test]
fn a_length_under_two_names_is_a_length_twice() {
    let mut seen = 0;
    for case in all_cases() {
        let Some(file) = case.instruction() else { continue };
        let names = ["x-cos-meta-x-cos-", COS].map(|prefix| format!("{prefix}unencrypted-content"));
        for field in ["length", "md5"] {
            let headers = names.each_ref().map(|name| (format!("{name}-{field}"), "0"));
            let error = parse_instruction(headers, &file).unwrap_err();
            assert_eq!(error.reason(), &Reason::Duplicate, "{error}");
        }
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn an_envelope_says_what_it_was_told() {
    let envelope = cos_v2(CTR, WrapAlgorithm::AesKeyWrap, 40, 24);
    assert_eq!((envelope.plain_md5(), envelope.key_check()), (None, None));
    assert_eq!(envelope.seal(), None);
    let told = envelope.with_plain_md5([7; 16]).with_key_check([9; 16]).with_plain_len(5);
    let told = told.with_seal(seal(5));
    for envelope in [told.clone(), parse(told.emit(Dialect::COS_V2).unwrap()).unwrap().unwrap()] {
        assert_eq!(envelope.plain_md5(), Some([7; 16]));
        assert_eq!(envelope.key_check(), Some([9; 16]));
        assert_eq!(envelope.seal(), Some(seal(5)));
        assert_eq!((envelope.plain_len(), envelope.layout()), (Some(5), None));
        assert_eq!((envelope.wrapped_key(), envelope.iv()), (&[1; 40][..], &[2; 24][..]));
    }
}

/// AES-GCM authenticates its body on its own, and AES-CBC is not sealed.
#[test]
fn a_seal_has_a_digest_of_aes_ctr_only() {
    let full =
        Seal::new(SealTerms::new(SealedBody::Digest { len: 1, digest: [5; 32] }), [3; 8], [4; 32]);
    let object = |content| match content {
        GCM => cos_v2(GCM, WrapAlgorithm::KmsCustom, 100, 100),
        content => cos_v2(content, WrapAlgorithm::AesKeyWrap, 40, 24),
    };
    let text = object(CTR).with_seal(full).emit(Dialect::COS_V2).unwrap();
    let (name, text) = text.into_iter().find(|(name, _)| name.ends_with("-seal")).unwrap();
    for content in [CTR, GCM, CBC] {
        let of_metadata = object(content).with_seal(seal(1)).emit(Dialect::COS_V2);
        assert!(of_metadata.is_ok(), "{content}");
        let fault = SealFault::Content(content);
        let emitted = object(content).with_seal(full).emit(Dialect::COS_V2);
        let mut headers = object(content).emit(Dialect::COS_V2).unwrap();
        headers.push((name, text.clone()));
        let parsed = parse(headers);
        if content == CTR {
            assert!(emitted.is_ok() && parsed.unwrap().unwrap().seal() == Some(full));
        } else {
            assert_eq!(emitted, Err(EmitError::SealFault(fault)));
            assert_eq!(*parsed.unwrap_err().reason(), Reason::Seal(fault));
        }
    }
}
