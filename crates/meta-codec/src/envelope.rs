//! The encryption metadata of an object, with the content key still wrapped.

use crate::{
    ContentAlgorithm, Deviation, Dialect, MaterialDescription, ParseError, PartLayout, Seal,
    WrapAlgorithm, dialect::Field,
};

/// The encryption metadata of an object. It holds no secrets and may be printed.
///
/// Equality ignores the order of the headers, which [`emit`](Self::emit) preserves but stores and
/// proxies do not.
///
/// ```
/// use meta_codec::{ContentAlgorithm, Dialect, Envelope, WrapAlgorithm, parse};
///
/// let (content, wrap) = (ContentAlgorithm::Aes256Ctr, WrapAlgorithm::AesKeyWrap);
/// let envelope = Envelope::new(Dialect::COS_V2, content, wrap, vec![1; 40], vec![2; 24])
///     .with_plain_len(1000);
/// let headers = envelope.emit(Dialect::COS_V2)?;
/// assert_eq!(parse(headers)?, Some(envelope));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Envelope {
    pub(crate) dialect: Dialect,
    pub(crate) content: ContentAlgorithm,
    pub(crate) wrap: WrapAlgorithm,
    pub(crate) wrapped_key: Vec<u8>,
    pub(crate) iv: Vec<u8>,
    pub(crate) description: MaterialDescription,
    pub(crate) layout: Option<PartLayout>,
    pub(crate) plain_len: Option<u64>,
    pub(crate) plain_md5: Option<[u8; 16]>,
    pub(crate) key_check: Option<[u8; 16]>,
    pub(crate) seal: Option<Seal>,
    /// What a strict reader refuses the headers for; empty for a new envelope.
    pub(crate) deviations: Vec<Deviation>,
    pub(crate) refusal: Option<ParseError>,
    /// The order in which the headers were parsed; empty for a new envelope.
    pub(crate) order: Vec<Field>,
}

impl Envelope {
    /// Creates an envelope to be emitted. `iv` must be in the dialect's [`IvForm`](crate::IvForm).
    ///
    /// [`emit`](Self::emit) checks that the dialect can represent it.
    #[must_use]
    pub fn new(
        dialect: Dialect,
        content: ContentAlgorithm,
        wrap: WrapAlgorithm,
        wrapped_key: Vec<u8>,
        iv: Vec<u8>,
    ) -> Self {
        Self {
            dialect,
            content,
            wrap,
            wrapped_key,
            iv,
            description: MaterialDescription::default(),
            layout: None,
            plain_len: None,
            plain_md5: None,
            key_check: None,
            seal: None,
            deviations: Vec::new(),
            refusal: None,
            order: Vec::new(),
        }
    }

    /// Sets the material description, which identifies the master key.
    #[must_use]
    pub fn with_description(mut self, description: MaterialDescription) -> Self {
        self.description = description;
        self
    }

