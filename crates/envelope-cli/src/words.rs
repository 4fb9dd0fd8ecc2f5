//! What is weak about an envelope, in words.

use crate::failure::warn;
use meta_codec::{ContentAlgorithm, Dialect, Envelope, WrapAlgorithm};

/// A weakness: a stable name for programs, and a line for people.
pub(crate) struct Weakness {
    pub(crate) id: &'static str,
    pub(crate) words: String,
}

/// Everything that is known to be weak about an object with this metadata, the worst first.
pub(crate) fn weaknesses(envelope: &Envelope) -> Vec<Weakness> {
    let mut found = Vec::new();
    let mut say = |id, words: &str| found.push(Weakness { id, words: words.to_owned() });

    match envelope.wrap_algorithm() {
        WrapAlgorithm::AesCtrZero => say(
            "two-time-pad",
            "the master key wraps every object with the same keystream: whoever knows one object's \
             content key can open all objects of this master key; and a wrong key is not noticed",
        ),
        WrapAlgorithm::RsaPkcs1v15 => say(
            "pkcs1v15",
            "PKCS#1 v1.5 padding: a service that decrypts what strangers send can be made to reveal \
             content keys",
        ),
        WrapAlgorithm::RsaUnstated => say(
            "padding-unstated",
            "the metadata does not say which RSA padding was used: both are tried, OAEP-SHA-1 and \
             PKCS#1 v1.5",
        ),
        _ => {}
    }
    let wrapped = envelope.wrapped_key().len();
    if envelope.wrap_algorithm().is_rsa() && wrapped < 256 {
        let bits = wrapped.saturating_mul(8);
        found.push(Weakness {
            id: "small-rsa",
            words: format!("a {bits}-bit RSA key, which can be broken; encrypt anew"),
        });
    }
    let mut say = |id, words: &str| found.push(Weakness { id, words: words.to_owned() });
    match envelope.content_algorithm() {
        ContentAlgorithm::Aes256Ctr => say(
            "ctr-unauthenticated",
            "AES-CTR without authentication: whoever can write to the bucket can flip any bit of the \
             plaintext, unseen",
        ),
        ContentAlgorithm::Aes256Cbc => say(
            "cbc-unauthenticated",
            "AES-CBC without authentication: open to padding oracles; and COS Java cuts the last block \
             off multipart objects",
        ),
        ContentAlgorithm::Aes256Gcm => say(
            "gcm-relabel",
            "AES-GCM is authentic, but its metadata is not: a reader that also takes AES-CTR can be \
             handed this body as CTR",
        ),
        _ => {}
    }
    if envelope.plain_md5().is_some() {
        say(
            "plaintext-md5",
            "the MD5 of the plaintext is in the clear: a guess of the content can be confirmed, and \
             equal objects are seen",
        );
    }
    if envelope.dialect() == Dialect::OSS_V1 {
        say(
            "v1-mislabelled",
            "the metadata says AES/GCM, but the body is AES-CTR; SDKs other than oss2 hand out the \
             ciphertext as plaintext",
        );
    }
    if envelope.key_check().is_none() {
        say(
            "metadata-unauthenticated",
            "nothing binds the metadata to the key: sizes, description and IV can be changed unseen",
        );
    }
    found
}

/// Warns where a wrong master key cannot be noticed.
pub(crate) fn warn_if_unverifiable(envelope: &Envelope) {
    if envelope.wrap_algorithm() == WrapAlgorithm::AesCtrZero && envelope.key_check().is_none() {
        warn(
            "the AES wrap of cos-v1 opens with any key: if this is not the right one, what comes out is \
             garbage; look at the plaintext before you give up the old metadata",
        );
    }
}
