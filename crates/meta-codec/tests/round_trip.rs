//! Parsing and emitting are inverses of each other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "panics fail the test")]

use envelope_testkit::all_cases;
use meta_codec::{
    ContentAlgorithm, Dialect, EmitError, Envelope, MaterialDescription, PartLayout, Seal,
    SealTerms, SealedBody, Vendor, WrapAlgorithm, parse, read_headers,
};
use proptest::{prelude::*, sample::select};

#[test]
fn recorded_headers_come_out_as_they_went_in() {
    let mut seen = 0;
    for case in all_cases() {
        if case.instruction().is_some() {
            continue;
        }
        let headers = read_headers(case.headers().as_bytes()).unwrap();
        let envelope = parse(headers.clone()).unwrap().unwrap();
        let ours: Vec<(String, Vec<u8>)> = headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .filter(|(name, _)| !name.ends_with("-meta-user"))
            .collect();
        let emitted = envelope.emit(envelope.dialect()).unwrap();
        let emitted: Vec<(String, Vec<u8>)> = emitted
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into_bytes()))
            .collect();
        assert_eq!(emitted, ours, "{}", case.name());
        seen += 1;
    }
    assert!(seen >= 65, "{seen}");
}

#[test]
fn names_are_taken_in_any_case() {
    for case in all_cases().into_iter().filter(|case| case.instruction().is_none()) {
        let headers = read_headers(case.headers().as_bytes()).unwrap();
        let plain = parse(headers.clone()).unwrap();
        let upper = headers.into_iter().map(|(name, value)| (name.to_ascii_uppercase(), value));
        assert_eq!(parse(upper).unwrap(), plain, "{}", case.name());
    }
}

#[test]
fn the_budget_of_each_vendor() {
    // The four mandatory headers of cos-v2 with RSA take 901, 1237 or 1581 bytes (cos-dialects,
    // section 2).
    for (modulus, size) in [(256, 901), (384, 1237), (512, 1581)] {
        let envelope = Envelope::new(
            Dialect::COS_V2,
            ContentAlgorithm::Aes256Ctr,
            WrapAlgorithm::RsaOaepSha256,
            vec![1; modulus],
            vec![2; modulus],
        );
        let headers = envelope.emit(Dialect::COS_V2).unwrap();
        let total: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert_eq!(total, size);
        let room =
            2048 - size - "x-cos-meta-client-side-encryption-matdesc".len() - r#"{"a":""}"#.len();
        for (len, fits) in [(room, true), (room + 1, false)] {
            let description = MaterialDescription::new([("a", "x".repeat(len))]).unwrap();
            let outcome = envelope.clone().with_description(description).emit(Dialect::COS_V2);
            let refused = Err(EmitError::HeaderBudget { size: 2049, limit: 2048 });
            assert!(if fits { outcome.is_ok() } else { outcome == refused });
        }
    }
    assert_eq!((Vendor::Oss.header_budget(), Vendor::Cos.header_budget()), (8192, 2048));
}

fn description() -> impl Strategy<Value = MaterialDescription> {
    prop::collection::btree_map("[a-z]{0,6}", "\\PC{0,12}", 0..4)
        .prop_map(|map| MaterialDescription::new(map).unwrap())
}

prop_compose! {
    fn seal()(
        body in prop_oneof![
            Just(SealedBody::Unknown),
            any::<u64>().prop_map(SealedBody::Length),
            any::<(u64, [u8; 32])>().prop_map(|(len, digest)| SealedBody::Digest { len, digest }),
        ],
        (name_bound, adopted, origin) in any::<(bool, bool, bool)>(),
        (confirmation, tag) in any::<([u8; 8], [u8; 32])>(),
    ) -> Seal {
        let mut terms = SealTerms::new(body);
        (terms.name_bound, terms.adopted, terms.origin) = (name_bound, adopted, origin);
        Seal::new(terms, confirmation, tag)
    }
}

