//! Collects the known headers and builds the envelope from them.

use crate::{
    ContentAlgorithm, Deviation, Dialect, Envelope, IvForm, MaterialDescription, PartLayout, Seal,
    WrapAlgorithm,
    algorithm::LengthRule,
    description::DescriptionError,
    dialect::{Field, Row, Table},
    encoding,
    error::{Excerpt, ParseError, Reason},
};

use super::{MAX_LEN, header_dialects};

/// The headers known to any dialect, in their original order.
pub(super) struct Found(pub(super) Vec<Header>);

pub(super) struct Header {
    pub(super) name: &'static str,
    value: Vec<u8>,
}

impl Found {
    pub(super) fn collect<N, V>(
        headers: impl IntoIterator<Item = (N, V)>,
        dialects: impl Fn(&Dialect) -> bool,
    ) -> Result<Self, ParseError>
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut found = Self(Vec::new());
        let mut len: usize = 0;
        for (name, value) in headers {
            let known = Dialect::ALL
                .into_iter()
                .filter(&dialects)
                .find_map(|dialect| dialect.table().field(name.as_ref()));
            let Some((field, name)) = known else { continue };
            let value = value.as_ref();

            len = len.saturating_add(name.len()).saturating_add(value.len());
            let position = |bad: fn(&u8) -> bool| value.iter().position(bad);
            let fault = if len > MAX_LEN {
                Some(Reason::TooLarge { limit: MAX_LEN })
            } else if found.0.iter().any(|header| header.name == name) {
                Some(Reason::Duplicate)
            } else if let Some(position) = position(u8::is_ascii_control) {
                let byte = value.get(position).copied().unwrap_or_default();
                Some(Reason::Control { byte, position })
            } else if field == Field::Description {
                // COS Go and COS Java write descriptions as raw UTF-8.
                std::str::from_utf8(value).err().map(|error| Reason::NotAscii(error.valid_up_to()))
            } else {
                position(|byte| !byte.is_ascii()).map(Reason::NotAscii)
            };
            if let Some(reason) = fault {
                return Err(ParseError::new(name, reason));
            }
            found.0.push(Header { name, value: value.to_vec() });
        }
        Ok(found)
    }

    pub(super) fn is_complete(&self, table: &Table) -> bool {
        self.has(table.key_header()) && self.has(table.iv_header())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|header| header.name == name)
    }

    /// Returns the value of a header that must be present.
    pub(super) fn ascii(&self, name: &'static str) -> Result<&str, ParseError> {
        self.value(name).ok_or_else(|| ParseError::new(name, Reason::Missing("its dialect")))
    }

    fn value(&self, name: &str) -> Option<&str> {
        let header = self.0.iter().find(|header| header.name == name)?;
        std::str::from_utf8(&header.value).ok()
    }

    /// Returns the error for headers in which no dialect has both its key and its IV. It names the
    /// header that the most likely dialect lacks.
    pub(super) fn incomplete(&self, there: &Header) -> ParseError {
        let beside_instruction = |header: &Header| {
            let field = Dialect::COS_INSTRUCTION.table().field(header.name);
            matches!(field, Some((Field::PlainLen | Field::PlainMd5, _)))
        };
        if self.0.iter().all(beside_instruction) {
            return ParseError::new(there.name, Reason::PerhapsInstruction);
        }
        let mut likely = Dialect::OSS_V2;
        let mut most = 0;
        for dialect in header_dialects() {
            let names = dialect.table().fields.iter().filter(|(_, name)| self.has(name)).count();
            if names > most {
                (likely, most) = (dialect, names);
            }
        }
        let table = likely.table();
        let missing =
            if self.has(table.key_header()) { table.iv_header() } else { table.key_header() };
        ParseError::new(missing, Reason::Missing(there.name))
    }

    pub(super) fn envelope(&self, dialect: Dialect) -> Result<Envelope, ParseError> {
        let table = dialect.table();
        let mut tolerated = Tolerated { table, deviations: Vec::new(), refusal: None };
        let mut order = Vec::with_capacity(self.0.len());
        for header in &self.0 {
            match table.field(header.name) {
                None => {
                    return Err(ParseError::new(header.name, Reason::MixedDialects(table.id)));
                }
                Some((field, name)) if order.contains(&field) => {
                    return Err(ParseError::new(name, Reason::Duplicate));
                }
                // COS Android writes an empty MD5 if it has none.
                Some((Field::PlainMd5, _)) if header.value.is_empty() => {}
                Some((field, _)) => order.push(field),
            }
        }

        let wrapped_key = self.bytes(table.key_header())?;
        let content = match table.header(Field::ContentAlgorithm) {
            Some(name) => match (self.algorithm(table, name, table.contents), table.contents) {
                (Err(error), [sole]) if !self.has(name) => {
                    tolerated.deviation(Deviation::ContentUnnamed, error)?;
                    sole.algorithm
                }
                (outcome, _) => outcome?,
            },
            None => sole(table.contents).unwrap_or(ContentAlgorithm::Aes256Ctr),
        };
        let wrap = match table.header(Field::WrapAlgorithm) {
            Some(name) => {
                match (self.algorithm(table, name, table.wraps), self.other_case(name, table.wraps))
                {
                    (Err(error), Some(wrap)) => {
                        tolerated.deviation(Deviation::WrapNameCase, error)?;
                        wrap
                    }
                    (outcome, _) => outcome?,
                }
            }
            None => wrap_by_length(table, wrapped_key.len())?,
        };
        let key_header = table.key_header();
        if let Some(rule) = wrap.wrapped_len(32) {
            check_len(key_header, wrapped_key.len(), wrap.id(), rule)?;
        }
        let iv = self.iv(table, content, wrap, wrapped_key.len())?;

        let plain_len = self.number(table, Field::PlainLen)?;
        let layout = self.layout(table)?;
        let data_size = layout.and_then(|layout| layout.data_size());
        if let (Some(name), Some(len), Some(size)) =
            (table.header(Field::DataSize), plain_len, data_size)
            && len != size
        {
            let other = table.header(Field::PlainLen).unwrap_or(table.id);
            return Err(ParseError::new(name, Reason::Contradicts(other)));
        }
        self.check_tag_len(table, content)?;
        let description = match self.description(table) {
            Err((text, error)) => {
                tolerated.deviation(Deviation::DescriptionUnreadable, error)?;
                MaterialDescription::unreadable(text)
            }
            Ok(description) => description,
        };

        let envelope = Envelope {
            dialect,
            content,
            wrap,
            wrapped_key,
            iv,
            description,
            layout,
            plain_len,
            plain_md5: self.plain_md5(table)?,
            key_check: self.key_check(table)?,
            seal: self.seal(table, content)?,
            deviations: tolerated.deviations,
            refusal: tolerated.refusal,
            order,
        };
        match envelope.refusal() {
            // Ours are never written like that, so somebody has changed them.
            Some(error) if envelope.is_bound_to_key() => Err(error.clone()),
            _ => Ok(envelope),
        }
    }

    /// Returns the first header of the table that holds `field` and is present.
    fn field(&self, table: &Table, field: Field) -> Option<(&'static str, &str)> {
        table
            .fields
            .iter()
            .filter(|(each, _)| *each == field)
            .find_map(|(_, name)| self.value(name).map(|value| (*name, value)))
    }

    fn bytes(&self, name: &'static str) -> Result<Vec<u8>, ParseError> {
        encoding::bytes(self.ascii(name)?).map_err(|reason| ParseError::new(name, reason))
    }

    fn algorithm<A: Copy>(
        &self,
        table: &Table,
        name: &'static str,
        rows: &'static [Row<A>],
    ) -> Result<A, ParseError> {
        let Some(value) = self.value(name) else {
            return Err(ParseError::new(name, Reason::Missing(table.key_header())));
        };
        rows.iter().find(|row| row.name == value).map(|row| row.algorithm).ok_or_else(|| {
            let name_found = Excerpt::of(value);
            let reason = Reason::UnknownAlgorithm { dialect: table.id, name: name_found };
            ParseError::new(name, reason)
        })
    }

    fn iv(
        &self,
        table: &Table,
        content: ContentAlgorithm,
        wrap: WrapAlgorithm,
        key_len: usize,
    ) -> Result<Vec<u8>, ParseError> {
        let name = table.iv_header();
        let iv = self.bytes(name)?;
        let plain = content.iv_len();
        if table.iv == IvForm::Clear {
            check_len(name, iv.len(), "the content algorithm", LengthRule::Exactly(plain))?;
            return Ok(iv);
        }
        match wrap.wrapped_len(plain) {
            None => {
                let name = table.header(Field::WrapAlgorithm).unwrap_or(name);
                return Err(ParseError::new(name, Reason::WrapOfIv(plain)));
            }
            Some(rule) => check_len(name, iv.len(), wrap.id(), rule)?,
        }
        // All ciphertexts of one RSA key have the same length.
        if wrap.is_rsa() && iv.len() != key_len {
            return Err(ParseError::new(name, Reason::Contradicts(table.key_header())));
        }
        Ok(iv)
    }

    fn number(&self, table: &Table, field: Field) -> Result<Option<u64>, ParseError> {
        self.field(table, field)
            .map(|(name, text)| {
                encoding::number(text).map_err(|reason| ParseError::new(name, reason))
            })
            .transpose()
    }

    fn layout(&self, table: &Table) -> Result<Option<PartLayout>, ParseError> {
        let data_size = match self.field(table, Field::DataSize) {
            Some((_, text)) if table.unknown_data_size == Some(text) => None,
            _ => self.number(table, Field::DataSize)?,
        };
        let Some((name, _)) = self.field(table, Field::PartSize) else {
            // Still meaningful without the part size, but no writer produces it that way.
            return match (self.field(table, Field::DataSize), table.header(Field::PartSize)) {
                (Some((there, _)), Some(name)) => {
                    Err(ParseError::new(name, Reason::Missing(there)))
                }
                _ => Ok(None),
            };
        };
        let Some(part_size) = self.number(table, Field::PartSize)? else { return Ok(None) };
        PartLayout::read(data_size, part_size)
            .map(Some)
            .map_err(|error| ParseError::new(name, error.into()))
    }

    fn check_tag_len(&self, table: &Table, content: ContentAlgorithm) -> Result<(), ParseError> {
        let Some((name, text)) = self.field(table, Field::TagLen) else { return Ok(()) };
        let wrong = |want| Reason::Value { got: Excerpt::of(text), want };
        if content != ContentAlgorithm::Aes256Gcm {
            return Err(ParseError::new(name, wrong("absent without AES/GCM/NoPadding")));
        }
        if text == "128" { Ok(()) } else { Err(ParseError::new(name, wrong("128"))) }
    }

    /// Returns the description, or the text that is none.
    fn description(&self, table: &Table) -> Result<MaterialDescription, (&str, ParseError)> {
        match self.field(table, Field::Description) {
            Some((name, text)) => MaterialDescription::parse(text)
                .map_err(|error| (text, ParseError::new(name, error.into()))),
            None => Ok(MaterialDescription::default()),
        }
    }

    /// Returns the algorithm whose name differs from the value of a header only in case.
    fn other_case<A: Copy>(&self, name: &str, rows: &'static [Row<A>]) -> Option<A> {
        let value = self.value(name)?;
        rows.iter().find(|row| row.name.eq_ignore_ascii_case(value)).map(|row| row.algorithm)
    }

    fn plain_md5(&self, table: &Table) -> Result<Option<[u8; 16]>, ParseError> {
        self.field(table, Field::PlainMd5)
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| {
                table.md5.parse(text).map_err(|reason| ParseError::new(name, reason))
            })
            .transpose()
    }

    fn key_check(&self, table: &Table) -> Result<Option<[u8; 16]>, ParseError> {
        let Some((name, text)) = self.field(table, Field::KeyCheck) else { return Ok(None) };
        let bytes = encoding::bytes(text).map_err(|reason| ParseError::new(name, reason))?;
        check_len(name, bytes.len(), "the key check", LengthRule::Exactly(16))?;
        Ok(bytes.try_into().ok())
    }

    fn seal(&self, table: &Table, content: ContentAlgorithm) -> Result<Option<Seal>, ParseError> {
        let Some((name, text)) = self.field(table, Field::Seal) else { return Ok(None) };
        let seal = Seal::parse(text).map_err(|reason| ParseError::new(name, reason))?;
        seal.check(content).map_err(|fault| ParseError::new(name, fault.into()))?;
        Ok(Some(seal))
    }
}

