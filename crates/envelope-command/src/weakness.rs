//! Descriptions of the weaknesses of an envelope.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use meta_codec::{ContentAlgorithm, Deviation, Dialect, Envelope, IvForm, WrapAlgorithm};

use crate::failure::warn;

/// A weakness, with a stable id for programs and a description for people.
pub(crate) struct Weakness {
    pub(crate) id: &'static str,
    pub(crate) words: String,
}

/// The weaknesses, with what there is to say about each.
const WORDS: [(&str, &str); 14] = [
    (
        "two-time-pad",
        "the master key wraps every object with the same keystream: anyone who knows the \
             content key of one object can decrypt every object under this master key; and a \
             wrong key is not detected",
    ),
    (
        "pkcs1v15",
        "PKCS#1 v1.5 padding: a service that decrypts untrusted input can be made to reveal \
             content keys",
    ),
    (
        "padding-unstated",
        "the metadata does not specify the RSA padding, so both OAEP-SHA-1 and PKCS#1 v1.5 \
             are tried",
    ),
    (
        "ctr-unauthenticated",
        "AES-CTR without authentication: anyone who can write to the bucket can flip any bit \
             of the plaintext unnoticed",
    ),
    (
        "cbc-unauthenticated",
        "AES-CBC without authentication is vulnerable to padding oracles, and COS Java cuts \
             the last block off multipart objects",
    ),
    (
        "gcm-relabel",
        "AES-GCM authenticates the body, but not the metadata: a reader that also accepts \
             AES-CTR can be given this body as CTR",
    ),
    (
        "plaintext-md5",
        "the MD5 of the plaintext is in the clear: a guess at the content can be confirmed, \
             and equal objects can be recognized",
    ),
    (
        "v1-mislabelled",
        "the metadata says AES/GCM, but the body is AES-CTR; SDKs other than oss2 return the \
             ciphertext as plaintext",
    ),
    (
        "relabelled",
        "the IV is in the clear: this may be an AES-GCM object that was relabelled, and then \
             modified",
    ),
    (
        "metadata-unauthenticated",
        "nothing binds the metadata to the key: sizes, description and IV can be changed \
             unnoticed",
    ),
    (
        "description-unreadable",
        "the material description is not a JSON object of strings: it does not say which master \
             key to use, and many SDKs refuse the object",
    ),
    (
        "content-unnamed",
        "the metadata does not name the content algorithm, and many SDKs refuse the object",
    ),
    (
        "wrap-name-case",
        "the name of the wrap algorithm is in another case, and many SDKs refuse the object",
    ),
    ("small-rsa", "an RSA key of fewer than 2048 bits can be broken; encrypt the object again"),
];

/// Returns what there is to say about a weakness.
pub(crate) fn words(id: &str) -> Option<&'static str> {
    WORDS.iter().find(|(known, _)| *known == id).map(|(_, words)| *words)
}

impl Weakness {
    fn known(id: &'static str) -> Self {
        Self { id, words: words(id).unwrap_or_default().to_owned() }
    }
}

/// Returns every known weakness of an object with this metadata, the worst first.
pub(crate) fn weaknesses(envelope: &Envelope) -> Vec<Weakness> {
    let mut found = Vec::new();
    let mut say = |id| found.push(Weakness::known(id));

    match envelope.wrap_algorithm() {
        WrapAlgorithm::AesCtrZero => say("two-time-pad"),
        WrapAlgorithm::RsaPkcs1v15 => say("pkcs1v15"),
        WrapAlgorithm::RsaUnstated => say("padding-unstated"),
        _ => {}
    }
    let wrapped = envelope.wrapped_key().len();
    if envelope.wrap_algorithm().is_rsa() && wrapped < 256 {
        let bits = wrapped.saturating_mul(8);
        let words = format!("a {bits}-bit RSA key can be broken; encrypt the object again");
        found.push(Weakness { words, ..Weakness::known("small-rsa") });
    }
    let mut say = |id| found.push(Weakness::known(id));
    match envelope.content_algorithm() {
        ContentAlgorithm::Aes256Ctr if envelope.is_authenticated() => {}
        ContentAlgorithm::Aes256Ctr => say("ctr-unauthenticated"),
        ContentAlgorithm::Aes256Cbc => say("cbc-unauthenticated"),
        ContentAlgorithm::Aes256Gcm if envelope.seal().is_none() => say("gcm-relabel"),
        _ => {}
    }
    if envelope.plain_md5().is_some() {
        say("plaintext-md5");
    }
    if envelope.dialect() == Dialect::OSS_V1 {
        say("v1-mislabelled");
    }
    if can_be_relabelled(envelope) {
        say("relabelled");
    }
    if !envelope.is_bound_to_key() {
        say("metadata-unauthenticated");
    }
    envelope.deviations().iter().for_each(|deviation| say(deviation.id()));
    found
}

/// The kinds of objects that the user was warned of.
#[derive(Default)]
pub(crate) struct WarnedKinds(Mutex<HashSet<Kind>>);

type Kind = (&'static str, WrapAlgorithm, ContentAlgorithm, Vec<Deviation>);

impl WarnedKinds {
    /// Warns of what the user should know of an object, once for each kind of object.
    pub(crate) fn warn_once(&self, envelope: &Envelope) {
        let kind = (
            envelope.dialect().id(),
            envelope.wrap_algorithm(),
            envelope.content_algorithm(),
            envelope.deviations().to_vec(),
        );
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(kind) {
            warn_before_reading(envelope);
        }
    }
}

/// Warns of everything that a reader should know before trusting the plaintext.
pub(crate) fn warn_before_reading(envelope: &Envelope) {
    if envelope.wrap_algorithm() == WrapAlgorithm::AesCtrZero && !envelope.is_bound_to_key() {
        warn(
            "the AES wrap of cos-v1 opens with any key: with the wrong one, the output is garbage; \
             check the plaintext before you discard the old metadata",
        );
    }
    for deviation in envelope.deviations() {
        warn(format_args!("{deviation}; encrypt the object again"));
    }
    if can_be_relabelled(envelope) {
        warn(format_args!(
            "{} keeps the IV in the clear, so this may be an AES-GCM object that was relabelled as \
             {} and then modified; use --require authenticated if your objects are AES-GCM",
            envelope.dialect(),
            envelope.content_algorithm()
        ));
    }
}

/// Warns of a content key of fewer than 256 bits, which shows only after it was unwrapped.
pub(crate) fn warn_of_short_key(bits: usize) {
    if bits < 256 {
        warn(format_args!("the content key has only {bits} bits; encrypt the object again"));
    }
}

/// Returns whether anyone who can write to the bucket could have made this metadata from that of an
/// authenticated object: where the IV is in the clear, it can be extended to the counter block of
/// CTR. Nobody can make a seal for it.
fn can_be_relabelled(envelope: &Envelope) -> bool {
    envelope.dialect().iv_form() == IvForm::Clear
        && !envelope.content_algorithm().is_authenticated()
        && envelope.seal().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_something_to_say_about_each() {
        let source = include_str!("weakness.rs");
        let calls = source.split("say(\"").skip(1).filter_map(|rest| rest.split('"').next());
        let mut said = 0;
        for id in calls.filter(|id| !id.is_empty() && !id.contains('\\')) {
            assert!(words(id).is_some(), "{id}");
            said += 1;
        }
        for deviation in Deviation::ALL {
            assert!(words(deviation.id()).is_some(), "{deviation}");
            said += 1;
        }
        assert_eq!(said + 1, WORDS.len(), "one of them is said by no envelope");
    }
}