prop_compose! {
    /// Arbitrary envelopes, most of which no dialect can represent.
    fn envelope()(
        dialect in select(Dialect::ALL.to_vec()),
        wrap in select(WrapAlgorithm::ALL.to_vec()),
        content in select(vec![
            ContentAlgorithm::Aes256Cbc, ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm,
        ]),
        key in select(vec![0_usize, 16, 32, 40, 48, 127, 128, 256, 512, 1024, 1025, 6144, 6145]),
        iv in select(vec![0_usize, 12, 16, 20, 24, 128, 256, 512, 1024, 6144]),
        description in description(),
        layout in prop::option::of((0_u64..1 << 40, select(vec![102_400_u64, 1 << 20, 1 << 30]))),
        len in prop::option::of(any::<u64>()),
        md5 in prop::option::of(any::<[u8; 16]>()),
        check in prop::option::of(any::<[u8; 16]>()),
        seal in prop::option::of(seal()),
    ) -> Envelope {
        let mut envelope = Envelope::new(dialect, content, wrap, vec![1; key], vec![2; iv])
            .with_description(description);
        if let Some(layout) = layout
            .and_then(|(size, part)| PartLayout::new(dialect.vendor(), size, part).ok())
        {
            envelope = envelope.with_layout(layout);
        }
        if let Some(len) = len { envelope = envelope.with_plain_len(len); }
        if let Some(md5) = md5 { envelope = envelope.with_plain_md5(md5); }
        if let Some(check) = check { envelope = envelope.with_key_check(check); }
        if let Some(seal) = seal { envelope = envelope.with_seal(seal); }
        envelope
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Emitted headers parse as the same envelope, so `emit` rejects whatever `parse` would reject.
    #[test]
    fn emitted_is_parsed(envelope in envelope()) {
        if let Ok(headers) = envelope.emit(envelope.dialect()) {
            let size: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(size <= envelope.dialect().vendor().header_budget());
            for (_, value) in &headers {
                prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
            let read = parse(headers.clone()).unwrap().unwrap();
            prop_assert_eq!(read.dialect(), envelope.dialect());
            prop_assert_eq!(read.wrapped_key(), envelope.wrapped_key());
            prop_assert_eq!(read.iv(), envelope.iv());
            prop_assert_eq!(read.wrap_algorithm(), envelope.wrap_algorithm());
            prop_assert_eq!(read.content_algorithm(), envelope.content_algorithm());
            prop_assert_eq!(read.description(), envelope.description());
            prop_assert_eq!(read.layout(), envelope.layout());
            prop_assert_eq!(read.plain_len(), envelope.plain_len());
            prop_assert_eq!(read.plain_md5(), envelope.plain_md5());
            prop_assert_eq!(read.key_check(), envelope.key_check());
            prop_assert_eq!(read.seal(), envelope.seal());
            prop_assert_eq!(read.emit(read.dialect()).unwrap(), headers);
        }
    }

    /// No input makes the parser panic, and every accepted envelope survives a round trip.
    #[test]
    fn any_headers(
        picks in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), ".{0,20}"),
            0..8,
        ),
    ) {
        let cases = all_headers();
        let mut headers = Vec::new();
        for (name, value, text) in picks {
            let name = name.get(cases).0.clone();
            let value =
                if text.len() < 4 { value.get(cases).1.clone() } else { text.into_bytes() };
            headers.push((name, value));
        }
        if let Ok(Some(envelope)) = parse(headers) {
            let again = envelope.emit(envelope.dialect()).unwrap();
            prop_assert_eq!(parse(again).unwrap().unwrap(), envelope);
        }
    }
}

fn all_headers() -> &'static Vec<(String, Vec<u8>)> {
    static HEADERS: std::sync::OnceLock<Vec<(String, Vec<u8>)>> = std::sync::OnceLock::new();
    HEADERS.get_or_init(|| {
        all_cases()
            .iter()
            .flat_map(|case| read_headers(case.headers().as_bytes()).unwrap())
            .collect()
    })
}
