//! Emits an envelope as headers.

use crate::{
    ContentAlgorithm, Deviation, Dialect, Envelope, IvForm, WrapAlgorithm,
    dialect::{Field, Row},
    encoding,
    seal::SealFault,
};

impl Envelope {
    /// Returns the headers of this envelope in `dialect`, with lower-case names. They are in the
    /// order in which they were parsed, or otherwise in the dialect's own order.
    ///
    /// `dialect` may differ from the envelope's own if both represent the wrapped values
    /// identically; the wrapped values themselves never change.
    ///
    /// # Errors
    /// Fails if the dialect cannot represent the envelope, or if the names and values exceed the
    /// size that the vendor stores ([`Vendor::header_budget`](crate::Vendor::header_budget)). Other
    /// metadata of the object counts towards the same budget and is the caller's responsibility.
    pub fn emit(&self, dialect: Dialect) -> Result<Vec<(&'static str, String)>, EmitError> {
        self.check(dialect)?;
        let table = dialect.table();
        let parsed = dialect == self.dialect && !self.order.is_empty();
        let order = if parsed { self.order.as_slice() } else { &[] };
        let rest = table.fields.iter().map(|(field, _)| *field).filter(|field| {
            // A tag length that was absent when parsed stays absent; a new envelope gets one.
            !(order.contains(field) || parsed && *field == Field::TagLen)
        });

        let mut headers = Vec::with_capacity(table.fields.len());
        for field in order.iter().copied().chain(rest) {
            if let (Some(name), Some(value)) = (table.header(field), self.value(dialect, field)) {
                headers.push((name, value));
            }
        }

        let size = headers.iter().fold(0_usize, |sum, (name, value)| {
            sum.saturating_add(name.len()).saturating_add(value.len())
        });
        let limit = dialect.vendor().header_budget();
        if size > limit {
            return Err(EmitError::HeaderBudget { size, limit });
        }
        Ok(headers)
    }

    /// Returns the headers from [`emit`](Self::emit) without the vendor's prefix in their names.
    ///
    /// This is for storage libraries that add the prefix to user metadata themselves (see
    /// [`Vendor::metadata_prefix`](crate::Vendor::metadata_prefix)).
    ///
    /// # Errors
    /// Fails like [`emit`](Self::emit).
    pub fn emit_user_metadata(
        &self,
        dialect: Dialect,
    ) -> Result<Vec<(&'static str, String)>, EmitError> {
        let prefix = dialect.vendor().metadata_prefix();
        let headers = self.emit(dialect)?.into_iter();
        Ok(headers
            .map(|(name, value)| (name.strip_prefix(prefix).unwrap_or(name), value))
            .collect())
    }

    /// Rejects anything that the dialect has no header for, or that `parse` would reject.
    fn check(&self, dialect: Dialect) -> Result<(), EmitError> {
        let table = dialect.table();
        if !table.in_headers {
            return Err(EmitError::NotHeaders(table.id));
        }
        if let Some(deviation) = self.deviations.first() {
            return Err(EmitError::Deviates(*deviation));
        }
        // The key check covers the dialect, so in another one it could never pass.
        if self.key_check.is_some() && dialect != self.dialect {
            return Err(EmitError::KeyCheck(table.id));
        }
        if self.seal.is_some() && dialect != self.dialect {
            return Err(EmitError::Seal(table.id));
        }
        if let Some(seal) = &self.seal {
            seal.check(self.content)?;
        }
        if table.iv != self.dialect.iv_form() {
            return Err(EmitError::IvForm(table.id));
        }
        if name_of(table.contents, self.content).is_none() {
            return Err(EmitError::ContentAlgorithm(table.id, self.content));
        }
        if name_of(table.wraps, self.wrap).is_none() {
            return Err(EmitError::WrapAlgorithm(table.id, self.wrap));
        }
        let place = |field| table.header(field).is_some();
        let homeless = [
            (
                !self.description.text().is_empty() && !place(Field::Description),
                "a material description",
            ),
            (self.layout.is_some() && !place(Field::PartSize), "part sizes"),
            (self.plain_len.is_some() && !place(Field::PlainLen), "the plaintext length"),
            (self.plain_md5.is_some() && !place(Field::PlainMd5), "the plaintext MD5"),
            (self.key_check.is_some() && !place(Field::KeyCheck), "the key check"),
            (self.seal.is_some() && !place(Field::Seal), "the seal"),
        ];
        if let Some((_, what)) = homeless.into_iter().find(|(homeless, _)| *homeless) {
            return Err(EmitError::NoPlace { dialect: table.id, what });
        }

        let wrapped = |plain| self.wrap.wrapped_len(plain).map(|rule| (plain, rule));
        let key_fits = wrapped(32).is_some_and(|(_, rule)| rule.allows(self.wrapped_key.len()));
        let iv_len = self.content.iv_len();
        let iv_fits = match table.iv {
            IvForm::Clear => self.iv.len() == iv_len,
            IvForm::Wrapped | IvForm::WrappedDecimal => {
                wrapped(iv_len).is_some_and(|(_, rule)| rule.allows(self.iv.len()))
                    && (!self.wrap.is_rsa() || self.iv.len() == self.wrapped_key.len())
            }
        };
        if !key_fits || !iv_fits {
            return Err(EmitError::Length(self.wrap));
        }
        if let (Some(len), Some(size)) =
            (self.plain_len, self.layout.and_then(|layout| layout.data_size()))
            && len != size
        {
            return Err(EmitError::Contradiction);
        }
        Ok(())
    }