/// The deviations found so far.
struct Tolerated {
    table: &'static Table,
    deviations: Vec<Deviation>,
    /// The error with which a strict reader refuses the first of them.
    refusal: Option<ParseError>,
}

impl Tolerated {
    /// Notes a deviation, if there is an SDK that reads past it.
    fn deviation(&mut self, deviation: Deviation, error: ParseError) -> Result<(), ParseError> {
        let too_long = matches!(
            error.reason(),
            Reason::Description(DescriptionError::TooLong(_) | DescriptionError::TooManyEntries)
        );
        // What is read past was seen with this dialect only.
        if self.table.id != Dialect::OSS_V2.id() || too_long {
            return Err(error);
        }
        self.deviations.push(deviation);
        self.refusal.get_or_insert(error);
        Ok(())
    }
}

fn sole<A: Copy>(rows: &[Row<A>]) -> Option<A> {
    rows.first().map(|row| row.algorithm)
}

/// Infers the wrap algorithm from the length of the wrapped key, for dialects that do not name it.
fn wrap_by_length(table: &Table, len: usize) -> Result<WrapAlgorithm, ParseError> {
    let rules = || {
        table.wraps.iter().filter_map(|row| Some((row.algorithm, row.algorithm.wrapped_len(32)?)))
    };
    rules().find(|(_, rule)| rule.allows(len)).map(|(algorithm, _)| algorithm).ok_or_else(|| {
        let want: Vec<String> = rules().map(|(_, rule)| rule.to_string()).collect();
        let reason = Reason::Length { algorithm: table.id, got: len, want: want.join(" or ") };
        ParseError::new(table.key_header(), reason)
    })
}

fn check_len(
    name: &'static str,
    got: usize,
    algorithm: &'static str,
    rule: LengthRule,
) -> Result<(), ParseError> {
    if rule.allows(got) {
        return Ok(());
    }
    let reason = Reason::Length { algorithm, got, want: rule.to_string() };
    Err(ParseError::new(name, reason))
}
