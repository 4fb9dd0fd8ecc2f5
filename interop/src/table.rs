//! The comparison of what readers did with what `meta-codec` says that they do.

use std::collections::BTreeMap;

use meta_codec::{Dialect, Envelope, Reach, Reader, Vendor, WrapAlgorithm};

use crate::{crafted, outcome::Outcome, results::ReadKind};

/// The reader in the table of `meta-codec`, if it has this version of the SDK.
pub(crate) fn reader(sdk: &str, version: &str) -> Option<Reader> {
    Reader::ALL
        .into_iter()
        .find(|reader| reader.sdk() == sdk && reader.versions().contains(&version))
}

/// Returns what the table says wrongly about an object.
pub(crate) fn mistake(
    reader: Reader,
    envelope: &Envelope,
    case: &str,
    is_empty: bool,
    reads: &BTreeMap<ReadKind, Outcome>,
) -> Option<String> {
    let is_unpredictable = UNPREDICTABLE.iter().any(|(name, _)| case.starts_with(name))
        // Which context was given to the KMS is not in the metadata.
        || envelope.wrap_algorithm() == WrapAlgorithm::KmsTencent
            && envelope.description().is_empty()
        // It looks for the length under one of the two names that there are.
        || reader.id() == "hadoop-cos" && envelope.dialect() == Dialect::COS_INSTRUCTION;
    if is_unpredictable {
        return None;
    }
    let works = |kind: &str| reads.get(kind).map(|outcome| *outcome == Outcome::Works);
    let reach = reader.reach(envelope);
    let mut mistakes = Vec::new();
    // Who returns the ciphertext is right about an empty object.
    let is_luck = is_empty && reach.is_none();
    if !is_luck && works("whole").is_some_and(|works| works != reach.is_some()) {
        mistakes.push("whole");
    }
    let (has_ranges, is_overflow) =
        (reach == Some(Reach::Ranges), crafted::overflows_64_bits(case));
    let is_judged = reach.is_some() && !is_overflow;
    if is_judged && works("100-199").is_some_and(|works| works != has_ranges) {
        mistakes.push("100-199");
    }
    let vendor: Vendor = envelope.dialect().vendor();
    (!mistakes.is_empty()).then(|| {
        format!(
            "meta-codec's table says {reach:?} for {} ({}) and {} {case}; wrong: {}",
            reader.id(),
            vendor.id(),
            envelope.dialect(),
            mistakes.join(", ")
        )
    })
}

/// Recorded objects of which the metadata do not say why an SDK cannot read them.
const UNPREDICTABLE: [(&str, &str); 2] = [
    ("cos-java/rsa-ctr-bouncycastle", "the metadata do not say which hash MGF1 uses"),
    ("cos-python/rsa-pkcs1-", "the metadata do not say which padding RSA uses"),
];