    fn value(&self, dialect: Dialect, field: Field) -> Option<String> {
        let table = dialect.table();
        match field {
            Field::Key => Some(encoding::bytes_text(&self.wrapped_key)),
            Field::Iv => Some(encoding::bytes_text(&self.iv)),
            Field::KeyCheck => self.key_check.map(|check| encoding::bytes_text(&check)),
            Field::Seal => self.seal.map(|seal| seal.text()),
            Field::ContentAlgorithm => name_of(table.contents, self.content),
            Field::WrapAlgorithm => name_of(table.wraps, self.wrap),
            Field::Description => {
                Some(self.description.text()).filter(|text| !text.is_empty()).map(str::to_owned)
            }
            Field::PlainLen => self.plain_len.map(|len| len.to_string()),
            Field::PlainMd5 => self.plain_md5.map(|digest| table.md5.emit(digest)),
            Field::PartSize => self.layout.map(|layout| layout.part_size().to_string()),
            Field::DataSize => match self.layout.map(|layout| layout.data_size()) {
                Some(Some(size)) => Some(size.to_string()),
                Some(None) if self.order.contains(&Field::DataSize) => {
                    table.unknown_data_size.map(str::to_owned)
                }
                _ => None,
            },
            Field::TagLen => {
                (self.content == ContentAlgorithm::Aes256Gcm).then(|| "128".to_owned())
            }
        }
    }
}

fn name_of<A: PartialEq>(rows: &[Row<A>], algorithm: A) -> Option<String> {
    rows.iter().find(|row| row.algorithm == algorithm).map(|row| row.name.to_owned())
}

/// An error for an envelope that a dialect cannot represent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The dialect has no name for the content algorithm.
    #[error("{0} does not support {1}")]
    ContentAlgorithm(&'static str, ContentAlgorithm),
    /// The plaintext length and the data size of the part layout differ.
    #[error("the plaintext length does not match the data size")]
    Contradiction,
    /// The envelope was parsed from headers that deviate from their dialect.
    #[error("cannot be written again: {0}")]
    Deviates(Deviation),
    /// The metadata exceeds the vendor's limit.
    #[error("the headers take {size} bytes, but the service stores at most {limit}")]
    HeaderBudget {
        /// Total size of names and values, in bytes.
        size: usize,
        /// The vendor's limit, in bytes.
        limit: usize,
    },
    /// The dialect represents the IV differently; the content key must be rewrapped.
    #[error("{0} represents the IV differently")]
    IvForm(&'static str),
    /// The key check was computed for another dialect.
    #[error("the key check is not valid in {0}")]
    KeyCheck(&'static str),
    /// A wrapped value whose length its algorithm cannot produce.
    #[error("a wrapped value has a length that {0} cannot produce")]
    Length(WrapAlgorithm),
    /// The dialect has no header for a field of the envelope.
    #[error("{dialect} has no header for {what}")]
    NoPlace {
        /// The dialect's id.
        dialect: &'static str,
        /// The field, in words.
        what: &'static str,
    },
    /// The dialect is not stored in headers.
    #[error("{0} is not stored in headers")]
    NotHeaders(&'static str),
    /// The seal was made for another dialect.
    #[error("the seal is not valid in {0}")]
    Seal(&'static str),
    /// The seal states what it cannot state of this content.
    #[error("the seal states {0}")]
    SealFault(#[from] SealFault),
    /// The dialect has no name for the wrap algorithm.
    #[error("{0} does not support {1}")]
    WrapAlgorithm(&'static str, WrapAlgorithm),
}