    /// Sets the part layout of a multipart upload.
    #[must_use]
    pub const fn with_layout(mut self, layout: PartLayout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// Sets the length of the plaintext, in bytes.
    #[must_use]
    pub const fn with_plain_len(mut self, len: u64) -> Self {
        self.plain_len = Some(len);
        self
    }

    /// Sets the MD5 of the *plaintext*, which is stored in the clear.
    ///
    /// Anyone who can read the metadata can then confirm a guess of the content (CVE-2022-2582).
    #[must_use]
    pub const fn with_plain_md5(mut self, digest: [u8; 16]) -> Self {
        self.plain_md5 = Some(digest);
        self
    }

    /// Sets the key check, an optional extension header (`…-meta-envelope-check`) that binds the
    /// content key to everything else in the envelope.
    #[must_use]
    pub const fn with_key_check(mut self, check: [u8; 16]) -> Self {
        self.key_check = Some(check);
        self
    }

    /// Sets the seal, an optional extension header (`…-meta-envelope-seal`) that lets a reader
    /// notice changes of the envelope and of the body.
    #[must_use]
    pub const fn with_seal(mut self, seal: Seal) -> Self {
        self.seal = Some(seal);
        self
    }

    /// Returns the dialect of the envelope.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns the algorithm that encrypts the object's bytes.
    #[must_use]
    pub const fn content_algorithm(&self) -> ContentAlgorithm {
        self.content
    }

    /// Returns the algorithm that wraps the content key.
    #[must_use]
    pub const fn wrap_algorithm(&self) -> WrapAlgorithm {
        self.wrap
    }

    /// Returns the wrapped CEK, which is the base64-decoded header value.
    #[must_use]
    pub fn wrapped_key(&self) -> &[u8] {
        &self.wrapped_key
    }

    /// Returns the base64-decoded header value of the IV, wrapped or clear according to
    /// [`Dialect::iv_form`].
    #[must_use]
    pub fn iv(&self) -> &[u8] {
        &self.iv
    }

    /// Returns the material description, which is empty if the object has none.
    #[must_use]
    pub const fn description(&self) -> &MaterialDescription {
        &self.description
    }

    /// Returns the part layout of a multipart upload.
    #[must_use]
    pub const fn layout(&self) -> Option<PartLayout> {
        self.layout
    }

    /// Returns the expected plaintext length in bytes, from `unencrypted-content-length` or else
    /// `data-size`. If both are present, they agree.
    #[must_use]
    pub fn plain_len(&self) -> Option<u64> {
        self.plain_len.or_else(|| self.layout.and_then(|layout| layout.data_size()))
    }

    /// Returns the MD5 of the plaintext, if the metadata discloses it.
    #[must_use]
    pub const fn plain_md5(&self) -> Option<[u8; 16]> {
        self.plain_md5
    }

    /// Returns the seal, which only this library writes. It proves nothing until it was verified
    /// with the content key.
    #[must_use]
    pub const fn seal(&self) -> Option<Seal> {
        self.seal
    }

    /// Returns whether a reader that verifies everything notices every change of the body, if all
    /// of it is read: AES-GCM does, and so does a seal that covers the body.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.content.is_authenticated() || self.seal.is_some_and(|seal| seal.is_full())
    }

    /// Returns whether the metadata is bound to the content key, by the key check or by the seal.
    #[must_use]
    pub const fn is_bound_to_key(&self) -> bool {
        self.key_check.is_some() || self.seal.is_some()
    }

    /// Returns whether the seal is bound to the name of the object, so that a copy under another
    /// name is refused.
    #[must_use]
    pub fn is_bound_to_name(&self) -> bool {
        self.seal.is_some_and(|seal| seal.terms().name_bound)
    }

    /// Returns the deviations from the dialect, which only [`parse_tolerant`] lets pass.
    ///
    /// [`parse_tolerant`]: crate::parse_tolerant
    #[must_use]
    pub fn deviations(&self) -> &[Deviation] {
        &self.deviations
    }

    /// Returns the error with which [`parse`](crate::parse) refuses the headers, because they
    /// [deviate](Self::deviations) from their dialect.
    #[must_use]
    pub const fn refusal(&self) -> Option<&ParseError> {
        self.refusal.as_ref()
    }

    /// Returns the key check, which only this library writes, and only on request.
    #[must_use]
    pub const fn key_check(&self) -> Option<[u8; 16]> {
        self.key_check
    }
}

impl PartialEq for Envelope {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            dialect,
            content,
            wrap,
            wrapped_key,
            iv,
            description,
            layout,
            plain_len,
            plain_md5,
            key_check,
            seal,
            deviations,
            refusal: _,
            order: _,
        } = other;
        (self.dialect, self.content, self.wrap) == (*dialect, *content, *wrap)
            && (&self.wrapped_key, &self.iv) == (wrapped_key, iv)
            && (&self.description, &self.deviations) == (description, deviations)
            && (self.layout, self.plain_len) == (*layout, *plain_len)
            && (self.plain_md5, self.key_check, self.seal) == (*plain_md5, *key_check, *seal)
    }
}

impl Eq for Envelope {}
