//! Conventions of the key management services.

/// The conventions for storing a content key wrapped by a key management service.
///
/// ```
/// use meta_codec::{BlobForm, KmsContext, WrapAlgorithm};
///
/// let tencent = WrapAlgorithm::KmsTencent.kms().expect("a KMS wraps");
/// assert_eq!(tencent.context, KmsContext::Description);
/// assert!(WrapAlgorithm::AesKeyWrap.kms().is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KmsConvention {
    /// The form of the service's blobs in a wrapped value.
    pub blob: BlobForm,
    /// The source of the encryption context that the service requires for decryption.
    pub context: KmsContext,
}

/// The relation between the blob, which is the opaque text that a key management service returns,
/// and the bytes of a wrapped value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a new form must be handled everywhere")]
pub enum BlobForm {
    /// The blob is base64, and the value is its decoding or, from some writers, the text itself.
    Base64,
    /// The value is the blob's text itself.
    Text,
}

/// The source of an encryption context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a new source must be handled everywhere")]
pub enum KmsContext {
    /// The same context for all objects, or none.
    Constant,
    /// The object's material description.
    Description,
}
