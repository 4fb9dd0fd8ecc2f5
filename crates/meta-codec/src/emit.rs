//! Envelope to headers.

use crate::{
    ContentAlgorithm, Dialect, Envelope, IvForm, WrapAlgorithm,
    dialect::{Field, Row},
    encoding,
};

impl Envelope {
    /// The headers that say this in `dialect`: names in lower case, in the order in which they were
    /// parsed, or else in the dialect's own.
    ///
    /// The dialect can be another than the envelope's own where both write the wrapped values alike;
    /// it never changes the wrapped values themselves.
    ///
    /// # Errors
    /// What the dialect cannot say, and more bytes of names and values than the vendor stores
    /// ([`Vendor::header_budget`](crate::Vendor::header_budget)). Other metadata of the object counts
    /// towards the same budget and is the caller's business.
    pub fn emit(&self, dialect: Dialect) -> Result<Vec<(&'static str, String)>, EmitError> {
        self.check(dialect)?;
        let table = dialect.table();
        let parsed = dialect == self.dialect && !self.order.is_empty();
        let order = if parsed { self.order.as_slice() } else { &[] };
        let rest = table.fields.iter().map(|(field, _)| *field).filter(|field| {
            // A reader that found no tag length writes none; a fresh envelope does.
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

    /// Returns what [`emit`](Self::emit) does, without the vendor's prefix in the names: user metadata
    /// for storage libraries that add the prefix themselves (see
    /// [`Vendor::metadata_prefix`](crate::Vendor::metadata_prefix)).
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
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

    /// Refuses what the dialect has no header for, or what its reader would not take back.
    fn check(&self, dialect: Dialect) -> Result<(), EmitError> {
        let table = dialect.table();
        if !table.in_headers {
            return Err(EmitError::NotHeaders(table.id));
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
            (!self.description.text().is_empty() && !place(Field::Description), "a description"),
            (self.layout.is_some() && !place(Field::PartSize), "part sizes"),
            (self.plain_len.is_some() && !place(Field::PlainLen), "the plaintext length"),
            (self.plain_md5.is_some() && !place(Field::PlainMd5), "the plaintext MD5"),
            (self.key_check.is_some() && !place(Field::KeyCheck), "the key check"),
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

/// An envelope that a dialect cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The dialect has no name for the content algorithm.
    #[error("{0} cannot say {1}")]
    ContentAlgorithm(&'static str, ContentAlgorithm),
    /// The plaintext length and the part sizes contradict each other.
    #[error("the plaintext length contradicts the data size")]
    Contradiction,
    /// More metadata than the vendor stores.
    #[error("the headers take {size} bytes, but the service stores {limit}")]
    HeaderBudget {
        /// Bytes of all names and values.
        size: usize,
        /// The vendor's limit, in bytes.
        limit: usize,
    },
    /// The dialect writes the IV in another form; wrap the content key anew.
    #[error("{0} writes the IV in another form")]
    IvForm(&'static str),
    /// A wrapped value of a length that its algorithm cannot produce.
    #[error("a wrapped value has a length that {0} cannot make")]
    Length(WrapAlgorithm),
    /// The dialect has no header for something that the envelope says.
    #[error("{dialect} has no header for {what}")]
    NoPlace {
        /// The dialect's id.
        dialect: &'static str,
        /// What it cannot say.
        what: &'static str,
    },
    /// The dialect is not written into headers.
    #[error("{0} is not written into headers")]
    NotHeaders(&'static str),
    /// The dialect has no name for the wrap algorithm.
    #[error("{0} cannot say {1}")]
    WrapAlgorithm(&'static str, WrapAlgorithm),
}
