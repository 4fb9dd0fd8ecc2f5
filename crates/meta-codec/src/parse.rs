//! Parses headers into an envelope.

mod found;

use self::found::Found;
use crate::{
    ContentAlgorithm, Dialect, Envelope, IvForm,
    description::{DescriptionError, flat_json},
    dialect::Field,
    encoding,
    error::{ParseError, Reason},
};

/// Maximum size of the names and values of all known headers, in bytes: twice what the more
/// generous service stores.
const MAX_LEN: usize = 16 * 1024;

/// Parses the envelope from an object's headers.
///
/// Names are accepted in any case and order, and headers that belong to no dialect are ignored.
/// `Ok(None)` means that no header of any dialect is present: the object is not encrypted, its
/// metadata was stripped, or its envelope is in an instruction file. The caller **must not** treat
/// the body as plaintext unless told to.
///
/// ```
/// use meta_codec::parse;
///
/// let headers = [
///     ("x-oss-meta-client-side-encryption-key", "AAAA"),
///     ("x-oss-meta-owner", "photos"),
/// ];
/// let error = parse(headers).unwrap_err(); // altered, or cut
/// assert!(error.header().starts_with("x-oss-meta-client-side-encryption-"));
/// assert_eq!(parse([("x-oss-meta-owner", "photos")])?, None); // not encrypted
/// # Ok::<(), meta_codec::ParseError>(())
/// ```
///
/// # Errors
/// Fails on anything that does not follow one dialect exactly, see [`Reason`]. In particular,
/// [`Reason::PerhapsInstruction`] is returned for the headers that COS Java leaves on an object
/// whose envelope is in an instruction file (see [`parse_instruction`]). Headers of two dialects, a
/// duplicate header, or an incomplete set of mandatory headers are rejected without guessing.
pub fn parse<N, V>(
    headers: impl IntoIterator<Item = (N, V)>,
) -> Result<Option<Envelope>, ParseError>
where
    N: AsRef<str>,
    V: AsRef<[u8]>,
{
    parse_tolerant(headers)?.map(strict).transpose()
}

/// Parses the envelope from an object's headers as [`parse`] does, but records the
/// [deviations](crate::Deviation) that some SDK reads past instead of refusing them.
///
/// The caller **must** ask a policy about [`Envelope::deviations`] before it uses the envelope.
/// Such an envelope cannot be [emitted](Envelope::emit).
///
/// ```
/// use meta_codec::{Deviation, parse, parse_tolerant};
///
/// let value = "A".repeat(171) + "="; // 128 bytes
/// let headers = [
///     ("x-oss-meta-client-side-encryption-key", value.as_str()),
///     ("x-oss-meta-client-side-encryption-start", &value),
///     ("x-oss-meta-client-side-encryption-wrap-alg", "RSA/NONE/PKCS1Padding"),
/// ];
/// assert!(parse(headers).is_err());
/// let envelope = parse_tolerant(headers)?.expect("the object is encrypted");
/// assert_eq!(envelope.deviations(), [Deviation::ContentUnnamed]);
/// # Ok::<(), meta_codec::ParseError>(())
/// ```
///
/// # Errors
/// Fails like [`parse`] on everything else, and on deviations of metadata that has a key check or a
/// seal.
pub fn parse_tolerant<N, V>(
    headers: impl IntoIterator<Item = (N, V)>,
) -> Result<Option<Envelope>, ParseError>
where
    N: AsRef<str>,
    V: AsRef<[u8]>,
{
    let found = Found::collect(headers, |dialect| dialect.table().in_headers)?;
    let Some(first) = found.0.first() else { return Ok(None) };

    let mut complete = header_dialects().filter(|dialect| found.is_complete(dialect.table()));
    let Some(mut dialect) = complete.next() else {
        return Err(found.incomplete(first));
    };
    // `cos-android` uses the names of `cos-v2`; only the length of the IV distinguishes them.
    let namesake = complete.find(|other| other.table().iv_header() == dialect.table().iv_header());
    if let Some(namesake) = namesake {
        let clear = encoding::bytes(found.ascii(dialect.table().iv_header())?)
            .is_ok_and(|iv| iv.len() == ContentAlgorithm::Aes256Ctr.iv_len());
        if clear == (namesake.iv_form() == IvForm::Clear) {
            dialect = namesake;
        }
    }
    found.envelope(dialect).map(Some)
}

/// Parses the envelope from a COS Java instruction file.
///
/// `headers` are those of the encrypted object itself, which may contain the length and MD5 of the
/// plaintext; `file` is the body of the accompanying object `<key>.instruction`.
///
/// # Errors
/// Fails like [`parse`], and also if the object's own headers already contain an envelope.
pub fn parse_instruction<N, V>(
    headers: impl IntoIterator<Item = (N, V)>,
    file: &str,
) -> Result<Envelope, ParseError>
where
    N: AsRef<str>,
    V: AsRef<[u8]>,
{
    const FILE: &str = "instruction file";
    let dialect = Dialect::COS_INSTRUCTION;
    if file.len() > MAX_LEN {
        return Err(ParseError::new(FILE, Reason::TooLarge { limit: MAX_LEN }));
    }
    let entries =
        entries(file).map_err(|error| ParseError::new(FILE, Reason::Instruction(error)))?;
    let mut found = Found::collect(entries, |each| *each == dialect)?;
    let object = Found::collect(headers, |each| each.table().in_headers)?;
    found.0.extend(object.0);

    let table = dialect.table();
    for name in [table.key_header(), table.iv_header()] {
        if !found.has(name) {
            return Err(ParseError::new(name, Reason::Missing(FILE)));
        }
    }
    strict(found.envelope(dialect)?)
}

/// Returns an envelope that deviates in nothing.
fn strict(envelope: Envelope) -> Result<Envelope, ParseError> {
    match envelope.refusal {
        Some(error) => Err(error),
        None => Ok(envelope),
    }
}

/// Returns the entries of an instruction file.
///
/// Where there is no description, COS Java 5.6.50 to 5.6.244.4 writes `null` for it
/// (`ContentCryptoMaterial.toJsonString`).
fn entries(file: &str) -> Result<Vec<(String, String)>, DescriptionError> {
    let fault = match flat_json(file) {
        Err(fault @ DescriptionError::NotFlat(_)) => fault,
        outcome => return outcome,
    };
    let table = Dialect::COS_INSTRUCTION.table();
    let text = |(name, value): (String, Option<String>)| match value {
        Some(value) => Some((name, value)),
        None if table.field(&name).is_some_and(|(field, _)| field == Field::Description) => {
            Some((name, "{}".to_owned()))
        }
        None => None,
    };
    let entries = flat_json::<Option<String>>(file)?;
    entries.into_iter().map(text).collect::<Option<_>>().ok_or(fault)
}

fn header_dialects() -> impl Iterator<Item = Dialect> {
    Dialect::ALL.into_iter().filter(|dialect| dialect.table().in_headers)
}
