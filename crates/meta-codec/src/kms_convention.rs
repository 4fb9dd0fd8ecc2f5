//! Conventions of the key management services.

/// The conventions by which metadata carries what a key management service wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KmsConvention {
    /// The form of the service's blobs in a wrapped value.
    pub blob: BlobForm,
    /// The source of the encryption context that the service wants again at decryption.
    pub context: KmsContext,
}

/// The relation between the opaque text that a key management service returns, the blob, and the
/// bytes of a wrapped value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a new form must be answered for everywhere")]
pub enum BlobForm {
    /// The text is base64; the value is what it decodes to, or, from some writers, the text itself.
    Base64,
    /// The value is the text itself.
    Text,
}

/// The source of an encryption context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a new source must be answered for everywhere")]
pub enum KmsContext {
    /// The same for all objects, or none.
    Constant,
    /// The object's material description.
    Description,
}
