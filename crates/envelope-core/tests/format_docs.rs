//! The pages of `docs/format/` name every header, and their examples decrypt.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::PathBuf,
    sync::Arc,
};

use envelope_core::{
    AesKeyWrapper, Decryptor, KeyWrapper, Keyring, KmsKeyWrapper, Policy, RsaKeyWrapper,
    check_body_len, hazmat, kms::MemoryKms,
};
use envelope_testkit::folder;
use meta_codec::{
    Dialect, Envelope, IvForm, parse, parse_instruction,
    sse::{CosSse, CustomerKey, OssSse, Request, Scheme, SseHeaders, StoreCipher},
};
use serde_json::Value;

/// What a fenced block with an example begins and ends with.
const FENCE: (&str, &str) = ("```json example", "```");

/// What an example can consist of.
const MEMBERS: [&str; 8] =
    ["body", "cek", "headers", "instruction", "iv", "key", "kms", "plaintext"];

/// An example of an encrypted object, as its page shows it.
struct Example {
    place: String,
    facts: Value,
}

impl Example {
    fn text(&self, name: &str) -> Option<&str> {
        self.facts.get(name).map(|value| value.as_str().unwrap_or_else(|| panic!("{}", self.place)))
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let text = self.text(name)?;
        let pairs = (0..text.len()).step_by(2).map(|at| &text[at..at + 2]);
        let bytes = pairs.map(|pair| u8::from_str_radix(pair, 16)).collect::<Result<_, _>>();
        Some(bytes.unwrap_or_else(|_| panic!("{}: {name} is not hexadecimal", self.place)))
    }

    fn envelope(&self) -> Envelope {
        let headers = self.facts["headers"].as_object().expect("headers");
        let headers = headers.iter().map(|(name, value)| (name, value.as_str().expect("a text")));
        let found = match self.facts.get("instruction") {
            Some(file) => parse_instruction(headers, &file.to_string()).map(Some),
            None => parse(headers),
        };
        found.unwrap_or_else(|error| panic!("{}: {error}", self.place)).expect("encrypted")
    }

    /// Returns the master key: a file of this repository, or the answers of a KMS.
    fn master_key(&self, envelope: &Envelope) -> Arc<dyn KeyWrapper> {
        let Some(path) = self.text("key") else {
            let mut kms = MemoryKms::new(envelope.wrap_algorithm());
            for answer in self.facts["kms"].as_array().expect("a key or the answers of a KMS") {
                let field = |name: &str| answer[name].as_str();
                let (blob, plaintext) = (field("blob").unwrap(), field("plaintext").unwrap());
                kms = kms.with_answer(blob, plaintext, field("context"));
            }
            return Arc::new(KmsKeyWrapper::new(kms));
        };
        let path = folder("").join("..").join(path);
        let file = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        match AesKeyWrapper::read_text(&file) {
            Ok(aes) => Arc::new(aes),
            Err(_) => Arc::new(RsaKeyWrapper::read(&file, None).unwrap()),
        }
    }

    /// Checks that nothing in the example would be ignored: no member, and no header.
    fn check_names(&self, dialect: Dialect) {
        let place = &self.place;
        for name in self.facts.as_object().expect("an object").keys() {
            assert!(MEMBERS.contains(&name.as_str()), "{place}: {name}");
        }
        for list in ["headers", "instruction"] {
            let names = self.facts.get(list).and_then(Value::as_object).into_iter().flatten();
            for (name, _) in names {
                assert!(dialect.header_names().any(|known| known == name), "{place}: {name}");
            }
        }
    }

    /// Decrypts the example, and compares everything that it shows.
    fn check(&self) {
        let place = &self.place;
        let (envelope, body) = (self.envelope(), self.bytes("body").expect("a body"));
        self.check_names(envelope.dialect());
        let key = self.master_key(&envelope);
        let mut keyring = Keyring::new();
        keyring.push(Arc::clone(&key));

        check_body_len(&envelope, body.len() as u64).unwrap();
        let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
        let reader = decryptor.reader(&envelope, &body[..]);
        let mut reader = reader.unwrap_or_else(|error| panic!("{place}: {error}"));
        let mut plain = String::new();
        reader.read_to_string(&mut plain).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(Some(plain.as_str()), self.text("plaintext"), "{place}");

        let content_key = key.unwrap(&envelope).unwrap();
        if let Some(cek) = self.bytes("cek") {
            assert_eq!(hazmat::cek(&content_key)[..], cek, "{place}: the content key");
        }
        if let Some(iv) = self.bytes("iv") {
            let raw = hazmat::iv(&content_key, IvForm::Clear);
            assert_eq!(raw[..], iv, "{place}: the IV");
        }
    }
}

