//! Objects with a chosen IV, which no SDK writes on purpose: their counter overflows.

use envelope_core::{
    ContentAlgorithm, IvForm, KeyWrapper as _, RsaKeyWrapper, WrapAlgorithm, hazmat,
};
use meta_codec::{Dialect, Envelope, Vendor};

/// The name among the writers.
pub(crate) const NAME: &str = "chosen IV";

/// An object as a store keeps it.
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
}

/// The counters: the 64 bits and the 32 bits at the end overflow after four blocks.
const COUNTERS: [(&str, [u8; 16]); 2] = [
    ("low 32 bits overflow", *b"\x11\x22\x33\x44\x55\x66\x77\x88\0\0\0\0\xff\xff\xff\xfc"),
    ("low 64 bits overflow", *b"\x11\x22\x33\x44\x55\x66\x77\x88\xff\xff\xff\xff\xff\xff\xff\xfc"),
];

/// Returns whether a case is one whose lower half of the counter overflows, which many SDKs do not
/// expect when they seek.
pub(crate) fn overflows_64_bits(case: &str) -> bool {
    case.ends_with(COUNTERS[1].0)
}

/// Encrypts a plaintext under each counter, in each dialect of the vendor that the SDKs write.
pub(crate) fn objects(
    vendor: Vendor,
    key: &RsaKeyWrapper,
    plain: &[u8],
) -> Result<Vec<Stored>, String> {
    // Each dialect with the algorithm that it states, which `cos-v1` does not.
    let dialects = match vendor {
        Vendor::Oss => [
            (Dialect::OSS_V2, WrapAlgorithm::RsaPkcs1v15),
            (Dialect::OSS_V1, WrapAlgorithm::RsaOaepSha1),
        ],
        Vendor::Cos => [
            (Dialect::COS_V2, WrapAlgorithm::RsaOaepSha256),
            (Dialect::COS_V1, WrapAlgorithm::RsaUnstated),
        ],
    };
    let mut objects = Vec::new();
    for (dialect, wrap) in dialects {
        for (name, iv) in COUNTERS {
            objects.push(object(dialect, wrap, name, iv, key, plain)?);
        }
    }
    Ok(objects)
}

fn object(
    dialect: Dialect,
    wrap: WrapAlgorithm,
    name: &str,
    iv: [u8; 16],
    key: &RsaKeyWrapper,
    plain: &[u8],
) -> Result<Stored, String> {
    let words = |error: &dyn std::fmt::Display| format!("{}: {error}", dialect.id());
    let algorithm = ContentAlgorithm::Aes256Ctr;
    let form = dialect.iv_form();
    let content = hazmat::content_key(algorithm, IvForm::Clear, Some(&[7; 32]), Some(&iv))
        .map_err(|error| words(&error))?;
    let wrapped = key.wrap(&content, wrap, form).map_err(|error| words(&error))?;
    let envelope = Envelope::new(dialect, algorithm, wrap, wrapped.cek, wrapped.iv);
    let headers = envelope.emit(dialect).map_err(|error| words(&error))?;
    let mut body = plain.to_vec();
    let cipher = hazmat::ctr_cipher(&content).map_err(|error| words(&error))?;
    cipher.at(0).apply(&mut body);
    Ok(Stored {
        name: format!("{} {name}", dialect.id()),
        body,
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    })
}
