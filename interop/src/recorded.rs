//! Objects that were recorded from SDKs, among them those that no registry has.

use std::{fs, path::PathBuf};

use envelope_testkit::{Outcome as Expected, all_cases, kms::LoopbackKms};
use meta_codec::Vendor;

/// A recorded object.
pub(crate) struct Recorded {
    /// The writer and the case, such as `cos-java/rsa-gcm-multipart`.
    pub(crate) name: String,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) instruction: Option<String>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) plain_sha256: String,
    pub(crate) plain_len: usize,
}

/// The name among the writers.
pub(crate) const NAME: &str = "recorded";

/// Returns the recorded objects of a vendor that the SDK itself wrote correctly, and makes their
/// KMS blobs known. Passphrases are a matter of key files, and are left out.
pub(crate) fn objects(vendor: Vendor, kms: &LoopbackKms) -> Result<Vec<Recorded>, String> {
    let mut objects = Vec::new();
    for case in all_cases() {
        let name = case.name();
        let is_ours = name.starts_with(vendor.id());
        let needs_passphrase = case.passphrase().is_some();
        if !is_ours || needs_passphrase || case.outcome() != Expected::Plain {
            continue;
        }
        if case.kms().is_some() {
            for answer in case.kms_answers() {
                let context = answer.context.as_deref().unwrap_or_default();
                kms.learn(&answer.blob, &answer.plaintext, context);
            }
        }
        let headers: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&case.headers()).map_err(|error| format!("{name}: {error}"))?;
        objects.push(Recorded {
            body: case.body(),
            headers: headers.into_iter().collect(),
            instruction: case.instruction(),
            key: case.key().map(|path| fs::canonicalize(&path).unwrap_or(path)),
            plain_sha256: case.plain_sha256(),
            plain_len: usize::try_from(case.len()).unwrap_or(usize::MAX),
            name,
        });
    }
    Ok(objects)
}