/// Returns the pages by name, without `.md`.
fn pages() -> BTreeMap<String, String> {
    pages_in("../docs/format")
}

fn pages_in(place: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder(place)).expect("a folder of pages");
    let paths = entries.map(|entry| entry.unwrap().path());
    let pages: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(is_md)).collect();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    pages.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn is_md(extension: &std::ffi::OsStr) -> bool {
    extension == "md"
}

fn examples(page: &str, text: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line != FENCE.0 {
            continue;
        }
        let place = format!("{page}.md:{}", at + 1);
        let mut block = String::new();
        loop {
            match lines.next() {
                Some((_, line)) if line == FENCE.1 => break,
                Some((_, line)) => block.extend([line, "\n"]),
                None => panic!("{place}: the block does not end"),
            }
        }
        let facts = serde_json::from_str(&block);
        let facts = facts.unwrap_or_else(|error| panic!("{place}: {error}"));
        examples.push(Example { place, facts });
    }
    examples
}

#[test]
fn every_example_decrypts() {
    for (page, text) in pages() {
        examples(&page, &text).iter().for_each(Example::check);
    }
}

#[test]
fn every_dialect_has_a_page_with_an_example() {
    let pages = pages();
    for dialect in Dialect::ALL {
        let text = pages.get(dialect.id()).unwrap_or_else(|| panic!("no page for {dialect}"));
        let examples = examples(dialect.id(), text);
        assert!(!examples.is_empty(), "no example of {dialect}");
        for example in &examples {
            assert_eq!(example.envelope().dialect(), dialect, "{}", example.place);
        }
    }
}

#[test]
fn every_header_is_on_the_page_of_its_dialect() {
    let pages = pages();
    for dialect in Dialect::ALL {
        for name in dialect.header_names() {
            let named = pages[dialect.id()].contains(&format!("`{name}`"));
            assert!(named, "{name} is not on the page of {dialect}");
        }
    }
}

/// Every name of a header that requests server-side encryption, in any request.
#[test]
fn every_header_of_server_side_encryption_is_on_its_page() {
    let key = || CustomerKey::new(&[7; 32]);
    let none = [("", ""); 0];
    let cos = [
        CosSse::managed(StoreCipher::Aes256),
        CosSse::kms(Some("key"), [("name", "value")]).unwrap(),
        CosSse::kms(None, none).unwrap(),
        CosSse::customer(key()),
    ];
    let oss = [
        OssSse::managed(StoreCipher::Sm4),
        OssSse::kms(Some("key"), StoreCipher::Sm4).unwrap(),
        OssSse::kms(None, StoreCipher::Aes256).unwrap(),
    ];
    let mut sent: Vec<SseHeaders> = vec![CosSse::copy_source(&key(), Scheme::Https).unwrap()];
    for request in [Request::Put, Request::Get, Request::UploadPart] {
        sent.extend(cos.iter().map(|sse| sse.headers(request, Scheme::Https).unwrap()));
        sent.extend(oss.iter().map(|sse| sse.headers(request)));
    }
    let names: BTreeSet<&str> =
        sent.iter().flat_map(SseHeaders::iter).map(|(name, _)| name).collect();
    assert_eq!(names.len(), 12);
    let page = &pages()["sse"];
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name} is not on the page sse.md");
    }
}

/// The pages in Chinese say the same as those in English, as far as that can be seen: they have the
/// same blocks, byte for byte, and as many headings and rows.
#[test]
fn the_translation_is_of_these_pages() {
    let (english, chinese) = (pages(), pages_in("../docs/zh/format"));
    assert!(english.keys().eq(chinese.keys()), "{:?}", chinese.keys());
    let seals =
        ["../docs/seal.md", "../docs/zh/seal.md"].map(|path| fs::read_to_string(folder(path)));
    let pairs = english.iter().map(|(page, text)| (page.as_str(), text, &chinese[page]));
    let [seal, translated] = seals.map(Result::unwrap);
    for (page, text, translated) in pairs.chain([("../seal", &seal, &translated)]) {
        let examples = |text: &str| -> Vec<_> {
            examples(page, text).into_iter().map(|example| example.facts).collect()
        };
        assert_eq!(examples(text), examples(translated), "{page}");
        let count =
            |text: &str, start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        for start in ["#", "|", "```"] {
            assert_eq!(count(text, start), count(translated, start), "{page}: {start}");
        }
    }
}
