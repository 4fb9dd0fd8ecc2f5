//! Deviations: refused by [`parse`], recorded by [`parse_tolerant`], and only where an SDK reads
//! past them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use meta_codec::{
    ContentAlgorithm, Deviation, Dialect, EmitError, Envelope, WrapAlgorithm, parse, parse_tolerant,
};

type Headers = Vec<(String, String)>;

fn headers(dialect: Dialect, wrap: WrapAlgorithm) -> Headers {
    let content = ContentAlgorithm::Aes256Ctr;
    let envelope = Envelope::new(dialect, content, wrap, vec![7; 256], vec![8; 256]);
    let headers = envelope.emit(dialect).unwrap();
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn oss() -> Headers {
    headers(Dialect::OSS_V2, WrapAlgorithm::RsaPkcs1v15)
}

fn with(mut headers: Headers, end: &str, value: &str) -> Headers {
    let prefix = headers[0].0.strip_suffix("key").unwrap().to_owned();
    headers.retain(|(name, _)| !name.ends_with(end));
    headers.push((prefix + end, value.to_owned()));
    headers
}

fn without(mut headers: Headers, end: &str) -> Headers {
    headers.retain(|(name, _)| !name.ends_with(end));
    headers
}

/// Asserts that a strict reader refuses the headers, and what a tolerant one finds in them.
fn deviates(headers: Headers, want: &[Deviation]) -> Envelope {
    let refusal = parse(headers.clone()).unwrap_err();
    let envelope = parse_tolerant(headers).unwrap().unwrap();
    assert_eq!(envelope.refusal(), Some(&refusal));
    assert_eq!(envelope.deviations(), want);
    assert_eq!(envelope.emit(envelope.dialect()), Err(EmitError::Deviates(want[0])));
    envelope
}

fn is_refused(headers: Headers) {
    let strict = parse(headers.clone()).unwrap_err();
    assert_eq!(parse_tolerant(headers).unwrap_err(), strict);
}

#[test]
fn headers_that_follow_the_dialect_deviate_in_nothing() {
    let strict = parse(oss()).unwrap().unwrap();
    assert_eq!(parse_tolerant(oss()), Ok(Some(strict.clone())));
    assert!(strict.deviations().is_empty());
    assert_eq!(parse_tolerant([("x-oss-meta-owner", "photos")]), Ok(None));
}

#[test]
fn a_description_that_is_none_identifies_nothing() {
    for text in
        ["", "null", "[]", "e30=", "eyJhIjoiYiJ9", r#"{"a":1}"#, r#"{"a":"b","a":"c"}"#, "{\"a\""]
    {
        let envelope = deviates(with(oss(), "matdesc", text), &[Deviation::DescriptionUnreadable]);
        assert!(envelope.description().is_empty());
        assert_eq!(envelope.description().text(), text);
    }
    // A limit is no question of form.
    is_refused(with(oss(), "matdesc", &"x".repeat(5000)));
    is_refused(with(oss(), "matdesc", "a\u{1}b"));
}

#[test]
fn the_only_content_algorithm_need_not_be_named() {
    let envelope = deviates(without(oss(), "cek-alg"), &[Deviation::ContentUnnamed]);
    assert_eq!(envelope.content_algorithm(), ContentAlgorithm::Aes256Ctr);
    // Another name is another algorithm.
    for name in ["", "AES/GCM/NoPadding", "aes/ctr/nopadding", "AES/CTR/NoPadding "] {
        is_refused(with(oss(), "cek-alg", name));
    }
}

#[test]
fn the_name_of_the_wrap_may_be_in_another_case() {
    let envelope =
        deviates(with(oss(), "wrap-alg", "rsa/none/pkcs1padding"), &[Deviation::WrapNameCase]);
    assert_eq!(envelope.wrap_algorithm(), WrapAlgorithm::RsaPkcs1v15);
    is_refused(with(oss(), "wrap-alg", "rsa/none/pkcs1padding "));
    is_refused(without(oss(), "wrap-alg"));
}

#[test]
fn several_deviations_are_all_recorded() {
    let headers = with(without(oss(), "cek-alg"), "matdesc", "");
    let both = [Deviation::ContentUnnamed, Deviation::DescriptionUnreadable];
    let envelope = deviates(headers, &both);
    assert_ne!(Some(envelope), parse(oss()).unwrap());
}

#[test]
fn nothing_is_tolerated_where_no_sdk_tolerates_it() {
    let cos = || headers(Dialect::COS_V2, WrapAlgorithm::RsaOaepSha256);
    is_refused(with(cos(), "matdesc", "null"));
    is_refused(without(cos(), "cek-alg"));
    is_refused(with(cos(), "wrap-alg", "rsa/ecb/oaepwithsha-256andmgf1padding"));
}

#[test]
fn what_we_have_bound_to_the_key_does_not_deviate() {
    let content = ContentAlgorithm::Aes256Ctr;
    let (dialect, wrap) = (Dialect::OSS_V2, WrapAlgorithm::RsaPkcs1v15);
    let envelope = Envelope::new(dialect, content, wrap, vec![7; 256], vec![8; 256]);
    let checked = envelope.with_key_check([1; 16]).emit(dialect).unwrap();
    let checked = checked.into_iter().map(|(name, value)| (name.to_owned(), value));
    let checked: Headers = checked.collect();
    assert!(parse(checked.clone()).is_ok());
    is_refused(without(checked.clone(), "cek-alg"));
    is_refused(with(checked.clone(), "matdesc", "null"));
    is_refused(with(checked, "wrap-alg", "rsa/none/pkcs1padding"));
}
