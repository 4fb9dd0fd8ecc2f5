//! The envelope: what an object's metadata says, with the content key still wrapped.

use crate::{
    ContentAlgorithm, Dialect, MaterialDescription, PartLayout, WrapAlgorithm, dialect::Field,
};

/// What an object's metadata says about its encryption. Holds no secret; it may be printed.
///
/// Two envelopes are equal if they say the same. The order of the headers, which [`emit`](Self::emit)
/// keeps, does not count, because stores and proxies do not keep it.
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
    /// The order in which the headers were found; empty for an envelope that was not parsed.
    pub(crate) order: Vec<Field>,
}

impl Envelope {
    /// An envelope that is about to be written. `iv` is in the form that the dialect asks for.
    ///
    /// Whether the dialect can spell it is decided by [`emit`](Self::emit).
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
            order: Vec::new(),
        }
    }

    /// Says which master key wrapped the content key.
    #[must_use]
    pub fn with_description(mut self, description: MaterialDescription) -> Self {
        self.description = description;
        self
    }

    /// Says how a multipart upload is cut.
    #[must_use]
    pub const fn with_layout(mut self, layout: PartLayout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// Says how long the plaintext is, in bytes.
    #[must_use]
    pub const fn with_plain_len(mut self, len: u64) -> Self {
        self.plain_len = Some(len);
        self
    }

    /// Puts the MD5 of the *plaintext* into the metadata, in the clear.
    ///
    /// Whoever can read the metadata can then confirm a guess of the content (CVE-2022-2582).
    #[must_use]
    pub const fn with_plain_md5(mut self, digest: [u8; 16]) -> Self {
        self.plain_md5 = Some(digest);
        self
    }

    /// Adds the key check, an optional header of our own (`…-meta-envelope-check`) that binds the
    /// content key to everything else that the envelope says.
    #[must_use]
    pub const fn with_key_check(mut self, check: [u8; 16]) -> Self {
        self.key_check = Some(check);
        self
    }

    /// The dialect in which it was, or will be, written.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// How the object's bytes are encrypted.
    #[must_use]
    pub const fn content_algorithm(&self) -> ContentAlgorithm {
        self.content
    }

    /// How the content key is wrapped.
    #[must_use]
    pub const fn wrap_algorithm(&self) -> WrapAlgorithm {
        self.wrap
    }

    /// The wrapped CEK: the header's value, decoded once.
    #[must_use]
    pub fn wrapped_key(&self) -> &[u8] {
        &self.wrapped_key
    }

    /// The IV, wrapped or clear as [`Dialect::iv_form`] says: the header's value, decoded once.
    #[must_use]
    pub fn iv(&self) -> &[u8] {
        &self.iv
    }

    /// Which master key wrapped the content key; empty where the object does not say.
    #[must_use]
    pub const fn description(&self) -> &MaterialDescription {
        &self.description
    }

    /// How the multipart upload was cut.
    #[must_use]
    pub const fn layout(&self) -> Option<PartLayout> {
        self.layout
    }

    /// How many bytes of plaintext there should be, from `unencrypted-content-length` or else
    /// `data-size`. The two are never in contradiction.
    #[must_use]
    pub fn plain_len(&self) -> Option<u64> {
        self.plain_len.or_else(|| self.layout.and_then(|layout| layout.data_size()))
    }

    /// The MD5 of the plaintext, where the metadata gives it away.
    #[must_use]
    pub const fn plain_md5(&self) -> Option<[u8; 16]> {
        self.plain_md5
    }

    /// The key check, where the writer was one of ours and was asked for it.
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
            order: _,
        } = other;
        (self.dialect, self.content, self.wrap) == (*dialect, *content, *wrap)
            && (&self.wrapped_key, &self.iv) == (wrapped_key, iv)
            && self.description == *description
            && (self.layout, self.plain_len) == (*layout, *plain_len)
            && (self.plain_md5, self.key_check) == (*plain_md5, *key_check)
    }
}

impl Eq for Envelope {}
